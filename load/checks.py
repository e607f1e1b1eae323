"""The rules that hold when a load run has come to rest. They look at the stack from outside."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

from client.session import ClientError
from functions.shared.storage_keys import AVATARS, INCOMING, REJECTED, manifest_key, rejection_key, stable_key
from functions.sweep_avatars.sweep import RETENTION, Sweep, list_subjects
from load.observer import Observer
from load.reader import Reader, Storage, Violation
from load.users import Upload, User, sign_in
from local.stack import LocalStack

MAX_WAIT_SECONDS = 100
"""For the 99th percentile of the wait beyond the line: the visibility timeout of a killed worker's message, and some
seconds (docs/decisions/0033-one-upload-per-invocation.md)."""

_STATUSES_AT_ONCE = 4
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Evidence:
    """A load run that has come to rest."""

    stack: LocalStack
    users: Sequence[User]
    observer: Observer
    reader: Reader
    webhook_patience: float = 60
    """How long to wait for events that the webhook has not received yet, in seconds."""

    @property
    def storage(self) -> Storage:
        return Storage(self.stack)

    @property
    def uploads(self) -> list[tuple[User, Upload]]:
        return [(user, upload) for user in self.users for upload in user.uploads]

    def waits(self) -> list[float]:
        """Returns how long uploads took from when S3 accepted them until they were processed, in seconds."""
        processed = self.observer.processed_at
        return [processed[each.id] - each.accepted_at for _, each in self.uploads if each.id in processed]

    def waits_beyond_line(self) -> list[float]:
        """Returns how long uploads took from when a worker received them for the first time, in seconds.

        The line in front of an upload ends when a worker receives its message for the first time. What follows is this:
        the invocation, and after a failure the pause, the line of the repeated message, and further invocations, until
        the original is deleted, which is the last step. Its user knows the result before that.
        """
        processed, received = self.observer.processed_at, self.observer.received_at
        return [processed[each.id] - received[each.id] for _, each in self.uploads if each.id in processed]


Rule = Callable[[Evidence], Iterator[str]]


def check(evidence: Evidence) -> list[Violation]:
    """Returns all violations, those that were seen during the run first."""
    seen = evidence.reader.violations
    return [*seen, *(Violation(rule.__name__, details) for rule in RULES for details in rule(evidence))]


def newest_upload_is_shown(evidence: Evidence) -> Iterator[str]:
    """Manifest and stable JPEG show the newest photo that S3 accepted from a user."""
    storage = evidence.storage
    for user in evidence.users:
        newest = user.newest_photo
        if newest is None:
            continue
        manifest = storage.read_manifest(user.subject)
        shown = manifest["upload_id"] if manifest else "nothing"
        if shown != newest.id:
            yield f"the manifest of {user.subject} shows {shown}, not {newest.id}"
        pictures = [stable_key(user.subject), *(storage.find_keys(manifest) if manifest else ())]
        for key in pictures:
            if (number := storage.read_image_number(key)) != newest.number:
                yield f"{key} is {number}, not {newest.number}"


def every_upload_is_answered(evidence: Evidence) -> Iterator[str]:
    """A photo is ready, and another file rejected, unless a newer photo of its user is ready."""

    def read(user: User) -> list[str]:
        session = sign_in(evidence.stack, user.username, user.password)
        newest = user.newest_photo
        wrong: list[str] = []
        for upload in user.uploads:
            is_ready = upload.is_photo or (newest is not None and newest.id > upload.id)
            expected = "ready" if is_ready else "rejected as not_an_image"
            try:
                answer = session.fetch_status(upload.id)
            except ClientError as error:
                status = str(error)
            else:
                status = answer["status"] + (f" as {answer['reason']}" if "reason" in answer else "")
            if status != expected:
                wrong.append(f"{upload.id} is {status}, not {expected}")
        return wrong

    with ThreadPoolExecutor(_STATUSES_AT_ONCE) as pool:
        yield from chain.from_iterable(pool.map(read, evidence.users))


def every_answer_is_announced(evidence: Evidence) -> Iterator[str]:
    """The webhook has received the result of each upload, unless a newer one was published before its last delivery."""

    def find_missing() -> list[str]:
        announced = {(event["event"], event["upload_id"]) for event in list(evidence.stack.receiver.events)}
        return [
            f"{upload.id} was never announced"
            for user, upload in evidence.uploads
            if ("avatar.ready" if upload.is_photo else "avatar.rejected", upload.id) not in announced
            and not _is_superseded(evidence, user, upload)
        ]

    deadline = time.monotonic() + evidence.webhook_patience
    while (missing := find_missing()) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    yield from missing


def _is_superseded(evidence: Evidence, user: User, upload: Upload) -> bool:
    """Whether a newer upload was published before this one was processed, or before it was delivered once more.

    A worker that is killed after it has deleted the original, and before it has announced the result, leaves both to
    the next delivery, which announces nothing if a newer upload is current by then.
    """
    observer = evidence.observer
    end = max(observer.processed_at.get(upload.id, math.inf), observer.last_received_at.get(upload.id, math.inf))
    return any(at < end and id_ > upload.id for at, id_ in evidence.observer.published[user.subject])


def originals_are_deleted(evidence: Evidence) -> Iterator[str]:
    """No original exists."""
    for key in _list_keys(evidence, evidence.stack.exports["uploadsBucket"], INCOMING):
        yield f"{key} exists"


def nothing_is_left_behind(evidence: Evidence) -> Iterator[str]:
    """When what was replaced has expired, only what manifests name is left; and nothing in the queue of uploads."""
    stack, storage = evidence.stack, evidence.storage
    if left := count_messages(evidence.stack, stack.exports["queueUrl"]):
        yield f"{left} messages are in the queue"
    rejected = {rejection_key(user.subject, upload.id) for user, upload in evidence.uploads if not upload.is_photo}
    for key in _list_keys(evidence, stack.exports["uploadsBucket"], REJECTED):
        if key not in rejected:
            yield f"{key} exists"
    sweep = stack.functions.find_by_package("sweep_avatars").config.environment
    lifetime = timedelta(days=int(sweep["ORIGINALS_DAYS"]))
    later = datetime.now(UTC) + RETENTION + timedelta(minutes=1)
    Sweep(storage.s3, storage.bucket, lifetime, later).run(list_subjects(storage.s3, storage.bucket), lambda: True)
    named: set[str] = set()
    for user in evidence.users:
        if manifest := storage.read_manifest(user.subject):
            named |= {manifest_key(user.subject), stable_key(user.subject), *storage.find_keys(manifest)}
    for key in _list_keys(evidence, storage.bucket, AVATARS):
        if key not in named:
            yield f"{key} exists"


def nothing_is_dead_lettered(evidence: Evidence) -> Iterator[str]:
    """No message is in a dead-letter queue."""
    for url, count in count_dead_letters(evidence.stack).items():
        if count:
            yield f"{count} messages are in {url.rpartition('/')[2]}"


def wait_is_bounded(evidence: Evidence) -> Iterator[str]:
    """Of 100 uploads, 99 are processed within MAX_WAIT_SECONDS of when a worker first received them."""
    waits = evidence.waits_beyond_line()
    if waits and (wait := percentile(waits, 99)) > MAX_WAIT_SECONDS:
        yield f"the 99th percentile is {wait:.1f} s"


RULES: tuple[Rule, ...] = (
    newest_upload_is_shown,
    every_upload_is_answered,
    every_answer_is_announced,
    originals_are_deleted,
    nothing_is_left_behind,
    nothing_is_dead_lettered,
    wait_is_bounded,
)


def percentile(values: Sequence[float], percent: float) -> float:
    """Returns the smallest value that so many percent of the values do not exceed."""
    return sorted(values)[max(math.ceil(len(values) * percent / 100), 1) - 1]


def count_dead_letters(stack: LocalStack) -> dict[str, int]:
    """Returns the number of messages in each dead-letter queue, by URL."""
    policies = [json.loads(its.inputs["redrivePolicy"]) for its in stack.graph if "redrivePolicy" in its.inputs]
    arns = {policy["deadLetterTargetArn"] for policy in policies}
    queues = [stack.graph.with_output("aws:sqs/queue:Queue", "arn", arn) for arn in sorted(arns)]
    return {queue.outputs["url"]: count_messages(stack, queue.outputs["url"]) for queue in queues}


def count_messages(stack: LocalStack, url: str) -> int:
    """Returns the number of messages in a queue, also of those that are invisible or delayed."""
    attributes: dict[str, Any] = stack.aws.client("sqs").get_queue_attributes(
        QueueUrl=url,
        AttributeNames=[
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ],
    )["Attributes"]
    return sum(int(count) for count in attributes.values())


def _list_keys(evidence: Evidence, bucket: str, prefix: str) -> Iterator[str]:
    pages = evidence.stack.aws.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return (entry["Key"] for page in pages for entry in page.get("Contents", []))
