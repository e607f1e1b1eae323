"""How far an output is from what it should be: PSNR and SSIM against a slow and exact resize of the whole picture.

Nothing but Pillow: its `F` mode does the arithmetic in 32-bit floats.
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
    """The centre square of an upright picture, as Lanczos over every pixel of it gives it."""

    def __init__(self, data: bytes, edge: int, cut_at: int | None = None) -> None:
        """`edge` pixels wide. `cut_at` is the edge of the square that an engine shrinks this one from, if it does."""
        with Image.open(BytesIO(data)) as picture:
            upright = ImageOps.exif_transpose(picture)
        self._upright = _on_white(upright)
        self._edge = edge
        self._cut_at = cut_at or edge
        self._squares = [self._square(geometry) for geometry in self._geometries()]

    def quality(self, output: bytes) -> Quality:
        """Of an encoded picture of the reference's size, in the geometry that its engine cuts by: the best counts."""
        with Image.open(BytesIO(output)) as picture:
            pixels = _channels(_on_white(picture))
        return max((_compare(pixels, square) for square in self._squares), key=lambda its: its.psnr)

    def _geometries(self) -> Iterator[_Box]:
        """Boxes of the source, left, top, right, bottom: the exact square, and those of an engine that scales to whole
        pixels first and cuts whole pixels off then, as sharp does. Half a pixel would read as 20 dB otherwise.
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


def _on_white(picture: Image.Image) -> Image.Image:
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    ground = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(ground, picture.convert("RGBA")).convert("RGB")


def _compare(output: _Channels, reference: _Channels) -> Quality:
    errors = [_mean(_calculated(lambda a, b: (a - b) * (a - b), *pair)) for pair in zip(output, reference, strict=True)]
    error = sum(errors) / len(errors)
    psnr = 10 * log10(_PEAK**2 / error) if error else inf
    return Quality(psnr, _ssim(_luminance(output), _luminance(reference)))


def _luminance(picture: _Channels) -> Image.Image:
    """ITU-R BT.601, as JPEG has it."""
    return _calculated(lambda red, green, blue: 0.299 * red + 0.587 * green + 0.114 * blue, *picture)


def _ssim(output: Image.Image, reference: Image.Image) -> float:
    values = [_ssim_of_windows(_shifted(output, step), _shifted(reference, step)) for step in _WINDOW_STEPS]
    return sum(values) / len(values)


def _shifted(picture: Image.Image, by: int) -> Image.Image:
    """Cropped at the left and top, and at the right and bottom to whole windows."""
    width, height = ((size - by) // _WINDOW * _WINDOW for size in picture.size)
    return picture.crop((by, by, by + width, by + height))


def _ssim_of_windows(output: Image.Image, reference: Image.Image) -> float:
    x, y = _windows(output), _windows(reference)
    xx, yy, xy = (
        _windows(_calculated(lambda a, b: a * b, *pair))
        for pair in ((output, output), (reference, reference), (output, reference))
    )

    def similarity(x: Any, y: Any, xx: Any, yy: Any, xy: Any) -> Any:
        luminance = (2 * x * y + _C1) / (x * x + y * y + _C1)
        return luminance * (2 * (xy - x * y) + _C2) / (xx - x * x + yy - y * y + _C2)

    return _mean(_calculated(similarity, x, y, xx, yy, xy))


def _windows(picture: Image.Image) -> Image.Image:
    """The mean of each window, in floats."""
    return picture.reduce(_WINDOW)


def _calculated(formula: Callable[..., Any], *pictures: Image.Image) -> Image.Image:
    operands = {f"p{index}": picture for index, picture in enumerate(pictures)}
    result = ImageMath.lambda_eval(lambda given: formula(*(given[name] for name in operands)), **operands)
    return cast("Image.Image", result)


def _mean(picture: Image.Image) -> float:
    return cast("float", picture.reduce(picture.size).getpixel((0, 0)))
