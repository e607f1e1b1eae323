"""Perceptual difference of two images."""

from typing import NamedTuple

from PIL import Image, ImageCms

_TO_LAB = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
_LIGHTNESS = [value / 2.55 for value in range(256)]
_SIGNED = [value - 256 * (value > 127) for value in range(256)]


class Difference(NamedTuple):
    """ΔE*ab (CIE 1976). Two is just noticeable: https://en.wikipedia.org/wiki/Color_difference#CIE76"""

    mean: float
    worst_percent: float  # 99th percentile


def measure_difference(one: Image.Image, other: Image.Image) -> Difference:
    """Compare two images of the same size and mode, transparent ones on a red background."""
    assert (one.size, one.mode) == (other.size, other.mode)
    pixels = zip(_convert_to_lab(one), _convert_to_lab(other), strict=True)
    deltas = sorted(((l1 - l2) ** 2 + (a1 - a2) ** 2 + (b1 - b2) ** 2) ** 0.5 for (l1, a1, b1), (l2, a2, b2) in pixels)
    return Difference(sum(deltas) / len(deltas), deltas[len(deltas) * 99 // 100])


def _convert_to_lab(picture: Image.Image) -> list[tuple[float, float, float]]:
    if picture.mode == "RGBA":
        on_red = Image.new("RGB", picture.size, "red")
        on_red.paste(picture, mask=picture.getchannel("A"))
        picture = on_red
    values = _TO_LAB.apply(picture).tobytes()
    return [
        (_LIGHTNESS[values[at]], _SIGNED[values[at + 1]], _SIGNED[values[at + 2]]) for at in range(0, len(values), 3)
    ]
