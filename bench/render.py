"""`python render.py <picture> <output folder> <seconds>` prints durations of warm rendering as JSON.

The environment variables SIZES and MAX_PIXELS are those of process_avatar.

`--floor` measures only decoding, at the smallest scale libjpeg offers, and encoding of the same outputs: the lower
bound for every renderer that uses Pillow.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from PIL import Image

from functions.process_avatar.imaging import malloc, renderer
from functions.process_avatar.imaging.rendition import Rendition

SIZES = [int(size) for size in os.environ["SIZES"].split(",")]
MAX_PIXELS = int(os.environ["MAX_PIXELS"])


def main(path: str, folder: str, seconds: str, *options: str) -> None:
    malloc.keep_freed_memory()  # as the render process does
    data = Path(path).read_bytes()
    rendition = _render(data)
    for variant in rendition.variants:
        (Path(folder) / f"{variant.size}.webp").write_bytes(variant.data)
    (Path(folder) / "stable.jpg").write_bytes(rendition.stable_jpeg)
    work = _make_floor(data, rendition) if "--floor" in options else lambda: _render(data)
    work()
    print(json.dumps(_times(work, float(seconds))))


def _render(data: bytes) -> Rendition:
    return renderer.render(data, sizes=SIZES, max_pixels=MAX_PIXELS)


def _make_floor(data: bytes, rendition: Rendition) -> Callable[[], object]:
    variants = [_decode(variant.data) for variant in rendition.variants]
    stable = _decode(rendition.stable_jpeg)

    def work() -> None:
        _decode(data)
        for picture in variants:
            renderer.encode_webp(picture)
        renderer.encode_jpeg(stable)

    return work


def _decode(data: bytes) -> Image.Image:
    picture = Image.open(BytesIO(data))
    edge = max(*SIZES, renderer.STABLE_JPEG_SIZE)
    shrink = max((by for by in (8, 4, 2, 1) if min(picture.size) >= edge * by * 1.25), default=1)
    picture.draft(None, (picture.width // shrink, picture.height // shrink))
    picture.load()
    return picture


def _times(work: Callable[[], object], seconds: float) -> dict[str, float]:
    """Return the minima: longer durations include other load."""
    wall: list[float] = []
    cpu: list[float] = []
    end = time.perf_counter() + seconds
    while len(wall) < 3 or time.perf_counter() < end:
        started, used = time.perf_counter(), time.process_time()
        work()
        wall.append(1000 * (time.perf_counter() - started))
        cpu.append(1000 * (time.process_time() - used))
    return {"wall_ms": min(wall), "cpu_ms": min(cpu)}


if __name__ == "__main__":
    main(*sys.argv[1:])
