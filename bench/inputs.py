"""Input pictures for both sides, generated with a fixed seed and cached in .build/bench/inputs.

They resemble photos for decoders and encoders: gradients, texture of every scale (noise with an amplitude that falls
with its frequency), hard edges at all angles, and sensor noise.
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
_OCTAVES = (4, 8, 16, 32, 64, 128, 256, 512)  # cells along the longer edge; sensor noise is finer
_EDGES = 220
_SENSOR_NOISE = 0.06  # of full scale, before it is blurred as by demosaicing
_ORIENTATION_TAG = 0x0112


@dataclass(frozen=True)
class Input:
    """One case: its name in the tables, and the file."""

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


def _write_jpeg(picture: Image.Image, path: Path) -> None:
    """Write a JPEG as phones do: 4:2:0 subsampling, orientation in EXIF."""
    exif = Image.Exif()
    exif[_ORIENTATION_TAG] = RECIPES[path.stem].orientation
    picture.save(path, "JPEG", quality=90, subsampling="4:2:0", exif=exif)


def _write_png_with_alpha(picture: Image.Image, path: Path) -> None:
    picture.putalpha(Image.radial_gradient("L").resize(picture.size).point(range(255, -1, -1)))
    picture.save(path, "PNG")


def _write_webp(picture: Image.Image, path: Path) -> None:
    picture.save(path, "WEBP", quality=85)


def _write_avif(picture: Image.Image, path: Path) -> None:
    picture.save(path, "AVIF", quality=70, speed=8)


def _write_heic(picture: Image.Image, path: Path) -> None:
    picture.save(path, "HEIF", quality=70)


RECIPES = {
    "1 MP JPEG": _Recipe("1 MP JPEG.jpg", 1152, 864, _write_jpeg),
    "12 MP JPEG": _Recipe("12 MP JPEG.jpg", 4032, 3024, _write_jpeg, orientation=6),
    "48 MP JPEG": _Recipe("48 MP JPEG.jpg", 8064, 6048, _write_jpeg),
    "12 MP PNG with alpha": _Recipe("12 MP PNG with alpha.png", 4032, 3024, _write_png_with_alpha),
    "4 MP WebP": _Recipe("4 MP WebP.webp", 2304, 1728, _write_webp),
    "4 MP AVIF": _Recipe("4 MP AVIF.avif", 2304, 1728, _write_avif),
    "12 MP HEIC": _Recipe("12 MP HEIC.heic", 4032, 3024, _write_heic),
}


def make_inputs(folder: Path) -> list[Input]:
    """Return the inputs, and create missing files."""
    folder.mkdir(parents=True, exist_ok=True)
    for recipe in RECIPES.values():
        if not (path := folder / recipe.file).exists():
            partial = folder / "partial" / recipe.file
            partial.parent.mkdir(exist_ok=True)
            recipe.write(_draw_scene(recipe.width, recipe.height), partial)
            partial.rename(path)
    return [Input(name, folder / recipe.file, recipe.orientation) for name, recipe in RECIPES.items()]


def _draw_scene(width: int, height: int) -> Image.Image:
    chance = random.Random(_SEED)  # noqa: S311 - the pictures must be reproducible
    channels = [_draw_texture(width, height, chance) for _ in range(3)]
    common = _draw_texture(width, height, chance)
    picture = Image.merge("RGB", [Image.blend(channel, common, 0.7) for channel in channels])
    _draw_edges(picture, chance)
    picture = picture.filter(ImageFilter.GaussianBlur(0.6))
    return ImageChops.add(picture, _draw_sensor_noise(width, height, chance), offset=-128)


def _draw_texture(width: int, height: int, chance: random.Random) -> Image.Image:
    """Sum octaves of smooth noise with falling weights."""
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
        color = tuple(chance.randrange(30, 226) for _ in range(3))
        corners = [(x + chance.randint(-reach, reach), y + chance.randint(-reach, reach)) for _ in range(3)]
        draw.polygon(corners, fill=(color[0], color[1], color[2]))


def _draw_sensor_noise(width: int, height: int, chance: random.Random) -> Image.Image:
    grain = Image.frombytes("L", (width, height), chance.randbytes(width * height))
    grain = grain.filter(ImageFilter.GaussianBlur(0.7)).point(
        [round((value - 128) * _SENSOR_NOISE + 128) for value in range(256)]
    )
    return Image.merge("RGB", (grain, grain, grain))
