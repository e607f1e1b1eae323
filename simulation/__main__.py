"""`make simulate`: the pipeline under faults, in virtual time, with every rule checked."""

import argparse
import sys
import time

from simulation.campaign import describe, run_campaign, shrink_failure
from simulation.rules import RULES
from simulation.settings import Settings


def main(arguments: list[str]) -> int:
    """1 if a rule does not hold."""
    parser = argparse.ArgumentParser(prog="make simulate COUNT= SEED=", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="schedules")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000, help="the same seed, the same schedules")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rules", nargs="+", choices=sorted(RULES), default=sorted(RULES), metavar="RULE")
    parser.add_argument("--all", action="store_true", help="go on after a violation: one for each rule")
    options = parser.parse_args(arguments)
    print(f"seed {options.seed}", flush=True)
    settings = Settings()
    started = time.perf_counter()
    result = run_campaign(
        options.seed,
        options.count,
        rules=[RULES[name] for name in options.rules],
        settings=settings,
        processes=options.processes,
        stop_at_first=not options.all,
    )
    seconds = time.perf_counter() - started
    for failure in result.failures:
        print(f"\n{describe(shrink_failure(failure, settings))}")
    print(
        f"\n{result.count:,} schedules in {seconds:.1f} s, {result.count / seconds:.0f} a second, "
        f"{len(result.failures)} rules violated"
    )
    return 1 if result.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
