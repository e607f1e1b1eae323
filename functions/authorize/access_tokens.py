"""Verification of Cognito access tokens.

https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-tokens-verifying-a-jwt.html
"""

import logging
import ssl
import time
from typing import Any
from urllib.parse import urlsplit

import jwt

from functions.shared.aws.amazon_roots import trusting_amazon, trusting_the_system

log = logging.getLogger()

ALGORITHM = "RS256"  # what Cognito signs with; the token never chooses its own algorithm (RFC 8725, section 3.1)
REQUIRED_CLAIMS = ["exp", "iss", "sub", "client_id", "token_use"]

# `iat` has whole seconds of another clock: without leeway a token used at once can be "not yet issued".
LEEWAY_SECONDS = 5

# A key taken out of the set is trusted for an hour more: as long as the last token signed with it lives by default.
KEY_LIFESPAN_SECONDS = 3600
# A kid we do not know may be a key just rotated in, and is more often junk: look at most this often.
UNKNOWN_KEY_COOLDOWN_SECONDS = 30
# The set is 1 kB from the same region: what takes longer does not come.
FETCH_TIMEOUT_SECONDS = 3
# After a fetch that failed, requests fail at once for a while: they would wait out the timeout one after another.
FAILED_FETCH_COOLDOWN_SECONDS = 10


class RefusedError(Exception):
    """The token is not good. `reason` is one fixed word, and never holds any of the token."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class KeysUnavailableError(Exception):
    """The issuer's keys cannot be had, so nothing can be said about the token."""


class AccessTokens:
    """Verifies the access tokens one issuer gives to one client."""

    def __init__(self, issuer: str, client_id: str, keys_url: str) -> None:
        self._issuer = issuer
        self._client_id = client_id
        self._keys = _Keys(keys_url)

    def subject(self, token: str) -> str:
        """The `sub` of a token that is good. RefusedError if it is not, KeysUnavailableError if nobody can know."""
        try:
            key = self._keys.of(token)
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                issuer=self._issuer,
                leeway=LEEWAY_SECONDS,
                # Access tokens of Cognito have no audience; `client_id`, below, stands for it.
                options={"require": REQUIRED_CLAIMS, "verify_aud": False},
            )
        except jwt.PyJWTError as error:
            raise RefusedError(type(error).__name__) from None
        if claims["token_use"] != "access":  # noqa: S105 - a kind of token, not one
            raise RefusedError("NotAnAccessToken")
        if claims["client_id"] != self._client_id:
            raise RefusedError("OtherClient")
        return claims["sub"]


class _Keys(jwt.PyJWKClient):
    """PyJWT's cached key set, which also pauses after a fetch that failed."""

    def __init__(self, url: str) -> None:
        super().__init__(
            url,
            lifespan=KEY_LIFESPAN_SECONDS,
            timeout=FETCH_TIMEOUT_SECONDS,
            ssl_context=trusting_amazon(),
            cooldown_duration=UNKNOWN_KEY_COOLDOWN_SECONDS,
        )
        self._failed_at: float | None = None

    def of(self, token: str) -> jwt.PyJWK:
        """The key the token names. What cannot be a token of ours is refused before any key is looked for."""
        header = jwt.get_unverified_header(token)
        if header.get("alg") != ALGORITHM:
            raise RefusedError("OtherAlgorithm")
        if "kid" not in header:
            raise RefusedError("NoKeyNamed")
        return self.get_signing_key(header["kid"])

    def fetch_data(self) -> Any:
        if self._failed_at is not None and time.monotonic() - self._failed_at < FAILED_FETCH_COOLDOWN_SECONDS:
            raise KeysUnavailableError(f"{self.uri} gave no keys less than {FAILED_FETCH_COOLDOWN_SECONDS} seconds ago")
        try:
            return self._fetched()
        except (jwt.PyJWTError, OSError, ValueError) as error:  # ValueError: what it answered is not JSON
            self._failed_at = time.monotonic()
            raise KeysUnavailableError(f"{self.uri} gives no keys: {error}") from error

    def _fetched(self) -> Any:
        try:
            return super().fetch_data()
        except jwt.PyJWKClientConnectionError as error:
            if not _is_of_another_authority(error) or self.ssl_context is trusting_the_system():
                raise
            log.warning("not verified by Amazon's authorities", extra={"url": self.uri, "reason": str(error)})
        self.ssl_context = trusting_the_system()
        return super().fetch_data()


def _is_of_another_authority(error: jwt.PyJWKClientConnectionError) -> bool:
    return isinstance(getattr(error.__cause__, "reason", None), ssl.SSLCertVerificationError)


def keys_url(issuer: str, endpoint: str | None) -> str:
    """Where the issuer publishes its keys; at `endpoint` instead of the issuer's own host if that is given."""
    base = f"{endpoint.rstrip('/')}{urlsplit(issuer).path}" if endpoint else issuer
    return f"{base}/.well-known/jwks.json"
