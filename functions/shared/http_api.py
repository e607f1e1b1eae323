"""Events and responses of an API Gateway HTTP API, payload format version 2.0.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import base64
import json
from collections.abc import Mapping
from typing import Any, TypeAlias, cast

Event: TypeAlias = Mapping[str, Any]
Response: TypeAlias = dict[str, Any]


class ClientError(Exception):
    """The request is invalid. `response` is the error response."""

    def __init__(self, status: int, code: str, message: str, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.response = error_response(status, code, message, fields)


def get_subject(event: Event) -> str:
    """Return the `sub` claim of the access token, from the context of the `authorize` function."""
    return event["requestContext"]["authorizer"]["lambda"]["sub"]


def parse_json_object(event: Event) -> dict[str, Any]:
    """Return the JSON object in the request body.

    Raises:
        ClientError: 400 `invalid_json` if the body is not a JSON object.
    """
    body = event.get("body") or ""
    try:
        content = json.loads(base64.b64decode(body) if event.get("isBase64Encoded") else body)
    except (ValueError, RecursionError):  # RecursionError: nested too deep
        raise ClientError(400, "invalid_json", "the body is not JSON; it must be a JSON object") from None
    if not isinstance(content, dict):
        raise ClientError(400, "invalid_json", "the body is JSON, but not a JSON object")
    return cast("dict[str, Any]", content)


def get_access_token(event: Event) -> str:
    """Return the access token of the Authorization header, which the `authorize` function has verified."""
    return event["headers"]["authorization"].partition(" ")[2].strip()


def response(status: int, body: object, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON response. Unless `headers` allow it, no cache may store it: it is specific to a user and changes at
    any time."""
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json", "cache-control": "no-store", **(headers or {})},
        "body": json.dumps(body),
    }


def no_content() -> Response:
    return {"statusCode": 204, "headers": {"cache-control": "no-store"}}


def error_response(
    status: int,
    code: str,
    message: str,
    fields: Mapping[str, str] | None = None,
    *,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return an error response.

    Args:
        status: HTTP status code.
        code: Stable, for programs.
        message: For people.
        fields: Messages for people, by the name of an invalid field.
        headers: Additional headers.
    """
    error = {"code": code, "message": message}
    return response(status, {"error": {**error, "fields": fields} if fields else error}, headers)
