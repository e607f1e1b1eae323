const DURATION_MS = 6_000;

/** A message that disappears after a while. */
export class Toast {
  #element;
  #timer = 0;

  /** @param {HTMLElement} element A live region. */
  constructor(element) {
    this.#element = element;
  }

  /** @param {string} sentence */
  show(sentence) {
    clearTimeout(this.#timer);
    this.#element.textContent = sentence;
    this.#timer = setTimeout(() => (this.#element.textContent = ""), DURATION_MS);
  }
}
