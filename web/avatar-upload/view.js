/** Renders the element's state and reports what the user does. Independent of uploads. */

import { AvatarPreview } from "./avatar-preview.js";
import { createElement, setText } from "./create-element.js";
import { Cropper } from "./cropper.js";
import { failureSentence, fillIn, formatPercent } from "./messages.js";
import { getStyles } from "./styles.js";

/**
 * @typedef {import("./flow.js").State | "unconfigured"} State
 *
 * @typedef {object} Settings
 * @property {State} state
 * @property {boolean} disabled
 * @property {boolean} noRemove
 * @property {string} accept
 * @property {string} alt
 * @property {import("./messages.js").Messages} messages
 * @property {string | undefined} language
 * @property {boolean} removal the error is that of a removal
 * @typedef {import("./flow.js").Photo & Settings} Model
 *
 * @typedef {object} ViewCallbacks
 * @property {(file: File) => void} choose
 * @property {(crop: import("./crop.js").Crop | null) => void} crop
 * @property {() => void} prepare called when the pointer reaches `use`
 * @property {() => void} use
 * @property {() => void} retry
 * @property {() => void} cancel
 * @property {() => void} remove
 * @property {() => void} confirmRemoval
 *
 * @typedef {"choose" | "camera" | "use" | "retry" | "cancel" | "remove" | "confirmRemoval" | "keep"} ButtonName
 * @typedef {{ buttons: ButtonName[], primary?: ButtonName, focused?: ButtonName }} StateLayout
 *   `focused` gets the focus; default: `primary`, else the card
 */

/** @type {StateLayout} */
const RESTING = { buttons: ["choose", "camera", "remove"], primary: "choose" };
/** @type {StateLayout} */
const BUSY = { buttons: ["cancel"] };
/** @type {StateLayout} */
const RETRYABLE = { buttons: ["retry", "choose", "cancel"], primary: "retry" };
/** @type {StateLayout} */
const CONFIRMING = { buttons: ["confirmRemoval", "keep"], focused: "keep" };
/** @type {StateLayout} */
const REMOVING = { buttons: ["confirmRemoval", "keep"] };
/** @type {StateLayout} */
const REMOVAL_RETRYABLE = { buttons: ["retry", "cancel"], primary: "retry" };
/** @type {StateLayout} */
const REMOVAL_FAILED = { buttons: ["cancel"], focused: "cancel" };
/** @type {Readonly<Record<State, StateLayout>>} */
const LAYOUTS = {
  idle: RESTING,
  ready: RESTING,
  held: RESTING,
  chosen: { buttons: ["use", "choose", "cancel"], primary: "use" },
  preparing: BUSY,
  sending: BUSY,
  processing: BUSY,
  failed: { buttons: ["choose", "cancel"], primary: "choose" },
  confirming: CONFIRMING,
  removing: REMOVING,
  removed: RESTING,
  unconfigured: { buttons: [] },
};

