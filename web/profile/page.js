import { AccountBar } from "./account-bar.js";
import { handleInAddress, putIntoAddress } from "./address.js";
import { ApiError, ProfileApi } from "./api.js";
import { Cognito } from "./cognito.js";
import { EditDialog } from "./edit-dialog.js";
import { find } from "./find.js";
import { NetworkError } from "./http.js";
import { isHandle } from "./profile-rules.js";
import { ProfileView } from "./profile-view.js";
import { Screens, copyOf } from "./screens.js";
import { Session, SignedOutError } from "./session.js";
import { SignIn } from "./sign-in.js";
import { Tabs } from "./tabs.js";
import { Toast } from "./toast.js";
import { untilAwake } from "./waking.js";

/** @typedef {import("./api.js").Profile} Profile */

const ENDINGS = {
  "signed-out": "You are signed out.",
  elsewhere: "You were signed out in another tab.",
  expired: "Your session has ended. Sign in again to go on.",
};

/** The profile that the address names, or one's own. Whose it is, and so whether it can be edited, is decided here. */
class Page {
  #tabs = new Tabs();
  #screens = new Screens(find(document, "#main", HTMLElement), find(document, "#announcer", HTMLElement));
  #view = new ProfileView(find(document, "#profile", HTMLElement), () => void this.#edit());
  #toast = new Toast(find(document, "#toast", HTMLElement));
  #bar = new AccountBar({ onSignIn: () => this.#showSignIn(), onSignOut: () => void this.#session.signOut() });
  #session;
  #api;
  #signIn;
  #dialog;
  /** The caller's profile, once it is known. @type {Profile | null} */
  #own = null;
  /** What was being typed when a session ended. @type {import("./edit-dialog.js").Draft | null} */
  #draft = null;
  /** Ends what is being loaded when something else is opened. */
  #opening = new AbortController();
  /** Ends asking for the caller's profile when a newer one is there. */
  #asking = new AbortController();

