const SHOWN_MILLISECONDS = 6_000;

/** A sentence about what has just happened, for a while. */
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
    this.#timer = setTimeout(() => (this.#element.textContent = ""), SHOWN_MILLISECONDS);
  }
}
