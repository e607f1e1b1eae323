"""Runs the tests of a module on its mutants, each in a process of its own and on a copy of the repository."""

import gc
import importlib
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from io import StringIO
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, TypeAlias

import pytest

from mutation.mutants import Mutant, list_mutants

SETTINGS = Path("mutation", "core.toml")
EQUIVALENTS = Path("mutation", "equivalent.toml")
OUTPUT = "output.txt"
"""What pytest printed, in a copy."""

# How many times slower than without a mutant tests may be, in addition to Settings.timeout_seconds.
_TIMEOUT_FACTOR = 4
_TEST_TIMEOUT_SECONDS = 600  # without a mutant
_IGNORED_WARNING = "ignore:Module already imported:pytest.PytestAssertRewriteWarning"  # by _preload
# For mutants that allocate without an end.
_ADDRESS_SPACE_BYTES = 12 * 1024**3

Outcome: TypeAlias = Literal["found", "timeout", "survived"]


class CampaignError(Exception):
    """The settings or the list of equivalent mutants are wrong, or tests fail without a mutant."""


@dataclass(frozen=True)
class Settings:
    tests: Mapping[str, tuple[str, ...]]
    """Test files by the path of a core module, in the order in which they run."""
    preload: Sequence[str]
    """Modules of dependencies that are imported once, before the first mutant."""
    timeout_seconds: float
    """For tests that run on a busy machine, or were fast by chance without a mutant."""
    equivalents: Sequence[Mapping[str, str]]


def read_settings(root: Path) -> Settings:
    """Read the settings and the list of equivalent mutants.

    Raises:
        CampaignError: a pattern of modules matches nothing.
    """
    settings = tomllib.loads((root / SETTINGS).read_text())
    equivalents = tomllib.loads((root / EQUIVALENTS).read_text())
    tests: dict[str, tuple[str, ...]] = {}
    for group in settings["group"]:
        for pattern in group["modules"]:
            paths = sorted(root.glob(pattern))
            if not paths:
                raise CampaignError(f"{SETTINGS}: no module matches {pattern}")
            tests.update((path.relative_to(root).as_posix(), tuple(group["tests"])) for path in paths)
    return Settings(tests, settings["preload"], settings["timeout_seconds"], equivalents.get("mutant", []))


def find_mutants(root: Path, settings: Settings) -> tuple[list[Mutant], int]:
    """Return the mutants of all core modules but for the equivalent ones, and the number of those.

    Raises:
        CampaignError: an entry of the list of equivalent mutants has no reason, or matches no mutant.
    """
    mutants = [
        mutant for module in sorted(settings.tests) for mutant in list_mutants(module, (root / module).read_text())
    ]
    equivalents = [(entry["module"], entry["original"], entry["mutated"]) for entry in settings.equivalents]
    known = {_identify(mutant) for mutant in mutants}
    for entry, key in zip(settings.equivalents, equivalents, strict=True):
        if key not in known:
            raise CampaignError(f"{EQUIVALENTS}: {entry['module']} has no such mutant: {entry['mutated']}")
        if not entry.get("reason"):
            raise CampaignError(f"{EQUIVALENTS}: {entry['mutated']} has no reason")
    kept = [mutant for mutant in mutants if _identify(mutant) not in equivalents]
    return kept, len(mutants) - len(kept)


def sample(mutants: Sequence[Mutant], count: int, seed: int) -> list[Mutant]:
    """Choose at most `count` mutants, the same ones for the same seed, grouped by module."""
    chosen = random.Random(seed).sample(range(len(mutants)), min(count, len(mutants)))  # noqa: S311
    return [mutants[index] for index in sorted(chosen)]


def _identify(mutant: Mutant) -> tuple[str, str, str]:
    return mutant.module, mutant.original, mutant.mutated


@dataclass
class _Copy:
    """A copy of the repository `root`."""

    root: Path
    path: Path
    writes: int = 0

    def write(self, module: str, source: str) -> None:
        """Write a module with a modification time of its own: byte code of an earlier content is not used."""
        self.writes += 1
        (self.path / module).write_text(source)
        os.utime(self.path / module, (self.writes, self.writes))

    def restore(self, module: str) -> None:
        self.write(module, (self.root / module).read_text())


