import json
import logging
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from functions.authorize import issuer as issuers
from functions.authorize import key_set
from tests.functions.certificates import self_signed
from tests.functions.conftest import LoadHandler
from tests.functions.servers import HOST, HttpStub

ISSUER = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Example"
CLIENT_ID = "1example23456789"
SUBJECT = "0a1b2c3d-0000-4000-8000-00000000a11c"
REFUSED = {"isAuthorized": False}
ALLOWED = {"isAuthorized": True, "context": {"sub": SUBJECT}}


@dataclass(frozen=True)
class Key:
    kid: str

    @cached_property
    def private(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(65537, 2048)

    def published(self) -> dict[str, Any]:
        numbers = json.loads(RSAAlgorithm.to_jwk(self.private.public_key()))
        return {**numbers, "kid": self.kid, "alg": "RS256", "use": "sig"}

    def sign(self, claims: dict[str, Any], **header: str) -> str:
        return jwt.encode(claims, self.private, algorithm="RS256", headers={"kid": self.kid, **header})


CURRENT = Key("current")
NEXT = Key("next")


class Issuer:
    """A key set over HTTP that can be changed, broken, and asked how often it was read."""

    def __init__(self) -> None:
        self.document: bytes = b""
        self.status = 200
        self.paths: list[str] = []
        self.publish(CURRENT)

    def publish(self, *keys: Key) -> None:
        self.document = json.dumps({"keys": [key.published() for key in keys]}).encode()


class Clock:
    """What time.monotonic says to the function; moved by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def endpoint(issuer: Issuer) -> Iterator[str]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.paths.append(self.path)
            self.send_response(issuer.status)
            self.send_header("Content-Length", str(len(issuer.document)))
            self.end_headers()
            self.wfile.write(issuer.document)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
            """Keep pytest's output quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    moved = Clock()
    monkeypatch.setattr(time, "monotonic", moved)
    return moved


@pytest.fixture
def handler(load_handler: LoadHandler, endpoint: str) -> ModuleType:
    return load_under(load_handler, endpoint)


def load_under(load_handler: LoadHandler, endpoint: str) -> ModuleType:
    environment = {
        "ISSUER": ISSUER,
        "AUDIENCE": CLIENT_ID,
        "AUDIENCE_CLAIM": "client_id",
        "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER": endpoint,
    }
    return load_handler("authorize", environment)


def claims(**changes: Any) -> dict[str, Any]:
    """Those of an access token of Cognito; a change to None leaves the claim out."""
    now = int(time.time())
    good = {
        "sub": SUBJECT,
        "iss": ISSUER,
        "client_id": CLIENT_ID,
        "origin_jti": "5b9f50a3-05da-454a-8b99-b79c2349de77",
        "token_use": "access",
        "scope": "aws.cognito.signin.user.admin",
        "auth_time": now,
        "iat": now,
        "exp": now + 3600,
        "username": SUBJECT,
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def ask(handler: ModuleType, token: str, scheme: str = "Bearer ") -> dict[str, Any]:
    return handler.handle({"version": "2.0", "type": "REQUEST", "identitySource": [scheme + token]}, None)


def test_valid_token_is_authorized_with_its_subject(handler: ModuleType) -> None:
    assert ask(handler, CURRENT.sign(claims())) == ALLOWED


@pytest.mark.parametrize("scheme", ["bearer ", "BEARER ", "Bearer  "])
def test_scheme_is_case_insensitive(handler: ModuleType, scheme: str) -> None:
    assert ask(handler, CURRENT.sign(claims()), scheme) == ALLOWED


def test_token_in_header_without_identity_source_is_authorized(handler: ModuleType) -> None:
    token = CURRENT.sign(claims())
    assert handler.handle({"headers": {"authorization": f"Bearer {token}"}}, None) == ALLOWED


@pytest.mark.parametrize("scheme", ["", "Basic ", "Token ", "Bearer", "Bearer:"])
def test_token_with_another_or_no_scheme_is_refused(
    handler: ModuleType, caplog: pytest.LogCaptureFixture, scheme: str
) -> None:
    caplog.set_level(logging.INFO)
    assert ask(handler, CURRENT.sign(claims()), scheme) == REFUSED
    assert [vars(record)["reason"] for record in caplog.records] == ["NotABearerToken"]


@pytest.mark.parametrize("event", [{}, {"headers": {}}, {"identitySource": [], "headers": {}}])
def test_request_without_token_is_refused(handler: ModuleType, event: dict[str, Any]) -> None:
    assert handler.handle(event, None) == REFUSED


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"exp": int(time.time()) - 60}, "ExpiredSignatureError", id="expired"),
        pytest.param({"nbf": int(time.time()) + 3600}, "ImmatureSignatureError", id="not valid yet"),
        pytest.param({"iat": int(time.time()) + 3600}, "ImmatureSignatureError", id="issued in the future"),
        pytest.param({"token_use": "id"}, "NotAnAccessToken", id="an ID token that names the client"),
        pytest.param(
            {"token_use": "id", "client_id": None, "aud": CLIENT_ID}, "MissingRequiredClaimError", id="an ID token"
        ),
        pytest.param({"client_id": "another"}, "OtherAudience", id="for another client"),
        pytest.param({"iss": ISSUER + "2"}, "InvalidIssuerError", id="of another user pool"),
        pytest.param({"token_use": None}, "NotAnAccessToken", id="without token_use"),
        pytest.param({"sub": 5}, "InvalidSubjectError", id="a subject that is no text"),
        *(
            pytest.param({name: None}, "MissingRequiredClaimError", id=f"without {name}")
            for name in ("exp", "iss", "sub", "client_id")
        ),
    ],
)
def test_token_with_invalid_claim_is_refused(
    handler: ModuleType, caplog: pytest.LogCaptureFixture, changes: dict[str, Any], reason: str
) -> None:
    caplog.set_level(logging.INFO)
    assert ask(handler, CURRENT.sign(claims(**changes))) == REFUSED
    assert [vars(record)["reason"] for record in caplog.records] == [reason]


