import { runWhileDisabled } from "./disabled-button.js";
import { CognitoError } from "./cognito.js";
import { clearErrorsOnInput, findEmptyField, findMissingValues, readValues, showErrors } from "./fields.js";
import { findElement } from "./find-element.js";
import { cloneTemplate } from "./screens.js";
import { describeError } from "./sign-in-errors.js";

/** Signs a user in, with one form for each step that Cognito asks for. */
export class SignIn {
  #cognito;
  #screens;
  #onTokens;
  #onBack;
  /** @type {HTMLElement | null} */
  #section = null;
  #username = "";
  #canGoBack = false;

  /**
   * @param {import("./cognito.js").Cognito} cognito
   * @param {import("./screens.js").Screens} screens
   * @param {{onTokens: (tokens: import("./cognito.js").Tokens) => void, onBack: () => void}} listeners
   */
  constructor(cognito, screens, { onTokens, onBack }) {
    this.#cognito = cognito;
    this.#screens = screens;
    this.#onTokens = onTokens;
    this.#onBack = onBack;
  }

  get isShown() {
    return this.#section?.isConnected ?? false;
  }

  /**
   * @param {{note?: string, canGoBack?: boolean}} [options] `note`: the reason for the form; `canGoBack`: there is
   * a profile to go back to.
   */
  show({ note, canGoBack = this.#canGoBack } = {}) {
    this.#canGoBack = canGoBack;
    this.#showForm("sign-in-password", note, async ({ username, password }) => {
      this.#username = username.trim();
      await this.#signIn(password);
    });
  }

  /** @param {string} password */
  async #signIn(password) {
    try {
      this.#handleResult(await this.#cognito.signIn(this.#username, password));
    } catch (error) {
      if (!isCognitoError(error, "PasswordResetRequiredException")) throw error;
      this.#showReset("Your password has to be set anew. A code for that was sent to your email address.");
    }
  }

  /** @param {import("./cognito.js").AuthResult} result */
  #handleResult({ tokens, challenge }) {
    if (tokens) this.#onTokens(tokens);
    else if (challenge.name === "NEW_PASSWORD_REQUIRED") this.#showNewPassword(challenge);
    else if (challenge.name === "SOFTWARE_TOKEN_MFA") this.#showCode(challenge);
    else throw new CognitoError("", `Your account asks for a step that this page does not have (${challenge.name}).`);
  }

  /** @param {import("./cognito.js").Challenge} challenge */
  #showNewPassword(challenge) {
    this.#showForm("sign-in-new-password", undefined, ({ new_password }) =>
      this.#respond(() => this.#cognito.respondWithNewPassword(challenge, new_password)),
    );
  }

  /** @param {import("./cognito.js").Challenge} challenge */
  #showCode(challenge) {
    this.#showForm("sign-in-code", undefined, ({ code }) =>
      this.#respond(() => this.#cognito.respondWithCode(challenge, removeSpaces(code))),
    );
  }

  /**
   * A challenge is valid for three minutes; then Cognito responds with NotAuthorizedException.
   *
   * @param {() => Promise<import("./cognito.js").AuthResult>} call
   */
  async #respond(call) {
    try {
      this.#handleResult(await call());
    } catch (error) {
      if (!isCognitoError(error, "NotAuthorizedException")) throw error;
      this.show({ note: "That took too long. Sign in once more." });
    }
  }

  #showForgot() {
    this.#showForm("sign-in-forgot", undefined, async ({ username }) => {
      this.#username = username.trim();
      await this.#cognito.forgotPassword(this.#username).catch((error) => {
        if (!isCognitoError(error, "UserNotFoundException")) throw error;
      });
      this.#showReset(`If ${this.#username} has an account here, a code is on its way to its address.`);
    });
  }

  /** @param {string} note */
  #showReset(note) {
    this.#showForm("sign-in-reset", note, async ({ code, new_password }) => {
      await this.#cognito.confirmForgotPassword(this.#username, removeSpaces(code), new_password);
      await this.#signIn(new_password);
    });
  }

  /**
   * Shows a form.
   *
   * @param {string} template
   * @param {string | undefined} note Instead of the template's.
   * @param {(values: Record<string, string>) => Promise<void>} submit Gets the values by the fields' names. Its
   * errors are shown in the form.
   */
  #showForm(template, note, submit) {
    const section = cloneTemplate(template);
    const form = findElement(section, "form", HTMLFormElement);
    if (note !== undefined) findElement(section, ".note", HTMLElement).textContent = note;
    const username = form.querySelector("input[name=username]");
    if (username instanceof HTMLInputElement) username.value = this.#username;
    for (const button of section.querySelectorAll("button")) {
      const step = button.dataset.go;
      if (!step) continue;
      button.addEventListener("click", () => {
        if (username instanceof HTMLInputElement) this.#username = username.value.trim();
        this.#goTo(step);
      });
      button.hidden = step === "back" && !this.#canGoBack;
    }
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#submit(form, submit);
    });
    clearErrorsOnInput(form);
    this.#section = section;
    this.#screens.show(section);
    findEmptyField(form)?.focus();
  }

  /** @param {string} step */
  #goTo(step) {
    if (step === "forgot") this.#showForgot();
    else if (step === "back") this.#onBack();
    else this.show();
  }

  /**
   * @param {HTMLFormElement} form
   * @param {(values: Record<string, string>) => Promise<void>} submit
   */
  async #submit(form, submit) {
    const failure = findElement(form, ".failure", HTMLElement);
    const button = findElement(form, ".primary", HTMLButtonElement);
    const empty = findMissingValues(form);
    if (button.disabled) return;
    failure.textContent = "";
    showErrors(form, empty);
    if (Object.keys(empty).length > 0) return;
    await runWhileDisabled(button, async () => {
      try {
        await submit(readValues(form));
      } catch (error) {
        const { field, sentence } = describeError(error);
        if (field) showErrors(form, { [field]: sentence });
        else failure.textContent = sentence;
      }
    });
  }
}

/** Authenticator apps display codes with spaces: 123 456. @param {string} code */
function removeSpaces(code) {
  return code.replace(/\s/g, "");
}

/** @param {unknown} error @param {string} code */
function isCognitoError(error, code) {
  return error instanceof CognitoError && error.code === code;
}
