"""GIF parser, https://www.w3.org/Graphics/GIF/spec-gif89a.txt."""

import re
from collections.abc import Generator

from functions.process_avatar.imaging.formats import ImageRejectedError
from functions.process_avatar.imaging.prepared_image import PreparedImage, limit_segments

_SCREEN_BYTES = 13  # header and logical screen descriptor
_HAS_PALETTE, _PALETTE_SIZE = 0x80, 0x07  # the packed fields
_GRAPHIC_CONTROL = 0xF9
_EXTENSION = b"!"
_BLOCK = re.compile(rb"[!,;]")  # an extension, an image, or the end. Decoders skip other bytes.


def parse(gif: bytes) -> PreparedImage:
    """Return the file without the comments and metadata before the first frame. The decoder stops after that frame.

    Raises:
        ImageRejectedError: `too_many_pixels` for too many blocks before the first frame, `truncated` for no frame.
    """
    fields, view = gif[10], memoryview(gif)
    palette_bytes = 3 << (fields & _PALETTE_SIZE) + 1 if fields & _HAS_PALETTE else 0
    at = screen_end = _SCREEN_BYTES + palette_bytes
    control = view[:0]
    for start, at in limit_segments(_read_extensions(gif, screen_end)):
        if gif[start + 1] == _GRAPHIC_CONTROL:
            control = view[start:at]
    if not (frame := _BLOCK.search(gif, at)):
        raise ImageRejectedError("truncated")
    return PreparedImage(b"".join((view[:screen_end], control, view[frame.start() :])))


def _read_extensions(gif: bytes, at: int) -> Generator[tuple[int, int]]:
    """Yield the start of the extension and the end of the sub-block, for each sub-block of each extension."""
    while (block := _BLOCK.search(gif, at)) and block.group() == _EXTENSION:
        at = block.start() + 2
        length = None
        while length != 0:
            length = gif[at]
            at += 1 + length
            yield block.start(), at
