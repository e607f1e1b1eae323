"""Squares out of pictures, cut and shrunk in the order that costs least without loss.

Everything that can wait is done on the small picture.
"""

from math import ceil, floor
from typing import NamedTuple

from PIL import Image

from functions.process_avatar.imaging import color, exif
from functions.process_avatar.imaging.decoding import Decoded, Opened, decode
from functions.shared.square_crop import Box, SquareCrop, centre

# EXIF 2.32, tag 0x0112: what makes a stored picture upright.
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
_FROM_THE_RIGHT = {2, 3, 6, 7}  # what is left when upright is stored last
_FROM_THE_BOTTOM = {3, 4, 7, 8}


class Square(NamedTuple):
    """An upright square in sRGB, of mode RGB, or RGBA if some of it is transparent."""

    picture: Image.Image
    source_size: tuple[int, int]  # of the whole upright picture that it was cut from


def square_of(upload: Opened, crop: SquareCrop | None, edge: int) -> Square:
    """The chosen square of a picture, or that in its centre, `edge` pixels wide or as many as it has.

    Raises Rejected, as `decode` does.
    """
    promised = _chosen(crop, *upload.picture.size)
    decoded = decode(upload, _divisor(promised.right - promised.left, edge))
    lying = decoded.orientation in _LYING
    width, height = decoded.stored_size
    source_size = (height, width) if lying else (width, height)
    box = _stored(_chosen(crop, *source_size), source_size, decoded.orientation)
    picture = color.in_srgb(_cut(decoded, box, edge), decoded.profile, decoded.cicp)
    if decoded.orientation != exif.UPRIGHT:
        picture = picture.transpose(_UPRIGHT[decoded.orientation])
    return Square(picture, source_size)


def shrunk(picture: Image.Image, edge: int) -> Image.Image:
    """The same square `edge` pixels wide; a smaller one stays as it is."""
    if edge >= picture.width:
        return picture
    return picture.resize((edge, edge), Image.Resampling.LANCZOS, reducing_gap=_GAP)


def _chosen(crop: SquareCrop | None, width: int, height: int) -> Box:
    return crop.box(width, height) if crop else centre(width, height)


# Divisors of libjpeg, and how many times the size asked for must be left for the resize that follows: libjpeg's
# scaling is a box filter. Decoded right down to the edge, a picture would be 10 dB and more away from Lanczos; with
# the headroom, Lanczos still does the last step.
_SHRINKS_ON_LOAD = ((8, 1.25), (4, 1.25), (2, 1.5))


def _divisor(side: float, edge: int) -> int:
    return next((divisor for divisor, headroom in _SHRINKS_ON_LOAD if side >= edge * divisor * headroom), 1)


def _stored(box: Box, source_size: tuple[int, int], orientation: int) -> Box:
    """Where a box of the upright picture is among the stored pixels."""
    (width, height), (left, top, right, bottom) = source_size, box
    if orientation in _FROM_THE_RIGHT:
        left, right = width - right, width - left
    if orientation in _FROM_THE_BOTTOM:
        top, bottom = height - bottom, height - top
    return Box(top, left, bottom, right) if orientation in _LYING else Box(left, top, right, bottom)


_GAP = 1.5  # what averaging whole pixels leaves to Lanczos: within 50 dB of Lanczos alone, and faster


def _cut(decoded: Decoded, stored_box: Box, edge: int) -> Image.Image:
    """The square of the stored picture, `edge` pixels wide or as many as it has, at least one."""
    edge = min(edge, max(1, floor(stored_box.right - stored_box.left)))
    box = Box(*(at / decoded.shrunk_by for at in stored_box))
    picture = decoded.picture
    if picture.mode in {"RGB", "L", "CMYK"} and not picture.has_transparency_data:
        return picture.resize((edge, edge), Image.Resampling.LANCZOS, box=box, reducing_gap=_GAP)
    picture, box = _averaged(picture, box, max(1, int((box.right - box.left) / edge / _GAP)))
    picture = picture.resize((edge, edge), Image.Resampling.LANCZOS, box=box)
    return picture.convert(picture.mode[:-1] + "A") if picture.mode in {"La", "RGBa"} else picture


_BAND_ROWS = 64  # few enough for a processor's cache, and for memory that is used again instead of asked for anew


def _averaged(picture: Image.Image, box: Box, factor: int) -> tuple[Image.Image, Box]:
    """What is in the box, `factor` times smaller and in a mode whose values can be averaged; and where the box is then.

    In bands: converted as a whole, it would be in the memory twice more, up to four times as large.
    """
    left, top, right, bottom = floor(box.left), floor(box.top), ceil(box.right), ceil(box.bottom)
    height = _BAND_ROWS * factor
    bands = [
        _averageable(picture.crop((left, at, right, min(at + height, bottom)))).reduce(factor)
        for at in range(top, bottom, height)
    ]
    averaged = Image.new(bands[0].mode, (bands[0].width, sum(band.height for band in bands)))
    for number, band in enumerate(bands):
        averaged.paste(band, (0, _BAND_ROWS * number))
    return averaged, Box(*((at - start) / factor for at, start in zip(box, (left, top, left, top), strict=True)))


def _averageable(picture: Image.Image) -> Image.Image:
    """Colours that are there as far as they are opaque: hidden ones must not show in an average."""
    if picture.mode == "I;16":
        return _eight_bit(picture)
    if picture.has_transparency_data:
        return picture.convert("La") if picture.mode == "LA" else picture.convert("RGBA").convert("RGBa")
    return picture.convert("L" if picture.mode == "1" else "RGB")


def _eight_bit(picture: Image.Image) -> Image.Image:
    """Greys of 16 bits as greys of 8. Pillow's own conversion cuts every value above 255 off to white."""
    return picture.point(lambda value: value * (1 / 256)).convert("L")
