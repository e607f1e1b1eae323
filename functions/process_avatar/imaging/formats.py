"""What kind of file an upload is: decided by its first bytes, never by its name or declared type."""

from typing import Literal, TypeAlias

from functions.process_avatar.imaging.rejection import Rejected

Format: TypeAlias = Literal["jpeg", "png", "webp", "gif", "avif", "heic"]

_ACCEPTED: tuple[tuple[bytes, Format], ...] = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
)

# Brands of ISO/IEC 23008-12, B.4.1, and of https://aomediacodec.github.io/av1-avif/#brands.
_CODING_BRANDS: dict[bytes, Format] = {
    b"avif": "avif",
    b"avis": "avif",
    b"heic": "heic",
    b"heix": "heic",
    b"heim": "heic",
    b"heis": "heic",
    b"hevc": "heic",
    b"hevx": "heic",
}
# Some only say "a picture in this container", and leave it to the brands after them to say how it is coded.
_CONTAINER_BRANDS = {b"mif1", b"msf1"}
_OTHER_BRANDS = {b"mif2", b"miaf", b"avci", b"jpeg", b"j2ki", b"vvic"}

# Pictures we do not take, so that their owner reads "save it as JPEG" and not "this is not a picture".
# https://www.iana.org/assignments/media-types/media-types.xhtml#image leads to the specification of each.
_OTHER_PICTURES = (
    b"II*\0",  # TIFF, little-endian, and most raw camera formats
    b"MM\0*",  # TIFF, big-endian
    b"II+\0",  # BigTIFF
    b"MM\0+",
    b"8BPS",  # Photoshop
    b"\0\0\1\0",  # Windows icon
    b"\0\0\2\0",  # Windows cursor
    b"\xff\x0a",  # JPEG XL codestream
    b"\0\0\0\x0cJXL \r\n\x87\n",  # JPEG XL container
    b"\0\0\0\x0cjP  \r\n\x87\n",  # JPEG 2000
    b"\xff\x4f\xff\x51",  # JPEG 2000 codestream
    b"%!PS-Adobe",  # EPS
    b"qoif",
)
_BMP_HEADER_SIZES = {12, 40, 52, 56, 64, 108, 124}
_SVG_LOOKED_FOR_IN = 1024  # bytes: an XML declaration, a comment and a doctype may stand before the root element


def format_of(data: bytes) -> Format:
    """Rejected if the file is none of ours: `unsupported_format` if it is another picture, else `not_an_image`."""
    for magic, accepted in _ACCEPTED:
        if data.startswith(magic):
            return accepted
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    for brand in _brands(data):
        if brand in _CODING_BRANDS:
            return _CODING_BRANDS[brand]
    raise Rejected("unsupported_format" if _is_other_picture(data) else "not_an_image")


def _brands(data: bytes) -> list[bytes]:
    """What the file type box says, ISO/IEC 14496-12, 4.3: the first brand, and the others if that leaves it to them."""
    if data[4:8] != b"ftyp":
        return []
    end = min(int.from_bytes(data[:4]), len(data)) if data[8:12] in _CONTAINER_BRANDS else 0
    return [data[8:12], *(data[at : at + 4] for at in range(16, end, 4))]


def _is_other_picture(data: bytes) -> bool:
    return (
        data.startswith(_OTHER_PICTURES)
        or (data[4:8] == b"ftyp" and data[8:12] in _CONTAINER_BRANDS | _OTHER_BRANDS)
        or (data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _BMP_HEADER_SIZES)
        or _is_svg(data)
    )


def _is_svg(data: bytes) -> bool:
    start = data[:_SVG_LOOKED_FOR_IN].removeprefix(b"\xef\xbb\xbf").lstrip()
    return start.startswith(b"<") and b"<svg" in start.lower()
