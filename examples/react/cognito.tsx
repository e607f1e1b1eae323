"use client";

import { Amplify } from "aws-amplify";
import { fetchAuthSession, signIn } from "aws-amplify/auth";
import { type FormEvent, useState } from "react";
import outputs from "./outputs.json";

// Only a local run has a userPoolEndpoint.
const { userPoolId, userPoolClientId, cognitoEndpoint: userPoolEndpoint }: Record<string, string> = outputs;
Amplify.configure({ Auth: { Cognito: { userPoolId, userPoolClientId, userPoolEndpoint } } });

/** Returns nothing if nobody is signed in. */
export async function getToken({ refresh }: { refresh: boolean }) {
  const { tokens } = await fetchAuthSession({ forceRefresh: refresh });
  return tokens?.accessToken.toString() ?? "";
}

export function SignIn({ onSignedIn }: { onSignedIn: () => void }) {
  const [error, setError] = useState<string>();

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const [username, password] = [String(form.get("username")), String(form.get("password"))];
    try {
      await signIn({ username, password, options: { authFlowType: "USER_PASSWORD_AUTH" } });
      onSignedIn();
    } catch (cause) {
      setError(String(cause));
    }
  }

  return (
    <form onSubmit={submit}>
      <label>Email <input name="username" type="email" autoComplete="username" required /></label>
      <label>Password <input name="password" type="password" autoComplete="current-password" required /></label>
      <button>Sign in</button>
      {error && <p role="alert">{error}</p>}
    </form>
  );
}
