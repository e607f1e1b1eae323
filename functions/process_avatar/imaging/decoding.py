"""From a file to pixels, with Pillow and nothing it does not need."""

import struct
import warnings
import zlib
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from io import BytesIO
from typing import NamedTuple

from PIL import ExifTags, Image

from functions.process_avatar.imaging import heif, jpeg, png, webp
from functions.process_avatar.imaging.exif import UPRIGHT
from functions.process_avatar.imaging.formats import Format
from functions.process_avatar.imaging.prepared_image import Cicp, Still
from functions.process_avatar.imaging.rejection import Rejected

# What Pillow raises for a file that is short or damaged. Beside the OSError, SyntaxError and ValueError it promises,
# its header parsers let through what indexing, unpacking and inflating short data give. RuntimeError is libheif's.
# MemoryError is not here: that is a failure of ours, and the upload must be tried again.
_BAD_DATA = (
    OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, IndexError, KeyError, TypeError, RuntimeError,
)  # fmt: skip

# A row costs a decoder some bytes beside its pixels: one pixel wide and as high as the budget, they would fill the
# memory. No format but PNG can say more.
_MAX_EDGE = 65_535

# Their decoders need up to 16 bytes a pixel, with several copies at once: more would not fit in the memory there is.
_MOST_PIXELS: Mapping[Format, int] = {"webp": 50_000_000, "avif": 50_000_000, "heic": 50_000_000}

_STILLS: Mapping[Format, Callable[[bytes], Still]] = {
    "jpeg": jpeg.still,
    "png": png.still,
    "webp": webp.still,
    "gif": Still,  # its decoder stops at the first picture, and reads nothing of what is before it
    "avif": heif.still,
    "heic": heif.still,
}


class Opened(NamedTuple):
    """What the header says. The pixels are still to be decoded."""

    picture: Image.Image
    format: Format
    still: Still


class Decoded(NamedTuple):
    picture: Image.Image  # its width and height are those of the file, divided by `shrunk_by` and rounded up
    stored_size: tuple[int, int]  # width and height of the file
    shrunk_by: int
    orientation: int
    profile: bytes | None
    cicp: Cicp | None


def opened(data: bytes, source_format: Format, max_pixels: int) -> Opened:
    """The first or only picture of the file.

    Rejected `too_many_pixels` by the header, before anything of that size is allocated; `truncated` if it is damaged.
    """
    with _damage_rejected():
        still = _STILLS[source_format](data)
        with _pixel_budget(min(max_pixels, _MOST_PIXELS.get(source_format, max_pixels))):
            picture = Image.open(BytesIO(still.data), formats=(plugin_for(source_format),))
    if max(picture.size) > _MAX_EDGE:
        raise Rejected("too_many_pixels")
    return Opened(picture, source_format, still)


def decode(upload: Opened, divisor: int) -> Decoded:
    """The pixels; where the decoder can, each side of the picture `divisor` (1, 2, 4 or 8) times smaller.

    Rejected `truncated` if the file is damaged.
    """
    picture, source_format, still = upload
    stored_size = picture.size
    with _damage_rejected():
        shrunk_by = _shrink_on_load(picture, divisor)
        picture.load()
        orientation = _avif_orientation(picture) if source_format == "avif" else still.orientation
    if source_format == "heic":  # may not have the size it promised; and it comes upright
        stored_size = picture.size
    profile = still.profile or picture.info.get("icc_profile")
    return Decoded(picture, stored_size, shrunk_by, orientation, profile, still.cicp)


@contextmanager
def _damage_rejected() -> Generator[None]:
    """Turn what Pillow says of a bad file into Rejected.

    https://pillow.readthedocs.io/en/stable/handbook/security.html asks for the bomb warning to be an error. Other
    warnings, about odd metadata, have nothing to tell us: metadata is dropped.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Rejected("too_many_pixels") from error
    except _BAD_DATA as error:
        raise Rejected("truncated") from error


def plugin_for(source_format: Format) -> str:
    """Pillow's name for the format, whose decoder is loaded now, when the first file needs it.

    Pillow would import all of its forty plugins to find one that is not registered yet. WebP's is: outputs need it.
    """
    match source_format:
        case "avif":
            from PIL import AvifImagePlugin  # pyright: ignore[reportUnusedImport] # noqa: F401
        case "heic":
            import pillow_heif

            pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
            return "HEIF"
        case _:
            pass
    return source_format


@contextmanager
def _pixel_budget(max_pixels: int) -> Generator[None]:
    """Make Pillow refuse more than `max_pixels` wherever it checks a size: by the header, before it allocates."""
    default = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = max_pixels
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = default


def _shrink_on_load(picture: Image.Image, divisor: int) -> int:
    """By how much the decoder does shrink: only that of JPEG can."""
    if divisor > 1 and picture.format == "JPEG":
        picture.draft(None, (picture.width // divisor, picture.height // divisor))
        return divisor
    return 1


def _avif_orientation(picture: Image.Image) -> int:
    """Pillow says in EXIF's words what the picture's own properties say, and leaves the pixels as they are."""
    try:
        return picture.getexif().get(ExifTags.Base.Orientation, UPRIGHT)
    except _BAD_DATA:
        return UPRIGHT
