"""One picture as a decoder gets it: the upload without what has nothing to do with its pixels."""

from typing import NamedTuple

from functions.process_avatar.imaging import exif

# Profiles of printers, the largest there are, have up to three million. What is larger is taken for none.
MAX_PROFILE_BYTES = 4 * 1024 * 1024


class Cicp(NamedTuple):
    """Code points for colours, https://www.itu.int/rec/T-REC-H.273."""

    primaries: int
    transfer: int


class Still(NamedTuple):
    """`data` is a file of its own, with one picture and without metadata, so that no decoder parses what is dropped."""

    data: bytes
    orientation: int = exif.UPRIGHT
    profile: bytes | None = None  # ICC
    cicp: Cicp | None = None  # counts only without a profile
    work: int = 10  # for each pixel at most, in scans of a JPEG, which take 0.02 µs on a fast processor
