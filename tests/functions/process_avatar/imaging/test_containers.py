"""The parsers of containers: what they keep for the decoder, and the metadata that they read."""

import struct
import zlib

import pytest

from functions.process_avatar.imaging import exif, gif, heif, jpeg, png, webp
from functions.process_avatar.imaging.formats import ImageRejectedError
from functions.process_avatar.imaging.prepared_image import Cicp, PreparedImage

# --- EXIF -------------------------------------------------------------------------------------------------------------


def tiff(
    value: int = 6, *, order: str = ">", kind: int = 3, tag: int = 0x0112, first: int = 10, others: int = 2
) -> bytes:
    """A directory after `first` bytes; the orientation is its last entry, after `others`."""
    header = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", first)
    entries = [*[(0x0100, 3, 1, 7), (0x0110, 2, 1, 7)] * (others // 2), (tag, kind, 1, value)]
    directory = b"".join(struct.pack(order + "HHIHxx", *entry) for entry in entries)
    return header.ljust(first, b"\1") + struct.pack(order + "H", len(entries)) + directory


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("value", range(1, 9))
def test_parse_orientation_of_last_entry_is_returned(value: int, order: str) -> None:
    assert exif.parse_orientation(tiff(value, order=order)) == value
    assert exif.parse_orientation(b"Exif\0\0" + tiff(value, order=order, first=8)) == value
    assert exif.parse_orientation(tiff(value, order=order, others=100)) == value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        tiff(0),
        tiff(9),
        tiff(kind=2),
        tiff(kind=4),
        tiff(tag=0x0111),
        tiff(tag=0x0113),
        tiff()[:-4],
        tiff()[:9],
        tiff(order="<").replace(b"II*", b"IM*"),
        tiff().replace(b"\0\3\1\0", b"\0\2\1\0", 1),
    ],
)
def test_parse_orientation_broken_or_missing_is_upright(data: bytes) -> None:
    assert exif.parse_orientation(data) == 1


# --- JPEG -------------------------------------------------------------------------------------------------------------

START, END = b"\xff\xd8", b"\xff\xd9"


def segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + (2 + len(content)).to_bytes(2) + content


def frame(marker: int, components: int = 3) -> bytes:
    return segment(marker, bytes((8, 0, 9, 0, 9, components)) + b"\1\x11\0" * components)


def scan(components: int = 3) -> bytes:
    return segment(0xDA, bytes((components,)) + b"\1\0" * components + b"\0\x3f\0") + b"data\xff\0\xff\xd0data"


@pytest.mark.parametrize("marker", [*range(0xBF, 0xD0), 0xDB, 0xDC, 0xDD, 0xDE, *range(0xE0, 0xFF)])
def test_jpeg_keeps_only_segments_that_define_pixels(marker: int) -> None:
    kept = {*range(0xC0, 0xD0), 0xDB, 0xDD, 0xE0, 0xEE} - {0xC8}
    inserted, rest = segment(marker, b"content"), frame(0xC0) + scan() + END
    assert jpeg.parse(START + inserted + rest).data == START + (inserted if marker in kept else b"") + rest


def test_jpeg_bytes_and_markers_without_length_between_segments_are_skipped() -> None:
    gap = b"\0\xff\0\xff\1\xff\xd0\xff\xd7\xff\xd8\xff\xff"
    tables, rest = segment(0xDB, b"tables"), frame(0xC0) + scan() + END
    assert jpeg.parse(START + gap + tables + gap + rest).data == START + tables + rest
    too_short = b"\xff\xdb\0\1"
    assert jpeg.parse(START + too_short + rest).data == START + too_short + rest


def test_jpeg_long_segment_is_kept_whole() -> None:
    data = START + segment(0xDB, b"\xff\xe1\0\4" * 0x1234) + frame(0xC0) + scan() + END
    assert jpeg.parse(data).data == data


def test_jpeg_metadata_is_of_first_orientation_and_of_parts_in_order() -> None:
    parts = {
        number: b"ICC_PROFILE\0" + bytes((number, 3)) + name for number, name in ((1, b"one"), (2, b"two"), (3, b"3"))
    }
    data = b"".join(
        (
            START,
            segment(0xE1, b"Exif\0\0" + tiff(6)),
            segment(0xE1, b"Exif\0\0" + tiff(3)),
            *(segment(0xE2, parts[number]) for number in (3, 1, 2, 1)),
            segment(0xE2, b"ICC_PROFILE\0\1\4another"),
            segment(0xE2, b"MPF\0" + bytes(20)),
            frame(0xC0) + scan() + END,
        )
    )
    assert jpeg.parse(data) == PreparedImage(START + frame(0xC0) + scan() + END, 6, b"onetwo3")
    assert jpeg.parse(START + segment(0xE1, tiff(6)) + scan() + END).orientation == 1
    assert jpeg.parse(START + segment(0xE1, b"XMP") + segment(0xE1, b"Exif\0\0" + tiff(6)) + scan()).orientation == 6
    assert jpeg.parse(START + scan() + END).icc_profile is None


