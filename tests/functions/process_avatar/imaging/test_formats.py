"""Every fixture compared with its golden image, and tests of the comparison."""

import math
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from functions.process_avatar.imaging import renderer
from functions.process_avatar.imaging.rendition import Source
from tests.fixtures import gallery, pictures
from tests.fixtures.gallery import FIXTURES, golden, scene
from tests.fixtures.pictures import decode, encode, plain
from tests.functions.process_avatar.imaging.output_files import (
    JPEG_SEGMENTS,
    WEBP_CHUNKS,
    list_jpeg_segments,
    list_webp_chunks,
)
from tests.functions.process_avatar.imaging.perception import Difference, measure_difference

REPOSITORY = Path(__file__).parents[4]
MAX_PIXELS = 50_000_000

# The loss of the fixtures' encoders. Each of the damages below is larger.
LOSSY = Difference(mean=1.25, worst_percent=6)
LOSSLESS = Difference(mean=0.05, worst_percent=0.5)


def is_within(found: Difference, tolerance: Difference) -> bool:
    return found.mean <= tolerance.mean and found.worst_percent <= tolerance.worst_percent


@pytest.fixture
def lossless_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encode outputs without loss, so that only the rest of the pipeline is measured."""

    def encode_lossless(picture: Image.Image) -> bytes:
        return encode(picture, "WEBP", lossless=True, exact=True)

    monkeypatch.setattr(renderer, "encode_webp", encode_lossless)


def render_webp(data: bytes) -> Image.Image:
    (variant,) = renderer.render(data, sizes=(gallery.EDGE,), max_pixels=MAX_PIXELS).variants
    return decode(variant.data)


@pytest.mark.usefixtures("lossless_outputs")
@pytest.mark.parametrize("name", FIXTURES)
def test_render_fixture_matches_golden(name: str) -> None:
    fixture = FIXTURES[name]
    expected = golden(fixture.golden)
    found = render_webp(fixture.file())
    assert is_within(measure_difference(found, expected), LOSSLESS if fixture.is_lossless else LOSSY)


@pytest.mark.parametrize("name", FIXTURES)
def test_render_fixture_reports_upright_source(name: str) -> None:
    data = FIXTURES[name].file()
    source = renderer.render(data, sizes=(16,), max_pixels=MAX_PIXELS).source
    size = (960, 720) if "iPhone" in name else (480, 360)
    assert source == Source(name.partition(",")[0].lower(), *size, len(data))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("name", FIXTURES)
def test_render_fixture_outputs_contain_no_metadata(name: str) -> None:
    rendition = renderer.render(FIXTURES[name].file(), sizes=(64,), max_pixels=MAX_PIXELS)
    assert list_jpeg_segments(rendition.stable_jpeg) == JPEG_SEGMENTS
    assert list_webp_chunks(rendition.variants[0].data) in WEBP_CHUNKS


def test_fixtures_of_five_formats_contain_metadata() -> None:
    with_metadata = {name for name in FIXTURES if b"SECRET-PHONE" in FIXTURES[name].file()}
    assert {name.partition(",")[0] for name in with_metadata} == {"JPEG", "PNG", "WebP", "AVIF", "HEIC"}


# --- The comparison detects damage ------------------------------------------------------------------------------------


def make_shift(right: float, down: float) -> Callable[[Image.Image], Image.Image]:
    def shift(picture: Image.Image) -> Image.Image:
        matrix = (1, 0, right, 0, 1, down)
        return picture.transform(picture.size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)

    return shift


def upscale(picture: Image.Image) -> Image.Image:
    small = picture.resize((96, 96), Image.Resampling.LANCZOS)
    return small.resize(picture.size, Image.Resampling.BICUBIC)


def ignore_profile(_picture: Image.Image) -> Image.Image:
    return pictures.convert_to_profile(golden("scene"), pictures.display_p3_profile())


def reorder_bands(order: str) -> Callable[[Image.Image], Image.Image]:
    return lambda picture: Image.merge("RGB", [picture.getchannel(band) for band in order])


DAMAGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "red and blue swapped": reorder_bands("BGR"),
    "red and green swapped": reorder_bands("GRB"),
    "profile ignored": ignore_profile,
    "half a pixel to the right": make_shift(-0.5, 0),
    "half a pixel down": make_shift(0, -0.5),
    "upscaled": upscale,
    "3 % darker": lambda picture: Image.eval(picture, lambda value: value * 0.97),
    "gamma": lambda picture: Image.eval(picture, lambda value: 255 * (value / 255) ** 1.1),
    "nearest neighbour": lambda _: gallery.square(scene()).resize((128, 128), Image.Resampling.NEAREST),
    "bilinear": lambda _: gallery.square(scene()).resize((128, 128), Image.Resampling.BILINEAR),
    "gray": lambda picture: picture.convert("L").convert("RGB"),
    **{
        transpose.name: lambda picture, transpose=transpose: picture.transpose(transpose)
        for transpose in Image.Transpose
    },
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_difference_of_damaged_image_exceeds_tolerance(damage: str) -> None:
    assert not is_within(measure_difference(DAMAGES[damage](golden("scene")), golden("scene")), LOSSY)


def test_difference_of_lost_transparency_exceeds_tolerance() -> None:
    whole = golden("cut-out")
    whole.putalpha(255)
    assert not is_within(measure_difference(whole, golden("cut-out")), LOSSY)


def test_golden_files_equal_drawn_images() -> None:
    for name, draw in gallery.GOLDENS.items():
        assert golden(name).tobytes() == draw().tobytes()


def test_output_encoders_loss_is_small() -> None:
    rendition = renderer.render(encode(scene(), "PNG"), sizes=(512,), max_pixels=MAX_PIXELS)
    whole = gallery.square(scene())
    for data in (rendition.stable_jpeg, rendition.variants[0].data):
        assert measure_difference(decode(data), whole).mean < 2.5


# --- Orientation, sizes, wide color -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("lossless_outputs")
@pytest.mark.parametrize("file_format", ["AVIF", "HEIF"])
def test_render_heif_ignores_exif_orientation(file_format: str) -> None:
    tags = Image.Exif()
    tags[0x0113] = 6  # the orientation tag would become an image property
    written, wanted = (struct.pack(">HHIH", tag, 3, 1, 6) for tag in (0x0113, 0x0112))
    data = encode(scene(), file_format, quality=95, exif=tags.tobytes())
    assert data.count(written) == 1
    assert measure_difference(render_webp(data.replace(written, wanted)), golden("scene")).mean < 2


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "GIF", "AVIF", "HEIF"])
@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1), (3, 2)])
def test_render_tiny_or_extreme_size_returns_squares(file_format: str, size: tuple[int, int]) -> None:
    rendition = renderer.render(encode(plain(*size), file_format), sizes=(512, 128), max_pixels=MAX_PIXELS)
    assert (rendition.source.width, rendition.source.height) == size
    edge = min(size)
    for data in (rendition.stable_jpeg, *(variant.data for variant in rendition.variants)):
        picture = decode(data).convert("RGB")
        assert picture.size == (edge, edge)
        assert picture.getpixel((0, 0)) == pytest.approx((40, 90, 160), abs=6)


def pq_signal(light: float) -> float:
    """https://www.itu.int/rec/R-REC-BT.2100, table 4, the inverse, relative to reference white, 203 cd/m²."""
    root = (light * 203 / 10_000) ** (1305 / 8192)
    return ((0.8359375 + 18.8515625 * root) / (1 + 18.6875 * root)) ** (2523 / 32)