@dataclass(frozen=True)
class _Job:
    tests: tuple[str, ...]
    timeout_seconds: float
    mutant: Mutant | None = None


@dataclass(frozen=True)
class _Run:
    job: _Job
    copy: _Copy
    process: ForkProcess
    started: float

    @property
    def seconds_left(self) -> float:
        return self.started + self.job.timeout_seconds - time.monotonic()


def run(root: Path, settings: Settings, mutants: Sequence[Mutant], processes: int) -> Iterator[tuple[Mutant, Outcome]]:
    """Run the tests on each mutant, and yield its outcome.

    Raises:
        CampaignError: the tests fail without a mutant.
    """
    _preload(settings.preload)
    with TemporaryDirectory(prefix="mutation-") as folder:
        copies = [_copy(root, Path(folder, str(number))) for number in range(processes)]
        seconds: dict[tuple[str, ...], float] = {}
        used = {settings.tests[mutant.module] for mutant in mutants}
        for ended in _run_jobs([_Job(tests, _TEST_TIMEOUT_SECONDS) for tests in used], copies):
            if ended.process.exitcode:
                raise CampaignError(f"tests fail without a mutant\n{(ended.copy.path / OUTPUT).read_text()}")
            seconds[ended.job.tests] = time.monotonic() - ended.started
        jobs: list[_Job] = []
        for mutant in mutants:
            tests = settings.tests[mutant.module]
            jobs.append(_Job(tests, settings.timeout_seconds + _TIMEOUT_FACTOR * seconds[tests], mutant))
        for ended in _run_jobs(jobs, copies):
            assert ended.job.mutant
            yield ended.job.mutant, _outcome(ended.process.exitcode)


def _copy(root: Path, path: Path) -> _Copy:
    shutil.copytree(root, path, ignore=shutil.ignore_patterns(".*", "node_modules", "__pycache__"))
    return _Copy(root, path)


def _outcome(exit_code: int | None) -> Outcome:
    # Any exit code but 0: a mutant can also keep the tests from being collected.
    return "survived" if exit_code == 0 else "timeout" if exit_code == -signal.SIGKILL else "found"


def _run_jobs(jobs: Sequence[_Job], copies: Sequence[_Copy]) -> Iterator[_Run]:
    """Run one job on each copy at a time, and yield the ones that have ended or were killed."""
    waiting, idle, running = list(reversed(jobs)), list(copies), list[_Run]()
    try:
        while waiting or running:
            while waiting and idle:
                running.append(_start(waiting.pop(), idle.pop()))
            wait([each.process.sentinel for each in running], max(0, min(each.seconds_left for each in running)))
            for ended in [each for each in running if not each.process.is_alive() or each.seconds_left <= 0]:
                running.remove(ended)
                _end(ended)
                yield ended
                idle.append(ended.copy)
    finally:
        for each in running:
            _end(each)


def _start(job: _Job, copy: _Copy) -> _Run:
    if job.mutant:
        copy.write(job.mutant.module, job.mutant.source)
    process = multiprocessing.get_context("fork").Process(target=_run_tests, args=(copy.path, job.tests))
    started = time.monotonic()
    process.start()
    return _Run(job, copy, process, started)


def _end(ended: _Run) -> None:
    assert ended.process.pid
    with suppress(ProcessLookupError):
        os.killpg(ended.process.pid, signal.SIGKILL)
    ended.process.join()
    if ended.job.mutant:
        ended.copy.restore(ended.job.mutant.module)


def _preload(modules: Sequence[str]) -> None:
    with redirect_stdout(StringIO()):
        pytest.main(["--version", "--version", "--config-file", os.devnull])  # imports its plugins
    for module in modules:
        importlib.import_module(module)
    gc.freeze()  # collections in the forked processes leave alone what all of them share


def _run_tests(root: Path, tests: Sequence[str]) -> None:
    os.setsid()  # for killing the processes that tests start
    with (root / OUTPUT).open("w") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE_BYTES, _ADDRESS_SPACE_BYTES))
    original = Path.cwd()
    sys.path[:] = [str(root), *(entry for entry in sys.path if Path(entry).absolute() != original)]
    os.chdir(root)
    code = pytest.main(["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "-W", _IGNORED_WARNING, *tests])
    sys.stdout.flush()
    os._exit(int(code))  # without waiting for threads that tests have left
