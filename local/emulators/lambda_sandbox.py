"""An execution environment of a Lambda function: a process with a Lambda runtime client, and its Runtime API.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html. The process has only the deployment package, the layers,
the runtime client and the environment variables of the function; it inherits nothing from this process.
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

from local.emulators.http_server import HOST, SHUTDOWN_POLL_SECONDS

_API = "/2018-06-01/runtime"
_CHECK_SECONDS = 0.05
_BOOTSTRAP = """
import sys
handler, *sys.path[0:0] = sys.argv[1:]
try:
    from awslambdaric.__main__ import main
except ModuleNotFoundError:
    from local_runtime_client import run
    run(handler)
else:
    sys.exit(main(["bootstrap", handler]))
"""


@dataclass(frozen=True)
class InvocationResult:
    """The result of an invocation. `error` is the error object of Lambda (`errorType`, `errorMessage`) or None."""

    payload: Any
    error: Mapping[str, Any] | None
    is_cold_start: bool


THROTTLED: Mapping[str, Any] = {"errorType": "TooManyRequestsException", "errorMessage": "Rate Exceeded."}
"""The error of an invocation above the reserved concurrency.

https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
"""


@dataclass(frozen=True)
class SandboxConfig:
    """Configuration of a sandbox. `memory` is in MiB, `timeout` in seconds; `path` is prepended to `sys.path`."""

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
    """Handles one invocation at a time, and none after it `is_terminated`."""

    def __init__(self, config: SandboxConfig) -> None:
        self._config = config
        self._invocations: queue.Queue[_Invocation | None] = queue.Queue()
        self._results: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._is_cold = True
        self.is_terminated = False
        self._api = ThreadingHTTPServer((HOST, 0), _create_api_handler(self))
        self._api.daemon_threads = True
        threading.Thread(target=self._api.serve_forever, args=(SHUTDOWN_POLL_SECONDS,), daemon=True).start()
        with config.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _BOOTSTRAP, config.handler, *map(str, config.path)],
                env={**config.environment, "AWS_LAMBDA_RUNTIME_API": f"{HOST}:{self._api.server_port}"},
                cwd=config.path[0],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def invoke(self, event: Any) -> InvocationResult:
        started = time.monotonic()
        deadline = time.time() + self._config.timeout
        self._invocations.put(_Invocation(str(uuid.uuid4()), json.dumps(event).encode(), int(deadline * 1000)))
        kind, body = self._wait_for_result(started + self._config.timeout)
        is_cold_start, self._is_cold = self._is_cold, False
        payload = json.loads(body) if body else None
        return InvocationResult(
            payload=payload if kind == "response" else None,
            error=None if kind == "response" else payload,
            is_cold_start=is_cold_start,
        )

    def kill(self) -> None:
        """Kills the process and those that it started: an invocation fails as after a crash."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        self.is_terminated = True
        self.kill()
        self._process.wait()
        self._invocations.put(None)
        self._api.shutdown()
        self._api.server_close()

    def _wait_for_result(self, deadline: float) -> tuple[str, bytes]:
        """Waits for the result. Reports an exited process, a timeout and too much memory with the errors of Lambda."""
        while True:
            with contextlib.suppress(queue.Empty):
                return self._results.get(timeout=_CHECK_SECONDS)
            if self._process.poll() is not None:
                return self._terminate(
                    "Runtime.ExitError", f"the function exited with status {self._process.returncode}"
                )
            if time.monotonic() > deadline:
                return self._terminate("Sandbox.Timedout", f"the function ran longer than {self._config.timeout} s")
            if self._measure_resident_mib() > self._config.memory:
                return self._terminate("Runtime.OutOfMemory", f"the function used more than {self._config.memory} MiB")

    def _terminate(self, error: str, message: str) -> tuple[str, bytes]:
        self.close()
        return "error", json.dumps({"errorType": error, "errorMessage": message}).encode()

    def _measure_resident_mib(self) -> float:
        try:
            pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        except (OSError, IndexError):  # there is no procfs, or the process has exited
            return 0
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def wait_for_invocation(self) -> _Invocation | None:
        """Waits for the next invocation. Returns None when the sandbox is closed."""
        return self._invocations.get()

    def report(self, kind: str, body: bytes) -> None:
        """Reports the result of an invocation. `kind` is `response`, `error` or `init-error`."""
        if kind == "init-error":
            self.is_terminated = True
        self._results.put((kind, body))

    @property
    def arn(self) -> str:
        return self._config.arn


def _create_api_handler(sandbox: Sandbox) -> type[BaseHTTPRequestHandler]:
    class RuntimeApi(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle(self) -> None:
            with contextlib.suppress(ConnectionError):  # the process was terminated
                super().handle()

        def do_GET(self) -> None:
            invocation = sandbox.wait_for_invocation()
            if invocation is None:
                self.close_connection = True
                return
            headers = {
                "Lambda-Runtime-Aws-Request-Id": invocation.id,
                "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
                "Lambda-Runtime-Invoked-Function-Arn": sandbox.arn,
                "Content-Type": "application/json",
            }
            self._send(200, invocation.event, headers)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            path = self.path.removeprefix(_API)
            sandbox.report("init-error" if path == "/init/error" else path.rsplit("/", 1)[-1], body)
            self._send(202, b"{}", {"Content-Type": "application/json"})

        def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - name of the base class
            """Disables the access log."""

    return RuntimeApi
