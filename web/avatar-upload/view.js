/** The element's face: shows a model, and tells what the user wants. Knows nothing of uploads. */

import { Cropper } from "./cropper.js";
import { make, setText } from "./dom.js";
import { Frame } from "./frame.js";
import { failureSentence, filled, percent } from "./messages.js";
import { styles } from "./styles.js";

/**
 * @typedef {import("./flow.js").State | "unconfigured"} State
 *
 * @typedef {object} Settings
 * @property {State} state
 * @property {boolean} disabled
 * @property {string} accept
 * @property {string} alt
 * @property {import("./messages.js").Messages} messages
 * @property {string | undefined} language
 * @typedef {import("./flow.js").Photo & Settings} Model
 *
 * @typedef {object} Wishes what the user may want
 * @property {(file: File) => void} choose
 * @property {(crop: import("./crop.js").Crop | null) => void} crop
 * @property {() => void} use
 * @property {() => void} retry
 * @property {() => void} cancel
 *
 * @typedef {"choose" | "camera" | "use" | "retry" | "cancel"} ButtonName
 * @typedef {{ buttons: ButtonName[], primary?: ButtonName }} Look
 */

/** @type {Look} */
const RESTING = { buttons: ["choose", "camera"], primary: "choose" };
/** @type {Look} */
const BUSY = { buttons: ["cancel"] };
/** @type {Look} */
const WORTH_A_TRY = { buttons: ["retry", "choose", "cancel"], primary: "retry" };
/** @type {Readonly<Record<State, Look>>} */
const LOOKS = {
  idle: RESTING,
  ready: RESTING,
  chosen: { buttons: ["use", "choose", "cancel"], primary: "use" },
  preparing: BUSY,
  sending: BUSY,
  processing: BUSY,
  failed: { buttons: ["choose", "cancel"], primary: "choose" },
  unconfigured: { buttons: [] },
};

