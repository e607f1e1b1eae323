"""What `make local` prints of the functions' logs."""

from __future__ import annotations

import io
import json
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from local.function_logs import LogPrinter, describe_error
from tests.local.conftest import wait_until


@contextmanager
def print_logs(folder: Path, *shown: str) -> Generator[tuple[io.StringIO, io.StringIO]]:
    """Prints the logs a.log and b.log. Yields the output and the errors, which are complete afterwards."""
    output, errors = io.StringIO(), io.StringIO()
    logs = {name: folder / f"{name}.log" for name in ("a", "b")}
    with closing(LogPrinter(logs, shown, output, errors)):
        yield output, errors


def test_records_of_shown_function_and_errors_of_others_are_printed(tmp_path: Path) -> None:
    failed = json.dumps({"level": "ERROR", "message": "failed", "errorType": "OSError", "errorMessage": "a\nb"})
    with print_logs(tmp_path, "a") as (output, errors):
        (tmp_path / "a.log").write_text(f'{{"level": "INFO"}}\n{failed}\n')
        (tmp_path / "b.log").write_text(f'{{"level": "INFO"}}\nTraceback\n{failed}\n')
    assert output.getvalue() == f'a {{"level": "INFO"}}\na {failed}\n'
    assert errors.getvalue() == "b: failed: OSError: a b\n"


def test_line_is_printed_once_and_when_it_is_complete(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("first\nsec")
    with print_logs(tmp_path, "a") as (output, _):
        wait_until(output.getvalue, "the first line is printed")
        with log.open("a") as file:
            file.write("ond\n")
    assert output.getvalue() == "a first\na second\n"


def test_log_is_printed_from_its_start_after_it_was_rotated(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("a long line before\n")
    with print_logs(tmp_path, "a") as (output, _):
        wait_until(output.getvalue, "the first line is printed")
        log.write_text("after\n")
    assert output.getvalue() == "a a long line before\na after\n"


@pytest.mark.parametrize("line", ["no JSON", "[1]", '{"level": "WARNING", "message": "x"}'])
def test_other_lines_are_no_errors(line: str) -> None:
    assert describe_error(line) is None
