import faulthandler
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from functions.process_avatar.imaging import malloc, renderer, subprocess_decoder
from functions.process_avatar.imaging.cropping import Square
from functions.process_avatar.imaging.formats import ImageRejectedError, RejectionReason
from functions.process_avatar.imaging.subprocess_decoder import run_in_subprocess
from tests.fixtures.gallery import FIXTURES
from tests.fixtures.pictures import encode, plain

REPOSITORY = Path(__file__).parents[4]
EMPTY = Square(Image.new("RGB", (1, 1)), (1, 1))


def make_task(action: Callable[[], object]) -> Callable[[], Square]:
    def task() -> Square:
        action()
        return EMPTY

    return task


def get_rejection_reason(task: Callable[[], Square]) -> RejectionReason:
    with pytest.raises(ImageRejectedError) as caught:
        run_in_subprocess(task)
    return caught.value.reason


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_run_in_subprocess_returns_square_unchanged(mode: str) -> None:
    picture = Image.effect_noise((1024, 1024), 80).convert(mode)
    square = run_in_subprocess(lambda: Square(picture, (4000, 3000)))
    assert (square.image.mode, square.image.size, square.source_size) == (mode, (1024, 1024), (4000, 3000))
    assert square.image.tobytes() == picture.tobytes()


@pytest.mark.parametrize("reason", ["too_many_pixels", "truncated"])
def test_run_in_subprocess_rejection_is_raised(reason: RejectionReason) -> None:
    def reject() -> Square:
        raise ImageRejectedError(reason)

    assert get_rejection_reason(reject) == reason


def test_run_in_subprocess_over_cpu_limit_is_too_many_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess_decoder, "CPU_SECONDS", 1)
    started = time.process_time()
    assert get_rejection_reason(make_task(lambda: max(itertools.repeat(1)))) == "too_many_pixels"
    assert time.process_time() - started < 0.5, "the task ran in this process"


# In a new process, because free heap of this one would count as available memory.
ALLOCATE = """
from PIL import Image
from functions.process_avatar.imaging import malloc, subprocess_decoder
from functions.process_avatar.imaging.cropping import Square
from functions.process_avatar.imaging.formats import ImageRejectedError

def allocate(size):
    bytes(size)
    return Square(Image.new("RGB", (1, 1)), (1, 1))

subprocess_decoder.MEMORY_BYTES = 50_000_000
for size in (30_000_000, 60_000_000, 50_000_000 + 2 * malloc.KEPT_BYTES):
    try:
        print(subprocess_decoder.run_in_subprocess(lambda: allocate(size)).source_size)
    except ImageRejectedError as error:
        print(error.reason)
"""


def test_run_in_subprocess_over_memory_limit_is_too_many_pixels() -> None:
    result = subprocess.run(
        [sys.executable, "-c", ALLOCATE], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert result.stdout.split("\n") == ["(1, 1)", "too_many_pixels", "too_many_pixels", ""]


@pytest.mark.parametrize("crash", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL])
def test_run_in_subprocess_crash_is_truncated(crash: signal.Signals, caplog: pytest.LogCaptureFixture) -> None:
    def crash_process() -> None:
        faulthandler.disable()  # enabled by pytest
        os.kill(os.getpid(), crash)

    assert get_rejection_reason(make_task(crash_process)) == "truncated"
    assert [record.getMessage() for record in caplog.records] == ["a decoder crashed"]


def test_run_in_subprocess_killed_raises_child_process_error() -> None:
    with pytest.raises(ChildProcessError, match="ended with -9"):
        run_in_subprocess(make_task(lambda: os.kill(os.getpid(), signal.SIGKILL)))


def test_run_in_subprocess_unexpected_error_is_raised_and_printed(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> Square:
        raise AttributeError("no such thing")

    with pytest.raises(ChildProcessError, match="ended with 1"):
        run_in_subprocess(fail)
    assert "AttributeError: no such thing" in capfd.readouterr().err


def test_run_in_subprocess_over_timeout_raises_timeout_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess_decoder, "TIMEOUT_SECONDS", 0.2)
    with pytest.raises(TimeoutError):
        run_in_subprocess(make_task(lambda: time.sleep(60)))


# In a process of its own: threads of other tests open and close descriptors meanwhile.
LEAVE_NOTHING = """
import os
import time
from pathlib import Path
from PIL import Image
from functions.process_avatar.imaging import subprocess_decoder
from functions.process_avatar.imaging.cropping import Square

def list_descriptors_and_children():
    children = [task.read_text().split() for task in Path("/proc/self/task").glob("*/children")]
    return os.listdir("/proc/self/fd"), children

before = list_descriptors_and_children()
subprocess_decoder.run_in_subprocess(lambda: Square(Image.new("RGB", (1, 1)), (1, 1)))
subprocess_decoder.TIMEOUT_SECONDS = 0.1
try:
    subprocess_decoder.run_in_subprocess(lambda: time.sleep(60))
except TimeoutError:
    print(list_descriptors_and_children() == before)
"""


def test_run_in_subprocess_leaves_no_descriptors_or_children() -> None:
    result = subprocess.run(
        [sys.executable, "-c", LEAVE_NOTHING], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert result.stdout == "True\n"


@pytest.mark.parametrize(
    ("file", "uses_subprocess"),
    [
        pytest.param(FIXTURES["AVIF"].file, True, id="AVIF"),
        pytest.param(FIXTURES["HEIC"].file, True, id="HEIC"),
        pytest.param(lambda: encode(plain(4000, 4001), "PNG"), True, id="over 16 million pixels"),
        pytest.param(lambda: encode(plain(4000, 4000), "PNG"), False, id="16 million pixels"),
        pytest.param(lambda: encode(plain(7000, 7000), "JPEG"), False, id="49 million pixels, one scan"),
        pytest.param(
            lambda: encode(plain(4000, 4001), "JPEG", progressive=True), True, id="16 million pixels, 10 scans"
        ),
    ],
)
def test_render_high_decode_cost_runs_in_subprocess(
    file: Callable[[], bytes], uses_subprocess: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def record_call(task: Callable[[], Square]) -> Square:
        calls.append(1)
        return run_in_subprocess(task)

    monkeypatch.setattr(renderer, "run_in_subprocess", record_call)
    data = file()
    assert renderer.render(data, sizes=(16,), max_pixels=50_000_000).source.bytes == len(data)
    assert bool(calls) == uses_subprocess


def test_limits_fit_into_timeout_and_memory_of_function() -> None:
    assert subprocess_decoder.CPU_SECONDS < subprocess_decoder.TIMEOUT_SECONDS < 60 / 2
    runtime_and_upload = 200_000_000
    # Twice, because the child copies the pages that it writes to.
    assert subprocess_decoder.MEMORY_BYTES + 2 * malloc.KEPT_BYTES + runtime_and_upload < 1024 * 2**20
