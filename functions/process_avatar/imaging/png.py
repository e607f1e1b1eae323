"""What a PNG is made of: https://www.w3.org/TR/png-3/."""

import zlib
from collections.abc import Generator

from functions.process_avatar.imaging import exif
from functions.process_avatar.imaging.prepared_image import MAX_PROFILE_BYTES, Cicp, Still

_SIGNATURE_BYTES = 8
_PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}


def still(png: bytes) -> Still:
    """The default picture, which an animation begins with or replaces."""
    found: dict[bytes, bytes] = {}
    kept = [memoryview(png)[:_SIGNATURE_BYTES]]
    for name, content, chunk in _chunks(png):
        if name in _PIXELS:
            kept.append(chunk)
        elif name in (b"eXIf", b"iCCP", b"cICP"):
            found.setdefault(name, bytes(content))
    return Still(
        b"".join(kept),
        exif.orientation(found.get(b"eXIf", b"")),
        _profile(found.get(b"iCCP", b"")),
        _cicp(found.get(b"cICP", b"")),
    )


def _chunks(png: bytes) -> Generator[tuple[bytes, memoryview, memoryview]]:
    """Name, content, and the whole of each chunk, the last one as far as it goes."""
    view, at = memoryview(png), _SIGNATURE_BYTES
    while at < len(png):
        name, start = png[at + 4 : at + 8], at + 8
        end = start + int.from_bytes(png[at : at + 4])
        yield name, view[start:end], view[at : end + 4]
        if name == b"IEND":
            return
        at = end + 4


def _profile(content: bytes) -> bytes | None:
    """A name, a zero, the method of compression, and the profile: 11.3.2.3."""
    _, _, rest = content.partition(b"\0")
    try:
        inflating = zlib.decompressobj()
        profile = inflating.decompress(rest[1:], MAX_PROFILE_BYTES)
    except zlib.error:
        return None
    return profile if inflating.eof else None


def _cicp(content: bytes) -> Cicp | None:
    """Primaries, transfer, matrix and range, one byte each: 11.3.2.6."""
    return Cicp(*content[:2]) if len(content) == 4 else None
