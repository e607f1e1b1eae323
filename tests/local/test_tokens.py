"""Authorization of the API: only valid access tokens of the user pool client, or of the issuer, are accepted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator

import jwt
import pytest
import requests
from moto.utilities.utils import load_resource

from client.session import Session
from local.stack import LocalStack
from tests.functions.servers import HttpStub
from tests.local.conftest import sign_in
from tests.token_attacks import ATTACKS, Forger, publish

ROUTES = [
    ("POST", "/avatars/key_upload"),
    ("GET", "/avatars/uploads/01HZZZZZZZZZZZZZZZZZZZZZZZ"),
    ("GET", "/avatars/me"),
]


def get_status(stack: LocalStack, token: str, scheme: str = "Bearer", http: requests.Session | None = None) -> int:
    headers = {"Authorization": f"{scheme} {token}"}
    return (http or requests).get(f"{stack.api_url}/avatars/me", headers=headers, timeout=10).status_code


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_request_without_token_returns_401(stack: LocalStack, method: str, path: str) -> None:
    response = requests.request(method, stack.api_url + path, timeout=10)
    assert (response.status_code, response.json()) == (401, {"message": "Unauthorized"})


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_request_with_invalid_token_returns_403(stack: LocalStack, method: str, path: str) -> None:
    response = requests.request(method, stack.api_url + path, headers={"Authorization": "Bearer a.b.c"}, timeout=10)
    assert (response.status_code, response.json()) == (403, {"message": "Forbidden"})


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", "/avatars"), ("OPTIONS", "/avatars/me"), ("PUT", "/avatars/me"), ("POST", "/any/thing")],
)
def test_unknown_route_returns_404(stack: LocalStack, session: Session, method: str, path: str) -> None:
    headers = {"Authorization": f"Bearer {session.access_token}"}
    assert requests.request(method, stack.api_url + path, headers=headers, timeout=10).status_code == 404


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_access_token_of_the_client_is_accepted(stack: LocalStack, session: Session, scheme: str) -> None:
    assert get_status(stack, session.access_token, scheme) == 404  # authorized, but there is no avatar yet


def test_access_token_of_the_openid_provider_is_accepted(openid_stack: LocalStack) -> None:
    session = sign_in(openid_stack)
    assert get_status(openid_stack, session.access_token) == 404
    sub = jwt.decode(session.access_token, options={"verify_signature": False})["sub"]
    assert session.subject == hashlib.sha256(sub.encode()).hexdigest()


@pytest.fixture(scope="module", params=["cognito", "openid"])
def attacked(request: pytest.FixtureRequest) -> Generator[tuple[LocalStack, Forger, HttpStub]]:
    """A stack with each kind of issuer, what an attacker of it has, and the attacker's own server."""
    stack: LocalStack = request.getfixturevalue("stack" if request.param == "cognito" else "openid_stack")
    token = sign_in(stack).access_token
    if stack.openid:
        keys = {"ES256": stack.openid.access_token_key, "RS256": stack.openid.id_token_key}
    else:
        pool_key = jwt.PyJWK(load_resource("cognitoidp/resources/jwks-private.json"), algorithm="RS256").key
        keys = {jwt.get_unverified_header(token)["kid"]: pool_key}
    with HttpStub(body=json.dumps({"keys": [publish(key, kid) for kid, key in keys.items()]}).encode()) as attacker:
        yield stack, Forger(keys, jwt.decode(token, options={"verify_signature": False}), attacker.url), attacker


@pytest.mark.parametrize("attack", ATTACKS)
def test_attack_is_refused(attacked: tuple[LocalStack, Forger, HttpStub], attack: str) -> None:
    stack, forger, attacker = attacked
    assert get_status(stack, forger.issue()) == 404, "without a change"
    with requests.Session() as http:
        for number, token in enumerate(ATTACKS[attack](forger)):
            assert get_status(stack, token, http=http) == 403, f"number {number}: {token}"
    assert attacker.paths == [], "nothing is fetched because of a token"


def test_id_token_of_the_openid_provider_is_refused(openid_stack: LocalStack) -> None:
    assert openid_stack.openid
    tokens = openid_stack.openid.sign_in("ida@example.com", openid_stack.create_user("ida@example.com"))
    assert get_status(openid_stack, tokens["id_token"]) == 403
    assert get_status(openid_stack, tokens["access_token"]) == 404


def test_id_token_is_rejected(stack: LocalStack) -> None:
    cognito = stack.aws.client("cognito-idp")
    pool, client = stack.exports["userPoolId"], stack.exports["userPoolClientId"]
    cognito.admin_create_user(UserPoolId=pool, Username="ida@example.com", MessageAction="SUPPRESS")
    cognito.admin_set_user_password(
        UserPoolId=pool, Username="ida@example.com", Password="Ida-password-1", Permanent=True
    )
    tokens = cognito.initiate_auth(
        ClientId=client,
        AuthFlow="USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": "ida@example.com", "PASSWORD": "Ida-password-1"},
    )["AuthenticationResult"]
    assert get_status(stack, tokens["IdToken"]) == 403
    assert get_status(stack, tokens["AccessToken"]) == 404


def test_token_of_another_client_is_rejected(stack: LocalStack) -> None:
    other = stack.aws.client("cognito-idp").create_user_pool_client(
        UserPoolId=stack.exports["userPoolId"], ClientName="other", ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH"]
    )["UserPoolClient"]["ClientId"]
    assert get_status(stack, sign_in(stack, client_id=other).access_token) == 403


def test_logs_do_not_contain_tokens_or_credentials(stack: LocalStack, session: Session, photo: bytes) -> None:
    session.upload(photo, "image/jpeg")
    get_status(stack, session.access_token[:-1])
    logs = stack.read_access_log() + "".join(function.read_log() for function in stack.functions.by_arn.values())
    assert session.subject in logs
    signature_of_token = session.access_token.rsplit(".", 1)[1]
    assert signature_of_token not in logs
    assert session.access_token.split(".")[1] not in logs
    for function in stack.functions.by_arn.values():
        for secret in function.role.to_environment().values():
            assert json.dumps(secret)[1:-1] not in logs
