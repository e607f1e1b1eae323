"""A photo on disk."""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass
from pathlib import Path

from client.session import ClientError

# What Python or the machine it runs on may be too old to know.
for extension in ("avif", "heic", "heif"):
    mimetypes.add_type(f"image/{extension}", f".{extension}")


@dataclass(frozen=True)
class Photo:
    name: str
    content_type: str
    data: bytes


def read_photo(path: Path) -> Photo:
    """Raises ClientError for a file that is missing, empty or not named like a picture.

    Whether the bytes really are one, and of a kind the stack takes, is for the stack to say.
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
