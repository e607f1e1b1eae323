"""Fair runs on a machine that has other things to do: pinned to one core, in pairs, in alternating order.

What disturbs one of a pair disturbs the other as likely, and a ratio is the median of the pairs' own ratios.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Generic, TypeVar

T = TypeVar("T")


class RunError(Exception):
    """A side failed; the message has its last lines."""


@dataclass(frozen=True)
class Run:
    """One whole process: wall and processor time in milliseconds, and what it printed."""

    wall_ms: float
    cpu_ms: float
    output: str


@dataclass(frozen=True)
class Pairs(Generic[T]):
    """What `ours` and `peer` gave, round by round."""

    ours: Sequence[T]
    peer: Sequence[T]

    def ratio(self, figure: Callable[[T], float]) -> float:
        return median(figure(ours) / figure(peer) for ours, peer in zip(self.ours, self.peer, strict=True))


def in_pairs(ours: Callable[[], T], peer: Callable[[], T], rounds: int) -> Pairs[T]:
    results: tuple[list[T], list[T]] = [], []
    for turn in range(rounds):
        order = [(0, ours), (1, peer)]
        for side, run in order if turn % 2 else reversed(order):
            results[side].append(run())
    return Pairs(*results)


def cores() -> tuple[int, int]:
    """The core that is measured on, and the one for everything else."""
    available = sorted(os.sched_getaffinity(0))
    return available[-1], available[0]


@contextmanager
def pinned(core: int) -> Generator[None]:
    """This process and what it starts run on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def run(command: Sequence[str], environment: Mapping[str, str]) -> Run:
    """A process from its start to its end. RunError if it fails."""
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
