import { ApiError } from "./api.js";
import { largestPicture } from "./avatar-picture.js";
import { whileDisabled } from "./busy.js";
import { fieldNamed, forgetFaultsOnInput, showFaults, textsOf } from "./fields.js";
import { find } from "./find.js";
import { NetworkError } from "./http.js";
import { faults, lengthOf, LIMITS, NAMES, normalised } from "./profile-rules.js";
import { SignedOutError } from "./session.js";
import { untilAwake } from "./waking.js";

/** States of the widget in which a photo was chosen and is not on its way. */
const UNSENT = ["chosen", "failed"];
/** States with nothing under way, of which the next opening need not know. */
const SETTLED = [...UNSENT, "ready"];

/** @typedef {import("./api.js").Profile} Profile */
/** @typedef {import("./profile-rules.js").Values} Values */
/** @typedef {{subject: string, values: Values}} Draft What was typed, and by whom. */

/**
 * The form in which somebody edits their own profile.
 *
 * Events: `saved` with the new profile as `detail`; `avatar` with the new manifest; `abandoned` when a save was
 * cancelled under way, so that nobody knows its end; `closed`.
 */
export class EditDialog extends EventTarget {
  #dialog;
  #form;
  #question;
  /** `<avatar-upload>`; docs/widget.md has its members. @type {any} */
  #widget;
  #api;
  /** What the server has, as far as is known; null before the first opening. @type {Profile | null} */
  #profile = null;
  /** Ends the save that is under way. @type {AbortController | null} */
  #saving = null;

  /**
   * @param {HTMLDialogElement} dialog
   * @param {import("./api.js").ProfileApi} api
   * @param {(options: {refresh?: boolean}) => Promise<string>} getToken For the widget.
   */
  constructor(dialog, api, getToken) {
    super();
    this.#dialog = dialog;
    this.#form = find(dialog, "form", HTMLFormElement);
    this.#question = find(dialog, "#edit-question", HTMLElement);
    this.#widget = find(dialog, "avatar-upload", HTMLElement);
    this.#widget.getToken = getToken;
    this.#api = api;
    this.#listen();
    this.#closeOnBackdrop();
  }

  /** @param {Profile} profile The caller's own. @param {Values} [typed] To go on with. */
  open(profile, typed) {
    this.#profile = profile;
    // Somebody who was signed out amid an upload can go on with it.
    if (!typed && SETTLED.includes(this.#widget.state)) this.#widget.reset();
    this.#ask(false);
    this.#tell();
    showFaults(this.#form, {});
    this.#fill(NAMES, typed ?? profile);
    this.#showPicture(profile);
    this.#dialog.showModal();
    fieldNamed(this.#form, "display_name").focus();
  }

  /** Takes over what has changed on the server, but for what is being typed. @param {Profile} profile */
  update(profile) {
    const former = this.#profile;
    if (!this.#dialog.open || !former) return;
    const typed = this.#typed;
    const changed = NAMES.filter((name) => profile[name] !== former[name]);
    const untouched = changed.filter((name) => typed[name] === former[name]);
    if (untouched.length < changed.length) {
      this.#tell({ failure: "This was changed elsewhere meanwhile. Saving replaces that." });
    }
    this.#profile = profile;
    this.#fill(untouched, profile);
    this.#showPicture(profile);
  }

  /** Closes at once, for a session that has ended. @returns {Draft | null} What was typed; null if it is not open. */
  interrupt() {
    if (!this.#dialog.open || !this.#profile) return null;
    const draft = { subject: this.#profile.subject, values: this.#typed };
    this.#saving?.abort();
    this.#dialog.close();
    return draft;
  }

  #listen() {
    forgetFaultsOnInput(this.#form);
    this.#form.addEventListener("input", () => this.#count());
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#save();
    });
    this.#onClick("#edit-cancel", () => this.#requestClose());
    this.#onClick("#edit-discard", () => this.#dialog.close());
    this.#onClick("#edit-keep", () => {
      this.#ask(false);
      fieldNamed(this.#form, "display_name").focus();
    });
    this.#widget.addEventListener("avatar-ready", (/** @type {CustomEvent} */ { detail }) =>
      this.#emit("avatar", detail),
    );
    this.#dialog.addEventListener("cancel", (event) => {
      // The widget's file chooser has an event of that name too.
      if (event.target !== this.#dialog) return;
      event.preventDefault();
      this.#requestClose();
    });
    this.#dialog.addEventListener("close", () => this.#afterClose());
  }

  /** @param {string} selector @param {() => void} listener */
  #onClick(selector, listener) {
    find(this.#dialog, selector, HTMLButtonElement).addEventListener("click", listener);
  }

  /** Pressed and released there: who drags a selection out of a field does not want to close. */
  #closeOnBackdrop() {
    let pressed = false;
    this.#dialog.addEventListener("pointerdown", ({ target }) => (pressed = target === this.#dialog));
    this.#dialog.addEventListener("click", ({ target }) => {
      if (pressed && target === this.#dialog) this.#requestClose();
    });
  }

