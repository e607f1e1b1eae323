"""The modules `time`, `random` and `os`, and `datetime`, as far as the functions use them, in virtual time."""

from __future__ import annotations

import os
import random
import time
from datetime import datetime, tzinfo
from typing import Any

from simulation.scheduler import EPOCH_MS, current_task


def _now_ms() -> int:
    return current_task().invocation.scheduler.now_ms


def sleep(seconds: float) -> None:
    """Let virtual time pass for the current task."""
    task = current_task()
    task.invocation.scheduler.after(max(0, round(seconds * 1000)), task.resume)
    task.suspend()


class VirtualTime:
    """The module `time`. What is not replaced is the real module's."""

    def time(self) -> float:
        return _now_ms() / 1000

    def monotonic(self) -> float:
        return (_now_ms() - EPOCH_MS) / 1000

    perf_counter = monotonic

    def sleep(self, seconds: float) -> None:
        sleep(seconds)

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


class VirtualDatetime(datetime):
    """The class `datetime`, whose `now` is the virtual clock's."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:
        return datetime.fromtimestamp(_now_ms() / 1000, tz)


class VirtualRandom:
    """The module `random`: every run draws the same numbers, and interleavings differ by the run's choices."""

    def __getattr__(self, name: str) -> Any:
        return getattr(current_task().invocation.simulation.random, name)


class VirtualOs:
    """The module `os` with reproducible random bytes."""

    def urandom(self, size: int) -> bytes:
        return current_task().invocation.simulation.random.randbytes(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


REPLACEMENTS = {
    id(time): VirtualTime(),
    id(time.time): VirtualTime().time,
    id(time.monotonic): VirtualTime().monotonic,
    id(time.sleep): sleep,
    id(datetime): VirtualDatetime,
    id(random): VirtualRandom(),
    id(os): VirtualOs(),
}
"""What stands in for an object of the standard library, by the object's identity."""
