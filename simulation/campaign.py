"""Many runs, each from its own seed, and what to say of one that breaks a rule."""

from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from simulation import random_users
from simulation.choices import Choices, RandomChoices, RecordedChoices, Value
from simulation.random_users import MAX_UPLOADS, NAMES
from simulation.rules import RULES, Rule
from simulation.settings import Settings
from simulation.shrinking import shrink
from simulation.simulation import Event, RuleViolationError, Simulation

Run = Callable[[Choices], Simulation]


@dataclass(frozen=True)
class Failure:
    """A run that breaks a rule."""

    seed: str
    rule: str
    details: str
    choices: Mapping[str, Value]
    """Those that differ from the default."""
    history: list[Event]


@dataclass
class Result:
    count: int = 0
    failures: list[Failure] = field(default_factory=list[Failure])


def run_choices(choices: Choices, settings: Settings, rules: Collection[type[Rule]]) -> Failure | Simulation:
    """One run; the finished simulation, or the rule that it breaks."""
    simulation = Simulation(choices, settings, rules)
    try:
        random_users.run(simulation)
    except RuleViolationError as violation:
        return Failure("", violation.rule, violation.details, dict(choices.made), simulation.history)
    finally:
        simulation.end()
    return simulation


def run_seed(seed: str, settings: Settings, rules: Collection[type[Rule]]) -> Failure | None:
    """The run that follows from `seed`: None if every rule holds."""
    outcome = run_choices(RandomChoices(seed), settings, rules)
    if isinstance(outcome, Failure):
        return Failure(seed, outcome.rule, outcome.details, outcome.choices, outcome.history)
    return None


def shrink_failure(failure: Failure, settings: Settings) -> Failure:
    """A failure of the same rule with as few choices as could be found."""
    rules = [RULES[failure.rule]]

    def attempt(choices: Mapping[str, Value]) -> tuple[Failure, RecordedChoices] | None:
        recorded = RecordedChoices(choices)
        outcome = run_choices(recorded, settings, rules)
        return (outcome, recorded) if isinstance(outcome, Failure) else None

    def simpler(result: tuple[Failure, RecordedChoices], label: str) -> Sequence[Value]:
        return result[1].simpler.get(label, ())

    found = next(filter(None, (shrink(each, attempt, simpler) for each in _starts(failure.choices))), None)
    if found is None:
        return failure
    smallest = found[0]
    return Failure(failure.seed, smallest.rule, smallest.details, smallest.choices, smallest.history)


def _starts(choices: Mapping[str, Value]) -> Iterator[dict[str, Value]]:
    """What shrinking may begin with: what one upload goes through, what one user does, then everything."""
    first = NAMES[0]
    for user in NAMES:
        for name in (f"{user}-{number}" for number in range(1, MAX_UPLOADS + 1)):
            own = {label: value for label, value in choices.items() if name in label}
            yield {label.replace(name, f"{first}-1").replace(user, first): value for label, value in own.items()}
    for user in NAMES:
        yield {label.replace(user, first): value for label, value in choices.items() if user in label}
    yield dict(choices)


def run_campaign(
    seed: int,
    count: int,
    *,
    rules: Collection[type[Rule]],
    settings: Settings,
    processes: int = 1,
    stop_at_first: bool = True,
) -> Result:
    """`count` runs; the first failure of each rule that is broken, or the first of all.

    The result depends on the seed alone, not on the number of processes, unless it stops at the first failure.
    """
    result = Result()
    failed_rules: set[str] = set()
    for number, failure in _outcomes(seed, count, rules, settings, processes):
        result.count = max(result.count, number + 1)
        if failure is None or failure.rule in failed_rules:
            continue
        failed_rules.add(failure.rule)
        result.failures.append(failure)
        if stop_at_first:
            break
    return result


_CHUNK = 50


def _outcomes(
    seed: int, count: int, rules: Collection[type[Rule]], settings: Settings, processes: int
) -> Iterator[tuple[int, Failure | None]]:
    starts = range(0, count, _CHUNK)
    chunk = partial(_run_chunk, seed, count, tuple(rule.__name__ for rule in rules), settings)
    if processes == 1:
        gc.freeze()  # what is there before the runs is not looked at after each chunk
        try:
            for start in starts:
                yield from chunk(start)
        finally:
            gc.unfreeze()
        return
    with multiprocessing.get_context("fork").Pool(processes, gc.freeze) as pool:
        for outcomes in pool.imap(chunk, starts):
            yield from outcomes


def _run_chunk(
    seed: int, count: int, names: tuple[str, ...], settings: Settings, start: int
) -> list[tuple[int, Failure | None]]:
    rules = [RULES[name] for name in names]
    gc.disable()  # runs leave cycles, which are collected once for the chunk
    try:
        numbers = range(start, min(start + _CHUNK, count))
        return [(number, run_seed(f"{seed}:{number}", settings, rules)) for number in numbers]
    finally:
        gc.collect()
        gc.enable()


def describe(failure: Failure) -> str:
    """The rule, the choices and the history, for people."""
    lines = [f"seed {failure.seed}" if failure.seed else "", f"rule {failure.rule}"]
    lines += [f"     {(RULES[failure.rule].__doc__ or '').strip()}", f"     {failure.details}", "", "schedule:"]
    lines += [f"  {label} = {value}" for label, value in failure.choices.items()]
    lines += ["", "history (seconds):"]
    lines += [f"  {event.at_ms / 1000:10.3f}  {event.actor:<28} {describe_event(event)}" for event in failure.history]
    return "\n".join(lines)


def describe_event(event: Event) -> str:
    if "%s" in event.what:
        head, *rest = event.details
        if isinstance(head, tuple):  # a log record: message and arguments, extra
            return f"log: {head[0] % head[1] if head[1] else head[0]}"
        return event.what % (head, *rest)
    return "  ".join([event.what, *(str(each) for each in event.details if each != "ok")])
