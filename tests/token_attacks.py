"""Attacks on the verification of access tokens, for every kind of issuer.

https://www.rfc-editor.org/rfc/rfc8725 and https://www.rfc-editor.org/rfc/rfc9068#section-5
"""

from __future__ import annotations

import base64
import hmac
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

FUTURE = 4_102_444_800  # 2100-01-01

Private: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def publish(private: Private, kid: str, **members: str) -> dict[str, Any]:
    """The JWK of the public key."""
    public = private.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        key = RSAAlgorithm.to_jwk(public)
    elif isinstance(public, ec.EllipticCurvePublicKey):
        key = ECAlgorithm.to_jwk(public)
    else:
        key = OKPAlgorithm.to_jwk(public)
    return {**json.loads(key), "kid": kid, **members}


def name_algorithm(private: Private) -> str:
    """The algorithm that the function accepts for keys of this type."""
    if isinstance(private, rsa.RSAPrivateKey):
        return "RS256"
    return "ES256" if isinstance(private, ec.EllipticCurvePrivateKey) else "EdDSA"


def sign(private: Private, data: bytes) -> bytes:
    if isinstance(private, rsa.RSAPrivateKey):
        return RSAAlgorithm(RSAAlgorithm.SHA256).sign(data, private)
    if isinstance(private, ec.EllipticCurvePrivateKey):
        return ECAlgorithm(ECAlgorithm.SHA256).sign(data, private)
    return OKPAlgorithm().sign(data, private)


@dataclass(frozen=True)
class Forger:
    """Makes tokens of an issuer: with its keys, as it would sign other contents, and without, as an attacker can."""

    keys: Mapping[str, Private]
    """The issuer's keys by key ID. The first one signs access tokens."""
    claims: Mapping[str, Any]
    """Those of a valid access token."""
    attacker_url: str
    """Where the attacker has keys of their own."""

    @property
    def key_id(self) -> str:
        return next(iter(self.keys))

    @property
    def algorithm(self) -> str:
        return name_algorithm(self.keys[self.key_id])

    def issue(self, headers: Mapping[str, Any] | None = None, **changes: Any) -> str:
        """A token that the issuer has signed. A change to None leaves the claim or the parameter out."""
        return self.sign_with(self.keys[self.key_id], headers, **changes)

    def sign_with(self, private: Private, headers: Mapping[str, Any] | None = None, **changes: Any) -> str:
        unsigned = self.forge(headers, **changes)
        return f"{unsigned}.{encode(sign(private, unsigned.encode()))}"

    def forge(self, headers: Mapping[str, Any] | None = None, **changes: Any) -> str:
        """A token without its signature."""
        header = {"alg": self.algorithm, "typ": "JWT", "kid": self.key_id, **(headers or {})}
        parts = (header, {**self.claims, **changes})
        kept = ({name: value for name, value in part.items() if value is not None} for part in parts)
        return ".".join(encode(json.dumps(part).encode()) for part in kept)


Attack: TypeAlias = Callable[[Forger], Iterator[str]]
ATTACKS: dict[str, Attack] = {}
"""By name. All tokens of an attack must be refused. The docstrings are the table in docs/openid-connect.md."""


def _attack(make_tokens: Attack) -> Attack:
    ATTACKS[make_tokens.__name__.replace("_", " ")] = make_tokens
    return make_tokens


@_attack
def no_signature(forger: Forger) -> Iterator[str]:
    """`alg` none in several spellings, with and without a signature"""
    genuine = forger.issue().rsplit(".", 1)[1]
    for algorithm, signature in itertools.product(("none", "None", "NONE", "nOnE", ""), ("", genuine)):
        yield f"{forger.forge({'alg': algorithm})}.{signature}"
    yield f"{forger.forge()}."
    yield forger.forge()


@_attack
def algorithm_confusion(forger: Forger) -> Iterator[str]:
    """HMAC with the issuer's public key as the secret: as PEM, DER, JWK and its number, and with an empty secret"""
    for (kid, private), algorithm in itertools.product(forger.keys.items(), ("HS256", "HS384", "HS512")):
        public, info = private.public_key(), serialization.PublicFormat.SubjectPublicKeyInfo
        jwk = publish(private, kid)
        secrets = [
            public.public_bytes(serialization.Encoding.PEM, info),
            public.public_bytes(serialization.Encoding.PEM, info).strip(),
            public.public_bytes(serialization.Encoding.DER, info),
            json.dumps(jwk).encode(),
            decode(jwk["n"] if "n" in jwk else jwk["x"]),
            b"",
        ]
        # Also with the name of an algorithm that is accepted.
        for name, secret in itertools.product((algorithm, forger.algorithm), secrets):
            unsigned = forger.forge({"alg": name, "kid": kid})
            yield f"{unsigned}.{encode(hmac.digest(secret, unsigned.encode(), f'sha{algorithm[2:]}'))}"


