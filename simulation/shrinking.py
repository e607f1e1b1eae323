"""Delta debugging over the choices of a run.

Andreas Zeller and Ralf Hildebrandt, Simplifying and Isolating Failure-Inducing Input, 2002.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

from simulation.choices import Value

T = TypeVar("T")
Attempt = Callable[[Mapping[str, Value]], T | None]

_MAX_ATTEMPTS = 3_000


def shrink(choices: Mapping[str, Value], attempt: Attempt[T]) -> T | None:
    """What `attempt` returns for a subset of `choices` of which none can be left out; None if it never returns."""
    remaining = dict(choices)
    smallest = attempt(remaining)
    if smallest is None:
        return None
    attempts = 0
    chunk = max(1, len(remaining) // 2)
    while attempts < _MAX_ATTEMPTS:
        has_shrunk = False
        labels = list(remaining)
        for start in range(0, len(labels), chunk):
            left_out = labels[start : start + chunk]
            candidate = {label: value for label, value in remaining.items() if label not in left_out}
            if len(candidate) == len(remaining):
                continue
            attempts += 1
            result = attempt(candidate)
            if result is not None:
                remaining, smallest, has_shrunk = candidate, result, True
        if not has_shrunk:
            if chunk == 1:
                break
            chunk = max(1, chunk // 2)
    return smallest
