"""The sandbox of a function: its environment, and the errors of failed and terminated processes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from local.emulators import lambda_functions
from local.emulators.lambda_functions import install_runtime_client
from local.emulators.lambda_sandbox import Sandbox, SandboxConfig
from tests.local.conftest import wait_until

Start = Callable[..., Sandbox]


@pytest.fixture(scope="module", params=["awslambdaric", "local_runtime_client"])
def runtime(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A folder with AWS's runtime client, and one as it is where AWS's is not installed."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "local_runtime_client":
            patch.setattr(lambda_functions, "_RUNTIME_CLIENT", ())
        folder = install_runtime_client(tmp_path_factory.mktemp("sandbox") / "runtime")
    if not list(folder.glob(f"{request.param}*")):
        pytest.skip(f"{request.param} is not installed")
    return folder


@pytest.fixture
def start(tmp_path: Path, runtime: Path) -> Generator[Start]:
    """Starts a sandbox with `source` as its handler module."""
    started: list[Sandbox] = []

    def start(source: str, *, timeout: float = 10, memory: int = 256, **environment: str) -> Sandbox:
        (tmp_path / "task").mkdir(exist_ok=True)
        (tmp_path / "task" / "handler.py").write_text(source)
        started.append(
            Sandbox(
                SandboxConfig(
                    handler="handler.handle",
                    path=[tmp_path / "task", runtime],
                    environment={"AWS_LAMBDA_LOG_FORMAT": "JSON", **environment},
                    arn="arn:aws:lambda:eu-west-1:123456789012:function:sandboxed",
                    timeout=timeout,
                    memory=memory,
                    log=tmp_path / "log",
                )
            )
        )
        return started[-1]

    yield start
    for sandbox in started:
        sandbox.close()


def invoke_for_error(sandbox: Sandbox, event: Any = None) -> tuple[str, str]:
    result = sandbox.invoke(event)
    assert result.payload is None
    assert result.error is not None
    return result.error["errorType"], result.error["errorMessage"]


def test_handler_receives_event_and_context_and_returns_payload(start: Start) -> None:
    sandbox = start(
        "def handle(event, context):\n"
        "    return [event, context.invoked_function_arn, context.get_remaining_time_in_millis() > 9000]"
    )
    first, second = sandbox.invoke({"a": 1}), sandbox.invoke({"a": 2})
    assert first.payload == [{"a": 1}, "arn:aws:lambda:eu-west-1:123456789012:function:sandboxed", True]
    assert second.payload[0] == {"a": 2}
    assert (first.is_cold_start, second.is_cold_start) == (True, False)


def test_handler_sees_only_the_configured_environment(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_THIS_MACHINE", "secret")
    source = "import os\ndef handle(event, context):\n    return dict(os.environ)"
    variables = start(source, GIVEN="x").invoke({}).payload
    assert variables["GIVEN"] == "x"
    assert "OF_THIS_MACHINE" not in variables
    assert "HOME" not in variables


@pytest.mark.parametrize("module", ["PIL", "psycopg", "jwt", "boto3", "local", "functions"])
def test_import_of_module_outside_package_and_layers_fails(start: Start, module: str) -> None:
    error, message = invoke_for_error(start(f"import {module}\ndef handle(event, context):\n    return 1"))
    assert (error, module in message) == ("Runtime.ImportModuleError", True)


def test_exception_is_reported_and_the_next_invocation_succeeds(start: Start) -> None:
    sandbox = start(
        "def handle(event, context):\n    if event == 'bad':\n        raise ValueError('no good')\n    return event"
    )
    assert invoke_for_error(sandbox, "bad") == ("ValueError", "no good")
    assert sandbox.invoke("fine").payload == "fine"
    assert not sandbox.is_terminated


def test_exited_process_is_reported_as_error(start: Start) -> None:
    sandbox = start("import os\ndef handle(event, context):\n    os._exit(3)")
    assert invoke_for_error(sandbox) == ("Runtime.ExitError", "the function exited with status 3")
    assert sandbox.is_terminated


def test_killed_process_is_reported_as_error_of_its_invocation(start: Start, tmp_path: Path) -> None:
    source = "import pathlib, time\ndef handle(event, context):\n    pathlib.Path(event).touch()\n    time.sleep(60)"
    sandbox, started = start(source), tmp_path / "started"
    with ThreadPoolExecutor(1) as pool:
        invocation = pool.submit(invoke_for_error, sandbox, str(started))
        wait_until(started.exists, "the invocation has begun")
        sandbox.kill()
        assert invocation.result() == ("Runtime.ExitError", "the function exited with status -9")
    assert sandbox.is_terminated
    record = json.loads((tmp_path / "log").read_text())
    assert (record["level"], record["errorMessage"]) == ("ERROR", "the function exited with status -9")


def test_sandbox_closed_during_an_invocation_logs_no_error(start: Start, tmp_path: Path) -> None:
    source = "import pathlib, time\ndef handle(event, context):\n    pathlib.Path(event).touch()\n    time.sleep(60)"
    sandbox, started = start(source), tmp_path / "started"
    with ThreadPoolExecutor(1) as pool:
        invocation = pool.submit(invoke_for_error, sandbox, str(started))
        wait_until(started.exists, "the invocation has begun")
        sandbox.close()
        assert invocation.result()[0] == "Runtime.ExitError"
    assert (tmp_path / "log").read_text() == ""


def test_handler_is_terminated_after_its_timeout(start: Start) -> None:
    sandbox = start("import time\ndef handle(event, context):\n    time.sleep(60)", timeout=0.5)
    assert invoke_for_error(sandbox) == ("Sandbox.Timedout", "the function ran longer than 0.5 s")
    assert sandbox.is_terminated


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="resident memory is read from procfs")  # noqa: PTH110
def test_handler_over_its_memory_limit_is_terminated(start: Start) -> None:
    source = "import time\ndef handle(event, context):\n    data = b'x' * 200_000_000\n    time.sleep(30)"
    assert invoke_for_error(start(source, memory=128)) == ("Runtime.OutOfMemory", "the function used more than 128 MiB")


def test_handler_log_is_written_as_json(start: Start, tmp_path: Path) -> None:
    source = "import logging\ndef handle(event, context):\n    logging.getLogger().warning('seen', extra={'key': 'k'})"
    start(source).invoke({})
    assert '"message": "seen"' in (tmp_path / "log").read_text()
    assert '"key": "k"' in (tmp_path / "log").read_text()


def test_exception_in_log_and_failed_invocation_are_logged_with_stack(start: Start, tmp_path: Path) -> None:
    source = (
        "import logging\n"
        "def handle(event, context):\n"
        "    try:\n        1 / 0\n    except ZeroDivisionError:\n        logging.exception('caught')\n"
        "    raise KeyError('id')"
    )
    result = start(source).invoke({})
    assert result.error is not None
    request_id = result.error["requestId"]
    caught, failed = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert (caught["level"], caught["message"], caught["errorType"]) == ("ERROR", "caught", "ZeroDivisionError")
    assert (failed["level"], failed["errorType"], failed["errorMessage"]) == ("ERROR", "KeyError", "'id'")
    assert "1 / 0" in caught["stackTrace"][0]
    assert "raise KeyError" in failed["stackTrace"][-1]
    assert caught["requestId"] == failed["requestId"] == request_id
    assert caught["location"].endswith("handler.py:handle:6")
    assert caught.keys() == {
        *("timestamp", "level", "message", "logger", "requestId", "errorType", "errorMessage", "stackTrace", "location")
    }
