"""The result of parsing an upload's container format: what the decoder gets, and the metadata it does not."""

from typing import NamedTuple

from functions.process_avatar.imaging import exif

# Printer profiles, the largest in use, have up to 3 million bytes. Larger profiles are ignored.
MAX_PROFILE_BYTES = 4 * 1024 * 1024


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
