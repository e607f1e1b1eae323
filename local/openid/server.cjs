// An OpenID provider with public clients and one API: node server.cjs SETTINGS_FILE FILE_DESCRIPTOR, on which it
// listens. It ends when stdin is closed, so that it does not outlive what started it.

const { readFileSync } = require("node:fs");
const { createServer } = require("node:http");
const { Provider } = require("oidc-provider");

const SCOPES = "openid profile email offline_access";

const [settingsFile, fd] = process.argv.slice(2);
createServer(createProvider(JSON.parse(readFileSync(settingsFile))).callback()).listen({ fd: Number(fd) });
process.stdin.resume().once("end", () => process.exit());

function createProvider({ issuer, audience, redirectUris, keys, accountsFile }) {
  const readAccounts = () => JSON.parse(readFileSync(accountsFile));

  async function grantEverything(ctx) {
    const { oidc } = ctx;
    const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
    grant.addOIDCScope(SCOPES);
    await grant.save();
    return grant;
  }

  const provider = new Provider(issuer, {
    clients: Object.entries(redirectUris).map(([clientId, uris]) => ({
      client_id: clientId,
      token_endpoint_auth_method: "none",
      grant_types: ["authorization_code", "refresh_token"],
      redirect_uris: uris,
      post_logout_redirect_uris: uris,
    })),
    clientBasedCORS: (_ctx, origin, client) => client.redirectUris.some((uri) => origin === new URL(uri).origin),
    jwks: { keys },
    cookies: { keys: [keys[0].d] },
    clientAuthMethods: ["none"],
    responseTypes: ["code"],
    scopes: SCOPES.split(" "),
    claims: { openid: ["sub"], profile: ["name"], email: ["email"] },
    findAccount(_ctx, sub) {
      const [email, account] = Object.entries(readAccounts()).find(([, its]) => its.sub === sub) ?? [];
      return account && { accountId: sub, claims: () => ({ sub, email, name: account.name }) };
    },
    // The clients belong to the operator: nobody is asked for consent.
    loadExistingGrant: grantEverything,
    // Otherwise only with prompt=consent, which Auth0 and others do not require.
    issueRefreshToken: (_ctx, client) => client.grantTypeAllowed("refresh_token"),
    ttl: { AccessToken: 3600, IdToken: 3600, RefreshToken: 86400, Session: 86400, Grant: 86400, Interaction: 3600 },
    features: {
      devInteractions: { enabled: false },
      resourceIndicators: {
        defaultResource: () => audience,
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          audience,
          scope: "",
          accessTokenFormat: "jwt",
          jwt: { sign: { alg: "ES256" } },
        }),
      },
      revocation: { enabled: true },
      rpInitiatedLogout: {
        logoutSource(ctx, form) {
          ctx.body = page(
            "Sign out",
            `${form}<button autofocus form="op.logoutForm" name="logout" value="yes">Sign out</button>
            <button form="op.logoutForm">Stay signed in</button>`,
          );
        },
        postLogoutSuccessSource(ctx) {
          ctx.body = page("You are signed out", "");
        },
      },
    },
    renderError(ctx, { error, error_description: description = "" }) {
      ctx.type = "html";
      ctx.body = page("Error", `<p>${escapeHtml(error)}: ${escapeHtml(description)}</p>`);
    },
  });
  provider.use((ctx, next) => (ctx.path.startsWith("/interaction/") ? signIn(ctx) : next()));
  return provider;

  async function signIn(ctx) {
    const { prompt } = await provider.interactionDetails(ctx.req, ctx.res);
    let problem = "";
    ctx.respond = false;
    if (prompt.name === "consent") {
      return provider.interactionFinished(ctx.req, ctx.res, { consent: {} });
    }
    if (ctx.method === "POST") {
      const form = new URLSearchParams(Buffer.concat(await ctx.req.toArray()).toString());
      if (form.has("cancel")) {
        return provider.interactionFinished(ctx.req, ctx.res, { error: "access_denied" });
      }
      const account = readAccounts()[form.get("username")];
      if (account?.password === form.get("password")) {
        return provider.interactionFinished(ctx.req, ctx.res, { login: { accountId: account.sub } });
      }
      problem = '<p role="alert">Wrong user name or password.</p>';
    }
    ctx.respond = true;
    ctx.type = "html";
    ctx.body = page(
      "Sign in",
      `${problem}<form method="post">
      <label>User name <input name="username" autocomplete="username" autofocus required></label>
      <label>Password <input name="password" type="password" autocomplete="current-password" required></label>
      <button>Sign in</button><button name="cancel" formnovalidate>Cancel</button></form>`,
    );
  }
}

function page(title, content) {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${title}</title>
<style>
  body { max-width: 20rem; margin: 4rem auto; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif }
  label, input, button { display: block; box-sizing: border-box; width: 100%; margin-block: 0.75rem; font: inherit }
  input, button { padding: 0.5rem }
</style>
<h1>${title}</h1>
${content}
</html>`;
}

function escapeHtml(text) {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
