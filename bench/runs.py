"""Comparable runs on a machine with other load: pinned to one core, in pairs, in alternating order.

Other load affects both runs of a pair equally on average. A ratio is the median of the ratios of the pairs.
"""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Generic, TypeVar

T = TypeVar("T")


class RunError(Exception):
    """A process failed. The message has its last lines of output."""


@dataclass(frozen=True)
class Run:
    """One process: wall-clock and processor time in milliseconds, and its output."""

    wall_ms: float
    cpu_ms: float
    output: str


@dataclass(frozen=True)
class Pairs(Generic[T]):
    """Results of both sides, one for each round."""

    ours: Sequence[T]
    peer: Sequence[T]

    def ratio(self, figure: Callable[[T], float]) -> float:
        return median(figure(ours) / figure(peer) for ours, peer in zip(self.ours, self.peer, strict=True))


def run_in_pairs(ours: Callable[[], T], peer: Callable[[], T], rounds: int) -> Pairs[T]:
    results: tuple[list[T], list[T]] = [], []
    for turn in range(rounds):
        order = [(0, ours), (1, peer)]
        for side, run in order if turn % 2 else reversed(order):
            results[side].append(run())
    return Pairs(*results)


def select_cores() -> tuple[int, int]:
    """Return the core for the measured processes, and the core for everything else."""
    available = sorted(os.sched_getaffinity(0))
    return available[-1], available[0]


@contextmanager
def pin_to_core(core: int) -> Generator[None]:
    """Run this process and its subprocesses on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def run(command: Sequence[str], environment: Mapping[str, str]) -> Run:
    """Run a process to its end.

    Raises:
        RunError: The exit code is not 0.
    """
    read, write = os.pipe()
    started = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=write, stderr=write)
    os.close(write)
    with os.fdopen(read) as pipe:
        output = pipe.read()
    _, status, usage = os.wait4(process.pid, 0)
    ended = time.perf_counter()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RunError(f"{' '.join(command[:4])} ... ended with {process.returncode}:\n{output[-2000:]}")
    return Run(1000 * (ended - started), 1000 * (usage.ru_utime + usage.ru_stime), output)


def read_processor_name() -> str:
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    name = names[0].partition(":")[2].strip() if names else platform.processor()
    return f"{name or 'unknown processor'} ({platform.machine()})"
