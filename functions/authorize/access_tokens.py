"""Verification of Cognito access tokens.

https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-tokens-verifying-a-jwt.html
"""

import logging
import math
import time
from urllib.parse import urlsplit

import jwt

log = logging.getLogger()

ALGORITHM = "RS256"  # Cognito's; a token never chooses the algorithm (RFC 8725, section 3.1)
REQUIRED_CLAIMS = ["exp", "iss", "sub", "client_id", "token_use"]

# `iat` is in whole seconds of Cognito's clock: without leeway a new token can be "not yet issued".
LEEWAY_SECONDS = 5

# A key that was removed from the set is trusted for up to an hour: the default lifetime of the last token it signed.
KEY_LIFESPAN_SECONDS = 3600
# While no newer set can be fetched, requests of users do not fail because of it.
STALE_KEY_LIFESPAN_SECONDS = 24 * 3600
# An unknown kid may be of a rotated key, and is more often junk: the set is fetched at most this often because of it.
UNKNOWN_KEY_COOLDOWN_SECONDS = 5
# The set has 1 kB and comes from the same region.
FETCH_TIMEOUT_SECONDS = 3
# After a failed fetch, requests fail at once for this long, instead of each waiting for the timeout.
FAILED_FETCH_COOLDOWN_SECONDS = 10


class InvalidTokenError(Exception):
    """The token is not valid. `reason` is one fixed word and holds no part of the token."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class KeysUnavailableError(Exception):
    """The issuer's current keys are not known, so the token can be neither accepted nor refused."""


class AccessTokenVerifier:
    """Verifies the access tokens that one issuer issues to one client."""

    def __init__(self, issuer: str, client_id: str, jwks_url: str) -> None:
        self._issuer = issuer
        self._client_id = client_id
        self._key_set = _KeySet(jwks_url)

    def verify(self, token: str) -> str:
        """The `sub` of a valid token.

        Raises:
            InvalidTokenError: the token is not valid.
            KeysUnavailableError: the issuer's keys cannot be fetched, or not again so soon.
        """
        try:
            key = self._key_set.find(_get_key_id(token))
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                issuer=self._issuer,
                leeway=LEEWAY_SECONDS,
                # Cognito's access tokens have no audience; `client_id`, below, is checked instead.
                options={"require": REQUIRED_CLAIMS, "verify_aud": False},
            )
        except jwt.PyJWTError as error:
            raise InvalidTokenError(type(error).__name__) from None
        if claims["token_use"] != "access":  # noqa: S105 - a kind of token
            raise InvalidTokenError("NotAnAccessToken")
        if claims["client_id"] != self._client_id:
            raise InvalidTokenError("OtherClient")
        return claims["sub"]


def _get_key_id(token: str) -> str:
    """The key that the token names. A token that cannot be valid is refused before any request for keys.

    Raises:
        InvalidTokenError: the token has another algorithm, or names no key.
        jwt.PyJWTError: the token is malformed.
    """
    header = jwt.get_unverified_header(token)
    if header.get("alg") != ALGORITHM:
        raise InvalidTokenError("OtherAlgorithm")
    if "kid" not in header:
        raise InvalidTokenError("NoKeyNamed")
    return header["kid"]


class _KeySet:
    """The issuer's keys, which are kept for an hour, and for a day if they cannot be fetched again."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = jwt.PyJWKClient(url, cache_jwk_set=False, timeout=FETCH_TIMEOUT_SECONDS)
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = -math.inf
        self._failed_at = -math.inf

    def find(self, key_id: str) -> jwt.PyJWK:
        """The key with this ID.

        Raises:
            InvalidTokenError: the set, fetched because of this call, does not have the key.
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
                raise KeysUnavailableError(f"{self._url} was read less than {UNKNOWN_KEY_COOLDOWN_SECONDS} seconds ago")
            self._fetch()
        if key_id not in self._keys:
            raise InvalidTokenError("UnknownKey")
        return self._keys[key_id]

    def _fetch(self) -> None:
        if _get_age(self._failed_at) < FAILED_FETCH_COOLDOWN_SECONDS:
            raise KeysUnavailableError(
                f"{self._url} gave no keys less than {FAILED_FETCH_COOLDOWN_SECONDS} seconds ago"
            )
        try:
            keys = self._client.get_signing_keys()
        except (jwt.PyJWTError, OSError, ValueError) as error:  # ValueError: the response is not JSON
            self._failed_at = time.monotonic()
            log.warning("keys cannot be fetched", extra={"reason": str(error), "known": len(self._keys)})
            raise KeysUnavailableError(f"{self._url} gives no keys: {error}") from error
        self._keys = {str(key.key_id): key for key in keys}
        self._fetched_at = time.monotonic()


def _get_age(moment: float) -> float:
    """Seconds since then, of the monotonic clock."""
    return time.monotonic() - moment


def jwks_url(issuer: str, endpoint: str | None) -> str:
    """The URL of the issuer's key set, at `endpoint` instead of the issuer's host if that is given."""
    base = f"{endpoint.rstrip('/')}{urlsplit(issuer).path}" if endpoint else issuer
    return f"{base}/.well-known/jwks.json"
