"use client";

import { UserManager } from "oidc-client-ts";
import { useState } from "react";
import outputs from "./outputs.json";

const { issuer, audience, clientId }: Record<string, string> = outputs;
let users: UserManager | undefined;

// Not when the module is loaded: a server has no `location`.
function getUsers() {
  users ??= new UserManager({
    authority: issuer,
    client_id: clientId,
    redirect_uri: `${location.origin}/`,
    scope: "openid offline_access",
    extraQueryParams: { audience },
  });
  return users;
}

/** Takes the code from the URL, if the user comes from the issuer's page. */
async function finishSignIn() {
  const url = location.href;
  if (new URL(url).searchParams.has("state")) {
    history.replaceState(null, "", location.pathname); // a code can be used once
    await getUsers().signinCallback(url);
  }
}

/** Returns nothing if nobody is signed in. */
export async function getToken({ refresh }: { refresh: boolean }) {
  await finishSignIn();
  const user = await (refresh ? getUsers().signinSilent() : getUsers().getUser());
  return user?.access_token ?? "";
}

/** Leaves the page, which the user comes back to: nothing is left to do for it here. */
export function SignIn(_props: { onSignedIn: () => void }) {
  const [error, setError] = useState<string>();
  return (
    <>
      <button onClick={() => getUsers().signinRedirect().catch((cause) => setError(String(cause)))}>Sign in</button>
      {error && <p role="alert">{error}</p>}
    </>
  );
}
