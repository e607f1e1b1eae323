"""A subprocess with CPU and memory limits, for files that can exhaust either.

AVIF and HEIC files contain sequences, grids, and layers: a few kilobytes can declare one small image and keep a decoder
busy for hours or fill the memory. A decoder cannot be interrupted from within its own process. The subprocess takes a
few milliseconds, decoding hundreds, and a crash in it affects one file only.
"""

import logging
import os
import resource
import select
import signal
import struct
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from functions.process_avatar.imaging.cropping import Square
from functions.process_avatar.imaging.formats import ImageRejectedError, RejectionReason

# A HEIC of 50 million pixels with alpha takes 1.4 seconds on a fast processor.
CPU_SECONDS = 4
# In addition to the parent's address space. 50 million pixels with alpha take 530 MB as HEIC, 590 MB as AVIF, and as
# WebP up to 1,100 MB, which exceeds the limit. The rest of the function's 1,024 MB is for the upload and the runtime.
MEMORY_BYTES = 700_000_000
# Longer than CPU_SECONDS can last with the function's memory: 6.9 seconds. A subprocess that takes longer has waited
# for a processor: not the file's fault. The function's timeout has room for it (components/avatar_pipeline.py).
TIMEOUT_SECONDS = 7.5

logger = logging.getLogger(__name__)

_HEADER = struct.Struct("4sIII")  # mode, edge of the square, width and height of the source
_SQUARE, _REJECTION = b"S", b"R"
_CRASH_SIGNALS = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}


def run_in_subprocess(task: Callable[[], Square]) -> Square:
    """Run `task` in a forked process and return its result.

    Raises:
        ImageRejectedError: What `task` raised; `too_many_pixels` above CPU_SECONDS or MEMORY_BYTES; `truncated` if the
            process crashed.
        TimeoutError: The process got too little CPU time. Retryable.
        ChildProcessError: The process failed for another reason that is not the file's. Retryable.
    """
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        # Python warns about forking with threads, which can hold locks. The child does not acquire their locks.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        os.close(reader)
        _run_child(task, writer)
    os.close(writer)
    try:
        result = _read_until_closed(reader)
    except TimeoutError:
        os.kill(child, signal.SIGKILL)
        raise
    finally:
        os.close(reader)
        _, status = os.waitpid(child, 0)
    return _parse_result(result, os.waitstatus_to_exitcode(status))


def _run_child(task: Callable[[], Square], writer: int) -> None:
    status = 1
    try:
        _set_limit(resource.RLIMIT_CPU, CPU_SECONDS)
        if sys.platform == "linux":  # local runs on other systems have no /proc
            _set_limit(resource.RLIMIT_AS, _address_space_bytes() + MEMORY_BYTES)
        _set_limit(resource.RLIMIT_CORE, 0)
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(_serialize_result(task))
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)  # skips the exit handlers and buffers copied from the parent


def _set_limit(limit: int, value: int) -> None:
    _, hard = resource.getrlimit(limit)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (value, hard))


def _address_space_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _serialize_result(task: Callable[[], Square]) -> bytes:
    try:
        image, source_size = task()
    except ImageRejectedError as error:
        return _REJECTION + error.reason.encode()
    except MemoryError:
        return _REJECTION + b"too_many_pixels"
    return _SQUARE + _HEADER.pack(image.mode.encode(), image.width, *source_size) + image.tobytes()


def _read_until_closed(pipe: int) -> bytes:
    parts: list[bytes] = []
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while select.select([pipe], [], [], max(0, deadline - time.monotonic()))[0]:
        part = os.read(pipe, 1 << 20)
        if not part:
            return b"".join(parts)
        parts.append(part)
    raise TimeoutError(f"the decoder subprocess did not end in {TIMEOUT_SECONDS} seconds: too little CPU time")


def _parse_result(result: bytes, exit_code: int) -> Square:
    """`exit_code` is negative if a signal ended the process: the number of the signal, negated."""
    if exit_code == -signal.SIGXCPU:
        raise ImageRejectedError("too_many_pixels")
    if -exit_code in _CRASH_SIGNALS:
        logger.warning("a decoder crashed", extra={"signal": -exit_code})
        raise ImageRejectedError("truncated")
    if exit_code:
        raise ChildProcessError(f"a decoder ended with {exit_code}")
    kind, content = result[:1], result[1:]
    if kind == _REJECTION:
        reasons: dict[bytes, RejectionReason] = {b"too_many_pixels": "too_many_pixels", b"truncated": "truncated"}
        raise ImageRejectedError(reasons[content])
    mode, edge, width, height = _HEADER.unpack_from(content)
    pixels = memoryview(content)[_HEADER.size :]
    return Square(Image.frombytes(mode.rstrip(b"\0").decode(), (edge, edge), pixels), (width, height))
