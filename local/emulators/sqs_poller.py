"""Emulates event source mappings: polls SQS queues and invokes functions with batches of messages.

https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html. As in Lambda, the pollers use the role of the function.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.emulators.lambda_functions import LambdaFunction, LambdaFunctions
from local.emulators.moto import MotoServer
from local.recording.graph import Graph, ProgramError, Resource

_REQUIRED_ACTIONS = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
_POLLERS = 2
_LONG_POLL_SECONDS = 1
_RETRY_SECONDS = 1


class EventSourceMapping:
    """Polls the queue of one mapping, in several threads."""

    def __init__(self, mapping: Resource, graph: Graph, functions: LambdaFunctions, aws: MotoServer) -> None:
        """Validates the mapping.

        Raises:
            ProgramError: Lambda would reject the mapping.
        """
        inputs = mapping.inputs
        self._queue = graph.with_output("aws:sqs/queue:Queue", "arn", inputs["eventSourceArn"])
        self._function = _find_function(inputs["functionName"], functions)
        _validate(mapping, self._queue, self._function)
        self._batch_size = min(inputs.get("batchSize", 10), 10)
        self._reports_failures = "ReportBatchItemFailures" in inputs.get("functionResponseTypes", [])
        self._region = aws.region
        self._sqs = aws.client_as("sqs", self._function.role.to_environment())
        self._name = mapping.name
        self._stopped = threading.Event()

        self._threads = [threading.Thread(target=self._poll, name=self._name, daemon=True) for _ in range(_POLLERS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stops the pollers without waiting for the end of a long poll."""
        self._stopped.set()

    def wait(self) -> None:
        """Waits for the pollers to end, with what they have received last."""
        for thread in self._threads:
            thread.join()

    def _poll(self) -> None:
        while not self._stopped.is_set():
            try:
                messages = self._sqs.receive_message(
                    QueueUrl=self._queue.outputs["url"],
                    MaxNumberOfMessages=self._batch_size,
                    WaitTimeSeconds=_LONG_POLL_SECONDS,
                    MessageSystemAttributeNames=["All"],
                    MessageAttributeNames=["All"],
                ).get("Messages", [])
                if messages:
                    self._deliver(messages)
            except (BotoCoreError, ClientError):
                self._stopped.wait(_RETRY_SECONDS)  # the endpoint has been closed, or the role has lost a permission

    def _deliver(self, messages: Sequence[Mapping[str, Any]]) -> None:
        result = self._function.invoke({"Records": [self._build_record(message) for message in messages]})
        if result.error is not None:
            return  # the whole batch becomes visible again after the visibility timeout
        failed = self._find_failed(result.payload, messages)
        entries = [
            {"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]}
            for index, message in enumerate(messages)
            if message["MessageId"] not in failed
        ]
        if entries:
            self._sqs.delete_message_batch(QueueUrl=self._queue.outputs["url"], Entries=entries)

    def _find_failed(self, payload: Any, messages: Sequence[Mapping[str, Any]]) -> set[str]:
        """https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting"""
        if not self._reports_failures or not payload:
            return set()
        known = {message["MessageId"] for message in messages}
        failed = {failure.get("itemIdentifier") for failure in payload.get("batchItemFailures") or []}
        return known if failed - known else failed  # an unknown identifier fails the whole batch

    def _build_record(self, message: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message["Attributes"],
            "messageAttributes": message.get("MessageAttributes", {}),
            "md5OfBody": message["MD5OfBody"],
            "eventSource": "aws:sqs",
            "eventSourceARN": self._queue.outputs["arn"],
            "awsRegion": self._region,
        }


def _find_function(name_or_arn: str, functions: LambdaFunctions) -> LambdaFunction:
    for arn, function in functions.by_arn.items():
        if name_or_arn in (arn, arn.rsplit(":", 1)[-1]):
            return function
    raise ProgramError(f"an event source mapping refers to the function {name_or_arn}, which does not exist")


def _validate(mapping: Resource, queue: Resource, function: LambdaFunction) -> None:
    visibility = queue.inputs.get("visibilityTimeoutSeconds", 30)
    if visibility < function.timeout:
        raise ProgramError(
            f"{mapping.name}: the queue's visibility timeout ({visibility} s) is shorter than the function's "
            f"timeout ({function.timeout} s)"
        )
    for action in _REQUIRED_ACTIONS:
        if not function.role.is_allowed(action, queue.outputs["arn"], {}):
            raise ProgramError(
                f"{mapping.name}: the role of the function does not allow {action} on {queue.outputs['arn']}"
            )