def hlg_signal(light: float) -> float:
    """Table 5, relative to reference white, a signal of 75%."""
    scene_light = light * (math.exp((0.75 - 0.55991073) / 0.17883277) + 0.28466892) / 12
    if scene_light <= 1 / 12:
        return math.sqrt(3 * scene_light)
    return 0.17883277 * math.log(12 * scene_light - 0.28466892) + 0.55991073


def gamma_signal(light: float) -> float:
    return light ** (1 / 2.2)


@pytest.mark.usefixtures("lossless_outputs")
@pytest.mark.parametrize(("transfer", "signal"), [(16, pq_signal), (18, hlg_signal), (4, gamma_signal)])
@pytest.mark.parametrize("color", [(200, 100, 50), (128, 128, 128), (255, 255, 255), (20, 60, 40)])
def test_render_cicp_wide_gamut_and_hdr_converts_to_srgb(
    color: tuple[int, int, int], transfer: int, signal: Callable[[float], float]
) -> None:
    linear = [((value / 255 + 0.055) / 1.055) ** 2.4 for value in color]
    # https://www.itu.int/rec/R-REC-BT.2087, the matrix from BT.709 to BT.2020
    to_bt2020 = ((0.6274, 0.3293, 0.0433), (0.0691, 0.9195, 0.0114), (0.0164, 0.0880, 0.8956))
    wide = [sum(weight * light for weight, light in zip(row, linear, strict=True)) for row in to_bt2020]
    stored = tuple(round(255 * signal(light)) for light in wide)
    data = pictures.with_png_chunks(encode(plain(90, 90, stored), "PNG"), (b"cICP", bytes((9, transfer, 0, 1))))
    assert render_webp(data).getpixel((45, 45)) == pytest.approx(color, abs=8)


