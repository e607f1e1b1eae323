import { fetchJson } from "./http.js";

/**
 * @typedef {object} Access
 * @property {string} accessToken
 * @property {number} expiresIn Seconds until the access token expires.
 */

/** @typedef {Access & {refreshToken: string}} Tokens */

/**
 * @typedef {object} Challenge What Cognito asks for before it gives tokens.
 * @property {string} name `NEW_PASSWORD_REQUIRED`, `SOFTWARE_TOKEN_MFA`, or one that is not answered here.
 * @property {string} session
 * @property {string} username
 */

/** @typedef {{tokens: Tokens, challenge?: undefined} | {tokens?: undefined, challenge: Challenge}} Outcome */

/** Cognito refused. `code` is the name of its exception, such as `NotAuthorizedException`. */
export class CognitoError extends Error {
  /** @param {string} code @param {string} message */
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/**
 * The operations of Cognito's public endpoint that need no AWS credentials.
 * https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/Welcome.html
 *
 * Every method throws CognitoError, and NetworkError when there is no answer.
 */
export class Cognito {
  #url;
  #clientId;

  /** @param {string} url @param {string} clientId Of an app client without a secret. */
  constructor(url, clientId) {
    this.#url = url;
    this.#clientId = clientId;
  }

  /** @param {string} username @param {string} password @returns {Promise<Outcome>} */
  async signIn(username, password) {
    const answer = await this.#call("InitiateAuth", {
      AuthFlow: "USER_PASSWORD_AUTH",
      AuthParameters: { USERNAME: username, PASSWORD: password },
    });
    return outcome(answer, username);
  }

  /** @param {Challenge} challenge @param {string} password @returns {Promise<Outcome>} */
  answerNewPassword(challenge, password) {
    return this.#answer(challenge, { NEW_PASSWORD: password });
  }

  /** @param {Challenge} challenge @param {string} code Of an authenticator app. @returns {Promise<Outcome>} */
  answerCode(challenge, code) {
    return this.#answer(challenge, { SOFTWARE_TOKEN_MFA_CODE: code });
  }

  /** Sends a code to the user's confirmed address. @param {string} username */
  async forgotPassword(username) {
    await this.#call("ForgotPassword", { Username: username });
  }

  /**
   * Sets a new password with a code that `forgotPassword`, or an administrator, had sent.
   *
   * @param {string} username
   * @param {string} code
   * @param {string} password
   */
  async confirmForgotPassword(username, code, password) {
    await this.#call("ConfirmForgotPassword", { Username: username, ConfirmationCode: code, Password: password });
  }

  /** @param {string} refreshToken @returns {Promise<Access>} */
  async refresh(refreshToken) {
    const answer = await this.#call("InitiateAuth", {
      AuthFlow: "REFRESH_TOKEN_AUTH",
      AuthParameters: { REFRESH_TOKEN: refreshToken },
    });
    return access(answer.AuthenticationResult);
  }

  /** After this the refresh token gives no more access tokens. Outlives the page. @param {string} refreshToken */
  async revoke(refreshToken) {
    await this.#call("RevokeToken", { Token: refreshToken }, { keepalive: true });
  }

  /** @param {Challenge} challenge @param {Record<string, string>} responses */
  async #answer(challenge, responses) {
    const answer = await this.#call("RespondToAuthChallenge", {
      ChallengeName: challenge.name,
      Session: challenge.session,
      ChallengeResponses: { USERNAME: challenge.username, ...responses },
    });
    return outcome(answer, challenge.username);
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
    // The name may come with a namespace: com.amazonaws.cognito.identity.idp.model#NotAuthorizedException
    const code = body?.__type?.split("#").at(-1) ?? `Status${status}`;
    throw new CognitoError(code, body?.message ?? body?.Message ?? "");
  }
}

/** @param {any} answer @param {string} username @returns {Outcome} */
function outcome(answer, username) {
  const result = answer.AuthenticationResult;
  if (result) return { tokens: { ...access(result), refreshToken: result.RefreshToken } };
  return {
    challenge: {
      name: answer.ChallengeName,
      session: answer.Session,
      // Somebody who signed in with an alias, such as an e-mail address, goes on under the name behind it.
      username: answer.ChallengeParameters?.USER_ID_FOR_SRP ?? username,
    },
  };
}

/** @param {any} result @returns {Access} */
function access(result) {
  return { accessToken: result.AccessToken, expiresIn: result.ExpiresIn };
}
