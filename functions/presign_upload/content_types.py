"""The content types a client may request a form for. A first check only: process_avatar goes by the bytes."""

from collections.abc import Mapping
from typing import Any

from functions.shared.http_api import ClientError

ACCEPTED = ("image/jpeg", "image/png", "image/webp", "image/gif", "image/avif", "image/heic", "image/heif")
_ALIASES = {"image/jpg": "image/jpeg"}  # not registered, but some browsers and cameras send it
_EXTENSIONS = {
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "gif": "image/gif",
    "avif": "image/avif",
    "heic": "image/heic",
    "heif": "image/heif",
}


def requested(request: Mapping[str, Any]) -> str:
    """The content type that a request names by `content_type`, or else by `extension`.

    Raises:
        ClientError: 400 missing_content_type without either, 415 unsupported_type for a type that is not accepted.
    """
    if content_type := request.get("content_type"):
        normalized = str(content_type).strip().lower()
        return _check_accepted(_ALIASES.get(normalized, normalized), f"content_type {content_type!r:.80}")
    if extension := request.get("extension"):
        normalized = str(extension).strip().lower().removeprefix(".")
        return _check_accepted(_EXTENSIONS.get(normalized), f"extension {extension!r:.80}")
    raise ClientError(400, "missing_content_type", 'the request has neither a "content_type" nor an "extension"')


def _check_accepted(content_type: str | None, requested_as: str) -> str:
    if content_type not in ACCEPTED:
        message = f"{requested_as} is not accepted; accepted are {', '.join(ACCEPTED)}"
        raise ClientError(415, "unsupported_type", message)
    return content_type
