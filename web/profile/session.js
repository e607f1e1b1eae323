import { CognitoError } from "./cognito.js";

const STORAGE_KEY = "avatars-refresh-token";
/** How long a new tab waits for the session of another tab. A later message is accepted too. */
const OTHER_TABS_WAIT_MS = 250;
/** An access token is refreshed this long before it expires, so that it is still valid on arrival. */
const EXPIRY_MARGIN_MS = 60_000;

/** There is no session, or it has ended. */
export class SignedOutError extends Error {}

/**
 * The session of the signed-in user, shared by all tabs of this origin.
 *
 * The access token is in memory only. The refresh token is in sessionStorage, which survives a reload and ends with the
 * tab; an open tab sends it to a new one.
 *
 * Events: `started`, and `ended` with `detail.reason`: "signed-out" or "deleted" here, "elsewhere", or "expired".
 */
export class Session extends EventTarget {
  #cognito;
  #tabs;
  #storage;
  /** @type {string | null} */
  #refreshToken = null;
  /** @type {{token: string, staleAt: number} | null} */
  #access = null;
  /** @type {Promise<string> | null} */
  #refreshing = null;

  /** Resolves when it is known whether there is a session. @type {Promise<void>} */
  ready;

  /**
   * @param {import("./cognito.js").Cognito} cognito
   * @param {import("./tabs.js").Tabs} tabs
   * @param {Storage} [storage] Without one, a reload signs out.
   */
  constructor(cognito, tabs, storage) {
    super();
    this.#cognito = cognito;
    this.#tabs = tabs;
    this.#storage = storage;
    this.#refreshToken = storage?.getItem(STORAGE_KEY) ?? null;
    tabs.listen("session-wanted", () => this.#shareSession());
    tabs.listen("session", ({ refreshToken }) => this.signedIn || this.#begin(refreshToken));
    tabs.listen("session-ended", () => this.#end("elsewhere"));
    this.ready = this.signedIn ? Promise.resolve() : this.#askOtherTabs();
  }

  get signedIn() {
    return this.#refreshToken !== null;
  }

  /** Starts a session after a sign-in in this tab. @param {import("./cognito.js").Tokens} tokens */
  start(tokens) {
    this.#setAccessToken(tokens);
    this.#begin(tokens.refreshToken);
    this.#shareSession();
  }

  /**
   * Returns a valid access token.
   *
   * @param {{refresh?: boolean}} [options] `refresh`: the API refused the previous token.
   * @throws {SignedOutError} When the session has ended.
   * @throws {import("./http.js").NetworkError} The session stays.
   * @throws {CognitoError} For other errors, such as too many requests. The session stays.
   */
  async getToken({ refresh = false } = {}) {
    if (this.#refreshToken === null) throw new SignedOutError("there is no session");
    if (!refresh && this.#access && Date.now() < this.#access.staleAt) return this.#access.token;
    // Concurrent callers share one request.
    this.#refreshing ??= this.#refresh(this.#refreshToken).finally(() => (this.#refreshing = null));
    return this.#refreshing;
  }

  /**
   * Signs out all tabs, then revokes the token; without a connection the tabs are signed out all the same.
   *
   * @param {"signed-out" | "deleted"} [reason] `deleted`: the user has deleted their profile.
   */
  async signOut(reason = "signed-out") {
    const refreshToken = this.#refreshToken;
    this.end(reason);
    if (refreshToken) await this.#cognito.revoke(refreshToken).catch(() => {});
  }

  /** Ends the session in all tabs. @param {"signed-out" | "deleted" | "expired"} reason */
  end(reason) {
    this.#end(reason);
    this.#tabs.broadcast("session-ended");
  }

  /** @param {string} refreshToken */
  async #refresh(refreshToken) {
    try {
      const access = await this.#cognito.refresh(refreshToken);
      // The session ended or was replaced during the request.
      if (this.#refreshToken !== refreshToken) throw new SignedOutError("the session has ended");
      this.#setAccessToken(access);
      return access.accessToken;
    } catch (error) {
      if (!isPermanent(error)) throw error;
      if (this.#refreshToken === refreshToken) this.end("expired");
      throw new SignedOutError("the session has ended", { cause: error });
    }
  }

  /** @param {import("./cognito.js").AccessToken} access */
  #setAccessToken({ accessToken, expiresIn }) {
    this.#access = { token: accessToken, staleAt: Date.now() + expiresIn * 1000 - EXPIRY_MARGIN_MS };
  }

  /** @param {string} refreshToken */
  #begin(refreshToken) {
    this.#refreshToken = refreshToken;
    this.#storage?.setItem(STORAGE_KEY, refreshToken);
    this.dispatchEvent(new Event("started"));
  }

  /** @param {string} reason */
  #end(reason) {
    if (!this.signedIn) return;
    this.#refreshToken = this.#access = this.#refreshing = null;
    this.#storage?.removeItem(STORAGE_KEY);
    this.dispatchEvent(new CustomEvent("ended", { detail: { reason } }));
  }

  #shareSession() {
    if (this.signedIn) this.#tabs.broadcast("session", { refreshToken: this.#refreshToken });
  }

  #askOtherTabs() {
    this.#tabs.broadcast("session-wanted");
    /** @type {Promise<void>} */
    const waited = new Promise((resolve) => {
      this.addEventListener("started", () => resolve(), { once: true });
      setTimeout(resolve, OTHER_TABS_WAIT_MS);
    });
    return waited;
  }
}

/**
 * Whether a retry cannot help: the token has expired or was revoked, or the user was deleted or disabled.
 *
 * @param {unknown} error
 */
function isPermanent(error) {
  return (
    error instanceof CognitoError &&
    ["NotAuthorizedException", "UserNotFoundException", "PasswordResetRequiredException"].includes(error.code)
  );
}
