"""Reads photos from disk."""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass
from pathlib import Path

from client.session import ClientError

# Python 3.11 and the type map of the system may lack these.
for extension in ("avif", "heic", "heif"):
    mimetypes.add_type(f"image/{extension}", f".{extension}")


@dataclass(frozen=True)
class Photo:
    name: str
    content_type: str
    data: bytes


def read_photo(path: Path) -> Photo:
    """Reads a photo. The content type is that of the file extension; the stack validates the content.

    Raises:
        ClientError: The file does not exist, is empty or does not have the extension of an image.
    """
    content_type, _ = mimetypes.guess_type(path.name)
    if content_type is None or not content_type.startswith("image/"):
        raise ClientError(f"{path} is not a photo by its name: expected one such as me.jpg, me.png, me.webp or me.gif")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ClientError(f"cannot read {path}: {error.strerror}") from error
    if not data:
        raise ClientError(f"{path} is empty")
    return Photo(path.name, content_type, data)
