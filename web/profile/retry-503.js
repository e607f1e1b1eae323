import { ApiError } from "./api.js";

/** Delays before the retries: in total twice the 15 seconds that Aurora takes to resume. */
const RETRY_DELAYS_MS = [1_000, 2_000, 4_000, 8_000, 15_000];

/**
 * Retries a call while the API responds with 503: the database is resuming.
 *
 * @template Result
 * @param {() => Promise<Result>} call An idempotent call.
 * @param {AbortSignal} signal Aborts the retries.
 * @param {(waiting: boolean) => void} onWaiting Called with true before each delay, and with false at the end.
 * @returns {Promise<Result>}
 * @throws What `call` throws; ApiError with 503 only after the last attempt.
 */
export async function retryWhileUnavailable(call, signal, onWaiting) {
  try {
    for (const delay of RETRY_DELAYS_MS) {
      try {
        return await call();
      } catch (error) {
        if (!isUnavailable(error)) throw error;
      }
      onWaiting(true);
      await sleep(delay, signal);
    }
    return await call();
  } finally {
    onWaiting(false);
  }
}

/** @param {unknown} error */
function isUnavailable(error) {
  return error instanceof ApiError && error.status === 503;
}

/** @param {number} milliseconds @param {AbortSignal} signal @returns {Promise<void>} */
function sleep(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
