/** A photo's way through the element: states, and what leads from one to another. Knows nothing of how they look. */

import { UploadError } from "./failures.js";
import { check } from "./files.js";
import { load } from "./preview.js";
import { uploadAvatar } from "./upload.js";

/**
 * @typedef {"idle" | "chosen" | "preparing" | "sending" | "processing" | "ready" | "failed"} State
 *
 * @typedef {object} Photo what is known of the one that is to become the avatar
 * @property {File | null} file
 * @property {HTMLImageElement | "loading" | null} preview null if it cannot be shown
 * @property {import("./crop.js").Crop | null} crop the square the user has chosen; null: the server takes the centre
 * @property {number} fraction of the bytes sent
 * @property {boolean} slow
 * @property {UploadError | null} error
 * @property {"cancelled" | "cancelledAfterSending" | null} note on the last one
 *
 * @typedef {object} Host
 * @property {() => { apiUrl: string, getToken: import("./api.js").GetToken }} connection as it is now
 * @property {() => void} changed
 * @property {(manifest: import("./upload.js").Manifest) => void} ready
 * @property {(type: string, detail: object) => void} emit
 * @property {(error: UploadError) => string} sentence
 */

/** @type {Photo} */
const NONE = { file: null, preview: null, crop: null, fraction: 0, slow: false, error: null, note: null };
/** @type {ReadonlySet<State>} */
const UPLOADING = new Set(["preparing", "sending", "processing"]);

export class Flow {
  #host;
  /** Lives as long as the choice of one photo. What comes for an earlier one changes nothing. */
  #choice = new AbortController();
  /** @type {State} */
  state = "idle";
  photo = NONE;

  /** @param {Host} host */
  constructor(host) {
    this.#host = host;
  }

  /** @param {File} file */
  async choose(file) {
    this.#end(null);
    const { signal } = this.#choice;
    this.#change("chosen", { ...NONE, file, preview: "loading" });
    try {
      await check(file);
    } catch (error) {
      if (!signal.aborted && this.state === "chosen") this.#fail(error);
      return;
    }
    if (signal.aborted) return;
    this.#host.emit("avatar-select", { file });
    const preview = await load(file);
    if (!signal.aborted) this.#change(this.state, { preview });
  }

  /** @param {import("./crop.js").Crop | null} crop */
  crop(crop) {
    if (this.state === "chosen") this.#change("chosen", { crop });
  }

  use() {
    if (this.state === "chosen") this.#upload();
  }

  retry() {
    if (this.state === "failed" && this.photo.error?.retry) this.#upload();
  }

  cancel() {
    const sent = this.state === "processing" ? "cancelledAfterSending" : "cancelled";
    this.#end(UPLOADING.has(this.state) ? sent : null);
  }

  reset() {
    this.#end(null);
  }

  /** The new avatar is shown: its preview is needed no longer. */
  putAway() {
    if (this.state === "ready") this.#change("ready", NONE);
  }

  async #upload() {
    const { file, crop } = this.photo;
    const { signal } = this.#choice;
    if (!file) return;
    this.#progress({ stage: "preparing", fraction: 0, slow: false });
    try {
      const manifest = await uploadAvatar(file, {
        ...this.#host.connection(),
        crop,
        signal,
        onProgress: (progress) => signal.aborted || this.#progress(progress),
      });
      if (!signal.aborted) this.#succeed(manifest);
    } catch (error) {
      if (!signal.aborted) this.#fail(error);
    }
  }

  /** @param {import("./upload.js").Progress} progress */
  #progress({ stage, fraction, slow }) {
    const { photo, state } = this;
    if (stage === state && fraction === photo.fraction && slow === photo.slow) return;
    this.#change(stage, { fraction, slow, error: null });
    this.#host.emit("avatar-progress", { stage, fraction, slow });
  }

  /** @param {import("./upload.js").Manifest} manifest */
  #succeed(manifest) {
    this.#change("ready", {});
    this.#host.ready(manifest);
    this.#host.emit("avatar-ready", manifest);
  }

  /** @param {unknown} thrown */
  #fail(thrown) {
    const error = thrown instanceof UploadError ? thrown : new UploadError("unexpected", { cause: thrown });
    const { code, reason, retry, cause } = error;
    const message = this.#host.sentence(error);
    this.#change("failed", { error });
    if (code === "offline") {
      window.addEventListener("online", () => this.retry(), { once: true, signal: this.#choice.signal });
    }
    if (code === "rejected") return this.#host.emit("avatar-rejected", { reason, message });
    if (code === "session_expired") this.#host.emit("avatar-session-expired", {});
    this.#host.emit("avatar-error", { code, message, retry, cause });
  }

  /** @param {Photo["note"]} note */
  #end(note) {
    const { state } = this;
    this.#choice.abort();
    this.#choice = new AbortController();
    this.#change("idle", { ...NONE, note });
    if (state === "chosen" || UPLOADING.has(state)) this.#host.emit("avatar-cancel", { sent: state === "processing" });
  }

  /**
   * @param {State} state
   * @param {Partial<Photo>} photo
   */
  #change(state, photo) {
    this.state = state;
    this.photo = { ...this.photo, ...photo };
    this.#host.changed();
  }
}
