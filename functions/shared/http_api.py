"""What the routes' functions share: an HTTP API's events and answers, payload format 2.0.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import base64
import json
from collections.abc import Mapping
from typing import Any, TypeAlias, cast

Event: TypeAlias = Mapping[str, Any]
Reply: TypeAlias = dict[str, Any]


class ClientError(Exception):
    """The request cannot be served as it is; `reply` says why."""

    def __init__(self, status: int, code: str, message: str, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.reply = failure(status, code, message, fields)


def subject(event: Event) -> str:
    """The `sub` of the token, as the `authorize` function verified and passed it on."""
    return event["requestContext"]["authorizer"]["lambda"]["sub"]


def json_object(event: Event) -> dict[str, Any]:
    """The JSON object in the request's body. ClientError 400 invalid_json if there is none."""
    body = event.get("body") or ""
    try:
        content = json.loads(base64.b64decode(body) if event.get("isBase64Encoded") else body)
    except (ValueError, RecursionError):  # a body nested a thousand deep is as much the client's fault as bad JSON
        raise ClientError(400, "invalid_json", "the body is not JSON; it must be a JSON object") from None
    if not isinstance(content, dict):
        raise ClientError(400, "invalid_json", "the body is JSON, but not a JSON object")
    return cast("dict[str, Any]", content)


def access_token(event: Event) -> str:
    """The token that the `authorize` function verified, as it is in the header."""
    return event["headers"]["authorization"].partition(" ")[2].strip()


def reply(status: int, body: object, headers: Mapping[str, str] | None = None) -> Reply:
    return {
        "statusCode": status,
        # Answers are about one user and one moment: nothing between here and the browser may keep them.
        "headers": {"content-type": "application/json", "cache-control": "no-store", **(headers or {})},
        "body": json.dumps(body),
    }


def failure(
    status: int,
    code: str,
    message: str,
    fields: Mapping[str, str] | None = None,
    *,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """`code` is for programs and never changes; `message` is for people, as are the sentences in `fields` by name."""
    error = {"code": code, "message": message}
    return reply(status, {"error": {**error, "fields": fields} if fields else error}, headers)
