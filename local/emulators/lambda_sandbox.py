"""One execution environment of a Lambda function: an OS process under AWS's runtime client, and its Runtime API.

The protocol is https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html. The process sees what it would see in
Lambda: the function's package, its layers, the runtime client, and the environment it is given, nothing of this one.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from local.emulators.http_server import CLOSING_SECONDS, HOST

_API = "/2018-06-01/runtime"
_MEMORY_CHECK_SECONDS = 0.05
_BOOTSTRAP = (
    "import sys; handler, *sys.path[0:0] = sys.argv[1:]; "
    "from awslambdaric.__main__ import main; sys.exit(main(['bootstrap', handler]))"
)


@dataclass(frozen=True)
class Answer:
    """What one invocation came to. `error` is Lambda's error object (`errorType`, `errorMessage`) or None."""

    payload: Any
    error: Mapping[str, Any] | None
    cold: bool
    seconds: float


@dataclass(frozen=True)
class Specification:
    """What a sandbox runs and within which limits. `memory` in MiB, `timeout` in seconds."""

    handler: str
    path: Sequence[Path]
    environment: Mapping[str, str]
    arn: str
    timeout: float
    memory: int
    log: Path


@dataclass(frozen=True)
class _Invocation:
    id: str
    event: bytes
    deadline_ms: int


class Sandbox:
    """Takes one invocation at a time. A sandbox that `is_dead` takes no more."""

    def __init__(self, specification: Specification) -> None:
        self._specification = specification
        self._invocations: queue.Queue[_Invocation | None] = queue.Queue()
        self._answers: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._is_cold = True
        self.is_dead = False
        self._api = ThreadingHTTPServer((HOST, 0), _handler_of(self))
        self._api.daemon_threads = True
        threading.Thread(target=self._api.serve_forever, args=(CLOSING_SECONDS,), daemon=True).start()
        with specification.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _BOOTSTRAP, specification.handler, *map(str, specification.path)],
                env={**specification.environment, "AWS_LAMBDA_RUNTIME_API": f"{HOST}:{self._api.server_port}"},
                cwd=specification.path[0],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def invoke(self, event: Any) -> Answer:
        started = time.monotonic()
        deadline = time.time() + self._specification.timeout
        self._invocations.put(_Invocation(str(uuid.uuid4()), json.dumps(event).encode(), int(deadline * 1000)))
        kind, body = self._wait(started + self._specification.timeout)
        cold, self._is_cold = self._is_cold, False
        payload = json.loads(body) if body else None
        return Answer(
            payload=payload if kind == "response" else None,
            error=None if kind == "response" else payload,
            cold=cold,
            seconds=time.monotonic() - started,
        )

    def close(self) -> None:
        self.is_dead = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._invocations.put(None)
        self._api.shutdown()
        self._api.server_close()

    def _wait(self, until: float) -> tuple[str, bytes]:
        """The answer, or the error that Lambda reports for a function that died, hung or took too much memory."""
        while True:
            with contextlib.suppress(queue.Empty):
                return self._answers.get(timeout=_MEMORY_CHECK_SECONDS)
            if self._process.poll() is not None:
                return self._die("Runtime.ExitError", f"the function exited with status {self._process.returncode}")
            if time.monotonic() > until:
                return self._die("Sandbox.Timedout", f"the function ran longer than {self._specification.timeout} s")
            if self._resident_mib() > self._specification.memory:
                return self._die("Runtime.OutOfMemory", f"the function used more than {self._specification.memory} MiB")

    def _die(self, error: str, message: str) -> tuple[str, bytes]:
        self.close()
        return "error", json.dumps({"errorType": error, "errorMessage": message}).encode()

    def _resident_mib(self) -> float:
        try:
            pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        except (OSError, IndexError):  # no procfs, or the process is just gone
            return 0
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def next_invocation(self) -> _Invocation | None:
        """Called by the runtime client through the API: waits for work; None when the sandbox closes."""
        return self._invocations.get()

    def finish(self, kind: str, body: bytes) -> None:
        """Called by the runtime client through the API: `kind` is `response`, `error` or `init-error`."""
        if kind == "init-error":
            self.is_dead = True
        self._answers.put((kind, body))

    @property
    def arn(self) -> str:
        return self._specification.arn


def _handler_of(sandbox: Sandbox) -> type[BaseHTTPRequestHandler]:
    class RuntimeApi(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            invocation = sandbox.next_invocation()
            if invocation is None:
                self.close_connection = True
                return
            headers = {
                "Lambda-Runtime-Aws-Request-Id": invocation.id,
                "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
                "Lambda-Runtime-Invoked-Function-Arn": sandbox.arn,
                "Content-Type": "application/json",
            }
            with contextlib.suppress(ConnectionError):  # the process was killed while it waited
                self._send(200, invocation.event, headers)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            path = self.path.removeprefix(_API)
            sandbox.finish("init-error" if path == "/init/error" else path.rsplit("/", 1)[-1], body)
            self._send(202, b"{}", {"Content-Type": "application/json"})

        def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            """The runtime client's polling is not worth a line."""

    return RuntimeApi
