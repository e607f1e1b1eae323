"""The square that a user chose: asked for with the upload, carried along with the object, cut out of the picture."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeGuard

METADATA_KEY = "crop"  # of the uploaded object; as a form field and header, S3 calls it x-amz-meta-crop
_DECIMALS = 6  # a hundredth of a pixel of the widest picture we take
_TOLERANCE = 1e-6  # for what a browser's arithmetic makes of 1
_TEXT = re.compile(r"([01]\.[0-9]{6}),([01]\.[0-9]{6}),([01]\.[0-9]{6})")


class Box(NamedTuple):
    """In pixels, which it may cut through."""

    left: float
    top: float
    right: float
    bottom: float


class SquareCrop(NamedTuple):
    """A square on the upright picture, in fractions from 0 to 1.

    `x` is where its left edge is, of the picture's width; `y` its upper edge, of the height; `size` its width and
    height, of the shorter of the picture's sides. So x = y = 0 with size = 1 begins at the upper left corner and is as
    large as can be.
    """

    x: float
    y: float
    size: float

    @classmethod
    def requested(cls, crop: object) -> "SquareCrop":
        """The crop that a client's JSON asks for. ValueError if it is none, in words for the client.

        How wide the picture is for its height is not known yet, so only what no picture has room for is refused here.
        """
        if not isinstance(crop, Mapping) or set(crop) != set(cls._fields):
            raise ValueError("crop is not an object with exactly x, y and size")
        for name in cls._fields:
            if not _is_fraction(crop[name]):
                raise ValueError(f"crop.{name} {crop[name]!r:.80} is not a number from 0 to 1")
        x, y, size = (min(max(0.0, round(crop[name], _DECIMALS)), 1.0) for name in cls._fields)
        if not size:
            raise ValueError("crop.size is 0")
        if min(x, y) + size > 1 + _TOLERANCE:
            raise ValueError("the crop reaches over the edge of every picture: x + size and y + size are more than 1")
        return cls(x, y, size)

    @classmethod
    def parse(cls, text: str) -> "SquareCrop":
        """The crop that `text` was made of. ValueError if it was not made here."""
        if not (found := _TEXT.fullmatch(text)) or not (crop := cls(*map(float, found.groups()))).size:
            raise ValueError(f"{text!r:.80} is not the text of a crop")
        return crop

    @property
    def text(self) -> str:
        """Always the same for the same crop, as a signed policy needs it: 0.250000,0.000000,0.750000"""
        return ",".join(f"{fraction:.{_DECIMALS}f}" for fraction in self)

    def box(self, width: int, height: int) -> Box:
        """Where the square is on an upright picture of that size. One that reaches over an edge is moved inside."""
        side = self.size * min(width, height)
        left, top = min(self.x * width, width - side), min(self.y * height, height - side)
        return Box(left, top, left + side, top + side)


def centre(width: int, height: int) -> Box:
    """The largest square in the middle, for who chose none."""
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return Box(left, top, left + side, top + side)


def _is_fraction(value: Any) -> TypeGuard[float]:
    # not isinstance: in Python true is an int
    return type(value) in (int, float) and -_TOLERANCE <= value <= 1 + _TOLERANCE