export class View {
  #root;
  #layout = RESTING;
  #onCrop;
  #cropper = new Cropper((crop) => this.#onCrop(crop));
  #preview = new AvatarPreview(this.#cropper.surface);
  #status = createElement("p", { part: "status", class: "status", role: "status", id: "status" });
  #error = createElement("p", { part: "error", class: "error", role: "alert" });
  #hint = createElement("p", { part: "hint", class: "hint" });
  #progress = createElement("progress", { part: "progress", max: "1", "aria-labelledby": "status" });
  #percent = createElement("div", { class: "percent", "aria-hidden": "true" });
  #bar = createElement("div", { class: "bar" }, [this.#progress, this.#percent]);
  /** Announces each quarter of the progress, not each change. */
  #quarters = createElement("p", { class: "unseen", role: "status" });
  #files = createElement("input", { type: "file", hidden: "" });
  #photos = createElement("input", { type: "file", hidden: "", capture: "user" });
  /** @type {Record<ButtonName, HTMLButtonElement>} */
  #buttons = {
    use: createElement("button", { type: "button", part: "button" }),
    retry: createElement("button", { type: "button", part: "button" }),
    choose: createElement("button", { type: "button", part: "button" }),
    camera: createElement("button", { type: "button", part: "button", class: "camera" }),
    remove: createElement("button", { type: "button", part: "button remove", class: "quiet" }),
    cancel: createElement("button", { type: "button", part: "button" }),
    confirmRemoval: createElement("button", { type: "button", part: "button danger", class: "danger" }),
    keep: createElement("button", { type: "button", part: "button" }),
  };
  #actions = this.#createActions("use", "retry", "choose", "camera", "remove", "cancel");
  #question = createElement("p", { id: "question" });
  #confirmation = createElement(
    "div",
    { part: "confirmation", class: "confirmation", role: "group", "aria-labelledby": "question" },
    [this.#question, this.#createActions("confirmRemoval", "keep")],
  );

  /** The drop target. */
  card = createElement("div", { part: "card", class: "card", role: "group", tabindex: "-1" }, [
    this.#preview.element,
    createElement("div", { class: "side" }, [
      this.#status,
      this.#error,
      this.#bar,
      this.#quarters,
      this.#cropper.controls,
      this.#confirmation,
      this.#actions,
      this.#hint,
    ]),
    this.#files,
    this.#photos,
  ]);

  /**
   * @param {ShadowRoot} root
   * @param {ViewCallbacks} callbacks
   */
  constructor(root, { choose, crop, prepare, ...callbacks }) {
    this.#root = root;
    this.#onCrop = crop;
    root.adoptedStyleSheets = [getStyles()];
    root.append(this.card);
    const { cancel } = callbacks;
    const actions = { ...callbacks, keep: cancel, choose: () => this.openDialog(), camera: () => this.#photos.click() };
    for (const name of getButtonNames(this.#buttons)) {
      // The second click of a double click could hit a button that has appeared in the same place.
      this.#buttons[name].addEventListener("click", ({ detail }) => detail < 2 && actions[name]());
    }
    this.#buttons.use.addEventListener("pointerenter", prepare);
    this.card.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || this.#layout !== CONFIRMING) return;
      event.preventDefault(); // otherwise a dialog around the element would close
      event.stopPropagation();
      cancel();
    });
    for (const input of [this.#files, this.#photos]) {
      input.addEventListener("change", () => {
        const file = input.files?.item(0);
        input.value = ""; // otherwise choosing the same file again fires no event
        if (file) choose(file);
      });
    }
  }

  /** @param {ButtonName[]} names in display order */
  #createActions(...names) {
    const buttons = names.map((name) => this.#buttons[name]);
    return createElement("div", { part: "actions", class: "actions" }, buttons);
  }

  openDialog() {
    this.#files.click();
  }

  /** @param {FocusOptions} [options] */
  focus(options) {
    this.#focusButton(this.#layout.focused ?? this.#layout.primary, options);
  }

  /**
   * Focuses the card if the button cannot have the focus.
   * @param {ButtonName | undefined} name
   * @param {FocusOptions} [options]
   */
  #focusButton(name, options) {
    const button = name && this.#buttons[name];
    const target = button && !button.hidden && !button.disabled ? button : this.card;
    target.focus(options);
  }

  /** @param {boolean} over whether files are dragged over the card */
  showDropTarget(over) {
    this.card.classList.toggle("target", over);
  }

  /** @see AvatarPreview.load @param {import("./avatar-preview.js").ImageSource} source */
  loadAvatar(source) {
    return this.#preview.load(source);
  }

  /** @param {Model} model */
  render(model) {
    const former = this.#layout;
    const focused = /** @type {HTMLElement | null} */ (this.#root.activeElement);
    this.#layout = chooseLayout(model);
    this.card.setAttribute("aria-label", model.messages.label);
    this.#preview.render(model);
    this.#cropper.render(model);
    this.card.classList.toggle("cropping", this.#cropper.isOffered);
    this.#renderText(model);
    this.#renderProgress(model);
    this.#renderControls(model);
    if (!focused || (this.#layout === former && !focused.hidden)) return;
    const isKept = former === CONFIRMING && this.#layout === RESTING;
    if (isKept) this.#focusButton("remove");
    else this.focus();
  }

  /** @param {Model} model */
  #renderText(model) {
    setText(this.#status, getStatusText(model));
    this.#status.classList.toggle("good", model.state === "ready" || model.state === "removed");
    setText(this.#error, getErrorText(model));
    setText(this.#hint, model.messages.hint);
    this.#hint.hidden = this.#layout !== RESTING || model.disabled;
  }

  /** @param {Model} model */
  #renderProgress({ state, fraction, messages, language }) {
    const sending = state === "sending";
    const quarter = Math.floor(fraction * 4) / 4;
    this.#bar.hidden = this.#layout !== BUSY && this.#layout !== REMOVING;
    const isKnown = sending && fraction > 0;
    if (isKnown) this.#progress.value = fraction;
    else this.#progress.removeAttribute("value");
    setText(this.#percent, isKnown ? formatPercent(fraction, language) : "");
    const said = sending && quarter > 0 && quarter < 1;
    setText(this.#quarters, said ? fillIn(messages.sent, { percent: formatPercent(quarter, language) }) : "");
  }

  /** @param {Model} model */
  #renderControls({ state, file, messages, disabled, noRemove, accept }) {
    const { primary } = this.#layout;
    const { hasAvatar } = this.#preview;
    const resting = hasAvatar || state === "ready" ? messages.change : messages.choose;
    const canRemove = hasAvatar && file === null && !noRemove;
    const buttons = this.#layout.buttons.filter((name) => name !== "remove" || canRemove);
    const asks = buttons.includes("keep");
    setText(this.#question, messages.removalQuestion);
    this.#question.hidden = this.#layout === REMOVING; // still the name of the group
    this.#confirmation.hidden = !asks;
    this.#actions.hidden = asks;
    const texts = {
      use: messages.use,
      retry: messages.retry,
      choose: this.#layout === RESTING ? resting : messages.chooseAnother,
      camera: messages.takePhoto,
      cancel: messages.cancel,
      remove: messages.remove,
      confirmRemoval: messages.confirmRemoval,
      keep: messages.keep,
    };
    for (const name of getButtonNames(this.#buttons)) {
      const button = this.#buttons[name];
      setText(button, texts[name]);
      button.hidden = !buttons.includes(name);
      button.disabled = this.#layout === REMOVING || (disabled && name !== "cancel" && name !== "keep");
      button.classList.toggle("primary", name === primary);
      button.part.toggle("primary", name === primary);
    }
    this.#files.accept = this.#photos.accept = accept;
  }
}

/** @param {Model} model */
function chooseLayout({ state, error, removal }) {
  if (state !== "failed") return LAYOUTS[state];
  if (removal) return error?.retry ? REMOVAL_RETRYABLE : REMOVAL_FAILED;
  return error?.retry ? RETRYABLE : LAYOUTS.failed;
}

/** @param {Model} model */
function getStatusText({ state, file, preview, slow, note, messages }) {
  switch (state) {
    case "chosen":
      return preview === null ? fillIn(messages.chosenUnseen, { name: file?.name ?? "" }) : messages.chosen;
    case "preparing":
    case "sending":
    case "ready":
    case "held":
    case "removing":
    case "removed":
      return messages[state];
    case "processing":
      return slow ? messages.slow : messages.processing;
    default:
      return note ? messages[note] : "";
  }
}

/** @param {Model} model */
function getErrorText(model) {
  if (model.state === "unconfigured") return model.messages.unconfigured;
  return model.error ? failureSentence(model.error, { ...model, size: model.file?.size }) : "";
}

/** @param {Record<ButtonName, unknown>} buttons */
function getButtonNames(buttons) {
  return /** @type {ButtonName[]} */ (Object.keys(buttons));
}
