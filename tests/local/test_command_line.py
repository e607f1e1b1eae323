"""The command lines of `make local` and of the client."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import pytest
import requests

from lambda_packages import build
from local import __main__ as command_line
from local import stack as stacks
from local.stack import ROOT, LocalStack
from tests.local.conftest import wait_until

FREE_PORTS = "0"  # 0 selects five free ports


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)


RunMain = Callable[..., tuple[int, str]]


@pytest.fixture
def run_main(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Generator[RunMain]:
    """Runs `python -m local --once` in this process. Returns its exit status and what it prints to stderr."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    progress = logging.getLogger(build.__name__)
    log_handlers = [*progress.handlers]

    def run_main(*arguments: str) -> tuple[int, str]:
        outputs = str(tmp_path / "outputs.json")
        status = command_line.main(["--once", "--outputs", outputs, "--port", FREE_PORTS, *arguments])
        return status, capsys.readouterr().err

    yield run_main
    progress.handlers[:] = log_handlers
    for number, handler in handlers.items():
        signal.signal(number, handler)


class TestOnce:
    def test_once_uploads_the_demo_photo_and_leaves_no_files(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        temporary = tmp_path / "tmp"
        temporary.mkdir()
        monkeypatch.setenv("TMPDIR", str(temporary))
        finished = run("local", "--once", "--openid", "--outputs", tmp_path / "outputs.json", "--port", FREE_PORTS)
        assert (finished.returncode, finished.stderr) == (0, "")
        assert re.search(r"^Ready in \d+\.\d s: \d+ resources$", finished.stdout, re.MULTILINE)
        starts = re.findall(r"^photo\.jpg +(cold|warm) .* avatar\.ready$", finished.stdout, re.MULTILINE)
        assert starts == ["cold", "warm"]
        assert list(temporary.iterdir()) == []
        assert not (tmp_path / "outputs.json").exists()

    def test_missing_photo_is_an_error(self, run_main: RunMain) -> None:
        assert run_main("no/such.jpg") == (1, "error: cannot read no/such.jpg: No such file or directory\n")

    def test_file_without_image_extension_is_an_error(self, run_main: RunMain) -> None:
        status, errors = run_main(str(ROOT / "README.md"))
        assert status == 1
        assert errors.startswith(f"error: {ROOT}/README.md is not a photo by its name")

    def test_invalid_photo_is_an_error_with_the_reason(
        self, run_main: RunMain, stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(command_line, "LocalStack", lambda *_, **__: contextlib.nullcontext(stack))
        text_file = tmp_path / "me.jpg"
        text_file.write_text("not a picture")
        status, errors = run_main(str(text_file))
        assert status == 1
        assert errors.endswith("error: the photo was rejected: not_an_image\n")

    def test_port_in_use_is_an_error(self, run_main: RunMain) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            status, errors = run_main("--port", str(port))
        assert status == 1
        assert f"AWS needs port {port} on 127.0.0.1" in errors
        assert "--port" in errors

    def test_logs_of_unknown_function_are_an_error_that_lists_the_functions(self, run_main: RunMain) -> None:
        status, errors = run_main("--logs", "nope")
        assert status == 1
        assert errors.startswith("error: there is no function nope to show the log of; functions: authorize, current_")

    def test_unknown_stack_is_an_error_that_lists_the_stacks(self, run_main: RunMain) -> None:
        expected = "error: there is no Pulumi.nope.yaml; stacks with a configuration file: dev\n"
        assert run_main("--stack", "nope") == (1, expected)


def test_keys_of_a_user_pool_are_ignored_with_an_openid_provider(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stacks, "ROOT", tmp_path)
    shutil.copy(ROOT / "Pulumi.yaml", tmp_path)
    settings = {"avatars:selfSignUp": True, "avatars:profileNames": "cognito", "avatars:domain": "avatars.example.com"}
    (tmp_path / "Pulumi.prod.yaml").write_text(json.dumps({"config": settings}))
    config, ignored = stacks.read_config("prod")
    assert (config["avatars:profileNames"], ignored) == ("cognito", ["domain"])
    config, ignored = stacks.read_config("prod", openid=True)
    assert (config["avatars:profileNames"], ignored) == ("generated", ["domain", "selfSignUp", "profileNames"])


_HOLD_FIRST_PHOTO = """
import pathlib

def handle(event, _context):
    asked = pathlib.Path({asked!r})
    first = asked.read_text() if asked.exists() else event["upload_id"]
    asked.write_text(first)
    return {{"decision": "hold" if event["upload_id"] == first else "approve"}}
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """The outputs file of a stack that `make local` keeps running. `started` beside it has what was printed."""
    folder = tmp_path_factory.mktemp("running")
    outputs = folder / "outputs.json"
    (folder / "handler.py").write_text(_HOLD_FIRST_PHOTO.format(asked=str(folder / "asked")))
    command = [sys.executable, "-m", "local", "--outputs", outputs, "--port", FREE_PORTS, "--moderation", folder]
    process = subprocess.Popen(list(map(str, command)), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if "Ctrl-C" in line:
            break
    (folder / "started").write_text("".join(lines))
    assert process.poll() is None
    yield outputs
    children = list_children(process.pid)
    assert children, "functions run as processes"
    process.send_signal(signal.SIGINT)
    process.stdout.close()
    assert process.wait(timeout=60) == 0
    assert not outputs.exists()
    wait_until(lambda: not any(is_running(child) for child in children), "the processes of all functions have ended")


def list_children(pid: int) -> Sequence[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


class TestRunningStack:
    def test_photo_that_moderation_holds_is_reported(self, running: Path) -> None:
        started = running.with_name("started").read_text()
        assert re.search(r"^upload \w+ of \S+ is held .*: see make held STACK=local$", started, re.MULTILINE)

    def test_logs_are_beside_the_outputs_file(self, running: Path) -> None:
        assert '"avatar.held"' in (running.parent / "logs" / "process_avatar.log").read_text()
        assert (running.parent / "logs" / "moderation.log").exists()

    def test_outputs_file_is_private_and_complete(self, running: Path) -> None:
        assert stat.S_IMODE(running.stat().st_mode) == 0o600
        outputs = json.loads(running.read_text())
        assert {"apiUrl", "cdnUrl", "avatarUrl", "uploadsBucket", "assetsBucket", "topicArn", "userPoolId",
                "userPoolClientId", "cognitoEndpoint", "users", "profileUrl", "avatarUploadUrl",
                "databaseUrl"} <= set(outputs)  # fmt: skip
        assert all(outputs[name].startswith("http://127.0.0.1:") for name in ("apiUrl", "cdnUrl", "cognitoEndpoint"))

    def test_client_uploads_with_the_outputs_file(self, running: Path) -> None:
        uploaded = run("client", "upload", "--outputs", running, "local/photo.jpg")
        assert (uploaded.returncode, uploaded.stderr) == (0, "")
        pictures = re.findall(r"http://\S+\.webp", uploaded.stdout)
        assert [requests.get(url, timeout=5).status_code for url in pictures] == [200]

    @pytest.mark.parametrize(
        ("subject", "message"),
        [("nobody", "error: there is no original incoming/nobody/01A: "), ("a/b", "error: 'a/b' cannot be part of")],
    )
    def test_reprocess_without_original_is_an_error_message(self, running: Path, subject: str, message: str) -> None:
        failed = run("operations", "--outputs", running, "reprocess", subject, "01A")
        assert failed.returncode == 1
        assert failed.stderr.startswith(message)

    def test_wrong_password_is_an_error_message(self, running: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AVATARS_USERNAME", json.loads(running.read_text())["users"][0]["username"])
        monkeypatch.setenv("AVATARS_PASSWORD", "wrong")
        failed = run("client", "upload", "--outputs", running, "local/photo.jpg")
        assert failed.returncode == 1
        assert failed.stderr.startswith("error: grace@example.com cannot sign in: ")

    def test_all_ports_listen_only_on_localhost(self, running: Path) -> None:
        ports = {int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", running.read_text())}
        assert len(ports) == 4
        sockets = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
        listening = re.findall(r": ([0-9A-F]+):([0-9A-F]{4}) 0+:0000 0A ", sockets)
        addresses = {address for address, port in listening if int(port, 16) in ports}
        assert addresses == {"0100007F"}


class TestMake:
    """The Makefile targets for a deployed stack, with a fake Pulumi CLI that prints the outputs of a local one."""

    def make(self, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        # A `make test` that runs these tests would pass its flags and its level.
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
        environment = {**kept, "PATH": f"{folder}:/usr/local/bin:/usr/bin:/bin"}
        command = [
            "make",
            "--old-file=.venv/local",
            f"VENV={Path(sys.executable).parent}",
            "STACK=fake",
            *arguments,
        ]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)

    @pytest.fixture
    def pulumi(self, tmp_path: Path, running: Path) -> Generator[Path]:
        cli = tmp_path / "pulumi"
        cli.write_text(f'#!/bin/sh\ntest "$*" = "stack output --json --stack fake" && cat {running}\n')
        cli.chmod(0o755)
        yield tmp_path
        (ROOT / ".build" / "outputs" / "fake.json").unlink(missing_ok=True)

    def test_upload_and_erase_use_the_stack_outputs(
        self, pulumi: Path, running: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        user = json.loads(running.read_text())["users"][1]  # the other tests upload as the first, who is not blocked
        monkeypatch.setenv("AVATARS_USERNAME", user["username"])
        monkeypatch.setenv("AVATARS_PASSWORD", user["password"])
        uploaded = self.make(pulumi, "upload", "PHOTO=local/photo.jpg")
        assert (uploaded.returncode, uploaded.stderr) == (0, "")
        assert uploaded.stdout.startswith("photo.jpg: form ")
        (subject,) = set(re.findall(r"/avatars/([^/]+)\.jpg", uploaded.stdout))
        erased = self.make(pulumi, "erase", f"SUBJECT={subject}")
        assert (erased.returncode, erased.stderr) == (0, "")
        assert re.match(rf"Removed of {subject}:\n  [1-9]\d* object versions\n", erased.stdout)
        assert "\nRemaining:\n  a block of uploads, until " in erased.stdout

    def test_reprocess_uses_the_stack_outputs(self, pulumi: Path) -> None:
        failed = self.make(pulumi, "reprocess", "SUBJECT=nobody", "UPLOAD=01A")
        assert "error: there is no original incoming/nobody/01A: " in failed.stderr
        assert "make reprocess needs SUBJECT" in self.make(pulumi, "reprocess", "UPLOAD=01A").stderr

    def test_status_logs_and_redrive_use_the_stack_outputs(self, pulumi: Path) -> None:
        status = self.make(pulumi, "status")
        assert (status.returncode, status.stderr) == (0, "")
        assert re.search(r"^failed       nothing$.*^functions ", status.stdout, re.MULTILINE | re.DOTALL)
        logs = self.make(pulumi, "logs", "FUNCTION=process_avatar", "SINCE=1d")
        assert logs.stdout.startswith("process_avatar {")
        assert "make discard needs MESSAGE" in self.make(pulumi, "discard").stderr

    def test_takedown_block_and_unblock_use_the_stack_outputs(self, pulumi: Path) -> None:
        taken = self.make(pulumi, "takedown", "SUBJECT=nobody", "BLOCK=2")
        assert (taken.returncode, taken.stderr) == (0, "")
        assert "uploads of nobody are rejected until " in taken.stdout
        assert self.make(pulumi, "block", "SUBJECT=nobody", "BLOCK=1").returncode == 0
        assert "nobody was blocked until " in self.make(pulumi, "unblock", "SUBJECT=nobody").stdout

    def test_operation_without_its_variables_shows_usage(self, pulumi: Path) -> None:
        for target in ("erase", "takedown", "block", "unblock"):
            failed = self.make(pulumi, target, "BLOCK=1")
            assert (failed.returncode, f"make {target} needs SUBJECT" in failed.stderr) == (2, True)
        assert "make block needs BLOCK" in self.make(pulumi, "block", "SUBJECT=nobody").stderr

    def test_moderation_uses_the_stack_outputs(self, pulumi: Path) -> None:
        held = self.make(pulumi, "held").stdout
        assert re.match(r"SUBJECT=\S+ UPLOAD=\w+-\w+ since \S+", held), held
        assert held.endswith("\n1 held\n")
        for target, options in (("approve", []), ("reject", ["REASON=it's a logo"])):
            failed = self.make(pulumi, target, "SUBJECT=nobody", "UPLOAD=01A", *options)
            assert failed.stderr.startswith("error: 01A of nobody is not held: ")
            usage = self.make(pulumi, target, "UPLOAD=01A")
            assert (usage.returncode, f"make {target} needs SUBJECT" in usage.stderr) == (2, True)

    def test_upload_without_photo_shows_usage(self, pulumi: Path) -> None:
        failed = self.make(pulumi, "upload")
        assert failed.returncode == 2
        assert "make upload STACK=fake PHOTO=me.jpg" in failed.stderr

    def test_upload_without_pulumi_cli_is_an_error(self, tmp_path: Path) -> None:
        failed = self.make(tmp_path, "upload", "PHOTO=local/photo.jpg")
        assert failed.returncode == 2
        assert "this needs the Pulumi CLI" in failed.stderr


def test_client_with_invalid_outputs_is_an_error_message(tmp_path: Path) -> None:
    for content, message in (("{", "is not JSON"), ('{"users": [{"username": "a", "password": "b"}]}', "apiUrl")):
        outputs = tmp_path / "outputs.json"
        outputs.write_text(content)
        failed = run("client", "upload", "--outputs", outputs, "local/photo.jpg")
        assert (failed.returncode, message in failed.stderr) == (1, True), failed.stderr


@pytest.mark.parametrize(
    ("pool", "message"),
    [
        ({"userPoolId": "eu-west-1_a", "userPoolClientId": "b"}, "no user: set AVATARS_USERNAME and AVATARS_PASSWORD"),
        ({}, "the stack's users are not those of Cognito: set AVATARS_ACCESS_TOKEN to an access token of its issuer"),
    ],
    ids=["cognito", "openid"],
)
def test_client_without_user_and_terminal_names_the_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pool: dict[str, str], message: str
) -> None:
    outputs = tmp_path / "outputs.json"
    outputs.write_text(json.dumps({"apiUrl": "http://127.0.0.1:1", **pool}))
    for name in [name for name in os.environ if name.startswith("AVATARS_")]:
        monkeypatch.delenv(name)
    failed = run("client", "upload", "--outputs", outputs, "local/photo.jpg")
    assert (failed.returncode, failed.stderr) == (1, f"error: {message}\n")
