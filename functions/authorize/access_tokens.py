"""Verification of Cognito access tokens.

https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-tokens-verifying-a-jwt.html
"""

import time
from typing import Any
from urllib.parse import urlsplit

import jwt

ALGORITHM = "RS256"  # Cognito's; a token never chooses the algorithm (RFC 8725, section 3.1)
REQUIRED_CLAIMS = ["exp", "iss", "sub", "client_id", "token_use"]

# `iat` is in whole seconds of Cognito's clock: without leeway a new token can be "not yet issued".
LEEWAY_SECONDS = 5

# A key that was removed from the set is trusted for up to an hour: the default lifetime of the last token it signed.
KEY_LIFESPAN_SECONDS = 3600
# An unknown kid may be of a rotated key, and is more often junk: the set is fetched at most this often because of it.
UNKNOWN_KEY_COOLDOWN_SECONDS = 30
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
    """The issuer's keys cannot be fetched, so the token can be neither accepted nor refused."""


class AccessTokenVerifier:
    """Verifies the access tokens that one issuer issues to one client."""

    def __init__(self, issuer: str, client_id: str, jwks_url: str) -> None:
        self._issuer = issuer
        self._client_id = client_id
        self._jwks_client = _JwksClient(jwks_url)

    def verify(self, token: str) -> str:
        """The `sub` of a valid token.

        Raises:
            InvalidTokenError: the token is not valid.
            KeysUnavailableError: the issuer's keys cannot be fetched.
        """
        try:
            key = self._jwks_client.signing_key(token)
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


class _JwksClient(jwt.PyJWKClient):
    """PyJWT's cached key set, with a cooldown after a failed fetch."""

    def __init__(self, url: str) -> None:
        super().__init__(
            url,
            lifespan=KEY_LIFESPAN_SECONDS,
            timeout=FETCH_TIMEOUT_SECONDS,
            cooldown_duration=UNKNOWN_KEY_COOLDOWN_SECONDS,
        )
        self._failed_at: float | None = None

    def signing_key(self, token: str) -> jwt.PyJWK:
        """The key that the token names. A token that cannot be valid is refused without a fetch.

        Raises:
            InvalidTokenError: the token has another algorithm, or names no key.
            KeysUnavailableError: the key set cannot be fetched.
            jwt.PyJWTError: the token is malformed, or its key is not in the set.
        """
        header = jwt.get_unverified_header(token)
        if header.get("alg") != ALGORITHM:
            raise InvalidTokenError("OtherAlgorithm")
        if "kid" not in header:
            raise InvalidTokenError("NoKeyNamed")
        return self.get_signing_key(header["kid"])

    def fetch_data(self) -> Any:
        if self._failed_at is not None and time.monotonic() - self._failed_at < FAILED_FETCH_COOLDOWN_SECONDS:
            raise KeysUnavailableError(f"{self.uri} gave no keys less than {FAILED_FETCH_COOLDOWN_SECONDS} seconds ago")
        try:
            return super().fetch_data()
        except (jwt.PyJWTError, OSError, ValueError) as error:  # ValueError: the response is not JSON
            self._failed_at = time.monotonic()
            raise KeysUnavailableError(f"{self.uri} gives no keys: {error}") from error


def jwks_url(issuer: str, endpoint: str | None) -> str:
    """The URL of the issuer's key set, at `endpoint` instead of the issuer's host if that is given."""
    base = f"{endpoint.rstrip('/')}{urlsplit(issuer).path}" if endpoint else issuer
    return f"{base}/.well-known/jwks.json"
