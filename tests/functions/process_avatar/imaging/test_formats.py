"""Every kind of file that people have, compared with golden pictures, and the comparison itself."""

import math
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from functions.process_avatar.imaging import encoding, renderer
from tests.fixtures import gallery, pictures
from tests.fixtures.gallery import FIXTURES, golden, scene
from tests.fixtures.pictures import encoded, opened, plain
from tests.functions.process_avatar.imaging.output_files import JPEG_SEGMENTS, WEBP_CHUNKS, jpeg_segments, webp_chunks
from tests.functions.process_avatar.imaging.perception import Difference, difference

REPOSITORY = Path(__file__).parents[4]
MAX_PIXELS = 50_000_000

# What the encoder of a lossy fixture may have done to it; any of the damages below does more.
LOSSY = Difference(mean=1.25, worst_percent=6)
LOSSLESS = Difference(mean=0.05, worst_percent=0.5)


def is_within(found: Difference, tolerance: Difference) -> bool:
    return found.mean <= tolerance.mean and found.worst_percent <= tolerance.worst_percent


@pytest.fixture
def lossless_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own encoder would blur what is measured; its loss has a test of its own."""

    def lossless(picture: Image.Image) -> bytes:
        return encoded(picture, "WEBP", lossless=True, exact=True)

    monkeypatch.setattr(encoding, "webp", lossless)


def rendered(data: bytes) -> Image.Image:
    (variant,) = renderer.render(data, sizes=(gallery.EDGE,), max_pixels=MAX_PIXELS).variants
    return opened(variant.data)


@pytest.mark.usefixtures("lossless_outputs")
@pytest.mark.parametrize("name", FIXTURES)
def test_every_file_looks_like_its_golden_picture(name: str) -> None:
    fixture = FIXTURES[name]
    expected = golden(fixture.golden)
    found = rendered(fixture.file())
    assert is_within(difference(found, expected), LOSSLESS if fixture.is_lossless else LOSSY)


@pytest.mark.parametrize("name", FIXTURES)
def test_the_source_is_told_as_it_stands_upright(name: str) -> None:
    data = FIXTURES[name].file()
    source = renderer.render(data, sizes=(16,), max_pixels=MAX_PIXELS).source
    size = (960, 720) if "iPhone" in name else (480, 360)
    assert source == renderer.Source(name.partition(",")[0].lower(), *size, len(data))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("name", FIXTURES)
def test_nothing_but_pixels_is_in_any_output(name: str) -> None:
    rendition = renderer.render(FIXTURES[name].file(), sizes=(64,), max_pixels=MAX_PIXELS)
    assert jpeg_segments(rendition.stable_jpeg) == JPEG_SEGMENTS
    assert webp_chunks(rendition.variants[0].data) in WEBP_CHUNKS


def test_what_must_not_come_out_is_in_the_fixtures() -> None:
    talkative = {name for name in FIXTURES if b"SECRET-PHONE" in FIXTURES[name].file()}
    assert {name.partition(",")[0] for name in talkative} == {"JPEG", "PNG", "WebP", "AVIF", "HEIC"}


# --- The comparison bites ---------------------------------------------------------------------------------------------


def shifted(right: float, down: float) -> Callable[[Image.Image], Image.Image]:
    def shift(picture: Image.Image) -> Image.Image:
        matrix = (1, 0, right, 0, 1, down)
        return picture.transform(picture.size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)

    return shift


def blown_up(picture: Image.Image) -> Image.Image:
    small = picture.resize((96, 96), Image.Resampling.LANCZOS)
    return small.resize(picture.size, Image.Resampling.BICUBIC)


def profile_ignored(_picture: Image.Image) -> Image.Image:
    return pictures.in_profile(golden("scene"), pictures.display_p3_profile())


def bands(order: str) -> Callable[[Image.Image], Image.Image]:
    return lambda picture: Image.merge("RGB", [picture.getchannel(band) for band in order])


DAMAGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "red and blue exchanged": bands("BGR"),
    "red and green exchanged": bands("GRB"),
    "profile ignored": profile_ignored,
    "half a pixel to the right": shifted(-0.5, 0),
    "half a pixel down": shifted(0, -0.5),
    "blown up": blown_up,
    "3 % darker": lambda picture: Image.eval(picture, lambda value: value * 0.97),
    "gamma": lambda picture: Image.eval(picture, lambda value: 255 * (value / 255) ** 1.1),
    "nearest neighbour": lambda _: gallery.square(scene()).resize((128, 128), Image.Resampling.NEAREST),
    "bilinear": lambda _: gallery.square(scene()).resize((128, 128), Image.Resampling.BILINEAR),
    "grey": lambda picture: picture.convert("L").convert("RGB"),
    **{
        transpose.name: lambda picture, transpose=transpose: picture.transpose(transpose)
        for transpose in Image.Transpose
    },
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_picture_does_not_pass_for_the_golden_one(damage: str) -> None:
    assert not is_within(difference(DAMAGES[damage](golden("scene")), golden("scene")), LOSSY)


def test_lost_transparency_does_not_pass_for_the_golden_picture() -> None:
    whole = golden("cut-out")
    whole.putalpha(255)
    assert not is_within(difference(whole, golden("cut-out")), LOSSY)


def test_the_golden_pictures_are_drawn_from_the_scene() -> None:
    for name, draw in gallery.GOLDENS.items():
        assert golden(name).tobytes() == draw().tobytes()


def test_the_encoders_lose_little() -> None:
    rendition = renderer.render(encoded(scene(), "PNG"), sizes=(512,), max_pixels=MAX_PIXELS)
    whole = gallery.square(scene())
    for data in (rendition.stable_jpeg, rendition.variants[0].data):
        assert difference(opened(data), whole).mean < 2.5


# --- Orientation, sizes, colours beyond the scene's -------------------------------------------------------------------


@pytest.mark.usefixtures("lossless_outputs")
@pytest.mark.parametrize("file_format", ["AVIF", "HEIF"])
def test_exif_does_not_turn_what_has_a_property_for_that(file_format: str) -> None:
    tags = Image.Exif()
    tags[0x0113] = 6  # not yet the orientation's tag, which would become a property
    written, wanted = (struct.pack(">HHIH", tag, 3, 1, 6) for tag in (0x0113, 0x0112))
    data = encoded(scene(), file_format, quality=95, exif=tags.tobytes())
    assert data.count(written) == 1
    assert difference(rendered(data.replace(written, wanted)), golden("scene")).mean < 2


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "GIF", "AVIF", "HEIF"])
@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1), (3, 2)])
def test_tiny_and_extreme_pictures_come_out_as_squares(file_format: str, size: tuple[int, int]) -> None:
    rendition = renderer.render(encoded(plain(*size), file_format), sizes=(512, 128), max_pixels=MAX_PIXELS)
    assert (rendition.source.width, rendition.source.height) == size
    edge = min(size)
    for data in (rendition.stable_jpeg, *(variant.data for variant in rendition.variants)):
        picture = opened(data).convert("RGB")
        assert picture.size == (edge, edge)
        assert picture.getpixel((0, 0)) == pytest.approx((40, 90, 160), abs=6)


def pq_signal(light: float) -> float:
    """https://www.itu.int/rec/R-REC-BT.2100, table 4, the inverse; 1 is white of 203 cd/m²."""
    root = (light * 203 / 10_000) ** (1305 / 8192)
    return ((0.8359375 + 18.8515625 * root) / (1 + 18.6875 * root)) ** (2523 / 32)


