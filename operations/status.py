"""Says how a stack is: what waits, what has failed, and since when; or what has become of one upload."""

from __future__ import annotations

import argparse
import heapq
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from functions.shared import storage_keys, upload_id
from functions.shared.aws import s3
from functions.shared.stored_avatar import read_manifest
from operations.operated_stack import OperatedStack, OperationError
from operations.progress import format_duration, format_time
from operations.queues import QueuedMessage, measure, open_queue
from operations.redelivery import describe_key, describe_upload_event, read_keys

LATE = timedelta(minutes=15)
"""As the alarm of late uploads. An original without a message is lost after that: events of S3 take seconds, and rarely
more than a minute: https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventNotifications.html
"""
_READ = 1_000  # messages of a dead-letter queue, at most
_SHOWN = 10  # of each kind, at most
_REJECTIONS = 5


class Stored(NamedTuple):
    """An original, or a request to delete an avatar: both are deleted when they have been processed."""

    key: str
    since: datetime


def run(stack: OperatedStack, options: argparse.Namespace) -> int:
    now = datetime.now(UTC)
    if not options.subject and not options.upload:
        lines = describe_stack(stack, now)
    elif options.subject and options.upload:
        lines = describe_upload(stack, options.subject, options.upload)
    else:
        raise OperationError("the status of one upload needs both SUBJECT and UPLOAD")
    for line in lines:
        print(line, flush=True)
    return 0


def describe_stack(stack: OperatedStack, now: datetime) -> Iterator[str]:
    failed, is_all = _read_messages(stack, stack.get_output("deadLetterQueueUrl"))
    held = _list(stack, storage_keys.HELD)
    yield from _describe_work(stack, now, held, failed, is_all=is_all)
    if "undeliveredQueueUrl" in stack.outputs:
        events, _ = _read_messages(stack, stack.get_output("undeliveredQueueUrl"))
        count = measure(stack, stack.get_output("undeliveredQueueUrl")).visible
        since = [message.sent_at for message in events]
        yield _format_line("undelivered", max(count, len(events)), since, now, "make republish")
    yield _format_line("held", len(held), [its.since for its in held], now, "make held")
    yield from _describe_rejections(stack, now)
    yield from _describe_functions(stack)


def describe_upload(stack: OperatedStack, subject: str, upload: str) -> Iterator[str]:
    """Raises OperationError if the upload is not one of the user."""
    if not upload_id.is_owned_by(upload, subject):
        raise OperationError(f"{upload} is not the ID of an upload of {subject}")
    bucket, key = stack.get_output("uploadsBucket"), storage_keys.incoming_key(subject, upload)
    original = s3.head_object(stack.s3, bucket, key)
    if original:
        size, type_ = original["ContentLength"], original["ContentType"]
        yield f"original     {size:,} bytes, {type_}, since {format_time(original['LastModified'])}"
    else:
        yield "original     none: it was never posted, or is processed, or has expired"
    held = s3.get_json(stack.s3, bucket, storage_keys.held_key(subject, upload))
    if held:
        yield f"held         since {held['at']}: {held['reason'] or '-'} -> make held"
    elif original:
        messages, _ = _read_messages(stack, stack.get_output("deadLetterQueueUrl"))
        is_failed = any(key in read_keys(message) for message in messages)
        yield "message      " + (
            "in the dead-letter queue: it has failed -> make logs UPLOAD=, make redrive"
            if is_failed
            else "in the queue, or lost -> if it stays so: make reprocess"
        )
    rejection = s3.get_json(stack.s3, bucket, storage_keys.rejection_key(subject, upload))
    if rejection:
        reasons = [rejection["reason"], rejection.get("moderation_reason")]
        yield f"rejected     {': '.join(filter(None, reasons))} at {rejection['at']}"
    yield f"avatar       {_describe_avatar(stack, subject, upload)}"


def _describe_avatar(stack: OperatedStack, subject: str, upload: str) -> str:
    manifest = read_manifest(stack.s3, stack.get_output("assetsBucket"), subject)
    if manifest is None:
        return "none"
    current = manifest.upload_id
    if manifest.is_deleted:
        return f"deleted at {manifest.content['deleted_at']}" + ", after this upload" * (current > upload)
    if current == upload:
        return f"of this upload, since {format_time(manifest.last_modified)}"
    return f"of {current}, " + ("a newer upload, which supersedes this one" if current > upload else "an older upload")


