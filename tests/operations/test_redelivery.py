"""Messages of the dead-letter queue and undelivered events that are delivered again, and those that are not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from botocore.exceptions import ClientError

from operations import redelivery
from operations.__main__ import main
from operations.operated_stack import OperatedStack
from operations.queues import QueuedMessage, measure
from tests.local.conftest import build_s3_event

SUBJECT = "5f0c2a4e-8a43-4a5e-9a3b-0d6a0c1e7b11"


def fail(stack: OperatedStack, *bodies: str, queue: str = "deadLetterQueueUrl") -> list[str]:
    """Puts messages into a dead-letter queue. Returns their IDs."""
    return [stack.sqs.send_message(QueueUrl=stack.get_output(queue), MessageBody=body)["MessageId"] for body in bodies]


def list_bodies(stack: OperatedStack, queue: str) -> list[str]:
    """Returns the bodies of all visible messages, and leaves none."""
    bodies: list[str] = []
    while messages := stack.sqs.receive_message(QueueUrl=stack.get_output(queue), MaxNumberOfMessages=10).get(
        "Messages"
    ):
        bodies += [message["Body"] for message in messages]
    return bodies


def build_notification(stack: OperatedStack, number: int) -> str:
    event = {"event": "avatar.ready", "subject": SUBJECT, "upload_id": f"01A{number}", "at": "2026-11-28T07:00:00.000Z"}
    attributes = {"event": {"Type": "String", "Value": "avatar.ready"}}
    envelope = {"Type": "Notification", "TopicArn": stack.get_output("topicArn"), "MessageAttributes": attributes}
    return json.dumps({**envelope, "Message": json.dumps(event)})


def run(outputs: str, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(["--outputs", outputs, *arguments])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def test_redrive_moves_all_batches_and_leaves_what_is_no_s3_event(
    operated: OperatedStack, outputs_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    events = [build_s3_event(f"incoming/{SUBJECT}/01A{number}") for number in range(22)]
    (poison,) = fail(operated, '{"hello": 1}')
    fail(operated, *events)
    assert run(outputs_file, capsys, "redrive")[0] == 0
    assert measure(operated, operated.get_output("deadLetterQueueUrl")) == (23, 0)
    assert list_bodies(operated, "queueUrl") == []

    status, output, progress = run(outputs_file, capsys, "redrive", "--apply")
    assert status == 0
    assert output.count(f"SUBJECT={SUBJECT} UPLOAD=01A") == 20
    more, left, summary = output.splitlines()[20:]
    assert (more, summary) == ("and 2 more", "moved to the queue: 22; left: 1")
    assert left.startswith(f"message {poison} stays: not an S3 event: ")
    assert progress.startswith("23 of 23 messages, ")
    assert sorted(list_bodies(operated, "queueUrl")) == sorted(events)
    assert list_bodies(operated, "deadLetterQueueUrl") == ['{"hello": 1}']


def test_message_that_sqs_does_not_take_stays(
    operated: OperatedStack, outputs_file: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [build_s3_event(f"incoming/{SUBJECT}/{name}") for name in ("01A", "01B")]
    refused, _ = fail(operated, *events)

    def refuse(_self: object, _messages: Sequence[QueuedMessage]) -> dict[str, Any]:
        return {"Failed": [{"Id": refused, "Code": "InternalError"}]}

    monkeypatch.setattr(redelivery._Redrive, "deliver", refuse)  # pyright: ignore[reportPrivateUsage]
    status, output, _ = run(outputs_file, capsys, "redrive", "--apply")
    assert status == 1
    assert output.endswith(f"message {refused} stays: InternalError\nmoved to the queue: 1; left: 1\n")
    assert list_bodies(operated, "deadLetterQueueUrl") == events[:1]


def test_messages_are_visible_again_after_an_error(
    operated: OperatedStack, outputs_file: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(operated, *(build_s3_event(f"incoming/{SUBJECT}/01A{number}") for number in range(12)))

    def raise_error(_self: object, _messages: Sequence[QueuedMessage]) -> dict[str, Any]:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "SendMessageBatch")

    monkeypatch.setattr(redelivery._Redrive, "deliver", raise_error)  # pyright: ignore[reportPrivateUsage]
    status, _, error = run(outputs_file, capsys, "redrive", "--apply")
    assert (status, "AccessDenied" in error) == (1, True)
    assert measure(operated, operated.get_output("deadLetterQueueUrl")) == (12, 0)


def test_republish_publishes_events_with_attributes_and_leaves_others(
    operated: OperatedStack, outputs_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sqs, sns = operated.sqs, operated.create_client("sns")
    receiver = sqs.create_queue(QueueName=operated.get_output("topicArn").rpartition(":")[2])["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=receiver, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=operated.get_output("topicArn"), Protocol="sqs", Endpoint=arn)
    notifications = [build_notification(operated, number) for number in range(11)]
    foreign = json.dumps({"Type": "Notification", "TopicArn": "arn:aws:sns:eu-west-1:123456789012:other"})
    (other, _) = fail(operated, foreign, "[]", queue="undeliveredQueueUrl")
    fail(operated, *notifications, queue="undeliveredQueueUrl")
    assert "can be published again: 11; left: 2\n" in run(outputs_file, capsys, "republish")[1]

    status, output, _ = run(outputs_file, capsys, "republish", "--apply")
    assert status == 0
    assert f"avatar.ready SUBJECT={SUBJECT} UPLOAD=01A0 since 2026-11-28T07:00:00.000Z\n" in output
    assert f"message {other} stays: not a notification of {operated.get_output('topicArn')}\n" in output
    assert output.endswith("published again: 11; left: 2\n")
    received = [json.loads(body) for body in list_bodies(operated_with(operated, receiver), "queueUrl")]
    assert sorted(message["Message"] for message in received) == sorted(
        json.loads(notification)["Message"] for notification in notifications
    )
    attributes = [message["MessageAttributes"] for message in received]
    assert attributes == [{"event": {"Type": "String", "Value": "avatar.ready"}}] * 11
    assert sorted(list_bodies(operated, "undeliveredQueueUrl")) == sorted([foreign, "[]"])


def operated_with(stack: OperatedStack, queue: str) -> OperatedStack:
    return OperatedStack({**stack.outputs, "queueUrl": queue})


def test_republish_without_webhook_is_an_error(operated: OperatedStack) -> None:
    outputs = {name: value for name, value in operated.outputs.items() if name != "undeliveredQueueUrl"}
    with pytest.raises(redelivery.OperationError, match="no undeliveredQueueUrl: the stack has no webhookUrl"):
        redelivery.republish(OperatedStack(outputs), None)  # pyright: ignore[reportArgumentType]


def test_discard_deletes_only_a_message_that_is_no_s3_event(
    operated: OperatedStack, outputs_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    event, poison = fail(operated, build_s3_event(f"incoming/{SUBJECT}/01A"), "poison")
    status, _, error = run(outputs_file, capsys, "discard", event)
    assert status == 1
    assert error.startswith(f"error: message {event} is an S3 event (SUBJECT={SUBJECT} UPLOAD=01A since ")
    unknown = "error: there is no message 1 in the dead-letter queue\n"
    assert run(outputs_file, capsys, "discard", "1") == (1, "", unknown)
    assert measure(operated, operated.get_output("deadLetterQueueUrl")) == (2, 0)
    assert run(outputs_file, capsys, "discard", poison)[:2] == (0, f"message {poison} is deleted: poison\n")
    assert measure(operated, operated.get_output("deadLetterQueueUrl")) == (1, 0)
