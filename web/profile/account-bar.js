import { findElement } from "./find-element.js";

/** The buttons at the top: sign in, sign out, and the link to the user's own profile. */
export class AccountBar {
  #ownProfile = findElement(document, "#own-profile", HTMLAnchorElement);
  #signIn = findElement(document, "#sign-in", HTMLButtonElement);
  #signOut = findElement(document, "#sign-out", HTMLButtonElement);

  /** @param {{onSignIn: () => void, onSignOut: () => void}} listeners */
  constructor({ onSignIn, onSignOut }) {
    this.#signIn.addEventListener("click", onSignIn);
    this.#signOut.addEventListener("click", onSignOut);
  }

  /**
   * `signingIn`: the sign-in form is in view. `elsewhere`: the user's own profile is not in view.
   *
   * @param {{signedIn: boolean, signingIn: boolean, elsewhere: boolean}} situation
   */
  show({ signedIn, signingIn, elsewhere }) {
    const focused = document.activeElement;
    this.#signIn.hidden = signedIn || signingIn;
    this.#signOut.hidden = !signedIn;
    this.#ownProfile.hidden = !signedIn || !elsewhere;
    // The pressed button is hidden now: keep the focus.
    if (focused === this.#signOut && !signedIn) this.#signIn.focus();
  }
}
