/**
 * Error messages at the fields of a form. The message of the field with the id `x` is in the element with the id
 * `x-error`, which the field's aria-describedby names.
 *
 * @module
 */

import { findElement } from "./find-element.js";

/** @typedef {HTMLInputElement | HTMLTextAreaElement} Field */

/**
 * Shows each message at its field, removes the others, and focuses the first invalid field.
 *
 * @param {HTMLFormElement} form
 * @param {Record<string, string>} errors Messages by field name.
 * @returns {string[]} Messages for which the form has no field.
 */
export function showErrors(form, errors) {
  for (const field of getFields(form)) showError(field, errors[field.name] ?? "");
  getFields(form)
    .find((field) => errors[field.name])
    ?.focus();
  return Object.keys(errors)
    .filter((name) => !form.elements.namedItem(name))
    .map((name) => errors[name]);
}

/** @param {Field} field @param {string} message Empty: the field is valid. */
export function showError(field, message) {
  findElement(document, `#${field.id}-error`, HTMLElement).textContent = message;
  if (message) field.setAttribute("aria-invalid", "true");
  else field.removeAttribute("aria-invalid");
}

/** Removes the message of a field once it is edited. @param {HTMLFormElement} form */
export function clearErrorsOnInput(form) {
  form.addEventListener("input", ({ target }) => {
    if (isField(target) && target.hasAttribute("aria-invalid")) showError(target, "");
  });
}

/** Messages for the required fields that are empty, by field name. @param {HTMLFormElement} form */
export function findMissingValues(form) {
  return Object.fromEntries(findEmptyFields(form).map((field) => [field.name, field.dataset.missing ?? ""]));
}

/** The first required field that is empty. @param {HTMLFormElement} form */
export function findEmptyField(form) {
  return findEmptyFields(form)[0];
}

/** Values by field name. @param {HTMLFormElement} form @returns {Record<string, string>} */
export function readValues(form) {
  return Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, String(value)]));
}

/** @param {HTMLFormElement} form */
function findEmptyFields(form) {
  return getFields(form).filter((field) => field.required && !field.value.trim());
}

/**
 * @param {HTMLFormElement} form
 * @param {string} name
 * @returns {Field}
 */
export function getField(form, name) {
  const field = form.elements.namedItem(name);
  if (isField(field)) return field;
  throw new TypeError(`the form has no field ${name}`);
}

/** The fields that can show a message. @param {HTMLFormElement} form */
function getFields(form) {
  return [...form.elements].filter(isField).filter(({ id }) => document.getElementById(`${id}-error`));
}

/** @param {unknown} element @returns {element is Field} */
function isField(element) {
  return element instanceof HTMLInputElement || element instanceof HTMLTextAreaElement;
}