def test_token_with_audience_is_authorized(handler: ModuleType) -> None:
    """Cognito adds `aud` for a resource that the request for the token names (RFC 8707)."""
    assert ask(handler, CURRENT.sign(claims(aud="https://api.example.com"))) == ALLOWED


def test_token_issued_within_leeway_is_authorized(handler: ModuleType) -> None:
    now = int(time.time())
    assert ask(handler, CURRENT.sign(claims(iat=now + 5, auth_time=now + 5))) == ALLOWED


def test_token_expired_for_the_whole_leeway_is_refused(handler: ModuleType) -> None:
    assert ask(handler, CURRENT.sign(claims(exp=int(time.time()) - 5))) == REFUSED


@pytest.mark.parametrize(
    ("kid", "reason"),
    [(CURRENT.kid, "InvalidSignatureError"), ("unknown", "UnknownKey")],
    ids=["known kid", "unknown kid"],
)
def test_token_signed_by_another_key_is_refused(
    handler: ModuleType, caplog: pytest.LogCaptureFixture, kid: str, reason: str
) -> None:
    caplog.set_level(logging.INFO)
    assert ask(handler, Key(kid).sign(claims())) == REFUSED
    assert [vars(record)["reason"] for record in caplog.records] == [reason]


@pytest.mark.parametrize(
    ("algorithm", "headers", "reason"),
    [
        ("RS512", {"kid": CURRENT.kid}, "OtherAlgorithm"),
        ("RS256", {"kid": CURRENT.kid, "typ": "logout+jwt"}, "OtherType"),
        ("RS256", {}, "NoKeyNamed"),
    ],
    ids=["another RSA algorithm", "another type", "no kid"],
)
def test_token_with_unusable_header_is_refused_without_fetch(
    handler: ModuleType,
    issuer: Issuer,
    caplog: pytest.LogCaptureFixture,
    algorithm: str,
    headers: dict[str, str],
    reason: str,
) -> None:
    caplog.set_level(logging.INFO)
    token = jwt.encode(claims(), CURRENT.private, algorithm=algorithm, headers=headers)
    assert ask(handler, token) == REFUSED
    assert [vars(record)["reason"] for record in caplog.records] == [reason]
    assert issuer.paths == []


