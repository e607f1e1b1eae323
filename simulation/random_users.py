"""A run in which users, S3's events and faults are chosen at random."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from functions.shared.moderation_decision import Verdict
from simulation.simulation import DAY_MS, Simulation, Upload
from simulation.users import Users

NAMES = ("ada", "bob")
MAX_UPLOADS = 3
_GAPS_MS = (2_000, 150, 400, 5_000, 60_000, 86_000, 650_000, 1_300_000, 7 * DAY_MS - 60_000, 8 * DAY_MS)
_POST_DELAY_MS = 300
_SECOND_POST_MS = (1_000, 50, 150, 400, 5_000, 100_000)
_FILES = ("picture", "broken")
_NO, _SAME, _OTHER = "no", "same file", "other file"
# Most events arrive within seconds, some take a minute or longer, and some come twice.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventNotifications.html
_EVENT_DELAYS_MS = (500, 100, 800, 3_000, 60_000, 80_000, 90_000, 250_000, 700_000, 1_300_000)
_FINISH_MS = (None, 50, 150, 400, 1_000, 5_000, 60_000)
_FINISH_AGAIN_MS = (None, 20, 300, 2_000, 60_000)
_POLL_GAPS_MS = (1_500, 2_000, 20_000, 350_000, 1_000_000)
_SWEEP_DAYS = (None, 1, 8, 22)
_DELETION_MS = (3_000, 500, 900, 2_100, 6_000, 70_000, 700_000, 8 * DAY_MS)
MAX_DELETIONS = 2
_VERDICTS: tuple[str, ...] = ("approve", "hold", "reject")
_DECISIONS: tuple[Verdict | None, ...] = ("approve", "reject", None)
_DECISION_MS = (3_000, 70_000, 700_000)
_SHORTLY_MS = 50
_BLOCK_MS = (None, 0, 1_000, 6_000, 70_000)
_BLOCK_DURATIONS_MS = (DAY_MS, 2_000, 60_000, 700_000)
_ERASURE_MS = (None, 700, 900, 1_500, 4_000, 70_000, 700_000, 8 * DAY_MS)
_ERASED_AGAIN_MS = (60_000, 1_000, 700_000, 7_200_000, 2 * DAY_MS)
MAX_ERASURES = 4
_REDRIVEN_MS = (300, -1_000, 1_500, 60_000)
_REDRIVE_MS = (7_200_000, 60_000, 8 * DAY_MS, 13 * DAY_MS)


def run(simulation: Simulation) -> None:
    """A whole run: users, sweeps, a redrive of dead letters, a last look at everything.

    Raises:
        RuleViolationError: A rule does not hold.
    """
    users = _RandomUsers(simulation)
    pick = simulation.choices.pick
    simulation.outage = pick(
        "outage of an hour", (None, "sns", "sqs", "s3", "dynamodb", "cloudfront"), simulation.rates.outage
    )
    simulation.is_moderated = pick("moderation", (False, True), 0.4)
    users.begin()
    simulation.scheduler.run()
    users.look_once_more()
    queue = simulation.main_queue
    if queue.dead_letters and pick("dead letters", ("stay", "redriven"), 0.7) == "redriven":
        for message in queue.dead_letters:
            for its_id in set(message.ids) & simulation.uploads.keys():
                simulation.uploads[its_id].was_dead = True
        simulation.record("operator", "redrives %s", ", ".join(message.name for message in queue.dead_letters))
        redrive_ms = pick("milliseconds to the redrive", _REDRIVE_MS, 0.7)
        simulation.scheduler.after(redrive_ms, queue.redrive)
        if pick("sweep at the redrive", (False, True), 0.5):
            simulation.scheduler.after(redrive_ms + _POST_DELAY_MS, partial(users.sweep, "at the redrive"))
        if erased := pick("erased at the redrive", (None, *NAMES), 0.3):
            erasure_ms = redrive_ms + pick("milliseconds from the redrive to the erasure", _REDRIVEN_MS, 0.7)
            erase = partial(users.erase_until_done, f"erase {erased} at the redrive", erased)
            simulation.scheduler.after(erasure_ms, erase)
        simulation.scheduler.run()
        users.look_once_more()
    if days := pick("days to a sweep", _SWEEP_DAYS, 0.5):
        users.wait_and_sweep(days)
    users.sweep_at_last()


class _RandomUsers(Users):
    def begin(self) -> None:
        """Schedule what the users do. Everything else is chosen when its time has come."""
        pick = self._simulation.choices.pick
        for user in NAMES[: pick("users", (1, 2), 0.2)]:
            at_ms = 0
            for number in range(1, pick(f"{user}: uploads", range(1, MAX_UPLOADS + 1), 0.8) + 1):
                name = f"{user}-{number}"
                if number > 1:
                    at_ms += pick(f"{name}: milliseconds after the form before", _GAPS_MS, 0.9)
                self._simulation.scheduler.after(at_ms, partial(self.get_form, name, self._use_form))
            at_ms = 0
            for number in range(1, pick(f"{user}: deletions", range(MAX_DELETIONS + 1), 0.4) + 1):
                name = f"{user}-deletion-{number}"
                at_ms += pick(f"{name}: milliseconds after the one before", _DELETION_MS, 0.9)
                self._simulation.scheduler.after(at_ms, partial(self.delete, name, user))
            at_ms = pick(f"{user}: milliseconds to the block", _BLOCK_MS, 0.2)
            if at_ms is not None:
                duration_ms = pick(f"{user}: milliseconds of the block", _BLOCK_DURATIONS_MS, 0.8)
                self._simulation.scheduler.after(at_ms, partial(self.block, user, duration_ms))
            at_ms = pick(f"{user}: milliseconds to the erasure", _ERASURE_MS, 0.2)
            if at_ms is not None:
                rates = self._simulation.rates  # slow deliveries are what an erasure has to wait for
                self._simulation.rates = rates._replace(slow=max(rates.slow, 0.2))
                self._simulation.scheduler.after(at_ms, partial(self.erase_until_done, f"erase {user}", user))

    def erase_until_done(self, name: str, user: str, attempt: int = 1) -> None:
        """Erase the user, and again if the report says so."""
        attempt_name = f"{name} {attempt}"

        def repeat() -> None:
            if attempt < MAX_ERASURES:
                pick = self._simulation.choices.pick
                delay_ms = pick(f"{attempt_name}: milliseconds to the next", _ERASED_AGAIN_MS, 0.8)
                self._simulation.scheduler.after(delay_ms, partial(self.erase_until_done, name, user, attempt + 1))

        self.erase(attempt_name, user, repeat)

    def _use_form(self, upload: Upload) -> None:
        simulation, name = self._simulation, upload.name
        pick, after = simulation.choices.pick, simulation.scheduler.after
        is_good = pick(f"{name}: file", _FILES, 0.3) == "picture"
        number = 4 * pick(f"{name}: picture of upload", (int(name.rpartition("-")[2]), 1), 0.3)
        after(_POST_DELAY_MS, partial(self._post, upload, 1, number, is_good))
        if simulation.is_moderated:
            upload.verdict = pick(f"{name}: verdict", _VERDICTS, 0.6)
        second = pick(f"{name}: second post", (_NO, _SAME, _OTHER), 0.4 if upload.verdict == "approve" else 0.8)
        if second == _NO:
            self._decide_later(upload, None)
            return
        if second == _OTHER:
            number += 1
            is_good = pick(f"{name}: other file", _FILES, 0.4) == "picture"
        delay_ms = _POST_DELAY_MS + pick(f"{name}: milliseconds to the second post", _SECOND_POST_MS, 0.8)
        after(delay_ms, partial(self._post, upload, 2, number, is_good))
        self._decide_later(upload, delay_ms)

    def _decide_later(self, upload: Upload, second_post_ms: int | None) -> None:
        """The operator decides about a held upload, maybe while the user posts another file with the same form."""
        pick, name = self._simulation.choices.pick, upload.name
        if upload.verdict != "hold" or not (verdict := pick(f"{name}: decision", _DECISIONS, 0.8)):
            return
        if second_post_ms and pick(f"{name}: decision at the second post", (True, False), 0.5):
            delay_ms = second_post_ms - _SHORTLY_MS
        else:
            delay_ms = _POST_DELAY_MS + pick(f"{name}: milliseconds to the decision", _DECISION_MS, 0.8)
        self._simulation.scheduler.after(delay_ms, partial(self.decide, upload, verdict))

    def _post(self, upload: Upload, ordinal: int, number: int, is_good: bool) -> None:
        body = self.post(upload, number, is_good=is_good)
        self._queue_events(f"{upload.name}.{ordinal}", lambda event: self.queue_event(upload, event, body))
        self._finish(upload, f"{upload.name}.{ordinal}")
        if ordinal == 1:
            self._poll(upload, 1)

    def _finish(self, upload: Upload, post: str) -> None:
        """The client says that it has posted the file, maybe twice, or maybe never."""
        pick, after = self._simulation.choices.pick, self._simulation.scheduler.after
        delay_ms = pick(f"{post}: milliseconds to its finish", _FINISH_MS, 0.6)
        if delay_ms is None:
            return
        after(delay_ms, partial(self.finish, upload, f"of {post}"))
        again_ms = pick(f"{post}: milliseconds to its second finish", _FINISH_AGAIN_MS, 0.2)
        if again_ms is not None:
            after(delay_ms + again_ms, partial(self.finish, upload, f"of {post} again"))

    def queue_deletion(self, name: str, body: str) -> None:
        self._queue_events(name, lambda event: super(_RandomUsers, self).queue_deletion(event, body))

    def _queue_events(self, name: str, queue: Callable[[str], None]) -> None:
        """The event of an object arrives once or more often, some time later."""
        pick, rates = self._simulation.choices.pick, self._simulation.rates
        for copy in range(1, pick(f"{name}: events", (1, 2, 3), rates.duplicate) + 1):
            event = name if copy == 1 else f"{name}({copy})"
            delay_ms = pick(f"{event}: milliseconds to the event", _EVENT_DELAYS_MS, rates.late)
            self._simulation.scheduler.after(delay_ms, partial(queue, event))

    def _poll(self, upload: Upload, ordinal: int) -> None:
        """Ask until there is an answer."""
        is_pending = not upload.statuses or upload.statuses[-1] == "pending"
        if not is_pending or ordinal > len(_POLL_GAPS_MS):
            return

        def ask() -> None:
            self.read_status(upload, f"poll {ordinal}")
            self._poll(upload, ordinal + 1)

        self._simulation.scheduler.after(_POLL_GAPS_MS[ordinal - 1], ask)
