"""Rendering in a process of its own, for files that exploit a decoder or exhaust time or memory.

A decoder cannot be interrupted from within its process, a crash ends that process, and an exploited decoder can do
whatever its process can. So the process that reads uploads is started with an empty environment and without the
parent's descriptors, the parent's memory cannot be read, and its results are parsed as any other untrusted input. It
renders one file after the other. One that ends it, or has to be ended, is rejected, and a new process is started.
"""

import ctypes
import json
import logging
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

from functions.process_avatar.imaging.formats import Format, ImageRejectedError, RejectionReason
from functions.process_avatar.imaging.rendition import Rendition, Source, Variant
from functions.shared.square_crop import SquareCrop

# A HEIC of 50 million pixels with alpha takes 1.4 seconds on a fast processor.
CPU_SECONDS = 3.75
# In addition to the address space after the start. 50 million pixels with alpha take 530 MB as HEIC, 590 MB as AVIF,
# and as WebP up to 1,100 MB, which exceeds the limit. The rest of the function's 896 MB is for the upload and the
# runtime.
MEMORY_BYTES = 700_000_000
# Longer than CPU_SECONDS can last with the function's memory: 7.4 seconds. A process that takes longer has waited for a
# processor: not the file's fault. The function's timeout has room for it (components/avatar_pipeline.py).
TIMEOUT_SECONDS = 7.5
# Far more than any images, and little enough to fit into the function's memory, parsed headers included.
MAX_HEADER_BYTES = 64 * 1024
MAX_IMAGES_BYTES = 64 * 1024 * 1024

logger = logging.getLogger(__name__)

# Isolated from environment variables and the current folder, and without site: the parent's path has its folders.
_COMMAND = (sys.executable, "-I", "-S", "-c")
_PROGRAM = """
import sys
_, cpu_seconds, memory_bytes, *sys.path = sys.argv
from functions.process_avatar.imaging import render_process
render_process.serve(float(cpu_seconds), int(memory_bytes))
"""
# Where Lambda's Python finds its own library:
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
_KEPT_VARIABLES = ("LD_LIBRARY_PATH",)

_PR_SET_DUMPABLE = 4  # https://man7.org/linux/man-pages/man2/PR_SET_DUMPABLE.2const.html

_LENGTHS = struct.Struct(">II")  # of a JSON header and of the data that follows it
_OUT_OF_MEMORY = 3  # exit code
_CRASH_SIGNALS = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}


class _OutOfMemoryError(Exception):
    """The process has reached its limit of memory."""


