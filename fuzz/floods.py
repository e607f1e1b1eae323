"""Files of very many segments, up to the default of `maxUploadBytes`.

Each is a valid image with copies of one segment inserted where a parser or a decoder visits all of them.
"""

import random
import struct
from collections.abc import Callable, Mapping
from functools import cache
from typing import NamedTuple

from tests.fixtures import hostile, pictures
from tests.fixtures.gallery import FIXTURES

MAX_BYTES = 10_485_760  # the default of maxUploadBytes
_MIN_BYTES = 1024


class Flood(NamedTuple):
    segment: Callable[[random.Random], bytes]
    insert: Callable[[bytes, int], bytes]  # the segment, and the number of copies


def generate_flood(number: int, campaign_seed: int) -> bytes:
    """Return a file of 1 KiB to `MAX_BYTES`, the same for the same arguments. The number determines the segment."""
    chance = random.Random(f"{campaign_seed} flood {number}")
    flood = list(FLOODS.values())[number % len(FLOODS)]
    segment = flood.segment(chance)
    room = MAX_BYTES - len(flood.insert(segment, 0))
    size = _MIN_BYTES * (room / _MIN_BYTES) ** chance.random()
    return flood.insert(segment, int(size / len(segment)))


def _one_of(*choices: bytes) -> Callable[[random.Random], bytes]:
    return lambda chance: chance.choice(choices)


def _content(chance: random.Random) -> bytes:
    return chance.randbytes(chance.choice((0, 0, 1, 4, 16, 64)))


def _insert_before(name: str, mark: bytes, skip: int = 0) -> Callable[[bytes, int], bytes]:
    """Insert into a fixture at the distance `skip` from the last `mark`."""

    def insert(segment: bytes, count: int) -> bytes:
        data = FIXTURES[name].file()
        at = data.rindex(mark) + skip
        return data[:at] + segment * count + data[at:]

    return insert


# --- JPEG -------------------------------------------------------------------------------------------------------------

_TABLES = (
    pictures.jpeg_segment(0xDB, b"\0" + b"\1" * 64),
    pictures.jpeg_segment(0xC4, b"\0\1" + bytes(15) + b"\0"),
    pictures.jpeg_segment(0xDD, b"\0\0"),
    pictures.jpeg_segment(0xCC, b"\0\0"),
)


def _metadata_segment(chance: random.Random) -> bytes:
    contents = (_content(chance), b"Exif\0\0II*\0\x08\0\0\0\0\0", b"ICC_PROFILE\0\1\1", b"JFIF\0\1\1\1\0\1\0\1\0\0",
                b"Adobe\0\x64\0\0\0\0\1", b"Photoshop 3.0\x008BIM\4\4\0\0\0\0\0\0", b"MPF\0II*\0\x08\0\0\0\0\0",
                b"http://ns.adobe.com/xap/1.0/\0", b"Exif\0\0" + hostile.exif_bomb(60_000))  # fmt: skip
    return pictures.jpeg_segment(chance.choice((*range(0xE0, 0xF0), 0xFE)), chance.choice(contents))


def _any_segment(chance: random.Random) -> bytes:
    return pictures.jpeg_segment(chance.choice((*range(0x02, 0xD0), *range(0xD9, 0xFF))), _content(chance))


def _insert_after_jpeg_start(segment: bytes, count: int) -> bytes:
    data = FIXTURES["JPEG"].file()
    return data[:2] + segment * count + data[2:]


@cache
def _progressive_jpeg() -> tuple[bytes, bytes]:
    """A file without the end marker, and its last scan."""
    data = FIXTURES["JPEG, progressive"].file()
    return data[:-2], data[data.rindex(b"\xff\xda") : -2]


def _insert_scans(segment: bytes, count: int) -> bytes:
    return _progressive_jpeg()[0] + segment * count + b"\xff\xd9"


# --- PNG --------------------------------------------------------------------------------------------------------------

_PNG_CHUNKS = (b"teSt", b"tRNS", b"PLTE", b"IDAT", b"iCCP", b"eXIf", b"cICP", b"tEXt", b"acTL", b"fcTL", b"fdAT",
               b"gAMA", b"pHYs", b"IHDR", b"IEND")  # fmt: skip


