"""Fuzzing inputs: damaged fixtures, containers generated from scratch, and changed copies of expensive files.

Files of very many segments are in `floods`.
"""

import random
import struct
import zlib
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import cache
from pathlib import Path

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st

from fuzz.floods import MAX_BYTES
from tests.fixtures import pictures
from tests.fixtures.gallery import FIXTURES

MUTATED, STRUCTURED, FLOOD, BRED = "mutated", "structured", "flood", "bred"

# --- Damaged fixtures -------------------------------------------------------------------------------------------------

_INTERESTING = (
    b"\0", b"\xff", b"\x80", b"\x7f", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xd9", b"\xff\xda",
    b"IDAT", b"IEND", b"ANMF", b"VP8X", b"ispe", b"iloc", b"irot", b"colr", b"grid",
)  # fmt: skip
_HEADER_BYTES = 1024  # damaged more often than the rest


@cache
def load_corpus() -> tuple[bytes, ...]:
    return tuple(fixture.file() for fixture in FIXTURES.values())


def mutate(number: int, campaign_seed: int) -> bytes:
    """Return a damaged fixture, the same for the same arguments."""
    chance = random.Random(f"{campaign_seed} {number}")
    data = bytearray(chance.choice(load_corpus()))
    _damage(data, chance, lambda: chance.choice(load_corpus()))
    return bytes(data)


def _damage(data: bytearray, chance: random.Random, choose_file: Callable[[], bytes]) -> None:
    for _ in range(chance.choice((1, 1, 2, 4, 16, 64))):
        if chance.randrange(len(_MUTATIONS) + 1):
            chance.choice(_MUTATIONS)(data, chance)
        else:
            _splice(data, chance, choose_file())


def _choose_offset(data: bytearray, chance: random.Random) -> int:
    end = min(len(data), _HEADER_BYTES) if chance.random() < 0.6 else len(data)
    return chance.randrange(end) if end else 0


def _flip_bit(data: bytearray, chance: random.Random) -> None:
    if data:
        data[_choose_offset(data, chance)] ^= 1 << chance.randrange(8)


def _overwrite(data: bytearray, chance: random.Random) -> None:
    at, piece = _choose_offset(data, chance), chance.choice(_INTERESTING)
    data[at : at + len(piece)] = piece


def _randomize(data: bytearray, chance: random.Random) -> None:
    at = _choose_offset(data, chance)
    length = min(chance.randrange(1, 32), len(data) - at)
    data[at : at + length] = chance.randbytes(length)


def _delete(data: bytearray, chance: random.Random) -> None:
    at = _choose_offset(data, chance)
    del data[at : at + chance.choice((1, 2, 4, 100, 10_000))]


def _repeat(data: bytearray, chance: random.Random) -> None:
    at = _choose_offset(data, chance)
    data[at:at] = data[at : at + chance.choice((1, 4, 16, 200, 2000))] * chance.choice((1, 2, 50))


def _truncate(data: bytearray, chance: random.Random) -> None:
    if chance.random() < 0.2:
        del data[_choose_offset(data, chance) :]


def _add_to_number(data: bytearray, chance: random.Random) -> None:
    """Increase or decrease a number, little or much, in either byte order."""
    at, width = _choose_offset(data, chance), chance.choice((1, 2, 4))
    order = "big" if chance.random() < 0.5 else "little"
    number = int.from_bytes(data[at : at + width], order) + chance.choice((-1, 1, 16, 255, 1 << 15, 1 << 30))
    data[at : at + width] = (number % (1 << 8 * width)).to_bytes(width, order)


def _splice(data: bytearray, chance: random.Random, other: bytes) -> None:
    """Replace the end of the file with data from another."""
    at = chance.randrange(len(other) + 1)
    data[_choose_offset(data, chance) :] = other[at : at + 50_000]


_MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip_bit, _flip_bit, _overwrite, _overwrite, _randomize, _delete, _repeat, _truncate, _add_to_number,
    _add_to_number,
)  # fmt: skip

# --- Changed copies of expensive files --------------------------------------------------------------------------------


def breed(number: int, campaign_seed: int, parents: Sequence[Path]) -> bytes:
    """Return a changed copy of one of the files, the same for the same arguments and files."""
    chance = random.Random(f"{campaign_seed} bred {number}")
    data = bytearray(chance.choice(parents).read_bytes())
    if chance.random() < 0.5:
        _multiply(data, chance)
    _damage(data, chance, lambda: chance.choice(parents).read_bytes())
    if chance.random() < 0.7:
        _repair(data)
    return bytes(data[:MAX_BYTES])


