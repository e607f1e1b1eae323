import { fetchJson } from "./http.js";

/** @typedef {import("./session.js").Tokens} Tokens */

/**
 * @typedef {object} Challenge A step that Cognito requires before it issues tokens.
 * @property {string} name `NEW_PASSWORD_REQUIRED`, `SOFTWARE_TOKEN_MFA`, or one that is not supported.
 * @property {string} session
 * @property {string} username
 */

/** @typedef {{tokens: Tokens, challenge?: undefined} | {tokens?: undefined, challenge: Challenge}} AuthResult */

/** An error response of Cognito. `code` is the name of its exception, such as `NotAuthorizedException`. */
export class CognitoError extends Error {
  /** @param {string} code @param {string} message */
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/**
 * Client of the Cognito operations that need no AWS credentials.
 * https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/Welcome.html
 *
 * Every method throws CognitoError, and NetworkError without a response.
 */
export class Cognito {
  #url;
  #clientId;

  /** @param {string} url @param {string} clientId Of an app client without a secret. */
  constructor(url, clientId) {
    this.#url = url;
    this.#clientId = clientId;
  }

  /** @param {string} username @param {string} password @returns {Promise<AuthResult>} */
  async signIn(username, password) {
    const response = await this.#call("InitiateAuth", {
      AuthFlow: "USER_PASSWORD_AUTH",
      AuthParameters: { USERNAME: username, PASSWORD: password },
    });
    return parseAuthResult(response, username);
  }

  /** @param {Challenge} challenge @param {string} password @returns {Promise<AuthResult>} */
  respondWithNewPassword(challenge, password) {
    return this.#respond(challenge, { NEW_PASSWORD: password });
  }

  /** @param {Challenge} challenge @param {string} code Of an authenticator app. @returns {Promise<AuthResult>} */
  respondWithCode(challenge, code) {
    return this.#respond(challenge, { SOFTWARE_TOKEN_MFA_CODE: code });
  }

  /** Sends a code to the user's verified address. @param {string} username */
  async forgotPassword(username) {
    await this.#call("ForgotPassword", { Username: username });
  }

  /**
   * Sets a new password with a code from `forgotPassword` or from an administrator's reset.
   *
   * @param {string} username
   * @param {string} code
   * @param {string} password
   */
  async confirmForgotPassword(username, code, password) {
    await this.#call("ConfirmForgotPassword", { Username: username, ConfirmationCode: code, Password: password });
  }

  /** @param {string} refreshToken @returns {Promise<Tokens>} */
  async refresh(refreshToken) {
    const response = await this.#call("InitiateAuth", {
      AuthFlow: "REFRESH_TOKEN_AUTH",
      AuthParameters: { REFRESH_TOKEN: refreshToken },
    });
    return parseTokens(response.AuthenticationResult);
  }

  /** Revokes the refresh token. The request continues when the page is closed. @param {Partial<Tokens>} tokens */
  async signOut({ refreshToken }) {
    await this.#call("RevokeToken", { Token: refreshToken }, { keepalive: true });
  }

  /**
   * Whether a retry cannot help: the token has expired or was revoked, or the user was deleted or disabled.
   *
   * @param {unknown} error
   */
  isRefusal(error) {
    return (
      error instanceof CognitoError &&
      ["NotAuthorizedException", "UserNotFoundException", "PasswordResetRequiredException"].includes(error.code)
    );
  }

  /** @param {Challenge} challenge @param {Record<string, string>} responses */
  async #respond(challenge, responses) {
    const response = await this.#call("RespondToAuthChallenge", {
      ChallengeName: challenge.name,
      Session: challenge.session,
      ChallengeResponses: { USERNAME: challenge.username, ...responses },
    });
    return parseAuthResult(response, challenge.username);
  }

  /** @param {string} operation @param {object} parameters @param {RequestInit} [init] */
  async #call(operation, parameters, init = {}) {
    const { status, body } = await fetchJson(this.#url, {
      ...init,
      method: "POST",
      headers: {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": `AWSCognitoIdentityProviderService.${operation}`,
      },
      body: JSON.stringify({ ClientId: this.#clientId, ...parameters }),
    });
    if (status === 200) return body ?? {};
    // The name may have a namespace: com.amazonaws.cognito.identity.idp.model#NotAuthorizedException
    const code = body?.__type?.split("#").at(-1) ?? `Status${status}`;
    throw new CognitoError(code, body?.message ?? body?.Message ?? "");
  }
}

/** @param {any} response @param {string} username @returns {AuthResult} */
function parseAuthResult(response, username) {
  const result = response.AuthenticationResult;
  if (result) return { tokens: parseTokens(result) };
  return {
    challenge: {
      name: response.ChallengeName,
      session: response.Session,
      // The user name behind an alias, such as an email address.
      username: response.ChallengeParameters?.USER_ID_FOR_SRP ?? username,
    },
  };
}

/** @param {any} result @returns {Tokens} */
function parseTokens(result) {
  return { accessToken: result.AccessToken, expiresIn: result.ExpiresIn, refreshToken: result.RefreshToken };
}