def test_keys_in_token_header_are_ignored(handler: ModuleType, issuer: Issuer) -> None:
    mine = Key("mine")
    token = jwt.encode(
        claims(),
        mine.private,
        algorithm="RS256",
        headers={"kid": "mine", "jwk": mine.published(), "jku": "http://127.0.0.1:1/keys.json"},
    )
    assert ask(handler, token) == REFUSED
    assert issuer.paths == ["/eu-west-1_Example/.well-known/jwks.json"]


@pytest.mark.parametrize("token", ["", "x", "a.b", "a.b.c", "....", "\u00e9.\u00e9.\u00e9", "null"])
def test_malformed_token_is_refused_without_fetch(handler: ModuleType, issuer: Issuer, token: str) -> None:
    assert ask(handler, token) == REFUSED
    assert issuer.paths == []


def test_keys_are_fetched_once_for_many_tokens(handler: ModuleType, issuer: Issuer, clock: Clock) -> None:
    for _ in range(5):
        assert ask(handler, CURRENT.sign(claims())) == ALLOWED
        clock.seconds += 600
    assert issuer.paths == ["/eu-west-1_Example/.well-known/jwks.json"]


def test_removed_key_is_refused_after_one_hour(handler: ModuleType, issuer: Issuer, clock: Clock) -> None:
    assert ask(handler, CURRENT.sign(claims())) == ALLOWED
    issuer.publish(NEXT)
    clock.seconds += 3600
    assert ask(handler, CURRENT.sign(claims())) == ALLOWED
    clock.seconds += 0.5
    assert ask(handler, CURRENT.sign(claims())) == REFUSED


def test_rotated_key_is_fetched(handler: ModuleType, issuer: Issuer, clock: Clock) -> None:
    assert ask(handler, CURRENT.sign(claims())) == ALLOWED
    issuer.publish(CURRENT, NEXT)
    clock.seconds += 6
    assert ask(handler, NEXT.sign(claims())) == ALLOWED
    assert ask(handler, CURRENT.sign(claims())) == ALLOWED
    assert len(issuer.paths) == 2


def test_unknown_kids_cause_one_fetch_per_cooldown(handler: ModuleType, issuer: Issuer, clock: Clock) -> None:
    junk = [CURRENT.sign(claims(), kid=f"junk-{n}") for n in range(5)]
    assert ask(handler, junk[0]) == REFUSED
    for fetches in (1, 2):
        assert len(issuer.paths) == fetches
        for token in junk:
            with pytest.raises(key_set.KeysUnavailableError, match="read less than 5 seconds ago"):
                ask(handler, token)
        assert len(issuer.paths) == fetches
        clock.seconds += 5
        assert ask(handler, junk[fetches]) == REFUSED


def test_rotated_key_after_junk_kid_is_not_refused(handler: ModuleType, issuer: Issuer, clock: Clock) -> None:
    """API Gateway caches a refusal, but not an error."""
    assert ask(handler, CURRENT.sign(claims(), kid="junk")) == REFUSED
    issuer.publish(CURRENT, NEXT)
    with pytest.raises(key_set.KeysUnavailableError):
        ask(handler, NEXT.sign(claims()))
    assert ask(handler, CURRENT.sign(claims())) == ALLOWED
    clock.seconds += 5
    assert ask(handler, NEXT.sign(claims())) == ALLOWED


def test_unreachable_issuer_raises_keys_unavailable(load_handler: LoadHandler, unused_endpoint: str) -> None:
    handler = load_under(load_handler, unused_endpoint)
    with pytest.raises(key_set.KeysUnavailableError, match=f"{unused_endpoint}/eu-west-1_Example"):
        ask(handler, CURRENT.sign(claims()))


