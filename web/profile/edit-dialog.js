import { ApiError } from "./api.js";
import { getLargestImagePath } from "./avatar-picture.js";
import { runWhileDisabled } from "./disabled-button.js";
import { clearErrorsOnInput, getField, readValues, showErrors } from "./fields.js";
import { findElement } from "./find-element.js";
import { NetworkError } from "./http.js";
import { countCharacters, LIMITS, NAMES, normalize, validate } from "./profile-validation.js";
import { SignedOutError } from "./session.js";
import { retryWhileUnavailable } from "./retry-503.js";

/** States of the widget with a photo that is not uploading. */
const UNSENT = ["chosen", "failed"];
/** States without a request: the widget is reset when the dialog opens again. */
const SETTLED = [...UNSENT, "ready", "held", "confirming", "removed"];

/** @typedef {import("./api.js").Profile} Profile */
/** @typedef {import("./profile-validation.js").Values} Values */
/** @typedef {{subject: string, values: Values}} Draft Unsaved input, and whose. */

/**
 * The dialog in which a user edits their own profile.
 *
 * Events: `saved` with the new profile as `detail`; `avatar` with the new manifest, null after a removal; `abandoned`
 * when a request was aborted or failed, so that its result is unknown; `deleting` before the profile is deleted, and
 * `deleted` with the former one; `closed`.
 */
export class EditDialog extends EventTarget {
  #dialog;
  #form;
  #question;
  #deletion;
  /** `<avatar-upload>`; docs/widget.md documents its members. @type {any} */
  #widget;
  #api;
  /** The last known profile on the server; null before the first opening. @type {Profile | null} */
  #profile = null;
  /** Aborts the current save. @type {AbortController | null} */
  #saving = null;
  #isDeleting = false;

  /**
   * @param {HTMLDialogElement} dialog
   * @param {import("./api.js").ProfileApi} api
   * @param {(options: {refresh?: boolean}) => Promise<string>} getToken For the widget.
   */
  constructor(dialog, api, getToken) {
    super();
    this.#dialog = dialog;
    this.#form = findElement(dialog, "form", HTMLFormElement);
    this.#question = findElement(dialog, "#edit-question", HTMLElement);
    this.#deletion = findElement(dialog, "#delete-question", HTMLElement);
    this.#widget = findElement(dialog, "avatar-upload", HTMLElement);
    this.#widget.getToken = getToken;
    this.#api = api;
    this.#listen();
    this.#closeOnBackdrop();
  }

  /** @param {Profile} profile The user's own. @param {Values} [typed] Unsaved input to restore. */
  open(profile, typed) {
    this.#profile = profile;
    // After a sign-in, an upload that was interrupted can continue.
    if (!typed && SETTLED.includes(this.#widget.state)) this.#widget.reset();
    this.#showQuestion(null);
    this.#showStatus();
    showErrors(this.#form, {});
    this.#fill(NAMES, typed ?? profile);
    this.#showPicture(profile);
    this.#dialog.showModal();
    getField(this.#form, "display_name").focus();
  }

  /** Shows changes on the server, except in fields that were edited. @param {Profile} profile */
  update(profile) {
    const former = this.#profile;
    if (!this.#dialog.open || !former) return;
    const typed = this.#values;
    const changed = NAMES.filter((name) => profile[name] !== former[name]);
    const untouched = changed.filter((name) => typed[name] === former[name]);
    if (untouched.length < changed.length) {
      this.#showStatus({ failure: "This was changed elsewhere meanwhile. Saving replaces that." });
    }
    this.#profile = profile;
    this.#fill(untouched, profile);
    this.#showPicture(profile);
  }

  /** Closes at once when the session ends. @returns {Draft | null} The unsaved input; null if the dialog is closed. */
  interrupt() {
    if (!this.#dialog.open || !this.#profile) return null;
    const draft = { subject: this.#profile.subject, values: this.#values };
    this.#setDeleting(false);
    this.#saving?.abort();
    this.#dialog.close();
    return draft;
  }

  #listen() {
    clearErrorsOnInput(this.#form);
    this.#form.addEventListener("input", () => this.#updateCounters());
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#save();
    });
    this.#onClick("#edit-cancel", () => this.#requestClose());
    this.#onClick("#edit-discard", () => this.#dialog.close());
    this.#onClick("#edit-keep", () => {
      this.#showQuestion(null);
      getField(this.#form, "display_name").focus();
    });
    this.#onClick("#edit-delete", () => this.#showQuestion(this.#deletion));
    this.#onClick("#delete-keep", () => this.#keepProfile());
    this.#onClick("#delete-confirm", () => void this.#delete());
    this.#widget.addEventListener("avatar-ready", (/** @type {CustomEvent} */ { detail }) =>
      this.#emit("avatar", detail),
    );
    this.#widget.addEventListener("avatar-removed", () => this.#emit("avatar", null));
    this.#dialog.addEventListener("cancel", (event) => {
      // The widget's file input fires an event of that name too.
      if (event.target !== this.#dialog) return;
      event.preventDefault();
      this.#requestClose();
    });
    this.#dialog.addEventListener("close", () => this.#afterClose());
  }

  /** @param {string} selector @param {() => void} listener */
  #onClick(selector, listener) {
    findElement(this.#dialog, selector, HTMLButtonElement).addEventListener("click", listener);
  }

  /** Closes on a click on the backdrop, not on a drag that ends there. */
  #closeOnBackdrop() {
    let pressed = false;
    this.#dialog.addEventListener("pointerdown", ({ target }) => (pressed = target === this.#dialog));
    this.#dialog.addEventListener("click", ({ target }) => {
      if (pressed && target === this.#dialog) this.#requestClose();
    });
  }

