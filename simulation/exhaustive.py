"""Every interleaving of two deliveries, request by request, with a sandbox killed at any of them.

Each schedule is executed from the beginning. Interleavings that differ only in the order of requests that do not
conflict are executed once, by sleep sets: Patrice Godefroid, Partial-Order Methods for the Verification of Concurrent
Systems, 1996, chapter 5.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from simulation.choices import RecordedChoices
from simulation.lambda_functions import UPLOADS_BUCKET, UPLOADS_PER_HOUR
from simulation.network import Request
from simulation.rules import Rule
from simulation.scheduler import Invocation, Scheduler
from simulation.settings import Settings
from simulation.simulation import DAY_MS, Event, RuleViolationError, Simulation, Upload
from simulation.users import Users

_OLD_MS = 400_000  # older than the time for which an unused form is pending


class Step(NamedTuple):
    """A request that takes effect, and whether the sandbox that sent it is killed then."""

    actor: str
    label: str
    request: Request
    invocation: Invocation | None
    is_kill: bool

    @property
    def key(self) -> tuple[str, str, bool]:
        return self.actor, self.label, self.is_kill

    def depends_on(self, other: Step) -> bool:
        """Whether the order of the two makes a difference."""
        if self.is_kill and other.is_kill:
            return True
        if (self.is_kill or other.is_kill) and self.actor == other.actor:
            return True
        return self.request.conflicts_with(other.request)

    def __str__(self) -> str:
        return f"{self.actor}: {self.label}" + (", then the sandbox is killed" if self.is_kill else "")


class _RedundantError(Exception):
    """Every continuation has been executed in another order."""


@dataclass
class _Node:
    candidates: list[Step]
    asleep: list[Step]
    index: int = 0

    def next_asleep(self) -> list[Step]:
        chosen = self.candidates[self.index]
        return [step for step in (*self.asleep, *self.candidates[: self.index]) if not step.depends_on(chosen)]


class _Explorer(Scheduler):
    """Requests wait until they are chosen; time passes only when none waits."""

    def __init__(self, nodes: list[_Node], kills: int) -> None:
        super().__init__()
        self.simulation: Simulation
        self._nodes = nodes
        self._depth = 0
        self._kills = kills
        self._waiting: list[tuple[Step, Callable[[], None]]] = []
        self.steps: list[Step] = []

    def send(
        self, delay_ms: int, origin: tuple[str, str, Request, Invocation | None], action: Callable[[], None]
    ) -> None:
        if self.simulation.is_quiet:
            super().send(delay_ms, origin, action)
        else:
            self._waiting.append((Step(*origin, is_kill=False), action))

    def run(self) -> None:
        while True:
            self.run_due_events()
            self._waiting = [each for each in self._waiting if (i := each[0].invocation) is None or i.is_running]
            if self._waiting:
                self._take(self._choose())
            elif self._events:
                self.now_ms = self._events[0][0]
            else:
                return

    def run_due_events(self) -> None:
        """Run what is due now; requests stay where they are."""
        while self._events and self._events[0][0] <= self.now_ms:
            heapq.heappop(self._events)[2]()

    def _choose(self) -> Step:
        if self._depth == len(self._nodes):
            asleep = self._nodes[-1].next_asleep() if self._nodes else []
            keys = {step.key for step in asleep}
            candidates = [step for step in self._possible() if step.key not in keys]
            if not candidates:
                raise _RedundantError
            self._nodes.append(_Node(candidates, asleep))
        node = self._nodes[self._depth]
        self._depth += 1
        chosen = node.candidates[node.index]
        self.steps.append(chosen)
        return chosen

    def _possible(self) -> Iterator[Step]:
        for step, _ in self._waiting:
            yield step
            if self._kills and step.actor.startswith(("process", "finish", "delete", "erase")):
                yield step._replace(is_kill=True)

    def _take(self, chosen: Step) -> None:
        position = next(index for index, (step, _) in enumerate(self._waiting) if step.key[:2] == chosen.key[:2])
        step, action = self._waiting.pop(position)
        self.now_ms += 1
        action()
        if chosen.is_kill:
            self._kills -= 1
            if step.invocation is not None:
                self.simulation.kill(step.invocation)


@dataclass(frozen=True)
class Counterexample:
    rule: str
    details: str
    steps: list[str]
    history: list[Event]


@dataclass
class Exploration:
    """What all schedules of a scenario came to."""

    count: int = 0
    redundant: int = 0
    counterexamples: dict[str, Counterexample] = field(default_factory=dict[str, Counterexample])
    """By rule: the one with the fewest steps until the violation, and fewest kills."""


class Stage(Users):
    """What a scenario arranges before its deliveries begin."""

    def __init__(self, simulation: Simulation, explorer: _Explorer) -> None:
        super().__init__(simulation)
        self._explorer = explorer
        self._events: dict[str, str] = {}
        self._held: list[tuple[str, str]] = []
        self._later: list[Upload] = []

    def upload(self, name: str, number: int) -> Upload:
        """Get a form and post file `number` with it."""
        self.get_form(name, lambda upload: self._events.update({name: self.post(upload, number)}))
        self._explorer.run_due_events()
        return next(upload for upload in self._simulation.uploads.values() if upload.name == name)

    def deliver(self, upload: Upload, times: int = 1) -> None:
        """Queue the event of an upload."""
        for ordinal in range(1, times + 1):
            self.queue_event(upload, f"{upload.name}.{ordinal}", self._events[upload.name])

    def deliver_later(self, upload: Upload) -> None:
        """Queue the event of an upload when everything else has ended."""
        self._later.append(upload)

    def deliver_late(self) -> None:
        while self._later:
            self.deliver(self._later.pop(0))

    def queue_deletion(self, name: str, body: str) -> None:
        self._held.append((name, body))

    def deliver_deletions(self) -> None:
        """Queue the events of the requests to delete."""
        while self._held:
            super().queue_deletion(*self._held.pop())

    def settle(self) -> None:
        """Let everything that was begun end, undisturbed."""
        self._simulation.is_quiet = True
        self._explorer.run()
        self._simulation.is_quiet = False

    def wait(self, milliseconds: int) -> None:
        self._explorer.now_ms += milliseconds

    def post_at_any_time(self, upload: Upload, number: int) -> None:
        """Post another file with the same form: a step like the requests of the functions."""

        def post() -> None:
            self.queue_event(upload, f"{upload.name}.again", self.post(upload, number))

        request = Request(self._simulation, "s3", "PostObject", UPLOADS_BUCKET, (upload.key,), lambda _: None)
        self._explorer.send(0, (upload.name, "posts another file", request, None), post)


Scenario = Callable[[Stage], None]


def same_upload_twice(stage: Stage) -> None:
    """Two events of one upload, the first of its user."""
    stage.deliver(stage.upload("ada-1", 4), times=2)


def same_upload_twice_replacing(stage: Stage) -> None:
    """Two events of one upload that replaces an avatar."""
    stage.deliver(stage.upload("ada-1", 4))
    stage.settle()
    stage.deliver(stage.upload("ada-2", 8), times=2)


def two_uploads(stage: Stage) -> None:
    """Two uploads of one user."""
    older = stage.upload("ada-1", 4)
    stage.wait(100)
    newer = stage.upload("ada-2", 8)
    stage.deliver(older)
    stage.deliver(newer)


def first_picture_again(stage: Stage) -> None:
    """Two uploads of one user, the newer of the picture that is current: a compare-and-set must not mistake it."""
    stage.deliver(stage.upload("ada-1", 4))
    stage.settle()
    older = stage.upload("ada-2", 8)
    stage.wait(100)
    newer = stage.upload("ada-3", 4)
    stage.deliver(older)
    stage.deliver(newer)


def delivery_and_finish(stage: Stage) -> None:
    """A client asks for the result of its first upload while that is delivered."""
    upload = stage.upload("ada-1", 4)
    stage.deliver(upload)
    stage.finish(upload, "meanwhile")


def finish_and_older_delivery(stage: Stage) -> None:
    """A client asks for the result of an upload while an older one is delivered. Then its own event comes."""
    older = stage.upload("ada-1", 4)
    stage.wait(100)
    newer = stage.upload("ada-2", 8)
    stage.deliver(older)
    stage.finish(newer, "meanwhile")
    stage.deliver_later(newer)


def finish_and_second_post(stage: Stage) -> None:
    """Another file is posted with the same form, at any moment of the request for the result."""
    upload = stage.upload("ada-1", 4)
    stage.finish(upload, "meanwhile")
    stage.post_at_any_time(upload, 5)
    stage.deliver_later(upload)


def finish_and_deletion(stage: Stage) -> None:
    """A user deletes the avatar while the result of the first upload is asked for."""
    upload = stage.upload("ada-1", 4)
    stage.finish(upload, "meanwhile")
    stage.delete("ada-deletion", "ada")
    stage.deliver_later(upload)


def two_posts(stage: Stage) -> None:
    """Another file is posted with the same form, at any moment of the first one's delivery."""
    upload = stage.upload("ada-1", 4)
    stage.deliver(upload)
    stage.post_at_any_time(upload, 5)


