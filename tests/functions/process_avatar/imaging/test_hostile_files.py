"""Hostile files: each comes out as a picture or is rejected for the right reason, in little time and memory."""

import os
import resource
import signal
import time
from pathlib import Path

import pytest

from functions.process_avatar.imaging import renderer
from tests.fixtures.gallery import FIXTURES
from tests.fixtures.hostile import HOSTILE
from tests.functions.process_avatar.imaging.output_files import JPEG_SEGMENTS, WEBP_CHUNKS, jpeg_segments, webp_chunks

SECONDS = 10
MEMORY_BYTES = 600_000_000  # beside what is mapped already
MAX_PIXELS = 50_000_000

OUTCOMES = ["rendered", "not_an_image", "unsupported_format", "too_many_pixels", "truncated"]


def outcome(data: bytes) -> str:
    """What rendering comes to within SECONDS and MEMORY_BYTES, in a process that may be killed for it."""
    child = os.fork()
    if child == 0:
        status = 99
        try:
            limit = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + MEMORY_BYTES
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, SECONDS)
            status = OUTCOMES.index(_rendered(data))
        finally:
            os._exit(status)
    exit_code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return OUTCOMES[exit_code] if 0 <= exit_code < len(OUTCOMES) else f"ended with {exit_code}"


def _rendered(data: bytes) -> str:
    try:
        rendition = renderer.render(data, sizes=(64,), max_pixels=MAX_PIXELS)
    except renderer.Rejected as rejected:
        return rejected.reason
    assert jpeg_segments(rendition.stable_jpeg) == JPEG_SEGMENTS
    assert webp_chunks(rendition.variants[0].data) in WEBP_CHUNKS
    return "rendered"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_costs_nothing_but_an_answer(name: str) -> None:
    assert outcome(HOSTILE[name].file()) in HOSTILE[name].outcomes


@pytest.mark.parametrize(
    "name", [name for name in FIXTURES if "orientation" not in name and not name.endswith(("P3", "RGB", "points"))]
)
@pytest.mark.parametrize("tenth", range(1, 10))
def test_a_file_that_ends_early_is_truncated(name: str, tenth: int) -> None:
    data = FIXTURES[name].file()
    allowed = {"truncated", "rendered"} if ends_late(name) else {"truncated"}
    assert outcome(data[: len(data) * tenth // 10]) in allowed


def ends_late(name: str) -> bool:
    """What comes after the first picture does not count."""
    return "several" in name


def test_the_harness_notices_time_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def hog(_data: bytes, **_options: object) -> None:
        bytes(2 * MEMORY_BYTES)

    monkeypatch.setattr(renderer, "render", hog)
    assert outcome(b"") == "ended with 99"
    monkeypatch.setattr(renderer, "render", lambda _data, **_options: time.sleep(60))
    monkeypatch.setattr("tests.functions.process_avatar.imaging.test_hostile_files.SECONDS", 0.2)
    assert outcome(b"") == f"ended with {-signal.SIGALRM}"
