"""What users do: ask for forms, post files, ask what became of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from simulation import lambda_functions
from simulation.pictures import broken_picture, picture
from simulation.s3 import StoredObject, new_object
from simulation.scheduler import Invocation
from simulation.simulation import Post, Simulation, Upload
from simulation.sqs import Message

_NAMES = ("ada", "bob")
_GAPS_MS = (2_000, 150, 400, 5_000, 60_000, 361_000, 650_000, 1_300_000)
_POST_DELAY_MS = 300
_SECOND_POST_MS = (1_000, 50, 150, 400, 5_000, 100_000)
_NO, _SAME, _OTHER = "no", "same file", "other file"
# S3 delivers most events within seconds, some take a minute or longer, and some come twice.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventNotifications.html
_EVENT_DELAYS_MS = (500, 100, 800, 3_000, 60_000, 355_000, 370_000, 700_000, 1_300_000)
_POLL_GAPS_MS = (1_500, 1_000, 2_000, 5_000, 20_000, 60_000, 300_000, 900_000)
_REDRIVE_MS = 7_200_000


class Users:
    """All users of a run."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._reads = 0
        simulation.event_source.read_status = self.read_status

    def begin(self) -> None:
        """Schedule what the users do. What happens in between is decided when its time has come."""
        pick = self._simulation.choices.pick
        for user in _NAMES[: pick("users", (1, 2), 0.2)]:
            at_ms = 0
            for number in range(1, pick(f"{user}: uploads", (1, 2, 3), 0.8) + 1):
                name = f"{user}-{number}"
                if number > 1:
                    at_ms += pick(f"{name}: milliseconds after the form before", _GAPS_MS, 0.9)
                self._simulation.scheduler.after(at_ms, partial(self._ask_for_form, user, name))

    def _ask_for_form(self, user: str, name: str) -> None:
        event = {**_request(user), "body": '{"content_type": "image/jpeg"}'}
        self._simulation.invoke(
            f"form {name}",
            self._simulation.functions.presign_upload,
            event,
            partial(self._use_form, user, name),
        )

    def _use_form(self, user: str, name: str, invocation: Invocation) -> None:
        simulation = self._simulation
        if invocation.error is not None:
            raise invocation.error
        form: dict[str, Any] = json.loads(invocation.result["body"])
        upload = Upload(name, user, form["upload_id"])
        simulation.uploads[upload.upload_id] = upload
        pick = simulation.choices.pick
        is_good = pick(f"{name}: file", ("picture", "broken"), 0.3) == "picture"
        number = 4 * int(name.rpartition("-")[2])
        post = partial(self._post, upload, form["fields"]["key"])
        simulation.scheduler.after(_POST_DELAY_MS, partial(post, 1, number, is_good))
        second = pick(f"{name}: second post", (_NO, _SAME, _OTHER), 0.4)
        if second == _NO:
            return
        if second == _OTHER:
            number += 1
            is_good = pick(f"{name}: other file", ("picture", "broken"), 0.4) == "picture"
        delay_ms = _POST_DELAY_MS + pick(f"{name}: milliseconds to the second post", _SECOND_POST_MS, 0.8)
        simulation.scheduler.after(delay_ms, partial(post, 2, number, is_good))

    def _post(self, upload: Upload, key: str, ordinal: int, number: int, is_good: bool) -> None:
        simulation = self._simulation
        now_ms = simulation.scheduler.now_ms
        data = picture(number) if is_good else broken_picture(number)
        stored = new_object(data, now_ms)
        upload.posts.append(Post(data, is_good, now_ms))
        simulation.record(upload.name, "posts %s file %s", "good" if is_good else "broken", number)
        simulation.s3.put(lambda_functions.UPLOADS_BUCKET, key, stored)
        self._notify(f"{upload.name}.{ordinal}", key, stored)
        if ordinal == 1:
            self._poll(upload, _POLL_GAPS_MS)

    def _notify(self, name: str, key: str, stored: StoredObject) -> None:
        simulation = self._simulation
        body = _object_created(key, stored)
        rates = simulation.rates
        copies = simulation.choices.pick(f"{name}: events", (1, 2, 3), rates.duplicate)
        for copy in range(1, copies + 1):
            event = name if copies == 1 or copy == 1 else f"{name}({copy})"
            delay_ms = simulation.choices.pick(f"{event}: milliseconds to the event", _EVENT_DELAYS_MS, rates.late)
            simulation.scheduler.after(delay_ms, partial(self._queue_event, event, body))

    def _queue_event(self, name: str, body: str) -> None:
        simulation = self._simulation
        message = Message(name, body)
        for upload_id in message.upload_ids:
            upload = simulation.uploads[upload_id]
            if upload.queued_at_ms is None:
                upload.queued_at_ms = simulation.scheduler.now_ms
        simulation.record(name, "event reaches the queue")
        simulation.main_queue.send(message, 0)

    def _poll(self, upload: Upload, gaps_ms: Sequence[int]) -> None:
        """Ask until there is an answer, and once more."""
        is_answered = bool(upload.statuses) and upload.statuses[-1] != "pending"
        if is_answered:
            gaps_ms = gaps_ms[:1]
        if gaps_ms:

            def ask() -> None:
                self.read_status(upload, f"after poll {len(_POLL_GAPS_MS) - len(gaps_ms) + 1}")
                if not is_answered:
                    self._poll(upload, gaps_ms[1:])

            self._simulation.scheduler.after(gaps_ms[0], ask)

    def read_status(self, upload: Upload, when: str) -> None:
        """GET /avatars/uploads/{upload_id}"""
        event = {**_request(upload.subject), "pathParameters": {"upload_id": upload.upload_id}}
        self._simulation.invoke(
            f"status {upload.name} {when}",
            self._simulation.functions.upload_status,
            event,
            partial(self._see_status, upload),
        )

    def _see_status(self, upload: Upload, invocation: Invocation) -> None:
        simulation = self._simulation
        if invocation.error is not None or invocation.was_killed:
            simulation.record(invocation.name, "500")
            return
        response = invocation.result
        status = json.loads(response["body"]).get("status", str(response["statusCode"]))
        simulation.record(invocation.name, status)
        upload.statuses.append(status)
        if upload.posts:
            simulation.check_status(upload, status)


