/** Above API Gateway's limit of 30 seconds for an integration. */
const TIMEOUT_MS = 35_000;

/** No response: a network failure or timeout. The request may have been processed. */
export class NetworkError extends Error {}

/**
 * Sends a request and parses the response as JSON.
 *
 * @param {string} url
 * @param {RequestInit} [init]
 * @returns {Promise<{status: number, body: any}>} `body` is null if it is not JSON.
 * @throws {NetworkError} When there is no response.
 * @throws {DOMException} AbortError, when `init.signal` aborted it.
 */
export async function fetchJson(url, init = {}) {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  const signal = init.signal ? AbortSignal.any([init.signal, timeout]) : timeout;
  try {
    const response = await fetch(url, { cache: "no-store", credentials: "omit", ...init, signal });
    return { status: response.status, body: parseJson(await response.text()) };
  } catch (error) {
    init.signal?.throwIfAborted();
    throw new NetworkError("no response", { cause: error });
  }
}

/** @param {string} text */
function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
