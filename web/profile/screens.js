import { findElement } from "./find-element.js";

/**
 * Clones the section in a template.
 *
 * @param {string} id The template's.
 * @returns {HTMLElement}
 */
export function cloneTemplate(id) {
  const { content } = findElement(document, `#${id}`, HTMLTemplateElement);
  return findElement(document.importNode(content, true), "*", HTMLElement);
}

/** Shows one section at a time; its heading is also the document's title. */
export class Screens {
  #main;
  #announcer;

  /** @param {HTMLElement} main @param {HTMLElement} announcer A live region. */
  constructor(main, announcer) {
    this.#main = main;
    this.#announcer = announcer;
  }

  /**
   * Moves the focus to the heading when the former section had it.
   *
   * @param {HTMLElement} section The document's title is its data-title, else its heading.
   */
  show(section) {
    const isFocusLost = !section.isConnected && this.#main.contains(document.activeElement);
    if (!section.isConnected) this.#main.replaceChildren(section);
    if (isFocusLost) this.focus();
    const title = section.dataset.title ?? findElement(section, "h1", HTMLElement).textContent;
    if (title !== document.title) document.title = this.#announcer.textContent = title;
  }

  /** Moves the focus to the heading. */
  focus() {
    findElement(this.#main, "h1", HTMLElement).focus();
  }
}
