"""What rendering a file costs, and a ranking of the files that cost the most."""

from collections.abc import Callable, Iterable, Mapping
from typing import Generic, NamedTuple, TypeVar

_SMALL_BYTES = 64 * 1024  # smaller files are not worse because they are smaller


class Cost(NamedTuple):
    format: str
    size: int  # of the file, in bytes
    cpu_seconds: float
    memory_bytes: int  # at the peak, in addition to the memory before


MEASURES: Mapping[str, Callable[[Cost], float]] = {
    "cpu": lambda cost: cost.cpu_seconds,
    "memory": lambda cost: cost.memory_bytes,
    "cpu-for-size": lambda cost: cost.cpu_seconds / (cost.size + _SMALL_BYTES),
    "memory-for-size": lambda cost: cost.memory_bytes / (cost.size + _SMALL_BYTES),
}

_Key = TypeVar("_Key")
_PLACES = 2


class Ranking(Generic[_Key]):
    """The two worst files of each format by each measure."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, str], list[tuple[Cost, _Key]]] = {}

    def has_place(self, cost: Cost) -> bool:
        """Whether `add` would keep a file of this cost."""
        for name, measure in MEASURES.items():
            ranked = self._places.get((name, cost.format), [])
            if len(ranked) < _PLACES or measure(cost) > measure(ranked[-1][0]):
                return True
        return False

    def add(self, cost: Cost, key: _Key) -> None:
        for name, measure in MEASURES.items():
            ranked = self._places.setdefault((name, cost.format), [])
            if key not in {other for _, other in ranked}:
                ranked.append((cost, key))
                ranked.sort(key=lambda it: measure(it[0]), reverse=True)
                del ranked[_PLACES:]

    def list_files(self) -> list[_Key]:
        return list(dict.fromkeys(key for ranked in self._places.values() for _, key in ranked))

    def worst(self) -> dict[str, tuple[Cost, _Key]]:
        """Return the worst file by each measure."""
        files = [file for ranked in self._places.values() for file in ranked]
        return {name: _max(files, measure) for name, measure in MEASURES.items() if files}


def _max(files: Iterable[tuple[Cost, _Key]], measure: Callable[[Cost], float]) -> tuple[Cost, _Key]:
    return max(files, key=lambda it: measure(it[0]))