def last_of_the_quota(stage: Stage) -> None:
    """Two uploads of one user whose quota has room for one of them."""
    for number in range(1, UPLOADS_PER_HOUR):
        stage.deliver(stage.upload(f"ada-{number}", 4 * number))
        stage.settle()
    for number in (UPLOADS_PER_HOUR, UPLOADS_PER_HOUR + 1):
        stage.deliver(stage.upload(f"ada-{number}", 4 * number))


def late_upload_and_status(stage: Stage) -> None:
    """A client asks for the status while a late event is processed."""
    upload = stage.upload("ada-1", 4)
    stage.wait(_OLD_MS)
    stage.deliver(upload)
    stage.read_status(upload, "meanwhile")


def upload_and_sweep(stage: Stage) -> None:
    """A sweep deletes a superseded version while a third one is published."""
    for number in (1, 2):
        stage.deliver(stage.upload(f"ada-{number}", 4 * number))
        stage.settle()
    stage.wait(8 * DAY_MS)
    stage.deliver(stage.upload("ada-3", 12))
    stage.sweep("meanwhile")


def upload_and_deletion(stage: Stage) -> None:
    """A user deletes the avatar while the first upload is processed."""
    stage.deliver(stage.upload("ada-1", 4))
    stage.delete("ada-deletion", "ada")


