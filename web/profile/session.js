const STORAGE_KEY = "avatars-refresh-token";
/** The name of the lock that lets one tab at a time use the refresh token. */
const RENEWAL_LOCK = "avatars-renewal";
/** How long a new tab waits for the session of another tab. A later message is accepted too. */
const OTHER_TABS_WAIT_MS = 250;
/** An access token is refreshed this long before it expires, so that it is still valid on arrival. */
const EXPIRY_MARGIN_MS = 60_000;

/** There is no session, or it has ended. */
export class SignedOutError extends Error {}

/**
 * @typedef {object} Tokens
 * @property {string} accessToken
 * @property {number} expiresIn Seconds until the access token expires.
 * @property {string} [refreshToken] Of a renewal: replaces the former one, which must not be used again.
 * @property {string} [idToken]
 */

/**
 * @typedef {object} IdentityProvider
 * @property {(refreshToken: string) => Promise<Tokens>} refresh
 * @property {(tokens: Partial<Tokens>, reason: "signed-out" | "deleted") => Promise<void>} signOut
 * @property {(error: unknown) => boolean} isRefusal Whether a retry of `refresh` cannot help.
 */

/**
 * @typedef {object} State What the tabs share.
 * @property {{token: string, staleAt: number} | null} access
 * @property {string} [refreshToken] Without one, the session ends with the access token.
 * @property {string} [idToken]
 */

/**
 * The session of the signed-in user, shared by all tabs of this origin.
 *
 * The access token is in memory only. The refresh token is in sessionStorage, which survives a reload and ends with the
 * tab; an open tab sends it to a new one.
 *
 * Events: `started`, and `ended` with `detail.reason`: "signed-out" or "deleted" here, "elsewhere", or "expired".
 */
export class Session extends EventTarget {
  #identity;
  #tabs;
  #storage;
  /** @type {State | null} */
  #state = null;
  /** @type {Promise<string> | null} */
  #renewing = null;

  /** Resolves when it is known whether there is a session. @type {Promise<void>} */
  ready;

  /**
   * @param {IdentityProvider} identity
   * @param {import("./tabs.js").Tabs} tabs
   * @param {Storage} [storage] Without one, a reload signs out.
   */
  constructor(identity, tabs, storage) {
    super();
    this.#identity = identity;
    this.#tabs = tabs;
    this.#storage = storage;
    const refreshToken = storage?.getItem(STORAGE_KEY);
    if (refreshToken) this.#state = { access: null, refreshToken };
    tabs.listen("session-wanted", () => this.#shareSession());
    tabs.listen("session", (state) => this.signedIn || this.#begin(state));
    tabs.listen("session-renewed", ({ former, state }) => this.#state?.refreshToken === former && this.#keep(state));
    tabs.listen("session-ended", () => this.#end("elsewhere"));
    this.ready = this.signedIn ? Promise.resolve() : this.#askOtherTabs();
  }

  get signedIn() {
    return this.#state !== null;
  }

  /** Starts a session after a sign-in in this tab. @param {Tokens} tokens */
  start(tokens) {
    this.#begin(createState(tokens));
    this.#shareSession();
  }

  /**
   * Returns a valid access token.
   *
   * @param {{refresh?: boolean}} [options] `refresh`: the API refused the previous token.
   * @throws {SignedOutError} When the session has ended.
   * @throws {import("./http.js").NetworkError} The session stays.
   * @throws {Error} The identity provider's, such as for too many requests. The session stays.
   */
  async getToken({ refresh = false } = {}) {
    const access = this.#access;
    if (!refresh && isFresh(access)) return access.token;
    // Concurrent callers share one request.
    this.#renewing ??= this.#renew(access).finally(() => (this.#renewing = null));
    return this.#renewing;
  }

  /**
   * Signs out all tabs, then at the identity provider; without a connection the tabs are signed out all the same.
   *
   * @param {"signed-out" | "deleted"} [reason] `deleted`: the user has deleted their profile.
   */
  async signOut(reason = "signed-out") {
    const state = this.#state;
    this.end(reason);
    if (state) await this.#identity.signOut(state, reason).catch(() => {});
  }

  /** Ends the session in all tabs. @param {"signed-out" | "deleted" | "expired"} reason */
  end(reason) {
    this.#end(reason);
    this.#tabs.broadcast("session-ended");
  }

  get #access() {
    return this.#state?.access ?? null;
  }

  /**
   * One tab at a time, because the identity provider may replace the refresh token, and end the session of a user whose
   * former one is used again. https://www.rfc-editor.org/rfc/rfc9700#section-4.14.2
   *
   * @param {State["access"]} former What is replaced.
   * @returns {Promise<string>}
   */
  #renew(former) {
    return new Promise((resolve, reject) => {
      const renew = async () => {
        const access = this.#access;
        // Another tab has renewed it while this one was waiting.
        if (access !== former && isFresh(access)) return resolve(access.token);
        try {
          const isShared = await this.#refresh();
          resolve(/** @type {State["access"] & {}} */ (this.#access).token);
          // The next tab does not begin before it can have read the message.
          if (isShared) await new Promise((resume) => setTimeout(resume, OTHER_TABS_WAIT_MS));
        } catch (error) {
          reject(error);
        }
      };
      // Where the browser forbids storage, it forbids locks, and there is one tab.
      navigator.locks.request(RENEWAL_LOCK, renew).catch(renew);
    });
  }

  /** Returns whether the refresh token was replaced, and other tabs were told. */
  async #refresh() {
    const state = this.#state;
    if (!state) throw new SignedOutError("there is no session");
    const former = state.refreshToken;
    if (!former) return this.#expire();
    const tokens = await this.#identity.refresh(former).catch((error) => {
      if (!this.#identity.isRefusal(error)) throw error;
      return this.#expire(former, error);
    });
    // The session ended or was replaced during the request.
    if (this.#state?.refreshToken !== former) throw new SignedOutError("the session has ended");
    const { access, refreshToken = former, idToken = state.idToken } = createState(tokens);
    this.#keep({ access, refreshToken, idToken });
    if (refreshToken !== former) this.#tabs.broadcast("session-renewed", { former, state: this.#state });
    return refreshToken !== former;
  }

  /** @param {string} [refreshToken] @param {unknown} [cause] @returns {never} */
  #expire(refreshToken, cause) {
    if (this.#state?.refreshToken === refreshToken) this.end("expired");
    throw new SignedOutError("the session has ended", { cause });
  }

  /** @param {State} state */
  #begin(state) {
    this.#keep(state);
    this.dispatchEvent(new Event("started"));
  }

  /** @param {State} state */
  #keep(state) {
    this.#state = state;
    if (state.refreshToken) this.#storage?.setItem(STORAGE_KEY, state.refreshToken);
  }

  /** @param {string} reason */
  #end(reason) {
    if (!this.signedIn) return;
    this.#state = this.#renewing = null;
    this.#storage?.removeItem(STORAGE_KEY);
    this.dispatchEvent(new CustomEvent("ended", { detail: { reason } }));
  }

  #shareSession() {
    if (this.#state) this.#tabs.broadcast("session", this.#state);
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

/** @param {Tokens} tokens @returns {State} */
function createState({ accessToken, expiresIn, refreshToken, idToken }) {
  const staleAt = Date.now() + expiresIn * 1000 - EXPIRY_MARGIN_MS;
  return { access: { token: accessToken, staleAt }, refreshToken, idToken };
}

/** @param {State["access"]} access @returns {access is NonNullable<State["access"]>} */
function isFresh(access) {
  return access !== null && Date.now() < access.staleAt;
}
