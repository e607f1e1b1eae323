"""What rendering returns."""

from typing import Literal, NamedTuple

from functions.process_avatar.imaging.formats import Format


class Source(NamedTuple):
    """The upload. Width and height are those of the upright image."""

    format: Format
    width: int
    height: int
    bytes: int


class Variant(NamedTuple):
    """One output. `size` is the requested width in pixels. The image is smaller if the source is."""

    size: int
    format: Literal["webp"]
    data: bytes


class Rendition(NamedTuple):
    source: Source
    variants: tuple[Variant, ...]  # largest first
    stable_jpeg: bytes  # STABLE_JPEG_SIZE pixels wide, on a white background