def _multiply(data: bytearray, chance: random.Random) -> None:
    """Insert many copies of a piece beside it."""
    at = _choose_offset(data, chance)
    piece = data[at : at + chance.choice((4, 12, 50, 1000, 50_000))]
    if piece:
        data[at:at] = piece * (chance.choice((1000, 50_000, len(data))) // len(piece))
        del data[MAX_BYTES:]


def _repair(data: bytearray) -> None:
    """Correct the checksums of a PNG and the size of a WebP, without which decoders read no further."""
    if data.startswith(pictures.PNG_SIGNATURE):
        view, at = memoryview(data), len(pictures.PNG_SIGNATURE)
        while (end := at + 8 + int.from_bytes(view[at : at + 4])) + 4 <= len(data):
            struct.pack_into(">I", data, end, zlib.crc32(view[at + 4 : end]))
            at = end + 4
    elif data.startswith(b"RIFF"):
        data[4:8] = struct.pack("<I", max(len(data) - 8, 0))


# --- Containers generated from scratch --------------------------------------------------------------------------------

_any = st.binary(max_size=200)
_small = st.integers(0, 300)
_u32 = st.one_of(_small, st.sampled_from((0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 65_535, 65_536)))


@st.composite
def _exif(draw: st.DrawFn) -> bytes:
    order = draw(st.sampled_from("<>"))
    entries = draw(st.lists(st.tuples(st.sampled_from((0x0112, 0x8769, 0x0201, 7)), _small, _u32, _u32), max_size=8))
    packed = b"".join(struct.pack(order + "HHII", *entry) for entry in entries)
    count = draw(st.one_of(st.just(len(entries)), st.integers(0, 65_535)))
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", draw(st.sampled_from((8, 0, 9))), count)
    return draw(st.sampled_from((b"", b"Exif\0\0"))) + head + packed + draw(_any)


@st.composite
def _icc(draw: st.DrawFn) -> bytes:
    kinds = (b"XYZ ", b"curv", b"para", b"mft1", b"mft2", b"mAB ", b"mpet", b"mluc", b"text")
    names = (b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC", b"kTRC", b"A2B0", b"B2A0", b"D2B0", b"chad")
    tags = draw(st.lists(st.tuples(st.sampled_from(names), st.sampled_from(kinds), _any), max_size=12))
    colors = draw(st.sampled_from((b"RGB ", b"GRAY", b"CMYK", b"Lab ", b"9CLR")))
    device = draw(st.sampled_from((b"mntr", b"prtr", b"link", b"nmcl")))
    content = [(name, kind + bytes(4) + data) for name, kind, data in tags]
    return pictures.profile(device, colors, draw(st.sampled_from((b"XYZ ", b"Lab "))), content)


_metadata = st.one_of(_any, _exif(), _icc())


@st.composite
def _png(draw: st.DrawFn) -> bytes:
    header = struct.pack(
        ">IIBBBBB", draw(_u32), draw(_u32), draw(st.sampled_from((1, 2, 4, 8, 16, 3))),
        draw(st.sampled_from((0, 2, 3, 4, 6, 1))), draw(st.sampled_from((0, 0, 0, 1))), 0, draw(st.integers(0, 2)),
    )  # fmt: skip
    names = st.sampled_from((b"IDAT", b"PLTE", b"tRNS", b"iCCP", b"eXIf", b"cICP", b"zTXt", b"iTXt", b"acTL", b"fcTL",
                             b"fdAT", b"gAMA", b"IHDR", b"IEND"))  # fmt: skip
    deflated = st.builds(zlib.compress, st.one_of(_metadata, st.binary(max_size=4000)))
    named = st.builds(lambda data: b"name\0\0" + data, deflated)
    chunks = draw(st.lists(st.tuples(names, st.one_of(_metadata, deflated, named)), max_size=10))
    made = [(b"IHDR", header), *chunks, (b"IDAT", draw(deflated)), (b"IEND", b"")]
    return pictures.PNG_SIGNATURE + b"".join(pictures.png_chunk(*chunk) for chunk in made)


@st.composite
def _jpeg(draw: st.DrawFn) -> bytes:
    markers = st.integers(0xC0, 0xFE)
    contents = st.one_of(_metadata, st.builds(lambda data: b"ICC_PROFILE\0\1\1" + data, _icc()),
                         st.builds(lambda data: b"Exif\0\0" + data, _exif()),
                         st.builds(lambda data: b"Adobe\0\x64" + data, st.binary(min_size=5, max_size=5)))  # fmt: skip
    segments = draw(st.lists(st.tuples(markers, contents), max_size=10))
    made = b"".join(struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data for marker, data in segments)
    names = ("JPEG", "JPEG, progressive", "JPEG, CMYK", "JPEG, gray")
    return b"\xff\xd8" + made + FIXTURES[draw(st.sampled_from(names))].file()[2:]


@st.composite
def _gif(draw: st.DrawFn) -> bytes:
    screen = struct.pack("<HHBBB", *(draw(_small) for _ in range(2)), draw(st.integers(0, 255)), 0, 0)
    blocks = draw(st.lists(st.tuples(st.sampled_from((b"!\xf9", b"!\xfe", b"!\xff", b"!\1")), _any), max_size=6))
    extensions = b"".join(name + bytes((len(data),)) + data + b"\0" for name, data in blocks)
    place = struct.pack("<HHHHB", *(draw(_small) for _ in range(4)), draw(st.integers(0, 255)))
    pixels = draw(_any)
    frame = b"," + place + bytes((draw(st.integers(0, 15)), len(pixels))) + pixels + b"\0"
    return b"GIF89a" + screen + draw(st.binary(max_size=768)) + extensions + frame + b";"


@st.composite
def _webp(draw: st.DrawFn) -> bytes:
    names = st.sampled_from((b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP", b"EXIF", b"XMP "))
    whole = [FIXTURES[name].file()[12:] for name in ("WebP", "WebP, lossless", "WebP, alpha", "WebP, multiple")]
    chunks = draw(st.lists(st.tuples(names, _metadata), max_size=6))
    made = [name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for name, data in chunks]
    extended = struct.pack("<4sIB3x", b"VP8X", 10, draw(st.integers(0, 255))) + draw(st.binary(min_size=6, max_size=6))
    body = (
        b"WEBP"
        + draw(st.sampled_from((b"", extended)))
        + b"".join(draw(st.permutations([*made, draw(st.sampled_from(whole))])))
    )
    return b"RIFF" + struct.pack("<I", draw(st.one_of(st.just(len(body)), _u32))) + body


def _box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + name + content


_BOXES = st.sampled_from((b"meta", b"hdlr", b"pitm", b"iloc", b"iinf", b"infe", b"iref", b"dimg", b"iprp", b"ipco",
                          b"ipma", b"ispe", b"irot", b"imir", b"clap", b"colr", b"pixi", b"hvcC", b"av1C", b"auxC",
                          b"idat", b"mdat", b"moov", b"trak", b"grpl", b"uuid", b"free"))  # fmt: skip
_boxes = st.recursive(
    st.builds(_box, _BOXES, _metadata),
    lambda inner: st.builds(lambda name, prefix, found: _box(name, prefix + b"".join(found)), _BOXES,
                            st.sampled_from((b"", bytes(4))), st.lists(inner, max_size=4)),
    max_leaves=12,
)  # fmt: skip


@st.composite
def _heif(draw: st.DrawFn) -> bytes:
    brands = st.sampled_from((b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1", b"hevc", b"miaf"))
    kind = _box(b"ftyp", draw(brands) + bytes(4) + b"".join(draw(st.lists(brands, max_size=3))))
    names = ("AVIF", "AVIF, alpha", "HEIC", "HEIC, iPhone", "HEIC, alpha")
    real = FIXTURES[draw(st.sampled_from(names))].file()
    rest = draw(st.sampled_from((b"", real[int.from_bytes(real[:4]) :])))
    return kind + b"".join(draw(st.lists(_boxes, max_size=4))) + rest


_STRATEGIES: Mapping[str, st.SearchStrategy[bytes]] = {
    "png": _png(), "jpeg": _jpeg(), "gif": _gif(), "webp": _webp(), "heif": _heif(), "any": st.binary(max_size=100)
}  # fmt: skip


def generate_structured(campaign_seed: int, count: int) -> Generator[bytes]:
    """Yield `count` files, or a few fewer if Hypothesis finds no more distinct ones."""
    made: list[bytes] = []

    @seed(campaign_seed)
    @settings(
        max_examples=count, database=None, deadline=None, phases=(Phase.generate,), verbosity=Verbosity.quiet,
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example),
    )  # fmt: skip
    @given(st.one_of(*_STRATEGIES.values()))
    def collect(data: bytes) -> None:
        made.append(data)

    collect()
    yield from made[:count]
