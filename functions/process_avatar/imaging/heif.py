"""What AVIF and HEIC say about colours where decoders do not pass it on.

Boxes in boxes: https://aomediacodec.github.io/av1-avif/ and ISO/IEC 14496-12 and 23008-12. Orientation is a property of
the picture here, which decoders apply; EXIF's, of which they may know nothing, does not count (23008-12, A.2.1).
"""

import struct
from collections.abc import Generator

from functions.process_avatar.imaging.prepared_image import Cicp, Still

_FULL_BOX_BYTES = 4  # version and flags
_LARGE_SIZE = 1  # the size follows as eight bytes
_TO_THE_END = 0


def still(heif: bytes) -> Still:
    """The file as it is: its decoder runs where it can do no harm, and gives the profile."""
    try:
        return Still(heif, cicp=_cicp(memoryview(heif)))
    except (struct.error, IndexError, StopIteration):  # broken, or not there
        return Still(heif)


def _cicp(heif: memoryview) -> Cicp | None:
    """The code points among the primary picture's properties."""
    meta = _box(heif, b"meta")[_FULL_BOX_BYTES:]
    properties = _box(meta, b"iprp")
    (primary,) = struct.unpack_from(">H" if _version(_box(meta, b"pitm")) == 0 else ">I", _box(meta, b"pitm"), 4)
    mine = _properties_of(primary, _box(properties, b"ipma"))
    for number, (name, content) in enumerate(_boxes(_box(properties, b"ipco")), 1):
        if number in mine and name == b"colr" and bytes(content[:4]) == b"nclx":
            return Cicp(*struct.unpack_from(">HH", content, 4))
    return None


def _box(within: memoryview, name: bytes) -> memoryview:
    return next(content for found, content in _boxes(within) if found == name)


def _boxes(within: memoryview) -> Generator[tuple[bytes, memoryview]]:
    at = 0
    while at < len(within):
        (size, name), header = struct.unpack_from(">I4s", within, at), 8
        if size == _LARGE_SIZE:
            (size,), header = struct.unpack_from(">Q", within, at + 8), 16
        if size == _TO_THE_END:
            size = len(within) - at
        if size < header:
            return
        yield name, within[at + header : at + size]
        at += size


def _version(full_box: memoryview) -> int:
    return full_box[0] if full_box else 0


def _properties_of(item: int, associations: memoryview) -> set[int]:
    """The numbers of an item's properties, from 1, by the item property association box: 23008-12, 9.3.1."""
    is_wide = _version(associations) > 0
    number_format, number_bytes = (">H", 2) if associations[3] & 1 else (">B", 1)
    essential = 1 << (8 * number_bytes - 1)
    (entries,) = struct.unpack_from(">I", associations, 4)
    at = 8
    for _ in range(entries):
        found, count = struct.unpack_from(">IB" if is_wide else ">HB", associations, at)
        at += 5 if is_wide else 3
        numbers = [struct.unpack_from(number_format, associations, at + number_bytes * n)[0] for n in range(count)]
        if found == item:
            return {number & ~essential for number in numbers}
        at += number_bytes * count
    return set()
