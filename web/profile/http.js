/** Longer than the 30 seconds API Gateway gives a function: a database may be waking up behind it. */
const PATIENCE = 35_000;

/** No answer: the network failed, or it took too long. Whether the request arrived is not known. */
export class NetworkError extends Error {}

/**
 * A request whose answer is JSON, or nothing.
 *
 * @param {string} url
 * @param {RequestInit} [init]
 * @returns {Promise<{status: number, body: any}>} `body` is null for an answer that is not JSON.
 * @throws {NetworkError} When there is no answer.
 * @throws {DOMException} AbortError, when `init.signal` ended it.
 */
export async function fetchJson(url, init = {}) {
  const patience = AbortSignal.timeout(PATIENCE);
  const signal = init.signal ? AbortSignal.any([init.signal, patience]) : patience;
  try {
    const response = await fetch(url, { cache: "no-store", credentials: "omit", ...init, signal });
    return { status: response.status, body: parse(await response.text()) };
  } catch (error) {
    init.signal?.throwIfAborted();
    throw new NetworkError("no answer", { cause: error });
  }
}

/** @param {string} text */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
