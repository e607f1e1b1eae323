/**
 * Reasons why an upload or a removal failed: docs/widget.md documents the codes.
 *
 * @typedef {"empty_file" | "unreadable_file" | "unsupported_type" | "file_too_large" | "rejected" | "held" | "offline" | "network"
 *   | "session_expired" | "upload_refused" | "server_error" | "upload_lost" | "still_pending" | "unexpected"
 *   | "no_token"} ErrorCode
 * @typedef {"not_an_image" | "unsupported_format" | "too_many_pixels" | "truncated" | "too_large"
 *   | "too_many_uploads" | "not_allowed" | "blocked" | "deleted"} RejectionReason
 */

/** @type {ReadonlySet<ErrorCode>} */
const RETRYABLE = new Set([
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
   * @param {ErrorCode} code
   * @param {object} [details]
   * @param {RejectionReason} [details.reason] the server's, with `rejected`
   * @param {number} [details.maxBytes] the stack's limit, with `file_too_large`, if known
   * @param {unknown} [details.cause] the error that was thrown, or the unexpected response
   */
  constructor(code, { reason, maxBytes, cause } = {}) {
    super(reason ? `${code}: ${reason}` : code, { cause });
    this.name = "UploadError";
    this.code = code;
    this.reason = reason;
    this.maxBytes = maxBytes;
  }

  /** Whether a retry with the same file may succeed: `deleted` is not about the file. */
  get retry() {
    return RETRYABLE.has(this.code) || this.reason === "deleted";
  }
}

/**
 * The error of a request without a response.
 * @param {unknown} [cause]
 */
export function createNetworkError(cause) {
  return new UploadError(navigator.onLine ? "network" : "offline", { cause });
}
