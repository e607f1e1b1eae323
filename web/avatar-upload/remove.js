/** The removal of the avatar (docs/api.md), without a user interface. */

import { Api } from "./api.js";
import { UploadError } from "./errors.js";

/**
 * @typedef {object} RemovalOptions
 * @property {string} apiUrl the stack output
 * @property {import("./api.js").GetToken} getToken called once, and with `refresh` after a 401 or 403
 * @property {AbortSignal} [signal] aborts the request, which may have been processed; the promise rejects with its reason
 */

/**
 * Removes the user's avatar. Succeeds also when there is none.
 * @param {RemovalOptions} options
 * @throws {UploadError} `session_expired`, `server_error`, `network`, `offline`, `unexpected`, or of `getToken`
 */
export async function removeAvatar({ apiUrl, getToken, signal = new AbortController().signal }) {
  const response = await new Api(apiUrl, getToken, signal).call("DELETE", "/avatars/me");
  if (response.status !== 204) throw new UploadError("unexpected", { cause: response });
}
