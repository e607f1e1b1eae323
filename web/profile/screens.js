import { find } from "./find.js";

/**
 * A copy of the section in a template.
 *
 * @param {string} id The template's.
 * @returns {HTMLElement}
 */
export function copyOf(id) {
  const { content } = find(document, `#${id}`, HTMLTemplateElement);
  return find(document.importNode(content, true), "*", HTMLElement);
}

/** What the page shows: one section at a time, with one heading that also is the document's title. */
export class Screens {
  #main;
  #announcer;

  /** @param {HTMLElement} main @param {HTMLElement} announcer A live region. */
  constructor(main, announcer) {
    this.#main = main;
    this.#announcer = announcer;
  }

  /**
   * The focus goes to the heading when it would be lost with the former section.
   *
   * @param {HTMLElement} section The document's title is its data-title, or else its heading.
   */
  show(section) {
    const lost = !section.isConnected && this.#main.contains(document.activeElement);
    if (!section.isConnected) this.#main.replaceChildren(section);
    if (lost) this.focus();
    const title = section.dataset.title ?? find(section, "h1", HTMLElement).textContent;
    if (title !== document.title) document.title = this.#announcer.textContent = title;
  }

  /** Takes the focus to the heading, from where one reads on. */
  focus() {
    find(this.#main, "h1", HTMLElement).focus();
  }
}
