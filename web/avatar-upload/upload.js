/** The upload protocol of docs/api.md, without a user interface. */

import { rejectOnAbort, sleep } from "./abortable.js";
import { Api } from "./api.js";
import { UploadError } from "./errors.js";
import { checkFile } from "./files.js";
import { requestForm } from "./form.js";
import { decodePhoto } from "./photo.js";
import { post } from "./post.js";
import { preconnect } from "./preconnect.js";
import { Preparation } from "./preparation.js";

/** Without a result by then, the status is polled: the queue has processed the photo. */
const FINISH_TIMEOUT_MS = 5000;
/**
 * Pauses before the first request for the status and after it, in milliseconds.
 * @typedef {{ first: number, second: number }} Pauses
 */
/** Delivery from S3 through the queue takes about a second; earlier requests would find the upload pending. */
const QUEUED = { first: 1500, second: 1000 };
/** After the response 202 to `finish`: most often, the event arrived first and the photo is being processed. */
const BEGUN = { first: 300, second: 300 };
const PAUSE_GROWTH = 1.5;
const LONGEST_PAUSE_MS = 2000;

/** From then on the user is told that it takes long, and polling slows down. */
const SLOW_AFTER_MS = 60_000;
const SLOW_PAUSE_MS = 10_000;
const GIVE_UP_AFTER_MS = 600_000;

const RESULTS = new Set(["ready", "rejected", "held"]);
const NOT_DECODED = Promise.resolve(null);

/**
 * @typedef {"preparing" | "sending" | "processing"} Stage
 * @typedef {{ stage: Stage, fraction: number, slow: boolean }} Progress
 *   `fraction` of the bytes sent, 0 to 1; `slow`: processing takes longer than a minute
 * @typedef {{ size: number, format: string, url: string, bytes: number }} AvatarImage
 * @typedef {{ subject: string, upload_id: string, version: string, updated_at: string, url: string,
 *   source: { format: string, width: number, height: number, bytes: number }, images: AvatarImage[] }} Manifest
 *
 * @typedef {object} UploadOptions
 * @property {string} apiUrl the stack output
 * @property {import("./api.js").GetToken} getToken called once, and with `refresh` after each 401 or 403
 * @property {import("./crop.js").Crop | null} [crop] the square to keep; default: the largest centered one
 * @property {boolean} [original] sends the file as it is, also if the browser can shrink it
 * @property {Preparation} [preparation] of this file, if it has begun already
 * @property {AbortSignal} [signal] aborts the upload at any point; the promise rejects with its reason
 * @property {(progress: Progress) => void} [onProgress]
 */

/**
 * Uploads a file as the user's avatar.
 * @param {File} file
 * @param {UploadOptions} options
 * @returns {Promise<Manifest>} of the new avatar, or of a newer one that superseded it
 * @throws {UploadError}
 */
export async function uploadAvatar(file, options) {
  const { apiUrl, getToken, crop, original = false, signal = new AbortController().signal, onProgress } = options;
  await checkFile(file);
  signal.throwIfAborted();
  /** @type {UploadContext} */
  const context = {
    crop,
    original,
    preparation: options.preparation ?? new Preparation(file, original ? NOT_DECODED : decodePhoto(file), signal),
    signal,
    api: new Api(apiUrl, getToken, signal),
    report: (stage, fraction, slow = false) => onProgress?.({ stage, fraction, slow }),
  };
  const upload = await sendPhoto(context);
  const result = await waitForResult(context, upload.id);
  if (!upload.isEarly || !isOvertaken(result, upload.id)) return getManifest(result);
  return getManifest(await waitForResult(context, (await sendPhoto(context)).id));
}

/**
 * @typedef {{ crop: UploadOptions["crop"], original: boolean, preparation: Preparation, signal: AbortSignal, api: Api,
 *   report: (stage: Stage, fraction: number, slow?: boolean) => void }} UploadContext
 *
 * @typedef {{ id: string, isEarly: boolean }} Upload
 *   `isEarly`: the form was requested before the user decided to upload the photo
 */

/**
 * Sends the photo. A form may expire on a slow connection: after a 403 one new form is tried.
 * @param {UploadContext} context
 * @returns {Promise<Upload>}
 */
