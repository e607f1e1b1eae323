"""`python -m bench [--rounds N] [--only PART]` runs the benchmarks.

A run of all parts writes the results into bench/ and the cost tables into the documents.
"""

from __future__ import annotations

import argparse
import datetime
import platform
from collections.abc import Iterator

from bench import deployed, inputs, report, runs, sizes, warm
from bench.cold import ColdBench
from bench.rows import Row
from bench.sides import Ours, Peers
from bench.warm import WarmBench
from lambda_packages.build import REPOSITORY

_FOLDER = REPOSITORY / ".build" / "bench"
_PARTS = ("warm", "cold", "sizes")
_PHOTO = "12 MP JPEG"  # the format and size of a phone's camera
_CALLS = 60  # invocations of a warm function to measure its processor time


class Bench:
    def __init__(self, rounds: int) -> None:
        _FOLDER.mkdir(parents=True, exist_ok=True)
        self.rounds = rounds
        self.peers = Peers.install(_FOLDER / "peers")
        self.ours = Ours.unpack(_FOLDER / "ours")
        self.deployed = deployed.load_functions()
        self.pictures = {picture.name: picture for picture in inputs.make_inputs(_FOLDER / "inputs")}
        self.cpu_ms: dict[str, float] = {}

    def rows(self, part: str) -> Iterator[Row]:
        return {"warm": self._warm, "cold": self._cold, "sizes": self._sizes}[part]()

    def _warm(self) -> Iterator[Row]:
        default = self.deployed["process_avatar"].environment
        full_set = WarmBench(self.ours, self.peers, {**default, **warm.FULL_SET}, self.rounds)
        for picture in self.pictures.values():
            yield from full_set.rows(picture, picture.name, warm.AIMS.get(picture.name))
        default_set = WarmBench(self.ours, self.peers, default, self.rounds)
        yield from default_set.rows(self.pictures[_PHOTO], f"{_PHOTO}, default outputs", None)

    def _cold(self) -> Iterator[Row]:
        bench = ColdBench(self.ours, self.peers, self.deployed, _FOLDER)
        picture = self.pictures[_PHOTO]
        with bench.contests(picture) as contests:
            for contest in contests:
                yield from bench.rows(contest, picture, 2 * self.rounds + 1)
            self.cpu_ms = bench.measure_cpu_ms(contests, _CALLS, self.rounds)

    def _sizes(self) -> Iterator[Row]:
        yield from sizes.rows(self.peers, _FOLDER / "arm64")

    def circumstances(self) -> report.Circumstances:
        node = runs.run([self.peers.node, "--version"], {}).output.strip()
        versions = f"Python {platform.python_version()}, Node {node.lstrip('v')}, sharp {self.peers.version('sharp')}"
        return report.Circumstances(
            f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}", runs.read_processor_name(), versions, self.rounds
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description="Benchmarks of the functions against Node.js.")
    parser.add_argument("--rounds", type=int, default=7, help="pairs of processes per case (cold: twice as many)")
    parser.add_argument("--only", choices=_PARTS, help="run one part and print its results without writing files")
    options = parser.parse_args()
    bench = Bench(options.rounds)
    measured_core, _ = runs.select_cores()
    rows: list[Row] = []
    with runs.pin_to_core(measured_core):
        for part in [options.only] if options.only else _PARTS:
            for row in bench.rows(part):
                _print(row)
                rows.append(row)
    print(f"\n{report.format_table(rows)}")
    if not options.only:
        report.write(rows, bench.cpu_ms, bench.circumstances())


def _print(row: Row) -> None:
    """Print a result as soon as it is there: a run takes minutes."""
    peer = "fails" if row.peer is None else f"{row.peer:9.2f}"
    ratio = "" if row.ratio is None else f"{row.ratio:6.2f}"
    aim = "" if row.aim is None else f"  aim {row.aim:g}: {row.verdict}"
    print(f"{row.name:<34}{row.ours:9.2f}{peer:>10} {row.unit:<10}{ratio:>6}{aim}", flush=True)
    if row.note:
        print(f"{'':<34}{row.note}", flush=True)


if __name__ == "__main__":
    main()