def hlg_signal(light: float) -> float:
    """Table 5; 1 is a signal of 75 %."""
    scene_light = light * (math.exp((0.75 - 0.55991073) / 0.17883277) + 0.28466892) / 12
    if scene_light <= 1 / 12:
        return math.sqrt(3 * scene_light)
    return 0.17883277 * math.log(12 * scene_light - 0.28466892) + 0.55991073


def gamma_signal(light: float) -> float:
    return light ** (1 / 2.2)


@pytest.mark.usefixtures("lossless_outputs")
@pytest.mark.parametrize(("transfer", "signal"), [(16, pq_signal), (18, hlg_signal), (4, gamma_signal)])
@pytest.mark.parametrize("colour", [(200, 100, 50), (128, 128, 128), (255, 255, 255), (20, 60, 40)])
def test_wide_colours_and_high_dynamic_range_by_code_points(
    colour: tuple[int, int, int], transfer: int, signal: Callable[[float], float]
) -> None:
    linear = [((value / 255 + 0.055) / 1.055) ** 2.4 for value in colour]
    # https://www.itu.int/rec/R-REC-BT.2087, the matrix from BT.709 to BT.2020
    to_bt2020 = ((0.6274, 0.3293, 0.0433), (0.0691, 0.9195, 0.0114), (0.0164, 0.0880, 0.8956))
    wide = [sum(weight * light for weight, light in zip(row, linear, strict=True)) for row in to_bt2020]
    stored = tuple(round(255 * signal(light)) for light in wide)
    data = pictures.with_png_chunks(encoded(plain(90, 90, stored), "PNG"), (b"cICP", bytes((9, transfer, 0, 1))))
    assert rendered(data).getpixel((45, 45)) == pytest.approx(colour, abs=8)


@pytest.mark.usefixtures("lossless_outputs")
@pytest.mark.parametrize("points", [(1, 13), (1, 1), (2, 2), (9, 99), (99, 13)])
def test_code_points_of_srgb_or_unknown_ones_change_nothing(points: tuple[int, int]) -> None:
    data = pictures.with_png_chunks(encoded(plain(90, 90, (200, 100, 50)), "PNG"), (b"cICP", bytes((*points, 0, 1))))
    assert rendered(data).getpixel((45, 45)) == (200, 100, 50)


# --- What a format costs those who do not send it ---------------------------------------------------------------------

LOADED = """
import sys
from functions.process_avatar.imaging import renderer
renderer.render(sys.stdin.buffer.read(), sizes=(16,), max_pixels=1_000_000)
print(*sorted(sys.modules.keys() & {"pillow_heif", "PIL.AvifImagePlugin", "PIL.TiffImagePlugin", "PIL.IcoImagePlugin"}))
"""


@pytest.mark.parametrize(
    ("name", "loaded"),
    [
        ("JPEG, orientation 6", ""),
        ("PNG", ""),
        ("WebP", ""),
        ("GIF", ""),
        ("AVIF", "PIL.AvifImagePlugin"),
        ("HEIC", "pillow_heif"),
    ],
)
def test_a_decoder_is_loaded_only_when_its_bytes_arrive(name: str, loaded: str) -> None:
    shown = subprocess.run(
        [sys.executable, "-c", LOADED], input=FIXTURES[name].file(), cwd=REPOSITORY, capture_output=True, check=True
    )
    assert shown.stdout.decode().strip() == loaded
