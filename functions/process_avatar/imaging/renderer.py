"""Render square avatars from the bytes of an upload. No AWS, no I/O: bytes in, bytes out.

The steps: detect the format (`formats`), parse the container (`jpeg`, `png`, `webp`, `heif`), decode (`decoding`, for
some files in a subprocess: `subprocess_decoder`), crop and scale (`cropping`), convert to sRGB (`color`), encode. Only
pixels are copied: the metadata of an upload, such as its GPS position, cannot reach an output.
"""

from collections.abc import Sequence
from io import BytesIO
from typing import Literal, NamedTuple

from PIL import Image

from functions.process_avatar.imaging.cropping import Square, crop_square, resize
from functions.process_avatar.imaging.decoding import load_plugin, open_image
from functions.process_avatar.imaging.formats import Format, ImageRejectedError, RejectionReason, detect_format
from functions.process_avatar.imaging.malloc import keep_freed_memory
from functions.process_avatar.imaging.subprocess_decoder import run_in_subprocess
from functions.shared.square_crop import SquareCrop

__all__ = [
    "STABLE_JPEG_SIZE",
    "Format",
    "ImageRejectedError",
    "RejectionReason",
    "Rendition",
    "Source",
    "Variant",
    "detect_format",
    "render",
]

STABLE_JPEG_SIZE = 512  # independent of the configured sizes: apps rely on the image behind the stable URL
QUALITY = 80
_WEBP_METHOD = 2  # the default, 4, takes twice the time for 3% fewer bytes at the same quality

# The headers of these formats do not bound the decoding time. For the others, the pixel count does: up to this cost (16
# million pixels of any format, or a whole photo of most JPEGs) they are decoded within seconds.
_SUBPROCESS_FORMATS = ("avif", "heic")
_MAX_IN_PROCESS_COST = 160_000_000


class Source(NamedTuple):
    """The upload. Width and height are those of the upright image."""

    format: Format
    width: int
    height: int
    bytes: int


class Variant(NamedTuple):
    """One output. `size` is the requested width in pixels. The image is smaller if the source is."""

    size: int
    format: Literal["webp"]
    data: bytes


class Rendition(NamedTuple):
    source: Source
    variants: tuple[Variant, ...]  # largest first
    stable_jpeg: bytes  # STABLE_JPEG_SIZE pixels wide, on a white background


def render(data: bytes, *, sizes: Sequence[int], max_pixels: int, crop: SquareCrop | None = None) -> Rendition:
    """Render the square of `crop`, or the center square, in `sizes` (widths in pixels).

    Raises:
        ImageRejectedError: The file cannot become an avatar. `max_pixels` is checked before decoding.
    """
    source_format = detect_format(data)
    edges = sorted({*sizes, STABLE_JPEG_SIZE}, reverse=True)
    square = _decode_square(data, source_format, crop, edges[0], max_pixels)

    image = square.image
    images: dict[int, Image.Image] = {}
    for size in edges:  # each from the next larger one, many times faster than from the upload
        image = images[size] = resize(image, size)
    return Rendition(
        source=Source(source_format, *square.source_size, len(data)),
        variants=tuple(Variant(size, "webp", encode_webp(images[size])) for size in edges if size in sizes),
        stable_jpeg=encode_jpeg(images[STABLE_JPEG_SIZE]),
    )


def encode_webp(image: Image.Image) -> bytes:
    output = BytesIO()
    image.save(output, "WEBP", quality=QUALITY, method=_WEBP_METHOD)
    return output.getvalue()


def encode_jpeg(image: Image.Image) -> bytes:
    """Encode on a white background. Optimized tables would double the encoding time for 1% fewer bytes."""
    if image.mode == "RGBA":
        on_white = Image.new("RGB", image.size, "white")
        on_white.paste(image, mask=image.getchannel("A"))
        image = on_white
    output = BytesIO()
    image.save(output, "JPEG", quality=QUALITY, subsampling="4:2:0")
    return output.getvalue()


def _decode_square(data: bytes, source_format: Format, crop: SquareCrop | None, edge: int, max_pixels: int) -> Square:
    if source_format in _SUBPROCESS_FORMATS:
        load_plugin(source_format)  # in the parent, where it stays loaded for the next file
        return run_in_subprocess(lambda: crop_square(open_image(data, source_format, max_pixels), crop, edge))
    if source_format != "jpeg":
        keep_freed_memory()
    opened = open_image(data, source_format, max_pixels)
    if opened.image.width * opened.image.height * opened.prepared.decode_cost > _MAX_IN_PROCESS_COST:
        return run_in_subprocess(lambda: crop_square(opened, crop, edge))
    return crop_square(opened, crop, edge)
