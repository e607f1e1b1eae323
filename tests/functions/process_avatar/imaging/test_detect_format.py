"""Detection by the first bytes of a file."""

import pytest

from functions.process_avatar.imaging.formats import Format, ImageRejectedError, detect_format

SVG_LIMIT = 1024


def box(major: bytes, *compatible: bytes, size: int | None = None) -> bytes:
    content = b"ftyp" + major + bytes(4) + b"".join(compatible)
    return (4 + len(content) if size is None else size).to_bytes(4) + content


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\xff\xd8\xff", "jpeg"),
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"GIF87a", "gif"),
        (b"GIF89a", "gif"),
        (b"RIFF\1\2\3\4WEBPVP8 ", "webp"),
        *((box(brand), "avif") for brand in (b"avif", b"avis")),
        *((box(brand), "heic") for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")),
        (box(b"mif1", b"heic"), "heic"),
        (box(b"msf1", b"hevc"), "heic"),
        (box(b"mif1", b"mif1", b"miaf", b"avif"), "avif"),
        (box(b"mif1", b"heic", size=2**31), "heic"),
        (box(b"mif1", *[b"miaf"] * 27, b"heic"), "heic"),
    ],
)
def test_detect_format_accepted_file_returns_its_format(data: bytes, expected: Format) -> None:
    assert detect_format(data) == expected


@pytest.mark.parametrize(
    "data",
    [
        b"II*\0",
        b"MM\0*",
        b"II+\0",
        b"MM\0+",
        b"8BPS",
        b"\0\0\1\0",
        b"\0\0\2\0",
        b"\xff\x0a",
        b"\0\0\0\x0cJXL \r\n\x87\n",
        b"\0\0\0\x0cjP  \r\n\x87\n",
        b"\xff\x4f\xff\x51",
        b"%!PS-Adobe",
        b"qoif",
        *(box(brand) for brand in (b"mif1", b"msf1", b"mif2", b"miaf", b"avci", b"jpeg", b"j2ki", b"vvic")),
        box(b"mif1", *[b"miaf"] * 28, b"heic"),
        *(b"BM" + b"\1" * 12 + size.to_bytes(4, "little") + b"\1" for size in (12, 40, 52, 56, 64, 108, 124)),
        b"<svg",
        b"\xef\xbb\xbf\n <SVG",
        b"<!--".ljust(SVG_LIMIT - 4) + b"<svg",
    ],
)
def test_detect_format_other_image_is_unsupported(data: bytes) -> None:
    with pytest.raises(ImageRejectedError, match=r"^unsupported_format$"):
        detect_format(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"RIFF\1\2\3\4WAVE",
        b"RIFX\1\2\3\4WEBP",
        box(b"mp42", b"heic"),
        b"BM" + b"\1" * 12 + (41).to_bytes(4, "little"),
        b"BM" + b"\1" * 12 + (2**24 + 40).to_bytes(4, "little"),
        b"BA" + b"\1" * 12 + (40).to_bytes(4, "little"),
        b"text <svg",
        b"<html>",
        b"<!--".ljust(SVG_LIMIT - 3) + b"<svg",
    ],
)
def test_detect_format_any_other_file_is_no_image(data: bytes) -> None:
    with pytest.raises(ImageRejectedError, match=r"^not_an_image$"):
        detect_format(data)
