"""Image formats, detected by the first bytes of a file, never by its name or declared content type."""

from typing import Literal, TypeAlias

Format: TypeAlias = Literal["jpeg", "png", "webp", "gif", "avif", "heic"]
RejectionReason: TypeAlias = Literal["not_an_image", "unsupported_format", "too_many_pixels", "truncated", "too_large"]

_SIGNATURES: tuple[tuple[bytes, Format], ...] = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
)

# Brands of ISO/IEC 23008-12, B.4.1, and of https://aomediacodec.github.io/av1-avif/#brands.
_CODEC_BRANDS: dict[bytes, Format] = {
    b"avif": "avif",
    b"avis": "avif",
    b"heic": "heic",
    b"heix": "heic",
    b"heim": "heic",
    b"heis": "heic",
    b"hevc": "heic",
    b"hevx": "heic",
}
# These name the container only; the compatible brands that follow name the codec.
_CONTAINER_BRANDS = {b"mif1", b"msf1"}
# As far as compatible brands are searched: the first 28. A file of ten megabytes can have millions.
_BRANDS_SEARCH_BYTES = 128
_UNSUPPORTED_BRANDS = {b"mif2", b"miaf", b"avci", b"jpeg", b"j2ki", b"vvic"}

# Image formats that are not accepted. They get a reason of their own, so that a client can tell the user to convert the
# image. https://www.iana.org/assignments/media-types/media-types.xhtml#image links the specification of each.
_UNSUPPORTED_SIGNATURES = (
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
_SVG_SEARCH_BYTES = 1024  # an XML declaration, comments, and a doctype can precede the root element


class ImageRejectedError(Exception):
    """The upload cannot become an avatar. Retrying does not help.

    Attributes:
        reason: `not_an_image`; `unsupported_format`, an image in none of the formats of `Format`; `too_many_pixels`,
            or too expensive to decode; `truncated`, an accepted format whose data is incomplete or damaged;
            `too_large`, in bytes.
    """

    def __init__(self, reason: RejectionReason) -> None:
        super().__init__(reason)
        self.reason: RejectionReason = reason


def detect_format(data: bytes) -> Format:
    """Return the format of a file.

    Raises:
        ImageRejectedError: `unsupported_format` for another image format, `not_an_image` for any other file.
    """
    for signature, accepted in _SIGNATURES:
        if data.startswith(signature):
            return accepted
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    for brand in _read_brands(data):
        if brand in _CODEC_BRANDS:
            return _CODEC_BRANDS[brand]
    raise ImageRejectedError("unsupported_format" if _is_unsupported_image(data) else "not_an_image")


def _read_brands(data: bytes) -> list[bytes]:
    """Return the major brand of the file type box, and the compatible brands if the major one names a container only.

    ISO/IEC 14496-12, 4.3.
    """
    if data[4:8] != b"ftyp":
        return []
    end = min(int.from_bytes(data[:4]), len(data), _BRANDS_SEARCH_BYTES) if data[8:12] in _CONTAINER_BRANDS else 0
    return [data[8:12], *(data[at : at + 4] for at in range(16, end, 4))]


def _is_unsupported_image(data: bytes) -> bool:
    return (
        data.startswith(_UNSUPPORTED_SIGNATURES)
        or (data[4:8] == b"ftyp" and data[8:12] in _CONTAINER_BRANDS | _UNSUPPORTED_BRANDS)
        or (data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _BMP_HEADER_SIZES)
        or _is_svg(data)
    )


def _is_svg(data: bytes) -> bool:
    start = data[:_SVG_SEARCH_BYTES].removeprefix(b"\xef\xbb\xbf").lstrip()
    return start.startswith(b"<") and b"<svg" in start.lower()
