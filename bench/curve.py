"""Duration and cost of each function for other memory sizes, by the model in cost.py.

Lambda bills memory times duration. Below one vCPU, processor time costs the same for every memory size, and waiting
time costs more with more memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.cost import UPLOADS, Work, load_prices

SIZES = (256, 384, 512, 768, 1024, 1280, 1536, 1769, 2048, 3008)


@dataclass(frozen=True)
class Point:
    memory: int  # MB
    billed_ms: int
    usd: float  # GB-seconds of a million uploads


def compute_points(work: Work) -> list[Point]:
    gb_second = load_prices()["lambda_arm64"]
    sized = (replace(work, memory=memory) for memory in SIZES)
    return [Point(its.memory, its.billed_ms, gb_second.of(UPLOADS * its.gb_seconds)) for its in sized]


def format_table(works: Sequence[Work]) -> str:
    """Format a table in Markdown, with the deployed size in bold."""
    lines = [
        "| memory, MB | " + " | ".join(f"`{its.function}`" for its in works) + " |",
        "|---:" * (len(works) + 1) + "|",
    ]
    curves = [compute_points(its) for its in works]
    for row in zip(*curves, strict=True):
        cells = [_cell(point, is_chosen=point.memory == its.memory) for point, its in zip(row, works, strict=True)]
        lines.append(f"| {row[0].memory} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(point: Point, *, is_chosen: bool) -> str:
    text = f"{point.billed_ms} ms, ${point.usd:.2f}"
    return f"**{text}**" if is_chosen else text
