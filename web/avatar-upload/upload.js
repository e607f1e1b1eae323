/** One photo's way to the server, as docs/api.md describes it. Knows nothing of pages. */

import { Api } from "./api.js";
import { UploadError } from "./failures.js";
import { check, contentType } from "./files.js";
import { post } from "./post.js";
import { pause } from "./waiting.js";

/** An upload is about a second on its way from S3 through the queue: whoever asks before that asks for nothing. */
const FIRST_PAUSE_MS = 1500;
const SECOND_PAUSE_MS = 1000;
const PAUSE_GROWTH = 1.5;
const LONGEST_PAUSE_MS = 2000;

/** From here on the user is told that it takes long, and asking becomes rare. */
const SLOW_AFTER_MS = 60_000;
const SLOW_PAUSE_MS = 10_000;
const GIVE_UP_AFTER_MS = 600_000;

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
 * @property {import("./api.js").GetToken} getToken asked once, and with `refresh` after each refusal
 * @property {import("./crop.js").Crop | null} [crop] the square to keep; without it the largest one in the middle
 * @property {AbortSignal} [signal] ends it at any point; the promise rejects with the signal's reason
 * @property {(progress: Progress) => void} [onProgress]
 */

/**
 * Makes a file the user's avatar.
 * @param {File} file
 * @param {UploadOptions} options
 * @returns {Promise<Manifest>} of the new avatar, or of a newer one that has overtaken it
 * @throws {UploadError}
 */
export async function uploadAvatar(file, options) {
  const { apiUrl, getToken, crop, signal = new AbortController().signal, onProgress } = options;
  /** @type {Journey} */
  const journey = {
    file,
    crop,
    signal,
    api: new Api(apiUrl, getToken, signal),
    report: (stage, fraction, slow = false) => onProgress?.({ stage, fraction, slow }),
  };
  await check(file);
  signal.throwIfAborted();
  return outcome(journey, await sent(journey));
}

/**
 * @typedef {{ file: File, crop: UploadOptions["crop"], signal: AbortSignal, api: Api,
 *   report: (stage: Stage, fraction: number, slow?: boolean) => void }} Journey
 */

/**
 * Sends the photo. A form that is refused may have expired while the user's line was slow: one more is tried.
 * @param {Journey} journey
 * @returns {Promise<string>} the upload's id
 */
async function sent(journey) {
  const uploadId = (await sentWithNewForm(journey)) ?? (await sentWithNewForm(journey));
  if (!uploadId) throw new UploadError("upload_refused");
  return uploadId;
}

/**
 * @param {Journey} journey
 * @returns {Promise<string | null>} the upload's id; null when S3 refused the form
 */
async function sentWithNewForm(journey) {
  const { file, signal, report } = journey;
  report("preparing", 0);
  const form = await newForm(journey);
  report("sending", 0);
  const posted = await post(form, file, signal, (fraction) => report("sending", fraction));
  if (posted.status < 300) return form.upload_id;
  if (posted.status === 403) return null;
  throw failureOf(posted, form);
}

/**
 * @param {import("./post.js").Posted} posted
 * @param {import("./post.js").Form} form
 */
function failureOf(posted, form) {
  if (posted.code === "EntityTooLarge") return new UploadError("file_too_large", { maxBytes: form.max_bytes });
  if (posted.code === "EntityTooSmall") return new UploadError("empty_file");
  if (posted.code === "RequestTimeout") return new UploadError("network", { cause: posted });
  return new UploadError(posted.status >= 500 ? "server_error" : "unexpected", { cause: posted });
}

/**
 * @param {Journey} journey
 * @returns {Promise<import("./post.js").Form>}
 */
async function newForm({ api, file, crop, signal }) {
  const content_type = contentType(file);
  const asked = { content_type, size: file.size, ...(crop && { crop }) };
  const answer = await api.call("POST", "/avatars/key_upload", asked);
  if (answer.status === 200 && answer.body?.fields) return answer.body;
  if (answer.status === 413) throw new UploadError("file_too_large", { maxBytes: await limit(api, content_type, signal) });
  if (answer.status === 415) throw new UploadError("unsupported_type");
  throw new UploadError("unexpected", { cause: answer });
}

/**
 * The stack's limit: the refusal of a size does not say it, a form does, and is given when no size is named.
 * @param {Api} api
 * @param {string} content_type
 * @param {AbortSignal} signal
 * @returns {Promise<number | undefined>}
 */
async function limit(api, content_type, signal) {
  try {
    return (await api.call("POST", "/avatars/key_upload", { content_type })).body?.max_bytes;
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

/**
 * Waits until the server has decided.
 * @param {Journey} journey
 * @param {string} uploadId
 * @returns {Promise<Manifest>}
 */
async function outcome({ api, signal, report }, uploadId) {
  const started = performance.now();
  let wait = SECOND_PAUSE_MS;
  report("processing", 1);
  await pause(FIRST_PAUSE_MS, signal);
  for (;;) {
    const avatar = decided(await api.call("GET", `/avatars/uploads/${encodeURIComponent(uploadId)}`));
    if (avatar) return avatar;
    const waited = performance.now() - started;
    if (waited > GIVE_UP_AFTER_MS) throw new UploadError("still_pending");
    const slow = waited > SLOW_AFTER_MS;
    report("processing", 1, slow);
    await pause(slow ? SLOW_PAUSE_MS : wait, signal);
    wait = Math.min(wait * PAUSE_GROWTH, LONGEST_PAUSE_MS);
  }
}

/**
 * @param {import("./api.js").Answer} answer
 * @returns {Manifest | null} null while it is pending
 */
function decided(answer) {
  const { status, body } = answer;
  if (status === 404) throw new UploadError("upload_lost");
  if (body?.status === "rejected") throw new UploadError("rejected", { reason: body.reason });
  if (body?.status === "ready") return body.avatar;
  if (body?.status === "pending") return null;
  throw new UploadError("unexpected", { cause: answer });
}