class RenderProcess:
    """Starts with its creation, so that it imports the decoders while the caller does something else."""

    def __init__(
        self,
        *,
        cpu_seconds: float = CPU_SECONDS,
        memory_bytes: int = MEMORY_BYTES,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        """`cpu_seconds` and `timeout_seconds` are for each file."""
        self._limits = (str(cpu_seconds), str(memory_bytes))
        self._timeout_seconds = timeout_seconds
        self._lock = threading.Lock()
        _forbid_reading_memory()
        self._start()

    def render(
        self, data: bytes, *, sizes: Sequence[int], max_pixels: int, crop: SquareCrop | None = None
    ) -> Rendition:
        """Return what `renderer.render` returns.

        Raises:
            ImageRejectedError: What `renderer.render` raised; `too_many_pixels` above the limits of CPU time or memory;
                `truncated` if the process crashed.
            TimeoutError: The process got too little CPU time. Retryable.
            ChildProcessError: The process failed for another reason that is not the file's. Retryable.
        """
        with self._lock:
            deadline = time.monotonic() + self._timeout_seconds
            try:
                if self._has_rendered:
                    with suppress(_OutOfMemoryError):
                        return self._render(data, sizes, max_pixels, crop, deadline)
                    # Freed memory of other files may have been in the way: a new process decides.
                return self._render(data, sizes, max_pixels, crop, deadline)
            except _OutOfMemoryError:
                raise ImageRejectedError("too_many_pixels") from None

    def close(self) -> None:
        """End the process. Garbage collection and the end of the interpreter do it too."""
        self._end()

    def _render(
        self, data: bytes, sizes: Sequence[int], max_pixels: int, crop: SquareCrop | None, deadline: float
    ) -> Rendition:
        if self.process.poll() is not None:
            logger.warning("the render process has ended", extra={"exit_code": self.process.returncode})
            self._replace()
        try:
            self._connection.settimeout(max(deadline - time.monotonic(), 0.001))
            _send(self._connection, {"sizes": sizes, "max_pixels": max_pixels, "crop": crop}, data)
            result = parse_response(*self._receive_response(deadline), sizes, len(data))
        except TimeoutError:
            self._replace()
            raise TimeoutError(f"no result in {self._timeout_seconds} seconds: too little CPU time") from None
        except (OSError, EOFError):
            error = self._explain_end(deadline)
            self._replace()
            raise error from None
        except Exception as error:  # whatever an exploited decoder made parsing raise
            self._replace()
            raise ChildProcessError("the render process sent an invalid result") from error
        self._has_rendered = True
        if isinstance(result, ImageRejectedError):
            raise result
        return result

    def _start(self) -> None:
        self._connection, other_end = socket.socketpair()
        with other_end:
            self.process = subprocess.Popen(
                [*_COMMAND, _PROGRAM, *self._limits, *map(os.path.abspath, sys.path)],
                env={name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ},
                stdin=other_end.fileno(),
                stdout=subprocess.DEVNULL,  # stderr is the parent's: the log
            )
        self._has_rendered = False
        self._end = weakref.finalize(self, _end, self.process, self._connection)

    def _replace(self) -> None:
        self.close()
        self._start()

    def _receive_response(self, deadline: float) -> tuple[Any, memoryview]:
        header_bytes, body_bytes = _LENGTHS.unpack(self._receive(_LENGTHS.size, deadline))
        if header_bytes > MAX_HEADER_BYTES or body_bytes > MAX_IMAGES_BYTES:
            raise ValueError("too large")
        header = json.loads(bytes(self._receive(header_bytes, deadline)))
        return header, self._receive(body_bytes, deadline)

    def _receive(self, size: int, deadline: float) -> memoryview:
        whole = rest = memoryview(bytearray(size))
        while rest:
            self._connection.settimeout(max(deadline - time.monotonic(), 0.001))
            if not (received := self._connection.recv_into(rest)):
                raise EOFError
            rest = rest[received:]
        return whole

    def _explain_end(self, deadline: float) -> Exception:
        """Return the error for a process that has closed its end of the connection."""
        try:
            exit_code = self.process.wait(max(deadline - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            return TimeoutError("the render process does not end")
        # A negative exit code is the number of a signal.
        if exit_code == _OUT_OF_MEMORY:
            return _OutOfMemoryError()
        if exit_code == -signal.SIGPROF:
            return ImageRejectedError("too_many_pixels")
        if -exit_code in _CRASH_SIGNALS:
            logger.warning("a decoder crashed", extra={"signal": -exit_code})
            return ImageRejectedError("truncated")
        return ChildProcessError(f"the render process ended with {exit_code}")


def _end(process: subprocess.Popen[bytes], connection: socket.socket) -> None:
    connection.close()
    process.kill()
    process.wait()


def _forbid_reading_memory() -> None:
    """Make the memory, environment and descriptors of this process unreadable for others of the same user.

    Including /proc/<pid>/environ and /proc/<pid>/mem. Processes with CAP_SYS_PTRACE, such as root's, can still read
    them: https://man7.org/linux/man-pages/man2/ptrace.2.html, ptrace access mode checking.
    """
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE)")


def _send(connection: socket.socket, header: object, *data: bytes) -> None:
    encoded = json.dumps(header).encode()
    connection.sendall(_LENGTHS.pack(len(encoded), sum(map(len, data))) + encoded)
    for part in data:
        connection.sendall(part)


def parse_response(
    header: Any, body: memoryview, sizes: Sequence[int], source_bytes: int
) -> Rendition | ImageRejectedError:
    """Parse a response of `serve`, which may be a decoder's that was exploited.

    Raises:
        Exception: The response is invalid.
    """
    if "rejected" in header:
        return ImageRejectedError(_require_one_of(header["rejected"], get_args(RejectionReason)))
    image_format = _require_one_of(header["format"], get_args(Format))
    images: list[bytes] = []
    at = 0
    for length in header["lengths"]:
        images.append(bytes(body[at : at + length]))
        at += length
    stable_jpeg, *variants = images
    if at != len(body) or sum(map(len, images)) != at:
        raise ValueError("the lengths are not those of the data")
    width, height = map(int, header["size"])
    edges = sorted(set(sizes), reverse=True)
    return Rendition(
        Source(image_format, width, height, source_bytes),
        tuple(Variant(edge, "webp", image) for edge, image in zip(edges, variants, strict=True)),
        stable_jpeg,
    )


def _require_one_of(value: Any, allowed: tuple[Any, ...]) -> Any:
    if value not in allowed:
        raise ValueError(f"{value!r:.80} is not allowed")
    return value


# --- In the process ---------------------------------------------------------------------------------------------------


def serve(cpu_seconds: float, memory_bytes: int) -> None:
    """Render the files that arrive through the socket on standard input until the parent closes it."""
    from functions.process_avatar.imaging import malloc, renderer

    malloc.keep_freed_memory()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":  # local runs on other systems have no /proc
        limit = _address_space_bytes() + memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    connection = socket.socket(fileno=sys.stdin.fileno())
    while lengths := connection.recv(_LENGTHS.size, socket.MSG_WAITALL):
        header_bytes, data_bytes = _LENGTHS.unpack(lengths)
        options = json.loads(connection.recv(header_bytes, socket.MSG_WAITALL))
        crop = SquareCrop(*options["crop"]) if options["crop"] else None
        # RLIMIT_CPU is for the whole life of a process. SIGPROF ends it, as SIGXCPU does.
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        try:
            data = connection.recv(data_bytes, socket.MSG_WAITALL)
            rendition = renderer.render(data, sizes=options["sizes"], max_pixels=options["max_pixels"], crop=crop)
        except ImageRejectedError as error:
            response, images = {"rejected": error.reason}, []
        except MemoryError:
            os._exit(_OUT_OF_MEMORY)  # what is left of the file may need the memory of the next one
        else:
            images = [rendition.stable_jpeg, *(variant.data for variant in rendition.variants)]
            source = rendition.source
            response = {
                "format": source.format,
                "size": (source.width, source.height),
                "lengths": [len(image) for image in images],
            }
        signal.setitimer(signal.ITIMER_PROF, 0)
        _send(connection, response, *images)


def _address_space_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
