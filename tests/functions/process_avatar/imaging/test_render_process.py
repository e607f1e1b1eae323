"""The process that renders uploads: what a file can do to it, and what an exploited decoder finds in it.

An exploited decoder is modeled by a pillow_heif that executes the file.
"""

import ctypes
import errno
import gc
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from functions.process_avatar.imaging import malloc, render_process, renderer
from functions.process_avatar.imaging.formats import ImageRejectedError, RejectionReason
from functions.process_avatar.imaging.render_process import RenderProcess
from functions.process_avatar.imaging.rendition import Rendition, Source, Variant
from functions.shared.square_crop import SquareCrop
from tests.fixtures.gallery import FIXTURES
from tests.fixtures.hostile import HOSTILE
from tests.functions.conftest import wait_until

REPOSITORY = Path(__file__).parents[4]
PHOTO = (REPOSITORY / "local" / "photo.jpg").read_bytes()
SIZES = (64, 16)
MAX_PIXELS = 50_000_000
CRASHES = [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL]

EXPLOITED_DECODER = """
from PIL import Image

def open_image(file, name):
    exec(file.read().partition(b"#")[2], {})
    return Image.new("RGB", (20, 10))

def register_heif_opener(**_options):
    Image.register_open("HEIF", open_image)
"""


def exploit(code: str) -> bytes:
    """A HEIC file whose decoding executes `code`."""
    return b"\0\0\0\x18ftypheic\0\0\0\0mif1heic#\n" + textwrap.dedent(code).encode()


@pytest.fixture(scope="module")
def shared_process() -> Iterator[RenderProcess]:
    process = RenderProcess()
    yield process
    process.close()


StartProcess = Callable[..., RenderProcess]


@pytest.fixture
def start_exploitable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StartProcess]:
    """Start a render process with the exploited decoder."""
    (tmp_path / "pillow_heif.py").write_text(EXPLOITED_DECODER)
    monkeypatch.syspath_prepend(tmp_path)
    started: list[RenderProcess] = []

    def start(**limits: Any) -> RenderProcess:
        started.append(RenderProcess(**limits))
        return started[-1]

    yield start
    for process in started:
        process.close()


def render(process: RenderProcess, data: bytes) -> Rendition:
    return process.render(data, sizes=SIZES, max_pixels=MAX_PIXELS)


def get_rejection_reason(process: RenderProcess, data: bytes) -> RejectionReason:
    with pytest.raises(ImageRejectedError) as caught:
        render(process, data)
    return caught.value.reason


# --- Results ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FIXTURES)
def test_render_process_returns_what_renderer_returns(name: str, shared_process: RenderProcess) -> None:
    data = FIXTURES[name].file()
    assert render(shared_process, data) == renderer.render(data, sizes=SIZES, max_pixels=MAX_PIXELS)


def test_render_process_applies_sizes_pixel_limit_and_crop(shared_process: RenderProcess) -> None:
    options: dict[str, Any] = {"sizes": (16, 700, 16), "crop": SquareCrop(0.5, 0, 0.25)}
    found = shared_process.render(PHOTO, max_pixels=512 * 552, **options)
    assert found == renderer.render(PHOTO, max_pixels=512 * 552, **options)
    with pytest.raises(ImageRejectedError, match="too_many_pixels"):
        shared_process.render(PHOTO, max_pixels=512 * 552 - 1, **options)


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "not_an_image"), (b"<svg/>", "unsupported_format"), (PHOTO[:9999], "truncated")],
    ids=["empty", "SVG", "incomplete"],
)
def test_render_process_rejection_is_raised(data: bytes, reason: str, shared_process: RenderProcess) -> None:
    assert get_rejection_reason(shared_process, data) == reason


# --- Isolation --------------------------------------------------------------------------------------------------------

SECRET = "AWS_SECRET_ACCESS_KEY"

