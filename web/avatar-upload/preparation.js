/** What can be done for an upload while the user chooses the square, so that nobody has to wait for it afterwards. */

import { rejectOnAbort } from "./abortable.js";
import { Api } from "./api.js";
import { getContentType } from "./files.js";
import { tryToRequestForm } from "./form.js";
import { preconnect } from "./preconnect.js";
import { shrinkPhoto } from "./shrink.js";

/** Of the five minutes until a form expires. The rest is for sending the photo. */
const FORM_LIFETIME_MS = 240_000;

/**
 * @typedef {import("./crop.js").Crop} Crop
 * @typedef {import("./form.js").Form} Form
 * @typedef {import("./form.js").FormRequest} FormRequest
 * @typedef {import("./photo.js").Photo} Photo
 *
 * @typedef {object} Content what is sent
 * @property {FormRequest} request
 * @property {boolean} isShrunk
 * @property {(edge: number) => Promise<Blob>} encode for the edge in pixels that is useful to the stack
 *
 * @typedef {object} EarlyForm
 * @property {string} key of API and request
 * @property {Api} api
 * @property {number} requestedAt
 * @property {Promise<Form | null>} response null if there is none
 */

export class Preparation {
  #file;
  #photo;
  #signal;
  /** @type {{ crop: Crop | null | undefined, original: boolean, content: Content } | null} */
  #latest = null;
  /** @type {EarlyForm | null} */
  #form = null;

  /**
   * @param {File} file
   * @param {Promise<Photo | null>} photo of `decodePhoto`
   * @param {AbortSignal} signal
   */
  constructor(file, photo, signal) {
    this.#file = file;
    this.#photo = photo;
    this.#signal = signal;
  }

  /**
   * Encodes the square, requests a form unless there is one, and connects to S3. Not if the file is sent as it is: the
   * form contains the square then. Errors are not reported, and tokens not refreshed: the page may ask the user to sign in
   * again. The upload does both.
   * @param {{ apiUrl: string, getToken: import("./api.js").GetToken, crop: Crop | null, original: boolean }} options
   */
  async prepare({ apiUrl, getToken, crop, original }) {
    try {
      const content = await this.getContent(crop, original);
      if (!content.isShrunk) return;
      const form = await this.#requestForm(new Api(apiUrl, getToken, this.#signal), content.request);
      if (!form) return;
      preconnect(form.url, "anonymous");
      await content.encode(form.useful_edge);
    } catch {
      // until the user decides, there is nobody to tell
    }
  }

  /**
   * @param {Crop | null | undefined} crop
   * @param {boolean} original
   * @returns {Promise<Content>} of the square, or of the file if it is sent as it is
   */
  async getContent(crop, original) {
    const photo = original ? null : await rejectOnAbort(this.#photo, this.#signal);
    if (this.#latest?.crop !== crop || this.#latest?.original !== original) {
      this.#latest = { crop, original, content: this.#createContent(photo, crop) };
    }
    return this.#latest.content;
  }

  /**
   * Takes the form that was requested early, so that it is used once. Not one that was requested with another token: the
   * user may be another one.
   * @param {Api} api
   * @param {FormRequest} request
   * @returns {Promise<Form | null>} null if there is none for this request, or not for long enough
   */
  async takeForm(api, request) {
    const early = this.#form;
    this.#form = null;
    const token = await api.authorize();
    if (!early || early.key !== getKey(api, request) || isOld(early)) return null;
    const form = await early.response;
    return early.api.token === token ? form : null;
  }

  /**
   * @param {Photo | null} photo
   * @param {Crop | null | undefined} crop
   * @returns {Content}
   */
  #createContent(photo, crop) {
    const file = this.#file;
    const shrunk = photo && shrinkPhoto(photo, crop);
    if (shrunk) return { request: { content_type: shrunk.type }, isShrunk: true, encode: shrunk.encode };
    const request = { content_type: getContentType(file), size: file.size, ...(crop && { crop }) };
    return { request, isShrunk: false, encode: async () => file };
  }

  /**
   * Not again after an error.
   * @param {Api} api
   * @param {FormRequest} request
   */
  #requestForm(api, request) {
    const key = getKey(api, request);
    if (this.#form?.key !== key || isOld(this.#form)) {
      const response = tryToRequestForm(api, request).catch(() => null);
      this.#form = { key, api, requestedAt: Date.now(), response };
    }
    return this.#form.response;
  }
}

/**
 * @param {Api} api
 * @param {FormRequest} request
 */
function getKey({ url }, request) {
  return JSON.stringify([url, request]);
}

/** @param {EarlyForm} early */
function isOld({ requestedAt }) {
  return Date.now() - requestedAt > FORM_LIFETIME_MS;
}
