"""Delta debugging over the choices of a run.

Andreas Zeller and Ralf Hildebrandt, Simplifying and Isolating Failure-Inducing Input, 2002.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from simulation.choices import Value

T = TypeVar("T")
Attempt = Callable[[Mapping[str, Value]], T | None]

_MAX_ATTEMPTS = 1_500


def shrink(choices: Mapping[str, Value], attempt: Attempt[T], simpler: Callable[[T, str], Sequence[Value]]) -> T | None:
    """What `attempt` returns for a subset of `choices` of which none can be left out; None if it never returns.

    `simpler` gives what to try in place of a choice that stays, the simplest first.
    """
    smallest = attempt(choices)
    if smallest is None:
        return None
    remaining, smallest = _leave_out(dict(choices), smallest, attempt)
    for label in list(remaining):
        for value in simpler(smallest, label):
            candidate = {**remaining, label: value}
            result = attempt(candidate)
            if result is not None:
                remaining, smallest = candidate, result
                break
    return _leave_out(remaining, smallest, attempt)[1]


def _leave_out(remaining: dict[str, Value], smallest: T, attempt: Attempt[T]) -> tuple[dict[str, Value], T]:
    attempts = 0
    chunk = max(1, len(remaining) // 2)
    while attempts < _MAX_ATTEMPTS:
        has_shrunk = False
        labels = list(remaining)
        for start in range(0, len(labels), chunk):
            left_out = labels[start : start + chunk]
            candidate = {label: value for label, value in remaining.items() if label not in left_out}
            attempts += 1
            result = attempt(candidate)
            if result is not None:
                remaining, smallest, has_shrunk = candidate, result, True
        if not has_shrunk:
            if chunk == 1:
                break
            chunk = max(1, chunk // 2)
    return remaining, smallest
