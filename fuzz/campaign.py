"""Distribute inputs over worker processes, and save the input of each crash, hang, and error."""

import hashlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

HANG_SECONDS = 60  # for one input of at most a million pixels, on a busy machine
_START_SECONDS = 600  # until a worker has generated its files
_SLICE = 5000  # inputs of a worker process, which takes seconds to generate the undamaged files
_REPOSITORY = Path(__file__).parents[1]


class Finding(NamedTuple):
    kind: str  # "error", "crash" or "hang"
    details: str
    saved_as: Path


class Campaign:
    """Outcomes and findings accumulate over all runs."""

    def __init__(
        self, seed: int, folder: Path, worker: str = "fuzz.worker", hang_seconds: float = HANG_SECONDS
    ) -> None:
        """`folder` is for the inputs of findings. `worker` is the module of the worker process."""
        self.findings: list[Finding] = []
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self._seed = seed
        self._folder = folder
        self._worker = worker
        self._hang_seconds = hang_seconds
        self._lock = threading.Lock()

    def run(self, counts: Mapping[str, int]) -> Counter[tuple[str, str]]:
        """Run this number of inputs of each kind."""
        slices = [
            (kind, start, min(start + _SLICE, count))
            for kind, count in counts.items()
            for start in range(0, count, _SLICE)
        ]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda it: self._run_slice(*it), slices))
        return self.outcomes

    def _run_slice(self, kind: str, start: int, stop: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            current = Path(folder) / "input"
            while start < stop:
                current.unlink(missing_ok=True)
                start = self._run_worker(kind, start, stop, current)

    def _run_worker(self, kind: str, start: int, stop: int, current: Path) -> int:
        """Return where to continue: after the last input, or after the one that ended the worker."""
        command = [sys.executable, "-m", self._worker, kind, str(self._seed), str(start), str(stop), str(current)]
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(command, cwd=_REPOSITORY, stdout=subprocess.PIPE, stderr=errors)
            lines = _read_lines(process)
            reached = start
            while True:
                try:
                    line = lines.get(timeout=self._hang_seconds if current.exists() else _START_SECONDS)
                except queue.Empty:
                    process.kill()
                    process.wait()
                    self._add_finding("hang", f"no answer in {self._hang_seconds} seconds", _read(current))
                    return reached + 1
                if line is None:
                    break
                reached = self._count_outcome(line) + 1
            if process.wait() == 0:
                return stop
            errors.seek(0)
            stderr = errors.read()[-500:].decode(errors="replace")
            self._add_finding("crash", f"exit code {process.returncode}: {stderr}", _read(current))
            return reached + 1

    def _count_outcome(self, line: bytes) -> int:
        number, source_format, outcome, data = json.loads(line)
        kind, _, details = outcome.partition(": ")
        if kind == "error":
            self._add_finding("error", details, bytes.fromhex(data))
        with self._lock:
            self.outcomes[source_format, kind] += 1
        return number

    def _add_finding(self, kind: str, details: str, data: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        saved_as = self._folder / f"{kind}-{hashlib.sha256(data).hexdigest()[:16]}"
        saved_as.write_bytes(data)
        with self._lock:
            self.findings.append(Finding(kind, details, saved_as))


def _read(current: Path) -> bytes:
    return current.read_bytes() if current.exists() else b""  # the worker ended before its first input


def _read_lines(process: subprocess.Popen[bytes]) -> queue.Queue[bytes | None]:
    """Return a queue of the lines that the process prints, followed by None."""
    lines: queue.Queue[bytes | None] = queue.Queue()

    def read() -> None:
        assert process.stdout
        for line in process.stdout:
            lines.put(line)
        process.stdout.close()
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    return lines
