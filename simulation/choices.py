"""Every nondeterministic decision of a run, under a label that says where it is made.

A run is determined by its choices that differ from the default. Labels do not depend on the other choices, so leaving
some choices out gives another valid run: this is what makes a failing run easy to shrink.
"""

import random
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TypeVar

Value = str | int | bool | None
T = TypeVar("T", bound=Value)


class Choices(ABC):
    """Source of decisions. The first option of every decision is its default, the one of an undisturbed run."""

    def __init__(self) -> None:
        self.made: dict[str, Value] = {}
        """The choices that were not the default, by label, in the order in which they were made."""

    @abstractmethod
    def pick(self, label: str, options: Sequence[T], probability: float) -> T:
        """One of `options`: any of them with `probability`, the first one otherwise."""


class RandomChoices(Choices):
    """Choices that follow from a seed."""

    def __init__(self, seed: str) -> None:
        super().__init__()
        self._random = random.Random(seed)  # noqa: S311 - nothing secret depends on it

    def pick(self, label: str, options: Sequence[T], probability: float) -> T:
        draw = self._random.random()
        if draw >= probability:
            return options[0]
        value = options[int(draw / probability * len(options))]
        if value != options[0]:
            self.made[label] = value
        return value

    def rate(self, *rates: float) -> float:
        """How likely something is in this run."""
        return self._random.choice(rates)


class RecordedChoices(Choices):
    """Choices made before; the default where nothing was recorded."""

    def __init__(self, recorded: Mapping[str, Value]) -> None:
        super().__init__()
        self._recorded = recorded
        self.simpler: dict[str, Sequence[Value]] = {}
        """By label of a choice made: the options before it, which make a simpler run."""

    def pick(self, label: str, options: Sequence[T], probability: float) -> T:  # noqa: ARG002 - it is decided already
        value = self._recorded.get(label)
        if value is None or value not in options or value == options[0]:
            return options[0]
        self.made[label] = value
        self.simpler[label] = options[1 : options.index(value)]  # type: ignore[arg-type]
        return value  # type: ignore[return-value]
