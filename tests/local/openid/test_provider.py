"""The OpenID provider of a local run."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests

from local.openid import provider as providers
from local.openid.provider import APP_CLIENT_ID, AUDIENCE, CLIENT_ID, OpenIdProvider, OpenIdProviderError, sign_in

PAGE = "http://127.0.0.1:8432"
APP = "http://localhost:5173"


@pytest.fixture(scope="module")
def provider() -> Generator[OpenIdProvider]:
    provider = OpenIdProvider(0, f"{PAGE}/profile", [APP])
    provider.start()
    yield provider
    provider.close()
    with pytest.raises(requests.ConnectionError):
        requests.get(provider.url, timeout=10)


@pytest.fixture(scope="module")
def tokens(provider: OpenIdProvider) -> dict[str, Any]:
    return provider.sign_in("ada@example.com", provider.create_user("ada@example.com", "Ada"))


def refresh(
    provider: OpenIdProvider, refresh_token: str, origin: str = PAGE, client_id: str = CLIENT_ID
) -> requests.Response:
    form = {"grant_type": "refresh_token", "client_id": client_id, "refresh_token": refresh_token}
    return requests.post(f"{provider.url}/token", data=form, headers={"Origin": origin}, timeout=10)


def test_access_token_is_a_jwt_for_the_api(provider: OpenIdProvider, tokens: dict[str, Any]) -> None:
    """https://www.rfc-editor.org/rfc/rfc9068#section-2"""
    key = provider.access_token_key.public_key()
    token = jwt.decode_complete(tokens["access_token"], key, ["ES256"], audience=AUDIENCE, issuer=provider.url)
    assert token["header"] == {"alg": "ES256", "typ": "at+jwt", "kid": "ES256"}
    assert token["payload"]["sub"].startswith("auth0|")
    assert token["payload"]["exp"] - token["payload"]["iat"] == 3600


def test_id_token_names_the_user_to_the_client(provider: OpenIdProvider, tokens: dict[str, Any]) -> None:
    key = provider.id_token_key.public_key()
    claims = jwt.decode(tokens["id_token"], key, ["RS256"], audience=CLIENT_ID, issuer=provider.url)
    assert (claims["name"], claims["email"]) == ("Ada", "ada@example.com")


def test_wrong_password_does_not_sign_in(provider: OpenIdProvider, tokens: dict[str, Any]) -> None:
    for username in ("ada@example.com", "eve@example.com"):
        with pytest.raises(OpenIdProviderError, match=f"{username} cannot sign in: Wrong user name or password"):
            provider.sign_in(username, "")


def test_authorization_requires_pkce(provider: OpenIdProvider) -> None:
    request = {"client_id": CLIENT_ID, "response_type": "code", "scope": "openid"}
    response = requests.get(f"{provider.url}/auth", params=request, allow_redirects=False, timeout=10)
    assert response.headers["Location"].startswith(f"{PAGE}/profile?error=invalid_request&error_description=Auth")


def test_refresh_token_is_replaced_at_each_use(provider: OpenIdProvider) -> None:
    first = provider.sign_in("bob@example.com", provider.create_user("bob@example.com"))["refresh_token"]
    second = refresh(provider, first).json()["refresh_token"]
    assert refresh(provider, first).json()["error"] == "invalid_grant"
    assert refresh(provider, second).json()["error"] == "invalid_grant", "one of the two was stolen"


@pytest.mark.parametrize(("client_id", "own_origin"), [(CLIENT_ID, PAGE), (APP_CLIENT_ID, APP)])
def test_only_pages_of_the_client_can_fetch_tokens(provider: OpenIdProvider, client_id: str, own_origin: str) -> None:
    for origin in (PAGE, APP, "http://localhost:9999"):
        response = refresh(provider, "unknown", origin, client_id)
        assert response.headers.get("Access-Control-Allow-Origin") == (origin if origin == own_origin else None)


def test_app_signs_in_at_its_origin_only(provider: OpenIdProvider) -> None:
    password = provider.create_user("joan@example.com")
    app = {**provider.outputs, "clientId": provider.outputs["appClientId"], "redirectUri": f"{APP}/"}
    token = sign_in(app, "joan@example.com", password)["access_token"]
    claims = jwt.decode(token, provider.access_token_key.public_key(), ["ES256"], audience=AUDIENCE)
    assert claims["client_id"] == APP_CLIENT_ID
    request = {"client_id": APP_CLIENT_ID, "response_type": "code", "redirect_uri": f"{PAGE}/profile"}
    response = requests.get(f"{provider.url}/auth", params=request, allow_redirects=False, timeout=10)
    assert (response.status_code, "redirect_uri did not match" in response.text) == (400, True)


def test_sign_out_returns_to_the_page(provider: OpenIdProvider, tokens: dict[str, Any]) -> None:
    with requests.Session() as http:
        request = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": f"{PAGE}/profile"}
        form = http.get(f"{provider.url}/session/end", params=request, timeout=10).text
        secret = form.split('name="xsrf" value="')[1].split('"')[0]
        answer = {"xsrf": secret, "logout": "yes"}
        response = http.post(f"{provider.url}/session/end/confirm", answer, allow_redirects=False, timeout=10)
    assert response.headers["Location"] == f"{PAGE}/profile"


def test_provider_that_ends_at_once_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    modules = tmp_path / "node_modules"
    monkeypatch.setattr(providers, "_install", lambda: modules)
    provider = OpenIdProvider(0, f"{PAGE}/profile")
    with pytest.raises(OpenIdProviderError, match=r"does not start: (?s:.*)Cannot find module 'oidc-provider'"):
        provider.start()
    provider.close()