FIND_SECRETS = """
import os, resource, sys, tempfile
sys.path[:0] = [{decoder!r}, {repository!r}]
from functions.process_avatar.imaging import render_process
{preparation}
inherited = os.open("/dev/null", os.O_RDONLY)
os.set_inheritable(inherited, True)
process = render_process.RenderProcess()
with open({file!r}, "rb") as file:
    try:
        process.render(file.read(), sizes=(16,), max_pixels=10**6)
        print("succeeded")
    except render_process.ImageRejectedError as error:
        print(error.reason)
"""
PROBE = """
import os
def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None
def read_memory():
    try:
        with open(f"/proc/{os.getppid()}/maps") as maps, open(f"/proc/{os.getppid()}/mem", "rb") as memory:
            memory.seek(int(next(maps).partition("-")[0], 16))
            return memory.read(4)
    except OSError:
        return None
def read_descriptor():
    try:
        return os.readlink(f"/proc/{os.getppid()}/fd/0")
    except OSError:
        return None
found = {
    "variables": sorted(os.environ.keys() - {"LC_CTYPE"}),  # set by Python: PEP 538
    "own environment": read("/proc/self/environ"),
    "descriptors": sorted(map(int, os.listdir("/proc/self/fd")))[:-1],  # without the one of the listing
    "parent environment": read(f"/proc/{os.getppid()}/environ"),
    "parent memory": read_memory(),
    "parent descriptor": read_descriptor(),
}
os.write(2, repr(found).encode())
"""
NOTHING = {
    "variables": [],
    "own environment": b"",
    "descriptors": [0, 1, 2],
    "parent environment": None,
    "parent memory": None,
    "parent descriptor": None,
}


PR_CAPBSET_DROP, CAP_SETPCAP, CAPABILITIES = 24, 8, 64


def drop_capabilities() -> None:
    """Have the next program get no capabilities, with which a process of root could read every process.

    Functions in Lambda have none, nor have other users than root: for them, nothing changes.
    """
    for capability in (*(number for number in range(CAPABILITIES) if number != CAP_SETPCAP), CAP_SETPCAP):
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


def find_secrets(tmp_path: Path, preparation: str = "") -> dict[str, Any]:
    """Return what the exploited decoder finds. `preparation` is executed before the render process is started."""
    (tmp_path / "pillow_heif.py").write_text(EXPLOITED_DECODER)
    file = tmp_path / "exploit.heic"
    file.write_bytes(exploit(PROBE))
    program = FIND_SECRETS.format(
        decoder=str(tmp_path), repository=str(REPOSITORY), preparation=preparation, file=str(file)
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={SECRET: "a secret"},
        preexec_fn=drop_capabilities,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout == "succeeded\n", result.stderr
    return eval(result.stderr)  # noqa: S307


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_exploited_decoder_finds_no_secrets(tmp_path: Path) -> None:
    assert find_secrets(tmp_path) == NOTHING


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
@pytest.mark.parametrize(
    ("removed_guard", "found"),
    [
        (
            "render_process._forbid_reading_memory = lambda: None",
            {"parent environment", "parent memory", "parent descriptor"},
        ),
        (f"render_process._KEPT_VARIABLES = [{SECRET!r}]", {"variables", "own environment"}),
        (
            "import functools; popen = render_process.subprocess.Popen\n"
            "render_process.subprocess.Popen = functools.partial(popen, close_fds=False)",
            {"descriptors"},
        ),
    ],
    ids=["unreadable memory", "empty environment", "closed descriptors"],
)
def test_exploited_decoder_without_a_guard_finds_secrets(removed_guard: str, found: set[str], tmp_path: Path) -> None:
    findings = find_secrets(tmp_path, removed_guard)
    assert found <= {name for name, finding in findings.items() if finding != NOTHING[name]}


@pytest.mark.skipif(sys.platform != "linux", reason="prctl")
def test_memory_that_stays_readable_raises_os_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render_process, "_PR_SET_DUMPABLE", -1)
    with pytest.raises(OSError, match=r"prctl\(PR_SET_DUMPABLE\)") as caught:
        RenderProcess()
    assert (caught.value.errno, caught.value.strerror) == (errno.EINVAL, "prctl(PR_SET_DUMPABLE)")


@pytest.mark.parametrize(
    "response",
    [
        b"\\xff" * 8,
        b"\\0\\0\\0\\2\\0\\0\\0\\0[]",
        b"\\0\\0\\0\\x13\\0\\0\\0\\0" + b'{\\"rejected\\": \\"x\\"}'.ljust(19),
        b"\\0\\0\\1\\0\\0\\0\\0\\0" + b"[" * 256,
    ],
    ids=["too large", "list", "unknown reason", "nested lists"],
)
def test_response_of_exploited_decoder_is_not_trusted(response: bytes, start_exploitable: StartProcess) -> None:
    process = start_exploitable()
    with pytest.raises(ChildProcessError, match="invalid result"):
        render(process, exploit(f"""import os; os.write(0, b'{response.decode("latin-1")}')"""))
    assert render(process, PHOTO).source.width == 512