@pytest.mark.parametrize("marker", [*range(0xC0, 0xD0)])
def test_jpeg_scans_after_complete_first_scan_are_not_counted(marker: int) -> None:
    data = START + frame(marker) + scan() * 101 + END
    if marker in {0xC0, 0xC1, 0xC3, 0xC5, 0xC7, 0xC9, 0xCB, 0xCD, 0xCF}:
        assert jpeg.parse(data).data == data
    else:
        with pytest.raises(ImageRejectedError, match=r"^too_many_pixels$"):
            jpeg.parse(data)


@pytest.mark.parametrize("marker", [0xC0, 0xC2])
def test_jpeg_up_to_100_incomplete_scans_are_accepted(marker: int) -> None:
    prefix = START + frame(marker)
    for data in (
        prefix + scan(1) * 100 + END,
        prefix + scan(1) * 100 + END + b"\0\2" + scan(1),
        prefix + scan(1) * 100,
    ):
        assert jpeg.parse(data).data == data
    with pytest.raises(ImageRejectedError, match=r"^too_many_pixels$"):
        jpeg.parse(prefix + scan(1) * 101 + END)


def test_jpeg_scan_markers_inside_of_segments_are_not_counted() -> None:
    thumbnail = segment(0xEE, b"\xff\xda" * 0x180 + b"\xff\xd9")
    data = START + frame(0xC2) + thumbnail + scan(1) * 100 + END
    assert jpeg.parse(data).data == data
    with pytest.raises(ImageRejectedError, match=r"^too_many_pixels$"):
        jpeg.parse(START + frame(0xC2) + thumbnail + scan(1) * 101 + END)


def test_jpeg_without_scan_is_truncated() -> None:
    with pytest.raises(ImageRejectedError, match=r"^truncated$"):
        jpeg.parse(START + frame(0xC0) + END)


# --- PNG --------------------------------------------------------------------------------------------------------------

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PROFILE = b"profile" * 50


def png_chunk(name: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4) + name + content + zlib.crc32(name + content).to_bytes(4)


