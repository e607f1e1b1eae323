"""Virtual time, and the tasks that run in it.

Code of the functions runs in greenlets. A greenlet runs until it waits for a response, a timer or another task; then
the scheduler takes the next event in the order of virtual time. Nothing runs in parallel and nothing sleeps.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

from greenlet import getcurrent, greenlet

# 2026-01-01T00:00:00Z, when every run begins
EPOCH_MS = 1_767_225_600_000


class SandboxKilledError(BaseException):
    """Unwinds the tasks of a sandbox that is killed. Not an Exception, so that no handler catches it."""


class Scheduler:
    """A clock and the events that are due, ordered by time and then by when they were added."""

    def __init__(self) -> None:
        self.now_ms = EPOCH_MS
        self.hub = getcurrent()
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._added = 0

    def after(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Run `action` in the hub when `delay_ms` milliseconds have passed."""
        self._added += 1
        heapq.heappush(self._events, (self.now_ms + delay_ms, self._added, action))

    def send(self, delay_ms: int, origin: tuple[str, str, Any, Invocation | None], action: Callable[[], None]) -> None:
        """Let a request arrive after `delay_ms`. `origin` is who sends it, its label, itself, and the invocation."""
        del origin
        self.after(delay_ms, action)

    def run(self) -> None:
        """Run until no event is left."""
        events = self._events
        while events:
            due_ms, _, action = heapq.heappop(events)
            self.now_ms = due_ms
            action()


class Task(greenlet):
    """One thread of an invocation."""

    def __init__(self, invocation: Invocation, work: Callable[[], Any]) -> None:
        super().__init__(self._work, invocation.scheduler.hub)
        self.invocation = invocation
        self._call = work
        self.result: Any = None
        self.exception: Exception | None = None
        self.is_done = False
        self.waiting: list[Task] = []
        invocation.tasks.append(self)

    def _work(self, _started: None = None) -> None:
        try:
            self.result = self._call()
        except Exception as error:
            self.exception = error
        except SandboxKilledError:
            return
        self.is_done = True
        scheduler = self.invocation.scheduler
        for task in self.waiting:
            scheduler.after(0, task.resume)
        if self is self.invocation.tasks[0]:
            # Deferred: the end of an invocation is handled in the hub.
            scheduler.after(0, self.invocation.finish)

    def resume(self, value: Any = None) -> None:
        """Continue the task, from the hub, with what it waits for."""
        if self.invocation.is_running:
            self.switch(value)

    def fail(self, error: Exception) -> None:
        """Continue the task, from the hub, with an exception."""
        if self.invocation.is_running:
            self.throw(error)

    def wait_for(self, other: Task) -> None:
        """Suspend this task, the current one, until `other` is done."""
        if not other.is_done:
            other.waiting.append(self)
            self.suspend()

    def suspend(self) -> Any:
        """Hand over to the scheduler until the task is resumed; what it is resumed with."""
        if not self.invocation.is_running:
            raise SandboxKilledError
        return self.invocation.scheduler.hub.switch()


class Invocation:
    """One invocation of a function in a sandbox of its own."""

    def __init__(
        self,
        scheduler: Scheduler,
        simulation: Any,
        name: str,
        work: Callable[[Invocation], Any],
        timeout_ms: int,
        on_end: Callable[[Invocation], None],
    ) -> None:
        """`on_end` is called once: with `error` or `result` set, or neither if the sandbox was killed."""
        self.scheduler = scheduler
        self.simulation = simulation
        self.name = name
        self.deadline_ms = scheduler.now_ms + timeout_ms
        self.is_running = True
        self.was_killed = False
        self.tasks: list[Task] = []
        self.request_counts: dict[str, int] = {}
        self._on_end = on_end
        main = Task(self, lambda: work(self))
        scheduler.after(timeout_ms, self._time_out)
        scheduler.after(0, main.resume)

    @property
    def result(self) -> Any:
        return self.tasks[0].result

    @property
    def error(self) -> Exception | None:
        return self.tasks[0].exception

    def finish(self) -> None:
        if self.is_running:
            self.is_running = False
            self._on_end(self)
            self._unwind()

    def kill(self) -> None:
        """End the sandbox where it is. Requests that were sent may still take effect."""
        if self.is_running:
            self.is_running = False
            self.was_killed = True
            self._unwind()
            self._on_end(self)

    def abandon(self) -> None:
        """Unwind the tasks; nobody is told."""
        self.is_running = False
        self._unwind()

    def get_remaining_time_in_millis(self) -> int:
        """https://docs.aws.amazon.com/lambda/latest/dg/python-context.html"""
        return self.deadline_ms - self.scheduler.now_ms

    def _time_out(self) -> None:
        if self.is_running:
            self.simulation.time_out(self)

    def _unwind(self) -> None:
        for task in self.tasks:
            if task:  # started, and not done
                task.throw(SandboxKilledError)


def current_task() -> Task:
    """The task that runs.

    Raises:
        RuntimeError: Code of a function runs outside of an invocation.
    """
    task = getcurrent()
    if not isinstance(task, Task):
        raise RuntimeError("this code runs outside of a simulated invocation")
    return task
