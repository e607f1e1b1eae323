"""What goes on in a thread of its own during a load run."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from typing import Self


class Background(ABC):
    """Runs in a thread while it is entered. What it raises is raised when it is left."""

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._executor = ThreadPoolExecutor(1)

    def __enter__(self) -> Self:
        self._running = self._executor.submit(self._run)
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopped.set()
        self._executor.shutdown()
        self._running.result()

    @abstractmethod
    def _run(self) -> None:
        """Return soon after `_stopped` is set."""
