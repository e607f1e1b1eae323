"""`make fuzz`: render damaged and hostile files in worker processes that can crash or hang."""

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

from fuzz.campaign import Campaign, Finding
from fuzz.inputs import MUTATED, STRUCTURED

FINDINGS = Path(__file__).parents[1] / ".build" / "fuzz"


def main(arguments: list[str]) -> int:
    """Return the exit code: 1 if there are findings."""
    parser = argparse.ArgumentParser(prog="make fuzz COUNT= SEED=", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="inputs; one in four is generated from scratch")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000, help="determines the inputs")
    options = parser.parse_args(arguments)
    print(f"seed {options.seed}", flush=True)
    started = time.monotonic()
    campaign = Campaign(options.seed, FINDINGS)
    structured = options.count // 4
    outcomes = campaign.run({STRUCTURED: structured, MUTATED: options.count - structured})
    print(format_table(outcomes))
    print(f"{outcomes.total():,} inputs in {time.monotonic() - started:.0f} s, {len(campaign.findings)} findings")
    for finding in campaign.findings:
        print(format_finding(finding))
    return 1 if campaign.findings else 0


def format_table(outcomes: Counter[tuple[str, str]]) -> str:
    """Return a table with a row for each format and a column for each outcome."""
    columns = sorted({outcome for _, outcome in outcomes})
    lines = [f"{'':<10}" + "".join(f"{column:>20}" for column in columns)]
    lines += [
        f"{name:<10}" + "".join(f"{outcomes[name, column]:>20,}" for column in columns)
        for name in sorted({name for name, _ in outcomes})
    ]
    return "\n".join(lines)


def format_finding(finding: Finding) -> str:
    return f"{finding.kind}: {finding.saved_as}\n    {finding.details}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
