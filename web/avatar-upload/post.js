/** Posting a photo to S3. By XMLHttpRequest: fetch does not tell how much has been sent. */

import { noAnswer } from "./failures.js";

/** A slow line still moves; one that has not for so long is taken for lost. */
const STALLED_MS = 120_000;

/**
 * @typedef {{ upload_id: string, url: string, fields: Record<string, string>, max_bytes: number }} Form
 *   the answer of POST /avatars/key_upload
 * @typedef {{ status: number, code: string }} Posted S3's answer; `code` is its error code, or empty
 */

/**
 * @param {Form} form
 * @param {Blob} photo
 * @param {AbortSignal} signal
 * @param {(fraction: number) => void} onSent
 * @returns {Promise<Posted>}
 * @throws {import("./failures.js").UploadError} `network`, `offline`
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
      stalled = setTimeout(() => request.abort(), STALLED_MS);
    };
    const end = () => {
      clearTimeout(stalled);
      finished.abort();
    };
    request.upload.addEventListener(
      "progress",
      ({ loaded, total }) => {
        watch();
        onSent(total ? loaded / total : 0);
      },
      once,
    );
    request.addEventListener("load", () => resolve({ status: request.status, code: errorCode(request) }), once);
    request.addEventListener("error", () => reject(noAnswer()), once);
    request.addEventListener("abort", () => reject(signal.aborted ? signal.reason : noAnswer()), once);
    request.addEventListener("loadend", end, once);
    signal.addEventListener("abort", () => request.abort(), once);

    request.open("POST", form.url);
    watch();
    request.send(multipart(form, photo));
  });
}

/**
 * S3 reads no field that stands behind the file.
 * @param {Form} form
 * @param {Blob} photo
 */
function multipart({ fields }, photo) {
  const content = new FormData();
  for (const [name, value] of Object.entries(fields)) content.append(name, value);
  content.append("file", photo);
  return content;
}

/**
 * Not by DOMParser: trusted types forbid it, and one element is looked for.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
 * @param {XMLHttpRequest} request
 */
function errorCode({ responseText }) {
  return /<Code>(\w+)<\/Code>/.exec(responseText)?.[1] ?? "";
}
