"""Authorization of the API: only valid access tokens of the user pool client are accepted."""

from __future__ import annotations

import json
import time
from typing import Any

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from moto.utilities.utils import load_resource

from client.session import Session
from local.stack import LocalStack
from tests.local.conftest import sign_in

ROUTES = [
    ("POST", "/avatars/key_upload"),
    ("GET", "/avatars/uploads/01HZZZZZZZZZZZZZZZZZZZZZZZ"),
    ("GET", "/avatars/me"),
]


def get_status(stack: LocalStack, token: str, scheme: str = "Bearer") -> int:
    headers = {"Authorization": f"{scheme} {token}"}
    return requests.get(f"{stack.api_url}/avatars/me", headers=headers, timeout=10).status_code


def resign(token: str, changes: dict[str, Any], key: Any = None) -> str:
    """Returns a token with changed claims, signed with `key` or else with the key of the user pool."""
    claims = jwt.decode(token, options={"verify_signature": False}) | changes
    pool_key = jwt.PyJWK(load_resource("cognitoidp/resources/jwks-private.json"), algorithm="RS256").key
    return jwt.encode(
        claims, key or pool_key, algorithm="RS256", headers={"kid": jwt.get_unverified_header(token)["kid"]}
    )


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


def test_resigned_unchanged_token_is_accepted(stack: LocalStack, session: Session) -> None:
    """Shows that the rejections below are for the changed claims."""
    assert get_status(stack, resign(session.access_token, {})) == 404


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": int(time.time()) - 60},
        {"iss": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_foreign"},
        {"client_id": "another-client"},
        {"token_use": "id"},
    ],
    ids=["expired", "other-pool", "other-client", "id-token"],
)
def test_token_with_one_wrong_claim_is_rejected(stack: LocalStack, session: Session, changes: dict[str, Any]) -> None:
    assert get_status(stack, resign(session.access_token, changes)) == 403


def test_token_signed_with_another_key_is_rejected(stack: LocalStack, session: Session) -> None:
    forger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert get_status(stack, resign(session.access_token, {}, forger)) == 403


def test_token_without_signature_is_rejected(stack: LocalStack, session: Session) -> None:
    claims = jwt.decode(session.access_token, options={"verify_signature": False})
    assert get_status(stack, jwt.encode(claims, "", algorithm="none")) == 403


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
    get_status(stack, resign(session.access_token, {"client_id": "another-client"}))
    logs = stack.read_access_log() + "".join(function.read_log() for function in stack.functions.by_arn.values())
    assert session.subject in logs
    signature_of_token = session.access_token.rsplit(".", 1)[1]
    assert signature_of_token not in logs
    assert session.access_token.split(".")[1] not in logs
    for function in stack.functions.by_arn.values():
        for secret in function.role.to_environment().values():
            assert json.dumps(secret)[1:-1] not in logs
