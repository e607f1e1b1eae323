"""The name Cognito has for a user: which one is shown, and that nothing is shown that was not meant to be."""

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from functions.profile.user_pool import UserPool
from tests.functions.conftest import PLATFORM_ENVIRONMENT
from tests.functions.servers import HOST, HttpStub

ISSUER = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Example"
TOKEN = "eyJ.access.token"
UUID = "0a1b2c3d-0000-4000-8000-00000000a11c"
EMAIL = "ada@example.com"


@pytest.fixture(autouse=True)
def platform_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in PLATFORM_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def cognito() -> Iterator[HttpStub]:
    with HttpStub() as stub:
        yield stub


def sanitize_name(cognito: HttpStub, username: str = UUID, **attributes: str) -> str | None:
    described = [{"Name": name, "Value": value} for name, value in {"sub": UUID, **attributes}.items()]
    cognito.body = json.dumps({"Username": username, "UserAttributes": described}).encode()
    return UserPool(ISSUER, cognito.url).name(TOKEN)


def test_get_user_sends_only_the_access_token(cognito: HttpStub) -> None:
    assert sanitize_name(cognito, name="Ada") == "Ada"
    ((headers, body),) = cognito.requests
    assert json.loads(body) == {"AccessToken": TOKEN}
    assert headers["x-amz-target"] == "AWSCognitoIdentityProviderService.GetUser"
    assert headers["content-type"] == "application/x-amz-json-1.1"
    assert "authorization" not in headers
    assert cognito.paths == ["/"]


@pytest.mark.parametrize(
    ("user", "name"),
    [
        pytest.param({"name": "Ada", "preferred_username": "al", "username": "ada1"}, "Ada", id="the name first"),
        pytest.param({"preferred_username": "al", "username": "ada1"}, "al", id="then the preferred username"),
        pytest.param({"name": " \u200b", "preferred_username": "al"}, "al", id="a name that cannot be seen"),
        pytest.param({"username": "ada1"}, "ada1", id="then the username"),
        pytest.param({}, None, id="a username that is a UUID"),
        pytest.param({"username": UUID.upper()}, None, id="in any letter case"),
        pytest.param({"username": EMAIL, "email": EMAIL}, None, id="a username that is an address"),
        pytest.param({"username": "+15551234567"}, None, id="a username that is a phone number"),
        pytest.param({"username": "Google_10769150350006150715", "identities": "[]"}, None, id="another provider's id"),
        pytest.param({"name": EMAIL, "username": "ada1"}, "ada1", id="a name that is an address"),
        pytest.param({"name": f"Ada <{EMAIL}>"}, None, id="a name with an address"),
        pytest.param({"name": "ada\n@example.com"}, None, id="an address that a control character hides"),
        pytest.param({"name": f"{'a' * 60}@example.com"}, None, id="an address longer than names"),
        pytest.param({"name": "+1 (555) 123-4567"}, None, id="a name that is a phone number"),
        pytest.param({"preferred_username": UUID}, None, id="a preferred username that is a UUID"),
        pytest.param({"email": EMAIL, "phone_number": "+15551234567"}, None, id="contacts are no names"),
        pytest.param({"name": "@ada"}, "@ada", id="a sign that makes no address"),
        pytest.param({"name": "Agent 007"}, "Agent 007", id="a few digits"),
        pytest.param({"name": "x" * 60}, "x" * 50, id="a long name"),
    ],
)
def test_name_is_the_best_attribute(cognito: HttpStub, user: dict[str, str], name: str | None) -> None:
    assert sanitize_name(cognito, **user) == name


@pytest.mark.parametrize(
    ("status", "answer", "reason"),
    [
        (
            400,
            b'{"__type": "NotAuthorizedException", "message": "eyJ.access.token lacks scopes"}',
            "NotAuthorizedException",
        ),
        (500, b"", "ClientError"),
        (200, b"<html>", "KeyError"),
        (200, b"\xff", "UnicodeDecodeError"),
        (200, b"[]", "AttributeError"),
        (200, b"{}", "KeyError"),
        (200, b'{"UserAttributes": []}', "KeyError"),
        (200, b'{"UserAttributes": [{"Name": "name", "Value": null}], "Username": "ada1"}', "KeyError"),
    ],
)
def test_failed_get_user_returns_none_and_logs_no_token(
    cognito: HttpStub, caplog: pytest.LogCaptureFixture, status: int, answer: bytes, reason: str
) -> None:
    caplog.set_level(logging.INFO)
    cognito.status, cognito.body = status, answer
    assert UserPool(ISSUER, cognito.url).name(TOKEN) is None
    (record,) = caplog.records
    assert (record.levelname, record.getMessage(), vars(record)["reason"]) == ("INFO", "no name from Cognito", reason)
    assert TOKEN not in str(vars(record))


def test_silent_cognito_returns_none_after_the_read_timeout(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with socket.create_server((HOST, 0)) as silent:
        started = time.monotonic()
        assert UserPool(ISSUER, f"http://{HOST}:{silent.getsockname()[1]}").name(TOKEN) is None
    assert 1.4 < time.monotonic() - started < 2
    assert [vars(record)["reason"] for record in caplog.records] == ["ReadTimeoutError"]


def test_slow_cognito_returns_none_at_the_deadline(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    ended = threading.Event()
    with socket.create_server((HOST, 0)) as slow, ThreadPoolExecutor() as executor:
        executor.submit(send_header_slowly, slow, ended)
        started = time.monotonic()
        assert UserPool(ISSUER, f"http://{HOST}:{slow.getsockname()[1]}").name(TOKEN) is None
        ended.set()
    assert 1.9 < time.monotonic() - started < 3
    assert [vars(record)["reason"] for record in caplog.records] == ["TimeoutError"]


def send_header_slowly(server: socket.socket, ended: threading.Event) -> None:
    """Sends a response byte by byte, each of them within the read timeout, and never all of it."""
    connection, _ = server.accept()
    with connection:
        connection.recv(65536)
        while not ended.wait(0.5):
            connection.sendall(b"H")


def test_unreachable_cognito_returns_none(unused_endpoint: str) -> None:
    assert UserPool(ISSUER, unused_endpoint).name(TOKEN) is None


def test_requests_without_endpoint_go_to_the_issuers_host(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def resolve(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        asked.append((host, port))
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert UserPool(ISSUER, None).name(TOKEN) is None
    assert asked == [("cognito-idp.eu-west-1.amazonaws.com", 443)]
