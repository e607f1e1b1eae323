"""From an upload's bytes to square avatars. Pure: bytes in, bytes out, with Pillow and nothing of AWS.

What a file is gets decided by its first bytes, never by its name or declared type. Only pixels are carried over,
so no metadata of the upload (GPS position, camera, comments, thumbnails) can reach an output.

The order of the steps is chosen for speed without loss: everything that can wait is done on the small picture.
"""

import re
import struct
import warnings
import zlib
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from math import ceil, floor
from typing import Literal, NamedTuple, TypeAlias

# WebPImagePlugin is named because Pillow imports all of its forty plugins to find one that is not registered yet.
from PIL import Image, ImageCms, WebPImagePlugin  # pyright: ignore[reportUnusedImport] # noqa: F401

Reason: TypeAlias = Literal["not_an_image", "unsupported_format", "too_many_pixels", "truncated", "too_large"]
Format: TypeAlias = Literal["jpeg", "png", "webp", "gif"]

STABLE_JPEG_SIZE = 512  # whatever the variants' sizes are: apps rely on the picture behind the stable address
QUALITY = 80
WEBP_METHOD = 2  # 4, the default, takes twice the time for 3 % fewer bytes at the same quality


class Rejected(Exception):  # noqa: N818 - what happened to an upload, not an error of this program
    """The upload will never become an avatar, however often it is tried.

    Reasons: `not_an_image`; `unsupported_format`: a picture, but not JPEG, PNG, WebP or GIF; `too_many_pixels`, by
    its size or by a JPEG's passes over the same ones; `truncated`: begins as an accepted picture, but its data ends
    early or is damaged; `too_large`, in bytes.
    """

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


@dataclass(frozen=True)
class Source:
    """The upload itself: its size in pixels is that of the upright picture."""

    format: Format
    width: int
    height: int
    bytes: int


@dataclass(frozen=True)
class Variant:
    """One output. `size` is what was asked for in pixels; a smaller source gives a smaller picture."""

    size: int
    format: Literal["webp"]
    data: bytes


@dataclass(frozen=True)
class Rendition:
    source: Source
    variants: tuple[Variant, ...]  # largest first
    stable_jpeg: bytes  # STABLE_JPEG_SIZE wide, transparency on white


def render(data: bytes, *, sizes: Sequence[int], max_pixels: int) -> Rendition:
    """Square avatars, `sizes` pixels wide, cut from the centre of the picture in `data`.

    Raises Rejected for every file that cannot become one, before decoding if it has more than `max_pixels`.
    """
    source_format = _format_of(data)
    edges = sorted({*sizes, STABLE_JPEG_SIZE}, reverse=True)
    decoded = _decode(data, source_format, edges[0], max_pixels)
    picture = _in_srgb(_centre_square(decoded, edges[0]), decoded.picture.info.get("icc_profile"))
    if decoded.orientation in _UPRIGHT:
        picture = picture.transpose(_UPRIGHT[decoded.orientation])

    pictures: dict[int, Image.Image] = {}
    for size in edges:  # each from the one before: from the upload itself it would take many times as long
        picture = pictures[size] = _shrunk(picture, size)
    return Rendition(
        source=Source(source_format, *decoded.upright_size, len(data)),
        variants=tuple(Variant(size, "webp", _webp(pictures[size])) for size in edges if size in sizes),
        stable_jpeg=_jpeg(pictures[STABLE_JPEG_SIZE]),
    )


# --- What kind of file ------------------------------------------------------------------------------------------------

_ACCEPTED: tuple[tuple[bytes, Format], ...] = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
)

# Pictures we do not take, so that their owner reads "save it as JPEG" and not "this is not a picture".
# https://www.iana.org/assignments/media-types/media-types.xhtml#image leads to the specification of each.
_OTHER_PICTURES = (
    b"II*\0",  # TIFF, little-endian, and most raw camera formats
    b"MM\0*",  # TIFF, big-endian
    b"II+\0",  # BigTIFF
    b"MM\0+",
    b"8BPS",  # Photoshop
    b"\0\0\1\0",  # Windows icon
    b"\0\0\2\0",  # Windows cursor
    b"\xff\x0a",  # JPEG XL codestream
    b"\0\0\0\x0cJXL \r\n\x87\n",  # JPEG XL container
    b"\0\0\0\x0cjP  \r\n\x87\n",  # JPEG 2000
    b"\xff\x4f\xff\x51",  # JPEG 2000 codestream
    b"%!PS-Adobe",  # EPS
    b"qoif",
)
_HEIF_BRANDS = {b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"mif2", b"msf1"}
_BMP_HEADER_SIZES = {12, 40, 52, 56, 64, 108, 124}
_SVG_LOOKED_FOR_IN = 1024  # bytes: an XML declaration, a comment and a doctype may stand before the root element


