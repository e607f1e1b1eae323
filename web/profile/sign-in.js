import { whileDisabled } from "./busy.js";
import { CognitoError } from "./cognito.js";
import { emptyField, forgetFaultsOnInput, missing, showFaults, textsOf } from "./fields.js";
import { find } from "./find.js";
import { copyOf } from "./screens.js";
import { faultOf } from "./sign-in-faults.js";

/** Signs somebody in, in as many small forms as Cognito asks for. */
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
   * @param {{note?: string, canGoBack?: boolean}} [options] `note`: why one is asked to sign in; `canGoBack`: there is
   * something to see without.
   */
  show({ note, canGoBack = this.#canGoBack } = {}) {
    this.#canGoBack = canGoBack;
    this.#step("sign-in-password", note, async ({ username, password }) => {
      this.#username = username.trim();
      await this.#signIn(password);
    });
  }

  /** @param {string} password */
  async #signIn(password) {
    try {
      this.#next(await this.#cognito.signIn(this.#username, password));
    } catch (error) {
      if (!isCognitos(error, "PasswordResetRequiredException")) throw error;
      this.#showReset("Your password has to be set anew. A code for that was sent to your email address.");
    }
  }

  /** @param {import("./cognito.js").Outcome} outcome */
  #next({ tokens, challenge }) {
    if (tokens) this.#onTokens(tokens);
    else if (challenge.name === "NEW_PASSWORD_REQUIRED") this.#showNewPassword(challenge);
    else if (challenge.name === "SOFTWARE_TOKEN_MFA") this.#showCode(challenge);
    else throw new CognitoError("", `Your account asks for a step that this page does not have (${challenge.name}).`);
  }

  /** @param {import("./cognito.js").Challenge} challenge */
  #showNewPassword(challenge) {
    this.#step("sign-in-new-password", undefined, ({ new_password }) =>
      this.#answer(() => this.#cognito.answerNewPassword(challenge, new_password)),
    );
  }

  /** @param {import("./cognito.js").Challenge} challenge */
  #showCode(challenge) {
    this.#step("sign-in-code", undefined, ({ code }) =>
      this.#answer(() => this.#cognito.answerCode(challenge, withoutSpaces(code))),
    );
  }

  /**
   * A challenge is good for three minutes; then Cognito calls its answer not authorised.
   *
   * @param {() => Promise<import("./cognito.js").Outcome>} call
   */
  async #answer(call) {
    try {
      this.#next(await call());
    } catch (error) {
      if (!isCognitos(error, "NotAuthorizedException")) throw error;
      this.show({ note: "That took too long. Sign in once more." });
    }
  }

  #showForgot() {
    this.#step("sign-in-forgot", undefined, async ({ username }) => {
      this.#username = username.trim();
      await this.#cognito.forgotPassword(this.#username).catch((error) => {
        if (!isCognitos(error, "UserNotFoundException")) throw error;
      });
      this.#showReset(`If ${this.#username} has an account here, a code is on its way to its address.`);
    });
  }

  /** @param {string} note */
  #showReset(note) {
    this.#step("sign-in-reset", note, async ({ code, new_password }) => {
      await this.#cognito.confirmForgotPassword(this.#username, withoutSpaces(code), new_password);
      await this.#signIn(new_password);
    });
  }

  /**
   * Shows a form.
   *
   * @param {string} template
   * @param {string | undefined} note Instead of the template's.
   * @param {(values: Record<string, string>) => Promise<void>} submit Gets the values by the fields' names. What it
   * throws is told in the form.
   */
  #step(template, note, submit) {
    const section = copyOf(template);
    const form = find(section, "form", HTMLFormElement);
    if (note !== undefined) find(section, ".note", HTMLElement).textContent = note;
    const username = form.querySelector("input[name=username]");
    if (username instanceof HTMLInputElement) username.value = this.#username;
    for (const button of section.querySelectorAll("button")) {
      const step = button.dataset.go;
      if (!step) continue;
      button.addEventListener("click", () => {
        if (username instanceof HTMLInputElement) this.#username = username.value.trim();
        this.#go(step);
      });
      button.hidden = step === "back" && !this.#canGoBack;
    }
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#submit(form, submit);
    });
    forgetFaultsOnInput(form);
    this.#section = section;
    this.#screens.show(section);
    emptyField(form)?.focus();
  }

  /** @param {string} step */
  #go(step) {
    if (step === "forgot") this.#showForgot();
    else if (step === "back") this.#onBack();
    else this.show();
  }

  /**
   * @param {HTMLFormElement} form
   * @param {(values: Record<string, string>) => Promise<void>} submit
   */
  async #submit(form, submit) {
    const failure = find(form, ".failure", HTMLElement);
    const button = find(form, ".primary", HTMLButtonElement);
    const empty = missing(form);
    if (button.disabled) return;
    failure.textContent = "";
    showFaults(form, empty);
    if (Object.keys(empty).length > 0) return;
    await whileDisabled(button, async () => {
      try {
        await submit(textsOf(form));
      } catch (error) {
        const { field, sentence } = faultOf(error);
        if (field) showFaults(form, { [field]: sentence });
        else failure.textContent = sentence;
      }
    });
  }
}

/** Without spaces, which apps show: 123 456. @param {string} code */
function withoutSpaces(code) {
  return code.replace(/\s/g, "");
}

/** @param {unknown} error @param {string} code */
function isCognitos(error, code) {
  return error instanceof CognitoError && error.code === code;
}
