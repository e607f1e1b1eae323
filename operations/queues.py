"""The queues of a stack: how many messages they have, and the messages of those that have no consumer."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import Any, NamedTuple

from operations.operated_stack import OperatedStack

BATCH = 10
"""The most messages of a request to SQS or SNS.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
"""
# A long poll asks all servers of SQS: an empty response means that the queue is empty.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html
_POLL_SECONDS = 1
# Longer than it takes to read a queue. They are released before, unless the command is killed.
_HIDDEN_SECONDS = 600


class Depth(NamedTuple):
    """Numbers of messages, which are approximate in AWS for up to a minute."""

    visible: int
    hidden: int
    """In process, or before a retry."""


class QueuedMessage(NamedTuple):
    id: str
    body: str
    receipt: str
    sent_at: datetime
    """UTC. A message in a dead-letter queue keeps the time at which it was sent first."""


def measure(stack: OperatedStack, url: str) -> Depth:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = stack.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    visible, hidden = (int(attributes[name]) for name in names)
    return Depth(visible, hidden)


class QueueReader:
    """Reads each message of a queue that has no consumer, once. See `open_queue`."""

    def __init__(self, stack: OperatedStack, url: str) -> None:
        self._sqs, self._url = stack.sqs, url
        self._kept: dict[str, str] = {}
        """Receipts by message ID."""

    def read(self) -> Generator[Sequence[QueuedMessage]]:
        """Yields the messages in batches. They are hidden meanwhile, so that none comes twice."""
        while new := [message for message in self._receive() if message.id not in self._kept]:
            self._kept.update({message.id: message.receipt for message in new})
            yield new

    def delete(self, messages: Iterable[QueuedMessage]) -> None:
        """Deletes messages of one batch."""
        entries = [{"Id": message.id, "ReceiptHandle": self._kept.pop(message.id)} for message in messages]
        if entries:
            self._sqs.delete_message_batch(QueueUrl=self._url, Entries=entries)

    def release(self) -> None:
        """Makes visible what was not deleted."""
        kept = iter(self._kept.items())
        while batch := list(islice(kept, BATCH)):
            entries = [{"Id": id_, "ReceiptHandle": receipt, "VisibilityTimeout": 0} for id_, receipt in batch]
            self._sqs.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)

    def _receive(self) -> Sequence[QueuedMessage]:
        response: dict[str, Any] = self._sqs.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=BATCH,
            VisibilityTimeout=_HIDDEN_SECONDS,
            WaitTimeSeconds=_POLL_SECONDS,
            MessageSystemAttributeNames=["SentTimestamp"],
        )
        return [
            QueuedMessage(
                message["MessageId"],
                message["Body"],
                message["ReceiptHandle"],
                datetime.fromtimestamp(int(message["Attributes"]["SentTimestamp"]) / 1000, UTC),
            )
            for message in response.get("Messages", [])
        ]


@contextmanager
def open_queue(stack: OperatedStack, url: str) -> Generator[QueueReader]:
    """Reads a queue. What is not deleted is visible again at the end, whatever ends it."""
    reader = QueueReader(stack, url)
    try:
        yield reader
    finally:
        reader.release()