@pytest.mark.parametrize(
    ("status", "document"), [(503, b""), (302, b""), (200, b"<html>"), (200, b"[]"), (200, b'{"keys": []}')]
)
def test_invalid_key_set_raises_keys_unavailable(
    handler: ModuleType, issuer: Issuer, status: int, document: bytes
) -> None:
    issuer.status, issuer.document = status, document
    with pytest.raises(key_set.KeysUnavailableError):
        ask(handler, CURRENT.sign(claims()))


def test_failed_fetch_is_not_retried_before_cooldown(handler: ModuleType, issuer: Issuer, clock: Clock) -> None:
    issuer.status = 503
    for _ in range(5):
        with pytest.raises(key_set.KeysUnavailableError):
            ask(handler, CURRENT.sign(claims()))
    assert len(issuer.paths) == 1

    issuer.status = 200
    clock.seconds += 11
    assert ask(handler, CURRENT.sign(claims())) == ALLOWED


def test_reset_connection_raises_keys_unavailable_and_starts_cooldown(load_handler: LoadHandler) -> None:
    """urllib raises an OSError of its own kind only until the request is sent."""

    def reset_connection() -> None:
        connection, _ = listener.accept()
        connection.recv(65_536)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close with a reset
        connection.close()

    with socket.create_server((HOST, 0)) as listener:
        handler = load_under(load_handler, f"http://{HOST}:{listener.getsockname()[1]}")
        threading.Thread(target=reset_connection, daemon=True).start()
        for message in ("Connection reset by peer", "less than 10 seconds ago"):
            with pytest.raises(key_set.KeysUnavailableError, match=message):
                ask(handler, CURRENT.sign(claims()))


def test_silent_issuer_raises_keys_unavailable_after_timeout(
    load_handler: LoadHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuers, "FETCH_TIMEOUT_SECONDS", 0.2)
    with socket.create_server((HOST, 0)) as silent:
        handler = load_under(load_handler, f"http://{HOST}:{silent.getsockname()[1]}")
        started_at = time.monotonic()
        with pytest.raises(key_set.KeysUnavailableError, match="timed out"):
            ask(handler, CURRENT.sign(claims()))
    assert time.monotonic() - started_at < key_set.FAILED_FETCH_COOLDOWN_SECONDS


def test_fetch_timeout_is_below_timeout_of_function() -> None:
    """A fetch that is cut off by Lambda would not start the cooldown."""
    documents, waits = 2, 2  # each waits for the connection or a response, and for the rest of the body
    assert documents * waits * issuers.FETCH_TIMEOUT_SECONDS < 8  # components/upload_api.py


def test_known_keys_are_used_while_issuer_is_down(handler: ModuleType, issuer: Issuer, clock: Clock) -> None:
    assert ask(handler, CURRENT.sign(claims())) == ALLOWED
    issuer.status = 503
    clock.seconds += 6
    for number in range(5):
        with pytest.raises(key_set.KeysUnavailableError):
            ask(handler, CURRENT.sign(claims(), kid=f"junk-{number}"))
        assert ask(handler, CURRENT.sign(claims())) == ALLOWED
    assert len(issuer.paths) == 2


