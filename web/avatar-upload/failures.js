/**
 * Why an upload ended without an avatar: docs/widget.md says what each code means to the user.
 *
 * @typedef {"empty_file" | "unreadable_file" | "unsupported_type" | "file_too_large" | "rejected" | "offline" | "network"
 *   | "session_expired" | "upload_refused" | "server_error" | "upload_lost" | "still_pending" | "unexpected"
 *   | "no_token"} FailureCode
 * @typedef {"not_an_image" | "unsupported_format" | "too_many_pixels" | "truncated" | "too_large"} RejectionReason
 */

/** @type {ReadonlySet<FailureCode>} */
const WORTH_ANOTHER_TRY = new Set([
  "offline",
  "network",
  "session_expired",
  "upload_refused",
  "server_error",
  "upload_lost",
  "still_pending",
]);

export class UploadError extends Error {
  /**
   * @param {FailureCode} code
   * @param {object} [details]
   * @param {RejectionReason} [details.reason] the server's, with `rejected`
   * @param {number} [details.maxBytes] the stack's limit, with `file_too_large`, when it could be learnt
   * @param {unknown} [details.cause] what was thrown, or the answer that was not understood
   */
  constructor(code, { reason, maxBytes, cause } = {}) {
    super(reason ? `${code}: ${reason}` : code, { cause });
    this.name = "UploadError";
    this.code = code;
    this.reason = reason;
    this.maxBytes = maxBytes;
  }

  /** Whether the same file may succeed if it is sent once more. */
  get retry() {
    return WORTH_ANOTHER_TRY.has(this.code);
  }
}

/**
 * A request that got no answer.
 * @param {unknown} [cause]
 */
export function noAnswer(cause) {
  return new UploadError(navigator.onLine ? "network" : "offline", { cause });
}
