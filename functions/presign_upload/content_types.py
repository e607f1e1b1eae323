"""What a client may say its picture is. A first answer only: the bytes decide when the picture is processed."""

from collections.abc import Mapping
from typing import Any

from functions.shared.http_api import ClientError

ACCEPTED = ("image/jpeg", "image/png", "image/webp", "image/gif", "image/avif", "image/heic", "image/heif")
_ALIASES = {"image/jpg": "image/jpeg"}  # not a registered type, yet what some browsers and cameras say
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
    """The accepted type a request names by `content_type`, or else by `extension`.

    ClientError 400 missing_content_type if it has neither, 415 unsupported_type if it names another type.
    """
    if content_type := request.get("content_type"):
        spelled = str(content_type).strip().lower()
        return _accepted(_ALIASES.get(spelled, spelled), f"content_type {content_type!r:.80}")
    if extension := request.get("extension"):
        spelled = str(extension).strip().lower().removeprefix(".")
        return _accepted(_EXTENSIONS.get(spelled), f"extension {extension!r:.80}")
    raise ClientError(400, "missing_content_type", 'the request has neither a "content_type" nor an "extension"')


def _accepted(content_type: str | None, asked: str) -> str:
    if content_type not in ACCEPTED:
        message = f"{asked} is not accepted; accepted are {', '.join(ACCEPTED)}"
        raise ClientError(415, "unsupported_type", message)
    return content_type