@pytest.mark.parametrize(
    ("header_bytes", "image_bytes", "error"),
    [
        (2**16, 2**26, ImageRejectedError),
        (2**16 + 1, 0, ChildProcessError),
        (2**16, 2**26 + 1, ChildProcessError),
    ],
    ids=["within limits", "header too large", "images too large"],
)
def test_response_larger_than_limits_is_not_read(
    header_bytes: int, image_bytes: int, error: type[Exception], start_exploitable: StartProcess
) -> None:
    respond = f"""
import socket, struct
connection = socket.socket(fileno=0)
connection.sendall(struct.pack(">II", {header_bytes}, {image_bytes}))
connection.sendall(b'{{"rejected": "truncated"}}'.ljust({header_bytes}))
connection.sendall(bytes({image_bytes}))
"""
    with pytest.raises(error):
        render(start_exploitable(), exploit(respond))


HEADER: dict[str, Any] = {"format": "jpeg", "size": [9, 9], "lengths": [3, 2, 1]}


def test_parse_response_valid_returns_rendition() -> None:
    rendition = render_process.parse_response(HEADER, memoryview(b"jpgw6w"), SIZES, 7)
    assert rendition == Rendition(
        Source("jpeg", 9, 9, 7),
        (Variant(64, "webp", b"w6"), Variant(16, "webp", b"w")),
        b"jpg",
    )


@pytest.mark.parametrize(
    "change",
    [
        {"format": "exe"},
        {"size": [9]},
        {"size": ["nine", 9]},
        {"size": None},
        {"lengths": [3, 3]},
        {"lengths": [3, 2]},
        {"lengths": [3, 2, 2]},
        {"lengths": [3, 2, 2, -1]},
        {"lengths": [6, -3, 3]},
        {"lengths": []},
        {"rejected": "other"},
        {"rejected": {}},
    ],
    ids=str,
)
def test_parse_response_invalid_raises(change: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        render_process.parse_response(HEADER | change, memoryview(b"jpgw6w"), SIZES, 7)


# --- Files that misbehave ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crash", CRASHES)
def test_crash_is_truncated_and_next_file_is_rendered(
    crash: signal.Signals, start_exploitable: StartProcess, caplog: pytest.LogCaptureFixture
) -> None:
    process = start_exploitable()
    assert get_rejection_reason(process, exploit(f"import os; os.kill(os.getpid(), {crash:d})")) == "truncated"
    assert [record.getMessage() for record in caplog.records] == ["a decoder crashed"]
    assert render(process, PHOTO) == renderer.render(PHOTO, sizes=SIZES, max_pixels=MAX_PIXELS)


def test_loop_is_too_many_pixels_and_next_file_is_rendered(start_exploitable: StartProcess) -> None:
    process = start_exploitable(cpu_seconds=0.5)
    started = time.process_time()
    assert get_rejection_reason(process, exploit("while True: pass")) == "too_many_pixels"
    assert time.process_time() - started < 0.4, "the loop ran in this process"
    assert render(process, PHOTO).source.width == 512


def test_cpu_limit_is_for_each_file(start_exploitable: StartProcess) -> None:
    process = start_exploitable(cpu_seconds=0.5)
    spend = exploit("import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass")
    assert [render(process, spend).source.width for _ in range(3)] == [20] * 3


@pytest.mark.parametrize("allocated", [60_000_000, 50_000_000 + 2 * malloc.KEPT_BYTES])
def test_memory_over_limit_is_too_many_pixels(allocated: int, start_exploitable: StartProcess) -> None:
    process = start_exploitable(memory_bytes=50_000_000)
    assert render(process, exploit("bytes(30_000_000)")).source.width == 20
    assert get_rejection_reason(process, exploit(f"bytes({allocated})")) == "too_many_pixels"
    assert render(process, exploit("bytes(30_000_000)")).source.width == 20


def test_file_is_not_rejected_for_memory_that_another_one_left(start_exploitable: StartProcess) -> None:
    process = start_exploitable(memory_bytes=50_000_000)
    first = process.process
    assert render(process, exploit("import builtins; builtins.left = bytes(30_000_000)")).source.width == 20
    assert process.process is first
    assert render(process, exploit("bytes(40_000_000)")).source.width == 20
    assert process.process is not first


def test_memory_limit_cannot_be_raised_without_capabilities(start_exploitable: StartProcess) -> None:
    process = start_exploitable(memory_bytes=50_000_000)
    check = "import resource; soft, hard = resource.getrlimit(resource.RLIMIT_AS); assert soft == hard > 0"
    assert render(process, exploit(check)).source.width == 20


def test_core_dumps_are_disabled(start_exploitable: StartProcess) -> None:
    check = "import resource; assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)"
    assert render(start_exploitable(), exploit(check)).source.width == 20


def test_killed_process_raises_child_process_error(start_exploitable: StartProcess) -> None:
    process = start_exploitable()
    with pytest.raises(ChildProcessError, match="ended with -9"):
        render(process, exploit("import os; os.kill(os.getpid(), 9)"))
    assert render(process, PHOTO).source.width == 512


def test_unexpected_error_is_raised_and_printed(
    start_exploitable: StartProcess, capfd: pytest.CaptureFixture[str]
) -> None:
    process = start_exploitable()
    with pytest.raises(ChildProcessError, match="ended with 1"):
        render(process, exploit("raise AttributeError('no such thing')"))
    assert "AttributeError: no such thing" in capfd.readouterr().err
    assert render(process, PHOTO).source.width == 512


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import time; time.sleep(60)", "no result in 2 seconds"),
        ("import os, time; os.close(0); time.sleep(60)", "does not end"),
    ],
    ids=["sleeps", "closes its connection"],
)
def test_process_over_timeout_raises_timeout_error(code: str, message: str, start_exploitable: StartProcess) -> None:
    process = start_exploitable(timeout_seconds=2)
    render(process, PHOTO)
    with pytest.raises(TimeoutError, match=message):
        render(process, exploit(code))
    assert render(process, PHOTO).source.width == 512  # by another process: the result of the former would come late


