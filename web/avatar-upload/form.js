/** Requests the form with which a photo is posted to S3. */

import { UploadError } from "./errors.js";

/**
 * @typedef {{ content_type: string, size?: number, crop?: import("./crop.js").Crop }} FormRequest
 * @typedef {{ upload_id: string, url: string, fields: Record<string, string>, max_bytes: number,
 *   useful_edge: number }} Form
 *   the response of POST /avatars/key_upload
 */

const PATH = "/avatars/key_upload";
const EARLY_TIMEOUT_MS = 5000;

/**
 * Requests a form once, which may be requested again if there is no response.
 * @param {import("./api.js").Api} api
 * @param {FormRequest} request
 * @returns {Promise<Form | null>}
 * @throws {UploadError} of `getToken`
 */
export async function tryToRequestForm(api, request) {
  await api.authorize();
  const response = await api.tryOnce("POST", PATH, EARLY_TIMEOUT_MS, request);
  return response && getForm(response);
}

/**
 * @param {import("./api.js").Api} api
 * @param {FormRequest} request
 * @returns {Promise<Form>}
 * @throws {UploadError}
 */
export async function requestForm(api, request) {
  const response = await api.call("POST", PATH, request);
  const form = getForm(response);
  if (form) return form;
  if (response.status === 413) {
    throw new UploadError("file_too_large", { maxBytes: await requestMaxBytes(api, request.content_type) });
  }
  if (response.status === 415) throw new UploadError("unsupported_type");
  throw new UploadError("unexpected", { cause: response });
}

/**
 * @param {import("./api.js").ApiResponse} response
 * @returns {Form | null} null if it is another response
 */
function getForm({ status, body }) {
  return status === 200 && body?.fields ? body : null;
}

/**
 * The stack's limit. A 413 response does not contain it; a form does, and is issued when the request has no size.
 * @param {import("./api.js").Api} api
 * @param {string} content_type
 * @returns {Promise<number | undefined>} undefined if there is no response
 */
async function requestMaxBytes(api, content_type) {
  try {
    return (await api.call("POST", PATH, { content_type })).body?.max_bytes;
  } catch {
    api.signal.throwIfAborted();
    return undefined;
  }
}
