"""The keys with which an issuer signs its tokens, and when they are fetched."""

import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import jwt

from functions.authorize.issuer import IssuerError

log = logging.getLogger()

# A key that was removed from the set is trusted for up to an hour: the usual lifetime of the last token it signed.
KEY_LIFESPAN_SECONDS = 3600
# While no newer set can be fetched, requests of users do not fail because of it.
STALE_KEY_LIFESPAN_SECONDS = 24 * 3600
# An unknown kid may be of a rotated key, and is more often junk: the set is fetched at most this often because of it.
UNKNOWN_KEY_COOLDOWN_SECONDS = 5
# After a failed fetch, requests fail at once for this long, instead of each waiting for the timeout.
FAILED_FETCH_COOLDOWN_SECONDS = 10

# The key decides the algorithm (RFC 8725, section 3.1). None of them is symmetric.
ALGORITHMS: Mapping[tuple[object, object], str] = {
    ("RSA", None): "RS256",
    ("EC", "P-256"): "ES256",
    ("OKP", "Ed25519"): "EdDSA",
}
_MIN_RSA_BITS = 2048  # RFC 7518, section 3.3


class UnknownKeyError(Exception):
    """The issuer has no such key."""


class KeysUnavailableError(Exception):
    """The issuer's current keys are not known, so the token can be neither accepted nor refused."""


class KeySet:
    """The issuer's keys, which are kept for an hour, and for a day if they cannot be fetched again."""

    def __init__(self, fetch: Callable[[], dict[str, Any]]) -> None:
        """`fetch` returns a JWK Set, or raises IssuerError."""
        self._fetch_document = fetch
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = -math.inf
        self._failed_at = -math.inf

    def find(self, key_id: str) -> jwt.PyJWK:
        """The key with this ID.

        Raises:
            UnknownKeyError: the set, fetched because of this call, does not have the key.
            KeysUnavailableError: the set cannot be fetched, or the key is unknown and may not be looked for again yet.
        """
        is_current = False
        if _get_age(self._fetched_at) > KEY_LIFESPAN_SECONDS:
            try:
                self._fetch()
                is_current = True
            except KeysUnavailableError:
                if _get_age(self._fetched_at) > STALE_KEY_LIFESPAN_SECONDS:
                    raise
        if key_id not in self._keys and not is_current:
            # Refusing the token would be wrong if its key has been added since, and API Gateway would cache it.
            if _get_age(self._fetched_at) < UNKNOWN_KEY_COOLDOWN_SECONDS:
                raise KeysUnavailableError(f"the keys were read less than {UNKNOWN_KEY_COOLDOWN_SECONDS} seconds ago")
            self._fetch()
        if key_id not in self._keys:
            raise UnknownKeyError
        return self._keys[key_id]

    def _fetch(self) -> None:
        if _get_age(self._failed_at) < FAILED_FETCH_COOLDOWN_SECONDS:
            raise KeysUnavailableError(f"fetching failed less than {FAILED_FETCH_COOLDOWN_SECONDS} seconds ago")
        try:
            keys = _parse_key_set(self._fetch_document())
        except IssuerError as error:
            self._failed_at = time.monotonic()
            log.warning("keys cannot be fetched", extra={"reason": str(error), "known": len(self._keys)})
            raise KeysUnavailableError(str(error)) from error
        self._keys = keys
        self._fetched_at = time.monotonic()


def _parse_key_set(document: dict[str, Any]) -> dict[str, jwt.PyJWK]:
    """The keys by ID, without those that cannot be used: a set may have keys of other kinds (RFC 7517, section 5).

    Raises:
        IssuerError: there is no key that can be used.
    """
    entries = document.get("keys")
    found = {
        entry["kid"]: key
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict) and isinstance(entry.get("kid"), str) and (key := _parse_key(entry))
    }
    if not found:
        raise IssuerError("the key set has no key for RS256, ES256 or EdDSA that has an ID")
    return found


def _parse_key(entry: dict[str, Any]) -> jwt.PyJWK | None:
    """None if the key is not one for signatures by an accepted algorithm."""
    kind = (entry.get("kty"), entry.get("crv"))
    algorithm = next((its for known, its in ALGORITHMS.items() if known == kind), None)  # a part may be a list
    if algorithm is None or entry.get("alg", algorithm) != algorithm or entry.get("use", "sig") != "sig":
        return None
    # Without private members: PyJWT would make a private key of them, which cannot verify.
    public = {name: entry[name] for name in ("kty", "crv", "n", "e", "x", "y", "kid") if name in entry}
    try:
        key = jwt.PyJWK(public, algorithm)
    except jwt.PyJWTError:
        return None
    return None if algorithm == "RS256" and key.key.key_size < _MIN_RSA_BITS else key


def _get_age(moment: float) -> float:
    """Seconds since then, of the monotonic clock."""
    return time.monotonic() - moment
