import { fetchJson } from "./http.js";
import { SignedOutError } from "./session.js";

/**
 * @typedef {object} AvatarImage
 * @property {number} size Edge in pixels.
 * @property {string} format
 * @property {string} url
 * @property {number} bytes
 */

/** @typedef {{url: string, updated_at: string, images: AvatarImage[]}} Avatar */

/**
 * @typedef {object} Profile
 * @property {string} subject
 * @property {string} handle
 * @property {string} display_name
 * @property {string} bio
 * @property {Avatar | null} avatar
 */

/** @typedef {{display_name: string, bio: string, handle?: string}} Changes */

/** @typedef {Awaited<ReturnType<typeof fetchJson>>} ApiResponse */

/** A response of the API other than 200. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {{code?: string, message?: string, fields?: Record<string, string>}} [error] As in docs/api.md; absent
   * in API Gateway's own responses.
   */
  constructor(status, error = {}) {
    super(error.message ?? "");
    this.status = status;
    this.code = error.code ?? "";
    /** A sentence for each invalid field, by name: of a 422. */
    this.fields = error.fields ?? {};
  }
}

/**
 * Client of the four profile routes.
 *
 * Every method throws ApiError, NetworkError without a response, and SignedOutError when the session has ended.
 */
export class ProfileApi {
  #url;
  #session;

  /** @param {string} url @param {import("./session.js").Session} session */
  constructor(url, session) {
    this.#url = url.replace(/\/$/, "");
    this.#session = session;
  }

  /**
   * The public profile of the user who has the handle, or had it: fetch follows the redirect to the current one. Without
   * a session it may be as old as the API allows caches to keep it. With one it may be the
   * user's own, which they have just changed.
   *
   * @param {string} handle @param {AbortSignal} signal @returns {Promise<Profile>}
   */
  async getProfile(handle, signal) {
    const cache = this.#session.signedIn ? "no-store" : "default";
    return parseProfile(await fetchJson(`${this.#url}/profiles/${encodeURIComponent(handle)}`, { signal, cache }));
  }

  /** The user's own profile. @param {AbortSignal} signal @returns {Promise<Profile>} */
  async getOwnProfile(signal) {
    return parseProfile(await this.#callAsUser({ signal }));
  }

  /** Replaces the user's profile. @param {Changes} changes @param {AbortSignal} signal @returns {Promise<Profile>} */
  async putProfile(changes, signal) {
    const headers = { "Content-Type": "application/json" };
    return parseProfile(await this.#callAsUser({ method: "PUT", headers, body: JSON.stringify(changes), signal }));
  }

  /** Deletes the user's profile and avatar. Succeeds also when there is none: it can be repeated. */
  async deleteProfile() {
    const { status, body } = await this.#callAsUser({ method: "DELETE" });
    if (status !== 204) throw new ApiError(status, body?.error);
  }

  /**
   * Refreshes the token once after a 401 or 403: it may have been revoked, or this clock may be wrong.
   *
   * @param {RequestInit} init
   */
  async #callAsUser(init) {
    const response = await this.#fetchWithToken(init, await this.#session.getToken());
    if (!isUnauthorized(response)) return response;
    const retried = await this.#fetchWithToken(init, await this.#session.getToken({ refresh: true }));
    if (!isUnauthorized(retried)) return retried;
    this.#session.end("expired");
    throw new SignedOutError("the API refused a new token");
  }

  /** @param {RequestInit} init @param {string} token */
  #fetchWithToken(init, token) {
    return fetchJson(`${this.#url}/profile`, {
      ...init,
      headers: { ...init.headers, Authorization: `Bearer ${token}` },
    });
  }
}

/** @param {ApiResponse} response */
function isUnauthorized({ status }) {
  return status === 401 || status === 403;
}

/** @param {ApiResponse} response @returns {Profile} */
function parseProfile({ status, body }) {
  if (status === 200 && body) return body;
  throw new ApiError(status, body?.error);
}
