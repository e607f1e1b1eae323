"""Plots as SVG, drawn here: two kinds are not worth a library."""

from __future__ import annotations

from collections.abc import Sequence
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
_LINE_COLOURS = ("#4a6fa5", "#b4552d", "#2a7f4f", "#8a5a9e", "#b08a1e")
_LEFT, _BAR, _STEP, _SCALE = 330, 16, 26, 300  # pixels; a ratio of 1 is _SCALE wide
_LARGEST_RATIO = 2.0


def ratios(rows: Sequence[Row]) -> str:
    """A bar for each ratio, ours over the peer's: shorter is better, the tick is the aim."""
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
        f'<text x="{_LEFT + width + 6:.1f}" y="{y + 13}">{more}{ratio:.2f}</text>',
    ]
    if row.aim is not None:
        x = _LEFT + row.aim * _SCALE
        parts.append(f'<line class="aim" x1="{x}" x2="{x}" y1="{y - 3}" y2="{y + _BAR + 3}"/>')
    return parts


def curves(title: str, lines: Sequence[tuple[str, Sequence[tuple[float, float]]]], x_label: str, y_label: str) -> str:
    """Lines through points (x, y), from the origin, each with its name at its end."""
    width, height, left, bottom = 640, 360, 60, 50
    largest_x = max(x for _, points in lines for x, _ in points)
    largest_y = max(y for _, points in lines for _, y in points)

    def place(x: float, y: float) -> str:
        return f"{left + x / largest_x * width:.1f},{40 + (1 - y / largest_y) * height:.1f}"

    parts = [_open(left + width + 150, height + 40 + bottom, title)]
    for step in range(5):
        x, y = largest_x * step / 4, largest_y * step / 4
        across, up = place(x, 0).split(","), place(0, y).split(",")
        parts.append(f'<line class="grid" x1="{left}" x2="{left + width}" y1="{up[1]}" y2="{up[1]}"/>')
        parts.append(f'<text x="{left - 6}" y="{float(up[1]) + 4}" text-anchor="end">{y:.3g}</text>')
        parts.append(f'<text x="{across[0]}" y="{height + 58}" text-anchor="middle">{x:.0f}</text>')
    parts.append(f'<text x="{left + width}" y="{height + 80}" text-anchor="end">{escape(x_label)}</text>')
    parts.append(f'<text x="{left}" y="34">{escape(y_label)}</text>')
    for (name, points), colour in zip(lines, _LINE_COLOURS, strict=False):
        path = " ".join(place(x, y) for x, y in points)
        end = place(*points[-1]).split(",")
        parts.append(f'<polyline class="line" stroke="{colour}" points="{path}"/>')
        parts.append(f'<text x="{float(end[0]) + 6}" y="{float(end[1]) + 4}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _open(width: int, height: int, title: str) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width} {height}" width="{width}">'
    return f'{head}\n<title>{escape(title)}</title>\n{_STYLE}\n<text x="12" y="20">{escape(title)}</text>'