def run(simulation: Simulation) -> None:
    """A whole run: users, redrive of dead letters, a last look, and the rules.

    Raises:
        RuleViolationError: A rule does not hold.
    """
    users = Users(simulation)
    pick = simulation.choices.pick
    simulation.outage = pick("outage of an hour", (None, "sns", "sqs", "s3"), simulation.rates.outage)
    users.begin()
    simulation.scheduler.run()
    _look_once_more(simulation, users)
    if simulation.main_queue.dead_letters and pick("dead letters", ("stay", "redriven"), 0.7) == "redriven":
        simulation.record("operator", "redrives %s", [message.name for message in simulation.main_queue.dead_letters])
        simulation.scheduler.after(_REDRIVE_MS, simulation.main_queue.redrive)
        simulation.scheduler.run()
        _look_once_more(simulation, users)


def _look_once_more(simulation: Simulation, users: Users) -> None:
    simulation.is_quiet = True
    for upload in simulation.uploads.values():
        users.read_status(upload, "at rest")
    simulation.scheduler.run()
    simulation.check_rest()
    simulation.is_quiet = False


def _request(subject: str) -> dict[str, Any]:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html"""
    return {"requestContext": {"authorizer": {"lambda": {"sub": subject}}}}


def _object_created(key: str, stored: StoredObject) -> str:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html"""
    seconds, milliseconds = divmod(stored.modified_ms, 1000)
    content = {"key": quote_plus(key, safe="/"), "size": len(stored.data), "eTag": stored.etag.strip('"')}
    record = {
        "eventName": "ObjectCreated:Post",
        "eventTime": _iso(seconds, milliseconds),
        "s3": {
            "bucket": {"name": lambda_functions.UPLOADS_BUCKET},
            "object": {**content, "sequencer": f"{stored.modified_ms:016X}"},
        },
    }
    return json.dumps({"Records": [record]})


def _iso(seconds: int, milliseconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{milliseconds:03}Z"