def _format_of(data: bytes) -> Format:
    for magic, accepted in _ACCEPTED:
        if data.startswith(magic):
            return accepted
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    raise Rejected("unsupported_format" if _is_other_picture(data) else "not_an_image")


def _is_other_picture(data: bytes) -> bool:
    return (
        data.startswith(_OTHER_PICTURES)
        or (data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS)
        or (data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _BMP_HEADER_SIZES)
        or _is_svg(data)
    )


def _is_svg(data: bytes) -> bool:
    start = data[:_SVG_LOOKED_FOR_IN].removeprefix(b"\xef\xbb\xbf").lstrip()
    return start.startswith(b"<") and b"<svg" in start.lower()


# --- Decoding ---------------------------------------------------------------------------------------------------------

# What Pillow raises for a file that is short or damaged. Beside the OSError, SyntaxError and ValueError it promises,
# its header parsers let through what indexing, unpacking and inflating short data give. MemoryError is not here: that
# is a failure of ours, and the upload must be tried again.
_BAD_DATA = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, IndexError, KeyError, TypeError)


class _Decoded(NamedTuple):
    picture: Image.Image  # its width and height are those of the file, divided by `shrunk_by` and rounded up
    stored_size: tuple[int, int]  # width and height of the file
    shrunk_by: int
    orientation: int

    @property
    def upright_size(self) -> tuple[int, int]:
        width, height = self.stored_size
        return (height, width) if self.orientation in _LYING else (width, height)


def _decode(data: bytes, source_format: Format, edge: int, max_pixels: int) -> _Decoded:
    if source_format == "jpeg" and _has_too_many_scans(data):
        raise Rejected("too_many_pixels")
    try:
        with _pixel_budget(max_pixels):
            picture = Image.open(BytesIO(data), formats=(source_format,))
            stored_size = picture.size
            shrunk_by = _shrink_on_load(picture, edge)
            picture.load()
            return _Decoded(picture, stored_size, shrunk_by, _orientation(picture))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Rejected("too_many_pixels") from error
    except _BAD_DATA as error:
        raise Rejected("truncated") from error


# A scan can be 50 bytes and makes the decoder visit every pixel again: 10 MB of them would keep it busy for half an
# hour. Encoders write about ten.
_MAX_SCANS = 100
# ITU-T T.81, B.1.1: inside a scan 0xFF comes as FF 00; FF may fill before a marker; 01, RSTn and SOI have no length.
_MARKER_WITH_LENGTH_OR_END = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")
_START_OF_SCAN, _END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"


def _has_too_many_scans(jpeg: bytes) -> bool:
    scans, at = 0, 2
    while scans <= _MAX_SCANS and (marker := _MARKER_WITH_LENGTH_OR_END.search(jpeg, at)):
        if marker.group() == _END_OF_IMAGE:
            break
        scans += marker.group() == _START_OF_SCAN
        at = marker.end() + int.from_bytes(jpeg[marker.end() : marker.end() + 2])
    return scans > _MAX_SCANS


@contextmanager
def _pixel_budget(max_pixels: int) -> Generator[None]:
    """Make Pillow refuse more than `max_pixels` wherever it checks a size: by the header, before it allocates.

    https://pillow.readthedocs.io/en/stable/handbook/security.html asks for the warning to be an error. Other
    warnings, about odd metadata, have nothing to tell us: metadata is dropped.
    """
    default = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = max_pixels
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = default


# Divisors of libjpeg, and how many times the size asked for must be left for the resize that follows.
_SHRINKS_ON_LOAD = ((8, 1.25), (4, 1.25), (2, 1.5))


