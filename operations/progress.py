"""The progress of an operation on many avatars or messages: a bar on a terminal, otherwise a line now and then."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TextIO

_WIDTH = 30
_BAR_SECONDS, _LINE_SECONDS = 0.1, 10
"""Between two bars on a terminal, and between two lines elsewhere, for example in the log of a CI job."""


class Progress:
    def __init__(self, total: int | None, stream: TextIO, things: str = "avatars") -> None:
        """`total` is None if it is not known yet."""
        self._total, self._stream, self._things, self._done = total, stream, things, 0
        self._is_terminal = stream.isatty()
        self._started = self._shown = time.monotonic()

    def advance(self) -> None:
        self._done += 1
        now = time.monotonic()
        if now - self._shown >= (_BAR_SECONDS if self._is_terminal else _LINE_SECONDS):
            self._shown = now
            self._show(now - self._started)

    def end(self) -> None:
        """Shows the last state."""
        self._show(time.monotonic() - self._started)
        if self._is_terminal:
            print(file=self._stream)

    def report(self, message: str) -> None:
        """Print a line without leaving parts of the bar in it."""
        clear = "\r\x1b[K" if self._is_terminal else ""
        print(f"{clear}{message}", file=self._stream, flush=True)

    def _show(self, elapsed: float) -> None:
        rate = self._done / max(elapsed, 0.001)
        text, bar = f"{self._done:,} {self._things}, {rate:.1f} a second", ""
        if self._total and self._done:
            left = format_duration((self._total - self._done) / rate)
            text = f"{self._done:,} of {self._total:,} {self._things}, {rate:.1f} a second, {left} left"
            bar = f"[{'#' * (_WIDTH * self._done // self._total):.<{_WIDTH}}] "
        if self._is_terminal:
            print(f"\r\x1b[K{bar}{text}", end="", file=self._stream, flush=True)
        else:
            print(text, file=self._stream, flush=True)


def format_time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def format_duration(seconds: float) -> str:
    minutes, hours = round(seconds / 60), round(seconds / 3600)
    if seconds < 120:
        return f"{round(seconds)} s"
    return f"{minutes} min" if minutes < 120 else f"{hours} h"
