"""Photos that show the number of their upload, also when they are scaled and compressed."""

from __future__ import annotations

import io

from PIL import Image

_SQUARES = 4  # in a row and in a column: each shows one bit
_EDGE = 64  # pixels

MAX_UPLOADS = 2 ** (_SQUARES * _SQUARES)


def draw(number: int) -> bytes:
    """Returns a JPEG that shows a number below MAX_UPLOADS."""
    squares = Image.frombytes("L", (_SQUARES, _SQUARES), bytes(255 * (number >> bit & 1) for bit in range(_SQUARES**2)))
    photo = io.BytesIO()
    squares.resize((_EDGE, _EDGE), Image.Resampling.NEAREST).convert("RGB").save(photo, "JPEG")
    return photo.getvalue()


def read_number(picture: bytes) -> int:
    """Returns the number that a picture shows.

    Raises:
        UnidentifiedImageError: It is not a picture.
    """
    with Image.open(io.BytesIO(picture)) as image:
        squares = image.convert("L").resize((_SQUARES, _SQUARES), Image.Resampling.BOX).tobytes()
    return sum((brightness > 127) << bit for bit, brightness in enumerate(squares))
