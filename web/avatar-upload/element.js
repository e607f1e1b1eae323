/** `<avatar-upload>`: docs/widget.md documents its attributes, members and events. */

import { listenForDrops, listenForPastes } from "./drop-paste.js";
import { UploadError } from "./errors.js";
import { Flow } from "./flow.js";
import { ENGLISH, failureSentence } from "./messages.js";
import { View } from "./view.js";

/** Without HEIC, so that iPhones convert to JPEG. HEIC files are accepted all the same. */
const ACCEPT = "image/jpeg,image/png,image/webp,image/gif";
const PROPERTIES = [
  "accept",
  "alt",
  "apiUrl",
  "disabled",
  "getToken",
  "messages",
  "noRemove",
  "original",
  "src",
  "tokenCallback",
];

/**
 * @typedef {import("./api.js").GetToken} GetToken
 * @typedef {import("./messages.js").Messages} Messages
 */

/** A server has no HTMLElement, and imports the module without an error. @type {typeof HTMLElement} */
const BaseElement = globalThis.HTMLElement ?? class {};

export class AvatarUpload extends BaseElement {
  static observedAttributes = ["accept", "alt", "api-url", "disabled", "no-remove", "src"];

  #states = this.attachInternals().states;
  #flow = new Flow({
    getSettings: () => ({
      apiUrl: this.apiUrl,
      getToken: (request) => this.#requestToken(request),
      original: this.original,
    }),
    onChange: () => this.#render(),
    onReady: ({ images, url }) =>
      this.#showAvatar({ src: url, srcset: images.map((image) => `${image.url} ${image.size}w`).join() }),
    onRemoved: () => void this.#showAvatar({ src: "" }),
    emit: (type, detail) => this.dispatchEvent(new CustomEvent(type, { detail, bubbles: true, composed: true })),
    describeError: (error) => failureSentence(error, this.#messageOptions),
  });
  #receiver = {
    isEnabled: () => !this.disabled && this.state !== "unconfigured" && this.state !== "removing",
    receive: (/** @type {File} */ file) => void this.#flow.choose(file),
    onHover: (/** @type {boolean} */ over) => this.#view.showDropTarget(over),
  };
  #view = new View(this.attachShadow({ mode: "open" }), {
    choose: this.#receiver.receive,
    crop: (crop) => this.#flow.crop(crop),
    prepare: () => this.#flow.prepare(),
    use: () => this.#flow.use(),
    retry: () => this.#flow.retry(),
    cancel: () => this.#flow.cancel(),
    remove: () => this.#flow.askToRemove(),
    confirmRemoval: () => this.#flow.confirmRemoval(),
  });
  /** Aborted when the element leaves the document. @type {AbortController | null} */
  #connection = null;
  /** @type {GetToken | null} */
  #getToken = null;
  /** @type {Messages} */
  #messages = ENGLISH;

  constructor() {
    super();
    listenForDrops(this.#view.card, this.#receiver);
    this.#upgradeProperties();
  }

  connectedCallback() {
    if (!this.#connection) {
      this.#connection = new AbortController();
      listenForPastes(this, this.#receiver, this.#connection.signal);
    }
    this.#render();
  }

  disconnectedCallback() {
    // Deferred: an element that is moved is connected again by then, and its upload continues.
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

  /** Returns the access token; with `refresh` a new one, after a 401 or 403. Overrides `tokenCallback`. */
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

  get noRemove() {
    return this.hasAttribute("no-remove");
  }

  set noRemove(value) {
    this.toggleAttribute("no-remove", Boolean(value));
  }

  get original() {
    return this.hasAttribute("original");
  }

  set original(value) {
    this.toggleAttribute("original", Boolean(value));
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

  /** Opens the file dialog. Browsers allow that only in a handler of a click or key. */
  open() {
    if (this.#receiver.isEnabled()) this.#view.openDialog();
  }

  /** Cancels the choice, upload or removal and shows the current avatar. */
  reset() {
    this.#flow.reset();
  }

  /** @param {FocusOptions} [options] */
  focus(options) {
    this.#view.focus(options);
  }

  /** Properties that were set before the element was defined would shadow its accessors. */
  #upgradeProperties() {
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
  #requestToken(request) {
    const getToken = this.#getToken ?? findFunction(this.tokenCallback);
    if (!getToken) throw new UploadError("no_token");
    return getToken(request);
  }

  /** @param {import("./avatar-preview.js").ImageSource} source */
  async #showAvatar(source) {
    if (await this.#view.loadAvatar(source)) this.#flow.acceptAvatar();
    this.#render();
  }

  /** @returns {{ messages: Messages, language: string | undefined, size: number | undefined, removal: boolean }} */
  get #messageOptions() {
    const { file } = this.#flow.photo;
    return { messages: this.#messages, language: getLanguage(this), size: file?.size, removal: file === null };
  }

  #render() {
    const { state, disabled, noRemove, accept, alt } = this;
    this.#states.clear();
    this.#states.add(state);
    this.#view.render({ ...this.#flow.photo, ...this.#messageOptions, state, disabled, noRemove, accept, alt });
  }
}

/**
 * Finds the function of a dotted name on `window`, and binds it to its owner.
 * @param {string} path
 * @returns {GetToken | null}
 */
function findFunction(path) {
  /** @type {any} */
  let owner = null;
  /** @type {any} */
  let value = window;
  for (const name of path.split(".")) [owner, value] = [value, value?.[name]];
  return typeof value === "function" ? value.bind(owner) : null;
}

/**
 * The nearest `lang` attribute, if it is a valid language tag.
 * @param {Element} element
 */
function getLanguage(element) {
  const lang = element.closest("[lang]")?.getAttribute("lang");
  try {
    return lang ? new Intl.Locale(lang).toString() : undefined;
  } catch {
    return undefined;
  }
}
