"""The square crop of an avatar: in the upload request, in the metadata of the object, and in pixels."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeGuard

METADATA_KEY = "crop"  # of the uploaded object: x-amz-meta-crop as a form field or header
_DECIMALS = 6  # less than a tenth of a pixel of the widest accepted image
_TOLERANCE = 1e-6  # for rounding errors of the browser
_TEXT = re.compile(r"([01]\.[0-9]{6}),([01]\.[0-9]{6}),([01]\.[0-9]{6})")


class Box(NamedTuple):
    """Coordinates in pixels, not necessarily whole."""

    left: float
    top: float
    right: float
    bottom: float


class SquareCrop(NamedTuple):
    """A square of the upright image, in fractions from 0 to 1."""

    x: float  # left edge, as a fraction of the width
    y: float  # upper edge, as a fraction of the height
    size: float  # edge length, as a fraction of the shorter side

    @classmethod
    def from_request(cls, crop: object) -> "SquareCrop":
        """Validate the crop of a request. The aspect ratio of the image is not known yet.

        Raises:
            ValueError: The crop is invalid or fits into no image. The message is for the client.
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
        """Parse the value of `text`.

        Raises:
            ValueError: The text has another format.
        """
        if not (found := _TEXT.fullmatch(text)) or not (crop := cls(*map(float, found.groups()))).size:
            raise ValueError(f"{text!r:.80} is not the text of a crop")
        return crop

    @property
    def text(self) -> str:
        """Canonical form, for a signed policy to match exactly: 0.250000,0.000000,0.750000"""
        return ",".join(f"{fraction:.{_DECIMALS}f}" for fraction in self)

    def box(self, width: int, height: int) -> Box:
        """Return the box on an upright image of this size, moved inside if it extends past an edge."""
        side = self.size * min(width, height)
        left, top = min(self.x * width, width - side), min(self.y * height, height - side)
        return Box(left, top, left + side, top + side)


def center_box(width: int, height: int) -> Box:
    """Return the largest centered square, the default crop."""
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return Box(left, top, left + side, top + side)


def _is_fraction(value: Any) -> TypeGuard[float]:
    # Not isinstance: bool is a subclass of int.
    return type(value) in (int, float) and -_TOLERANCE <= value <= 1 + _TOLERANCE