def test_process_that_does_not_read_raises_timeout_error(start_exploitable: StartProcess) -> None:
    process = start_exploitable(timeout_seconds=2)
    os.kill(process.process.pid, signal.SIGSTOP)
    with pytest.raises(TimeoutError):
        render(process, bytes(10_000_000))  # more than the connection buffers


def test_process_that_ends_between_files_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    process = RenderProcess()
    render(process, PHOTO)
    first = process.process
    first.kill()
    wait_until(lambda: first.poll() is not None)
    assert render(process, PHOTO) == renderer.render(PHOTO, sizes=SIZES, max_pixels=MAX_PIXELS)
    assert [record.getMessage() for record in caplog.records] == ["the render process has ended"]
    process.close()


def test_process_ends_with_its_parent() -> None:
    program = (
        "import os; from functions.process_avatar.imaging.render_process import RenderProcess\n"
        "print(RenderProcess().process.pid, flush=True); os._exit(0)"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, check=True)
    wait_until(lambda: not _is_running(int(result.stdout)), timeout=60)
    assert result.stderr == b""


def _is_running(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def count_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_deleted_render_process_leaves_no_process_or_descriptor() -> None:
    before = count_descriptors()
    process = RenderProcess()
    child = process.process
    del process
    gc.collect()
    assert child.returncode == -signal.SIGKILL
    assert count_descriptors() == before


# --- Memory of the parent ---------------------------------------------------------------------------------------------

MEASURE_PEAK = """
import json, re, sys
from functions.process_avatar.imaging.render_process import ImageRejectedError, RenderProcess

def peak_kib():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])

data = sys.stdin.buffer.read()
process = RenderProcess(timeout_seconds=120)
before = peak_kib()
try:
    process.render(data, sizes=(64,), max_pixels=10**6)
    outcome = 'rendered'
except ImageRejectedError as error:
    outcome = error.reason
print(json.dumps([outcome, (peak_kib() - before) * 1024, "PIL" in sys.modules]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
@pytest.mark.parametrize("name", ["JPEG, 10 MiB of segments", "PNG, 10 MiB of chunks", "WebP, 10 MiB of chunks"])
def test_segment_flood_does_not_grow_memory_of_parent(name: str) -> None:
    data = HOSTILE[name].file()
    result = subprocess.run(
        [sys.executable, "-c", MEASURE_PEAK], cwd=REPOSITORY, input=data, capture_output=True, check=True
    )
    outcome, growth, imports_pillow = json.loads(result.stdout)
    assert outcome in HOSTILE[name].outcomes
    assert len(data) >= 10 * 2**20
    assert growth < 4 * 2**20  # a copy of the file would be 10 MiB
    assert not imports_pillow


# --- Limits -----------------------------------------------------------------------------------------------------------


def test_limits_fit_into_timeout_and_memory_of_function() -> None:
    limits = (render_process.CPU_SECONDS, render_process.MEMORY_BYTES, render_process.TIMEOUT_SECONDS)
    assert limits == (3.75, 700_000_000, 7.5)  # docs/decisions/0036-render-process.md
    assert render_process.CPU_SECONDS < render_process.TIMEOUT_SECONDS
    upload, runtime = 50 * 2**20, 100_000_000
    assert render_process.MEMORY_BYTES + upload + runtime < 896 * 2**20
