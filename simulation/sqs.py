"""Simulated SQS standard queue with a dead-letter queue.

At least once, in any order, each message invisible for a while after it was received.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/standard-queues.html
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property
from typing import Any

from botocore.exceptions import ClientError

from simulation.network import Request, SimulatedClient
from simulation.scheduler import Scheduler


class Message:
    """A message in a queue."""

    def __init__(self, name: str, body: str) -> None:
        self.name = name
        """What the history calls it."""
        self.body = body
        self.receive_count = 0
        self.sent_at_ms = 0
        self.visible_at_ms = 0
        self.is_deleted = False

    @cached_property
    def ids(self) -> list[str]:
        """The uploads and deletions that it tells of, if it is an S3 event."""
        content = json.loads(self.body)
        return [record["s3"]["object"]["key"].rpartition("/")[2] for record in content.get("Records", ())]

    @property
    def receipt_handle(self) -> str:
        return f"{self.name}#{self.receive_count}"

    def copy(self) -> Message:
        """The same message, delivered a second time."""
        other = Message(f"{self.name}'", self.body)
        other.receive_count = self.receive_count
        return other


class SimulatedQueue:
    def __init__(
        self, scheduler: Scheduler, visibility_timeout_ms: int, max_receives: int, on_visible: Callable[[], None]
    ) -> None:
        """`on_visible` is called whenever a message may have become visible."""
        self._scheduler = scheduler
        self._visibility_timeout_ms = visibility_timeout_ms
        self._max_receives = max_receives
        self._on_visible = on_visible
        self.messages: list[Message] = []
        self.dead_letters: list[Message] = []
        self.sent = 0

    def send(self, message: Message, delay_ms: int) -> None:
        self.sent += 1
        message.sent_at_ms = self._scheduler.now_ms
        self.messages.append(message)
        self._hide(message, delay_ms)

    def visible(self) -> list[Message]:
        """Messages that may be received. Those received too often go to the dead-letter queue.

        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html
        """
        now_ms = self._scheduler.now_ms
        visible = [message for message in self.messages if message.visible_at_ms <= now_ms]
        for message in visible:
            if message.receive_count >= self._max_receives:
                self.messages.remove(message)
                self.dead_letters.append(message)
        return [message for message in visible if message.receive_count < self._max_receives]

    def receive(self, message: Message) -> None:
        message.receive_count += 1
        self._hide(message, self._visibility_timeout_ms)

    def delete(self, message: Message) -> None:
        message.is_deleted = True
        if message in self.messages:
            self.messages.remove(message)

    def change_visibility(self, receipt_handle: str, timeout_ms: int) -> bool:
        """Whether there is a message in flight with that handle."""
        for message in self.messages:
            if message.receipt_handle == receipt_handle and message.visible_at_ms > self._scheduler.now_ms:
                self._hide(message, timeout_ms)
                return True
        return False

    def redrive(self) -> None:
        """Give all dead letters back.

        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue-redrive.html
        """
        dead, self.dead_letters = self.dead_letters, []
        for message in dead:
            message.receive_count = 0
            message.name += "/redriven"
            self.messages.append(message)
            self._hide(message, 0)

    def _hide(self, message: Message, timeout_ms: int) -> None:
        message.visible_at_ms = self._scheduler.now_ms + timeout_ms
        self._scheduler.after(timeout_ms, self._on_visible)


class SimulatedSqsClient(SimulatedClient):
    """`boto3.client("sqs")`, as far as the functions use it."""

    service = "sqs"

    def send_message(self, *, QueueUrl: str, MessageBody: str, DelaySeconds: int = 0) -> dict[str, Any]:  # noqa: N803
        """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html"""
        if not 0 <= DelaySeconds <= 900:
            raise _sqs_error("SendMessage", "InvalidParameterValue", "DelaySeconds must be between 0 and 900")

        def effect(request: Request) -> dict[str, Any]:
            queue: SimulatedQueue = request.simulation.queue(QueueUrl)
            name = f"message {queue.sent + 1}"
            queue.send(Message(name, MessageBody), DelaySeconds * 1000)
            return {"MessageId": name}

        return self.call("SendMessage", QueueUrl, effect, bucket="sqs", is_append=True)

    def change_message_visibility(
        self,
        *,
        QueueUrl: str,  # noqa: N803
        ReceiptHandle: str,  # noqa: N803
        VisibilityTimeout: int,  # noqa: N803
    ) -> dict[str, Any]:
        """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html"""

        def effect(request: Request) -> dict[str, Any]:
            if not request.simulation.queue(QueueUrl).change_visibility(ReceiptHandle, VisibilityTimeout * 1000):
                raise _sqs_error("ChangeMessageVisibility", "MessageNotInflight", "The message is not in flight.")
            return {}

        return self.call("ChangeMessageVisibility", QueueUrl, effect, bucket="sqs")


def _sqs_error(operation: str, code: str, message: str) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    return ClientError(response, operation)
