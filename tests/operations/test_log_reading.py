"""Records of functions that `make logs` prints."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from types import SimpleNamespace

import pytest

from functions.shared import upload_id
from operations import log_reading
from operations.__main__ import main
from operations.log_reading import find_log_groups, follow, read_logs
from operations.operated_stack import OperatedStack
from tests.operations.conftest import Function

NOW = datetime.now(UTC).replace(microsecond=0)
UPLOAD = upload_id.create("subject", int((NOW - timedelta(days=3)).timestamp() * 1000))


def build_record(minutes_ago: float, text: str) -> str:
    at = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    return json.dumps({"timestamp": f"{at:%Y-%m-%dT%H:%M:%SZ}", "message": text})


@pytest.fixture
def logs(functions: Mapping[str, Function]) -> Iterator[Mapping[str, Function]]:
    yield functions
    for function in functions.values():
        function.log = ""


def run(outputs: str, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[list[str], str]:
    """Returns the messages, or the lines that are no JSON, each after its function, and what stderr says."""
    assert main(["--outputs", outputs, "logs", *arguments]) == 0
    printed = capsys.readouterr()
    return printed.out.splitlines(), printed.err


def test_records_of_all_functions_are_merged_by_time_over_all_pages(
    outputs_file: str, logs: Mapping[str, Function], capsys: pytest.CaptureFixture[str]
) -> None:
    old = build_record(61, "old")
    records = [build_record(50 - number / 10, f"record {number}") for number in range(250)]
    logs["process_avatar"].log = "\n".join([old, records[0], "Traceback", *records[2::2]])
    logs["upload_status"].log = "\n".join(records[1::2])
    expected = [f"{'upload_status' if number % 2 else 'process_avatar'} {its}" for number, its in enumerate(records)]
    expected.insert(1, "process_avatar Traceback")  # it has the time of the line before
    assert run(outputs_file, capsys) == (expected, "")
    assert run(outputs_file, capsys, "--since", "2h", "--function", "process_avatar")[0] == [
        f"process_avatar {old}",
        *(line for line in expected if line.startswith("process_avatar ")),
    ]


def test_record_with_metrics_has_their_time(
    outputs_file: str, logs: Mapping[str, Function], capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = (
        json.dumps({"_aws": {"Timestamp": int((NOW - timedelta(hours=hours)).timestamp() * 1000)}, "message": "ready"})
        for hours in (2, 0.5)
    )
    logs["process_avatar"].log = f"{old}\n{new}"
    assert run(outputs_file, capsys)[0] == [f"process_avatar {new}"]


def test_upload_is_found_since_it_began(
    outputs_file: str, logs: Mapping[str, Function], capsys: pytest.CaptureFixture[str]
) -> None:
    found = build_record(3 * 24 * 60, f"incoming/subject/{UPLOAD}")
    logs["process_avatar"].log = "\n".join([build_record(1, "another"), found])
    assert run(outputs_file, capsys, "--upload", UPLOAD)[0] == [f"process_avatar {found}"]
    lines, notice = run(outputs_file, capsys, "--upload", UPLOAD, "--since", "2d")
    assert (lines, notice.startswith("no records since ")) == ([], True)
    assert notice.endswith(" UTC of process_avatar, upload_status\n")


def test_following_yields_each_record_once(
    operated: OperatedStack, logs: Mapping[str, Function], monkeypatch: pytest.MonkeyPatch
) -> None:
    function = logs["process_avatar"]
    function.log = build_record(5, "first") + "\n"

    def wait(seconds: float) -> None:
        count = function.log.count("after")
        assert (seconds, count < 2) == (2, True)
        function.log += build_record(0, f"after {count}") + "\n"

    monkeypatch.setattr(log_reading, "time", SimpleNamespace(sleep=wait))
    groups = find_log_groups(operated, operated.functions)
    records = islice(follow(operated, groups, NOW - timedelta(hours=1)), 3)
    assert [json.loads(record.text)["message"] for record in records] == ["first", "after 0", "after 1"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--function", "nope"], "error: FUNCTION is nope; the functions are process_avatar, upload_status\n"),
        (["--upload", "nope"], "error: 'nope' is not an upload id: 26 characters of "),
    ],
)
def test_unknown_function_or_invalid_upload_is_an_error(
    outputs_file: str, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--outputs", outputs_file, "logs", *arguments]) == 1
    assert capsys.readouterr().err.startswith(message)


@pytest.mark.parametrize("since", ["5", "0h", "1w", "h", "10000d", "-1h"])
def test_invalid_time_is_an_error_that_says_what_is_allowed(
    outputs_file: str, since: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["--outputs", outputs_file, "logs", f"--since={since}"])
    assert f"{since!r} is not a number with m, h or d, such as 30m, 2h or 7d" in capsys.readouterr().err


def test_log_group_that_does_not_exist_is_an_error(operated: OperatedStack) -> None:
    with pytest.raises(Exception, match="The specified log group does not exist: nope"):
        list(read_logs(operated, {"process_avatar": "nope"}, NOW))
