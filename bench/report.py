"""Writes the results of a run: results.md, plots, JSON files, and the cost tables in the README."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import cost, curve, plot
from bench.rows import Row

FOLDER = Path(__file__).parent
_FELT = "felt, "


@dataclass(frozen=True)
class Circumstances:
    """Date and machine of a run: results of different machines cannot be compared."""

    date: str
    processor: str
    versions: str
    rounds: int


def format_table(rows: Sequence[Row]) -> str:
    """In Markdown."""
    lines = ["| | ours | peer | ratio | aim | | peer is |", "|---|---:|---:|---:|---:|---|---|"]
    for row in rows:
        peer = "fails" if row.peer is None else _format_figure(row.peer)
        ratio, aim = ("" if it is None else f"{it:.2f}" for it in (row.ratio, row.aim))
        ours = f"{_format_figure(row.ours)} {row.unit}"
        lines.append(f"| {row.name} | {ours} | {peer} | {ratio} | {aim} | {row.verdict} | {row.peer_name} |")
    return "\n".join(lines)


def _format_figure(value: float) -> str:
    return f"{value:.1f}" if value >= 10 else f"{value:.3g}"


def format_notes(rows: Sequence[Row]) -> str:
    return "\n".join(f"- {row.name}: {row.note}" for row in rows if row.note)


def write(rows: Sequence[Row], cpu_ms: Mapping[str, float], circumstances: Circumstances) -> None:
    """Write results.md, results.json, measured.json and the plots, and update the README's cost tables.

    The cost tables are computed from measured.json, so they are part of the results.

    Args:
        rows: The comparisons.
        cpu_ms: Processor time of one warm invocation in milliseconds, by function name.
        circumstances: Date and machine of the run.
    """
    when = {"date": circumstances.date, "processor": circumstances.processor}
    _write_json(cost.MEASURED, {**when, "cpu_ms": {name: round(value, 3) for name, value in cpu_ms.items()}})
    _write_json(
        FOLDER / "results.json", [_record(row, when) for row in rows if row.ratio is not None] + _read_felt_rows()
    )
    (FOLDER / "ratios.svg").write_text(plot.ratios(rows))
    works = cost.our_work(cost.scale(cpu_ms))
    (FOLDER / "time.svg").write_text(_plot_times(works))
    (FOLDER / "cost.svg").write_text(_plot_costs(works))
    (FOLDER / "results.md").write_text(_format_document(rows, works, circumstances))
    cost.update_documents()


def replace_felt_rows(rows: Sequence[Row], circumstances: Mapping[str, str]) -> None:
    """Write the rows of bench/felt.py, whose names begin with "felt", into results.json."""
    others = [row for row in _read_results() if not row["name"].startswith(_FELT)]
    _write_json(FOLDER / "results.json", others + [_record(row, circumstances) for row in rows])


def _read_felt_rows() -> list[dict[str, Any]]:
    """Those of an earlier run: they are measured by themselves."""
    return [row for row in _read_results() if row["name"].startswith(_FELT)]


def _read_results() -> list[dict[str, Any]]:
    return json.loads((FOLDER / "results.json").read_text())


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


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")


def _plot_times(works: Sequence[cost.Work]) -> str:
    lines = [(its.function, [(point.memory, point.billed_ms) for point in curve.compute_points(its)]) for its in works]
    return plot.curves("Time billed for one invocation, by memory (model)", lines, "memory, MB", "ms")


def _plot_costs(works: Sequence[cost.Work]) -> str:
    lines = [(its.function, [(point.memory, point.usd) for point in curve.compute_points(its)]) for its in works]
    return plot.curves("GB-seconds of a million uploads, by memory (model)", lines, "memory, MB", "USD")


def _format_document(rows: Sequence[Row], works: Sequence[cost.Work], circumstances: Circumstances) -> str:
    return f"""# Results

`make bench` wrote this on {circumstances.date}, on one core of: {circumstances.processor}.
{circumstances.versions}. {circumstances.rounds} rounds.
How it is measured: [docs/benchmarks.md](../docs/benchmarks.md).

{format_table(rows)}

![Ratios](ratios.svg)

Quality is PSNR over the colours, SSIM of the luminance, and the bytes of each output, against Lanczos over the whole
picture, ours against the peer's.

{format_notes(rows)}

## Memory

What each function would be billed at other sizes, and its GB-seconds in a million uploads, by the model in
[cost.py](cost.py); what is deployed is bold.

{curve.format_table(works)}

![Time by memory](time.svg)
![Cost by memory](cost.svg)
"""
