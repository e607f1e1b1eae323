"""Small files that users post, no two of them alike."""

import io
from functools import cache

from PIL import Image

_EDGE = 16
_FORMATS = ("JPEG", "PNG")


@cache
def picture(number: int) -> bytes:
    """A picture that can be processed."""
    color = ((number * 67 + 40) % 256, (number * 151 + 90) % 256, (number * 29 + 10) % 256)
    file = io.BytesIO()
    Image.new("RGB", (_EDGE, _EDGE), color).save(file, _FORMATS[number % 2])
    return file.getvalue()


@cache
def broken_picture(number: int) -> bytes:
    """A file that is rejected."""
    return b"this is no picture, %d" % number
