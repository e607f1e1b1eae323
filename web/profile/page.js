import { AccountBar } from "./account-bar.js";
import { ApiError, ProfileApi } from "./api.js";
import { Cognito } from "./cognito.js";
import { EditDialog } from "./edit-dialog.js";
import { findElement } from "./find-element.js";
import { readHandle, replaceHandle } from "./handle-in-url.js";
import { NetworkError } from "./http.js";
import { Issuer } from "./issuer.js";
import { IssuerSignIn } from "./issuer-sign-in.js";
import { isHandle } from "./profile-validation.js";
import { ProfileView } from "./profile-view.js";
import { retryWhileUnavailable } from "./retry-503.js";
import { Screens, cloneTemplate } from "./screens.js";
import { Session, SignedOutError } from "./session.js";
import { SignIn } from "./sign-in.js";
import { Tabs } from "./tabs.js";
import { Toast } from "./toast.js";

/** @typedef {import("./api.js").Profile} Profile */

const SESSION_ENDS = {
  "signed-out": "You are signed out.",
  deleted: "Your profile is deleted, and you are signed out. When you sign in again, you get a new one.",
  elsewhere: "You were signed out in another tab.",
  expired: "Your session has ended. Sign in again to go on.",
};

/** Shows the profile whose handle is in the URL, or the user's own, which can be edited. */
class Page {
  #tabs = new Tabs();
  #screens = new Screens(findElement(document, "#main", HTMLElement), findElement(document, "#announcer", HTMLElement));
  #view = new ProfileView(findElement(document, "#profile", HTMLElement), () => void this.#edit());
  #toast = new Toast(findElement(document, "#toast", HTMLElement));
  #bar = new AccountBar({
    onSignIn: () => this.#showSignIn({ requested: true }),
    onSignOut: () => void this.#session.signOut(),
  });
  /** The issuer's response that opened this page. @type {import("./issuer.js").Return | null} */
  #return = null;
  #session;
  #api;
  #signIn;
  #dialog;
  /** The user's own profile, once it is known. @type {Profile | null} */
  #ownProfile = null;
  /** Unsaved input of a session that ended. @type {import("./edit-dialog.js").Draft | null} */
  #draft = null;
  /** Aborts loading when something else is opened. */
  #opening = new AbortController();
  /** Aborts the request for the user's own profile when a newer one is known. */
  #refreshing = new AbortController();

  /** @param {DOMStringMap} settings The data attributes of profile.html: `issuer`, or `signInUrl` of Cognito. */
  constructor({ apiUrl = "", signInUrl = "", issuer = "", clientId = "", signInParameters = "" }) {
    const storage = getStorage();
    const listeners = {
      /** @param {import("./session.js").Tokens} tokens */
      onTokens: (tokens) => this.#session.start(tokens),
      onBack: () => void this.open({ focus: true }),
      getDraft: () => this.#draft,
    };
    const identity = issuer
      ? new Issuer(issuer, clientId, signInParameters, storage)
      : new Cognito(signInUrl, clientId);
    this.#session = new Session(identity, this.#tabs, storage);
    if (identity instanceof Issuer) {
      this.#return = identity.takeReturn();
      this.#signIn = new IssuerSignIn(identity, this.#screens, listeners);
    } else {
      this.#signIn = new SignIn(identity, this.#screens, listeners);
    }
    this.#api = new ProfileApi(apiUrl, this.#session);
    const dialog = findElement(document, "#edit-dialog", HTMLDialogElement);
    this.#dialog = new EditDialog(dialog, this.#api, (options) => this.#session.getToken(options));
    this.#listen();
  }

  /** Completes a sign-in or sign-out at the issuer, if the page was opened by its response, or loads the profile. */
  async start() {
    const response = this.#return;
    if (!response || !(this.#signIn instanceof IssuerSignIn)) return this.open();
    const { departure } = response;
    // A link with the response to somebody else's sign-in changes nothing for a user who is signed in.
    if (!departure) await this.#session.ready;
    if (!departure && this.#session.signedIn) return this.open();
    if (departure?.reason) return this.#showEnd(departure.reason);
    this.#draft = departure?.draft ?? null;
    const completion = this.#signIn.complete(response, { canGoBack: readHandle() !== "" });
    this.#updateBar();
    await completion;
  }

  /** Shows that the user is signed out, after coming back from the issuer. @param {keyof typeof SESSION_ENDS} reason */
  async #showEnd(reason) {
    if (!readHandle()) return this.#showSignIn({ note: SESSION_ENDS[reason] });
    this.#toast.show(SESSION_ENDS[reason]);
    await this.open();
  }

  /** Loads the profile that the URL names. `focus`: moves the focus to the heading, after an action of the user. */
  async open({ focus = false } = {}) {
    this.#opening.abort();
    this.#opening = new AbortController();
    const { signal } = this.#opening;
    const handle = readHandle();
    this.#view.showLoading(handle);
    this.#screens.show(this.#view.element);
    void this.#session.ready.then(() => this.#updateBar());
    try {
      await (handle ? this.#openPublicProfile(handle, signal) : this.#openOwnProfile(signal));
      if (focus && !signal.aborted) this.#screens.focus();
    } catch (error) {
      if (!signal.aborted) this.#showFailure(error, handle);
    }
  }

  /** @param {string} handle @param {AbortSignal} signal */
  async #openPublicProfile(handle, signal) {
    if (!isHandle(handle)) throw new ApiError(404);
    if (this.#session.signedIn) void this.#refreshOwnProfile();
    const profile = await this.#load(() => this.#api.getProfile(handle, signal), signal);
    // The user's own profile, which may have been loaded before, is not older.
    const own = this.#ownProfile;
    this.#show(own?.subject === profile.subject ? own : profile);
  }

  /** @param {AbortSignal} signal */
  async #openOwnProfile(signal) {
    await this.#session.ready;
    if (!this.#session.signedIn) this.#showSignIn();
    else this.#setOwnProfile(await this.#load(() => this.#api.getOwnProfile(signal), signal));
  }

  /**
   * @template Result
   * @param {() => Promise<Result>} call
   * @param {AbortSignal} signal
   */
  #load(call, signal) {
    return retryWhileUnavailable(call, signal, (waiting) => this.#view.showUnavailable(waiting));
  }

  /** Loads the user's own profile, while another one may be in view. */
  async #refreshOwnProfile() {
    this.#refreshing.abort();
    this.#refreshing = new AbortController();
    const { signal } = this.#refreshing;
    const loading = retryWhileUnavailable(
      () => this.#api.getOwnProfile(signal),
      signal,
      () => {},
    );
    // After an error the profile in view remains, and cannot be edited until the next attempt.
    const own = await loading.catch(() => null);
    if (own) this.#setOwnProfile(own);
  }

  /** Shows the current state of the user's own profile. @param {Profile} own */
  #setOwnProfile(own) {
    this.#refreshing.abort();
    this.#ownProfile = own;
    if (this.#isInView(own)) this.#show(own);
    this.#dialog.update(own);
    this.#updateBar();
    if (this.#draft?.subject === own.subject) this.#dialog.open(own, this.#draft.values);
    this.#draft = null;
  }

  /** Whether this profile is in view, also under a former handle. @param {Profile} profile */
  #isInView({ subject, handle }) {
    return ["", handle].includes(readHandle()) || this.#view.profile?.subject === subject;
  }

  /** @param {Profile} profile */
  #show(profile) {
    this.#view.show(profile, { own: profile.subject === this.#ownProfile?.subject });
    this.#screens.show(this.#view.element);
    replaceHandle(profile.handle);
    this.#updateBar();
  }

  async #edit() {
    if (this.#ownProfile) this.#dialog.open(this.#ownProfile);
    await this.#refreshOwnProfile();
  }

  /** Shows a change of the user's own profile in all tabs. @param {Profile} profile */
  #publishChange(profile) {
    this.#setOwnProfile(profile);
    this.#tabs.broadcast("profile", profile);
  }

  #listen() {
    this.#session.addEventListener("started", () => this.#onStarted());
    this.#session.addEventListener("ended", (event) => this.#onEnded(getDetail(event).reason));
    this.#tabs.listen("profile", (profile) => this.#onChangedElsewhere(profile));
    this.#tabs.listen("profile-deleted", (profile) => this.#onDeletedElsewhere(profile));
    this.#dialog.addEventListener("saved", (event) => {
      this.#publishChange(getDetail(event));
      this.#toast.show("Saved.");
    });
    this.#dialog.addEventListener("avatar", (event) => {
      const manifest = getDetail(event);
      const avatar = manifest && { url: manifest.url, updated_at: manifest.updated_at, images: manifest.images };
      if (this.#ownProfile) this.#publishChange({ ...this.#ownProfile, avatar });
    });
    // A request for the profile after its deletion would create a new one.
    this.#dialog.addEventListener("deleting", () => this.#refreshing.abort());
    this.#dialog.addEventListener("deleted", (event) => {
      this.#tabs.broadcast("profile-deleted", getDetail(event));
      replaceHandle("");
      void this.#session.signOut("deleted");
    });
    this.#dialog.addEventListener("abandoned", () => void this.#refreshOwnProfile());
    this.#dialog.addEventListener("closed", () => this.#view.editButton.focus());
  }

  #onStarted() {
    if (this.#signIn.isShown) void this.open({ focus: true });
    else if (readHandle()) void this.#refreshOwnProfile();
  }

  /** @param {keyof typeof SESSION_ENDS} reason */
  #onEnded(reason) {
    const draft = this.#dialog.interrupt();
    this.#draft = draft ?? this.#draft;
    this.#ownProfile = null;
    this.#refreshing.abort();
    const note = `${SESSION_ENDS[reason]}${draft ? " What you typed is kept." : ""}`;
    if (draft || !readHandle()) this.#showSignIn({ note });
    else this.#toast.show(SESSION_ENDS[reason]);
    if (this.#view.profile) this.#view.show(this.#view.profile, { own: false });
    this.#updateBar();
  }

  /** @param {Profile} profile */
  #onChangedElsewhere(profile) {
    if (this.#ownProfile?.subject === profile.subject) this.#setOwnProfile(profile);
    else if (this.#view.profile?.subject === profile.subject) this.#show(profile);
  }

  /** @param {Profile} profile */
  #onDeletedElsewhere({ subject, handle }) {
    if (this.#view.profile?.subject === subject) this.#screens.show(createMissingSection(handle));
  }

  /** @param {{note?: string, requested?: boolean}} [options] */
  #showSignIn(options) {
    this.#opening.abort();
    this.#signIn.show({ ...options, canGoBack: readHandle() !== "" });
    this.#updateBar();
  }

  /** @param {unknown} error @param {string} handle */
  #showFailure(error, handle) {
    // Shown by #onEnded.
    if (error instanceof SignedOutError) return;
    const isMissing = error instanceof ApiError && error.status === 404;
    this.#screens.show(isMissing ? createMissingSection(handle) : this.#createFailedSection(error));
    this.#updateBar();
  }

  /** @param {unknown} error */
  #createFailedSection(error) {
    const section = cloneTemplate("failed");
    findElement(section, ".reason", HTMLElement).textContent = describeError(error);
    findElement(section, "button", HTMLButtonElement).addEventListener("click", () => void this.open({ focus: true }));
    return section;
  }

  #updateBar() {
    this.#bar.show({
      signedIn: this.#session.signedIn,
      signingIn: this.#signIn.isShown,
      elsewhere: this.#ownProfile !== null && this.#ownProfile.handle !== readHandle(),
    });
  }
}

/** @param {string} handle */
function createMissingSection(handle) {
  const section = cloneTemplate("missing");
  findElement(section, "h1", HTMLElement).textContent = `There is no profile @${handle}`;
  return section;
}

/** @param {unknown} error */
function describeError(error) {
  const status = error instanceof ApiError ? error.status : 0;
  if (error instanceof NetworkError) return "There is no connection, or the service does not answer.";
  if (status === 503) return "The database did not wake up. It may be there in a minute.";
  if (status === 429) return "The service is busy. It may have time in a minute.";
  return "Something went wrong on the server.";
}

/** Undefined where the browser forbids storage. */
function getStorage() {
  try {
    return sessionStorage;
  } catch {
    return undefined;
  }
}

/** @param {Event} event @returns {any} */
function getDetail(event) {
  return /** @type {CustomEvent} */ (event).detail;
}

const page = new Page(document.documentElement.dataset);
void page.start();
