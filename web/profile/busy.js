/**
 * Runs `work` with a button disabled, so that nothing is sent twice. Disabling takes the focus from the button that was
 * pressed; it gets it back unless `work` has put it elsewhere.
 *
 * @param {HTMLButtonElement} button
 * @param {() => Promise<void>} work
 */
export async function whileDisabled(button, work) {
  const focused = document.activeElement;
  button.disabled = true;
  try {
    await work();
  } finally {
    button.disabled = false;
    if (document.activeElement === document.body && focused instanceof HTMLElement) focused.focus();
  }
}
