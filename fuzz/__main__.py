"""`make fuzz`: render damaged and hostile files, breed those that cost the most, and print the worst.

A finding is a crash, a hang, an unexpected exception, or a file that exceeds the render process's limits of CPU time or
memory. Findings and the worst files are saved in .build/fuzz.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from fuzz.campaign import Campaign, Finding
from fuzz.costs import Cost
from fuzz.inputs import BRED, FLOOD, MUTATED, STRUCTURED

FINDINGS = Path(__file__).parents[1] / ".build" / "fuzz"


def main(arguments: list[str]) -> int:
    """Return the exit code: 1 if there are findings."""
    parser = argparse.ArgumentParser(prog="make fuzz COUNT= SEED=", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="inputs")
    parser.add_argument(
        "--seed", type=int, default=time.time_ns() % 1_000_000, help="determines inputs that are not bred"
    )
    options = parser.parse_args(arguments)
    print(f"seed {options.seed}", flush=True)
    started = time.monotonic()
    campaign = Campaign(options.seed, FINDINGS)
    outcomes = campaign.run(divide(options.count))
    seconds = time.monotonic() - started
    print(format_table(outcomes))
    print(format_worst(campaign.worst))
    rate = outcomes.total() / seconds
    print(f"{outcomes.total():,} inputs in {seconds:.0f} s, {rate:.0f}/s, {len(campaign.findings)} findings")
    for finding in campaign.findings:
        print(format_finding(finding))
    return 1 if campaign.findings else 0


def divide(count: int) -> dict[str, int]:
    """Return the number of inputs of each kind."""
    rare = {STRUCTURED: count // 4, FLOOD: count // 20, BRED: count // 10}
    return {**rare, MUTATED: count - sum(rare.values())}


def format_table(outcomes: Counter[tuple[str, str]]) -> str:
    """Return a table with a row for each format and a column for each outcome."""
    columns = sorted({outcome for _, outcome in outcomes})
    lines = [f"{'':<10}" + "".join(f"{column:>20}" for column in columns)]
    lines += [
        f"{name:<10}" + "".join(f"{outcomes[name, column]:>20,}" for column in columns)
        for name in sorted({name for name, _ in outcomes})
    ]
    return "\n".join(lines)


def format_worst(worst: Mapping[str, tuple[Cost, Path]]) -> str:
    """Return a table with the worst file by each measure."""
    lines = [f"{'worst':<18}{'format':>8}{'bytes':>14}{'CPU ms':>10}{'MiB':>8}  file"]
    lines += [
        f"{measure:<18}{cost.format:>8}{cost.size:>14,}{cost.cpu_seconds * 1000:>10,.0f}"
        f"{cost.memory_bytes / 2**20:>8,.0f}  {file}"
        for measure, (cost, file) in worst.items()
    ]
    return "\n".join(lines)


def format_finding(finding: Finding) -> str:
    return f"{finding.kind}: {finding.saved_as}\n    {finding.details}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
