/**
 * Runs `work` with a button disabled, so that nothing is sent twice. Restores the focus that a disabled button loses,
 * unless `work` has moved it.
 *
 * @param {HTMLButtonElement} button
 * @param {() => Promise<void>} work
 */
export async function runWhileDisabled(button, work) {
  const focused = document.activeElement;
  button.disabled = true;
  try {
    await work();
  } finally {
    button.disabled = false;
    if (document.activeElement === document.body && focused instanceof HTMLElement) focused.focus();
  }
}
