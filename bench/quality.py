"""Quality of an output: PSNR and SSIM against an exact resize of the whole picture.

Computed with Pillow's mode `F`, 32-bit floats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from math import inf, log10
from typing import Any, TypeAlias, cast

from PIL import Image, ImageMath, ImageOps

_PEAK = 255.0
# Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment" (2004), with their constants and windows of 8 × 8.
_C1, _C2 = (0.01 * _PEAK) ** 2, (0.03 * _PEAK) ** 2
_WINDOW = 8
_WINDOW_STEPS = (0, _WINDOW // 2)  # windows that overlap by half

_Box: TypeAlias = tuple[float, float, float, float]  # left, top, right, bottom
_Channels: TypeAlias = list[Image.Image]  # red, green and blue, 0 to 255, in mode F


@dataclass(frozen=True)
class Quality:
    psnr: float  # dB, over red, green and blue
    ssim: float  # of the luminance

    def __str__(self) -> str:
        return f"{self.psnr:.2f} dB / {self.ssim:.4f}"


class Reference:
    """The center square of an upright picture, resized with Lanczos from every pixel."""

    def __init__(self, data: bytes, edge: int, cut_at: int | None = None) -> None:
        """`edge` is its width in pixels, `cut_at` that of the larger square an engine crops before it resizes."""
        with Image.open(BytesIO(data)) as picture:
            upright = ImageOps.exif_transpose(picture)
        self._upright = _flatten_on_white(upright)
        self._edge = edge
        self._cut_at = cut_at or edge
        self._squares = [self._square(geometry) for geometry in self._geometries()]

    def quality(self, output: bytes) -> Quality:
        """Compare an encoded picture of the reference's size, by the crop geometry that fits best."""
        with Image.open(BytesIO(output)) as picture:
            pixels = _channels(_flatten_on_white(picture))
        return max((_compare(pixels, square) for square in self._squares), key=lambda its: its.psnr)

    def _geometries(self) -> Iterator[_Box]:
        """Yield crop boxes: the exact center square, and those of engines that resize to whole pixels and then crop.

        sharp does the latter. A shift by half a pixel would cost 20 dB.
        """
        width, height = self._upright.size
        side = min(width, height)
        yield (width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2
        for edge in {self._edge, self._cut_at}:
            scaled = round(max(width, height) * edge / side)
            per_pixel = max(width, height) / scaled
            for cut in {(scaled - edge) // 2, -(-(scaled - edge) // 2)}:
                start, end = cut * per_pixel, (cut + edge) * per_pixel
                yield (0, start, side, end) if height > width else (start, 0, end, side)

    def _square(self, box: _Box) -> _Channels:
        edge = (self._edge, self._edge)
        return [
            channel.convert("F").resize(edge, Image.Resampling.LANCZOS, box=box) for channel in self._upright.split()
        ]


def _channels(picture: Image.Image) -> _Channels:
    return [channel.convert("F") for channel in picture.split()]


def _flatten_on_white(picture: Image.Image) -> Image.Image:
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    ground = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(ground, picture.convert("RGBA")).convert("RGB")


def _compare(output: _Channels, reference: _Channels) -> Quality:
    errors = [_mean(_calculate(lambda a, b: (a - b) * (a - b), *pair)) for pair in zip(output, reference, strict=True)]
    error = sum(errors) / len(errors)
    psnr = 10 * log10(_PEAK**2 / error) if error else inf
    return Quality(psnr, _ssim(_luminance(output), _luminance(reference)))


def _luminance(picture: _Channels) -> Image.Image:
    """ITU-R BT.601, as in JPEG."""
    return _calculate(lambda red, green, blue: 0.299 * red + 0.587 * green + 0.114 * blue, *picture)


def _ssim(output: Image.Image, reference: Image.Image) -> float:
    values = [_window_ssim(_crop_to_windows(output, step), _crop_to_windows(reference, step)) for step in _WINDOW_STEPS]
    return sum(values) / len(values)


def _crop_to_windows(picture: Image.Image, by: int) -> Image.Image:
    """Cropped at the left and top, and at the right and bottom to whole windows."""
    width, height = ((size - by) // _WINDOW * _WINDOW for size in picture.size)
    return picture.crop((by, by, by + width, by + height))


def _window_ssim(output: Image.Image, reference: Image.Image) -> float:
    x, y = _windows(output), _windows(reference)
    xx, yy, xy = (
        _windows(_calculate(lambda a, b: a * b, *pair))
        for pair in ((output, output), (reference, reference), (output, reference))
    )

    def similarity(x: Any, y: Any, xx: Any, yy: Any, xy: Any) -> Any:
        luminance = (2 * x * y + _C1) / (x * x + y * y + _C1)
        return luminance * (2 * (xy - x * y) + _C2) / (xx - x * x + yy - y * y + _C2)

    return _mean(_calculate(similarity, x, y, xx, yy, xy))


def _windows(picture: Image.Image) -> Image.Image:
    """The mean of each window, in floats."""
    return picture.reduce(_WINDOW)


def _calculate(formula: Callable[..., Any], *pictures: Image.Image) -> Image.Image:
    operands = {f"p{index}": picture for index, picture in enumerate(pictures)}
    result = ImageMath.lambda_eval(lambda given: formula(*(given[name] for name in operands)), **operands)
    return cast("Image.Image", result)


def _mean(picture: Image.Image) -> float:
    return cast("float", picture.reduce(picture.size).getpixel((0, 0)))
