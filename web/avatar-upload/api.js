/** Client of the HTTP API (docs/api.md): access token, timeout, retries. */

import { rejectOnAbort, sleep, withTimeout } from "./abortable.js";
import { UploadError, createNetworkError } from "./errors.js";

const TIMEOUT_MS = 20_000;
/** Delays before the retries of a call that failed with a transient error. */
const RETRY_DELAYS_MS = [500, 1000, 2000];

/**
 * @typedef {(request: { refresh: boolean }) => Promise<string> | string} GetToken
 * @typedef {{ status: number, body: any }} ApiResponse the body is null when it is not JSON
 */

export class Api {
  #getToken;
  #token = "";

  /**
   * @param {string} url the stack output `apiUrl`
   * @param {GetToken} getToken
   * @param {AbortSignal} signal ends every call
   */
  constructor(url, getToken, signal) {
    this.url = url.replace(/\/+$/, "");
    this.signal = signal;
    this.#getToken = getToken;
  }

  /** That of the last call, which may have been refreshed. */
  get token() {
    return this.#token;
  }

  /**
   * Requests the token, unless there is one.
   * @throws {UploadError} `session_expired`, `network`, `offline`, or an UploadError of `getToken`
   */
  async authorize() {
    this.#token ||= await this.#requestToken(false);
    return this.#token;
  }

  /**
   * Makes an idempotent call.
   * @param {"DELETE" | "GET" | "POST"} method
   * @param {string} path
   * @param {object} [content] sent as JSON
   * @returns {Promise<ApiResponse>} of any status but 401, 403, 429 and 5xx
   * @throws {UploadError} `session_expired`, `server_error`, `network`, `offline`, or an UploadError of `getToken`
   */
  async call(method, path, content) {
    const send = () => this.#send(method, path, content);
    await this.authorize();
    let response = await this.#withRetry(send);
    if (isUnauthorized(response)) {
      this.#token = await this.#requestToken(true);
      response = await this.#withRetry(send);
    }
    if (isUnauthorized(response)) throw new UploadError("session_expired", { cause: response });
    return response;
  }

  /**
   * Makes a call once, with the token of the last one, and without a refresh: for calls that are not needed.
   * @param {"POST"} method
   * @param {string} path
   * @param {number} timeout in milliseconds
   * @param {object} [content] sent as JSON
   * @returns {Promise<ApiResponse | null>} null if there is no response
   */
  async tryOnce(method, path, timeout, content) {
    try {
      return await this.#send(method, path, content, timeout);
    } catch {
      this.signal.throwIfAborted();
      return null;
    }
  }

  /** @param {() => Promise<ApiResponse>} send */
  async #withRetry(send) {
    for (const delay of RETRY_DELAYS_MS) {
      try {
        const response = await send();
        if (!isRetryable(response)) return response;
      } catch (error) {
        this.signal.throwIfAborted();
        if (isTimeout(error) || !navigator.onLine) throw createNetworkError(error);
      }
      await sleep(delay * (0.75 + Math.random() / 2), this.signal); // jitter
    }
    return this.#lastAttempt(send);
  }

  /** @param {() => Promise<ApiResponse>} send */
  async #lastAttempt(send) {
    const response = await send().catch((error) => {
      this.signal.throwIfAborted();
      throw createNetworkError(error);
    });
    if (isRetryable(response)) throw new UploadError("server_error", { cause: response });
    return response;
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {object} [content]
   * @param {number} [timeout] in milliseconds
   * @returns {Promise<ApiResponse>}
   */
  #send(method, path, content, timeout = TIMEOUT_MS) {
    return withTimeout(timeout, this.signal, async (signal) => {
      const response = await fetch(this.url + path, {
        method,
        headers: { Authorization: `Bearer ${this.#token}`, ...(content && { "Content-Type": "application/json" }) },
        body: content && JSON.stringify(content),
        cache: "no-store",
        credentials: "omit",
        signal,
      });
      return { status: response.status, body: parseJson(await response.text()) };
    });
  }

  /** @param {boolean} refresh */
  async #requestToken(refresh) {
    try {
      const token = await rejectOnAbort(this.#getToken({ refresh }), this.signal);
      if (token && typeof token === "string") return token;
    } catch (cause) {
      this.signal.throwIfAborted();
      if (cause instanceof UploadError) throw cause;
      throw navigator.onLine ? new UploadError("session_expired", { cause }) : createNetworkError(cause);
    }
    throw new UploadError("session_expired");
  }
}

/** API Gateway: 401 for a missing token, 403 for one that is not valid. @param {ApiResponse} response */
function isUnauthorized({ status }) {
  return status === 401 || status === 403;
}

/** @param {ApiResponse} response */
function isRetryable({ status }) {
  return status === 429 || status >= 500;
}

/** A timeout is not retried: the user would wait four times as long. @param {unknown} error */
function isTimeout(error) {
  return error instanceof DOMException && error.name === "TimeoutError";
}

/** @param {string} text */
function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
