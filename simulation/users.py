"""What users can do: get a form, post a file, ask what became of it; and the events that S3 makes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import quote_plus

from functions.shared.moderation_decision import Decision, Verdict, hash_file
from functions.shared.storage_keys import held_key
from operations import moderation
from operations.operated_stack import OperatedStack
from simulation.lambda_functions import ASSETS_BUCKET, UPLOADS_BUCKET
from simulation.pictures import broken_picture, picture
from simulation.s3 import SimulatedS3Client, StoredObject, new_object
from simulation.scheduler import Invocation
from simulation.simulation import DAY_MS, DELETED, Deletion, Post, Simulation, Upload
from simulation.sqs import Message

_DELETE_RETRIES, _DELETE_PAUSE_MS = 2, 1_000
_EVENT_MS = 500


class Users:
    """All users of a run."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        simulation.s3.observers.append(self._see_write)
        simulation.event_source.readers = {
            "status": self.read_status,
            "avatar": self.read_avatar,
            "sweep": lambda _, when: self.sweep(when),
        }

    def get_form(self, name: str, on_form: Callable[[Upload], None]) -> None:
        """POST /avatars/key_upload: `name` is what the history calls the upload, <user>-<number>."""
        user = name.rpartition("-")[0]
        event = {**_request(user), "body": '{"content_type": "image/jpeg"}'}

        def see_form(invocation: Invocation) -> None:
            if invocation.error is not None:
                raise invocation.error
            form: dict[str, Any] = json.loads(invocation.result["body"])
            upload = Upload(name, user, form["upload_id"], form["fields"]["key"])
            self._simulation.uploads[upload.upload_id] = upload
            on_form(upload)

        self._simulation.invoke(f"form {name}", self._simulation.functions.presign_upload, event, see_form)

    def post(self, upload: Upload, number: int, *, is_good: bool = True) -> str:
        """Post file `number` with the form; the body of the event that S3 makes of it."""
        simulation = self._simulation
        now_ms = simulation.scheduler.now_ms
        data = picture(number) if is_good else broken_picture(number)
        stored = new_object(data, now_ms)
        upload.posts.append(Post(data, is_good, now_ms))
        simulation.record(upload.name, "posts %s file %s", "good" if is_good else "broken", number)
        simulation.s3.put(UPLOADS_BUCKET, upload.key, stored)
        return _object_created(upload.key, len(data), stored.etag, now_ms)

    def queue_event(self, upload: Upload, name: str, body: str) -> None:
        """Let an event of S3 reach the queue."""
        simulation = self._simulation
        if upload.queued_at_ms is None:
            upload.queued_at_ms = simulation.scheduler.now_ms
        simulation.record(name, "event reaches the queue")
        simulation.main_queue.send(Message(name, body), 0)

    def read_status(self, upload: Upload, when: str) -> None:
        """GET /avatars/uploads/{upload_id}"""
        simulation = self._simulation
        event = {**_request(upload.subject), "pathParameters": {"upload_id": upload.upload_id}}
        was_ready = upload.was_ready
        name = f"status {upload.name} {when}"
        simulation.invoke(name, simulation.functions.upload_status, event, partial(self._see_status, upload, was_ready))

    def _see_status(self, upload: Upload, was_ready: bool, invocation: Invocation) -> None:
        """`was_ready`: the client had been told so when it asked."""
        simulation = self._simulation
        if invocation.error is not None or invocation.was_killed:
            simulation.record(invocation.name, "500")
            return
        response = invocation.result
        status = json.loads(response["body"]).get("status", str(response["statusCode"]))
        simulation.record(invocation.name, status)
        upload.statuses.append(status)
        if upload.posts:
            simulation.check_status(upload, status, was_ready)

    def finish(self, upload: Upload, when: str) -> None:
        """POST /avatars/uploads/{upload_id}/finish"""
        simulation = self._simulation
        event = {**_request(upload.subject), "pathParameters": {"upload_id": upload.upload_id}}
        was_ready = upload.was_ready
        name = f"finish {upload.name} {when}"
        timeout_ms = simulation.settings.finish_timeout_seconds * 1000

        def see_result(invocation: Invocation) -> None:
            if not invocation.was_killed and invocation.error is None and invocation.result["statusCode"] == 202:
                simulation.record(name, "202")  # says nothing
            else:
                self._see_status(upload, was_ready, invocation)

        simulation.invoke(name, simulation.functions.finish_upload, event, see_result, timeout_ms)

    def read_avatar(self, upload: Upload, when: str) -> None:
        """GET /avatars/me by the user of an upload."""
        simulation = self._simulation
        shown_before = simulation.shown.get(upload.subject, "")

        def see_avatar(invocation: Invocation) -> None:
            if invocation.error is not None or invocation.was_killed:
                simulation.record(invocation.name, "500")
                return
            shown: str = json.loads(invocation.result["body"]).get("upload_id", "")
            simulation.record(invocation.name, simulation.symbolic(shown) or "404")
            simulation.check_avatar(upload.subject, shown, shown_before)

        name = f"avatar of {upload.name} {when}"
        simulation.invoke(name, simulation.functions.current_avatar, _request(upload.subject), see_avatar)

    def delete(self, name: str, user: str) -> None:
        """DELETE /avatars/me, again after a failure: `name` is what the history calls the deletion."""
        simulation = self._simulation
        accepted = [each.upload_id for each in simulation.uploads.values() if each.subject == user and each.posts]

        def see_result(invocation: Invocation) -> None:
            if invocation.error is not None or invocation.was_killed:
                simulation.record(invocation.name, "500")
                if name.count("+") < _DELETE_RETRIES:
                    simulation.scheduler.after(_DELETE_PAUSE_MS, lambda: self.delete(f"{name}+", user))
                return
            simulation.record(invocation.name, str(invocation.result["statusCode"]))
            if accepted:
                simulation.shown[user] = max(simulation.shown.get(user, ""), max(accepted) + DELETED)

        simulation.invoke(f"delete {name}", simulation.functions.delete_avatar, _request(user), see_result)

    def block(self, user: str, duration_ms: int) -> None:
        """Let the operator block the user: the item is what functions/shared/user_block.py puts.

        The command cannot shorten the block of an erasure, which is the shortest that it allows.
        """
        simulation = self._simulation
        end = simulation.scheduler.now_ms // 1000 + duration_ms // 1000
        if user in simulation.blocks and simulation.blocks[user].end_ms > end * 1000:
            return
        simulation.dynamodb.put((user, "block"), {"until": end, "expires_at": end})
        simulation.record("operator", "blocks %s for %s s", user, duration_ms // 1000)

    def erase(self, name: str, user: str, repeat: Callable[[], None]) -> None:
        """Let the operator erase the user, and `repeat` that if the report says so, or if there is none."""
        simulation = self._simulation
        timeout_ms = simulation.settings.erase_timeout_seconds * 1000

        def see_report(invocation: Invocation) -> None:
            if invocation.was_killed or invocation.error is not None:
                simulation.record(name, "no report")
                repeat()
                return
            remaining: list[dict[str, str]] = invocation.result["remaining"]
            simulation.record(name, "removed %s, remaining %s", invocation.result["removed"], remaining)
            if any("why" in its for its in remaining):
                repeat()
                return
            until = datetime.fromisoformat(remaining[0]["until"])
            simulation.check_erased(name, user, int(until.timestamp() * 1000))

        simulation.invoke(name, simulation.functions.erase_user, {"subject": user}, see_report, timeout_ms)

    def decide(self, upload: Upload, verdict: Verdict) -> None:
        """Let the operator decide about the file that is held, if one is, with the real command."""
        simulation = self._simulation
        held = simulation.s3.find(UPLOADS_BUCKET, held_key(upload.subject, upload.upload_id))
        if held is None:
            return
        sha256: str = json.loads(held.data)["sha256"]
        if verdict == "approve":
            upload.approved.update(post.data for post in upload.posts if hash_file(post.data) == sha256)
        stack = OperatedStack({"uploadsBucket": UPLOADS_BUCKET, "assetsBucket": ASSETS_BUCKET})
        vars(stack)["s3"] = SimulatedS3Client(None)  # in place of the cached property

        def run(_event: object, _context: object) -> bool:
            return moderation.decide(stack, upload.subject, f"{upload.upload_id}-{sha256[:32]}", Decision(verdict))

        def see_result(invocation: Invocation) -> None:
            simulation.record(invocation.name, str(invocation.error or invocation.result))

        simulation.invoke(f"operator {verdict}s {upload.name}", run, None, see_result)

    def queue_deletion(self, name: str, body: str) -> None:
        """Let the event of a request to delete reach the queue."""
        self._simulation.record(name, "event reaches the queue")
        self._simulation.main_queue.send(Message(name, body), 0)

    def _see_write(self, bucket: str, key: str, before: StoredObject | None, after: StoredObject | None) -> None:
        simulation = self._simulation
        if after and "moderation" in after.metadata:
            upload = simulation.uploads[key.rpartition("/")[2]]
            body = _object_created(key, len(after.data), after.etag, after.modified_ms, "ObjectCreated:Copy")
            simulation.scheduler.after(_EVENT_MS, lambda: self.queue_event(upload, f"{upload.name} decided", body))
        if bucket != UPLOADS_BUCKET or not key.startswith("deletions/") or after is None:
            return
        _, subject, deletion_id = key.split("/")
        if before is None:
            ordinal = sum(its.subject == subject for its in simulation.deletions.values()) + 1
            simulation.deletions[deletion_id] = Deletion(f"{subject}-deleted-{ordinal}", subject, deletion_id)
        self.queue_deletion(
            simulation.deletions[deletion_id].name, _object_created(key, 0, after.etag, after.modified_ms)
        )

    def sweep(self, when: str) -> None:
        """What EventBridge Scheduler does once a day."""
        simulation = self._simulation
        timeout_ms = simulation.settings.sweep_timeout_seconds * 1000

        def see_result(invocation: Invocation) -> None:
            outcome = "killed" if invocation.was_killed else invocation.error or invocation.result
            simulation.record(invocation.name, str(outcome))

        simulation.invoke(f"sweep {when}", simulation.functions.sweep_avatars, {}, see_result, timeout_ms)

    def wait_and_sweep(self, days: int) -> None:
        """Let some days pass and run the sweep at their end, with whatever may go wrong."""
        self._simulation.scheduler.after(days * DAY_MS, lambda: self.sweep(f"after {days} days"))
        self._simulation.scheduler.run()

    def sweep_at_last(self) -> None:
        """Let so much time pass that everything may be deleted, sweep undisturbed, and check that nothing is left.

        Raises:
            RuleViolationError: A rule does not hold.
        """
        simulation = self._simulation
        settings = simulation.settings
        simulation.is_quiet = True
        self.wait_and_sweep(settings.superseded_days + settings.originals_days + 1)
        simulation.check_swept()
        simulation.is_quiet = False

    def look_once_more(self) -> None:
        """Ask for every status with nothing failing any more, and check what must hold at rest.

        Raises:
            RuleViolationError: A rule does not hold.
        """
        simulation = self._simulation
        simulation.is_quiet = True
        for upload in simulation.uploads.values():
            self.read_status(upload, "at rest")
        for upload in {upload.subject: upload for upload in simulation.uploads.values()}.values():
            self.read_avatar(upload, "at rest")
        simulation.scheduler.run()
        simulation.check_rest()
        simulation.is_quiet = False


def _request(subject: str) -> dict[str, Any]:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html"""
    return {"requestContext": {"authorizer": {"lambda": {"sub": subject}}}}


def _object_created(key: str, size: int, etag: str, now_ms: int, event: str = "ObjectCreated:Post") -> str:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html"""
    seconds, milliseconds = divmod(now_ms, 1000)
    record = {
        "eventName": event,
        "eventTime": f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{milliseconds:03}Z",
        "s3": {
            "bucket": {"name": UPLOADS_BUCKET},
            "object": {
                "key": quote_plus(key, safe="/"),
                "size": size,
                "eTag": etag.strip('"'),
                "sequencer": f"{now_ms:016X}",
            },
        },
    }
    return json.dumps({"Records": [record]})
