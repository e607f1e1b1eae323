"""Hostile files are rendered or rejected within limits of time and memory."""

import itertools
import os
import resource
import signal
import time
from pathlib import Path

import pytest

from functions.process_avatar.imaging import renderer, subprocess_decoder
from tests.fixtures.gallery import FIXTURES
from tests.fixtures.hostile import HOSTILE
from tests.functions.process_avatar.imaging.output_files import (
    JPEG_SEGMENTS,
    WEBP_CHUNKS,
    list_jpeg_segments,
    list_webp_chunks,
)

CPU_SECONDS = 10
DECODER_CPU_SECONDS = 3
TIMEOUT_SECONDS = 60  # for busy machines
MEMORY_BYTES = 600_000_000  # in addition to the address space of this process
MAX_PIXELS = 50_000_000

OUTCOMES = ["rendered", "not_an_image", "unsupported_format", "too_many_pixels", "truncated"]


def render_limited(data: bytes) -> str:
    """Return the outcome of rendering in a subprocess with CPU_SECONDS, TIMEOUT_SECONDS, and MEMORY_BYTES."""
    child = os.fork()
    if child == 0:
        status = 99
        try:
            limit = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + MEMORY_BYTES
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            subprocess_decoder.CPU_SECONDS = DECODER_CPU_SECONDS
            subprocess_decoder.TIMEOUT_SECONDS = TIMEOUT_SECONDS
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
            signal.setitimer(signal.ITIMER_REAL, TIMEOUT_SECONDS)
            status = OUTCOMES.index(_render(data))
        finally:
            os._exit(status)
    exit_code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return OUTCOMES[exit_code] if 0 <= exit_code < len(OUTCOMES) else f"ended with {exit_code}"


def _render(data: bytes) -> str:
    try:
        rendition = renderer.render(data, sizes=(64,), max_pixels=MAX_PIXELS)
    except renderer.ImageRejectedError as error:
        return error.reason
    assert list_jpeg_segments(rendition.stable_jpeg) == JPEG_SEGMENTS
    assert list_webp_chunks(rendition.variants[0].data) in WEBP_CHUNKS
    return "rendered"


@pytest.mark.parametrize("name", HOSTILE)
def test_render_hostile_file_is_rendered_or_rejected_within_limits(name: str) -> None:
    assert render_limited(HOSTILE[name].file()) in HOSTILE[name].outcomes


@pytest.mark.parametrize(
    "name", [name for name in FIXTURES if "orientation" not in name and not name.endswith(("P3", "RGB", "CICP"))]
)
@pytest.mark.parametrize("tenth", range(1, 10))
def test_render_incomplete_file_is_truncated(name: str, tenth: int) -> None:
    data = FIXTURES[name].file()
    # Data after the first image is not read.
    allowed = {"truncated", "rendered"} if "multiple" in name else {"truncated"}
    assert render_limited(data[: len(data) * tenth // 10]) in allowed


def test_render_limited_detects_time_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renderer, "render", lambda _data, **_options: bytes(2 * MEMORY_BYTES))
    assert render_limited(b"") == "ended with 99"
    monkeypatch.setattr(renderer, "render", lambda _data, **_options: max(itertools.repeat(1)))
    monkeypatch.setattr("tests.functions.process_avatar.imaging.test_hostile_files.CPU_SECONDS", 0.2)
    assert render_limited(b"") == f"ended with {-signal.SIGPROF}"
    monkeypatch.setattr(renderer, "render", lambda _data, **_options: time.sleep(60))
    monkeypatch.setattr("tests.functions.process_avatar.imaging.test_hostile_files.TIMEOUT_SECONDS", 0.2)
    assert render_limited(b"") == f"ended with {-signal.SIGALRM}"
