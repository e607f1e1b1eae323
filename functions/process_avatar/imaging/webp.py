"""What a WebP is made of: https://developers.google.com/speed/webp/docs/riff_container."""

from collections.abc import Generator

from functions.process_avatar.imaging import exif
from functions.process_avatar.imaging.prepared_image import Still

_HEADER_BYTES = 12
_EXTENDED = b"VP8X"
_PIXELS = {b"VP8 ", b"VP8L", b"ALPH", b"ANIM"}
_FRAME = b"ANMF"
_HAS_METADATA = 0b0010_1100  # flags for a profile, EXIF and XMP


def still(webp: bytes) -> Still:
    """The picture, or the first frame of an animation."""
    found: dict[bytes, bytes] = {}
    kept: list[bytes | memoryview] = []
    for name, content, chunk in _chunks(webp):
        if name == _EXTENDED:
            kept.append(_without_metadata(chunk))
        elif name in _PIXELS:
            kept.append(chunk)
        elif name in (_FRAME, b"ICCP", b"EXIF") and name not in found:
            found[name] = bytes(chunk if name == _FRAME else content)
    body = b"".join((b"WEBP", *kept, found.get(_FRAME, b"")))
    return Still(
        b"RIFF" + len(body).to_bytes(4, "little") + body,
        exif.orientation(found.get(b"EXIF", b"")),
        found.get(b"ICCP"),
    )


def _chunks(webp: bytes) -> Generator[tuple[bytes, memoryview, memoryview]]:
    """Name, content, and the whole of each chunk, the last one as far as it goes."""
    view, at = memoryview(webp), _HEADER_BYTES
    while at < len(webp):
        start = at + 8
        end = start + int.from_bytes(webp[at + 4 : start], "little")
        yield webp[at : at + 4], view[start:end], view[at : end + end % 2]
        at = end + end % 2


def _without_metadata(chunk: memoryview) -> bytes:
    flags = bytes(chunk[8:9])
    return bytes(chunk[:8]) + bytes(flag & ~_HAS_METADATA for flag in flags) + bytes(chunk[9:])
