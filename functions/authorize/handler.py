"""The HTTP API's Lambda authorizer: payload format 2.0, simple responses.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html
"""

import logging
import os
from typing import Any

from functions.authorize.access_tokens import AccessTokenVerifier, InvalidTokenError
from functions.authorize.issuer import Issuer
from functions.authorize.subjects import to_path_segment
from functions.shared.http_api import Event

log = logging.getLogger()

VERIFIER = AccessTokenVerifier(
    Issuer(os.environ["ISSUER"], os.environ.get("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER")),
    os.environ["AUDIENCE"],
    os.environ["AUDIENCE_CLAIM"],
)


def handle(event: Event, _context: object) -> dict[str, Any]:
    """Whether the request is authorized and, if so, its subject.

    API Gateway turns an exception, such as KeysUnavailableError, into a 500, which it does not cache: the client may
    retry, while a 403 would send a user with a valid token to the sign-in page, and is cached.
    """
    try:
        subject = _to_subject(VERIFIER.verify(_bearer_token(event)))
    except InvalidTokenError as error:
        log.info("refused", extra={"reason": error.reason})
        return {"isAuthorized": False}
    return {"isAuthorized": True, "context": {"sub": subject}}


def _to_subject(sub: str) -> str:
    """The subject as everything behind the authorizer knows it."""
    try:
        return to_path_segment(sub)
    except ValueError:
        raise InvalidTokenError("InvalidSubject") from None


def _bearer_token(event: Event) -> str:
    sources = event.get("identitySource") or [event.get("headers", {}).get("authorization", "")]
    scheme, _, token = sources[0].partition(" ")
    if scheme.lower() != "bearer":  # schemes are case-insensitive: RFC 9110, section 11.1
        raise InvalidTokenError("NotABearerToken")
    return token.strip()
