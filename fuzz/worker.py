"""One process of a campaign: takes a range of inputs through the engine and says what became of each.

Before each input it writes that to a file, so that whoever watches still has it when this process is gone.
"""

import json
import logging
import resource
import sys
import traceback
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from PIL import Image

from functions.process_avatar.imaging import renderer
from functions.shared.square_crop import SquareCrop
from fuzz.inputs import MUTATED, mutated, structured
from tests.functions.process_avatar.imaging.output_files import JPEG_SEGMENTS, WEBP_CHUNKS, jpeg_segments, webp_chunks

MAX_PIXELS = 1_000_000
MEMORY_BYTES = 700_000_000  # beside what is mapped already: plenty for a million pixels
SIZES = (96, 24)
_CROPS = (None, SquareCrop(0.25, 0.5, 0.25), SquareCrop(0.9, 0.9, 0.000001))


def main(kind: str, campaign_seed: int, start: int, stop: int, current: Path) -> None:
    """Prints a line of JSON for every input from `start` to before `stop`: its number, format, outcome, and its bytes
    in hex if the outcome is an error: by the time that line is read, the next input may have been written.
    """
    crashes = _Crashes()
    logging.getLogger("functions.process_avatar.imaging.subprocess_decoder").addHandler(crashes)
    inputs = list(_inputs(kind, campaign_seed, start, stop))
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY_BYTES, mapped + MEMORY_BYTES))
    for number, data in enumerate(inputs, start):
        current.write_bytes(data)
        source_format, outcome = _outcome(data, number, crashes)
        kept = data.hex() if outcome.startswith("error") else ""
        print(json.dumps([number, source_format, outcome, kept]), flush=True)


def _inputs(kind: str, campaign_seed: int, start: int, stop: int) -> Iterator[bytes]:
    if kind == MUTATED:
        return (mutated(number, campaign_seed) for number in range(start, stop))
    return structured(campaign_seed * 1_000_003 + start, stop - start)


class _Crashes(logging.Handler):
    """How many decoders crashed in their confinement, which the engine survives and only logs."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += record.levelno == logging.WARNING


def _outcome(data: bytes, number: int, crashes: _Crashes) -> tuple[str, str]:
    crashed_before = crashes.count
    try:
        rendition = renderer.render(data, sizes=SIZES, max_pixels=MAX_PIXELS, crop=_CROPS[number % len(_CROPS)])
        _check(rendition)
    except renderer.Rejected as rejected:
        reason = "crash, confined" if crashes.count > crashed_before else rejected.reason
        return _format(data), reason
    except BaseException:
        return _format(data), "error: " + traceback.format_exc()
    return rendition.source.format, "rendered"


def _format(data: bytes) -> str:
    try:
        return renderer.format_of(data)
    except renderer.Rejected:
        return "-"


def _check(rendition: renderer.Rendition) -> None:
    assert jpeg_segments(rendition.stable_jpeg) == JPEG_SEGMENTS
    edge = min(renderer.STABLE_JPEG_SIZE, rendition.source.width, rendition.source.height)
    for size, data in (
        (renderer.STABLE_JPEG_SIZE, rendition.stable_jpeg),
        *((it.size, it.data) for it in rendition.variants),
    ):
        with Image.open(BytesIO(data)) as picture:
            assert picture.width == picture.height <= min(edge, size)
    for variant in rendition.variants:
        assert webp_chunks(variant.data) in WEBP_CHUNKS


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5]))
