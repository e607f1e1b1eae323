"""Lambda's event source mapping of the queue.

https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from simulation.scheduler import Invocation
from simulation.sqs import Message

if TYPE_CHECKING:
    from simulation.simulation import Deletion, Simulation, Upload

_NO_UPLOADS: Sequence[Upload] = ()
_RECEIVED_AGAIN_MS = (None, 150, 2_000, 20_000)


class EventSourceMapping:
    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._uploads: dict[str, list[Upload]] = {}
        self._deletions: dict[str, list[Deletion]] = {}
        self._receive_counts: dict[str, int] = {}
        self.readers: dict[str, Callable[[Upload, str], None]] = {}
        """By name: what a client may ask while an upload is processed; the second argument says when."""

    def poll(self) -> None:
        """Invoke the function with every message that is visible, in batches."""
        simulation = self._simulation
        visible = simulation.main_queue.visible()
        while visible:
            sizes = range(1, min(len(visible), simulation.settings.batch_size) + 1)
            size = 1
            if len(sizes) > 1:
                size = simulation.choices.pick(f"batch with {visible[0].receipt_handle}: size", sizes, 0.5)
            self._invoke(visible[:size])
            visible = visible[size:]

    def uploads_of(self, invocation: Invocation) -> Sequence[Upload]:
        """The uploads that an invocation's batch is about."""
        return self._uploads.get(invocation.name, _NO_UPLOADS)

    def deletions_of(self, invocation: Invocation) -> Sequence[Deletion]:
        """The deletions that an invocation's batch is about."""
        return self._deletions.get(invocation.name, ())

    def receive_count_of(self, invocation: Invocation) -> int:
        """The largest receive count of the messages in an invocation's batch."""
        return self._receive_counts.get(invocation.name, 0)

    def maybe_read(self, label: str, invocation: Invocation) -> None:
        """Let a client ask for something while an upload is processed."""
        uploads = self.uploads_of(invocation)
        if not uploads:
            return
        readers = ("none", *self.readers)
        reader = self._simulation.choices.pick(f"{label}: reader", readers, self._simulation.rates.reader)
        if reader != "none":
            self.readers[reader](uploads[0], f"during {label}")

    def _invoke(self, batch: Sequence[Message]) -> None:
        simulation = self._simulation
        for message in batch:
            simulation.main_queue.receive(message)
            self._maybe_receive_again(message)
        name = "process " + " + ".join(message.receipt_handle for message in batch)
        ids = {its_id: None for message in batch for its_id in message.ids}
        self._uploads[name] = [simulation.uploads[each] for each in ids if each in simulation.uploads]
        self._deletions[name] = [simulation.deletions[each] for each in ids if each in simulation.deletions]
        self._receive_counts[name] = max(message.receive_count for message in batch)
        simulation.record(name, "invoked")
        simulation.invoke(
            name,
            simulation.functions.process_avatar,
            {"Records": [_record(message) for message in batch]},
            partial(self._end, batch),
            simulation.settings.function_timeout_seconds * 1000,
        )

    def _maybe_receive_again(self, message: Message) -> None:
        """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/standard-queues-at-least-once-delivery.html"""
        simulation = self._simulation
        if message.name.endswith("'"):
            return
        label = f"{message.receipt_handle}: received again after milliseconds"
        delay_ms = simulation.choices.pick(label, _RECEIVED_AGAIN_MS, simulation.rates.duplicate / 4)
        if delay_ms is not None:
            simulation.main_queue.send(message.copy(), delay_ms)

    def _end(self, batch: Sequence[Message], invocation: Invocation) -> None:
        """https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html"""
        simulation = self._simulation
        if invocation.was_killed or invocation.error is not None:
            failed = {message.name for message in batch}
        else:
            failed = {failure["itemIdentifier"] for failure in invocation.result["batchItemFailures"]}
        simulation.record(invocation.name, "failed" if failed else "succeeded", *sorted(failed))
        for message in batch:
            if message.name not in failed:
                simulation.main_queue.delete(message)


def _record(message: Message) -> dict[str, Any]:
    """https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html#example-standard-queue-message-event"""
    return {
        "messageId": message.name,
        "receiptHandle": message.receipt_handle,
        "body": message.body,
        "attributes": {
            "ApproximateReceiveCount": str(message.receive_count),
            "SentTimestamp": str(message.sent_at_ms),
        },
        "messageAttributes": {},
        "eventSource": "aws:sqs",
    }
