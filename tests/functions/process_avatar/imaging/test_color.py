"""Conversion of code points to sRGB, compared with the formulas of the standards."""

import math
import struct
from collections.abc import Generator, Sequence
from functools import cache
from io import BytesIO
from itertools import product

import pytest
from PIL import Image, ImageCms

from functions.process_avatar.imaging import color
from functions.process_avatar.imaging.prepared_image import Cicp

# https://www.itu.int/rec/T-REC-H.273, table 2: x and y of red, green and blue. The white point of each is D65.
CHROMATICITIES = {
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
WHITE = (0.3127, 0.3290)
COLORS = [*product(range(0, 256, 51), repeat=3), *((gray, gray, gray) for gray in range(256))]
# Of 255: half a step of 8 bits, and the rounding of profiles.
TOLERANCE = 0.7

Matrix = Sequence[Sequence[float]]


def to_light(transfer: int, signal: float) -> float:
    """Return what table 3 defines, relative to reference white."""
    if transfer in (4, 5, 8):
        return signal ** {4: 2.2, 5: 2.8, 8: 1.0}[transfer]
    if transfer == 16:
        root = signal ** (32 / 2523)
        return (max(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (8192 / 1305) * 10_000 / 203
    if transfer == 18:
        return scene_light(signal) / scene_light(0.75)
    return signal / 12.92 if signal <= 0.04045 else ((signal + 0.055) / 1.055) ** 2.4


def scene_light(signal: float) -> float:
    return signal**2 / 3 if signal <= 0.5 else (math.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12


def from_light(light: float) -> float:
    clipped = min(max(light, 0.0), 1.0)
    return 255 * (clipped * 12.92 if clipped <= 0.0031308 else 1.055 * clipped ** (1 / 2.4) - 0.055)


def multiply(matrix: Matrix, vector: Sequence[float]) -> list[float]:
    return [sum(weight * value for weight, value in zip(row, vector, strict=True)) for row in matrix]


def invert(matrix: Matrix) -> Matrix:
    (a, b, c), (d, e, f), (g, h, i) = matrix
    cofactors = (
        (e * i - f * h, c * h - b * i, b * f - c * e),
        (f * g - d * i, a * i - c * g, c * d - a * f),
        (d * h - e * g, b * g - a * h, a * e - b * d),
    )
    determinant = a * cofactors[0][0] + b * cofactors[1][0] + c * cofactors[2][0]
    return [[value / determinant for value in row] for row in cofactors]


@cache
def to_xyz(primaries: int) -> Matrix:
    columns = [(x / y, 1.0, (1 - x - y) / y) for x, y in CHROMATICITIES[primaries]]
    rows = list(zip(*columns, strict=True))
    x, y = WHITE
    scales = multiply(invert(rows), (x / y, 1.0, (1 - x - y) / y))
    return [[value * scale for value, scale in zip(row, scales, strict=True)] for row in rows]


def expected(cicp: Cicp, stored: Sequence[int]) -> list[float]:
    light = [min(to_light(cicp.transfer, value / 255), 1) for value in stored]
    return [from_light(each) for each in multiply(invert(to_xyz(1)), multiply(to_xyz(cicp.primaries), light))]


@pytest.mark.parametrize("transfer", [1, 2, 4, 5, 6, 8, 13, 14, 15, 16, 18])
@pytest.mark.parametrize("primaries", [1, 9, 12])
def test_convert_code_points_follow_the_standards(primaries: int, transfer: int) -> None:
    cicp = Cicp(primaries, transfer)
    image = Image.new("RGB", (len(COLORS), 1))
    image.putdata(COLORS)
    converted = color.convert_to_srgb(image, None, cicp)
    for x, stored in enumerate(COLORS):
        assert converted.getpixel((x, 0)) == pytest.approx(expected(cicp, stored), abs=TOLERANCE), stored


# --- The bytes of the profiles, https://www.color.org/specification/ICC.1-2022-05.pdf ---------------------------------

D50 = (63190, 65536, 54061)  # s15Fixed16Number, 7.2.16


@pytest.fixture
def profiles(monkeypatch: pytest.MonkeyPatch) -> Generator[list[bytes]]:
    """The profiles that are made for code points. No transform is made of them."""
    clear_cache = color._build_transform.cache_clear  # pyright: ignore[reportPrivateUsage]
    clear_cache()
    made: list[bytes] = []
    open_profile = ImageCms.ImageCmsProfile

    def record(profile: BytesIO) -> ImageCms.ImageCmsProfile:
        made.append(profile.getvalue())
        return open_profile(profile)

    monkeypatch.setattr(ImageCms, "ImageCmsProfile", record)
    yield made
    clear_cache()


def read_tags(profile: bytes) -> dict[bytes, bytes]:
    """Check that each tag begins where the one before it ends, at a multiple of four, and return their data."""
    (count,) = struct.unpack_from(">I", profile, 128)
    tags: dict[bytes, bytes] = {}
    at = 132 + 12 * count
    for index in range(count):
        name, offset, size = struct.unpack_from(">4sII", profile, 132 + 12 * index)
        assert offset == at
        tags[name] = profile[offset : offset + size]
        at += size + -size % 4
    assert at == len(profile)
    return tags


@pytest.mark.parametrize("transfer", [1, 4, 16, 18])
def test_profile_of_code_points_is_laid_out_by_the_specification(profiles: list[bytes], transfer: int) -> None:
    color.convert_to_srgb(Image.new("RGB", (1, 1)), None, Cicp(9, transfer))
    (profile,) = profiles
    header = struct.pack(">I4xI4s4s4s12x4s28x3i", len(profile), 0x04300000, b"mntr", b"RGB ", b"XYZ ", b"acsp", *D50)
    assert profile[:128] == header.ljust(128, b"\0")
    tags = read_tags(profile)
    assert list(tags) == [b"wtpt", b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC"]
    assert tags[b"wtpt"] == struct.pack(">4s4x3i", b"XYZ ", *D50)
    columns = [struct.unpack(">4s4x3i", tags[name]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
    assert [kind for kind, *_ in columns] == [b"XYZ "] * 3
    assert [sum(values) for values in zip(*(xyz for _, *xyz in columns), strict=True)] == pytest.approx(D50, abs=16)
    assert tags[b"rTRC"] == tags[b"gTRC"] == tags[b"bTRC"] == expected_curve(transfer)


def expected_curve(transfer: int) -> bytes:
    if transfer == 1:
        parameters = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
        return struct.pack(">4s4xH2x5i", b"para", 3, *(round(value * 65536) for value in parameters))
    if transfer == 4:
        return struct.pack(">4s4xH2xi", b"para", 0, round(2.2 * 65536))
    values = (min(round(to_light(transfer, step / 1023) * 65535), 65535) for step in range(1024))
    return struct.pack(">4s4xI1024H", b"curv", 1024, *values)
