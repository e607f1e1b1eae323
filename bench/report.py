"""The figures of a run: a table for people, in the terminal and in results.md, plots, and JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import cost, curve, plot
from bench.rows import Row

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Circumstances:
    """When and on what it was measured: figures of another day or machine do not compare."""

    date: str
    processor: str
    versions: str
    rounds: int


def table(rows: Sequence[Row]) -> str:
    """In Markdown."""
    lines = ["| | ours | peer | ratio | aim | | peer is |", "|---|---:|---:|---:|---:|---|---|"]
    for row in rows:
        peer = "fails" if row.peer is None else _figure(row.peer)
        ratio, aim = ("" if it is None else f"{it:.2f}" for it in (row.ratio, row.aim))
        ours = f"{_figure(row.ours)} {row.unit}"
        lines.append(f"| {row.name} | {ours} | {peer} | {ratio} | {aim} | {row.verdict} | {row.peer_name} |")
    return "\n".join(lines)


def _figure(value: float) -> str:
    return f"{value:.1f}" if value >= 10 else f"{value:.3g}"


def notes(rows: Sequence[Row]) -> str:
    return "\n".join(f"- {row.name}: {row.note}" for row in rows if row.note)


def write(rows: Sequence[Row], cpu_ms: Mapping[str, float], circumstances: Circumstances) -> None:
    """results.md, results.json, measured.json and the plots."""
    when = {"date": circumstances.date, "processor": circumstances.processor}
    _write_json("measured.json", {**when, "cpu_ms": {name: round(value, 3) for name, value in cpu_ms.items()}})
    compared = [_record(row, when) for row in rows if row.ratio is not None]
    _write_json("results.json", compared)
    (FOLDER / "ratios.svg").write_text(plot.ratios(rows))
    works = cost.our_work(cpu_ms)
    (FOLDER / "time.svg").write_text(_plot_times(works))
    (FOLDER / "cost.svg").write_text(_plot_costs(works))
    (FOLDER / "results.md").write_text(_document(rows, works, circumstances))


def _record(row: Row, when: Mapping[str, str]) -> dict[str, object]:
    return {
        "name": row.name,
        "ours": round(row.ours, 3),
        "peer": round(row.peer or 0, 3),
        "peer_name": row.peer_name,
        "unit": row.unit,
        "ratio": round(row.ratio or 0, 3),
        **when,
    }


def _write_json(name: str, content: object) -> None:
    (FOLDER / name).write_text(json.dumps(content, indent=2) + "\n")


def _plot_times(works: Sequence[cost.Work]) -> str:
    lines = [(its.function, [(point.memory, point.billed_ms) for point in curve.points(its)]) for its in works]
    return plot.curves("Time billed for one invocation, by memory (model)", lines, "memory, MB", "ms")


def _plot_costs(works: Sequence[cost.Work]) -> str:
    lines = [(its.function, [(point.memory, point.usd) for point in curve.points(its)]) for its in works]
    return plot.curves("GB-seconds of a million uploads, by memory (model)", lines, "memory, MB", "USD")


def _document(rows: Sequence[Row], works: Sequence[cost.Work], circumstances: Circumstances) -> str:
    return f"""# Results

`make bench` wrote this on {circumstances.date}, on one core of: {circumstances.processor}.
{circumstances.versions}. {circumstances.rounds} rounds.
How it is measured: [docs/benchmarks.md](../docs/benchmarks.md).

{table(rows)}

![Ratios](ratios.svg)

Quality is PSNR over the colours, SSIM of the luminance, and the bytes of each output, against Lanczos over the whole
picture, ours against the peer's.

{notes(rows)}

## Memory

What each function would be billed at other sizes, and its GB-seconds in a million uploads, by the model in
[cost.py](cost.py); what is deployed is bold.

{curve.table(works)}

![Time by memory](time.svg)
![Cost by memory](cost.svg)
"""
