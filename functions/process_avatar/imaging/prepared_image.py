"""The result of parsing an upload's container format: what the decoder gets, and the metadata it does not."""

from collections.abc import Generator, Iterable
from typing import NamedTuple, TypeVar

from functions.process_avatar.imaging import exif
from functions.process_avatar.imaging.formats import ImageRejectedError

# Printer profiles, the largest in use, have up to 3 million bytes. Larger profiles are ignored.
MAX_PROFILE_BYTES = 4 * 1024 * 1024

# Segments, chunks, or boxes. They can be as short as four bytes, and each takes parsers and decoders a microsecond and
# 300 bytes: 10 MB of them up to 3.5 seconds and 420 MB. A PNG of 50 MB in chunks of 8 KB, the default of libpng, has
# 6,000.
_MAX_SEGMENTS = 100_000
_Segment = TypeVar("_Segment")


class Cicp(NamedTuple):
    """Coding-independent code points for color, https://www.itu.int/rec/T-REC-H.273."""

    primaries: int
    transfer: int


class PreparedImage(NamedTuple):
    """One image without metadata, so that no decoder parses the metadata of an upload."""

    data: bytes  # a complete file
    orientation: int = exif.UPRIGHT
    icc_profile: bytes | None = None
    cicp: Cicp | None = None  # applies only without an ICC profile


def limit_segments(segments: Iterable[_Segment]) -> Generator[_Segment]:
    """Yield the segments of a file.

    Raises:
        ImageRejectedError: `too_many_pixels` for more than 100,000.
    """
    for number, segment in enumerate(segments):
        if number == _MAX_SEGMENTS:
            raise ImageRejectedError("too_many_pixels")
        yield segment