  /** @param {DOMStringMap} settings As profile.html has them. */
  constructor({ apiUrl = "", signInUrl = "", clientId = "" }) {
    const cognito = new Cognito(signInUrl, clientId);
    this.#session = new Session(cognito, this.#tabs, storage());
    this.#api = new ProfileApi(apiUrl, this.#session);
    this.#signIn = new SignIn(cognito, this.#screens, {
      onTokens: (tokens) => this.#session.start(tokens),
      onBack: () => void this.open({ focus: true }),
    });
    const dialog = find(document, "#edit-dialog", HTMLDialogElement);
    this.#dialog = new EditDialog(dialog, this.#api, (options) => this.#session.token(options));
    this.#listen();
  }

  /** Loads what the address says. `focus`: in answer to what somebody did. */
  async open({ focus = false } = {}) {
    this.#opening.abort();
    this.#opening = new AbortController();
    const { signal } = this.#opening;
    const handle = handleInAddress();
    this.#view.showLoading(handle);
    this.#screens.show(this.#view.element);
    void this.#session.ready.then(() => this.#updateBar());
    try {
      await (handle ? this.#openAnybodys(handle, signal) : this.#openOwn(signal));
      if (focus && !signal.aborted) this.#screens.focus();
    } catch (error) {
      if (!signal.aborted) this.#showFailure(error, handle);
    }
  }

  /** @param {string} handle @param {AbortSignal} signal */
  async #openAnybodys(handle, signal) {
    if (!isHandle(handle)) throw new ApiError(404);
    if (this.#session.signedIn) void this.#recognise();
    const profile = await this.#load(() => this.#api.profile(handle, signal), signal);
    if (profile.subject !== this.#own?.subject) this.#show(profile);
  }

  /** @param {AbortSignal} signal */
  async #openOwn(signal) {
    await this.#session.ready;
    if (!this.#session.signedIn) this.#showSignIn();
    else this.#meet(await this.#load(() => this.#api.ownProfile(signal), signal));
  }

  /**
   * @template Result
   * @param {() => Promise<Result>} call
   * @param {AbortSignal} signal
   */
  #load(call, signal) {
    return untilAwake(call, signal, (waiting) => this.#view.showWaking(waiting));
  }

  /** Asks who the caller is, while somebody's profile is in view or on its way. */
  async #recognise() {
    this.#asking.abort();
    this.#asking = new AbortController();
    const { signal } = this.#asking;
    const asking = untilAwake(
      () => this.#api.ownProfile(signal),
      signal,
      () => {},
    );
    // Without an answer what is in view stays right; it cannot be edited until the next try.
    const own = await asking.catch(() => null);
    if (own) this.#meet(own);
  }

  /** Takes in the caller's profile as it is now. @param {Profile} own */
  #meet(own) {
    this.#asking.abort();
    this.#own = own;
    if (this.#isInView(own)) this.#show(own);
    this.#dialog.update(own);
    this.#updateBar();
    if (this.#draft?.subject === own.subject) this.#dialog.open(own, this.#draft.values);
    this.#draft = null;
  }

  /** Whether the page is about this profile, under whatever handle. @param {Profile} profile */
  #isInView({ subject, handle }) {
    return ["", handle].includes(handleInAddress()) || this.#view.profile?.subject === subject;
  }

  /** @param {Profile} profile */
  #show(profile) {
    this.#view.show(profile, { own: profile.subject === this.#own?.subject });
    this.#screens.show(this.#view.element);
    putIntoAddress(profile.handle);
    this.#updateBar();
  }

  async #edit() {
    if (this.#own) this.#dialog.open(this.#own);
    await this.#recognise();
  }

  /** The profile of whoever is signed in has changed in this tab. @param {Profile} profile */
  #changed(profile) {
    this.#meet(profile);
    this.#tabs.say("profile", profile);
  }

  #listen() {
    this.#session.addEventListener("started", () => this.#onStarted());
    this.#session.addEventListener("ended", (event) => this.#onEnded(detailOf(event).reason));
    this.#tabs.listen("profile", (profile) => this.#onChangedElsewhere(profile));
    this.#dialog.addEventListener("saved", (event) => {
      this.#changed(detailOf(event));
      this.#toast.show("Saved.");
    });
    this.#dialog.addEventListener("avatar", (event) => {
      const { url, updated_at, images } = detailOf(event);
      if (this.#own) this.#changed({ ...this.#own, avatar: { url, updated_at, images } });
    });
    this.#dialog.addEventListener("abandoned", () => void this.#recognise());
    this.#dialog.addEventListener("closed", () => this.#view.editButton.focus());
  }

  #onStarted() {
    if (this.#signIn.isShown) void this.open({ focus: true });
    else if (handleInAddress()) void this.#recognise();
  }

  /** @param {keyof typeof ENDINGS} reason */
  #onEnded(reason) {
    const draft = this.#dialog.interrupt();
    this.#draft = draft ?? this.#draft;
    this.#own = null;
    this.#asking.abort();
    if (draft || !handleInAddress()) this.#showSignIn(`${ENDINGS[reason]}${draft ? " What you typed is kept." : ""}`);
    else this.#toast.show(ENDINGS[reason]);
    if (this.#view.profile) this.#view.show(this.#view.profile, { own: false });
    this.#updateBar();
  }

  /** @param {Profile} profile */
  #onChangedElsewhere(profile) {
    if (this.#own?.subject === profile.subject) this.#meet(profile);
    else if (this.#view.profile?.subject === profile.subject) this.#show(profile);
  }

  /** @param {string} [note] */
  #showSignIn(note) {
    this.#opening.abort();
    this.#signIn.show({ note, canGoBack: handleInAddress() !== "" });
    this.#updateBar();
  }

  /** @param {unknown} error @param {string} handle */
  #showFailure(error, handle) {
    // The end of a session is told when it comes.
    if (error instanceof SignedOutError) return;
    const isMissing = error instanceof ApiError && error.status === 404;
    this.#screens.show(isMissing ? missingSection(handle) : this.#failedSection(error));
    this.#updateBar();
  }

  /** @param {unknown} error */
  #failedSection(error) {
    const section = copyOf("failed");
    find(section, ".reason", HTMLElement).textContent = reasonOf(error);
    find(section, "button", HTMLButtonElement).addEventListener("click", () => void this.open({ focus: true }));
    return section;
  }

  #updateBar() {
    this.#bar.show({
      signedIn: this.#session.signedIn,
      signingIn: this.#signIn.isShown,
      elsewhere: this.#own !== null && this.#own.handle !== handleInAddress(),
    });
  }
}

/** @param {string} handle */
function missingSection(handle) {
  const section = copyOf("missing");
  find(section, "h1", HTMLElement).textContent = `There is no profile @${handle}`;
  return section;
}

/** @param {unknown} error */
function reasonOf(error) {
  const status = error instanceof ApiError ? error.status : 0;
  if (error instanceof NetworkError) return "There is no connection, or the service does not answer.";
  if (status === 503) return "The database did not wake up. It may be there in a minute.";
  if (status === 429) return "The service is busy. It may have time in a minute.";
  return "Something went wrong on the server.";
}

/** None where the browser forbids pages to keep anything. */
function storage() {
  try {
    return sessionStorage;
  } catch {
    return undefined;
  }
}

/** @param {Event} event @returns {any} */
function detailOf(event) {
  return /** @type {CustomEvent} */ (event).detail;
}

const page = new Page(document.documentElement.dataset);
void page.open();
