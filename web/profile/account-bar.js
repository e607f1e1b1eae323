import { find } from "./find.js";

/** The buttons at the top: to sign in, to sign out, and to go to one's own profile. */
export class AccountBar {
  #ownProfile = find(document, "#own-profile", HTMLAnchorElement);
  #signIn = find(document, "#sign-in", HTMLButtonElement);
  #signOut = find(document, "#sign-out", HTMLButtonElement);

  /** @param {{onSignIn: () => void, onSignOut: () => void}} listeners */
  constructor({ onSignIn, onSignOut }) {
    this.#signIn.addEventListener("click", onSignIn);
    this.#signOut.addEventListener("click", onSignOut);
  }

  /**
   * `signingIn`: the form for it is in view. `elsewhere`: what is in view is not one's own profile.
   *
   * @param {{signedIn: boolean, signingIn: boolean, elsewhere: boolean}} situation
   */
  show({ signedIn, signingIn, elsewhere }) {
    const focused = document.activeElement;
    this.#signIn.hidden = signedIn || signingIn;
    this.#signOut.hidden = !signedIn;
    this.#ownProfile.hidden = !signedIn || !elsewhere;
    // The button that was pressed has gone.
    if (focused === this.#signOut && !signedIn) this.#signIn.focus();
  }
}
