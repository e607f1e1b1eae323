"""Worker process of a campaign: renders a range of inputs and prints the outcome of each.

It writes each input to a file first, so that the input survives a crash of this process.
"""

import json
import logging
import sys
import traceback
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from PIL import Image

from functions.process_avatar.imaging import renderer
from functions.process_avatar.imaging.formats import ImageRejectedError, detect_format
from functions.process_avatar.imaging.render_process import RenderProcess
from functions.process_avatar.imaging.rendition import Rendition
from functions.shared.square_crop import SquareCrop
from fuzz.inputs import MUTATED, generate_structured, mutate
from tests.functions.process_avatar.imaging.output_files import (
    JPEG_SEGMENTS,
    WEBP_CHUNKS,
    list_jpeg_segments,
    list_webp_chunks,
)

MAX_PIXELS = 1_000_000
SIZES = (96, 24)
_CROPS = (None, SquareCrop(0.25, 0.5, 0.25), SquareCrop(0.9, 0.9, 0.000001))


def main(kind: str, campaign_seed: int, start: int, stop: int, current: Path) -> None:
    """Print a JSON array for each input from `start` to before `stop`: number, format, outcome, and data.

    The data, in hex, is empty unless the outcome is an error. It cannot be read from the file, which can have the next
    input already.
    """
    crashes = _CrashCounter()
    logging.getLogger("functions.process_avatar.imaging.render_process").addHandler(crashes)
    inputs = list(_generate_inputs(kind, campaign_seed, start, stop))
    process = RenderProcess()
    for number, data in enumerate(inputs, start):
        current.write_bytes(data)
        source_format, outcome = _render(process, data, number, crashes)
        kept = data.hex() if outcome.startswith("error") else ""
        print(json.dumps([number, source_format, outcome, kept]), flush=True)


def _generate_inputs(kind: str, campaign_seed: int, start: int, stop: int) -> Iterator[bytes]:
    if kind == MUTATED:
        return (mutate(number, campaign_seed) for number in range(start, stop))
    return generate_structured(campaign_seed * 1_000_003 + start, stop - start)


class _CrashCounter(logging.Handler):
    """Count the crashes of decoders, which the engine only logs."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += record.levelno == logging.WARNING


def _render(process: RenderProcess, data: bytes, number: int, crashes: _CrashCounter) -> tuple[str, str]:
    crashed_before = crashes.count
    try:
        rendition = process.render(data, sizes=SIZES, max_pixels=MAX_PIXELS, crop=_CROPS[number % len(_CROPS)])
        _check(rendition)
    except ImageRejectedError as error:
        reason = "decoder crash" if crashes.count > crashed_before else error.reason
        return _detect_format(data), reason
    except BaseException:
        return _detect_format(data), "error: " + traceback.format_exc()
    return rendition.source.format, "rendered"


def _detect_format(data: bytes) -> str:
    try:
        return detect_format(data)
    except ImageRejectedError:
        return "-"


def _check(rendition: Rendition) -> None:
    assert list_jpeg_segments(rendition.stable_jpeg) == JPEG_SEGMENTS
    edge = min(renderer.STABLE_JPEG_SIZE, rendition.source.width, rendition.source.height)
    for size, data in (
        (renderer.STABLE_JPEG_SIZE, rendition.stable_jpeg),
        *((it.size, it.data) for it in rendition.variants),
    ):
        with Image.open(BytesIO(data)) as picture:
            assert picture.width == picture.height <= min(edge, size)
    for variant in rendition.variants:
        assert list_webp_chunks(variant.data) in WEBP_CHUNKS


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5]))
