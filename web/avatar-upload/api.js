/** Calls to the HTTP API (docs/api.md), with everything that every call needs: a token, a limit in time, patience. */

import { UploadError, noAnswer } from "./failures.js";
import { limited, pause, until } from "./waiting.js";

const TIMEOUT_MS = 20_000;
/** Pauses before a call that failed for a reason that may pass is made again. */
const REPEAT_AFTER_MS = [500, 1000, 2000];

/**
 * @typedef {(request: { refresh: boolean }) => Promise<string> | string} GetToken
 * @typedef {{ status: number, body: any }} Answer the body is null when it is not JSON
 */

export class Api {
  #url;
  #getToken;
  #signal;
  #token = "";

  /**
   * @param {string} url the stack output `apiUrl`
   * @param {GetToken} getToken
   * @param {AbortSignal} signal ends every call
   */
  constructor(url, getToken, signal) {
    this.#url = url.replace(/\/+$/, "");
    this.#getToken = getToken;
    this.#signal = signal;
  }

  /**
   * Makes a call that does no harm when it is made twice.
   * @param {"GET" | "POST"} method
   * @param {string} path
   * @param {object} [content] sent as JSON
   * @returns {Promise<Answer>} of any status but 401, 403, 429 and 5xx
   * @throws {UploadError} `session_expired`, `server_error`, `network`, `offline`, or what `getToken` threw of this kind
   */
  async call(method, path, content) {
    const send = () => this.#send(method, path, content);
    this.#token ||= await this.#askForToken(false);
    let answer = await this.#patiently(send);
    if (isRefused(answer)) {
      this.#token = await this.#askForToken(true);
      answer = await this.#patiently(send);
    }
    if (isRefused(answer)) throw new UploadError("session_expired", { cause: answer });
    return answer;
  }

  /** @param {() => Promise<Answer>} send */
  async #patiently(send) {
    for (const wait of REPEAT_AFTER_MS) {
      try {
        const answer = await send();
        if (!mayPass(answer)) return answer;
      } catch (error) {
        this.#signal.throwIfAborted();
        if (isTimeout(error) || !navigator.onLine) throw noAnswer(error);
      }
      await pause(wait * (0.75 + Math.random() / 2), this.#signal); // not all browsers at the same moment
    }
    return this.#lastTry(send);
  }

  /** @param {() => Promise<Answer>} send */
  async #lastTry(send) {
    const answer = await send().catch((error) => {
      this.#signal.throwIfAborted();
      throw noAnswer(error);
    });
    if (mayPass(answer)) throw new UploadError("server_error", { cause: answer });
    return answer;
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {object} [content]
   * @returns {Promise<Answer>}
   */
  #send(method, path, content) {
    return limited(TIMEOUT_MS, this.#signal, async (signal) => {
      const answer = await fetch(this.#url + path, {
        method,
        headers: { Authorization: `Bearer ${this.#token}`, ...(content && { "Content-Type": "application/json" }) },
        body: content && JSON.stringify(content),
        cache: "no-store",
        credentials: "omit",
        signal,
      });
      return { status: answer.status, body: parsed(await answer.text()) };
    });
  }

  /** @param {boolean} refresh */
  async #askForToken(refresh) {
    try {
      const token = await until(this.#getToken({ refresh }), this.#signal);
      if (token && typeof token === "string") return token;
    } catch (cause) {
      this.#signal.throwIfAborted();
      if (cause instanceof UploadError) throw cause;
      throw navigator.onLine ? new UploadError("session_expired", { cause }) : noAnswer(cause);
    }
    throw new UploadError("session_expired");
  }
}

/** API Gateway's answers to a missing token and to one that does not verify. @param {Answer} answer */
function isRefused({ status }) {
  return status === 401 || status === 403;
}

/** @param {Answer} answer */
function mayPass({ status }) {
  return status === 429 || status >= 500;
}

/** Who has waited that long is not made to wait four times as long. @param {unknown} error */
function isTimeout(error) {
  return error instanceof DOMException && error.name === "TimeoutError";
}

/** @param {string} text */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