def _png_chunk(chance: random.Random) -> bytes:
    return pictures.png_chunk(chance.choice(_PNG_CHUNKS), _content(chance))


def _deflate_bomb(chance: random.Random) -> bytes:
    name, prefix = chance.choice(((b"zTXt", b"k\0\0"), (b"iTXt", b"k\0\1\0\0\0"), (b"iCCP", b"k\0\0"), (b"IDAT", b"")))
    return pictures.png_chunk(name, prefix + hostile.deflate_zeros(chance.choice((1, 10, 100, 500)) << 20))


def _split_pixels(segment: bytes, count: int) -> bytes:
    """Follow each byte of the pixels with copies of an empty chunk."""
    data = FIXTURES["PNG, 1 bit"].file()
    start = data.index(b"IDAT") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4])
    pixels = data[start + 8 : end - 4]
    each = segment * (count // len(pixels))
    split = b"".join(pictures.png_chunk(b"IDAT", pixels[at : at + 1]) + each for at in range(len(pixels)))
    return data[:start] + split + segment * (count % len(pixels)) + data[end:]


# --- GIF --------------------------------------------------------------------------------------------------------------

_GIF_EXTENSIONS = (b"!\xfe\0", b"!\xfe\1A\0", b"!\xff\0", b"!\xff\x0bNETSCAPE2.0\3\1\0\0\0", b"!\xf9\4\0\0\0\0\0",
                   b"!\xf9\4\1\0\0\0\0", b"!\1\0", b"!\0\0", b"\0", b"!\xff\x0bICCRGBG1012\1A\0")  # fmt: skip
_GIF_FRAMES = (b",\0\0\0\0\1\0\1\0\0\2\2D\1\0", b"!\xf9\4\0\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0")


def _insert_gif_blocks(before: bytes, after: bytes) -> Callable[[bytes, int], bytes]:
    def insert(segment: bytes, count: int) -> bytes:
        data = FIXTURES["GIF"].file()
        start = 13 + (3 << (data[10] & 7) + 1)  # after the palette: https://www.w3.org/Graphics/GIF/spec-gif89a.txt
        return data[:start] + before + segment * count + after + data[start:]

    return insert


# --- WebP -------------------------------------------------------------------------------------------------------------


def _webp_chunk(chance: random.Random) -> bytes:
    name = chance.choice((b"ANIM", b"ALPH", b"VP8 ", b"VP8L", b"VP8X", b"ANMF", b"ICCP", b"EXIF", b"XMP ", b"teSt"))
    data = _content(chance)
    return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def _insert_webp_chunks(name: str) -> Callable[[bytes, int], bytes]:
    """Insert after the extended header."""

    def insert(segment: bytes, count: int) -> bytes:
        data = FIXTURES[name].file()
        body = data[8:30] + segment * count + data[30:]
        return b"RIFF" + struct.pack("<I", len(body)) + body

    return insert


def _insert_into_webp_frame(segment: bytes, count: int) -> bytes:
    data = FIXTURES["WebP, multiple"].file()
    start = data.index(b"ANMF") + 8
    added = segment * count
    frame_bytes = int.from_bytes(data[start - 4 : start], "little") + len(added)
    body = data[8 : start - 4] + struct.pack("<I", frame_bytes) + data[start : start + 16] + added + data[start + 16 :]
    return b"RIFF" + struct.pack("<I", len(body)) + body


# --- AVIF and HEIC ----------------------------------------------------------------------------------------------------

_BOX = 8
# Bytes before the children: with version and flags, and some with a count. ISO/IEC 14496-12, 8.11; 23008-12, 9.3.1.
_CHILDREN_AT = {b"meta": _BOX + 4, b"iinf": _BOX + 6, b"iref": _BOX + 4, b"ipma": _BOX + 8, b"iloc": _BOX + 8}
_COUNT_FORMATS = {b"iinf": ">H", b"ipma": ">I", b"iloc": ">H"}


def _box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", _BOX + len(content)) + name + content


def _any_box(chance: random.Random) -> bytes:
    names = (b"free", b"skip", b"uuid", b"meta", b"moov", b"trak", b"mdat", b"ftyp", b"hdlr", b"idat", b"\0\0\0\0")
    return _box(chance.choice(names), _content(chance))


def _property(chance: random.Random) -> bytes:
    return chance.choice((
        _box(b"free", b""), _box(b"irot", b"\0"), _box(b"irot", b"\1"), _box(b"imir", b"\0"),
        _box(b"ispe", struct.pack(">4xII", 64, 64)), _box(b"colr", b"nclx" + bytes(7)), _box(b"colr", b"prof"),
        _box(b"pixi", bytes(4) + b"\3\x08\x08\x08"), _box(b"clap", struct.pack(">8I", *(1, 1) * 4)),
        _box(b"auxC", bytes(5)), _box(b"uuid", bytes(16)),
    ))  # fmt: skip


def _item(chance: random.Random) -> bytes:
    kind = chance.choice((b"av01", b"hvc1", b"grid", b"Exif", b"mime", b"iovl", b"iden", b"tmap"))
    return _box(b"infe", struct.pack(">B3xHH", 2, chance.choice((1, 2, 999)), 0) + kind + b"\0")


def _reference(chance: random.Random) -> bytes:
    kind = chance.choice((b"dimg", b"auxl", b"thmb", b"cdsc", b"prem"))
    targets = chance.choice((1, 1, 2, 100))
    return _box(kind, struct.pack(f">HH{targets}H", chance.choice((1, 2, 999)), targets, *range(1, targets + 1)))


def _association(chance: random.Random) -> bytes:
    properties = chance.choice((0, 1, 4, 255))
    return struct.pack(">HB", chance.choice((1, 2, 999)), properties) + bytes((1,)) * properties


def _location(chance: random.Random) -> bytes:
    return struct.pack(">HHHII", chance.choice((1, 2, 999)), 0, 1, chance.choice((0, 500)), 100)


def _insert_boxes(name: str, *path: bytes) -> Callable[[bytes, int], bytes]:
    """Append to the box at the path, or insert before the first box, that of metadata."""

    def insert(segment: bytes, count: int) -> bytes:
        boxes = segment * count
        data = _shift_locations(FIXTURES[name].file(), len(boxes))
        at = int.from_bytes(data[:4])
        return data[:at] + (_append(data[at:], path, boxes, count) if path else boxes + data[at:])

    return insert


def _append(container: bytes, path: tuple[bytes, ...], boxes: bytes, count: int) -> bytes:
    at = 0
    while container[at + 4 : at + 8] != path[0]:
        at += int.from_bytes(container[at : at + 4])
    end = at + int.from_bytes(container[at : at + 4])
    children = at + _CHILDREN_AT.get(path[0], _BOX)
    inner = container[children:end]
    inner = _append(inner, path[1:], boxes, count) if path[1:] else inner + boxes
    head = bytearray(container[at:children])
    struct.pack_into(">I", head, 0, len(head) + len(inner))
    if not path[1:] and (count_format := _COUNT_FORMATS.get(path[0])):
        width = struct.calcsize(count_format)
        total = int.from_bytes(head[-width:], "big") + count
        head[-width:] = min(total, (1 << 8 * width) - 1).to_bytes(width)
    return container[:at] + bytes(head) + inner + container[end:]


def _shift_locations(heif: bytes, by: int) -> bytes:
    """Add to the offsets of all items in the file, versions 0 and 1: 14496-12, 8.11.3."""
    data = bytearray(heif)
    at = data.index(b"iloc") + 4
    version, sizes, base_bytes = data[at], data[at + 4], data[at + 5] >> 4
    (count,) = struct.unpack_from(">H", data, at + 6)
    offset_bytes, length_bytes = sizes >> 4, sizes & 15
    at += 8
    for _ in range(count):
        is_in_file = version == 0 or data[at + 3] & 15 == 0
        at += (6 if version else 4) + base_bytes
        (extents,) = struct.unpack_from(">H", data, at)
        at += 2
        for _ in range(extents):
            if is_in_file:
                moved = int.from_bytes(data[at : at + offset_bytes]) + by
                data[at : at + offset_bytes] = (moved % (1 << 8 * offset_bytes)).to_bytes(offset_bytes)
            at += offset_bytes + length_bytes
    return bytes(data)


def _nest(name: str) -> Callable[[bytes, int], bytes]:
    """Insert boxes of which each contains the next. The segment is the type and what is before the next box."""

    def insert(segment: bytes, count: int) -> bytes:
        step = 4 + len(segment)
        nested = b"".join(struct.pack(">I", step * left) + segment for left in range(count, 0, -1))
        data = _shift_locations(FIXTURES[name].file(), len(nested))
        at = int.from_bytes(data[:4])
        return data[:at] + nested + data[at:]

    return insert


_nested = _one_of(b"meta\0\0\0\0", b"moov", b"trak", b"iprp", b"ipco", b"iref\0\0\0\0", b"dinf", b"free")

FLOODS: Mapping[str, Flood] = {
    "JPEG, tables": Flood(_one_of(*_TABLES), _insert_after_jpeg_start),
    "JPEG, metadata": Flood(_metadata_segment, _insert_after_jpeg_start),
    "JPEG, segments": Flood(_any_segment, _insert_after_jpeg_start),
    "JPEG, markers": Flood(
        _one_of(b"\xff\xd0", b"\xff\xd8", b"\xff\1", b"\xff", b"\xff\0", b"\0"), _insert_after_jpeg_start
    ),
    "JPEG, scans": Flood(lambda _: _progressive_jpeg()[1], _insert_scans),
    "JPEG, markers between scans": Flood(
        _one_of(b"\xff\xd0", b"\xff\1", b"\xff\0", b"\xff", *_TABLES), _insert_scans
    ),
    "JPEG, markers in a scan": Flood(
        _one_of(b"\xff\xd0", b"\xff\0", b"\xff", b"\xff\xd8", b"\xff\xe0\0\2", *_TABLES),
        _insert_before("JPEG, restart markers", b"\xff\xd9", -100),
    ),
    "PNG, chunks": Flood(_png_chunk, _insert_before("PNG, palette", b"IDAT", -4)),
    "PNG, chunks after the pixels": Flood(_png_chunk, _insert_before("PNG", b"IEND", -4)),
    "PNG, chunks between pixels": Flood(
        _one_of(pictures.png_chunk(b"IDAT", b""), pictures.png_chunk(b"teSt", b"")), _split_pixels
    ),
    "PNG, deflate bombs": Flood(_deflate_bomb, _insert_before("PNG", b"IDAT", -4)),
    "GIF, extensions": Flood(_one_of(*_GIF_EXTENSIONS), _insert_gif_blocks(b"", b"")),
    "GIF, blocks": Flood(_one_of(b"\1A", b"\2AB", b"\xff" + bytes(255)), _insert_gif_blocks(b"!\xfe", b"\0")),
    "GIF, frames": Flood(_one_of(*_GIF_FRAMES), _insert_gif_blocks(b"", b"")),
    "GIF, frames after the first": Flood(_one_of(*_GIF_FRAMES, *_GIF_EXTENSIONS), _insert_before("GIF", b";")),
    "WebP, chunks": Flood(_webp_chunk, _insert_webp_chunks("WebP, alpha")),
    "WebP, chunks of an animation": Flood(_webp_chunk, _insert_webp_chunks("WebP, multiple")),
    "WebP, chunks of a frame": Flood(_webp_chunk, _insert_into_webp_frame),
    **{
        f"{name}, {label}": Flood(segment, insert(name, *path))
        for name in ("AVIF", "HEIC")
        for label, segment, insert, path in (
            ("boxes", _any_box, _insert_boxes, ()),
            ("boxes of metadata", _any_box, _insert_boxes, (b"meta",)),
            ("properties", _property, _insert_boxes, (b"meta", b"iprp", b"ipco")),
            ("associations", _association, _insert_boxes, (b"meta", b"iprp", b"ipma")),
            ("items", _item, _insert_boxes, (b"meta", b"iinf")),
            ("locations", _location, _insert_boxes, (b"meta", b"iloc")),
            ("nested boxes", _nested, _nest, ()),
        )
    },
    "HEIC, references": Flood(_reference, _insert_boxes("HEIC, alpha", b"meta", b"iref")),
    "AVIF, references": Flood(_reference, _insert_boxes("AVIF, alpha", b"meta", b"iref")),
    "AVIF, brands": Flood(
        _one_of(b"mif1", b"avif", b"heic"),
        lambda brand, count: _box(b"ftyp", b"mif1" + bytes(4) + brand * count) + FIXTURES["AVIF"].file()[:0],
    ),
}  # fmt: skip
