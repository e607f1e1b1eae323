"""Decode an uploaded file with Pillow."""

import struct
import warnings
import zlib
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from io import BytesIO
from typing import NamedTuple

# Registers the formats. Image.open imports all of Pillow's forty plugins for a format that is not registered.
from PIL import AvifImagePlugin, ExifTags, Image, WebPImagePlugin  # pyright: ignore[reportUnusedImport] # noqa: F401

from functions.process_avatar.imaging import gif, heif, jpeg, png, webp
from functions.process_avatar.imaging.exif import UPRIGHT
from functions.process_avatar.imaging.formats import Format, ImageRejectedError
from functions.process_avatar.imaging.prepared_image import Cicp, PreparedImage

# What Pillow raises for incomplete or damaged files. It documents OSError, SyntaxError, and ValueError. Its parsers
# also let through the errors of indexing, unpacking, and decompressing short data, and of dividing by what a file
# declares (the time scale of an AVIF), and libheif raises RuntimeError. Not MemoryError: it is not the file's fault,
# and the upload is retried.
_DECODE_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, IndexError, KeyError, TypeError, RuntimeError,
    ArithmeticError,
)  # fmt: skip

# Decoders allocate some bytes for each row besides its pixels: an image one pixel wide and as high as the pixel limit
# would fill the memory. Only PNG can declare more.
_MAX_EDGE = 65_535

# These decoders need up to 16 bytes a pixel, for several copies. More pixels do not fit into the function's memory.
_FORMAT_MAX_PIXELS: Mapping[Format, int] = {"webp": 50_000_000, "avif": 50_000_000, "heic": 50_000_000}

_PARSERS: Mapping[Format, Callable[[bytes], PreparedImage]] = {
    "jpeg": jpeg.parse,
    "png": png.parse,
    "webp": webp.parse,
    "gif": gif.parse,
    "avif": heif.parse,
    "heic": heif.parse,
}


class OpenedImage(NamedTuple):
    """An image whose header is read and whose pixels are not decoded yet."""

    image: Image.Image
    format: Format
    prepared: PreparedImage


class DecodedImage(NamedTuple):
    image: Image.Image  # width and height are those of the file divided by `divisor`, rounded up
    stored_size: tuple[int, int]  # width and height of the file
    divisor: int
    orientation: int
    icc_profile: bytes | None
    cicp: Cicp | None


def open_image(data: bytes, source_format: Format, max_pixels: int) -> OpenedImage:
    """Read the header of the first image of a file.

    Raises:
        ImageRejectedError: `too_many_pixels`, before anything of that size is allocated; `truncated` for damaged files.
    """
    with _reject_damaged_data():
        prepared = _PARSERS[source_format](data)
        with _limit_pixels(min(max_pixels, _FORMAT_MAX_PIXELS.get(source_format, max_pixels))):
            image = Image.open(BytesIO(prepared.data), formats=(load_plugin(source_format),))
    if max(image.size) > _MAX_EDGE:
        raise ImageRejectedError("too_many_pixels")
    return OpenedImage(image, source_format, prepared)


def decode(opened: OpenedImage, divisor: int) -> DecodedImage:
    """Decode the pixels. A JPEG is scaled down by `divisor` (1, 2, 4, or 8) while it is decoded.

    Raises:
        ImageRejectedError: `truncated` for damaged files.
    """
    image, source_format, prepared = opened
    stored_size = image.size
    with _reject_damaged_data():
        applied_divisor = _shrink_on_load(image, divisor)
        image.load()
        orientation = _read_avif_orientation(image) if source_format == "avif" else prepared.orientation
    if source_format == "heic":  # upright now, and not necessarily of the size that its header declares
        stored_size = image.size
    icc_profile = prepared.icc_profile or image.info.get("icc_profile")
    return DecodedImage(image, stored_size, applied_divisor, orientation, icc_profile, prepared.cicp)


@contextmanager
def _reject_damaged_data() -> Generator[None]:
    """Convert Pillow's errors to ImageRejectedError.

    https://pillow.readthedocs.io/en/stable/handbook/security.html recommends to treat decompression bomb warnings as
    errors. Other warnings are about metadata, which is dropped.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageRejectedError("too_many_pixels") from error
    except _DECODE_ERRORS as error:
        raise ImageRejectedError("truncated") from error


def load_plugin(source_format: Format) -> str:
    """Return Pillow's name of the format, and import pillow-heif for the first HEIC."""
    if source_format != "heic":
        return source_format
    import pillow_heif

    pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
    return "HEIF"


@contextmanager
def _limit_pixels(max_pixels: int) -> Generator[None]:
    """Have Pillow reject images of more than `max_pixels` by their header, before it allocates."""
    default = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = max_pixels
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = default


def _shrink_on_load(image: Image.Image, divisor: int) -> int:
    """Return the divisor that the decoder applies: only the JPEG decoder can."""
    if divisor > 1 and image.format == "JPEG":
        image.draft(None, (image.width // divisor, image.height // divisor))
        return divisor
    return 1


def _read_avif_orientation(image: Image.Image) -> int:
    """Return the orientation of the image properties, which Pillow reports as EXIF and does not apply."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, UPRIGHT)
    except _DECODE_ERRORS:
        return UPRIGHT
