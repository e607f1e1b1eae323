"""Prints what the functions of a running stack log."""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TextIO

_POLL_SECONDS = 0.2


class LogPrinter:
    """Prints each error of a function in one line, and all records of those that are to be shown."""

    def __init__(self, logs: Mapping[str, Path], shown: Collection[str], output: TextIO, errors: TextIO) -> None:
        """`logs` are the log files by function. Records are printed to `output`, errors to `errors`."""
        self._logs, self._shown, self._output, self._errors = logs, shown, output, errors
        self._positions = dict.fromkeys(logs, 0)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="logs", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Prints what has been logged until now, and stops."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(_POLL_SECONDS):
            self._print_new()
        self._print_new()

    def _print_new(self) -> None:
        for function, log in self._logs.items():
            for line in self._read_lines(function, log):
                if function in self._shown:
                    print(f"{function} {line}", file=self._output, flush=True)
                elif error := describe_error(line):
                    print(f"{function}: {error}", file=self._errors, flush=True)

    def _read_lines(self, function: str, log: Path) -> list[str]:
        """Returns the lines that have been completed since the last time."""
        if not log.exists():
            return []
        with log.open("rb") as file:
            if file.seek(0, 2) < self._positions[function]:  # the log was rotated
                self._positions[function] = 0
            file.seek(self._positions[function])
            complete = file.read().rpartition(b"\n")
        self._positions[function] += len(complete[0] + complete[1])
        return complete[0].decode(errors="replace").splitlines()


def describe_error(line: str) -> str | None:
    """Returns an error record of a log in one line, without its stack trace; None for any other line."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    if not isinstance(record, dict) or record.get("level") not in ("ERROR", "CRITICAL"):
        return None
    parts = [record.get(name) for name in ("message", "key", "errorType", "errorMessage")]
    return ": ".join(" ".join(str(part).split()) for part in parts if part)
