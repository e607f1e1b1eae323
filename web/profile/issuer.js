import { readHandle, replaceQuery } from "./handle-in-url.js";
import { NetworkError } from "./http.js";

/** @typedef {import("./session.js").Tokens} Tokens */
/** @typedef {typeof import("./vendor/oauth4webapi.js")} Library */
/** @typedef {{oauth: Library, client: any, metadata: any}} Loaded */

/**
 * @typedef {object} Departure What this tab remembers while it shows the issuer's page.
 * @property {string} state
 * @property {string} handle The profile to come back to, "" for the user's own.
 * @property {string} [nonce] Of a sign-in, like `verifier`.
 * @property {string} [verifier]
 * @property {import("./edit-dialog.js").Draft | null} [draft]
 * @property {"signed-out" | "deleted"} [reason] Of a sign-out.
 */

/**
 * @typedef {object} Return
 * @property {URLSearchParams} parameters Of the issuer's response. Anyone can make a link with such parameters.
 * @property {Departure | null} departure The request of this tab that the response belongs to, if there is one.
 */

const STORAGE_KEY = "avatars-issuer";
const TIMEOUT_MS = 35_000;
/**
 * The ID token comes from the issuer, over TLS, for a code that only this tab can redeem. Its times prove nothing more,
 * and the clocks of visitors are wrong at times.
 */
const CLOCK_TOLERANCE_SECONDS = 86_400;

/** The response does not belong to a request of this tab: it is forged, or was used before. */
export class UnexpectedResponseError extends Error {}

/** The browser forbids the storage that a sign-in at another site needs. */
export class StorageError extends Error {}

/**
 * Client of an OpenID Connect issuer: authorization code with PKCE, as a public client.
 * https://openid.net/specs/openid-connect-core-1_0.html#CodeFlowAuth, https://www.rfc-editor.org/rfc/rfc9700
 *
 * Every method throws NetworkError without a response, and errors of oauth4webapi for one that is an error or invalid.
 */
export class Issuer {
  #identifier;
  #clientId;
  #parameters;
  #storage;
  /** @type {Promise<Loaded> | null} */
  #loading = null;

  /**
   * @param {string} identifier The issuer's URL.
   * @param {string} clientId
   * @param {string} parameters What the authorization request has besides the parameters of the flow, URL-encoded.
   * @param {Storage} [storage] Without one, nobody can sign in.
   */
  constructor(identifier, clientId, parameters, storage) {
    this.#identifier = identifier;
    this.#clientId = clientId;
    this.#parameters = new URLSearchParams(parameters);
    this.#storage = storage;
  }

  /**
   * Goes to the issuer's page.
   *
   * @param {import("./edit-dialog.js").Draft | null} draft For `takeReturn`.
   * @throws {StorageError}
   */
  async goToSignIn(draft) {
    const { oauth, metadata } = await this.#load();
    const [state, nonce, verifier] = [
      oauth.generateRandomState(),
      oauth.generateRandomNonce(),
      oauth.generateRandomCodeVerifier(),
    ];
    const url = getEndpoint(metadata, "authorization_endpoint");
    setParameters(url, {
      ...Object.fromEntries(this.#parameters),
      response_type: "code",
      client_id: this.#clientId,
      redirect_uri: getPageUrl(),
      state,
      nonce,
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
      code_challenge_method: "S256",
    });
    this.#leave({ state, nonce, verifier, draft, handle: readHandle() }, url);
  }

  /**
   * The issuer's response in the page's URL, if there is one. Removes it from there, so that it is in no history entry
   * and no bookmark, and forgets the request, so that no response is accepted twice.
   *
   * @returns {Return | null}
   */
  takeReturn() {
    const parameters = new URLSearchParams(location.search);
    if (!["code", "error", "state"].some((name) => parameters.has(name))) return null;
    const stored = this.#storage?.getItem(STORAGE_KEY);
    this.#storage?.removeItem(STORAGE_KEY);
    /** @type {Departure | null} */
    const expected = stored ? JSON.parse(stored) : null;
    const departure = expected?.state === parameters.get("state") ? expected : null;
    replaceQuery(departure ? departure.handle : readHandle());
    return { parameters, departure };
  }

  /** @param {Return} response @returns {Promise<Tokens>} @throws {UnexpectedResponseError} */
  async redeem({ parameters, departure }) {
    if (!departure?.verifier) throw new UnexpectedResponseError("no sign-in of this tab has this state");
    const { oauth, client, metadata } = await this.#load();
    const response = await oauth.authorizationCodeGrantRequest(
      metadata,
      client,
      oauth.None(),
      // Compares `state`, and `iss` as in https://www.rfc-editor.org/rfc/rfc9207
      oauth.validateAuthResponse(metadata, client, parameters, departure.state),
      getPageUrl(),
      departure.verifier,
      this.#getTokenOptions(oauth),
    );
    const checks = { expectedNonce: departure.nonce, requireIdToken: true };
    return parseTokens(await oauth.processAuthorizationCodeResponse(metadata, client, response, checks));
  }

  /** @param {string} refreshToken @returns {Promise<Tokens>} */
  async refresh(refreshToken) {
    const { oauth, client, metadata } = await this.#load();
    const options = this.#getTokenOptions(oauth);
    const response = await oauth.refreshTokenGrantRequest(metadata, client, oauth.None(), refreshToken, options);
    return parseTokens(await oauth.processRefreshTokenResponse(metadata, client, response));
  }

  /**
   * Revokes the refresh token, and goes to the page where the issuer ends its own session, as far as it has these.
   * https://www.rfc-editor.org/rfc/rfc7009, https://openid.net/specs/openid-connect-rpinitiated-1_0.html
   *
   * @param {Partial<Tokens>} tokens
   * @param {"signed-out" | "deleted"} reason For `takeReturn`.
   */
  async signOut({ refreshToken, idToken }, reason) {
    const { oauth, client, metadata } = await this.#load();
    if (refreshToken && metadata.revocation_endpoint) {
      const options = getOptions(oauth, { keepalive: true });
      // Not awaited: it continues when the page is left, and nothing depends on its result.
      oauth.revocationRequest(metadata, client, oauth.None(), refreshToken, options).catch(() => {});
    }
    if (!metadata.end_session_endpoint) return;
    const url = getEndpoint(metadata, "end_session_endpoint");
    const state = oauth.generateRandomState();
    setParameters(url, { client_id: this.#clientId, post_logout_redirect_uri: getPageUrl(), state });
    if (idToken) setParameters(url, { id_token_hint: idToken });
    this.#leave({ state, reason, handle: readHandle() }, url);
  }

  /**
   * Whether a retry cannot help: the refresh token has expired or was revoked, or the user has to sign in again.
   *
   * @param {unknown} error
   */
  isRefusal(error) {
    return error instanceof Error && error.name === "ResponseBodyError" && /** @type {any} */ (error).status !== 429;
  }

  /** Loads the library and the issuer's metadata when they are needed: most visitors do not sign in. */
  #load() {
    this.#loading ??= this.#discover().catch((error) => {
      this.#loading = null;
      throw error;
    });
    return this.#loading;
  }

