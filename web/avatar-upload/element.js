/** `<avatar-upload>`: docs/widget.md says what its attributes, members and events are. */

import { UploadError } from "./failures.js";
import { Flow } from "./flow.js";
import { takeDrops, takePastes } from "./intake.js";
import { ENGLISH, failureSentence } from "./messages.js";
import { View } from "./view.js";

/** Without HEIC, which iPhones then convert: a JPEG is smaller work for everybody. Dropped or pasted, it is taken. */
const ACCEPT = "image/jpeg,image/png,image/webp,image/gif";
const PROPERTIES = ["accept", "alt", "apiUrl", "disabled", "getToken", "messages", "src", "tokenCallback"];

/**
 * @typedef {import("./api.js").GetToken} GetToken
 * @typedef {import("./messages.js").Messages} Messages
 */

export class AvatarUpload extends HTMLElement {
  static observedAttributes = ["accept", "alt", "api-url", "disabled", "src"];

  #states = this.attachInternals().states;
  #flow = new Flow({
    connection: () => ({ apiUrl: this.apiUrl, getToken: (request) => this.#token(request) }),
    changed: () => this.#render(),
    ready: ({ images, url }) =>
      this.#showAvatar({ src: url, srcset: images.map((image) => `${image.url} ${image.size}w`).join() }),
    emit: (type, detail) => this.dispatchEvent(new CustomEvent(type, { detail, bubbles: true, composed: true })),
    sentence: (error) => failureSentence(error, this.#wording),
  });
  #taker = {
    isOpen: () => !this.disabled && this.state !== "unconfigured",
    take: (/** @type {File} */ file) => void this.#flow.choose(file),
    hover: (/** @type {boolean} */ over) => this.#view.showTarget(over),
  };
  #view = new View(this.attachShadow({ mode: "open" }), {
    choose: this.#taker.take,
    crop: (crop) => this.#flow.crop(crop),
    use: () => this.#flow.use(),
    retry: () => this.#flow.retry(),
    cancel: () => this.#flow.cancel(),
  });
  /** Lives as long as the element is in a document. @type {AbortController | null} */
  #connection = null;
  /** @type {GetToken | null} */
  #getToken = null;
  /** @type {Messages} */
  #messages = ENGLISH;

  constructor() {
    super();
    takeDrops(this.#view.card, this.#taker);
    this.#takeOverProperties();
  }

  connectedCallback() {
    if (!this.#connection) {
      this.#connection = new AbortController();
      takePastes(this, this.#taker, this.#connection.signal);
    }
    this.#render();
  }

  disconnectedCallback() {
    // An element that is only moved is back in the document by then, and what it does goes on.
    queueMicrotask(() => {
      if (this.isConnected) return;
      this.#connection?.abort();
      this.#connection = null;
      this.reset();
    });
  }

  /** @param {string} name */
  attributeChangedCallback(name) {
    if (name === "api-url" && !this.apiUrl) this.reset();
    if (name === "src") this.#showAvatar({ src: this.src });
    this.#render();
  }

  /** @returns {import("./view.js").State} */
  get state() {
    return this.apiUrl ? this.#flow.state : "unconfigured";
  }

  /** Gives the access token; with `refresh` a new one, for the API has refused the last. Goes before `tokenCallback`. */
  get getToken() {
    return this.#getToken;
  }

  set getToken(getToken) {
    this.#getToken = getToken;
  }

  /** @returns {Partial<Messages>} */
  get messages() {
    return this.#messages;
  }

  set messages(messages) {
    this.#messages = { ...ENGLISH, ...messages };
    this.#render();
  }

  get accept() {
    return this.getAttribute("accept") ?? ACCEPT;
  }

  set accept(value) {
    this.#reflect("accept", value);
  }

  get alt() {
    return this.getAttribute("alt") ?? "";
  }

  set alt(value) {
    this.#reflect("alt", value);
  }

  get apiUrl() {
    return this.getAttribute("api-url") ?? "";
  }

  set apiUrl(value) {
    this.#reflect("api-url", value);
  }

  get disabled() {
    return this.hasAttribute("disabled");
  }

  set disabled(value) {
    this.toggleAttribute("disabled", Boolean(value));
  }

  get src() {
    return this.getAttribute("src") ?? "";
  }

  set src(value) {
    this.#reflect("src", value);
  }

  get tokenCallback() {
    return this.getAttribute("token-callback") ?? "";
  }

  set tokenCallback(value) {
    this.#reflect("token-callback", value);
  }

  /** Opens the file dialog. Browsers allow that in answer to a click or a key only. */
  open() {
    if (this.#taker.isOpen()) this.#view.openDialog();
  }

  /** Cancels what is under way and shows the current avatar. */
  reset() {
    this.#flow.reset();
  }

  /** @param {FocusOptions} [options] */
  focus(options) {
    this.#view.focus(options);
  }

  /** Properties that were set before the element was defined hide its own. */
  #takeOverProperties() {
    for (const name of PROPERTIES.filter((name) => Object.hasOwn(this, name))) {
      const value = Reflect.get(this, name);
      Reflect.deleteProperty(this, name);
      Reflect.set(this, name, value);
    }
  }

  /**
   * @param {string} attribute
   * @param {string | null | undefined} value
   */
  #reflect(attribute, value) {
    if (value === null || value === undefined) this.removeAttribute(attribute);
    else this.setAttribute(attribute, value);
  }

  /** @type {GetToken} */
  #token(request) {
    const getToken = this.#getToken ?? functionNamed(this.tokenCallback);
    if (!getToken) throw new UploadError("no_token");
    return getToken(request);
  }

  /** @param {import("./frame.js").Address} address */
  async #showAvatar(address) {
    if (await this.#view.loadAvatar(address)) this.#flow.putAway();
    this.#render();
  }

  /** @returns {{ messages: Messages, language: string | undefined, size: number | undefined }} */
  get #wording() {
    return { messages: this.#messages, language: language(this), size: this.#flow.photo.file?.size };
  }

  #render() {
    const { state, disabled, accept, alt } = this;
    this.#states.clear();
    this.#states.add(state);
    this.#view.render({ ...this.#flow.photo, ...this.#wording, state, disabled, accept, alt });
  }
}

/**
 * The function of a dotted name on `window`, with its owner as `this`.
 * @param {string} path
 * @returns {GetToken | null}
 */
function functionNamed(path) {
  /** @type {any} */
  let owner = null;
  /** @type {any} */
  let value = window;
  for (const name of path.split(".")) [owner, value] = [value, value?.[name]];
  return typeof value === "function" ? value.bind(owner) : null;
}

/**
 * The language around an element, if it is one that numbers can be written in.
 * @param {Element} element
 */
function language(element) {
  const lang = element.closest("[lang]")?.getAttribute("lang");
  try {
    return lang ? new Intl.Locale(lang).toString() : undefined;
  } catch {
    return undefined;
  }
}