@pytest.mark.usefixtures("lossless_outputs")
@pytest.mark.parametrize("transfer", [1, 13, 14])
def test_render_cicp_wide_gamut_of_srgb_curve_is_converted(transfer: int) -> None:
    # BT.2020 (160, 110, 70) by the sRGB curve, the matrix of BT.2087, and the sRGB curve again
    data = pictures.with_png_chunks(encode(plain(90, 90, (160, 110, 70)), "PNG"), (b"cICP", bytes((9, transfer, 0, 1))))
    assert render_webp(data).getpixel((45, 45)) == pytest.approx((185, 102, 61), abs=2)


@pytest.mark.usefixtures("lossless_outputs")
@pytest.mark.parametrize(("transfer", "signal"), [(16, pq_signal), (18, hlg_signal), (4, gamma_signal)])
def test_render_cicp_srgb_primaries_with_another_curve_are_converted(
    transfer: int, signal: Callable[[float], float]
) -> None:
    color = (200, 100, 50)
    stored = tuple(round(255 * signal(((value / 255 + 0.055) / 1.055) ** 2.4)) for value in color)
    data = pictures.with_png_chunks(encode(plain(90, 90, stored), "PNG"), (b"cICP", bytes((1, transfer, 0, 1))))
    assert render_webp(data).getpixel((45, 45)) == pytest.approx(color, abs=8)


@pytest.mark.usefixtures("lossless_outputs")
@pytest.mark.parametrize("points", [(1, 13), (1, 1), (2, 2), (9, 99), (99, 13)])
def test_render_cicp_srgb_or_unknown_keeps_colors(points: tuple[int, int]) -> None:
    data = pictures.with_png_chunks(encode(plain(90, 90, (200, 100, 50)), "PNG"), (b"cICP", bytes((*points, 0, 1))))
    assert render_webp(data).getpixel((45, 45)) == (200, 100, 50)


# --- Imports ----------------------------------------------------------------------------------------------------------

PRINT_LOADED_PLUGINS = """
import sys
from functions.process_avatar.imaging import renderer
renderer.render(sys.stdin.buffer.read(), sizes=(16,), max_pixels=1_000_000)
print(*sorted(sys.modules.keys() & {"pillow_heif", "PIL.AvifImagePlugin", "PIL.TiffImagePlugin", "PIL.IcoImagePlugin"}))
"""


@pytest.mark.parametrize(
    ("name", "loaded"),
    [
        ("JPEG, orientation 6", "PIL.AvifImagePlugin"),
        ("PNG", "PIL.AvifImagePlugin"),
        ("WebP", "PIL.AvifImagePlugin"),
        ("GIF", "PIL.AvifImagePlugin"),
        ("AVIF", "PIL.AvifImagePlugin"),
        ("HEIC", "PIL.AvifImagePlugin pillow_heif"),
    ],
)
def test_render_imports_only_the_plugins_it_needs(name: str, loaded: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", PRINT_LOADED_PLUGINS],
        input=FIXTURES[name].file(),
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
    )
    assert result.stdout.decode().strip() == loaded