def replacing_upload_and_deletion(stage: Stage) -> None:
    """A user deletes the avatar while another upload is processed."""
    stage.deliver(stage.upload("ada-1", 4))
    stage.settle()
    stage.deliver(stage.upload("ada-2", 8))
    stage.delete("ada-deletion", "ada")


def late_upload_and_processed_deletion(stage: Stage) -> None:
    """What is left is deleted while the event of an older upload arrives."""
    stage.deliver(stage.upload("ada-1", 4))
    stage.settle()
    late = stage.upload("ada-2", 8)
    stage.wait(100)
    stage.delete("ada-deletion", "ada")
    stage.settle()
    stage.deliver(late)
    stage.deliver_deletions()


def deletion_and_next_upload(stage: Stage) -> None:
    """What is left is deleted while the next upload is processed."""
    stage.deliver(stage.upload("ada-1", 4))
    stage.settle()
    stage.delete("ada-deletion", "ada")
    stage.settle()
    stage.wait(100)
    stage.deliver(stage.upload("ada-2", 8))
    stage.deliver_deletions()


def upload_and_erasure(stage: Stage) -> None:
    """An operator erases a user while the first upload is processed. Then its event comes again."""
    upload = stage.upload("ada-1", 4)
    stage.deliver(upload)
    stage.erase("erase ada", "ada", lambda: None)
    stage.deliver_later(upload)


SCENARIOS: dict[str, Scenario] = {
    scenario.__name__: scenario
    for scenario in (
        same_upload_twice,
        same_upload_twice_replacing,
        two_uploads,
        first_picture_again,
        delivery_and_finish,
        finish_and_older_delivery,
        finish_and_second_post,
        finish_and_deletion,
        two_posts,
        last_of_the_quota,
        late_upload_and_status,
        upload_and_sweep,
        upload_and_deletion,
        replacing_upload_and_deletion,
        late_upload_and_processed_deletion,
        deletion_and_next_upload,
        upload_and_erasure,
    )
}


def explore(
    scenario: Scenario,
    rules: Collection[type[Rule]],
    settings: Settings,
    *,
    kills: int = 1,
    max_count: int | None = None,
) -> Exploration:
    """All schedules of `scenario` with at most `kills` killed sandboxes; no more than `max_count` of them."""
    exploration = Exploration()
    nodes: list[_Node] = []
    while max_count is None or exploration.count + exploration.redundant < max_count:
        _execute(scenario, rules, settings, kills, nodes, exploration)
        while nodes and nodes[-1].index == len(nodes[-1].candidates) - 1:
            nodes.pop()
        if not nodes:
            break
        nodes[-1].index += 1
    return exploration


def _execute(
    scenario: Scenario,
    rules: Collection[type[Rule]],
    settings: Settings,
    kills: int,
    nodes: list[_Node],
    exploration: Exploration,
) -> None:
    scheduler = _Explorer(nodes, kills)
    simulation = Simulation(RecordedChoices({}), settings, rules, scheduler)
    scheduler.simulation = simulation
    try:
        stage = Stage(simulation, scheduler)
        scenario(stage)
        scheduler.run()
        stage.deliver_late()
        stage.deliver_deletions()
        stage.settle()
        stage.look_once_more()
        exploration.count += 1
    except _RedundantError:
        exploration.redundant += 1
    except RuleViolationError as violation:
        exploration.count += 1
        steps = [str(step) for step in scheduler.steps]
        found = exploration.counterexamples.get(violation.rule)
        if found is None or _size(steps) < _size(found.steps):
            exploration.counterexamples[violation.rule] = Counterexample(
                violation.rule, violation.details, steps, simulation.history
            )
    finally:
        simulation.end()


def _size(steps: list[str]) -> tuple[int, int]:
    return sum("killed" in step for step in steps), len(steps)


def describe_counterexample(found: Counterexample) -> str:
    """The rule and the schedule, for people."""
    lines = [f"rule {found.rule}", f"     {found.details}", "", "schedule:"]
    return "\n".join([*lines, *(f"  {step}" for step in found.steps)])
