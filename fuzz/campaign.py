"""Distribute inputs over worker processes, save the input of each finding, and breed the most expensive inputs.

The seed determines inputs of every kind but `bred`: those are changed copies of the inputs that cost the most, and
measured costs vary. So the worst files are saved, as findings are.
"""

import hashlib
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

from fuzz.costs import Cost, Ranking
from fuzz.inputs import BRED, FLOOD, MUTATED, STRUCTURED

HANG_SECONDS = 360  # for one input; longer than the timeout of the worker
_START_SECONDS = 600  # until a worker has generated its files
# Inputs of a worker process, which takes seconds to generate the undamaged files. Hypothesis generates others for
# another number.
_SLICES = {MUTATED: 5000, STRUCTURED: 5000, FLOOD: 500, BRED: 500}
_GENERATIONS, _GENERATION_MIN = 10, 200  # the least number of inputs for which processes are worth starting
_REPOSITORY = Path(__file__).parents[1]


class Finding(NamedTuple):
    kind: str  # "error", "crash", "hang", "decoder crash", "CPU limit" or "memory limit"
    details: str
    saved_as: Path


class Campaign:
    """Outcomes and findings accumulate over all runs."""

    def __init__(
        self, seed: int, folder: Path, worker: str = "fuzz.worker", hang_seconds: float = HANG_SECONDS
    ) -> None:
        """`folder` is for the inputs of findings and the worst files. `worker` is the module of the worker process."""
        self.findings: list[Finding] = []
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.worst: dict[str, tuple[Cost, Path]] = {}  # by measure, of the last run
        self._seed = seed
        self._folder = folder
        self._worker = worker
        self._hang_seconds = hang_seconds
        self._lock = threading.Lock()
        self._ranking = Ranking[Path]()  # of files in self._ranked, which exists during a run
        self._ranked = Path()

    def run(self, counts: Mapping[str, int]) -> Counter[tuple[str, str]]:
        """Run this number of inputs of each kind. Those of `BRED` come last, in generations."""
        self._ranking = Ranking()
        with tempfile.TemporaryDirectory() as ranked:
            self._ranked = Path(ranked)
            self._run_slices(
                (kind, start, min(start + _SLICES[kind], count))
                for kind, count in counts.items()
                if kind != BRED
                for start in range(0, count, _SLICES[kind])
            )
            bred = counts.get(BRED, 0)
            generation = max(_GENERATION_MIN, ceil(bred / _GENERATIONS))
            for start in range(0, bred, generation):
                self._run_generation(start, min(start + generation, bred))
            self._save_worst()
        return self.outcomes

    def _run_generation(self, start: int, stop: int) -> None:
        step = min(_SLICES[BRED], ceil((stop - start) / (os.cpu_count() or 1)))
        with tempfile.TemporaryDirectory() as parents:
            for file in self._ranking.list_files():
                os.link(file, Path(parents) / file.name)
            slices = [(BRED, at, min(at + step, stop)) for at in range(start, stop, step)]
            self._run_slices(slices, Path(parents))

    def _run_slices(self, slices: Iterable[tuple[str, int, int]], parents: Path | None = None) -> None:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda it: self._run_slice(*it, parents=parents), slices))

    def _run_slice(self, kind: str, start: int, stop: int, *, parents: Path | None) -> None:
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as no_parents:
            current = Path(folder) / "input"
            while start < stop:
                current.unlink(missing_ok=True)
                start = self._run_worker(kind, start, stop, current, parents or Path(no_parents))

    def _run_worker(self, kind: str, start: int, stop: int, current: Path, parents: Path) -> int:
        """Return where to continue: after the last input, or after the one that ended the worker."""
        arguments = (kind, self._seed, start, stop, current, parents)
        command = [sys.executable, "-m", self._worker, *map(str, arguments)]
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
                report = json.loads(line)
                self._add_report(report, current.parent)
                reached = report["number"] + 1
            if process.wait() == 0:
                return stop
            errors.seek(0)
            stderr = errors.read()[-500:].decode(errors="replace")
            self._add_finding("crash", f"exit code {process.returncode}: {stderr}", _read(current))
            return reached + 1

    def _add_report(self, report: Mapping[str, Any], folder: Path) -> None:
        cost = Cost(*report["cost"])
        kept = folder / str(report["number"])
        data = kept.read_bytes() if report["is_kept"] else b""
        kept.unlink(missing_ok=True)
        if report["details"] is not None:
            self._add_finding(report["kind"], report["details"], data)
        with self._lock:
            self.outcomes[cost.format, report["kind"]] += 1
            if report["is_kept"]:
                self._rank(cost, data)

    def _rank(self, cost: Cost, data: bytes) -> None:
        """Save the file with those of the ranking, and delete what has no place."""
        file = self._ranked / hashlib.sha256(data).hexdigest()[:16]
        before = {*self._ranking.list_files(), file}
        file.write_bytes(data)
        self._ranking.add(cost, file)
        for superseded in before.difference(self._ranking.list_files()):
            superseded.unlink()

    def _save_worst(self) -> None:
        for measure, (cost, file) in self._ranking.worst().items():
            self._folder.mkdir(parents=True, exist_ok=True)
            saved_as = self._folder / f"worst-{measure}-{file.name}"
            shutil.copyfile(file, saved_as)
            self.worst[measure] = (cost, saved_as)

    def _add_finding(self, kind: str, details: str, data: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        saved_as = self._folder / f"{kind.replace(' ', '-')}-{hashlib.sha256(data).hexdigest()[:16]}"
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
