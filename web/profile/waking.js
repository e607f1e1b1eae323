import { ApiError } from "./api.js";

/** Milliseconds before each further try: in all twice the 15 seconds that Aurora takes to wake up. */
const PAUSES = [1_000, 2_000, 4_000, 8_000, 15_000];

/**
 * Repeats a call while the database behind the API is not there yet (503).
 *
 * @template Result
 * @param {() => Promise<Result>} call One that may be repeated.
 * @param {AbortSignal} signal Ends the waiting.
 * @param {(waiting: boolean) => void} onWaiting Told at each wait that there is one, and once that it is over.
 * @returns {Promise<Result>}
 * @throws Whatever `call` throws, 503 only after the last try.
 */
export async function untilAwake(call, signal, onWaiting) {
  try {
    for (const pause of PAUSES) {
      try {
        return await call();
      } catch (error) {
        if (!isAsleep(error)) throw error;
      }
      onWaiting(true);
      await sleep(pause, signal);
    }
    return await call();
  } finally {
    onWaiting(false);
  }
}

/** @param {unknown} error */
function isAsleep(error) {
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
