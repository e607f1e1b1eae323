"""One result of a benchmark, compared with a peer's."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Row:
    """`peer` is None if the peer fails. `aim` is the largest acceptable ratio; None if there is no target."""

    name: str
    ours: float
    peer: float | None
    peer_name: str
    unit: str
    ratio: float | None
    aim: float | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        if self.aim is None or self.ratio is None:
            return ""
        return "met" if self.ratio <= self.aim else "not met"
