/** Waiting that ends at once when a signal aborts. */

/**
 * @param {number} milliseconds
 * @param {AbortSignal} signal
 * @returns {Promise<void>} rejects with the signal's reason
 */
export function pause(milliseconds, signal) {
  return until(new Promise((resolve) => setTimeout(resolve, milliseconds)), signal);
}

/**
 * @template T
 * @param {Promise<T> | T} promise that knows no signals
 * @param {AbortSignal} signal
 * @returns {Promise<T>} rejects with the signal's reason, whatever becomes of the promise
 */
export async function until(promise, signal) {
  signal.throwIfAborted();
  /** @type {PromiseWithResolvers<never>} */
  const aborted = Promise.withResolvers();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort);
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/**
 * Runs `action` with a signal that aborts with `signal`, and after so many milliseconds.
 * @template T
 * @param {number} milliseconds
 * @param {AbortSignal} signal
 * @param {(signal: AbortSignal) => Promise<T>} action
 */
export async function limited(milliseconds, signal, action) {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(new DOMException("no answer in time", "TimeoutError")), milliseconds);
  try {
    return await action(AbortSignal.any([signal, limit.signal]));
  } finally {
    clearTimeout(timer);
  }
}