def test_expired_keys_are_used_for_a_day_while_issuer_is_down(
    handler: ModuleType, issuer: Issuer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    fetched_at = clock.seconds
    assert ask(handler, CURRENT.sign(claims())) == ALLOWED
    issuer.status = 503
    for hours in (1, 12, 24):
        clock.seconds = fetched_at + hours * 3600
        assert ask(handler, CURRENT.sign(claims())) == ALLOWED
        clock.seconds += 1 if hours < 24 else 0
        assert ask(handler, CURRENT.sign(claims())) == ALLOWED
    assert [(record.getMessage(), vars(record)["known"]) for record in caplog.records] == [
        ("keys cannot be fetched", 1)
    ] * 3
    assert len(issuer.paths) == 4

    clock.seconds = fetched_at + 24 * 3600 + 1
    with pytest.raises(key_set.KeysUnavailableError):
        ask(handler, CURRENT.sign(claims()))


def test_removed_key_is_refused_once_issuer_is_up_again(handler: ModuleType, issuer: Issuer, clock: Clock) -> None:
    assert ask(handler, CURRENT.sign(claims())) == ALLOWED
    issuer.publish(NEXT)
    issuer.status = 503
    clock.seconds += 3601
    assert ask(handler, CURRENT.sign(claims())) == ALLOWED
    issuer.status = 200
    clock.seconds += 10
    assert ask(handler, CURRENT.sign(claims())) == REFUSED


def test_unknown_key_while_issuer_is_down_is_not_refused(handler: ModuleType, issuer: Issuer, clock: Clock) -> None:
    assert ask(handler, CURRENT.sign(claims())) == ALLOWED
    issuer.status = 503
    clock.seconds += 3601
    with pytest.raises(key_set.KeysUnavailableError):
        ask(handler, NEXT.sign(claims()))


def test_no_part_of_a_token_is_logged(
    handler: ModuleType, issuer: Issuer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    good = CURRENT.sign(claims())
    expired = CURRENT.sign(claims(exp=1))
    forged = Key("secret-kid").sign(claims())
    for token in (good, expired, forged, "not.a.token"):
        ask(handler, token)
        clock.seconds += 5
    issuer.status = 503
    with pytest.raises(key_set.KeysUnavailableError) as caught:
        ask(handler, forged)

    logged = str([vars(record) for record in caplog.records]) + str(caught.value)
    assert len(caplog.records) == 4
    for token in (good, expired, forged):
        for part in token.split("."):
            assert part not in logged
    for secret in ("not.a.token", "secret-kid", SUBJECT):
        assert secret not in logged


@pytest.fixture
def certified(tmp_path: Path) -> Iterator[HttpStub]:
    """An issuer with a self-signed certificate."""
    key_set = json.dumps({"keys": [CURRENT.published()]}).encode()
    with HttpStub(body=key_set, tls=self_signed(tmp_path, HOST)) as stub:
        yield stub


def test_keys_from_host_with_trusted_certificate_are_used(
    load_handler: LoadHandler, certified: HttpStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert certified.tls
    monkeypatch.setenv("SSL_CERT_FILE", str(certified.tls[0]))
    assert ask(load_under(load_handler, certified.url), CURRENT.sign(claims())) == ALLOWED


def test_untrusted_certificate_raises_keys_unavailable(load_handler: LoadHandler, certified: HttpStub) -> None:
    handler = load_under(load_handler, certified.url)
    with pytest.raises(key_set.KeysUnavailableError, match="self-signed certificate"):
        ask(handler, CURRENT.sign(claims()))
    assert certified.requests == []
    with pytest.raises(key_set.KeysUnavailableError, match="less than 10 seconds ago"):
        ask(handler, CURRENT.sign(claims()))
    assert certified.connections == 1


def test_certificate_of_another_host_raises_keys_unavailable(
    load_handler: LoadHandler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = self_signed(tmp_path, "example.com")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with HttpStub(tls=(certificate, key)) as stub:
        handler = load_under(load_handler, stub.url)
        with pytest.raises(key_set.KeysUnavailableError, match="IP address mismatch"):
            ask(handler, CURRENT.sign(claims()))
    assert stub.requests == []


@pytest.mark.parametrize("variable", ["ISSUER", "AUDIENCE", "AUDIENCE_CLAIM"])
def test_import_without_variable_raises_key_error(load_handler: LoadHandler, variable: str) -> None:
    environment = {"ISSUER": ISSUER, "AUDIENCE": CLIENT_ID, "AUDIENCE_CLAIM": "client_id"}
    del environment[variable]
    with pytest.raises(KeyError, match=variable):
        load_handler("authorize", environment)
