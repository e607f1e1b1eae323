"""Webhook delivery: confirmation, retries, and the dead-letter queue."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from werkzeug.wrappers import Response

from local.emulators.http_server import HttpServer
from local.emulators.moto import ACCOUNT_ID, MotoServer
from local.emulators.sns_webhooks import HttpsSubscription, WebhookReceiver, compute_retry_delays
from local.recording.graph import Graph, ProgramError, Resource
from tests.local.conftest import wait_until

FAST_RETRIES = {"numRetries": 2, "minDelayTarget": 0.01, "maxDelayTarget": 0.02}


@dataclass
class Endpoint:
    """A webhook that returns the statuses in `responses` to notifications, then 204."""

    receiver: WebhookReceiver = field(default_factory=WebhookReceiver)
    responses: list[int] = field(default_factory=list[int])
    requests: list[str] = field(default_factory=list[str])

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        self.requests.append(environ["HTTP_X_AMZ_SNS_MESSAGE_TYPE"])
        if self.requests[-1] == "Notification" and self.responses:
            return Response(status=self.responses.pop(0))(environ, start_response)
        return self.receiver(environ, start_response)


@dataclass
class Topic:
    endpoint: Endpoint
    aws: MotoServer
    arn: str
    dead_letter_queue: str

    def publish(self, upload_id: str) -> None:
        self.aws.client("sns").publish(TopicArn=self.arn, Message=json.dumps({"upload_id": upload_id}))

    def receive_dead_letters(self) -> list[Any]:
        messages = self.aws.client("sqs").receive_message(QueueUrl=self.dead_letter_queue).get("Messages", [])
        return [json.loads(json.loads(message["Body"])["Message"])["upload_id"] for message in messages]


@pytest.fixture
def topic() -> Generator[Topic]:
    yield from subscribe(lambda policy: policy)


def subscribe(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Generator[Topic]:
    """Creates a topic with a webhook. `change` can modify the policy of the dead-letter queue."""
    endpoint, servers = Endpoint(), [HttpServer("AWS"), HttpServer("webhook")]
    servers[1].serve(endpoint)
    aws = MotoServer(servers[0], "eu-west-1")
    arn = aws.client("sns").create_topic(Name=f"topic-{servers[0].port}")["TopicArn"]
    name = f"dead_letter_queue-{servers[0].port}"
    url = aws.client("sqs").create_queue(QueueName=name)["QueueUrl"]
    queue_arn = aws.arn("sqs", name)
    statement = change({
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": arn}},
    })  # fmt: skip
    graph = Graph()
    add_resource(graph, "aws:sqs/queue:Queue", {}, {"arn": queue_arn, "url": url})
    add_resource(
        graph, "aws:sqs/queuePolicy:QueuePolicy", {"queueUrl": url, "policy": json.dumps({"Statement": [statement]})}
    )
    subscription = add_resource(
        graph,
        "aws:sns/topicSubscription:TopicSubscription",
        {
            "topic": arn,
            "endpoint": servers[1].url,
            "deliveryPolicy": json.dumps({"healthyRetryPolicy": FAST_RETRIES}),
            "redrivePolicy": json.dumps({"deadLetterTargetArn": queue_arn}),
        },
        {"arn": f"{arn}:1"},
    )
    try:
        running = HttpsSubscription(subscription, graph, aws)
        running.start()
        wait_until(
            lambda: "SubscriptionConfirmation" in endpoint.requests,
            "the endpoint has received the confirmation request",
        )
        yield Topic(endpoint, aws, arn, url)
        running.close()
    finally:
        for server in servers:
            server.close()


def add_resource(graph: Graph, type_: str, inputs: dict[str, Any], outputs: dict[str, Any] | None = None) -> Resource:
    resource = Resource(
        urn=type_, type=type_, name=type_, custom=True, parent="", inputs=inputs, outputs=outputs or {}
    )  # fmt: skip
    graph.resources[type_] = resource
    return resource


def test_confirmed_endpoint_receives_published_message(topic: Topic) -> None:
    topic.publish("1")
    assert topic.endpoint.receiver.wait_for("1", 10) == {"upload_id": "1"}
    assert topic.endpoint.requests == ["SubscriptionConfirmation", "Notification"]


def test_delivery_is_retried_after_500_and_429(topic: Topic) -> None:
    topic.endpoint.responses = [500, 429]
    topic.publish("1")
    assert topic.endpoint.receiver.wait_for("1", 10) == {"upload_id": "1"}
    assert topic.receive_dead_letters() == []


@pytest.mark.parametrize(("responses", "attempts"), [([500] * 3, 3), ([403], 1)])
def test_undelivered_message_goes_to_the_dead_letter_queue(topic: Topic, responses: list[int], attempts: int) -> None:
    topic.endpoint.responses = responses
    topic.publish("lost")
    arrived: list[Any] = []
    wait_until(lambda: arrived.extend(topic.receive_dead_letters()) or arrived, "the event is in the dead-letter queue")
    assert arrived == ["lost"]
    assert topic.endpoint.requests.count("Notification") == attempts
    assert topic.endpoint.receiver.events == []


def test_dead_letter_queue_without_send_permission_raises() -> None:
    other = {"Condition": {"ArnEquals": {"aws:SourceArn": f"arn:aws:sns:eu-west-1:{ACCOUNT_ID}:other"}}}
    with pytest.raises(ProgramError, match="SNS may not send"):
        next(subscribe(lambda statement: statement | other))


def test_retry_delays_follow_the_phases_of_the_policy() -> None:
    policy = {
        "numRetries": 8,
        "numNoDelayRetries": 1,
        "numMinDelayRetries": 2,
        "numMaxDelayRetries": 2,
        "minDelayTarget": 1,
        "maxDelayTarget": 16,
    }
    assert compute_retry_delays(policy) == [0, 1, 1, 1, 4, 16, 16, 16]
