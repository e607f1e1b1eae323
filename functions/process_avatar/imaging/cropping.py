"""Crop, scale, and orient an image, in the order that costs least without loss: reduce first, convert afterwards."""

from math import ceil, floor
from typing import NamedTuple

from PIL import Image

from functions.process_avatar.imaging import color, exif
from functions.process_avatar.imaging.decoding import DecodedImage, OpenedImage, decode
from functions.shared.square_crop import Box, SquareCrop, center_box

# EXIF 2.32, tag 0x0112: the transposition that makes the stored image upright.
_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# From upright to stored coordinates: flip, then swap.
_FLIPPED_X = {2, 3, 6, 7}
_FLIPPED_Y = {3, 4, 7, 8}
_SWAPPED_AXES = {5, 6, 7, 8}


class Square(NamedTuple):
    """An upright square in sRGB, of mode RGB, or RGBA if it has transparent pixels."""

    image: Image.Image
    source_size: tuple[int, int]  # width and height of the whole upright image


def crop_square(opened: OpenedImage, crop: SquareCrop | None, edge: int) -> Square:
    """Decode the image and return the square of `crop`, or the center square, at most `edge` pixels wide.

    Raises:
        ImageRejectedError: As `decode`.
    """
    expected_box = _crop_box(crop, *opened.image.size)
    decoded = decode(opened, _shrink_divisor(expected_box.right - expected_box.left, edge))
    width, height = decoded.stored_size
    source_size = (height, width) if decoded.orientation in _SWAPPED_AXES else (width, height)
    box = _to_stored_box(_crop_box(crop, *source_size), source_size, decoded.orientation)
    image = color.convert_to_srgb(_crop_and_resize(decoded, box, edge), decoded.icc_profile, decoded.cicp)
    if decoded.orientation != exif.UPRIGHT:
        image = image.transpose(_TRANSPOSITIONS[decoded.orientation])
    return Square(image, source_size)


def resize(image: Image.Image, edge: int) -> Image.Image:
    """Return the square image `edge` pixels wide, or unchanged if it is not larger."""
    if edge >= image.width:
        return image
    return image.resize((edge, edge), Image.Resampling.LANCZOS, reducing_gap=_REDUCING_GAP)


def _crop_box(crop: SquareCrop | None, width: int, height: int) -> Box:
    return crop.box(width, height) if crop else center_box(width, height)


# The divisors of libjpeg, and how many times `edge` must remain for the Lanczos resize that follows. libjpeg scales
# with a box filter: without this headroom, the result is 10 dB and more away from a full Lanczos resize.
_SHRINK_ON_LOAD = ((8, 1.25), (4, 1.25), (2, 1.5))


def _shrink_divisor(side: float, edge: int) -> int:
    return next((divisor for divisor, headroom in _SHRINK_ON_LOAD if side >= edge * divisor * headroom), 1)


def _to_stored_box(box: Box, source_size: tuple[int, int], orientation: int) -> Box:
    """Convert a box of the upright image to the coordinates of the stored pixels."""
    (width, height), (left, top, right, bottom) = source_size, box
    if orientation in _FLIPPED_X:
        left, right = width - right, width - left
    if orientation in _FLIPPED_Y:
        top, bottom = height - bottom, height - top
    return Box(top, left, bottom, right) if orientation in _SWAPPED_AXES else Box(left, top, right, bottom)


# Pillow's `reducing_gap`: how many times the target size remains for Lanczos after averaging whole pixels. Within 50 dB
# of Lanczos alone, and faster.
_REDUCING_GAP = 1.5


def _crop_and_resize(decoded: DecodedImage, stored_box: Box, edge: int) -> Image.Image:
    """Return the box of the stored image, at most `edge` and at least one pixel wide."""
    edge = min(edge, max(1, floor(stored_box.right - stored_box.left)))
    box = Box(*(coordinate / decoded.divisor for coordinate in stored_box))
    image = decoded.image
    if image.mode in {"RGB", "L", "CMYK"} and not image.has_transparency_data:
        return image.resize((edge, edge), Image.Resampling.LANCZOS, box=box, reducing_gap=_REDUCING_GAP)
    image, box = _reduce_in_bands(image, box, max(1, int((box.right - box.left) / edge / _REDUCING_GAP)))
    image = image.resize((edge, edge), Image.Resampling.LANCZOS, box=box)
    return image.convert(image.mode[:-1] + "A") if image.mode in {"La", "RGBa"} else image


_BAND_ROWS = 64  # fits into the processor's cache, and into memory that is reused


def _reduce_in_bands(image: Image.Image, box: Box, factor: int) -> tuple[Image.Image, Box]:
    """Crop to the box, convert to a mode that can be averaged, and reduce by `factor`. Returns the new box too.

    Converting the whole image at once would take twice the memory again, at up to four times the bytes a pixel.
    """
    left, top, right, bottom = floor(box.left), floor(box.top), ceil(box.right), ceil(box.bottom)
    height = _BAND_ROWS * factor
    bands = [
        _to_averageable_mode(image.crop((left, at, right, min(at + height, bottom)))).reduce(factor)
        for at in range(top, bottom, height)
    ]
    reduced = Image.new(bands[0].mode, (bands[0].width, sum(band.height for band in bands)))
    for number, band in enumerate(bands):
        reduced.paste(band, (0, _BAND_ROWS * number))
    return reduced, Box(*((at - start) / factor for at, start in zip(box, (left, top, left, top), strict=True)))


def _to_averageable_mode(image: Image.Image) -> Image.Image:
    """Premultiply alpha, so that the colors of transparent pixels do not bleed into their neighbors."""
    if image.mode == "I;16":
        return _to_8_bit(image)
    if image.has_transparency_data:
        return image.convert("La") if image.mode == "LA" else image.convert("RGBA").convert("RGBa")
    return image.convert("RGB")


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Scale 16-bit gray to 8 bits. Pillow's own conversion clips every value above 255."""
    return image.point(lambda value: value * (1 / 256)).convert("L")
