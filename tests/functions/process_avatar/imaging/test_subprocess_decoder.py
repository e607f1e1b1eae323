"""What a decoder may do in its own process, and what becomes of one that does more."""

import faulthandler
import itertools
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from functions.process_avatar.imaging import malloc, renderer, subprocess_decoder
from functions.process_avatar.imaging.cropping import Square
from functions.process_avatar.imaging.rejection import Reason, Rejected
from functions.process_avatar.imaging.subprocess_decoder import confined
from tests.fixtures.gallery import FIXTURES
from tests.fixtures.pictures import encoded, plain

EMPTY = Square(Image.new("RGB", (1, 1)), (1, 1))


def ending_with(act: Callable[[], object]) -> Callable[[], Square]:
    def work() -> Square:
        act()
        return EMPTY

    return work


def reason_of(work: Callable[[], Square]) -> Reason:
    with pytest.raises(Rejected) as rejected:
        confined(work)
    return rejected.value.reason


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_the_square_comes_back_as_it_was(mode: str) -> None:
    picture = Image.effect_noise((1024, 1024), 80).convert(mode)
    square = confined(lambda: Square(picture, (4000, 3000)))
    assert (square.picture.mode, square.picture.size, square.source_size) == (mode, (1024, 1024), (4000, 3000))
    assert square.picture.tobytes() == picture.tobytes()


@pytest.mark.parametrize("reason", ["too_many_pixels", "truncated"])
def test_a_rejection_comes_back_as_it_was(reason: Reason) -> None:
    def reject() -> Square:
        raise Rejected(reason)

    assert reason_of(reject) == reason


def test_too_much_work_is_too_many_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess_decoder, "CPU_SECONDS", 1)
    started = time.process_time()
    assert reason_of(ending_with(lambda: max(itertools.repeat(1)))) == "too_many_pixels"
    assert time.process_time() - started < 0.5, "that was to happen in another process"


def test_too_much_memory_is_too_many_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess_decoder, "MEMORY_BYTES", 50_000_000)
    assert confined(ending_with(lambda: bytes(30_000_000))).source_size == (1, 1)
    assert reason_of(ending_with(lambda: bytes(50_000_000 + 2 * malloc.KEPT_BYTES))) == "too_many_pixels"


@pytest.mark.parametrize("crash", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL])
def test_a_crash_is_the_files_fault(crash: signal.Signals, caplog: pytest.LogCaptureFixture) -> None:
    def crashing() -> None:
        faulthandler.disable()  # pytest's, which would tell of it at length
        os.kill(os.getpid(), crash)

    assert reason_of(ending_with(crashing)) == "truncated"
    assert [record.getMessage() for record in caplog.records] == ["a decoder crashed"]


def test_being_killed_is_not_the_files_fault() -> None:
    with pytest.raises(ChildProcessError, match="ended with -9"):
        confined(ending_with(lambda: os.kill(os.getpid(), signal.SIGKILL)))


def test_an_error_of_ours_is_raised_and_said(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> Square:
        raise AttributeError("no such thing")

    with pytest.raises(ChildProcessError, match="ended with 1"):
        confined(fail)
    assert "AttributeError: no such thing" in capfd.readouterr().err


def test_waiting_ends_and_is_not_the_files_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess_decoder, "PATIENCE_SECONDS", 0.2)
    with pytest.raises(TimeoutError):
        confined(ending_with(lambda: time.sleep(60)))


def test_nothing_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.listdir("/proc/self/fd"), children()  # noqa: PTH208 - names are enough
    monkeypatch.setattr(subprocess_decoder, "PATIENCE_SECONDS", 0.1)
    confined(lambda: EMPTY)
    with pytest.raises(TimeoutError):
        confined(ending_with(lambda: time.sleep(60)))
    assert (os.listdir("/proc/self/fd"), children()) == before  # noqa: PTH208


def children() -> set[str]:
    """Those that have ended and that nobody has waited for too."""
    return {child for task in Path("/proc/self/task").glob("*/children") for child in task.read_text().split()}


@pytest.mark.parametrize(
    ("data", "is_confined"),
    [
        (FIXTURES["AVIF"].file(), True),
        (FIXTURES["HEIC"].file(), True),
        (encoded(plain(4000, 4001), "PNG"), True),
        (encoded(plain(4000, 4000), "PNG"), False),
        (encoded(plain(7000, 7000), "JPEG"), False),
        (encoded(plain(7000, 7000), "JPEG", progressive=True), True),
    ],
    ids=["AVIF", "HEIC", "over 16 million pixels", "16 million pixels", "one scan of many", "scans of many"],
)
def test_what_nothing_else_bounds_is_confined(data: bytes, is_confined: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def observed(work: Callable[[], Square]) -> Square:
        asked.append(1)
        return confined(work)

    monkeypatch.setattr(renderer, "confined", observed)
    assert renderer.render(data, sizes=(16,), max_pixels=50_000_000).source.bytes == len(data)
    assert bool(asked) == is_confined


def test_the_bounds_are_well_inside_the_functions() -> None:
    assert subprocess_decoder.CPU_SECONDS < subprocess_decoder.PATIENCE_SECONDS < 60 / 2
    runtime_and_upload = 200_000_000
    # What is kept is there twice, once a child has written to its copy.
    assert subprocess_decoder.MEMORY_BYTES + 2 * malloc.KEPT_BYTES + runtime_and_upload < 1024 * 2**20
