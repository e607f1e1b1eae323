import { UserManager } from "oidc-client-ts";

const outputs = await (await fetch("outputs.json")).json();
const users = new UserManager({
  authority: outputs.issuer,
  client_id: outputs.clientId,
  redirect_uri: `${location.origin}/`,
  scope: "openid offline_access",
  extraQueryParams: { audience: outputs.audience },
});

const find = (id) => document.getElementById(id);
const element = document.querySelector("avatar-upload");

window.account = {
  async getToken({ refresh }) {
    const user = await (refresh ? users.signinSilent() : users.getUser());
    return user?.access_token;
  },
};

/** Takes the code from the URL, if the user comes from the issuer's page. */
async function finishSignIn() {
  const url = location.href;
  if (new URL(url).searchParams.has("state")) {
    history.replaceState(null, "", location.pathname); // a code can be used once
    await users.signinCallback(url);
  }
}

async function showAccount(token) {
  const headers = { Authorization: `Bearer ${token}` };
  const response = await fetch(`${outputs.apiUrl}/avatars/me`, { headers });
  const { url } = await response.json(); // also before the first upload
  find("avatar").src = element.src = url;
  element.apiUrl = outputs.apiUrl;
  await import(outputs.avatarUploadUrl);
  find("account").hidden = false;
}

function showError(error) {
  find("error").textContent = String(error);
  find("sign-in").hidden = false;
}

find("sign-in").addEventListener("click", () => users.signinRedirect().catch(showError));
element.addEventListener("avatar-ready", ({ detail }) => {
  find("avatar").src = detail.images.at(-1).url;
});
element.addEventListener("avatar-removed", () => {
  find("avatar").src = `${outputs.cdnUrl}/defaults/avatar.jpg`;
});

try {
  await finishSignIn();
  const token = await window.account.getToken({ refresh: false });
  if (token) await showAccount(token);
  else find("sign-in").hidden = false;
} catch (error) {
  showError(error);
}