  /** @returns {Promise<Loaded>} */
  async #discover() {
    const oauth = await import("./vendor/oauth4webapi.js").catch((cause) => {
      throw new NetworkError("the library cannot be loaded", { cause });
    });
    const identifier = new URL(this.#identifier);
    const response = await oauth.discoveryRequest(identifier, getOptions(oauth, { cache: "default" }));
    return {
      oauth,
      client: { client_id: this.#clientId, [oauth.clockTolerance]: CLOCK_TOLERANCE_SECONDS },
      metadata: await oauth.processDiscoveryResponse(identifier, response),
    };
  }

  /** @param {Library} oauth */
  #getTokenOptions(oauth) {
    const resource = this.#parameters.get("resource");
    // https://www.rfc-editor.org/rfc/rfc8707#section-2.2
    return { ...getOptions(oauth), ...(resource && { additionalParameters: { resource } }) };
  }

  /** @param {Departure} departure @param {URL} url */
  #leave(departure, url) {
    if (!this.#storage) throw new StorageError("a response could not be told from a forged one");
    this.#storage.setItem(STORAGE_KEY, JSON.stringify(departure));
    location.assign(url);
  }
}

/** The redirect URI: the page's URL without a handle. */
function getPageUrl() {
  return location.origin + location.pathname;
}

/** Whether the page is that of a local run: any other is redirected to HTTPS. */
function isLocal() {
  return location.protocol === "http:";
}

/** A page of the issuer. @param {any} metadata @param {string} name @throws {TypeError} If the URL is invalid. */
function getEndpoint(metadata, name) {
  const url = new URL(metadata[name]);
  if (!["https:", location.protocol].includes(url.protocol)) throw new TypeError(`${name} has no https:// URL`);
  return url;
}

/** @param {URL} url @param {Record<string, string>} parameters */
function setParameters(url, parameters) {
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
}

/** @param {Library} oauth @param {RequestInit} [settings] */
function getOptions(oauth, settings) {
  return {
    [oauth.allowInsecureRequests]: isLocal(),
    /** @param {string} url @param {any} init */
    [oauth.customFetch]: async (url, init) => {
      try {
        const signal = AbortSignal.timeout(TIMEOUT_MS);
        return await fetch(url, { cache: "no-store", credentials: "omit", ...init, ...settings, signal });
      } catch (cause) {
        throw new NetworkError("no response", { cause });
      }
    },
  };
}

/** @param {any} response @returns {Tokens} */
function parseTokens({ access_token, expires_in = Infinity, refresh_token, id_token }) {
  return { accessToken: access_token, expiresIn: expires_in, refreshToken: refresh_token, idToken: id_token };
}
