"""The one thing we want to know of EXIF.

Pillow would read all of it, entry by entry, and load its TIFF plugin for that: more code for hostile bytes to meet, and
three milliseconds of a cold start. Here one directory is looked through, and nothing of it is copied.
"""

import struct

UPRIGHT = 1
_ORIENTATION = 0x0112  # EXIF 2.32, 4.6.4
_SHORT = 3


def orientation(exif: bytes) -> int:
    """1 to 8: where the first row and column of the stored pixels are on the upright picture. 1 if it is not said.

    `exif` begins with its TIFF header, or with the six bytes that JPEG has before that. Broken metadata does not make
    a broken picture.
    """
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return UPRIGHT
    try:
        (first,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, first)
        for entry in range(first + 2, first + 2 + 12 * count, 12):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", tiff, entry)
            if tag == _ORIENTATION:
                return value if kind == _SHORT and 1 <= value <= 8 else UPRIGHT
    except struct.error:  # ends before what it promises
        pass
    return UPRIGHT
