/** Asynchronous operations that an AbortSignal ends. */

/**
 * Waits.
 * @param {number} milliseconds
 * @param {AbortSignal} signal
 * @returns {Promise<void>} rejects with the signal's reason
 */
export function sleep(milliseconds, signal) {
  return rejectOnAbort(new Promise((resolve) => setTimeout(resolve, milliseconds)), signal);
}

/**
 * Adds a signal to a promise that does not support one.
 * @template T
 * @param {Promise<T> | T} promise
 * @param {AbortSignal} signal
 * @returns {Promise<T>} rejects with the signal's reason as soon as it aborts
 */
export async function rejectOnAbort(promise, signal) {
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
 * Runs an action with a signal that aborts when `signal` does, or with a TimeoutError after `milliseconds`.
 * @template T
 * @param {number} milliseconds
 * @param {AbortSignal} signal
 * @param {(signal: AbortSignal) => Promise<T>} action
 */
export async function withTimeout(milliseconds, signal, action) {
  const timeout = new AbortController();
  const timer = setTimeout(() => timeout.abort(new DOMException("no response in time", "TimeoutError")), milliseconds);
  try {
    return await action(AbortSignal.any([signal, timeout.signal]));
  } finally {
    clearTimeout(timer);
  }
}
