/** The upload protocol of docs/api.md, without a user interface. */

import { rejectOnAbort, sleep } from "./abortable.js";
import { Api } from "./api.js";
import { UploadError } from "./errors.js";
import { checkFile, getContentType } from "./files.js";
import { decodePhoto } from "./photo.js";
import { post } from "./post.js";
import { shrinkPhoto } from "./shrink.js";

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

/**
 * @typedef {import("./photo.js").Photo} Photo
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
 * @property {Promise<Photo | null>} [photo] of `decodePhoto`, if the file is decoded already
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
  const { apiUrl, getToken, crop, original, signal = new AbortController().signal, onProgress } = options;
  await checkFile(file);
  signal.throwIfAborted();
  /** @type {UploadContext} */
  const context = {
    file,
    crop,
    photo: original ? null : (options.photo ?? decodePhoto(file)),
    signal,
    api: new Api(apiUrl, getToken, signal),
    report: (stage, fraction, slow = false) => onProgress?.({ stage, fraction, slow }),
  };
  const uploadId = await sendPhoto(context);
  context.report("processing", 1);
  const response = await finish(context, uploadId);
  if (RESULTS.has(response?.body?.status)) return parseStatus(response);
  return pollStatus(context, uploadId, response?.status === 202 ? BEGUN : QUEUED);
}

/**
 * @typedef {{ file: File, crop: UploadOptions["crop"], photo: Promise<Photo | null> | null, signal: AbortSignal,
 *   api: Api, report: (stage: Stage, fraction: number, slow?: boolean) => void }} UploadContext
 */

/**
 * Sends the photo. A form may expire on a slow connection: after a 403 one new form is tried.
 * @param {UploadContext} context
 * @returns {Promise<string>} the upload's id
 */
async function sendPhoto(context) {
  const uploadId = (await sendWithNewForm(context)) ?? (await sendWithNewForm(context));
  if (!uploadId) throw new UploadError("upload_refused");
  return uploadId;
}

/**
 * @param {UploadContext} context
 * @returns {Promise<string | null>} the upload's id; null when S3 responds with 403
 */
async function sendWithNewForm(context) {
  const { file, crop, signal, report } = context;
  report("preparing", 0);
  const photo = await rejectOnAbort(context.photo, signal);
  const shrunk = photo && shrinkPhoto(photo, crop);
  const form = await requestForm(
    context,
    shrunk
      ? { content_type: shrunk.type }
      : { content_type: getContentType(file), size: file.size, ...(crop && { crop }) },
  );
  const content = shrunk ? await rejectOnAbort(shrunk.encode(form.useful_edge), signal) : file;
  report("sending", 0);
  const response = await post(form, content, signal, (fraction) => report("sending", fraction));
  if (response.status < 300) return form.upload_id;
  if (response.status === 403) return null;
  throw toUploadError(response, form);
}

/**
 * @param {import("./post.js").PostResponse} response
 * @param {import("./post.js").Form} form
 */
function toUploadError(response, form) {
  if (response.code === "EntityTooLarge") return new UploadError("file_too_large", { maxBytes: form.max_bytes });
  if (response.code === "EntityTooSmall") return new UploadError("empty_file");
  if (response.code === "RequestTimeout") return new UploadError("network", { cause: response });
  return new UploadError(response.status >= 500 ? "server_error" : "unexpected", { cause: response });
}

/**
 * @param {UploadContext} context
 * @param {{ content_type: string, size?: number, crop?: import("./crop.js").Crop }} request
 * @returns {Promise<import("./post.js").Form>}
 */
async function requestForm({ api, signal }, request) {
  const response = await api.call("POST", "/avatars/key_upload", request);
  if (response.status === 200 && response.body?.fields) return response.body;
  if (response.status === 413) {
    throw new UploadError("file_too_large", { maxBytes: await requestMaxBytes(api, request.content_type, signal) });
  }
  if (response.status === 415) throw new UploadError("unsupported_type");
  throw new UploadError("unexpected", { cause: response });
}

/**
 * The stack's limit. A 413 response does not contain it; a form does, and is issued when the request has no size.
 * @param {Api} api
 * @param {string} content_type
 * @param {AbortSignal} signal
 * @returns {Promise<number | undefined>}
 */
async function requestMaxBytes(api, content_type, signal) {
  try {
    return (await api.call("POST", "/avatars/key_upload", { content_type })).body?.max_bytes;
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
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
 * @returns {Promise<Manifest>}
 */
async function pollStatus({ api, signal, report }, uploadId, { first, second }) {
  const started = performance.now();
  let delay = second;
  await sleep(first, signal);
  for (;;) {
    const avatar = parseStatus(await api.call("GET", `/avatars/uploads/${encodeURIComponent(uploadId)}`));
    if (avatar) return avatar;
    const elapsed = performance.now() - started;
    if (elapsed > GIVE_UP_AFTER_MS) throw new UploadError("still_pending");
    const slow = elapsed > SLOW_AFTER_MS;
    report("processing", 1, slow);
    await sleep(slow ? SLOW_PAUSE_MS : delay, signal);
    delay = Math.min(delay * PAUSE_GROWTH, LONGEST_PAUSE_MS);
  }
}

/**
 * @param {import("./api.js").ApiResponse} response
 * @returns {Manifest | null} null while it is pending
 */
function parseStatus(response) {
  const { status, body } = response;
  if (status === 404) throw new UploadError("upload_lost");
  if (body?.status === "held") throw new UploadError("held");
  if (body?.status === "rejected") throw new UploadError("rejected", { reason: body.reason });
  if (body?.status === "ready") return body.avatar;
  if (body?.status === "pending") return null;
  throw new UploadError("unexpected", { cause: response });
}
