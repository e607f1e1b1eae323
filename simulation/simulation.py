"""One run: users, services, functions and the faults between them, until nothing is left to happen."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from simulation import lambda_functions, network
from simulation.choices import Choices, RandomChoices
from simulation.cloudfront import SimulatedCloudFront
from simulation.dynamodb import Item, SimulatedDynamoDb
from simulation.event_source_mapping import EventSourceMapping
from simulation.network import ERROR, KILLED_AFTER, KILLED_BEFORE, KILLS, LATENCIES_MS, OK, SLOW_MS, TYPICAL_MS, Request
from simulation.s3 import SimulatedS3, StoredObject
from simulation.scheduler import EPOCH_MS, Invocation, Scheduler
from simulation.settings import Settings
from simulation.sns import SimulatedSns
from simulation.sqs import SimulatedQueue

_RENDER_MS = (80, 5, 700, 3_000, 12_000)
_API_TIMEOUT_MS = 10_000
_OUTAGE_MS = 3_600_000
DAY_MS = 86_400_000
DELETED = "~"  # follows every character of an upload id


class RuleViolationError(Exception):
    """A rule does not hold."""

    def __init__(self, rule: str, details: str) -> None:
        super().__init__(f"{rule}: {details}")
        self.rule = rule
        self.details = details


class Event(NamedTuple):
    """An entry of the history."""

    at_ms: int
    """Since the beginning of the run."""
    actor: str
    what: str
    details: tuple[object, ...]


class Post(NamedTuple):
    """A file that S3 accepted."""

    data: bytes
    is_good: bool
    at_ms: int


@dataclass
class Upload:
    """A form that a user got, and what became of it."""

    name: str
    subject: str
    upload_id: str
    key: str
    """Of the original."""
    posts: list[Post] = field(default_factory=list[Post])
    queued_at_ms: int | None = None
    """When its first event reached the queue."""
    answered_at_ms: int | None = None
    allowance_ms: int = 0
    """By how much the faults of the run may delay its answer."""
    failures: int = 0
    """Faults of services and killed sandboxes while it was processed."""
    statuses: list[str] = field(default_factory=list[str])
    """What the client was told, in order."""
    was_ready: bool = False
    was_dead: bool = False
    """Its message has been in the dead-letter queue."""
    verdict: str = "approve"
    """What the moderation function says of it."""
    approved: set[bytes] = field(default_factory=set[bytes])
    """Files that an operator has approved."""


@dataclass
class Deletion:
    """A request to delete an avatar that was recorded."""

    name: str
    subject: str
    deletion_id: str
    failures: int = 0
    """Faults of services and killed sandboxes while it was processed."""


class Block(NamedTuple):
    """A time in which nothing of a user is published."""

    begin_ms: int
    end_ms: int


class Rates(NamedTuple):
    """How likely things are in one run. Runs differ, so that some are quiet and some are wild."""

    fault: float
    kill: float
    jitter: float
    slow: float
    duplicate: float
    late: float
    reader: float
    outage: float

    @classmethod
    def of(cls, choices: Choices) -> Rates:
        if not isinstance(choices, RandomChoices):
            return cls(*[1.0] * len(cls._fields))
        rate = choices.rate
        return cls(
            fault=rate(0, 0, 0.01, 0.03, 0.15),
            kill=rate(0, 0, 0.01, 0.03, 0.08),
            jitter=rate(0, 0.5, 1),
            slow=rate(0, 0, 0.01, 0.05),
            duplicate=rate(0, 0.2, 0.6),
            late=rate(0, 0.2, 0.7),
            reader=rate(0, 0, 0.05, 0.3),
            outage=rate(0, 0, 0, 0.2),
        )


class Simulation:
    """Services, functions and what is known of the uploads of one run."""

    def __init__(
        self, choices: Choices, settings: Settings, rules: Collection[Any], scheduler: Scheduler | None = None
    ) -> None:
        self.choices = choices
        self.settings = settings
        self.rates = Rates.of(choices)
        self.functions = lambda_functions.load()
        self.scheduler = scheduler or Scheduler()
        self.random = random.Random(0)  # noqa: S311 - jitter and upload ids; interleavings are chosen elsewhere
        self.s3 = SimulatedS3(versioned={lambda_functions.ASSETS_BUCKET})
        self.s3.observers.append(self._observe)
        self.sns = SimulatedSns()
        self.dynamodb = SimulatedDynamoDb()
        self.dynamodb.observers.append(self._see_item)
        self.cloudfront = SimulatedCloudFront()
        self.event_source = EventSourceMapping(self)
        self.main_queue = SimulatedQueue(
            self.scheduler,
            settings.visibility_timeout_seconds * 1000,
            settings.max_receives,
            self.event_source.poll,
        )
        self.uploads: dict[str, Upload] = {}
        """By upload id."""
        self.deletions: dict[str, Deletion] = {}
        """By deletion id."""
        self.blocks: dict[str, Block] = {}
        """By subject."""
        self.history: list[Event] = []
        self.invocations: list[Invocation] = []
        self.is_exhaustive = scheduler is not None
        self.is_moderated = False
        self.is_quiet = False
        """Nothing fails any more."""
        self.outage: str | None = None
        self.manifests: dict[str, list[tuple[bytes, int | None]]] = {}
        """By subject: manifests in order, and when each was replaced."""
        self.shown: dict[str, str] = {}
        """By subject: the newest upload whose avatar a client was shown, with DELETED after it if all were deleted."""
        self._rules = [rule(self) for rule in rules]
        self._violation: RuleViolationError | None = None
        self._symbols: dict[str, str] = {}

    # Choices

    def fate(self, invocation: Invocation, request: Request, label: str, is_conditional: bool) -> tuple[str, int]:
        """What happens to an attempt, and after how many milliseconds it reaches the service."""
        if self.is_quiet:
            return OK, TYPICAL_MS
        choices, rates = self.choices, self.rates
        label = f"{invocation.name}: {label}"
        latency_ms = choices.pick(f"{label}: milliseconds", LATENCIES_MS, rates.jitter)
        if latency_ms == TYPICAL_MS:
            latency_ms = choices.pick(f"{label}: slow milliseconds", SLOW_MS, rates.slow)
        if self.outage == request.service and self.scheduler.now_ms - EPOCH_MS < _OUTAGE_MS:
            return ERROR, latency_ms
        outcome = choices.pick(label, network.faults_of(request, is_conditional), rates.fault)
        is_process = invocation.name.startswith("process")
        if outcome == OK and (is_process or invocation.name.startswith(("finish", "sweep", "delete", "erase"))):
            outcome = choices.pick(f"{label}: sandbox", KILLS, rates.kill)
        if outcome not in (OK, KILLED_BEFORE, KILLED_AFTER):
            longest_pause = self.settings.longest_pause_seconds(self.event_source.receive_count_of(invocation))
            seconds = self.settings.failure_seconds + longest_pause
            self._allow(invocation, latency_ms + round(1000 * seconds), failures=1)
        elif latency_ms != TYPICAL_MS:
            self._allow(invocation, latency_ms)
        if is_process:
            self.event_source.maybe_read(label, invocation)
        return outcome, latency_ms

    def render_time(self, invocation: Invocation) -> int | None:
        """How many milliseconds a picture takes; None if the sandbox is killed meanwhile."""
        if self.is_quiet or self.is_exhaustive:
            return 0
        label = f"{invocation.name}: rendering"
        if self.choices.pick(f"{label}: sandbox", KILLS, self.rates.kill) != OK:
            return None
        milliseconds = self.choices.pick(f"{label}: milliseconds", _RENDER_MS, self.rates.slow)
        self._allow(invocation, milliseconds)
        return milliseconds

    def _allow(self, invocation: Invocation, allowance_ms: int, failures: int = 0) -> None:
        """Let the uploads of an invocation wait longer."""
        for upload in self.event_source.uploads_of(invocation):
            upload.allowance_ms += allowance_ms
            upload.failures += failures
        for deletion in self.event_source.deletions_of(invocation):
            deletion.failures += failures

    # Functions

    def invoke(
        self,
        name: str,
        handler: Callable[[Any, Any], Any],
        event: Any,
        on_end: Callable[[Invocation], None],
        timeout_ms: int = _API_TIMEOUT_MS,
    ) -> Invocation:
        invocation = Invocation(self.scheduler, self, name, partial(handler, event), timeout_ms, on_end)
        self.invocations.append(invocation)
        return invocation

    def kill(self, invocation: Invocation) -> None:
        self.record(invocation.name, "sandbox killed")
        self._allow(invocation, self.settings.kill_seconds * 1000, failures=1)
        invocation.kill()

    def time_out(self, invocation: Invocation) -> None:
        """https://docs.aws.amazon.com/lambda/latest/dg/configuration-timeout.html"""
        self.record(invocation.name, "timed out")
        self.kill(invocation)

    def end(self) -> None:
        """Unwind the tasks that are still suspended, as after a violated rule."""
        for invocation in self.invocations:
            if invocation.is_running:
                invocation.abandon()

    def queue(self, _url: str) -> SimulatedQueue:
        return self.main_queue

    # Observation

    def record(self, actor: str, what: str, *details: object) -> None:
        self.history.append(Event(self.scheduler.now_ms - EPOCH_MS, actor, what, details))

    def symbolic(self, key: str) -> str:
        """A key with the names of uploads in place of their ids, which differ from run to run."""
        found = self._symbols.get(key)
        if found is None:
            found = key
            for upload in self.uploads.values():
                found = found.replace(upload.upload_id, upload.name)
            for deletion in self.deletions.values():
                found = found.replace(deletion.deletion_id, deletion.name)
            if key.startswith("arn:"):
                found = "topic"
            elif key.startswith("https://sqs"):
                found = "queue"
            self._symbols[key] = found
        return found

    def newest_deletion(self, subject: str) -> str:
        """The id of a user's newest deletion, empty if there is none."""
        return max((its.deletion_id for its in self.deletions.values() if its.subject == subject), default="")

    def report(self, rule: str, details: str) -> None:
        """A rule does not hold; the run ends as soon as the request that broke it is in the history."""
        if self._violation is None:
            self._violation = RuleViolationError(rule, self.symbolic(details))

    def check_effects(self) -> None:
        """Raises:
        RuleViolationError: What was done last breaks a rule.
        """
        if self._violation is not None:
            raise self._violation

    def check_rest(self) -> None:
        """Check what must hold once nothing is left to happen.

        Raises:
            RuleViolationError: A rule does not hold.
        """
        for rule in self._rules:
            rule.check_rest()
            self.check_effects()

    def check_swept(self) -> None:
        """Check what must hold once everything was old enough to be swept.

        Raises:
            RuleViolationError: A rule does not hold.
        """
        for rule in self._rules:
            rule.check_swept()
            self.check_effects()

    def check_erased(self, erasure: str, subject: str, block_end_ms: int) -> None:
        """An erasure of that name has reported that nothing is left but a block until then.

        Raises:
            RuleViolationError: A rule does not hold.
        """
        for rule in self._rules:
            rule.check_erased(erasure, subject, block_end_ms)
        self.check_effects()

    def check_status(self, upload: Upload, status: str, was_ready: bool) -> None:
        """A client is told `status`; `was_ready`: it had been told "ready" before it asked.

        Raises:
            RuleViolationError: A rule does not hold.
        """
        upload.was_ready = upload.was_ready or status == "ready"
        for rule in self._rules:
            rule.check_status(upload, status, was_ready)
        self.check_effects()

    def check_avatar(self, subject: str, upload_id: str, shown_before: str) -> None:
        """A client is shown the avatar of an upload, or none if that is empty; so it was before it asked.

        Raises:
            RuleViolationError: A rule does not hold.
        """
        self.shown[subject] = max(self.shown.get(subject, ""), upload_id)
        for rule in self._rules:
            rule.check_avatar(subject, upload_id, shown_before)
        self.check_effects()

    def _observe(self, bucket: str, key: str, before: StoredObject | None, after: StoredObject | None) -> None:
        now_ms = self.scheduler.now_ms
        if bucket == lambda_functions.ASSETS_BUCKET and key.endswith(".json"):
            subject = key.removeprefix("avatars/").removesuffix(".json")
            manifests = self.manifests.setdefault(subject, [])
            if manifests:
                manifests[-1] = (manifests[-1][0], now_ms)
            if after is not None:
                manifests.append((after.data, None))
                newest: str = json.loads(after.data)["upload_id"]
                self._answer(subject, lambda upload: upload.upload_id <= newest)
        elif bucket == lambda_functions.UPLOADS_BUCKET and key.startswith(("rejected/", "held/")) and after is not None:
            _, subject, name = key.split("/")
            self._answer(subject, lambda upload: name == f"{upload.upload_id}.json")
        for rule in self._rules:
            rule.check_write(bucket, key, before, after)

    def _see_item(self, key: tuple[str, ...], item: Item) -> None:
        subject, period = key
        if period == "block":
            self.blocks[subject] = Block(self.scheduler.now_ms, item["until"] * 1000)

    def _answer(self, subject: str, is_answered: Callable[[Upload], bool]) -> None:
        for upload in self.uploads.values():
            if upload.subject == subject and upload.answered_at_ms is None and is_answered(upload):
                upload.answered_at_ms = self.scheduler.now_ms
