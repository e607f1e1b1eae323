/** Posts a photo to S3, by XMLHttpRequest: fetch reports no upload progress. */

import { createNetworkError } from "./errors.js";

/** Without progress for this long, the connection counts as lost. */
const STALL_TIMEOUT_MS = 120_000;

/**
 * Smaller photos are sent without a listener for their progress: it would cost a preflight, and with it a round trip.
 * https://xhr.spec.whatwg.org/#the-send()-method
 */
const PROGRESS_FROM_BYTES = 2 ** 19;

/**
 * @typedef {import("./form.js").Form} Form
 * @typedef {{ status: number, code: string }} PostResponse `code`: S3's error code, or empty
 */

/**
 * @param {Form} form
 * @param {Blob} photo
 * @param {AbortSignal} signal
 * @param {(fraction: number) => void} onSent called for photos of 512 kB or more
 * @returns {Promise<PostResponse>}
 * @throws {import("./errors.js").UploadError} `network`, `offline`
 */
export function post(form, photo, signal, onSent) {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const request = new XMLHttpRequest();
    const finished = new AbortController();
    const once = { signal: finished.signal };
    /** @type {ReturnType<typeof setTimeout>} */
    let stalled;

    const watch = () => {
      clearTimeout(stalled);
      stalled = setTimeout(() => request.abort(), STALL_TIMEOUT_MS);
    };
    const end = () => {
      clearTimeout(stalled);
      finished.abort();
    };
    if (photo.size >= PROGRESS_FROM_BYTES) {
      request.upload.addEventListener(
        "progress",
        ({ loaded, total }) => {
          watch();
          onSent(total ? loaded / total : 0);
        },
        once,
      );
    }
    request.addEventListener("load", () => resolve({ status: request.status, code: parseErrorCode(request) }), once);
    request.addEventListener("error", () => reject(createNetworkError()), once);
    request.addEventListener("abort", () => reject(signal.aborted ? signal.reason : createNetworkError()), once);
    request.addEventListener("loadend", end, once);
    signal.addEventListener("abort", () => request.abort(), once);

    request.open("POST", form.url);
    watch();
    request.send(createFormData(form, photo));
  });
}

/**
 * The file comes last: S3 ignores fields after it.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html
 * @param {Form} form
 * @param {Blob} photo
 */
function createFormData({ fields }, photo) {
  const content = new FormData();
  for (const [name, value] of Object.entries(fields)) content.append(name, value);
  content.append("file", photo);
  return content;
}

/**
 * Not with DOMParser: trusted types forbid it.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
 * @param {XMLHttpRequest} request
 */
function parseErrorCode({ responseText }) {
  return /<Code>(\w+)<\/Code>/.exec(responseText)?.[1] ?? "";
}
