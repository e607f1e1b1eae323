"""Event source mappings: moves messages from a queue to a function, as Lambda's pollers do.

https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html. The pollers act with the function's role, so a role that may
not receive or delete breaks the local run as it breaks AWS.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.emulators.lambda_functions import Function, Functions
from local.emulators.moto import Aws
from local.recording.recorder import Graph, ProgramError, Resource

_NEEDED = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
_POLLERS = 2
_LONG_POLL_SECONDS = 1


class EventSource:
    """The pollers of one mapping."""

    def __init__(self, mapping: Resource, graph: Graph, functions: Functions, aws: Aws) -> None:
        """Raises ProgramError for a mapping that Lambda would refuse."""
        inputs = mapping.inputs
        self._queue = graph.with_output("aws:sqs/queue:Queue", "arn", inputs["eventSourceArn"])
        self._function = _function(inputs["functionName"], functions)
        _refuse_what_lambda_refuses(mapping, self._queue, self._function)
        self._batch_size = min(inputs.get("batchSize", 10), 10)
        self._reports_failures = "ReportBatchItemFailures" in inputs.get("functionResponseTypes", [])
        self._region = aws.region
        self._sqs = aws.client_as("sqs", self._function.role.environment())
        self._name = mapping.name
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        self._stopped.clear()
        self._threads = [threading.Thread(target=self._poll, name=self._name, daemon=True) for _ in range(_POLLERS)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(timeout=2 * _LONG_POLL_SECONDS)

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
                if messages and not self._stopped.is_set():
                    self._deliver(messages)
            except (BotoCoreError, ClientError):
                if self._stopped.wait(1):  # the endpoint is going away, or the role lost its rights: try again
                    return

    def _deliver(self, messages: Sequence[Mapping[str, Any]]) -> None:
        answer = self._function.invoke({"Records": [self._record(message) for message in messages]})
        if answer.error is not None:
            return  # the whole batch becomes visible again after the queue's visibility timeout
        failed = self._failed(answer.payload, messages)
        done = [
            {"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]}
            for index, message in enumerate(messages)
            if message["MessageId"] not in failed
        ]
        if done:
            self._sqs.delete_message_batch(QueueUrl=self._queue.outputs["url"], Entries=done)

    def _failed(self, payload: Any, messages: Sequence[Mapping[str, Any]]) -> set[str]:
        """https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting"""
        if not self._reports_failures or not payload:
            return set()
        known = {message["MessageId"] for message in messages}
        failed = {failure.get("itemIdentifier") for failure in payload.get("batchItemFailures") or []}
        return known if failed - known else failed  # an identifier Lambda does not know fails the whole batch

    def _record(self, message: Mapping[str, Any]) -> dict[str, Any]:
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


def _function(name_or_arn: str, functions: Functions) -> Function:
    for arn, function in functions.by_arn.items():
        if name_or_arn in (arn, arn.rsplit(":", 1)[-1]):
            return function
    raise ProgramError(f"an event source mapping names the function {name_or_arn}, which does not exist")


def _refuse_what_lambda_refuses(mapping: Resource, queue: Resource, function: Function) -> None:
    visibility = queue.inputs.get("visibilityTimeoutSeconds", 30)
    if visibility < function.timeout:
        raise ProgramError(
            f"{mapping.name}: the queue's visibility timeout ({visibility} s) is shorter than the function's "
            f"timeout ({function.timeout} s)"
        )
    for action in _NEEDED:
        if not function.role.may(action, queue.outputs["arn"], {}):
            raise ProgramError(f"{mapping.name}: the function's role may not {action} on {queue.outputs['arn']}")
