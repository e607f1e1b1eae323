"""`make mutate`: make small mistakes in the core modules, and see whether a test of the module fails.

The repository is the current folder. Exit status: 0 if at least 98% of the mutants are found, 2 for wrong settings.
"""

import argparse
import os
import sys
import time
from collections import Counter
from pathlib import Path

from mutation.campaign import CampaignError, Outcome, find_mutants, read_settings, run, sample

REQUIRED_SHARE = 0.98


def main(arguments: list[str]) -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(prog="make mutate COUNT= SEED=", description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="mutants")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000, help="determines the mutants")
    parser.add_argument("--module", default="", help="only of modules whose path contains this")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--list", action="store_true", help="print the mutants instead of testing them")
    options = parser.parse_args(arguments)
    root = Path.cwd()
    print(f"seed {options.seed}", flush=True)
    try:
        settings = read_settings(root)
        mutants, equivalent = find_mutants(root, settings)
        chosen = sample([each for each in mutants if options.module in each.module], options.count, options.seed)
        print(f"{len(chosen)} of {len(mutants):,} mutants; {equivalent} are equivalent to the original", flush=True)
        if options.list:
            print(*(mutant.diff((root / mutant.module).read_text()) for mutant in chosen), sep="\n")
            return 0
        started = time.monotonic()
        outcomes = Counter[Outcome]()
        for mutant, outcome in run(root, settings, chosen, options.processes):
            outcomes[outcome] += 1
            if outcome == "survived":
                print(f"{outcome}: {mutant.diff((root / mutant.module).read_text())}", flush=True)
    except CampaignError as error:
        print(error, file=sys.stderr)
        return 2
    found = len(chosen) - outcomes["survived"]
    share = found / len(chosen) if chosen else 1
    seconds = time.monotonic() - started
    print(
        f"{found} of {len(chosen)} found, {share:.1%}, {outcomes['timeout']} of them by a timeout; "
        f"{seconds:.0f} s, {seconds / max(len(chosen), 1):.1f} s each"
    )
    return 0 if share >= REQUIRED_SHARE else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