  /** The normalized input. @returns {Values} */
  get #values() {
    return normalize(/** @type {any} */ (readValues(this.#form)));
  }

  get #isEdited() {
    const typed = this.#values;
    return NAMES.some((name) => typed[name] !== this.#profile?.[name]) || UNSENT.includes(this.#widget.state);
  }

  /** Asks once before unsaved changes are lost. Goes back from the question whether to delete the profile. */
  #requestClose() {
    if (this.#isDeleting) return;
    if (!this.#deletion.hidden) this.#keepProfile();
    else if (this.#isEdited && !this.#saving && this.#question.hidden) this.#showQuestion(this.#question);
    else this.#dialog.close();
  }

  /** Also called after a second Escape, on which browsers close a dialog without asking. */
  #afterClose() {
    if (this.#isDeleting) return this.#dialog.showModal();
    if (this.#saving) {
      this.#saving.abort();
      this.#emit("abandoned");
    }
    this.#emit("closed");
  }

  /** Shows a question in place of the buttons. Its first button does nothing. @param {HTMLElement | null} question */
  #showQuestion(question) {
    for (const each of [this.#question, this.#deletion]) each.hidden = each !== question;
    findElement(this.#form, "#edit-buttons", HTMLElement).hidden = question !== null;
    if (question) findElement(question, "button", HTMLButtonElement).focus();
  }

  #keepProfile() {
    this.#showQuestion(null);
    findElement(this.#form, "#edit-delete", HTMLButtonElement).focus();
  }

  async #delete() {
    const profile = this.#profile;
    if (!profile) return;
    this.#setDeleting(true);
    this.#emit("deleting");
    this.#showStatus({ progress: "Deleting…" });
    try {
      await this.#sendDeletion();
      this.#setDeleting(false);
      this.#dialog.close();
      this.#emit("deleted", profile);
    } catch (error) {
      this.#setDeleting(false);
      // The end of the session closes the dialog.
      if (error instanceof SignedOutError) return;
      this.#showQuestion(null);
      this.#showStatus({ failure: describeDeletionError(error) });
      findElement(this.#form, "#edit-delete", HTMLButtonElement).focus();
      this.#emit("abandoned");
    }
  }

  /** Nothing else can be done while the profile is deleted: saving or loading it would create a new one. */
  #setDeleting(/** @type {boolean} */ deleting) {
    this.#isDeleting = deleting;
    findElement(this.#form, ".scroll", HTMLElement).inert = deleting;
    for (const button of this.#deletion.querySelectorAll("button")) button.disabled = deleting;
    if (deleting) findElement(this.#form, "#edit-title", HTMLElement).focus();
  }

  #sendDeletion() {
    return retryWhileUnavailable(
      () => this.#api.deleteProfile(),
      new AbortController().signal,
      (waiting) => waiting && this.#showStatus({ progress: "The database is waking up. Deleting goes on by itself…" }),
    );
  }

  async #save() {
    if (!this.#profile) return;
    const typed = this.#values;
    const wrong = validate(typed);
    this.#showStatus();
    showErrors(this.#form, wrong);
    if (Object.keys(wrong).length > 0) return;
    const changes = getChanges(this.#profile, typed);
    await runWhileDisabled(findElement(this.#form, "#edit-save", HTMLButtonElement), () => this.#send(changes));
  }

  /** @param {import("./api.js").Changes} changes */
  async #send(changes) {
    const { signal } = (this.#saving = new AbortController());
    this.#showStatus({ progress: "Saving…" });
    try {
      const saved = await retryWhileUnavailable(
        () => this.#api.putProfile(changes, signal),
        signal,
        (waiting) => waiting && this.#showStatus({ progress: "The database is waking up. Saving goes on by itself…" }),
      );
      this.#saving = null;
      this.#dialog.close();
      this.#emit("saved", saved);
    } catch (error) {
      if (!signal.aborted) this.#showSaveError(error);
    } finally {
      this.#saving = null;
    }
  }

  /** @param {unknown} error */
  #showSaveError(error) {
    // The end of the session closes the dialog.
    if (error instanceof SignedOutError) return;
    const fields = error instanceof ApiError ? error.fields : {};
    const unplaced = showErrors(this.#form, fields);
    const isAllAtFields = Object.keys(fields).length > 0 && unplaced.length === 0;
    this.#showStatus({ failure: isAllAtFields ? "" : [describeError(error), ...unplaced].join(" ") });
  }

  #showStatus({ failure = "", progress = "" } = {}) {
    const shown = findElement(this.#form, ".failure", HTMLElement);
    shown.textContent = failure;
    if (failure) shown.scrollIntoView({ block: "nearest" });
    findElement(this.#form, ".progress", HTMLElement).textContent = progress;
  }

  /** @param {(keyof Values)[]} names @param {Values} values */
  #fill(names, values) {
    for (const name of names) getField(this.#form, name).value = values[name];
    this.#updateCounters();
  }

  #updateCounters() {
    for (const name of /** @type {const} */ (["display_name", "bio"])) {
      const field = getField(this.#form, name);
      const counter = findElement(this.#form, `#${field.id}-counter`, HTMLElement);
      const left = LIMITS[name] - countCharacters(field.value);
      counter.textContent = left < 0 ? `${-left} too many` : `${LIMITS[name] - left} of ${LIMITS[name]}`;
      counter.classList.toggle("over", left < 0);
    }
  }

  /** @param {Profile} profile */
  #showPicture({ avatar }) {
    if (!avatar) return this.#widget.removeAttribute("src");
    const path = getLargestImagePath(avatar);
    if (this.#widget.getAttribute("src") !== path) this.#widget.setAttribute("src", path);
  }

  /** @param {string} name @param {unknown} [detail] */
  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

/**
 * The request body. The handle is sent only when the user has changed it: it may have changed elsewhere.
 *
 * @param {Profile} profile
 * @param {Values} typed
 * @returns {import("./api.js").Changes}
 */
function getChanges(profile, { display_name, bio, handle }) {
  return handle === profile.handle ? { display_name, bio } : { display_name, bio, handle };
}

/** @param {unknown} error */
function describeError(error) {
  if (error instanceof NetworkError)
    return "Not saved: there is no connection. What you typed is still here; try again.";
  if (error instanceof ApiError && error.status === 503) {
    return "Not saved: the database did not wake up. What you typed is still here; try again.";
  }
  const message = error instanceof ApiError ? error.message : "";
  return `Not saved. ${message || "Something went wrong on the server."} What you typed is still here.`;
}

/** @param {unknown} error */
function describeDeletionError(error) {
  if (error instanceof NetworkError) return "Not deleted: there is no connection. Try again.";
  // As docs/api.md says: the picture is deleted first.
  if (error instanceof ApiError && error.status === 503) {
    return "Your picture is deleted, but not your profile: the database did not wake up. Try again.";
  }
  return "Not deleted: something went wrong on the server. Try again.";
}
