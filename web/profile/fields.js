/**
 * Sentences at the fields of a form. The sentence of the field with the id `x` is in the element with the id `x-fault`,
 * which the field's aria-describedby names.
 *
 * @module
 */

import { find } from "./find.js";

/** @typedef {HTMLInputElement | HTMLTextAreaElement} Field */

/**
 * Puts each sentence at its field, takes the others away, and the focus to the first wrong field.
 *
 * @param {HTMLFormElement} form
 * @param {Record<string, string>} faults Sentences by the names of fields.
 * @returns {string[]} Sentences for which the form has no field.
 */
export function showFaults(form, faults) {
  for (const field of fieldsOf(form)) showFault(field, faults[field.name] ?? "");
  fieldsOf(form)
    .find((field) => faults[field.name])
    ?.focus();
  return Object.keys(faults)
    .filter((name) => !form.elements.namedItem(name))
    .map((name) => faults[name]);
}

/** @param {Field} field @param {string} sentence Empty: nothing is wrong. */
export function showFault(field, sentence) {
  find(document, `#${field.id}-fault`, HTMLElement).textContent = sentence;
  if (sentence) field.setAttribute("aria-invalid", "true");
  else field.removeAttribute("aria-invalid");
}

/** A fault is no news any more once somebody works on it. @param {HTMLFormElement} form */
export function forgetFaultsOnInput(form) {
  form.addEventListener("input", ({ target }) => {
    if (isField(target) && target.hasAttribute("aria-invalid")) showFault(target, "");
  });
}

/** A sentence for each field that must have a value and has none. @param {HTMLFormElement} form */
export function missing(form) {
  return Object.fromEntries(emptyFields(form).map((field) => [field.name, field.dataset.missing ?? ""]));
}

/** The first field that must have a value and has none. @param {HTMLFormElement} form */
export function emptyField(form) {
  return emptyFields(form)[0];
}

/** What is typed, by the fields' names. @param {HTMLFormElement} form @returns {Record<string, string>} */
export function textsOf(form) {
  return Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, String(value)]));
}

/** @param {HTMLFormElement} form */
function emptyFields(form) {
  return fieldsOf(form).filter((field) => field.required && !field.value.trim());
}

/**
 * @param {HTMLFormElement} form
 * @param {string} name
 * @returns {Field}
 */
export function fieldNamed(form, name) {
  const field = form.elements.namedItem(name);
  if (isField(field)) return field;
  throw new TypeError(`the form has no field ${name}`);
}

/** Those with a place for a sentence. @param {HTMLFormElement} form */
function fieldsOf(form) {
  return [...form.elements].filter(isField).filter(({ id }) => document.getElementById(`${id}-fault`));
}

/** @param {unknown} element @returns {element is Field} */
function isField(element) {
  return element instanceof HTMLInputElement || element instanceof HTMLTextAreaElement;
}
