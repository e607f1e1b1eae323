"""Verification of access tokens: JWTs of a Cognito user pool, or of any OpenID Connect issuer.

https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-tokens-verifying-a-jwt.html
https://www.rfc-editor.org/rfc/rfc9068#section-4
"""

from collections.abc import Mapping
from typing import Any

import jwt

from functions.authorize.issuer import Issuer
from functions.authorize.key_set import ALGORITHMS, KeySet, UnknownKeyError

# `iat` is in whole seconds of the issuer's clock: without leeway a new token can be "not yet issued".
LEEWAY_SECONDS = 5
# The media types of access tokens (RFC 9068, section 2.1), and of JWTs without a type of their own. Others, such as
# logout+jwt, are not for APIs (RFC 8725, section 3.11).
_TYPES = frozenset({"", "jwt", "at+jwt", "application/at+jwt"})
# Claims that only ID tokens have: https://openid.net/specs/openid-connect-core-1_0.html#CodeIDToken
_ID_TOKEN_CLAIMS = frozenset({"at_hash", "c_hash"})


class InvalidTokenError(Exception):
    """The token is not valid. `reason` is one fixed word and holds no part of the token."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class AccessTokenVerifier:
    """Verifies the access tokens that one issuer issues for one audience."""

    def __init__(self, issuer: Issuer, audience: str, audience_claim: str) -> None:
        """`audience_claim` is the claim that must be `audience`, or contain it if it is the list `aud`."""
        self._issuer = issuer
        self._audience = audience
        self._audience_claim = audience_claim
        self._keys = KeySet(issuer.fetch_key_set)

    def verify(self, token: str) -> str:
        """The `sub` of a valid token.

        Raises:
            InvalidTokenError: the token is not valid.
            KeysUnavailableError: the issuer's keys cannot be fetched, or not again so soon.
        """
        try:
            key = self._keys.find(_get_key_id(token))
            claims = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                issuer=self._issuer.url,
                audience=self._audience if self._audience_claim == "aud" else None,
                leeway=LEEWAY_SECONDS,
                options={
                    "require": ["exp", "iss", "sub", self._audience_claim],
                    "verify_aud": self._audience_claim == "aud",
                },
            )
        except jwt.PyJWTError as error:
            raise InvalidTokenError(type(error).__name__) from None
        except UnknownKeyError:
            raise InvalidTokenError("UnknownKey") from None
        if not self._is_access_token(claims):
            raise InvalidTokenError("NotAnAccessToken")
        if self._audience_claim != "aud" and claims[self._audience_claim] != self._audience:
            raise InvalidTokenError("OtherAudience")
        return claims["sub"]

    def _is_access_token(self, claims: Mapping[str, Any]) -> bool:
        """Whether it is no ID token or refresh token, as far as the issuer tells them apart: by the claim `token_use`
        (Cognito, which always has it), the claim `typ` (Keycloak), or by claims that only ID tokens have."""
        default = None if self._issuer.is_cognito else "access"
        return (
            claims.get("token_use", default) == "access"
            and claims.get("typ", "Bearer") == "Bearer"
            and not _ID_TOKEN_CLAIMS & claims.keys()
        )


def _get_key_id(token: str) -> str:
    """The key that the token names. A token that cannot be valid is refused before any request for keys.

    Raises:
        InvalidTokenError: the token has another algorithm or another type, or names no key.
        jwt.PyJWTError: the token is malformed.
    """
    header = jwt.get_unverified_header(token)
    if header.get("alg") not in ALGORITHMS.values():
        raise InvalidTokenError("OtherAlgorithm")
    if str(header.get("typ", "")).lower() not in _TYPES:
        raise InvalidTokenError("OtherType")
    if "kid" not in header:
        raise InvalidTokenError("NoKeyNamed")
    return header["kid"]
