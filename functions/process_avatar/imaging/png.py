"""PNG parser, https://www.w3.org/TR/png-3/."""

import zlib
from collections.abc import Generator

from functions.process_avatar.imaging import exif
from functions.process_avatar.imaging.prepared_image import MAX_PROFILE_BYTES, Cicp, PreparedImage, limit_segments

_SIGNATURE_BYTES = 8
_PIXEL_CHUNKS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_METADATA_CHUNKS = {b"eXIf", b"iCCP", b"cICP"}


def parse(png: bytes) -> PreparedImage:
    """Return the default image: of an animation, its first frame or the image shown in its place.

    Raises:
        ImageRejectedError: `too_many_pixels` for too many chunks.
    """
    metadata: dict[bytes, bytes] = {}
    kept = [memoryview(png)[:_SIGNATURE_BYTES]]
    for name, content, chunk in limit_segments(_read_chunks(png)):
        if name in _PIXEL_CHUNKS:
            kept.append(chunk)
        elif name in _METADATA_CHUNKS:
            metadata.setdefault(name, bytes(content))
    return PreparedImage(
        b"".join(kept),
        exif.parse_orientation(metadata.get(b"eXIf", b"")),
        _parse_profile(metadata.get(b"iCCP", b"")),
        _parse_cicp(metadata.get(b"cICP", b"")),
    )


def _read_chunks(png: bytes) -> Generator[tuple[bytes, memoryview, memoryview]]:
    """Yield the type, the data, and the whole of each chunk. The last one can be incomplete."""
    view, at = memoryview(png), _SIGNATURE_BYTES
    while at < len(png):
        name, start = png[at + 4 : at + 8], at + 8
        end = start + int.from_bytes(png[at : at + 4])
        yield name, view[start:end], view[at : end + 4]
        if name == b"IEND":
            return
        at = end + 4


def _parse_profile(content: bytes) -> bytes | None:
    """Parse a name, a zero byte, the compression method, and the compressed profile: 11.3.2.3."""
    _, _, rest = content.partition(b"\0")
    try:
        decompressor = zlib.decompressobj()
        profile = decompressor.decompress(rest[1:], MAX_PROFILE_BYTES)
    except zlib.error:
        return None
    return profile if decompressor.eof else None


def _parse_cicp(content: bytes) -> Cicp | None:
    """Parse primaries, transfer, matrix, and range, one byte each: 11.3.2.6."""
    return Cicp(*content[:2]) if len(content) == 4 else None