export class View {
  #root;
  #look = RESTING;
  #wishCrop;
  #cropper = new Cropper((crop) => this.#wishCrop(crop));
  #frame = new Frame(this.#cropper.surface);
  #status = make("p", { part: "status", class: "status", role: "status", id: "status" });
  #error = make("p", { part: "error", class: "error", role: "alert" });
  #hint = make("p", { part: "hint", class: "hint" });
  #progress = make("progress", { part: "progress", max: "1", "aria-labelledby": "status" });
  #percent = make("div", { class: "percent", "aria-hidden": "true" });
  #bar = make("div", { class: "bar" }, [this.#progress, this.#percent]);
  /** Says each quarter of what is sent: a region that changed with every byte would not stop talking. */
  #quarters = make("p", { class: "unseen", role: "status" });
  #files = make("input", { type: "file", hidden: "" });
  #photos = make("input", { type: "file", hidden: "", capture: "user" });
  /** In the order they are shown in. @type {Record<ButtonName, HTMLButtonElement>} */
  #buttons = {
    use: make("button", { type: "button" }),
    retry: make("button", { type: "button" }),
    choose: make("button", { type: "button" }),
    camera: make("button", { type: "button", class: "camera" }),
    cancel: make("button", { type: "button" }),
  };

  /** What files are dropped on. */
  card = make("div", { part: "card", class: "card", role: "group", tabindex: "-1" }, [
    this.#frame.element,
    make("div", { class: "side" }, [
      this.#status,
      this.#error,
      this.#bar,
      this.#quarters,
      this.#cropper.controls,
      make("div", { part: "actions", class: "actions" }, Object.values(this.#buttons)),
      this.#hint,
    ]),
    this.#files,
    this.#photos,
  ]);

  /**
   * @param {ShadowRoot} root
   * @param {Wishes} wishes
   */
  constructor(root, { choose, crop, ...wishes }) {
    this.#root = root;
    this.#wishCrop = crop;
    root.adoptedStyleSheets = [styles];
    root.append(this.card);
    const actions = { ...wishes, choose: () => this.openDialog(), camera: () => this.#photos.click() };
    for (const name of buttonNames(this.#buttons)) {
      // The second click of a double click would hit the button that has come into the place of the first.
      this.#buttons[name].addEventListener("click", ({ detail }) => detail < 2 && actions[name]());
    }
    for (const input of [this.#files, this.#photos]) {
      input.addEventListener("change", () => {
        const file = input.files?.item(0);
        input.value = ""; // or the same file could not be chosen again
        if (file) choose(file);
      });
    }
  }

  openDialog() {
    this.#files.click();
  }

  /** @param {FocusOptions} [options] */
  focus(options) {
    const { primary } = this.#look;
    const target = primary && !this.#buttons[primary].disabled ? this.#buttons[primary] : this.card;
    target.focus(options);
  }

  /** @param {boolean} over files are held over the card */
  showTarget(over) {
    this.card.classList.toggle("target", over);
  }

  /** @see Frame.load @param {import("./frame.js").Address} address */
  loadAvatar(address) {
    return this.#frame.load(address);
  }

  /** @param {Model} model */
  render(model) {
    const look = model.state === "failed" && model.error?.retry ? WORTH_A_TRY : LOOKS[model.state];
    const moveFocus = look !== this.#look && this.#root.activeElement !== null;
    this.#look = look;
    this.card.setAttribute("aria-label", model.messages.label);
    this.#frame.render(model);
    this.#cropper.render(model);
    this.card.classList.toggle("cropping", this.#cropper.isOffered);
    this.#renderText(model);
    this.#renderProgress(model);
    this.#renderControls(model);
    if (moveFocus) this.focus();
  }

  /** @param {Model} model */
  #renderText(model) {
    setText(this.#status, statusSentence(model));
    this.#status.classList.toggle("good", model.state === "ready");
    setText(this.#error, errorSentence(model));
    setText(this.#hint, model.messages.hint);
    this.#hint.hidden = this.#look !== RESTING || model.disabled;
  }

  /** @param {Model} model */
  #renderProgress({ state, fraction, messages, language }) {
    const sending = state === "sending";
    const quarter = Math.floor(fraction * 4) / 4;
    this.#bar.hidden = this.#look !== BUSY;
    if (sending) this.#progress.value = fraction;
    else this.#progress.removeAttribute("value");
    setText(this.#percent, sending ? percent(fraction, language) : "");
    const said = sending && quarter > 0 && quarter < 1;
    setText(this.#quarters, said ? filled(messages.sent, { percent: percent(quarter, language) }) : "");
  }

  /** @param {Model} model */
  #renderControls({ state, messages, disabled, accept }) {
    const { buttons, primary } = this.#look;
    const resting = this.#frame.hasAvatar || state === "ready" ? messages.change : messages.choose;
    const texts = {
      use: messages.use,
      retry: messages.retry,
      choose: this.#look === RESTING ? resting : messages.chooseAnother,
      camera: messages.takePhoto,
      cancel: messages.cancel,
    };
    for (const name of buttonNames(this.#buttons)) {
      const button = this.#buttons[name];
      setText(button, texts[name]);
      button.hidden = !buttons.includes(name);
      button.disabled = disabled && name !== "cancel";
      button.classList.toggle("primary", name === primary);
      button.part.value = name === primary ? "button primary" : "button";
    }
    this.#files.accept = this.#photos.accept = accept;
  }
}

/** @param {Model} model */
function statusSentence({ state, file, preview, slow, note, messages }) {
  switch (state) {
    case "chosen":
      return preview === null ? filled(messages.chosenUnseen, { name: file?.name ?? "" }) : messages.chosen;
    case "preparing":
    case "sending":
    case "ready":
      return messages[state];
    case "processing":
      return slow ? messages.slow : messages.processing;
    default:
      return note ? messages[note] : "";
  }
}

/** @param {Model} model */
function errorSentence(model) {
  if (model.state === "unconfigured") return model.messages.unconfigured;
  return model.error ? failureSentence(model.error, { ...model, size: model.file?.size }) : "";
}

/** @param {Record<ButtonName, unknown>} buttons */
function buttonNames(buttons) {
  return /** @type {ButtonName[]} */ (Object.keys(buttons));
}