async function sendPhoto(context) {
  const upload = (await sendWithUnusedForm(context)) ?? (await sendWithUnusedForm(context));
  if (!upload) throw new UploadError("upload_refused");
  return upload;
}

/**
 * @param {UploadContext} context
 * @returns {Promise<Upload | null>} null when S3 responds with 403
 */
async function sendWithUnusedForm({ crop, original, preparation, signal, api, report }) {
  report("preparing", 0);
  const { request, encode } = await preparation.getContent(crop, original);
  const early = await preparation.takeForm(api, request);
  const form = early ?? (await requestForm(api, request));
  const content = await rejectOnAbort(encode(form.useful_edge), signal);
  report("sending", 0);
  const sent = post(form, content, signal, (fraction) => report("sending", fraction));
  preconnect(import.meta.url, null); // to the CDN, for the new avatar
  const response = await sent;
  if (response.status < 300) return { id: form.upload_id, isEarly: early !== null };
  if (response.status === 403) return null;
  throw toUploadError(response, form);
}

/**
 * Uploads and removals are in the order of the requests for their forms. What the user has done after that, for example
 * in another tab, but before this upload, does not prevail over it.
 * @param {import("./api.js").ApiResponse} result
 * @param {string} uploadId
 */
function isOvertaken({ body }, uploadId) {
  if (body?.status === "rejected") return body.reason === "deleted";
  return body?.status === "ready" && body.avatar.upload_id !== uploadId;
}

/**
 * @param {import("./post.js").PostResponse} response
 * @param {import("./form.js").Form} form
 */
function toUploadError(response, form) {
  if (response.code === "EntityTooLarge") return new UploadError("file_too_large", { maxBytes: form.max_bytes });
  if (response.code === "EntityTooSmall") return new UploadError("empty_file");
  if (response.code === "RequestTimeout") return new UploadError("network", { cause: response });
  return new UploadError(response.status >= 500 ? "server_error" : "unexpected", { cause: response });
}

/**
 * Waits until the upload is ready, held or rejected, or unknown.
 * @param {UploadContext} context
 * @param {string} uploadId
 */
async function waitForResult(context, uploadId) {
  context.report("processing", 1);
  const response = await finish(context, uploadId);
  if (response && RESULTS.has(response.body?.status)) return response;
  return pollStatus(context, uploadId, response?.status === 202 ? BEGUN : QUEUED);
}

/**
 * Has the photo processed now. The queue processes it all the same, so nothing depends on this request.
 * @param {UploadContext} context
 * @param {string} uploadId
 * @returns {Promise<import("./api.js").ApiResponse | null>} null if there is none
 */
function finish({ api }, uploadId) {
  return api.tryOnce("POST", `/avatars/uploads/${encodeURIComponent(uploadId)}/finish`, FINISH_TIMEOUT_MS);
}

/**
 * Polls the upload's status until it is ready, held or rejected.
 * @param {UploadContext} context
 * @param {string} uploadId
 * @param {Pauses} pauses
 * @returns {Promise<import("./api.js").ApiResponse>}
 */
async function pollStatus({ api, signal, report }, uploadId, { first, second }) {
  const started = performance.now();
  let delay = second;
  await sleep(first, signal);
  for (;;) {
    const response = await api.call("GET", `/avatars/uploads/${encodeURIComponent(uploadId)}`);
    if (response.body?.status !== "pending") return response;
    const elapsed = performance.now() - started;
    if (elapsed > GIVE_UP_AFTER_MS) throw new UploadError("still_pending");
    const slow = elapsed > SLOW_AFTER_MS;
    report("processing", 1, slow);
    await sleep(slow ? SLOW_PAUSE_MS : delay, signal);
    delay = Math.min(delay * PAUSE_GROWTH, LONGEST_PAUSE_MS);
  }
}

/**
 * @param {import("./api.js").ApiResponse} result
 * @returns {Manifest}
 */
function getManifest(result) {
  const { status, body } = result;
  if (status === 404) throw new UploadError("upload_lost");
  if (body?.status === "held") throw new UploadError("held");
  if (body?.status === "rejected") throw new UploadError("rejected", { reason: body.reason });
  if (body?.status === "ready") return body.avatar;
  throw new UploadError("unexpected", { cause: result });
}
