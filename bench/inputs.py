"""The pictures both sides get: made here, the same ones on every machine, kept in .build/bench/inputs.

A scene like a photo's, as far as decoders and encoders care: light that changes slowly, texture of every size (noise
whose amplitude falls with its frequency), hard edges at all angles, and the noise of a sensor on top.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pillow_heif
from PIL import Image, ImageChops, ImageDraw, ImageFilter

pillow_heif.register_heif_opener()

_SEED = 20261120
_OCTAVES = (4, 8, 16, 32, 64, 128, 256, 512)  # cells along the longer edge; the finest come from the sensor
_EDGES = 220
_SENSOR_NOISE = 0.06  # of full scale, before the blur every lens and demosaicing adds
_ORIENTATION_TAG = 0x0112


@dataclass(frozen=True)
class Input:
    """One case: `name` as it stands in the tables, and the file."""

    name: str
    path: Path
    orientation: int = 1

    @property
    def data(self) -> bytes:
        return self.path.read_bytes()


@dataclass(frozen=True)
class _Recipe:
    file: str
    width: int
    height: int
    write: Callable[[Image.Image, Path], None]
    orientation: int = 1


def _jpeg(picture: Image.Image, path: Path) -> None:
    """As a phone writes it: 4:2:0, and how it was held in EXIF."""
    exif = Image.Exif()
    exif[_ORIENTATION_TAG] = RECIPES[path.stem].orientation
    picture.save(path, "JPEG", quality=90, subsampling="4:2:0", exif=exif)


def _png_with_alpha(picture: Image.Image, path: Path) -> None:
    picture.putalpha(Image.radial_gradient("L").resize(picture.size).point(range(255, -1, -1)))
    picture.save(path, "PNG")


def _webp(picture: Image.Image, path: Path) -> None:
    picture.save(path, "WEBP", quality=85)


def _avif(picture: Image.Image, path: Path) -> None:
    picture.save(path, "AVIF", quality=70, speed=8)


def _heic(picture: Image.Image, path: Path) -> None:
    picture.save(path, "HEIF", quality=70)


RECIPES = {
    "1 MP JPEG": _Recipe("1 MP JPEG.jpg", 1152, 864, _jpeg),
    "12 MP JPEG": _Recipe("12 MP JPEG.jpg", 4032, 3024, _jpeg, orientation=6),
    "48 MP JPEG": _Recipe("48 MP JPEG.jpg", 8064, 6048, _jpeg),
    "12 MP PNG with alpha": _Recipe("12 MP PNG with alpha.png", 4032, 3024, _png_with_alpha),
    "4 MP WebP": _Recipe("4 MP WebP.webp", 2304, 1728, _webp),
    "4 MP AVIF": _Recipe("4 MP AVIF.avif", 2304, 1728, _avif),
    "12 MP HEIC": _Recipe("12 MP HEIC.heic", 4032, 3024, _heic),
}


def made(folder: Path) -> list[Input]:
    """The inputs, made where they are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for recipe in RECIPES.values():
        if not (path := folder / recipe.file).exists():
            partial = folder / "partial" / recipe.file
            partial.parent.mkdir(exist_ok=True)
            recipe.write(_scene(recipe.width, recipe.height), partial)
            partial.rename(path)
    return [Input(name, folder / recipe.file, recipe.orientation) for name, recipe in RECIPES.items()]


def _scene(width: int, height: int) -> Image.Image:
    chance = random.Random(_SEED)  # noqa: S311 - the same picture everywhere is the point
    channels = [_texture(width, height, chance) for _ in range(3)]
    common = _texture(width, height, chance)
    picture = Image.merge("RGB", [Image.blend(channel, common, 0.7) for channel in channels])
    _draw_edges(picture, chance)
    picture = picture.filter(ImageFilter.GaussianBlur(0.6))
    return ImageChops.add(picture, _sensor_noise(width, height, chance), offset=-128)


def _texture(width: int, height: int, chance: random.Random) -> Image.Image:
    """Octaves of smooth noise, each of half the weight of all coarser ones together."""
    longest = max(width, height)
    texture = Image.new("L", (width, height), 128)
    for index, cells in enumerate(_OCTAVES):
        columns, rows = max(2, cells * width // longest), max(2, cells * height // longest)
        noise = Image.frombytes("L", (columns, rows), chance.randbytes(columns * rows))
        texture = Image.blend(texture, noise.resize((width, height), Image.Resampling.BICUBIC), 1 / (index + 2))
    return texture.point([max(0, min(255, (value - 128) * 2 + 128)) for value in range(256)])


def _draw_edges(picture: Image.Image, chance: random.Random) -> None:
    draw = ImageDraw.Draw(picture)
    for _ in range(_EDGES):
        x, y = chance.randrange(picture.width), chance.randrange(picture.height)
        reach = chance.randrange(picture.width // 200, picture.width // 12)
        colour = tuple(chance.randrange(30, 226) for _ in range(3))
        corners = [(x + chance.randint(-reach, reach), y + chance.randint(-reach, reach)) for _ in range(3)]
        draw.polygon(corners, fill=(colour[0], colour[1], colour[2]))


def _sensor_noise(width: int, height: int, chance: random.Random) -> Image.Image:
    grain = Image.frombytes("L", (width, height), chance.randbytes(width * height))
    grain = grain.filter(ImageFilter.GaussianBlur(0.7)).point(
        [round((value - 128) * _SENSOR_NOISE + 128) for value in range(256)]
    )
    return Image.merge("RGB", (grain, grain, grain))
