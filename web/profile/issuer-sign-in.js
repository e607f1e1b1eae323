import { runWhileDisabled } from "./disabled-button.js";
import { findElement } from "./find-element.js";
import { NetworkError } from "./http.js";
import { StorageError, UnexpectedResponseError } from "./issuer.js";
import { cloneTemplate } from "./screens.js";

/**
 * Sentences for the errors that a user can do something about.
 * https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2.1, https://openid.net/specs/openid-connect-core-1_0.html#AuthError
 *
 * @type {Map<string, string>}
 */
const ERRORS = new Map([
  ["access_denied", "Signing in was canceled, or refused to this account."],
  ["server_error", "The service that signs you in has a problem. Try again in a minute."],
  ["temporarily_unavailable", "The service that signs you in has a problem. Try again in a minute."],
  ["invalid_grant", "That took too long. Sign in once more."],
]);

/** Signs a user in at the issuer's page. */
export class IssuerSignIn {
  #issuer;
  #screens;
  #onTokens;
  #onBack;
  #getDraft;
  /** @type {HTMLElement | null} */
  #section = null;

  /**
   * @param {import("./issuer.js").Issuer} issuer
   * @param {import("./screens.js").Screens} screens
   * @param {object} listeners
   * @param {(tokens: import("./session.js").Tokens) => void} listeners.onTokens
   * @param {() => void} listeners.onBack
   * @param {() => import("./edit-dialog.js").Draft | null} listeners.getDraft Unsaved input to keep while the issuer's page is shown.
   */
  constructor(issuer, screens, { onTokens, onBack, getDraft }) {
    this.#issuer = issuer;
    this.#screens = screens;
    this.#onTokens = onTokens;
    this.#onBack = onBack;
    this.#getDraft = getDraft;
  }

  get isShown() {
    return this.#section?.isConnected ?? false;
  }

  /**
   * @param {{note?: string, canGoBack?: boolean, requested?: boolean}} options As those of SignIn; `requested`: the
   * user has asked for it, and goes to the issuer's page without another click.
   */
  show({ note, canGoBack = false, requested = false }) {
    const section = cloneTemplate("sign-in-issuer");
    const button = findElement(section, ".primary", HTMLButtonElement);
    const back = findElement(section, ".link", HTMLButtonElement);
    if (note !== undefined) findElement(section, ".note", HTMLElement).textContent = note;
    button.addEventListener("click", () => void this.#run(() => this.#issuer.goToSignIn(this.#getDraft())));
    back.addEventListener("click", () => this.#onBack());
    back.hidden = !canGoBack;
    this.#section = section;
    this.#screens.show(section);
    if (requested) button.click();
    else button.focus();
  }

  /**
   * Completes a sign-in with the issuer's response.
   *
   * @param {import("./issuer.js").Return} response
   * @param {{canGoBack: boolean}} options
   */
  async complete(response, { canGoBack }) {
    this.show({ note: "Signing you in…", canGoBack });
    await this.#run(async () => this.#onTokens(await this.#issuer.redeem(response)));
  }

  /** Shows the errors of `work`. @param {() => Promise<void>} work */
  async #run(work) {
    const section = /** @type {HTMLElement} */ (this.#section);
    const failure = findElement(section, ".failure", HTMLElement);
    failure.textContent = "";
    await runWhileDisabled(findElement(section, ".primary", HTMLButtonElement), async () => {
      try {
        await work();
      } catch (error) {
        findElement(section, ".note", HTMLElement).textContent = "";
        failure.textContent = describeError(error);
      }
    });
  }
}

/** @param {any} error */
function describeError(error) {
  if (error instanceof NetworkError) {
    return "No connection to the service that signs you in. Check yours, then try again.";
  }
  if (error instanceof UnexpectedResponseError) return "This sign-in was not started here, or is over. Sign in again.";
  if (error instanceof StorageError) return "To sign in, allow this page to store data in your browser.";
  const known = ERRORS.get(error.error);
  if (known) return known;
  // An error of the configuration, here or at the issuer: for those who run this service.
  console.error(error);
  if (error.error) return `Signing in failed. ${error.error_description ?? error.error}`;
  return "Signing in failed: the service that signs you in gave an answer that this page does not accept.";
}
