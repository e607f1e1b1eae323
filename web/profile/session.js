import { CognitoError } from "./cognito.js";

const STORED = "avatars-refresh-token";
/** How long a new tab waits for others that may know who is signed in, in milliseconds. A later answer is taken too. */
const HEARSAY = 250;
/** An access token is renewed this many milliseconds before it expires, so that it is good on arrival. */
const MARGIN = 60_000;

/** Nobody is signed in, or nobody is any more. */
export class SignedOutError extends Error {}

/**
 * Who is signed in, in all tabs of this origin.
 *
 * The access token is in memory only. The refresh token is in sessionStorage, which survives a reload and ends with the
 * tab; a new tab is told it by one that is open.
 *
 * Events: `started`, and `ended` with `detail.reason`: "signed-out" here, "elsewhere", or "expired".
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

  /** Resolves when it is known whether somebody is signed in. @type {Promise<void>} */
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
    this.#refreshToken = storage?.getItem(STORED) ?? null;
    tabs.listen("session-wanted", () => this.#tell());
    tabs.listen("session", ({ refreshToken }) => this.signedIn || this.#begin(refreshToken));
    tabs.listen("session-ended", () => this.#end("elsewhere"));
    this.ready = this.signedIn ? Promise.resolve() : this.#askOthers();
  }

  get signedIn() {
    return this.#refreshToken !== null;
  }

  /** Somebody has signed in here. @param {import("./cognito.js").Tokens} tokens */
  start(tokens) {
    this.#keep(tokens);
    this.#begin(tokens.refreshToken);
    this.#tell();
  }

  /**
   * An access token that is good now.
   *
   * @param {{refresh?: boolean}} [options] `refresh`: the one given before was refused.
   * @throws {SignedOutError} After `ended`, when there is no session any more.
   * @throws {import("./http.js").NetworkError} The session stays.
   * @throws {CognitoError} For other refusals, such as too many requests. The session stays.
   */
  async token({ refresh = false } = {}) {
    if (this.#refreshToken === null) throw new SignedOutError("nobody is signed in");
    if (!refresh && this.#access && Date.now() < this.#access.staleAt) return this.#access.token;
    // However many ask at once, one request answers them.
    this.#refreshing ??= this.#refresh(this.#refreshToken).finally(() => (this.#refreshing = null));
    return this.#refreshing;
  }

  /** Signs out every tab at once, then tells Cognito; without a connection the token is forgotten all the same. */
  async signOut() {
    const refreshToken = this.#refreshToken;
    this.end("signed-out");
    if (refreshToken) await this.#cognito.revoke(refreshToken).catch(() => {});
  }

  /** The session is of no use any more, here and in the other tabs. @param {"signed-out" | "expired"} reason */
  end(reason) {
    this.#end(reason);
    this.#tabs.say("session-ended");
  }

  /** @param {string} refreshToken */
  async #refresh(refreshToken) {
    try {
      const access = await this.#cognito.refresh(refreshToken);
      // Signed out, or in as somebody else, while Cognito thought about it.
      if (this.#refreshToken !== refreshToken) throw new SignedOutError("the session has ended");
      this.#keep(access);
      return access.accessToken;
    } catch (error) {
      if (!isFinal(error)) throw error;
      if (this.#refreshToken === refreshToken) this.end("expired");
      throw new SignedOutError("the session has ended", { cause: error });
    }
  }

  /** @param {import("./cognito.js").Access} access */
  #keep({ accessToken, expiresIn }) {
    this.#access = { token: accessToken, staleAt: Date.now() + expiresIn * 1000 - MARGIN };
  }

  /** @param {string} refreshToken */
  #begin(refreshToken) {
    this.#refreshToken = refreshToken;
    this.#storage?.setItem(STORED, refreshToken);
    this.dispatchEvent(new Event("started"));
  }

  /** @param {string} reason */
  #end(reason) {
    if (!this.signedIn) return;
    this.#refreshToken = this.#access = this.#refreshing = null;
    this.#storage?.removeItem(STORED);
    this.dispatchEvent(new CustomEvent("ended", { detail: { reason } }));
  }

  #tell() {
    if (this.signedIn) this.#tabs.say("session", { refreshToken: this.#refreshToken });
  }

  #askOthers() {
    this.#tabs.say("session-wanted");
    /** @type {Promise<void>} */
    const answered = new Promise((resolve) => {
      this.addEventListener("started", () => resolve(), { once: true });
      setTimeout(resolve, HEARSAY);
    });
    return answered;
  }
}

/**
 * Whether asking again cannot help: the token has expired or was revoked, or the user is gone or switched off.
 *
 * @param {unknown} error
 */
function isFinal(error) {
  return (
    error instanceof CognitoError &&
    ["NotAuthorizedException", "UserNotFoundException", "PasswordResetRequiredException"].includes(error.code)
  );
}
