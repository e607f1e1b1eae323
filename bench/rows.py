"""What a bench has to say: rows of figures, each with its peer's and, where there is one, the aim."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Row:
    """`peer` is None where the peer fails. `aim` is the largest ratio that is good enough; None if there is none."""

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