@_attack
def other_algorithm(forger: Forger) -> Iterator[str]:
    """the issuer's RSA key with RS384, RS512, PS256 and PS512, and the names of others"""
    for kid, private in forger.keys.items():
        if isinstance(private, rsa.RSAPrivateKey):
            for name, digest in {"384": hashes.SHA384(), "512": hashes.SHA512(), "256": hashes.SHA256()}.items():
                pss = padding.PSS(padding.MGF1(digest), digest.digest_size)
                for prefix, scheme in {"RS": padding.PKCS1v15(), "PS": pss}.items():
                    if prefix + name != "RS256":
                        unsigned = forger.forge({"alg": prefix + name, "kid": kid})
                        yield f"{unsigned}.{encode(private.sign(unsigned.encode(), scheme, digest))}"
    for name in ("ES256K", "ES384", "ES512", "Ed448", "RSA-OAEP", "dir", "RS256 ", "rs256", ["RS256"], 5, None):
        yield forger.issue({"alg": name})


@_attack
def other_key_of_the_issuer(forger: Forger) -> Iterator[str]:
    """a signature by one of the issuer's keys that names another one, or the algorithm of another one"""
    for (kid, private), other in itertools.product(forger.keys.items(), ("RS256", "ES256", "EdDSA")):
        if other != name_algorithm(private):
            yield forger.sign_with(private, {"alg": other, "kid": kid})
        for named in forger.keys:
            if named != kid:
                yield forger.sign_with(private, {"alg": other, "kid": named})


@_attack
def key_of_the_attacker(forger: Forger) -> Iterator[str]:
    """a signature by another key with the ID of one of the issuer's"""
    mine: list[Private] = [
        rsa.generate_private_key(65537, 2048),
        ec.generate_private_key(ec.SECP256R1()),
        ed25519.Ed25519PrivateKey.generate(),
    ]
    for private, kid in itertools.product(mine, forger.keys):
        yield forger.sign_with(private, {"alg": name_algorithm(private), "kid": kid})
        yield forger.sign_with(private, {"kid": kid})


@_attack
def key_brought_along(forger: Forger) -> Iterator[str]:
    """a key that the token has as `jwk` or `x5c`, or points to by `jku` or `x5u`, and a `kid` that is no text"""
    mine = ec.generate_private_key(ec.SECP256R1())
    url = forger.attacker_url
    for kid in forger.keys:
        jwk = publish(mine, kid)
        for brought in ({"jwk": jwk}, {"jku": f"{url}/keys"}, {"x5u": f"{url}/chain"}, {"x5c": [encode(b"chain")]}):
            yield forger.sign_with(mine, {"alg": "ES256", "kid": kid, **brought})
            yield forger.sign_with(mine, {"alg": "ES256", "kid": None, **brought})
    for kid in (5, [forger.key_id], {"kid": forger.key_id}, True):
        yield forger.issue({"kid": kid})
    yield forger.issue({"kid": None})


@_attack
def trivial_signature(forger: Forger) -> Iterator[str]:
    """zeros, ones, the order of the curve, and nothing ([CVE-2022-21449](https://nvd.nist.gov/vuln/detail/CVE-2022-21449))"""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551.to_bytes(32, "big")
    one = (1).to_bytes(32, "big")
    signatures = [
        bytes(64),
        bytes(32) + one,
        one + bytes(32),
        one + one,
        order + order,
        b"\xff" * 64,
        b"",
        bytes(8),
        bytes(256),
    ]
    for kid, private in forger.keys.items():
        for signature in [*signatures, one + order]:
            yield f"{forger.forge({'alg': name_algorithm(private), 'kid': kid})}.{encode(signature)}"


