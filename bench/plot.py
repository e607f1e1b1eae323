"""Bar charts and line charts as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, log10
from typing import TypeAlias
from xml.sax.saxutils import escape

from bench.rows import Row

_STYLE = """<style>
  svg { font: 13px system-ui, sans-serif; background: #fff; }
  text { fill: #1a1a1a; } .axis { stroke: #777; } .grid { stroke: #ddd; }
  .met { fill: #2a7f4f; } .missed { fill: #b4552d; } .plain { fill: #4a6fa5; }
  .aim { stroke: #1a1a1a; stroke-width: 2; } .line { fill: none; stroke-width: 2; }
  @media (prefers-color-scheme: dark) {
    svg { background: #151515; } text { fill: #e6e6e6; } .grid { stroke: #333; } .aim { stroke: #fff; }
  }
</style>"""
_LINE_COLORS = ("#4a6fa5", "#b4552d", "#2a7f4f", "#8a5a9e", "#b08a1e")
_LEFT, _BAR, _STEP, _SCALE = 330, 16, 26, 300  # pixels; a ratio of 1 is _SCALE wide
_LABEL, _LINE = 45, 15  # pixels that a figure is wide, and a line of text high
_LARGEST_RATIO = 2.0


def ratios(rows: Sequence[Row]) -> str:
    """Draw a bar for each ratio of ours to the peer's, with a mark at the aim. Shorter is better."""
    drawn = [row for row in rows if row.ratio is not None]
    height = _STEP * len(drawn) + 60
    parts = [_open(_LEFT + int(_LARGEST_RATIO * _SCALE) + 70, height, "Ours over the peer's; less is better")]
    for ratio in (0, 0.5, 1, 1.5, 2):
        x = _LEFT + ratio * _SCALE
        parts.append(f'<line class="grid" x1="{x}" x2="{x}" y1="30" y2="{height - 20}"/>')
        parts.append(f'<text x="{x}" y="{height - 5}" text-anchor="middle">{ratio:g}</text>')
    for index, row in enumerate(drawn):
        parts += _bar(row, 36 + index * _STEP)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _bar(row: Row, y: int) -> list[str]:
    ratio = row.ratio or 0
    width = min(ratio, _LARGEST_RATIO) * _SCALE
    kind = {"met": "met", "not met": "missed"}.get(row.verdict, "plain")
    more = "→ " if ratio > _LARGEST_RATIO else ""
    parts = [
        f'<text x="{_LEFT - 8}" y="{y + 13}" text-anchor="end">{escape(row.name)}</text>',
        f'<rect class="{kind}" x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR}"/>',
    ]
    label = width
    if row.aim is not None:
        x = _LEFT + row.aim * _SCALE
        if width < row.aim * _SCALE < width + _LABEL:
            label = row.aim * _SCALE
        parts.append(f'<line class="aim" x1="{x}" x2="{x}" y1="{y - 3}" y2="{y + _BAR + 3}"/>')
    return [*parts, f'<text x="{_LEFT + label + 6:.1f}" y="{y + 13}">{more}{ratio:.2f}</text>']


_Points: TypeAlias = Sequence[tuple[float, float]]


def curves(title: str, lines: Sequence[tuple[str, _Points]], x_label: str, y_label: str) -> str:
    """Draw a line with its name at its end for each series of points (x, y); both axes begin at 0."""
    width, height, left, top = 640, 360, 60, 50
    largest_x = max(x for _, points in lines for x, _ in points)
    largest_y = max(y for _, points in lines for _, y in points)

    def place(x: float, y: float) -> tuple[float, float]:
        return left + x / largest_x * width, top + (1 - y / largest_y) * height

    parts = [_open(left + width + 150, top + height + 50, title)]
    for tick in _ticks(largest_y):
        _, y = place(0, tick)
        parts.append(f'<line class="grid" x1="{left}" x2="{left + width}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for tick in _ticks(largest_x):
        x, y = place(tick, 0)
        parts.append(f'<text x="{x:.1f}" y="{y + 18:.1f}" text-anchor="middle">{tick:g}</text>')
    parts.append(f'<text x="{left + width}" y="{top + height + 40}" text-anchor="end">{escape(x_label)}</text>')
    parts.append(f'<text x="{left}" y="{top - 10}">{escape(y_label)}</text>')
    below = float("inf")
    colored = zip(lines, _LINE_COLORS, strict=False)
    for (name, points), color in sorted(colored, key=lambda line: line[0][1][-1][1]):
        placed = [place(x, y) for x, y in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        parts.append(f'<polyline class="line" stroke="{color}" points="{path}"/>')
        below = min(placed[-1][1] + 4, below - _LINE)  # keeps names of lines with close ends apart
        parts.append(f'<text x="{placed[-1][0] + 6:.1f}" y="{below:.1f}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _ticks(largest: float) -> list[float]:
    """Return three to seven round numbers from 0."""
    unit = 10 ** floor(log10(largest))
    step = next(step for step in (unit / 5, unit / 2, unit, 2 * unit) if largest / step <= 6)
    return [step * index for index in range(int(largest / step) + 1)]


def _open(width: int, height: int, title: str) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width} {height}" width="{width}">'
    return f'{head}\n<title>{escape(title)}</title>\n{_STYLE}\n<text x="12" y="20">{escape(title)}</text>'