def _shrink_on_load(picture: Image.Image, edge: int) -> int:
    """Let libjpeg decode to an 8th, a 4th or half of the width and height; gives the divisor, 1 for other formats.

    libjpeg's scaling is a box filter. Decoded right down to `edge`, a picture would be 10 dB and more away from
    Lanczos; with the headroom, Lanczos still does the last step.
    """
    shortest = min(picture.size)
    for divisor, headroom in _SHRINKS_ON_LOAD:
        if shortest >= edge * divisor * headroom:
            drafted = picture.draft(None, (picture.width // divisor, picture.height // divisor))
            return divisor if drafted else 1
    return 1


# EXIF 2.32, tag 0x0112: where the first row and column of the stored pixels are on the upright picture.
_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_LYING = {5, 6, 7, 8}  # stored with width and height exchanged


def _orientation(picture: Image.Image) -> int:
    try:
        return picture.getexif().get(_ORIENTATION_TAG, 1)
    except _BAD_DATA:
        return 1  # broken metadata does not make a broken picture


# --- Pixels -----------------------------------------------------------------------------------------------------------


def _centre_square(decoded: _Decoded, size: int) -> Image.Image:
    """The largest centred square, `size` pixels wide or, if the source has fewer, as wide as that."""
    width, height = decoded.stored_size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = tuple(at / decoded.shrunk_by for at in (left, top, left + side, top + side))
    picture, box = _resizable(decoded.picture, (box[0], box[1], box[2], box[3]))
    edge = min(side, size)
    # The gap averages whole pixels down to 1.5 times the size first: faster, and within 50 dB of Lanczos alone.
    return picture.resize((edge, edge), Image.Resampling.LANCZOS, box=box, reducing_gap=1.5)


_Box: TypeAlias = tuple[float, float, float, float]


def _resizable(picture: Image.Image, box: _Box) -> tuple[Image.Image, _Box]:
    """The picture in a mode whose values can be averaged, and where the box is in it.

    What must be converted is cropped first: a conversion makes a second copy, up to four times as large.
    """
    if picture.mode in {"RGB", "L", "CMYK"} and not picture.has_transparency_data:
        return picture, box
    left, top = floor(box[0]), floor(box[1])
    picture = picture.crop((left, top, ceil(box[2]), ceil(box[3])))
    box = (box[0] - left, box[1] - top, box[2] - left, box[3] - top)
    if picture.mode == "I;16":
        return _eight_bit(picture), box
    if picture.has_transparency_data:
        return picture if picture.mode == "LA" else picture.convert("RGBA"), box
    return picture.convert("L" if picture.mode == "1" else "RGB"), box


def _eight_bit(picture: Image.Image) -> Image.Image:
    """Greys of 16 bits as greys of 8. Pillow's own conversion cuts every value above 255 off to white."""
    return picture.point(lambda value: value * (1 / 256)).convert("L")


def _in_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """The picture as RGB, or as RGBA if it has an alpha channel; nothing but pixels comes along."""
    alpha = picture.getchannel("A") if picture.mode in {"LA", "RGBA"} else None
    if alpha:
        picture = picture.convert(picture.mode.removesuffix("A"))
    transform = _transform_to_srgb(profile, picture.mode) if profile else None
    picture = transform.apply(picture) if transform else picture.convert("RGB")
    if alpha:
        picture.putalpha(alpha)
    picture.info = {}
    return picture


@lru_cache(maxsize=8)  # building one takes as long as applying it, and most phones have the same profile
def _transform_to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """None if the profile is broken or made for other kinds of pixels: browsers show such a picture as sRGB too."""
    try:
        embedded = ImageCms.ImageCmsProfile(BytesIO(profile))
        return ImageCms.buildTransform(embedded, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (OSError, ImageCms.PyCMSError):
        return None


def _shrunk(picture: Image.Image, size: int) -> Image.Image:
    edge = min(size, picture.width)
    return picture if edge == picture.width else picture.resize((edge, edge), Image.Resampling.LANCZOS)


def _webp(picture: Image.Image) -> bytes:
    output = BytesIO()
    picture.save(output, "WEBP", quality=QUALITY, method=WEBP_METHOD)
    return output.getvalue()


def _jpeg(picture: Image.Image) -> bytes:
    if picture.mode == "RGBA":
        on_white = Image.new("RGB", picture.size, "white")
        on_white.paste(picture, mask=picture.getchannel("A"))
        picture = on_white
    output = BytesIO()
    picture.save(output, "JPEG", quality=QUALITY, optimize=True, subsampling="4:2:0")
    return output.getvalue()
