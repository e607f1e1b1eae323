"""The HTTP API's authorizer: payload format 2.0, simple responses.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html
"""

import logging
import os
from typing import Any

from functions.authorize.access_tokens import AccessTokens, RefusedError, keys_url
from functions.shared.http_api import Event

log = logging.getLogger()

ISSUER = os.environ["ISSUER"]
TOKENS = AccessTokens(
    ISSUER,
    os.environ["CLIENT_ID"],
    keys_url(ISSUER, os.environ.get("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER")),
)


def handle(event: Event, _context: object) -> dict[str, Any]:
    """Whether the request may go on and, if so, whose it is.

    An exception, as when the keys cannot be had, becomes API Gateway's 500: the client may try again, while a
    "forbidden" would send a user with a good token to the sign-in page.
    """
    try:
        subject = TOKENS.subject(_bearer_token(event))
    except RefusedError as refusal:
        log.info("refused", extra={"reason": refusal.reason})
        return {"isAuthorized": False}
    return {"isAuthorized": True, "context": {"sub": subject}}


def _bearer_token(event: Event) -> str:
    sources = event.get("identitySource") or [event.get("headers", {}).get("authorization", "")]
    scheme, _, token = sources[0].partition(" ")
    if scheme.lower() != "bearer":  # schemes have no letter case: RFC 9110, section 11.1
        raise RefusedError("NotABearerToken")
    return token.strip()