def _describe_work(
    stack: OperatedStack, now: datetime, held: Iterable[Stored], failed: Sequence[QueuedMessage], *, is_all: bool
) -> Iterator[str]:
    """Describes what waits, what has failed, and what was lost. `is_all`: whether `failed` are all that have."""
    depth = measure(stack, stack.get_output("queueUrl"))
    held_keys = {storage_keys.incoming_key(*storage_keys.parse_held_key(its.key)) for its in held}
    failed_keys = {key for message in failed for key in read_keys(message)}
    work = [
        its
        for prefix in (storage_keys.INCOMING, storage_keys.DELETIONS)
        for its in _list(stack, prefix)
        if its.key not in held_keys and its.key not in failed_keys
    ]
    is_lost = is_all and depth == (0, 0)
    lost = [its for its in work if is_lost and now - its.since > LATE]
    waiting = [its for its in work if its not in lost]
    late = sum(now - its.since > LATE for its in waiting)
    yield _format_line("waiting", len(waiting), [its.since for its in waiting], now)
    if late:
        yield f"  {late:,} for more than {format_duration(LATE.total_seconds())}"
    yield f"  queue: {depth.visible:,} wait, {depth.hidden:,} in process or before a retry"
    count = len(failed) if is_all else measure(stack, stack.get_output("deadLetterQueueUrl")).visible
    yield _format_line("failed", count, [its.sent_at for its in failed], now, "make redrive")
    yield from _shorten([_describe_failed(message) for message in failed])
    yield _format_line("lost", len(lost), [its.since for its in lost], now, "make reprocess")
    yield from _shorten([f"{describe_key(its.key)} since {format_time(its.since)}" for its in lost])


def _describe_failed(message: QueuedMessage) -> str:
    try:
        return describe_upload_event(message)
    except ValueError as error:
        return f"MESSAGE={message.id}: {error} -> make discard"


def _describe_rejections(stack: OperatedStack, now: datetime) -> Iterator[str]:
    bucket = stack.get_output("uploadsBucket")
    rejections = _list(stack, storage_keys.REJECTED)
    last_hour = sum(now - its.since < timedelta(hours=1) for its in rejections)
    yield f"rejected     {last_hour:,} in the last hour, {len(rejections):,} since originals are kept"
    for its in heapq.nlargest(_REJECTIONS, rejections, key=lambda its: its.since):
        if record := s3.get_json(stack.s3, bucket, its.key):
            subject = its.key.split("/")[1]
            yield f"  {record['reason']} SUBJECT={subject} UPLOAD={record['upload_id']} at {record['at']}"


def _describe_functions(stack: OperatedStack) -> Iterator[str]:
    client = stack.create_client("lambda")
    yield "functions    code, last modified"
    for function, name in sorted(stack.functions.items()):
        configuration = client.get_function_configuration(FunctionName=name)
        yield f"  {function:<17}{configuration['CodeSha256'][:12]}  {configuration['LastModified']}"


def _list(stack: OperatedStack, prefix: str) -> list[Stored]:
    objects = s3.list_objects(stack.s3, stack.get_output("uploadsBucket"), prefix)
    return [Stored(its.key, its.last_modified) for its in objects]


def _read_messages(stack: OperatedStack, url: str) -> tuple[list[QueuedMessage], bool]:
    """Returns messages of a queue without a consumer, and whether these are all."""
    messages: list[QueuedMessage] = []
    with open_queue(stack, url) as reader:
        for batch in reader.read():
            messages += batch
            if len(messages) >= _READ:
                return messages, False
    return messages, True


def _format_line(label: str, count: int, since: Sequence[datetime], now: datetime, command: str = "") -> str:
    if not count:
        return f"{label:<13}nothing"
    age = f", since {format_time(min(since))} ({format_duration((now - min(since)).total_seconds())})" if since else ""
    return f"{label:<13}{count:,}{age}" + (f" -> {command}" if command else "")


def _shorten(lines: Sequence[str]) -> Iterator[str]:
    yield from (f"  {line}" for line in lines[:_SHOWN])
    if len(lines) > _SHOWN:
        yield f"  and {len(lines) - _SHOWN:,} more"
