"""What a JPEG is made of: https://www.w3.org/Graphics/JPEG/itu-t81.pdf, annex B."""

import re
from collections.abc import Generator
from typing import NamedTuple

from functions.process_avatar.imaging import exif
from functions.process_avatar.imaging.prepared_image import Still
from functions.process_avatar.imaging.rejection import Rejected

# A scan can be 50 bytes and makes the decoder visit every pixel again: 10 MB of them would keep it busy for half an
# hour. Encoders write about ten.
_MAX_SCANS = 100

_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE_FRAMES = {0xC2, 0xC6, 0xCA, 0xCE}
_START = b"\xff\xd8"
_EXIF, _ICC = 0xE1, 0xE2
# Tables, frames, the restart interval; JFIF's and Adobe's segments, which say which colours the components are.
_PIXELS = {*range(0xC0, 0xD0), 0xDB, 0xDD, 0xE0, 0xEE} - {0xC8}
_EXIF_BEGINS = b"Exif\0\0"
_ICC_BEGINS = b"ICC_PROFILE\0"  # then the part's number, from 1, and how many there are: ICC.1:2022, B.4


class _Segment(NamedTuple):
    marker: int
    start: int  # of its marker
    end: int

    def content(self, jpeg: bytes) -> bytes:
        return jpeg[self.start + 4 : self.end]


def still(jpeg: bytes) -> Still:
    """Rejected `too_many_pixels` if it passes over its pixels more than a hundred times, `truncated` if never."""
    kept: list[bytes | memoryview] = [_START]
    orientation, profile_parts = exif.UPRIGHT, dict[bytes, bytes]()
    frame, scans = None, 1
    for segment in _header(jpeg):
        if segment.marker in _FRAMES:
            frame = segment
        if segment.marker == _START_OF_SCAN:
            scans = 1 if frame and _is_all_in(segment, frame, jpeg) else _scans(jpeg)
            if scans > _MAX_SCANS:
                raise Rejected("too_many_pixels")
            kept.append(memoryview(jpeg)[segment.start :])
        elif segment.marker in _PIXELS:
            kept.append(jpeg[segment.start : segment.end])
        elif segment.marker == _EXIF and orientation == exif.UPRIGHT:
            orientation = _orientation(segment.content(jpeg))
        elif segment.marker == _ICC and (content := segment.content(jpeg)).startswith(_ICC_BEGINS):
            profile_parts.setdefault(content[len(_ICC_BEGINS) : len(_ICC_BEGINS) + 1], content[len(_ICC_BEGINS) + 2 :])
    profile = b"".join(profile_parts[number] for number in sorted(profile_parts))
    return Still(b"".join(kept), orientation, profile or None, work=scans)


def _orientation(content: bytes) -> int:
    return exif.orientation(content) if content.startswith(_EXIF_BEGINS) else exif.UPRIGHT


# FF may fill before a marker; FF 00 is no marker; 01, RSTn and SOI have no length: B.1.1.
_MARKER_WITH_LENGTH_OR_END = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")


def _header(jpeg: bytes) -> Generator[_Segment]:
    """The segments up to the first scan, which is the last; what lies between them is jumped over, as decoders do.

    Rejected `truncated` if there is no scan.
    """
    at = len(_START)
    while marker := _MARKER_WITH_LENGTH_OR_END.search(jpeg, at):
        at = marker.end() + max(2, int.from_bytes(jpeg[marker.end() : marker.end() + 2]))
        yield _Segment(marker.group()[1], marker.start(), at)
        if marker.group()[1] == _START_OF_SCAN:
            return
    raise Rejected("truncated")


def _is_all_in(scan: _Segment, frame: _Segment, jpeg: bytes) -> bool:
    """Whether the first scan has all of the picture, as in nearly every photo: each component, to its last bit. libjpeg
    reads no other one then. The counts are Nf, B.2.2, and Ns, B.2.3.
    """
    components, of_scan = frame.content(jpeg)[5:6], scan.content(jpeg)[:1]
    return frame.marker not in _PROGRESSIVE_FRAMES and components == of_scan


_SCAN = re.compile(rb"\xff\xda")  # three times as fast as bytes.count


def _scans(jpeg: bytes) -> int:
    """At least as many as there are; exact if that is more than _MAX_SCANS, and then maybe not of all."""
    found = len(_SCAN.findall(jpeg))  # those of thumbnails and of what comes after the end, too
    if found <= _MAX_SCANS:
        return found
    scans, at = 0, len(_START)
    while scans <= _MAX_SCANS and (marker := _MARKER_WITH_LENGTH_OR_END.search(jpeg, at)):
        if marker.group()[1] == _END_OF_IMAGE:
            break
        scans += marker.group()[1] == _START_OF_SCAN
        at = marker.end() + int.from_bytes(jpeg[marker.end() : marker.end() + 2])
    return scans
