"""Delivers again what failed: messages of the dead-letter queue, and events that the webhook did not accept.

A message is deleted only after it was delivered, so that one may be delivered twice, and none is lost. Both the
functions and the receivers of events support that.

The redrive of SQS is not used: it cannot deliver events, as these came from a topic, and would also move messages that
fail for ever.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue-redrive.html
"""

from __future__ import annotations

import argparse
import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from functions.process_avatar import s3_events
from functions.shared import storage_keys
from operations.operated_stack import OperatedStack, OperationError
from operations.progress import Progress, format_time
from operations.queues import QueuedMessage, measure, open_queue

_SHOWN = 20  # messages, at most


class _Redelivery(ABC):
    """From where messages are delivered again, and where to."""

    done: str
    """What has happened to a message that was delivered."""

    def __init__(self, stack: OperatedStack, source: str) -> None:
        self.stack, self.source = stack, source

    @abstractmethod
    def describe(self, message: QueuedMessage) -> str:
        """Raises ValueError, with the reason, if the message is none of those that can be delivered."""

    @abstractmethod
    def deliver(self, messages: Sequence[QueuedMessage]) -> Mapping[str, Any]:
        """Delivers up to ten messages. Returns the response, with an entry in `Failed` for each that was not."""


class _Redrive(_Redelivery):
    done = "moved to the queue"

    def __init__(self, stack: OperatedStack) -> None:
        super().__init__(stack, stack.get_output("deadLetterQueueUrl"))

    def describe(self, message: QueuedMessage) -> str:
        return describe_upload_event(message)

    def deliver(self, messages: Sequence[QueuedMessage]) -> Mapping[str, Any]:
        entries = [{"Id": message.id, "MessageBody": message.body} for message in messages]
        return self.stack.sqs.send_message_batch(QueueUrl=self.stack.get_output("queueUrl"), Entries=entries)


class _Republication(_Redelivery):
    done = "published again"

    def __init__(self, stack: OperatedStack) -> None:
        if "undeliveredQueueUrl" not in stack.outputs:
            raise OperationError("the outputs have no undeliveredQueueUrl: the stack has no webhookUrl")
        super().__init__(stack, stack.get_output("undeliveredQueueUrl"))
        self._topic, self._sns = stack.get_output("topicArn"), stack.create_client("sns")

    def describe(self, message: QueuedMessage) -> str:
        text = self._read(message)["Message"]
        try:
            return "{event} SUBJECT={subject} UPLOAD={upload_id} since {at}".format(**json.loads(text))
        except (ValueError, KeyError, TypeError):  # published by somebody else
            return text[:200]

    def deliver(self, messages: Sequence[QueuedMessage]) -> Mapping[str, Any]:
        entries = [self._convert(message) for message in messages]
        return self._sns.publish_batch(TopicArn=self._topic, PublishBatchRequestEntries=entries)

    def _read(self, message: QueuedMessage) -> Mapping[str, Any]:
        """Returns the notification, which SNS sent as it does to a webhook.

        https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html#http-notification-json
        """
        try:
            notification = json.loads(message.body)
        except ValueError:
            notification = None
        if not isinstance(notification, dict) or notification.get("TopicArn") != self._topic:
            raise ValueError(f"not a notification of {self._topic}")
        return notification

    def _convert(self, message: QueuedMessage) -> Mapping[str, Any]:
        notification = self._read(message)
        attributes = {
            name: {"DataType": attribute["Type"], "StringValue": attribute["Value"]}
            for name, attribute in notification.get("MessageAttributes", {}).items()
        }
        return {"Id": message.id, "Message": notification["Message"], "MessageAttributes": attributes}


def describe_upload_event(message: QueuedMessage) -> str:
    """Describes what an S3 event in the dead-letter queue tells of.

    Raises:
        ValueError: The message is not an S3 event.
    """
    try:
        event = json.loads(message.body)
    except ValueError as error:
        raise ValueError(f"not an S3 event: not JSON: {error}") from error
    keys = [describe_key(created.key) for created in s3_events.created_objects(event)]
    return f"{', '.join(keys) or 'S3 test event'} since {format_time(message.sent_at)}"


def read_keys(message: QueuedMessage) -> Collection[str]:
    """Returns the keys that a message tells of, none if it is not an S3 event."""
    try:
        return {created.key for created in s3_events.created_objects(json.loads(message.body))}
    except ValueError:
        return ()


def describe_key(key: str) -> str:
    """Returns what an object of the uploads bucket is, in the words of the commands."""
    try:
        if key.startswith(storage_keys.DELETIONS):
            return f"deletion of SUBJECT={storage_keys.parse_deletion_key(key)[0]}"
        return "SUBJECT={} UPLOAD={}".format(*storage_keys.parse_incoming_key(key))
    except ValueError:
        return key


def redrive(stack: OperatedStack, options: argparse.Namespace) -> int:
    """Returns 1 if a message was not moved, although it is an S3 event."""
    return _run(_Redrive(stack), apply=options.apply)


def republish(stack: OperatedStack, options: argparse.Namespace) -> int:
    """Returns 1 if an event was not published."""
    return _run(_Republication(stack), apply=options.apply)


def discard(stack: OperatedStack, options: argparse.Namespace) -> int:
    """Deletes a message of the dead-letter queue that is not an S3 event.

    Raises:
        OperationError: There is no such message, or it is an S3 event.
    """
    with open_queue(stack, stack.get_output("deadLetterQueueUrl")) as reader:
        for message in _flatten(reader.read()):
            if message.id == options.message:
                try:
                    event = describe_upload_event(message)
                except ValueError:
                    reader.delete([message])
                    print(f"message {message.id} is deleted: {message.body[:200]}")
                    return 0
                raise OperationError(f"message {message.id} is an S3 event ({event}): make redrive delivers it again")
    raise OperationError(f"there is no message {options.message} in the dead-letter queue")


def _run(redelivery: _Redelivery, *, apply: bool) -> int:
    found: list[str] = []
    kept: list[str] = []
    delivered = failed = 0
    progress = Progress(measure(redelivery.stack, redelivery.source).visible, sys.stderr, "messages")
    with open_queue(redelivery.stack, redelivery.source) as reader:
        for batch in reader.read():
            deliverable: list[QueuedMessage] = []
            for message in batch:
                try:
                    found.append(redelivery.describe(message))
                    deliverable.append(message)
                except ValueError as error:
                    kept.append(f"message {message.id} stays: {error}")
                progress.advance()
            if apply and deliverable:
                failures = {its["Id"]: its for its in redelivery.deliver(deliverable).get("Failed", [])}
                kept += [f"message {id_} stays: {its.get('Message', its['Code'])}" for id_, its in failures.items()]
                reader.delete(message for message in deliverable if message.id not in failures)
                delivered += len(deliverable) - len(failures)
                failed += len(failures)
    progress.end()
    print(*found[:_SHOWN], *([f"and {len(found) - _SHOWN:,} more"] if len(found) > _SHOWN else []), *kept, sep="\n")
    if apply:
        print(f"{redelivery.done}: {delivered:,}; left: {len(kept):,}")
    else:
        print(f"can be {redelivery.done}: {len(found):,}; left: {len(kept):,}")
        print("This was a dry run: nothing has changed. APPLY=1 does it.")
    return int(failed > 0)


def _flatten(batches: Iterable[Sequence[QueuedMessage]]) -> Iterable[QueuedMessage]:
    return (message for batch in batches for message in batch)
