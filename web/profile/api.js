import { fetchJson } from "./http.js";
import { SignedOutError } from "./session.js";

/**
 * @typedef {object} Picture
 * @property {number} size Edge in pixels.
 * @property {string} format
 * @property {string} url
 * @property {number} bytes
 */

/** @typedef {{url: string, updated_at: string, images: Picture[]}} Avatar */

/**
 * @typedef {object} Profile
 * @property {string} subject
 * @property {string} handle
 * @property {string} display_name
 * @property {string} bio
 * @property {Avatar | null} avatar
 */

/** @typedef {{display_name: string, bio: string, handle?: string}} Changes */

/** @typedef {Awaited<ReturnType<typeof fetchJson>>} Answer */

/** The API answered with something else than 200. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {{code?: string, message?: string, fields?: Record<string, string>}} [error] As in docs/api.md; none
   * in API Gateway's own answers.
   */
  constructor(status, error = {}) {
    super(error.message ?? "");
    this.status = status;
    this.code = error.code ?? "";
    /** A sentence for each wrong field, of a 422. */
    this.fields = error.fields ?? {};
  }
}

/**
 * The three routes of profiles.
 *
 * Every method throws ApiError, NetworkError without an answer, and SignedOutError for a session that has ended.
 */
export class ProfileApi {
  #url;
  #session;

  /** @param {string} url @param {import("./session.js").Session} session */
  constructor(url, session) {
    this.#url = url.replace(/\/$/, "");
    this.#session = session;
  }

  /** Anybody's profile. @param {string} handle @param {AbortSignal} signal @returns {Promise<Profile>} */
  async profile(handle, signal) {
    return profileOf(await fetchJson(`${this.#url}/profiles/${encodeURIComponent(handle)}`, { signal }));
  }

  /** The caller's. @param {AbortSignal} signal @returns {Promise<Profile>} */
  async ownProfile(signal) {
    return profileOf(await this.#asCaller({ signal }));
  }

  /** Replaces the caller's. @param {Changes} changes @param {AbortSignal} signal @returns {Promise<Profile>} */
  async save(changes, signal) {
    const headers = { "Content-Type": "application/json" };
    return profileOf(await this.#asCaller({ method: "PUT", headers, body: JSON.stringify(changes), signal }));
  }

  /**
   * A token that is refused is renewed once: it may have been revoked, or this clock may be wrong.
   *
   * @param {RequestInit} init
   */
  async #asCaller(init) {
    const answer = await this.#withToken(init, await this.#session.token());
    if (!isRefused(answer)) return answer;
    const repeated = await this.#withToken(init, await this.#session.token({ refresh: true }));
    if (!isRefused(repeated)) return repeated;
    this.#session.end("expired");
    throw new SignedOutError("a new token was refused too");
  }

  /** @param {RequestInit} init @param {string} token */
  #withToken(init, token) {
    return fetchJson(`${this.#url}/profile`, {
      ...init,
      headers: { ...init.headers, Authorization: `Bearer ${token}` },
    });
  }
}

/** @param {Answer} answer */
function isRefused({ status }) {
  return status === 401 || status === 403;
}

/** @param {Answer} answer @returns {Profile} */
function profileOf({ status, body }) {
  if (status === 200 && body) return body;
  throw new ApiError(status, body?.error);
}
