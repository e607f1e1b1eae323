"""`concurrent.futures` for tasks: the same interface, without threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from simulation.scheduler import Task, current_task


class SimulatedFuture:
    """https://docs.python.org/3/library/concurrent.futures.html#future-objects"""

    def __init__(self, task: Task) -> None:
        self._task = task

    def result(self) -> Any:
        current_task().wait_for(self._task)
        if self._task.exception is not None:
            raise self._task.exception
        return self._task.result

    def exception(self) -> Exception | None:
        current_task().wait_for(self._task)
        return self._task.exception

    def done(self) -> bool:
        return self._task.is_done


class SimulatedThreadPool:
    """https://docs.python.org/3/library/concurrent.futures.html#threadpoolexecutor"""

    def __init__(self, max_workers: int | None = None) -> None:  # noqa: ARG002 - every task has a thread of its own
        self._tasks: list[Task] = []

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> SimulatedFuture:
        invocation = current_task().invocation
        task = Task(invocation, partial(function, *args, **kwargs))
        invocation.scheduler.after(0, task.resume)
        self._tasks.append(task)
        return SimulatedFuture(task)

    def map(self, function: Callable[..., Any], *iterables: Iterable[Any]) -> Iterator[Any]:
        futures = [self.submit(function, *arguments) for arguments in zip(*iterables, strict=False)]
        return (future.result() for future in futures)

    def shutdown(self) -> None:
        current = current_task()
        for task in self._tasks:
            if current.invocation.is_running:
                current.wait_for(task)

    def __enter__(self) -> SimulatedThreadPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
