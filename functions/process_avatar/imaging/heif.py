"""AVIF and HEIC parser: the color code points, which the decoders do not report.

https://aomediacodec.github.io/av1-avif/, ISO/IEC 14496-12 and 23008-12. The decoders apply the orientation, a property
of the image. The EXIF orientation does not count (23008-12, A.2.1).
"""

import struct
from collections.abc import Generator

from functions.process_avatar.imaging.prepared_image import Cicp, PreparedImage, limit_segments

_FULL_BOX_HEADER_BYTES = 4  # version and flags
_LARGE_SIZE = 1  # the size follows as eight bytes
_TO_END_OF_FILE = 0
# The first byte of a full box: ISO/IEC 14496-12, 4.2.
_VERSION = 0


def parse(heif: bytes) -> PreparedImage:
    """Return the file unchanged. Its decoder reports the ICC profile.

    Raises:
        ImageRejectedError: `too_many_pixels` for too many boxes.
    """
    try:
        return PreparedImage(heif, cicp=_parse_cicp(memoryview(heif)))
    except (struct.error, IndexError, StopIteration):  # broken or missing boxes
        return PreparedImage(heif)


def _parse_cicp(heif: memoryview) -> Cicp | None:
    """Return the code points among the properties of the primary item."""
    meta = _find_box(heif, b"meta")[_FULL_BOX_HEADER_BYTES:]
    properties, primary_box = _find_box(meta, b"iprp"), _find_box(meta, b"pitm")
    (primary,) = struct.unpack_from(">H" if primary_box[_VERSION] == 0 else ">I", primary_box, 4)
    property_numbers = _parse_associations(primary, _find_box(properties, b"ipma"))
    boxes = list(limit_segments(_read_boxes(_find_box(properties, b"ipco"))))
    for number, (name, content) in enumerate(boxes, 1):
        if number in property_numbers and name == b"colr" and bytes(content[:4]) == b"nclx":
            return Cicp(*struct.unpack_from(">HH", content, 4))
    return None


def _find_box(container: memoryview, name: bytes) -> memoryview:
    return next(content for found, content in limit_segments(_read_boxes(container)) if found == name)


def _read_boxes(container: memoryview) -> Generator[tuple[bytes, memoryview]]:
    """Yield the name and the content of each box."""
    at = 0
    while at < len(container):
        (size, name), header = struct.unpack_from(">I4s", container, at), 8
        if size == _LARGE_SIZE:
            (size,), header = struct.unpack_from(">Q", container, at + 8), 16
        if size == _TO_END_OF_FILE:
            size = len(container) - at
        if size < header:
            return
        yield name, container[at + header : at + size]
        at += size


def _parse_associations(item: int, associations: memoryview) -> set[int]:
    """Return the numbers of an item's properties, from 1, in an item property association box: 23008-12, 9.3.1."""
    is_wide = associations[_VERSION] > 0
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
