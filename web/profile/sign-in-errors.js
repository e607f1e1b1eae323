import { CognitoError } from "./cognito.js";
import { NetworkError } from "./http.js";

/** @typedef {{field?: string, sentence: string}} SignInError */

const TOO_MANY = "That were too many tries. Wait a few minutes, then try again.";

/**
 * Sentences for Cognito's exceptions, with the field where each is shown.
 * https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/CommonErrors.html
 *
 * @type {Record<string, SignInError>}
 */
const ERRORS = {
  NotAuthorizedException: { sentence: "Email or password is wrong." },
  // The same as for a wrong password: it must not reveal who has an account.
  UserNotFoundException: { sentence: "Email or password is wrong." },
  UserNotConfirmedException: {
    sentence: "This account is not confirmed yet. Look for the message that came when it was made.",
  },
  TooManyRequestsException: { sentence: TOO_MANY },
  LimitExceededException: { sentence: TOO_MANY },
  TooManyFailedAttemptsException: { sentence: TOO_MANY },
  CodeMismatchException: { field: "code", sentence: "That is not the code. Look again." },
  ExpiredCodeException: { field: "code", sentence: "That code is too old, or was used already. Take a new one." },
};

/**
 * Describes an error of a sign-in, with the field where it is shown; without one, above the form.
 *
 * @param {unknown} error
 * @returns {SignInError}
 */
export function describeError(error) {
  if (error instanceof NetworkError) {
    return { sentence: "No connection to the service that signs you in. Check yours, then try again." };
  }
  if (!(error instanceof CognitoError)) throw error;
  return describeSpecialCase(error) ?? ERRORS[error.code] ?? { sentence: `Signing in failed. ${error.message}`.trim() };
}

/**
 * Exceptions whose meaning depends on the message.
 *
 * @param {CognitoError} error
 * @returns {SignInError | null}
 */
function describeSpecialCase({ code, message }) {
  if (code === "InvalidPasswordException") {
    const reason = message.replace(/^Password did not conform with (password )?policy: /i, "");
    return { field: "new_password", sentence: `That password cannot be used. ${reason}`.trim() };
  }
  if (code === "InvalidParameterException" && /no registered\/verified/i.test(message)) {
    return { sentence: "This account has no confirmed address to send a code to. Ask those who run this service." };
  }
  if (code !== "NotAuthorizedException") return null;
  if (/attempts exceeded/i.test(message)) return { sentence: TOO_MANY };
  if (/disabled/i.test(message)) return { sentence: "This account is switched off. Ask those who run this service." };
  if (/cannot be reset/i.test(message)) {
    return { sentence: "This account still has its first password. Sign in with that one, then choose your own." };
  }
  return null;
}
