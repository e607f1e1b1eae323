"""python render.py <picture> <folder for the outputs> <seconds>: warm times in process, as JSON.

SIZES and MAX_PIXELS of the environment are process_avatar's.

`--floor` times decoding and encoding alone instead, which no engine on Pillow can be faster than: the picture decoded
as far down as libjpeg scales, and the same outputs encoded, with nothing in between.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from PIL import Image

from functions.process_avatar.imaging import renderer

SIZES = [int(size) for size in os.environ["SIZES"].split(",")]
MAX_PIXELS = int(os.environ["MAX_PIXELS"])


def main(path: str, folder: str, seconds: str, *options: str) -> None:
    data = Path(path).read_bytes()
    rendition = _render(data)
    for variant in rendition.variants:
        (Path(folder) / f"{variant.size}.webp").write_bytes(variant.data)
    (Path(folder) / "stable.jpg").write_bytes(rendition.stable_jpeg)
    work = _floor(data, rendition) if "--floor" in options else lambda: _render(data)
    work()
    print(json.dumps(_times(work, float(seconds))))


def _render(data: bytes) -> renderer.Rendition:
    return renderer.render(data, sizes=SIZES, max_pixels=MAX_PIXELS)


def _floor(data: bytes, rendition: renderer.Rendition) -> Callable[[], object]:
    variants = [_decoded(variant.data) for variant in rendition.variants]
    stable = _decoded(rendition.stable_jpeg)

    def work() -> None:
        _decoded(data)
        for picture in variants:
            renderer.encode_webp(picture)
        renderer.encode_jpeg(stable)

    return work


def _decoded(data: bytes) -> Image.Image:
    picture = Image.open(BytesIO(data))
    edge = max(*SIZES, renderer.STABLE_JPEG_SIZE)
    shrink = max((by for by in (8, 4, 2, 1) if min(picture.size) >= edge * by * 1.25), default=1)
    picture.draft(None, (picture.width // shrink, picture.height // shrink))
    picture.load()
    return picture


def _times(work: Callable[[], object], seconds: float) -> dict[str, float]:
    """The best of each: what is above it is others' doing."""
    wall: list[float] = []
    cpu: list[float] = []
    end = time.perf_counter() + seconds
    while len(wall) < 3 or time.perf_counter() < end:
        started, used = time.perf_counter(), _processor_seconds()
        work()
        wall.append(1000 * (time.perf_counter() - started))
        cpu.append(1000 * (_processor_seconds() - used))
    return {"wall_ms": min(wall), "cpu_ms": min(cpu)}


def _processor_seconds() -> float:
    """Of this process and of those it started: some formats are decoded in one of their own."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


if __name__ == "__main__":
    main(*sys.argv[1:])