  /** As it would be kept. @returns {Values} */
  get #typed() {
    return normalised(/** @type {any} */ (textsOf(this.#form)));
  }

  get #isEdited() {
    const typed = this.#typed;
    return NAMES.some((name) => typed[name] !== this.#profile?.[name]) || UNSENT.includes(this.#widget.state);
  }

  /** Asks once whether to lose what was typed. */
  #requestClose() {
    if (this.#isEdited && !this.#saving && this.#question.hidden) this.#ask(true);
    else this.#dialog.close();
  }

  /** Also after a second Escape, on which browsers close whatever the page wants. */
  #afterClose() {
    if (this.#saving) {
      this.#saving.abort();
      this.#emit("abandoned");
    }
    this.#emit("closed");
  }

  /** @param {boolean} asking */
  #ask(asking) {
    this.#question.hidden = !asking;
    find(this.#form, "#edit-buttons", HTMLElement).hidden = asking;
    if (asking) find(this.#form, "#edit-keep", HTMLButtonElement).focus();
  }

  async #save() {
    if (!this.#profile) return;
    const typed = this.#typed;
    const wrong = faults(typed);
    this.#tell();
    showFaults(this.#form, wrong);
    if (Object.keys(wrong).length > 0) return;
    const changes = changesTo(this.#profile, typed);
    await whileDisabled(find(this.#form, "#edit-save", HTMLButtonElement), () => this.#send(changes));
  }

  /** @param {import("./api.js").Changes} changes */
  async #send(changes) {
    const { signal } = (this.#saving = new AbortController());
    this.#tell({ progress: "Saving…" });
    try {
      const saved = await untilAwake(
        () => this.#api.save(changes, signal),
        signal,
        (waiting) => waiting && this.#tell({ progress: "The database is waking up. Saving goes on by itself…" }),
      );
      this.#saving = null;
      this.#dialog.close();
      this.#emit("saved", saved);
    } catch (error) {
      if (!signal.aborted) this.#explain(error);
    } finally {
      this.#saving = null;
    }
  }

  /** @param {unknown} error */
  #explain(error) {
    // The session's end closes the dialog.
    if (error instanceof SignedOutError) return;
    const fields = error instanceof ApiError ? error.fields : {};
    const homeless = showFaults(this.#form, fields);
    const isAllAtFields = Object.keys(fields).length > 0 && homeless.length === 0;
    this.#tell({ failure: isAllAtFields ? "" : [sentenceOf(error), ...homeless].join(" ") });
  }

  #tell({ failure = "", progress = "" } = {}) {
    find(this.#form, ".failure", HTMLElement).textContent = failure;
    find(this.#form, ".progress", HTMLElement).textContent = progress;
  }

  /** @param {(keyof Values)[]} names @param {Values} values */
  #fill(names, values) {
    for (const name of names) fieldNamed(this.#form, name).value = values[name];
    this.#count();
  }

  #count() {
    for (const name of /** @type {const} */ (["display_name", "bio"])) {
      const field = fieldNamed(this.#form, name);
      const counter = find(this.#form, `#${field.id}-counter`, HTMLElement);
      const left = LIMITS[name] - lengthOf(field.value);
      counter.textContent = left < 0 ? `${-left} too many` : `${LIMITS[name] - left} of ${LIMITS[name]}`;
      counter.classList.toggle("over", left < 0);
    }
  }

  /** @param {Profile} profile */
  #showPicture({ avatar }) {
    const url = largestPicture(avatar);
    if (this.#widget.getAttribute("src") !== url) this.#widget.setAttribute("src", url);
  }

  /** @param {string} name @param {unknown} [detail] */
  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

/**
 * The handle is sent only when it is another: it may have changed elsewhere.
 *
 * @param {Profile} profile
 * @param {Values} typed
 * @returns {import("./api.js").Changes}
 */
function changesTo(profile, { display_name, bio, handle }) {
  return handle === profile.handle ? { display_name, bio } : { display_name, bio, handle };
}

/** @param {unknown} error */
function sentenceOf(error) {
  if (error instanceof NetworkError)
    return "Not saved: there is no connection. What you typed is still here; try again.";
  if (error instanceof ApiError && error.status === 503) {
    return "Not saved: the database did not wake up. What you typed is still here; try again.";
  }
  const message = error instanceof ApiError ? error.message : "";
  return `Not saved. ${message || "Something went wrong on the server."} What you typed is still here.`;
}
