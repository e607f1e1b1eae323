"""JPEG parser, https://www.w3.org/Graphics/JPEG/itu-t81.pdf, annex B."""

import re
from collections.abc import Generator
from typing import NamedTuple

from functions.process_avatar.imaging import exif
from functions.process_avatar.imaging.formats import ImageRejectedError
from functions.process_avatar.imaging.prepared_image import PreparedImage, limit_segments

# A scan can be as short as 50 bytes, and the decoder visits every pixel for each: 10 MB of scans take half an hour.
# Encoders write about ten.
_MAX_SCANS = 100

_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE_FRAMES = {0xC2, 0xC6, 0xCA, 0xCE}
_START_OF_IMAGE = b"\xff\xd8"
_APP1, _APP2 = 0xE1, 0xE2  # EXIF, ICC profile
# Tables, frames, the restart interval, and the JFIF and Adobe segments, which define the color space.
_PIXEL_SEGMENTS = {*range(0xC0, 0xD0), 0xDB, 0xDD, 0xE0, 0xEE} - {0xC8}
_EXIF_PREFIX = b"Exif\0\0"
_ICC_PREFIX = b"ICC_PROFILE\0"  # followed by the number of the part, from 1, and the number of parts: ICC.1:2022, B.4


class _Segment(NamedTuple):
    marker: int
    start: int  # of the marker
    end: int

    def content(self, jpeg: bytes) -> bytes:
        return jpeg[self.start + 4 : self.end]


def parse(jpeg: bytes) -> PreparedImage:
    """Return the first image of the file.

    Raises:
        ImageRejectedError: `too_many_pixels` for more than 100 scans or too many segments, `truncated` for no scan.
    """
    kept: list[bytes | memoryview] = [_START_OF_IMAGE]
    orientation, profile_parts = exif.UPRIGHT, dict[bytes, bytes]()
    frame = None
    for segment in limit_segments(_read_segments(jpeg)):
        if segment.marker in _FRAMES:
            frame = segment
        if segment.marker == _START_OF_SCAN:
            is_complete = frame and _is_complete(segment, frame, jpeg)
            if not is_complete and _has_too_many_scans(jpeg):
                raise ImageRejectedError("too_many_pixels")
            kept.append(memoryview(jpeg)[segment.start :])
            break
        if segment.marker in _PIXEL_SEGMENTS:
            kept.append(jpeg[segment.start : segment.end])
        elif segment.marker == _APP1 and orientation == exif.UPRIGHT:
            orientation = _parse_orientation(segment.content(jpeg))
        elif segment.marker == _APP2 and (content := segment.content(jpeg)).startswith(_ICC_PREFIX):
            profile_parts.setdefault(content[len(_ICC_PREFIX) : len(_ICC_PREFIX) + 1], content[len(_ICC_PREFIX) + 2 :])
    else:
        raise ImageRejectedError("truncated")
    profile = b"".join(profile_parts[number] for number in sorted(profile_parts))
    return PreparedImage(b"".join(kept), orientation, profile or None)


def _parse_orientation(content: bytes) -> int:
    return exif.parse_orientation(content) if content.startswith(_EXIF_PREFIX) else exif.UPRIGHT


# FF can fill the space before a marker, and FF 00 is no marker. 01, RSTn, and SOI have no length: B.1.1.
_MARKER_WITH_LENGTH_OR_END = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")


def _read_segments(jpeg: bytes) -> Generator[_Segment]:
    """Yield the segments, also those after the first scan. Bytes between segments are skipped, as decoders do."""
    at = len(_START_OF_IMAGE)
    while marker := _MARKER_WITH_LENGTH_OR_END.search(jpeg, at):
        at = marker.end() + max(2, int.from_bytes(jpeg[marker.end() : marker.end() + 2]))
        yield _Segment(marker.group()[1], marker.start(), at)


def _is_complete(scan: _Segment, frame: _Segment, jpeg: bytes) -> bool:
    """Whether the first scan has every component in full, as in nearly every photo. libjpeg then reads no other scan.

    Compares the component counts Nf, B.2.2, and Ns, B.2.3.
    """
    frame_components, scan_components = frame.content(jpeg)[5:6], scan.content(jpeg)[:1]
    return frame.marker not in _PROGRESSIVE_FRAMES and frame_components == scan_components


_SCAN_MARKER = re.compile(rb"\xff\xda")  # three times as fast as bytes.count


def _has_too_many_scans(jpeg: bytes) -> bool:
    if len(_SCAN_MARKER.findall(jpeg)) <= _MAX_SCANS:  # includes thumbnails and data after the end of the image
        return False
    scans = 0
    for segment in limit_segments(_read_segments(jpeg)):
        if segment.marker == _END_OF_IMAGE or scans > _MAX_SCANS:
            break
        scans += segment.marker == _START_OF_SCAN
    return scans > _MAX_SCANS
