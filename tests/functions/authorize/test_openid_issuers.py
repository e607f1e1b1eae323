"""Tokens of OpenID Connect issuers, and attacks that must fail with these and with Cognito alike."""

import hashlib
import json
import os
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from functions.authorize import issuer as issuers
from functions.authorize.key_set import KeysUnavailableError
from tests.functions.certificates import self_signed
from tests.functions.conftest import LoadHandler
from tests.functions.servers import HOST, HttpStub
from tests.token_attacks import ATTACKS, Forger, Private, decode, encode, publish

COGNITO = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Example"
AUDIENCE = "https://avatars.example.com"
SUBJECT = "0a1b2c3d-0000-4000-8000-00000000a11c"
REFUSED = {"isAuthorized": False}
ALLOWED = {"isAuthorized": True, "context": {"sub": SUBJECT}}
MUTATIONS = int(os.environ.get("TOKEN_MUTATIONS", "500"))

KEYS: Mapping[str, Private] = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
KEY_SET = {"keys": [publish(private, algorithm) for algorithm, private in KEYS.items()]}


@dataclass
class Issuer:
    """An issuer whose two documents can be changed, and the function that accepts its tokens."""

    url: str
    metadata: HttpStub | None
    """None for Cognito."""
    keys: HttpStub
    handler: ModuleType

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Those of a valid access token; a change to None leaves the claim out."""
        now = int(time.time())
        own = {"token_use": "access", "client_id": AUDIENCE} if self.metadata is None else {"aud": AUDIENCE}
        good = {"sub": SUBJECT, "iss": self.url, "iat": now, "exp": now + 3600, **own}
        return {name: value for name, value in {**good, **changes}.items() if value is not None}

    def sign(self, algorithm: str = "RS256", headers: Mapping[str, Any] | None = None, **changes: Any) -> str:
        header = {"kid": algorithm, **(headers or {})}
        return jwt.encode(self.claims(**changes), KEYS[algorithm], algorithm=algorithm, headers=header)

    def ask(self, token: str) -> dict[str, Any]:
        return self.handler.handle({"identitySource": [f"Bearer {token}"]}, None)


Start: TypeAlias = Callable[..., Issuer]


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return self_signed(tmp_path_factory.mktemp("tls"), HOST)


@pytest.fixture
def start_issuer(load_handler: LoadHandler, monkeypatch: pytest.MonkeyPatch, tls: tuple[Path, Path]) -> Iterator[Start]:
    stubs: list[HttpStub] = []
    monkeypatch.setenv("SSL_CERT_FILE", str(tls[0]))

    def serve(document: object) -> HttpStub:
        stubs.append(HttpStub(tls=tls, body=json.dumps(document).encode()).__enter__())
        return stubs[-1]

    def start(path: str = "/tenant", audience: str = AUDIENCE, audience_claim: str = "aud") -> Issuer:
        metadata, keys = serve({}), serve(KEY_SET)
        url = metadata.url + path
        metadata.body = json.dumps({"issuer": url, "jwks_uri": f"{keys.url}/keys"}).encode()
        environment = {"ISSUER": url, "AUDIENCE": audience, "AUDIENCE_CLAIM": audience_claim}
        return Issuer(url, metadata, keys, load_handler("authorize", environment))

    yield start
    for stub in stubs:
        stub.__exit__()


@pytest.fixture
def openid(start_issuer: Start) -> Issuer:
    return start_issuer()


@pytest.fixture(params=["openid", "cognito"])
def either(request: pytest.FixtureRequest, load_handler: LoadHandler, tls: tuple[Path, Path]) -> Iterator[Issuer]:
    """An OpenID Connect issuer, and a Cognito user pool."""
    if request.param == "openid":
        yield request.getfixturevalue("openid")
        return
    request.getfixturevalue("monkeypatch").setenv("SSL_CERT_FILE", str(tls[0]))
    with HttpStub(tls=tls, body=json.dumps(KEY_SET).encode()) as keys:
        environment = {
            "ISSUER": COGNITO,
            "AUDIENCE": AUDIENCE,
            "AUDIENCE_CLAIM": "client_id",
            "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER": keys.url,
        }
        yield Issuer(COGNITO, None, keys, load_handler("authorize", environment))


# --- What is accepted -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", KEYS)
def test_token_of_each_algorithm_is_authorized(either: Issuer, algorithm: str) -> None:
    assert either.ask(either.sign(algorithm)) == ALLOWED


@pytest.mark.parametrize("type_", ["JWT", "at+jwt", "AT+JWT", "application/at+jwt", None])
def test_token_of_type_for_apis_is_authorized(openid: Issuer, type_: str | None) -> None:
    assert openid.ask(openid.sign(headers={"typ": type_})) == ALLOWED


def test_token_for_several_audiences_is_authorized(openid: Issuer) -> None:
    assert openid.ask(openid.sign(aud=["https://other.example.com", AUDIENCE])) == ALLOWED


@pytest.mark.parametrize("claim", ["client_id", "azp"])
def test_audience_in_another_claim_is_required_there(start_issuer: Start, claim: str) -> None:
    issuer = start_issuer(audience_claim=claim)
    accepted: list[dict[str, Any]] = [{"aud": None, claim: AUDIENCE}, {"aud": "any", claim: AUDIENCE}]
    assert [issuer.ask(issuer.sign(**changes)) for changes in accepted] == [ALLOWED] * 2
    refused: list[dict[str, Any]] = [{"aud": AUDIENCE}, {claim: "other"}, {claim: [AUDIENCE]}]
    assert [issuer.ask(issuer.sign(**changes)) for changes in refused] == [REFUSED] * 3


@pytest.mark.parametrize(
    ("sub", "segment"),
    [
        (SUBJECT, SUBJECT),
        ("auth0|5f7c8ec7c33c6c004bbafe82", hashlib.sha256(b"auth0|5f7c8ec7c33c6c004bbafe82").hexdigest()),
        ("ada@example.com", "b5fc85e55755f9e0d030a10ab4429b6b2944855f9a0d60077fe832becbc41d72"),
    ],
)
def test_subject_is_part_of_a_path_behind_the_authorizer(openid: Issuer, sub: str, segment: str) -> None:
    assert openid.ask(openid.sign(sub=sub)) == {"isAuthorized": True, "context": {"sub": segment}}


@pytest.mark.parametrize("path", ["", "/", "/realms/one", "/realms/one/"])
def test_metadata_are_below_the_issuer_and_name_it_exactly(start_issuer: Start, path: str) -> None:
    issuer = start_issuer(path)
    assert issuer.metadata
    assert issuer.ask(issuer.sign()) == ALLOWED
    assert issuer.metadata.paths == [f"{path.rstrip('/')}/.well-known/openid-configuration"]
    other = issuer.url.rstrip("/") if path.endswith("/") else f"{issuer.url}/"
    assert issuer.ask(issuer.sign(iss=other)) == REFUSED


def test_documents_are_fetched_once_for_many_tokens(openid: Issuer) -> None:
    assert [openid.ask(openid.sign(algorithm)) for algorithm in (*KEYS, *KEYS)] == [ALLOWED] * 6
    assert openid.metadata
    assert (len(openid.metadata.paths), openid.keys.paths) == (1, ["/keys"])


@pytest.mark.parametrize(
    "url",
    [
        "http://issuer.example.com",
        "http://localhost:8435",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "http://127.0.0.1@example.com",
        "http://127.0.0.1:8435@example.com",
        "http://127.0.0.1:@example.com",
        "http://example.com@127.0.0.1",
        "http://127.0.0.1\\@example.com",
        "http://127.0.0.1?.example.com",
        "http://127.1",
        "http://[::1]",
        "HTTP://127.0.0.1",
        "ftp://127.0.0.1",
        "https:/issuer.example.com",
        "",
    ],
)
def test_function_with_issuer_without_https_does_not_start(load_handler: LoadHandler, url: str) -> None:
    with pytest.raises(ValueError, match=f"^the issuer {re.escape(repr(url))} has no https:// URL$"):
        load_handler("authorize", {"ISSUER": url, "AUDIENCE": AUDIENCE, "AUDIENCE_CLAIM": "aud"})


def test_issuer_of_a_local_run_has_its_keys_at_the_same_place() -> None:
    with HttpStub() as metadata, HttpStub() as other:
        issuer = issuers.Issuer(metadata.url)
        for url in (f"{other.url}/keys", f"{metadata.url}0/keys", f"{metadata.url}@{other.url[7:]}"):
            metadata.body = json.dumps({"issuer": metadata.url, "jwks_uri": url}).encode()
            with pytest.raises(issuers.IssuerError, match=f"have the jwks_uri '{re.escape(url)}'; allowed is"):
                issuer.fetch_key_set()
        assert other.paths == []
        document = {"issuer": metadata.url, "jwks_uri": f"{metadata.url}/keys"}
        metadata.body = json.dumps(document).encode()
        assert issuer.fetch_key_set() == document, "its only response"


# --- What the issuer publishes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"issuer": "https://issuer.example.com"}, "are those of issuer 'https://issuer.example.com'"),
        ({"issuer": None}, "are those of issuer None"),
        ({"jwks_uri": None}, "have the jwks_uri None; allowed is an https:// URL"),
        ({"jwks_uri": "http://127.0.0.1:1/keys"}, "have the jwks_uri 'http://127.0.0.1:1/keys'; allowed is"),
        ({"jwks_uri": "file:///etc/passwd"}, "have the jwks_uri 'file:///etc/passwd'; allowed is"),
        ({"jwks_uri": ["https://127.0.0.1:1"]}, "allowed is an https:// URL"),
        ({"jwks_uri": "https://127.0.0.1:1/keys"}, "https://127.0.0.1:1/keys cannot be fetched"),
    ],
)
def test_invalid_metadata_raise_keys_unavailable(openid: Issuer, changes: dict[str, Any], message: str) -> None:
    assert openid.metadata
    openid.metadata.body = json.dumps({**json.loads(openid.metadata.body), **changes}).encode()
    with pytest.raises(KeysUnavailableError) as caught:
        openid.ask(openid.sign())
    assert message in str(caught.value)
    assert openid.keys.paths == []


@pytest.mark.parametrize(
    ("either", "document"), [("openid", "metadata"), ("openid", "keys"), ("cognito", "keys")], indirect=["either"]
)
@pytest.mark.parametrize(
    ("response", "message"),
    [
        ({"status": 302, "headers": {"Location": "/elsewhere"}}, "HTTP Error 302"),
        ({"status": 404}, "HTTP Error 404"),
        ({"body": b"<html>"}, "is not JSON"),
        ({"body": b"[" * 100_000}, "is not JSON"),
        ({"body": b"[]"}, "is not a JSON object"),
        ({"body": b"{}" + b" " * issuers.MAX_DOCUMENT_BYTES}, "has more than 262144 bytes"),
    ],
    ids=["redirect", "missing", "page", "nested", "list", "huge"],
)
def test_invalid_document_raises_keys_unavailable(
    either: Issuer, document: str, response: dict[str, Any], message: str
) -> None:
    stub: HttpStub = getattr(either, document)
    for name, value in response.items():
        setattr(stub, name, value)
    with pytest.raises(KeysUnavailableError, match=message):
        either.ask(either.sign())
    assert len(stub.paths) == 1, "it is not followed"


def test_document_that_takes_too_long_raises_keys_unavailable(either: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issuers, "FETCH_TIMEOUT_SECONDS", 0)  # the first part of the body comes later than this
    monkeypatch.setattr(issuers.urllib.request.OpenerDirector, "open", _open_without_timeout)
    with pytest.raises(KeysUnavailableError, match="its body takes longer than 0 seconds"):
        either.ask(either.sign())


def _open_without_timeout(opener: Any, url: str, *, timeout: float) -> Any:
    del timeout
    return OPEN(opener, url)


OPEN = issuers.urllib.request.OpenerDirector.open


@pytest.mark.parametrize(
    "key",
    [
        publish(rsa.generate_private_key(65537, 1024), "RS256"),  # noqa: S505
        publish(KEYS["RS256"], "RS256", use="enc"),
        publish(KEYS["RS256"], "RS256", alg="RS512"),
        publish(ec.generate_private_key(ec.SECP384R1()), "RS256"),
        {"kty": "oct", "k": encode(b"secret" * 8), "kid": "RS256"},
        {"kty": ["RSA"], "kid": "RS256"},
        {"kty": "RSA", "n": 5, "e": "AQAB", "kid": "RS256"},
        {**publish(KEYS["RS256"], "RS256"), "kid": 5},
        "key",
    ],
    ids=["short", "encryption", "RS512", "P-384", "symmetric", "list", "damaged", "number", "text"],
)
def test_unusable_key_is_skipped(openid: Issuer, key: object) -> None:
    openid.keys.body = json.dumps({"keys": [key, publish(KEYS["ES256"], "ES256")]}).encode()
    assert openid.ask(openid.sign("ES256")) == ALLOWED
    with pytest.raises(KeysUnavailableError, match="the keys were read less than 5 seconds ago"):
        openid.ask(openid.sign("RS256"))


# --- Attacks, on both kinds of issuer ---------------------------------------------------------------------------------


@pytest.mark.parametrize("attack", ATTACKS)
def test_attack_is_refused(either: Issuer, attack: str) -> None:
    with HttpStub(body=json.dumps(KEY_SET).encode()) as attacker:
        forger = Forger(KEYS, either.claims(), attacker.url)
        assert either.ask(forger.issue()) == ALLOWED, "without a change"
        for number, token in enumerate(ATTACKS[attack](forger)):
            assert either.ask(token) == REFUSED, f"number {number}: {token}"
        assert attacker.paths == [], "nothing is fetched because of a token"


@pytest.mark.parametrize("attack", ["no signature", "other algorithm", "token for something else"])
def test_hopeless_token_is_refused_before_keys_are_fetched(either: Issuer, attack: str) -> None:
    (token, *_) = ATTACKS[attack](Forger(KEYS, either.claims(), ""))
    assert either.ask(token) == REFUSED
    assert either.keys.paths == []


def test_randomly_changed_token_is_refused(either: Issuer) -> None:
    """TOKEN_MUTATIONS in the environment is the number of changed tokens."""
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    valid = [either.sign(algorithm) for algorithm in KEYS]
    for number in range(MUTATIONS):
        token = mutate(rng, rng.choice(valid))
        if token in valid or any(_is_same(token, its) for its in valid):
            continue
        try:
            assert either.ask(token) == REFUSED, f"seed {seed}, number {number}: {token}"
        except KeysUnavailableError:
            continue  # another key ID


def mutate(rng: random.Random, token: str) -> str:
    """Change characters, or a byte of a decoded part."""
    if rng.random() < 0.5:
        at, characters = rng.randrange(len(token)), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
        return token[:at] + rng.choice(characters) * rng.randrange(3) + token[at + rng.randrange(3) :]
    parts = token.split(".")
    which = rng.randrange(len(parts))
    data = bytearray(decode(parts[which]))
    for _ in range(rng.randrange(1, 4)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    parts[which] = encode(bytes(data))
    return ".".join(parts)


def _is_same(token: str, valid: str) -> bool:
    """Whether it has the same bytes: the last character of a part has bits without meaning (RFC 4648, section 3.5)."""
    try:
        return [decode(part) for part in token.split(".")] == [decode(part) for part in valid.split(".")]
    except ValueError:
        return False