def test_png_keeps_pixels_and_reads_first_metadata() -> None:
    pixels = [png_chunk(name, b"content" * 50) for name in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IDAT")]
    metadata = [
        png_chunk(b"eXIf", tiff(6)),
        png_chunk(b"eXIf", tiff(3)),
        png_chunk(b"iCCP", b"name\0\0" + zlib.compress(PROFILE)),
        png_chunk(b"cICP", bytes((9, 16, 0, 1))),
        png_chunk(b"tEXt", b"text"),
        png_chunk(b"acTL", b"animation"),
    ]
    end = png_chunk(b"IEND", b"")
    data = SIGNATURE + pixels[0] + b"".join(metadata) + b"".join(pixels[1:]) + end + png_chunk(b"IDAT", b"after")
    assert png.parse(data) == PreparedImage(SIGNATURE + b"".join(pixels) + end, 6, PROFILE, Cicp(9, 16))


def test_png_incomplete_last_chunk_is_kept() -> None:
    data = SIGNATURE + png_chunk(b"IHDR", b"header") + png_chunk(b"IDAT", b"content" * 50)[:-60]
    assert png.parse(data) == PreparedImage(data)
    assert png.parse(data + b"\0\0") == PreparedImage(data + b"\0\0")


@pytest.mark.parametrize(
    "chunk",
    [
        png_chunk(b"iCCP", b"name\0\0" + zlib.compress(PROFILE)[:-5]),
        png_chunk(b"iCCP", b"name\0\0not compressed"),
        png_chunk(b"iCCP", b"name"),
        png_chunk(b"cICP", bytes((9, 16, 0))),
        png_chunk(b"cICP", bytes((9, 16, 0, 1, 0))),
    ],
)
def test_png_broken_metadata_is_ignored(chunk: bytes) -> None:
    assert png.parse(SIGNATURE + chunk) == PreparedImage(SIGNATURE)


def test_png_profile_of_3_million_bytes_is_read_above_4_mib_ignored() -> None:
    for size, profile in ((3_000_000, bytes(3_000_000)), (4 * 1024 * 1024 + 1, None)):
        chunk = png_chunk(b"iCCP", b"name\0\0" + zlib.compress(bytes(size)))
        assert png.parse(SIGNATURE + chunk).icc_profile == profile


# --- GIF --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("packed", "palette_bytes"), [(0x00, 0), (0x07, 0), (0x80, 6), (0x81, 12), (0xF7, 768)])
def test_gif_keeps_screen_palette_and_frame(packed: int, palette_bytes: int) -> None:
    screen = b"GIF89a" + struct.pack("<HHBBB", 9, 9, packed, 0, 0) + b"!" * palette_bytes  # not an extension
    comment, frame = b"!\xfe\1A\0", b",frame;"
    assert gif.parse(screen + comment + frame) == PreparedImage(screen + frame)


# --- WebP -------------------------------------------------------------------------------------------------------------


def webp_chunk(name: bytes, content: bytes) -> bytes:
    return name + len(content).to_bytes(4, "little") + content + bytes(len(content) % 2)


def riff(*chunks: bytes) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def test_webp_keeps_pixels_and_first_frame_and_reads_first_metadata() -> None:
    pixels = [webp_chunk(name, b"odd" * 101) for name in (b"VP8 ", b"VP8L", b"ALPH", b"ANIM")]
    frames = [webp_chunk(b"ANMF", name) for name in (b"first", b"second")]
    others = [
        webp_chunk(b"ICCP", b"profile"),
        webp_chunk(b"ICCP", b"another"),
        webp_chunk(b"EXIF", tiff(6)),
        webp_chunk(b"EXIF", tiff(3)),
        webp_chunk(b"XMP ", b"text"),
    ]
    data = riff(webp_chunk(b"VP8X", b"\xff" * 10), *others, *frames, *pixels)
    expected = riff(webp_chunk(b"VP8X", b"\xd3" + b"\xff" * 9), *pixels, frames[0])
    assert webp.parse(data) == PreparedImage(expected, 6, b"profile")


def test_webp_incomplete_last_chunk_is_kept() -> None:
    data = riff(webp_chunk(b"VP8 ", b"content")[:-3])
    assert webp.parse(data) == PreparedImage(data)
    assert webp.parse(riff(b"VP8X\1\0\0")) == PreparedImage(riff(b"VP8X\1\0\0"))


# --- AVIF and HEIC ----------------------------------------------------------------------------------------------------


def box(name: bytes, *content: bytes, large: bool = False, to_end: bool = False) -> bytes:
    body = b"".join(content)
    if large:
        return struct.pack(">I4sQ", 1, name, 16 + len(body)) + body
    return struct.pack(">I4s", 0 if to_end else 8 + len(body), name) + body


def nclx(primaries: int, transfer: int) -> bytes:
    return box(b"colr", b"nclx", struct.pack(">HHHB", primaries, transfer, 1, 0x80))


def associations(entries: dict[int, list[int]], *, version: int = 0, wide_numbers: bool = False) -> bytes:
    """An item property association box. Every second property is essential."""
    parts = [struct.pack(">BxxBI", version, wide_numbers, len(entries))]
    bits, form = (15, ">H") if wide_numbers else (7, ">B")
    for item, numbers in entries.items():
        parts.append(struct.pack(">IB" if version else ">HB", item, len(numbers)))
        parts += [struct.pack(form, number | (index % 2) << bits) for index, number in enumerate(numbers)]
    return box(b"ipma", *parts)


def heif_file(primary: int = 2, *, ipma: bytes, pitm_version: int = 0, **options: bool) -> bytes:
    item = struct.pack(">BxxxI" if pitm_version else ">BxxxH", pitm_version, primary)
    properties = box(b"ipco", nclx(1, 13), box(b"ispe", bytes(12)), nclx(9, 16), box(b"colr", b"prof"), nclx(12, 18))
    meta = box(b"meta", bytes(4), box(b"hdlr", b"pict"), box(b"pitm", item), box(b"iprp", properties, ipma), **options)
    return box(b"ftyp", b"avif", bytes(4)) + meta


ITEMS = {1: [1, 2], 2: [2, 3, 4], 258: [4, 5]}


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("wide_numbers", [False, True])
@pytest.mark.parametrize(("primary", "cicp"), [(1, Cicp(1, 13)), (2, Cicp(9, 16)), (258, Cicp(12, 18)), (3, None)])
def test_heif_code_points_are_those_of_the_primary_item(
    primary: int, cicp: Cicp | None, wide_numbers: bool, version: int
) -> None:
    ipma = associations(ITEMS, version=version, wide_numbers=wide_numbers)
    for pitm_version in (0, 1):
        data = heif_file(primary, ipma=ipma, pitm_version=pitm_version)
        assert heif.parse(data) == PreparedImage(data, cicp=cicp)


@pytest.mark.parametrize("options", [{"large": True}, {"to_end": True}])
def test_heif_box_with_large_size_or_to_the_end_is_read(options: dict[str, bool]) -> None:
    data = heif_file(ipma=associations(ITEMS), **options)
    assert heif.parse(data).cicp == Cicp(9, 16)
    assert heif.parse(box(b"free", bytes(9), large=True) + data).cicp == Cicp(9, 16)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0\0",
        box(b"ftyp", b"avif"),
        heif_file(ipma=b""),
        heif_file(ipma=box(b"ipma", b"\0\0")),
        heif_file(ipma=associations(ITEMS)[:-8]),
        struct.pack(">I4s", 7, b"ftyp") + heif_file(ipma=associations(ITEMS)),
    ],
)
def test_heif_broken_or_missing_boxes_have_no_code_points(data: bytes) -> None:
    assert heif.parse(data) == PreparedImage(data)