@_attack
def foreign_curve(forger: Forger) -> Iterator[str]:
    """ES256 with a key of secp256k1, P-384 or P-521, and a signature in another encoding"""
    for curve in (ec.SECP256K1(), ec.SECP384R1(), ec.SECP521R1()):
        for kid in forger.keys:
            yield forger.sign_with(ec.generate_private_key(curve), {"alg": "ES256", "kid": kid})
    for kid, private in forger.keys.items():
        if isinstance(private, ec.EllipticCurvePrivateKey):
            unsigned = forger.forge({"alg": "ES256", "kid": kid})
            yield f"{unsigned}.{encode(private.sign(unsigned.encode(), ec.ECDSA(hashes.SHA256())))}"


@_attack
def changed_content(forger: Forger) -> Iterator[str]:
    """a valid token with other claims, and with parts that are missing, swapped or repeated"""
    header, claims, signature = forger.issue().split(".")
    other = forger.forge(sub="0a1b2c3d-0000-4000-8000-00000000eeee").split(".")[1]
    for parts in (
        (header, other, signature),
        (header, claims, signature[:-4]),
        (header, claims, signature, ""),
        (header, claims, signature, signature),
        (header, claims, "", "", signature),
        (claims, header, signature),
        ("", claims, signature),
        (header, "", signature),
        (header, signature),
        (header,),
    ):
        yield ".".join(parts)


@_attack
def critical_header(forger: Forger) -> Iterator[str]:
    """a `crit` parameter with extensions, such as an unencoded payload ([RFC 7797](https://www.rfc-editor.org/rfc/rfc7797))"""
    for headers in (
        {"crit": ["exp"]},
        {"crit": ["b64"], "b64": False},
        {"b64": False},
        {"crit": ["x"], "x": 1},
        {"crit": []},
    ):
        yield forger.issue(headers)


@_attack
def expired(forger: Forger) -> Iterator[str]:
    """`exp` a minute ago, missing, or no number"""
    for exp in (forger.claims["iat"] - 60, 1, -FUTURE, None, "soon", [FUTURE], {}):
        yield forger.issue(exp=exp)


@_attack
def not_yet_valid(forger: Forger) -> Iterator[str]:
    """`nbf` or `iat` in the future, or no number"""
    for name, value in itertools.product(("nbf", "iat"), (FUTURE, forger.claims["iat"] + 600, "now", [1])):
        changes: dict[str, Any] = {name: value}
        yield forger.issue(**changes)


@_attack
def other_issuer(forger: Forger) -> Iterator[str]:
    """`iss` missing, of the attacker, with or without a slash, in upper case, as a prefix or in a list"""
    own = forger.claims["iss"]
    slash = own.rstrip("/") if own.endswith("/") else f"{own}/"
    for iss in (None, "", forger.attacker_url, slash, own.upper(), f"{own}.example.com", own[:-1], f" {own}", [own], 5):
        yield forger.issue(iss=iss)


@_attack
def other_audience(forger: Forger) -> Iterator[str]:
    """the audience missing, of another API, longer, shorter, in a list of strangers, or in an object"""
    audience = forger.claims["client_id" if "token_use" in forger.claims else "aud"]
    strangers = ["https://other.example.com", f"{audience}/", audience[:-1], audience.upper()]
    for value in (None, "", *strangers, strangers, [], [[audience]], {audience: 1}, 5, True):
        yield forger.issue(aud=value, client_id=value, azp=value)


@_attack
def id_token(forger: Forger) -> Iterator[str]:
    """the claims by which issuers tell ID tokens and refresh tokens apart from access tokens"""
    changes: dict[str, Any]
    for changes in (
        {"token_use": "id"},
        {"token_use": ["access"]},
        {"typ": "ID"},
        {"typ": "Refresh"},
        {"at_hash": "MTIzNDU2Nzg5MDEyMzQ1Ng"},
        {"c_hash": "MTIzNDU2Nzg5MDEyMzQ1Ng"},
    ):
        yield forger.issue(**changes)


@_attack
def token_for_something_else(forger: Forger) -> Iterator[str]:
    """the header `typ` of logout tokens, DPoP proofs, security events and others"""
    for typ in ("logout+jwt", "dpop+jwt", "secevent+jwt", "token-introspection+jwt", "id_token", "JWE", ["JWT"], 5):
        yield forger.issue({"typ": typ})


@_attack
def invalid_subject(forger: Forger) -> Iterator[str]:
    """`sub` missing, empty, longer than 255 characters, not encodable, or no text"""
    for sub in (None, "", "a" * 256, "\ud800", 5, ["a"], {"sub": "a"}, True):
        yield forger.issue(sub=sub)
