/** The state machine of the element, from the choice of a photo to the new avatar or none. Independent of the view. */

import { UploadError } from "./errors.js";
import { checkFile } from "./files.js";
import { Photo as DecodedPhoto, decodePhoto } from "./photo.js";
import { Preparation } from "./preparation.js";
import { removeAvatar } from "./remove.js";
import { uploadAvatar } from "./upload.js";

/**
 * @typedef {"idle" | "chosen" | "preparing" | "sending" | "processing" | "ready" | "held" | "failed" | "confirming"
 *   | "removing" | "removed"} State
 *
 * @typedef {object} Photo the chosen photo and its upload
 * @property {File | null} file null with `error`: a removal failed
 * @property {DecodedPhoto | "loading" | null} preview null if the browser cannot decode it
 * @property {import("./crop.js").Crop | null} crop the user's square; null: the server's default
 * @property {number} fraction of the bytes sent
 * @property {boolean} slow
 * @property {UploadError | null} error
 * @property {"cancelled" | "cancelledAfterSending" | null} note about the previous upload
 *
 * @typedef {object} FlowCallbacks
 * @property {() => { apiUrl: string, getToken: import("./api.js").GetToken, original: boolean }} getSettings current
 *   attributes
 * @property {() => void} onChange
 * @property {(manifest: import("./upload.js").Manifest) => void} onReady
 * @property {() => void} onRemoved
 * @property {(type: string, detail: object) => void} emit
 * @property {(error: UploadError) => string} describeError
 */

/** The upload is prepared when the square has not been changed for this time. */
const CROP_REST_MS = 300;
/** @type {Photo} */
const NO_PHOTO = { file: null, preview: null, crop: null, fraction: 0, slow: false, error: null, note: null };
/** @type {ReadonlySet<State>} */
const UPLOADING = new Set(["preparing", "sending", "processing"]);
/** @type {ReadonlySet<State>} */
const RESTING = new Set(["idle", "ready", "held"]);

export class Flow {
  #callbacks;
  /** Aborted when the photo is discarded; results for an aborted choice are ignored. */
  #choice = new AbortController();
  /** Of the chosen photo. @type {Preparation | undefined} */
  #preparation;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #cropTimer;
  /** @type {State} */
  state = "idle";
  photo = NO_PHOTO;

  /** @param {FlowCallbacks} callbacks */
  constructor(callbacks) {
    this.#callbacks = callbacks;
  }

  /** @param {File} file */
  async choose(file) {
    this.#end(null);
    const { signal } = this.#choice;
    const decoding = decodePhoto(file);
    this.#preparation = new Preparation(file, decoding, signal);
    this.#change("chosen", { ...NO_PHOTO, file, preview: "loading" });
    try {
      await checkFile(file);
    } catch (error) {
      if (!signal.aborted && this.state === "chosen") this.#fail(error);
      return;
    }
    if (signal.aborted) return;
    this.#callbacks.emit("avatar-select", { file });
    const preview = await decoding;
    if (signal.aborted) {
      preview?.close();
      return;
    }
    this.#change(this.state, { preview });
    this.prepare();
  }

  /** @param {import("./crop.js").Crop | null} crop */
  crop(crop) {
    if (this.state !== "chosen") return;
    this.#change("chosen", { crop });
    clearTimeout(this.#cropTimer);
    this.#cropTimer = setTimeout(() => this.prepare(), CROP_REST_MS);
  }

  /** Called whenever the user may soon decide to use the chosen photo. */
  prepare() {
    if (this.state !== "chosen") return;
    this.#preparation?.prepare({ ...this.#callbacks.getSettings(), crop: this.photo.crop });
  }

  use() {
    if (this.state === "chosen") this.#upload();
  }

  retry() {
    if (this.state !== "failed" || !this.photo.error?.retry) return;
    if (this.photo.file) this.#upload();
    else this.#remove();
  }

  askToRemove() {
    if (RESTING.has(this.state)) this.#change("confirming", NO_PHOTO);
  }

  confirmRemoval() {
    if (this.state === "confirming") this.#remove();
  }

  cancel() {
    const sent = this.state === "processing" ? "cancelledAfterSending" : "cancelled";
    this.#end(UPLOADING.has(this.state) ? sent : null);
  }

  reset() {
    this.#end(null);
  }

  /** Called when an avatar is shown: its preview is no longer needed, and there is one again after a removal. */
  acceptAvatar() {
    if (this.state === "ready") this.#change("ready", NO_PHOTO);
    if (this.state === "removed") this.#change("idle", NO_PHOTO);
  }

  async #upload() {
    const { file, crop } = this.photo;
    const { signal } = this.#choice;
    if (!file) return;
    this.#progress({ stage: "preparing", fraction: 0, slow: false });
    try {
      const manifest = await uploadAvatar(file, {
        ...this.#callbacks.getSettings(),
        crop,
        preparation: this.#preparation,
        signal,
        onProgress: (progress) => signal.aborted || this.#progress(progress),
      });
      if (!signal.aborted) this.#succeed(manifest);
    } catch (error) {
      if (!signal.aborted) this.#fail(error);
    }
  }

  async #remove() {
    const { signal } = this.#choice;
    this.#change("removing", { error: null });
    try {
      await removeAvatar({ ...this.#callbacks.getSettings(), signal });
    } catch (error) {
      if (!signal.aborted) this.#fail(error);
      return;
    }
    if (signal.aborted) return;
    this.#callbacks.onRemoved();
    this.#change("removed", {});
    this.#callbacks.emit("avatar-removed", {});
  }

  /** @param {import("./upload.js").Progress} progress */
  #progress({ stage, fraction, slow }) {
    const { photo, state } = this;
    if (stage === state && fraction === photo.fraction && slow === photo.slow) return;
    this.#change(stage, { fraction, slow, error: null });
    this.#callbacks.emit("avatar-progress", { stage, fraction, slow });
  }

  /** @param {import("./upload.js").Manifest} manifest */
  #succeed(manifest) {
    this.#change("ready", {});
    this.#callbacks.onReady(manifest);
    this.#callbacks.emit("avatar-ready", manifest);
  }

  /** @param {unknown} thrown */
  #fail(thrown) {
    const error = thrown instanceof UploadError ? thrown : new UploadError("unexpected", { cause: thrown });
    const { code, reason, retry, cause } = error;
    if (code === "held") {
      this.#change("held", NO_PHOTO);
      return this.#callbacks.emit("avatar-held", {});
    }
    const message = this.#callbacks.describeError(error);
    this.#change("failed", { error });
    if (code === "offline" && this.photo.file) {
      window.addEventListener("online", () => this.retry(), { once: true, signal: this.#choice.signal });
    }
    if (code === "rejected") return this.#callbacks.emit("avatar-rejected", { reason, message });
    if (code === "session_expired") this.#callbacks.emit("avatar-session-expired", {});
    this.#callbacks.emit("avatar-error", { code, message, retry, cause });
  }

  /** @param {Photo["note"]} note */
  #end(note) {
    const { state } = this;
    this.#choice.abort();
    this.#choice = new AbortController();
    this.#change("idle", { ...NO_PHOTO, note });
    if (state === "chosen" || UPLOADING.has(state)) {
      this.#callbacks.emit("avatar-cancel", { sent: state === "processing" });
    }
  }

  /**
   * @param {State} state
   * @param {Partial<Photo>} photo
   */
  #change(state, photo) {
    const { preview } = this.photo;
    if (preview instanceof DecodedPhoto && photo.preview === null) preview.close();
    this.state = state;
    this.photo = { ...this.photo, ...photo };
    this.#callbacks.onChange();
  }
}
