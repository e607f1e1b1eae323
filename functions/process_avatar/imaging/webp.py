"""WebP parser, https://developers.google.com/speed/webp/docs/riff_container."""

from collections.abc import Generator

from functions.process_avatar.imaging import exif
from functions.process_avatar.imaging.prepared_image import PreparedImage, limit_segments

_HEADER_BYTES = 12
_EXTENDED = b"VP8X"
_PIXEL_CHUNKS = {b"VP8 ", b"VP8L", b"ALPH", b"ANIM"}
_FRAME = b"ANMF"
_METADATA_FLAGS = 0b0010_1100  # ICC profile, EXIF, XMP


def parse(webp: bytes) -> PreparedImage:
    """Return the image, or the first frame of an animation.

    Raises:
        ImageRejectedError: `too_many_pixels` for too many chunks.
    """
    first: dict[bytes, bytes] = {}
    kept: list[bytes | memoryview] = []
    for name, content, chunk in limit_segments(_read_chunks(webp)):
        if name == _EXTENDED:
            kept.append(_clear_metadata_flags(chunk))
        elif name in _PIXEL_CHUNKS:
            kept.append(chunk)
        elif name in (_FRAME, b"ICCP", b"EXIF") and name not in first:
            first[name] = bytes(chunk if name == _FRAME else content)
    body = b"".join((b"WEBP", *kept, first.get(_FRAME, b"")))
    return PreparedImage(
        b"RIFF" + len(body).to_bytes(4, "little") + body,
        exif.parse_orientation(first.get(b"EXIF", b"")),
        first.get(b"ICCP"),
    )


def _read_chunks(webp: bytes) -> Generator[tuple[bytes, memoryview, memoryview]]:
    """Yield the name, the data, and the whole of each chunk. The last one can be incomplete."""
    view, at = memoryview(webp), _HEADER_BYTES
    while at < len(webp):
        start = at + 8
        end = start + int.from_bytes(webp[at + 4 : start], "little")
        yield webp[at : at + 4], view[start:end], view[at : end + end % 2]
        at = end + end % 2


def _clear_metadata_flags(chunk: memoryview) -> bytes:
    flags = bytes(chunk[8:9])
    return bytes(chunk[:8]) + bytes(flag & ~_METADATA_FLAGS for flag in flags) + bytes(chunk[9:])
