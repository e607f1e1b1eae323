"""Many inputs over several workers, each of which is watched: one that crashes or hangs leaves its input behind."""

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

HANG_SECONDS = 60  # for one input of at most a million pixels; long, as other work may want the processor too
_START_SECONDS = 600  # until a worker has made its files
_SLICE = 5000  # inputs a worker takes on at once; it makes the real files first, which takes some seconds
_REPOSITORY = Path(__file__).parents[1]


class Finding(NamedTuple):
    kind: str  # "error", "crash" or "hang"
    details: str
    saved_as: Path


class Campaign:
    """Outcomes and findings add up over all its runs."""

    def __init__(
        self, seed: int, folder: Path, worker: str = "fuzz.worker", hang_seconds: float = HANG_SECONDS
    ) -> None:
        """`folder` gets the inputs that were findings; `worker` is the module that is run."""
        self.findings: list[Finding] = []
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self._seed = seed
        self._folder = folder
        self._worker = worker
        self._hang_seconds = hang_seconds
        self._lock = threading.Lock()

    def run(self, counts: Mapping[str, int]) -> Counter[tuple[str, str]]:
        """Take so many inputs of each kind through the engine."""
        slices = [
            (kind, start, min(start + _SLICE, count))
            for kind, count in counts.items()
            for start in range(0, count, _SLICE)
        ]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda it: self._take(*it), slices))
        return self.outcomes

    def _take(self, kind: str, start: int, stop: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            current = Path(folder) / "input"
            while start < stop:
                current.unlink(missing_ok=True)
                start = self._watch(kind, start, stop, current)

    def _watch(self, kind: str, start: int, stop: int, current: Path) -> int:
        """Where to go on: after the last input, or after the one that ended the worker."""
        command = [sys.executable, "-m", self._worker, kind, str(self._seed), str(start), str(stop), str(current)]
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(command, cwd=_REPOSITORY, stdout=subprocess.PIPE, stderr=errors)
            lines = _lines_of(process)
            reached = start
            while True:
                try:
                    line = lines.get(timeout=self._hang_seconds if current.exists() else _START_SECONDS)
                except queue.Empty:
                    process.kill()
                    process.wait()
                    self._found("hang", f"no answer in {self._hang_seconds} seconds", _read(current))
                    return reached + 1
                if line is None:
                    break
                reached = self._count(line) + 1
            if process.wait() == 0:
                return stop
            errors.seek(0)
            said = errors.read()[-500:].decode(errors="replace")
            self._found("crash", f"exit code {process.returncode}: {said}", _read(current))
            return reached + 1

    def _count(self, line: bytes) -> int:
        number, source_format, outcome, data = json.loads(line)
        kind, _, details = outcome.partition(": ")
        if kind == "error":
            self._found("error", details, bytes.fromhex(data))
        with self._lock:
            self.outcomes[source_format, kind] += 1
        return number

    def _found(self, kind: str, details: str, data: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        saved_as = self._folder / f"{kind}-{hashlib.sha256(data).hexdigest()[:16]}"
        saved_as.write_bytes(data)
        with self._lock:
            self.findings.append(Finding(kind, details, saved_as))


def _read(current: Path) -> bytes:
    return current.read_bytes() if current.exists() else b""  # a worker may not have got that far


def _lines_of(process: subprocess.Popen[bytes]) -> queue.Queue[bytes | None]:
    """Each line that the process prints, then None."""
    lines: queue.Queue[bytes | None] = queue.Queue()

    def read() -> None:
        assert process.stdout
        for line in process.stdout:
            lines.put(line)
        process.stdout.close()
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    return lines
