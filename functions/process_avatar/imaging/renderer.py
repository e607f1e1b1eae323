"""From an upload's bytes to square avatars. Pure: bytes in, bytes out, with Pillow and nothing of AWS.

What a file is gets decided by its first bytes, never by its name or declared type. Only pixels are carried over,
so no metadata of the upload (GPS position, camera, comments, thumbnails) can reach an output.

How each step is done is in `pictures`: what kind of file it is (`formats`), the one picture in it (`still` and a module
for each format), its pixels (`decoding`; `confinement` for some), the square of it (`squares`) in sRGB (`colour`), the
outputs (`encoding`).
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from PIL import Image

from functions.process_avatar.imaging import encoding
from functions.process_avatar.imaging.cropping import Square, shrunk, square_of
from functions.process_avatar.imaging.decoding import opened, plugin_for
from functions.process_avatar.imaging.formats import Format, format_of
from functions.process_avatar.imaging.malloc import keep_freed_memory
from functions.process_avatar.imaging.rejection import Reason, Rejected
from functions.process_avatar.imaging.subprocess_decoder import confined
from functions.shared.square_crop import SquareCrop

__all__ = ["STABLE_JPEG_SIZE", "Format", "Reason", "Rejected", "Rendition", "Source", "Variant", "format_of", "render"]

STABLE_JPEG_SIZE = 512  # whatever the variants' sizes are: apps rely on the picture behind the stable address

# Nothing in the headers of these bounds the work they make; in those of the others, the pixels do. Up to so many scans
# of one pixel, which is 16 million pixels of any format or a whole photo of most JPEGs, a decoder ends within seconds.
_CONFINED = ("avif", "heic")
_CONFINED_WORK = 160_000_000


class Source(NamedTuple):  # not dataclasses: importing those takes 5 ms of a cold start
    """The upload itself: its size in pixels is that of the upright picture."""

    format: Format
    width: int
    height: int
    bytes: int


class Variant(NamedTuple):
    """One output. `size` is what was asked for in pixels; a smaller source gives a smaller picture."""

    size: int
    format: Literal["webp"]
    data: bytes


class Rendition(NamedTuple):
    source: Source
    variants: tuple[Variant, ...]  # largest first
    stable_jpeg: bytes  # STABLE_JPEG_SIZE wide, transparency on white


def render(data: bytes, *, sizes: Sequence[int], max_pixels: int, crop: SquareCrop | None = None) -> Rendition:
    """Square avatars, `sizes` pixels wide: the chosen square of the picture in `data`, or that in its centre.

    Raises Rejected for every file that cannot become one, before decoding if it has more than `max_pixels`.
    """
    source_format = format_of(data)
    edges = sorted({*sizes, STABLE_JPEG_SIZE}, reverse=True)
    square = _square(data, source_format, crop, edges[0], max_pixels)

    picture = square.picture
    pictures: dict[int, Image.Image] = {}
    for size in edges:  # each from the one before: from the upload itself it would take many times as long
        picture = pictures[size] = shrunk(picture, size)
    return Rendition(
        source=Source(source_format, *square.source_size, len(data)),
        variants=tuple(Variant(size, "webp", encoding.webp(pictures[size])) for size in edges if size in sizes),
        stable_jpeg=encoding.jpeg(pictures[STABLE_JPEG_SIZE]),
    )


def _square(data: bytes, source_format: Format, crop: SquareCrop | None, edge: int, max_pixels: int) -> Square:
    if source_format in _CONFINED:
        plugin_for(source_format)  # here, where it stays for the next one
        return confined(lambda: square_of(opened(data, source_format, max_pixels), crop, edge))
    if source_format != "jpeg":
        keep_freed_memory()
    upload = opened(data, source_format, max_pixels)
    if upload.picture.width * upload.picture.height * upload.still.work > _CONFINED_WORK:
        return confined(lambda: square_of(upload, crop, edge))
    return square_of(upload, crop, edge)
