"""A process of its own for files that may take a decoder more time or memory than there is.

AVIF and HEIC hold films, grids and layers: a few kilobytes can promise one small picture and keep a decoder busy for
hours, or fill the memory. Nothing in this process could interrupt it. What becomes of another process can be bounded.
It costs some milliseconds, against the hundreds that decoding takes; and a crash in there is one file's, not ours.
"""

import logging
import os
import resource
import select
import signal
import struct
import time
import traceback
import warnings
from collections.abc import Callable

from PIL import Image

from functions.process_avatar.imaging.cropping import Square
from functions.process_avatar.imaging.rejection import Reason, Rejected

# Of 50 million pixels a HEIC with alpha takes 1.4 seconds on a fast processor.
CPU_SECONDS = 10
# Beside what this process has mapped. 50 million pixels with alpha take 530 MB as HEIC and 590 as AVIF; as WebP up to
# 1,100, so that one has to be smaller. Of the function's 1,024 MB, the rest is for the upload itself and the runtime.
MEMORY_BYTES = 700_000_000
# Longer than the processor time can last. What takes longer has waited: that is no fault of the file's.
PATIENCE_SECONDS = 20

logger = logging.getLogger(__name__)

_HEADER = struct.Struct("4sIII")  # mode, edge of the square, width and height of its source
_PICTURE, _REJECTION = b"P", b"R"
_CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}


def confined(work: Callable[[], Square]) -> Square:
    """What `work` gives or rejects, done in a child process within bounds.

    Rejected also if it takes more than CPU_SECONDS of the processor or MEMORY_BYTES (`too_many_pixels`), or crashes
    (`truncated`). TimeoutError if it gets no processor; ChildProcessError if it ends in a way that is not the file's
    fault: both are worth another try.
    """
    receiving, sending = os.pipe()
    with warnings.catch_warnings():
        # Python warns of threads that hold locks while it forks. Whoever has such, the child never asks for theirs.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        os.close(receiving)
        _work_and_exit(work, sending)
    os.close(sending)
    try:
        answer = _received(receiving)
    except TimeoutError:
        os.kill(child, signal.SIGKILL)
        raise
    finally:
        os.close(receiving)
        _, status = os.waitpid(child, 0)
    return _square(answer, os.waitstatus_to_exitcode(status))


def _work_and_exit(work: Callable[[], Square], sending: int) -> None:
    status = 1
    try:
        _limit(resource.RLIMIT_CPU, CPU_SECONDS)
        _limit(resource.RLIMIT_AS, _mapped_bytes() + MEMORY_BYTES)
        _limit(resource.RLIMIT_CORE, 0)
        with os.fdopen(sending, "wb") as pipe:
            pipe.write(_answer(work))
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)  # nothing of the parent's, which this process is a copy of, may be ended in order


def _limit(what: int, value: int) -> None:
    _, most = resource.getrlimit(what)
    value = value if most == resource.RLIM_INFINITY else min(value, most)
    resource.setrlimit(what, (value, most))


def _mapped_bytes() -> int:
    with open("/proc/self/statm") as file:  # noqa: PTH123 - to import pathlib is 1.4 ms of every cold start
        return int(file.read().split()[0]) * resource.getpagesize()


def _answer(work: Callable[[], Square]) -> bytes:
    try:
        picture, source_size = work()
    except Rejected as rejected:
        return _REJECTION + rejected.reason.encode()
    except MemoryError:
        return _REJECTION + b"too_many_pixels"
    return _PICTURE + _HEADER.pack(picture.mode.encode(), picture.width, *source_size) + picture.tobytes()


def _received(pipe: int) -> bytes:
    """All that comes until the other end is closed."""
    parts: list[bytes] = []
    deadline = time.monotonic() + PATIENCE_SECONDS
    while select.select([pipe], [], [], max(0, deadline - time.monotonic()))[0]:
        part = os.read(pipe, 1 << 20)
        if not part:
            return b"".join(parts)
        parts.append(part)
    raise TimeoutError(f"a decoder did not end in {PATIENCE_SECONDS} seconds, for want of a processor")


def _square(answer: bytes, exit_code: int) -> Square:
    """`exit_code` is the negated number of the signal that ended the child, if one did."""
    if exit_code == -signal.SIGXCPU:
        raise Rejected("too_many_pixels")
    if -exit_code in _CRASHES:
        logger.warning("a decoder crashed", extra={"signal": -exit_code})
        raise Rejected("truncated")
    if exit_code:
        raise ChildProcessError(f"a decoder ended with {exit_code}")
    kind, content = answer[:1], answer[1:]
    if kind == _REJECTION:
        reasons: dict[bytes, Reason] = {b"too_many_pixels": "too_many_pixels", b"truncated": "truncated"}
        raise Rejected(reasons[content])
    mode, edge, width, height = _HEADER.unpack_from(content)
    pixels = memoryview(content)[_HEADER.size :]
    return Square(Image.frombytes(mode.rstrip(b"\0").decode(), (edge, edge), pixels), (width, height))
