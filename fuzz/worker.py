"""Worker process of a campaign: renders a range of inputs and prints the outcome and the cost of each.

It writes each input to a file first, so that the input survives a crash of this process. Inputs are rendered as uploads
are, one after the other in a render process with its limits of CPU time and memory.
"""

import ctypes
import hashlib
import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from functions.process_avatar.imaging import render_process, renderer
from functions.process_avatar.imaging.formats import ImageRejectedError, detect_format
from functions.process_avatar.imaging.render_process import RenderProcess
from functions.process_avatar.imaging.rendition import Rendition
from functions.shared.square_crop import SquareCrop
from fuzz.costs import Cost, Ranking
from fuzz.floods import generate_flood
from fuzz.inputs import BRED, FLOOD, MUTATED, breed, generate_structured, mutate
from tests.fixtures.pictures import encode, plain
from tests.functions.process_avatar.imaging.output_files import (
    JPEG_SEGMENTS,
    WEBP_CHUNKS,
    list_jpeg_segments,
    list_webp_chunks,
)

MAX_PIXELS = 1_000_000
SIZES = (96, 24)
_CROPS = (None, SquareCrop(0.25, 0.5, 0.25), SquareCrop(0.9, 0.9, 0.000001))
_TIMEOUT_SECONDS = 300  # for busy machines; the limit of CPU time is that of the pipeline


class Outcome(NamedTuple):
    kind: str  # "rendered", a rejection reason, or the kind of a finding
    details: str | None = None  # of a finding


def main(kind: str, campaign_seed: int, start: int, stop: int, current: Path, parents: Path) -> None:
    """Print a JSON object for each input from `start` to before `stop`.

    Findings and inputs that cost the most so far are kept in files beside `current`, whose names are the numbers.
    `parents` is the folder of the files to breed from.
    """
    engine = Engine(RenderProcess(timeout_seconds=_TIMEOUT_SECONDS))
    ranking = Ranking[bytes]()
    inputs = _generate_inputs(kind, campaign_seed, start, stop, sorted(parents.iterdir()))
    for number, data in enumerate(inputs, start):
        current.write_bytes(data)
        crop = _CROPS[number % len(_CROPS)]
        outcome, cost = engine.render(data, crop)
        is_kept = outcome.details is not None
        if ranking.has_place(cost):
            if not is_kept:  # findings can also hang or crash this process
                cost = cost._replace(memory_bytes=measure_memory(data, crop))
            if ranking.has_place(cost):
                ranking.add(cost, hashlib.sha256(data).digest())
                is_kept = True
        if is_kept:
            current.with_name(str(number)).write_bytes(data)
        report = {"number": number, "is_kept": is_kept, "cost": cost, **outcome._asdict()}
        print(json.dumps(report), flush=True)


def _generate_inputs(kind: str, campaign_seed: int, start: int, stop: int, parents: list[Path]) -> Iterator[bytes]:
    if kind == MUTATED:
        return (mutate(number, campaign_seed) for number in range(start, stop))
    if kind == FLOOD:
        return (generate_flood(number, campaign_seed) for number in range(start, stop))
    if kind == BRED:
        return (breed(number, campaign_seed, parents) for number in range(start, stop))
    return generate_structured(campaign_seed * 1_000_003 + start, stop - start)


class Engine:
    """Renders inputs and measures CPU time, and by how much memory grows.

    An input that needs no more memory than earlier ones have freed does not let it grow: `measure_memory`.
    """

    def __init__(self, process: RenderProcess) -> None:
        self._process = process
        self._warm_up()

    def render(self, data: bytes, crop: SquareCrop | None) -> tuple[Outcome, Cost]:
        process = self._process.process
        Path(f"/proc/{process.pid}/clear_refs").write_text("5")  # resets the peak
        memory_before = _read_memory(process.pid, "VmRSS")
        cpu_before = self._read_cpu_seconds()
        source_format, outcome = self._render(data, crop)
        cpu_seconds = self._read_cpu_seconds() - cpu_before
        if self._process.process is process:
            memory_bytes = _read_memory(process.pid, "VmHWM") - memory_before
        else:
            memory_bytes = 0
            self._warm_up()
        return outcome, Cost(source_format, len(data), cpu_seconds, memory_bytes)

    def _render(self, data: bytes, crop: SquareCrop | None) -> tuple[str, Outcome]:
        process = self._process.process
        try:
            rendition = self._process.render(data, sizes=SIZES, max_pixels=MAX_PIXELS, crop=crop)
            _check(rendition)
        except ImageRejectedError as error:
            is_replaced = process.poll() is not None
            return _detect_format(data), _explain(process.returncode) if is_replaced else Outcome(error.reason)
        except TimeoutError as error:
            return _detect_format(data), Outcome("hang", str(error))
        except BaseException:
            return _detect_format(data), Outcome("error", traceback.format_exc())
        return rendition.source.format, Outcome("rendered")

    def _warm_up(self) -> None:
        """Import every decoder, so that no input pays for it."""
        for data in warm_up_files():
            self._process.render(data, sizes=SIZES, max_pixels=MAX_PIXELS)

    def _read_cpu_seconds(self) -> float:
        """Return the CPU time of the current process and of those that it replaced."""
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        clock = ctypes.c_int()
        if error := ctypes.CDLL(None).clock_getcpuclockid(self._process.process.pid, ctypes.byref(clock)):
            raise OSError(error, "clock_getcpuclockid")
        return ended.ru_utime + ended.ru_stime + time.clock_gettime(clock.value)


def _explain(exit_code: int) -> Outcome:
    """Return the outcome of an input that ended the render process."""
    if exit_code == -signal.SIGPROF:
        return Outcome("CPU limit", f"more than {render_process.CPU_SECONDS} seconds")
    if exit_code > 0:
        return Outcome("memory limit", f"more than {render_process.MEMORY_BYTES // 10**6} MB")
    return Outcome("decoder crash", f"signal {-exit_code}")


def warm_up_files() -> list[bytes]:
    return [encode(plain(16, 16), name) for name in ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "HEIF")]


def _read_memory(pid: int, field: str) -> int:
    """Return a field of /proc/<pid>/status in bytes."""
    _, _, rest = Path(f"/proc/{pid}/status").read_text().partition(field + ":")
    return int(rest.split()[0]) * 1024


def measure_memory(data: bytes, crop: SquareCrop | None) -> int:
    """Return the bytes that rendering adds at its peak to a fork of this process, which has no freed memory."""
    return _read_peak_of_fork(data, crop) - _read_peak_of_fork(b"", crop)


def _read_peak_of_fork(data: bytes, crop: SquareCrop | None) -> int:
    ctypes.CDLL(None).malloc_trim(0)
    pid = os.fork()
    if pid == 0:
        try:
            renderer.render(data, sizes=SIZES, max_pixels=MAX_PIXELS, crop=crop)
        finally:
            os._exit(0)  # also after a rejection
    _, _, usage = os.wait4(pid, 0)
    return usage.ru_maxrss * 1024


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
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5]), Path(sys.argv[6]))
