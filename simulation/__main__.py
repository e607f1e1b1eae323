"""`make simulate`: the pipeline under faults, in virtual time, with every rule checked."""

import argparse
import multiprocessing
import sys
import time
from functools import partial

from simulation.campaign import describe, run_campaign, shrink_failure
from simulation.exhaustive import SCENARIOS, Exploration, describe_counterexample, explore
from simulation.rules import RULES, Rule
from simulation.settings import Settings


def main(arguments: list[str]) -> int:
    """1 if a rule does not hold."""
    parser = argparse.ArgumentParser(prog="make simulate COUNT= SEED=", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="schedules")
    parser.add_argument(
        "--seed", type=int, default=time.time_ns() % 1_000_000, help="the same seed, the same schedules"
    )
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rules", nargs="+", choices=sorted(RULES), default=sorted(RULES), metavar="RULE")
    parser.add_argument("--all", action="store_true", help="go on after a violation: one for each rule")
    parser.add_argument("--exhaustive", action="store_true", help="every interleaving of two deliveries instead")
    parser.add_argument("--scenarios", nargs="+", choices=list(SCENARIOS), default=list(SCENARIOS), metavar="SCENARIO")
    parser.add_argument("--kills", type=int, default=1, help="sandboxes killed in an exhaustive run, at most")
    options = parser.parse_args(arguments)
    rules = [RULES[name] for name in options.rules]
    if options.exhaustive:
        return _explore_all(options.scenarios, rules, options.kills, options.processes)
    return _run(options.seed, options.count, rules, options.processes, stop_at_first=not options.all)


def _run(seed: int, count: int, rules: list[type[Rule]], processes: int, *, stop_at_first: bool) -> int:
    print(f"seed {seed}", flush=True)
    settings = Settings()
    started = time.perf_counter()
    result = run_campaign(seed, count, rules=rules, settings=settings, processes=processes, stop_at_first=stop_at_first)
    seconds = time.perf_counter() - started
    for failure in result.failures:
        print(f"\n{describe(shrink_failure(failure, settings))}")
    print(
        f"\nseed {seed}: {result.count:,} schedules in {seconds:.1f} s, {result.count / seconds:.0f} a second, "
        f"{len(result.failures)} rules violated"
    )
    return 1 if result.failures else 0


def _explore_all(scenarios: list[str], rules: list[type[Rule]], kills: int, processes: int) -> int:
    is_violated = False
    explore_one = partial(_explore, [rule.__name__ for rule in rules], kills)
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        for name, exploration, seconds in pool.imap(explore_one, scenarios):
            for counterexample in exploration.counterexamples.values():
                is_violated = True
                print(f"\n{describe_counterexample(counterexample)}")
            print(
                f"\n{name}: {exploration.count:,} schedules, {exploration.redundant:,} redundant ones abandoned, "
                f"{seconds:.1f} s, {len(exploration.counterexamples)} rules violated",
                flush=True,
            )
    return 1 if is_violated else 0


def _explore(rules: list[str], kills: int, scenario: str) -> tuple[str, Exploration, float]:
    started = time.perf_counter()
    exploration = explore(SCENARIOS[scenario], [RULES[name] for name in rules], Settings(), kills=kills)
    return scenario, exploration, time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
