"""Warm rendering in one process: the bytes of a picture to all outputs, against the fastest pipeline of sharp."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import runs
from bench.inputs import Input
from bench.quality import Quality, Reference
from bench.rows import Row
from bench.sides import Ours, Peers
from functions.process_avatar.imaging.renderer import STABLE_JPEG_SIZE

FULL_SET = {"SIZES": "512,128"}  # for a profile page and for lists; the default is one size in between

# Largest acceptable ratios for the full set.
AIMS = {
    "1 MP JPEG": 1.0,
    "12 MP JPEG": 0.85,
    "48 MP JPEG": 0.95,
    "12 MP PNG with alpha": 1.3,
    "4 MP WebP": 1.0,
    "4 MP AVIF": 0.5,
}
_DEFAULTS = "one decode, effort 4"
_VARIANTS = ("one decode, effort 2", _DEFAULTS, "clones, effort 2")  # peers/outputs.cjs
_STABLE = "stable.jpg"
_SECONDS = 0.5  # to measure in each process, after two warm-up renderings


@dataclass(frozen=True)
class Times:
    wall_ms: float
    cpu_ms: float


@dataclass(frozen=True)
class _Output:
    quality: Quality
    bytes: int

    def __str__(self) -> str:
        return f"{self.quality} / {self.bytes / 1000:.1f} kB"


class WarmBench:
    """`environment` has the variables of process_avatar, which determine the outputs."""

    def __init__(self, ours: Ours, peers: Peers, environment: Mapping[str, str], rounds: int) -> None:
        self._peers = peers
        self._environment = {**os.environ, **environment, "PYTHONPATH": ":".join(ours.path("process_avatar"))}
        self._rounds = rounds
        self._edges = {f"{size}.webp": int(size) for size in environment["SIZES"].split(",")}
        self._edges[_STABLE] = STABLE_JPEG_SIZE

    def rows(self, picture: Input, name: str, aim: float | None) -> Iterator[Row]:
        """Compare with the fastest sharp pipeline, and with sharp's default effort."""
        edges = set(self._edges.values())
        references = {edge: Reference(picture.data, edge, cut_at=max(edges)) for edge in edges}
        with tempfile.TemporaryDirectory() as here, tempfile.TemporaryDirectory() as there:
            self._render(picture, here)
            ours = self._measure_outputs(references, Path(here))
            variant = self._best_variant(picture, there)
            if variant is None:
                yield self._without_peer(picture, name, here, ours)
                return
            floor = f"decoding and encoding alone {self._measure_floor(picture):.1f} ms"
            pairs = self._pairs(picture, variant, here, there)
            peer = self._measure_outputs(references, Path(there))
            yield self._row(name, variant, pairs, f"{_format_outputs(ours, peer)}; {floor}", aim)
            pairs = self._pairs(picture, _DEFAULTS, here, there)
            peer = self._measure_outputs(references, Path(there))
            yield self._row(f"{name}, default effort", _DEFAULTS, pairs, _format_outputs(ours, peer), None)

    def _pairs(self, picture: Input, variant: str, here: str, there: str) -> runs.Pairs[Times]:
        return runs.run_in_pairs(
            lambda: self._render(picture, here), lambda: self._render_with_peer(picture, variant, there), self._rounds
        )

    def _row(self, name: str, variant: str, pairs: runs.Pairs[Times], note: str, aim: float | None) -> Row:
        return Row(
            name=f"warm, {name}",
            ours=median(its.wall_ms for its in pairs.ours),
            peer=median(its.wall_ms for its in pairs.peer),
            peer_name=f"sharp, {variant}",
            unit="ms",
            ratio=pairs.ratio(lambda its: its.wall_ms),
            aim=aim,
            note=f"{note}; ratio of processor times {pairs.ratio(lambda its: its.cpu_ms):.2f}",
        )

    def _best_variant(self, picture: Input, folder: str) -> str | None:
        """Return the sharp pipeline with the least processor time; None if sharp cannot read the picture."""
        try:
            times = {variant: self._render_with_peer(picture, variant, folder).cpu_ms for variant in _VARIANTS}
        except runs.RunError:
            return None
        return min(times, key=lambda variant: times[variant])

    def _without_peer(self, picture: Input, name: str, folder: str, ours: Mapping[str, _Output]) -> Row:
        times = [self._render(picture, folder) for _ in range(self._rounds)]
        return Row(
            name=f"warm, {name}",
            ours=median(its.wall_ms for its in times),
            peer=None,
            peer_name="sharp, which cannot read it",
            unit="ms",
            ratio=None,
            note=_format_outputs(ours, None),
        )

    def _render(self, picture: Input, folder: str, *options: str) -> Times:
        # -S: dependencies are imported from the layers instead of site-packages.
        script = [sys.executable, "-S", "-P", str(Path(__file__).with_name("render.py"))]
        return self._run_timed([*script, str(picture.path), folder, str(_SECONDS), *options])

    def _measure_floor(self, picture: Input) -> float:
        with tempfile.TemporaryDirectory() as folder:
            return median(self._render(picture, folder, "--floor").wall_ms for _ in range(3))

    def _render_with_peer(self, picture: Input, variant: str, folder: str) -> Times:
        script = str(self._peers.folder / "render.cjs")
        return self._run_timed([self._peers.node, script, str(picture.path), variant, folder, str(_SECONDS)])

    def _run_timed(self, command: list[str]) -> Times:
        return Times(**json.loads(runs.run(command, self._environment).output.splitlines()[-1]))

    def _measure_outputs(self, references: Mapping[int, Reference], folder: Path) -> dict[str, _Output]:
        files = {name: (folder / name).read_bytes() for name in self._edges}
        return {name: _Output(references[self._edges[name]].quality(data), len(data)) for name, data in files.items()}


def _format_outputs(ours: Mapping[str, _Output], peer: Mapping[str, _Output] | None) -> str:
    return "; ".join(f"{name} {output}" + (f" against {peer[name]}" if peer else "") for name, output in ours.items())
