"""Delivery of a topic's messages to HTTPS endpoints, as SNS does it, and a receiver that shows what arrived.

https://docs.aws.amazon.com/sns/latest/dg/sns-http-https-endpoint-as-subscriber.html. Not like SNS: messages are not
signed, because only AWS holds the key.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import requests
from werkzeug.wrappers import Request, Response

from local.emulators.http_server import Server
from local.emulators.moto import Aws
from local.emulators.queue_policies import may_send
from local.recording.recorder import Graph, ProgramError, Resource

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

# https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html, for customer-managed endpoints
_DEFAULT_RETRIES = {"numRetries": 3, "minDelayTarget": 20, "maxDelayTarget": 20}
_TIMEOUT_SECONDS = 15


class Subscription:
    """One HTTPS subscription: asks the endpoint to confirm, then delivers what is published."""

    def __init__(self, resource: Resource, graph: Graph, aws: Aws) -> None:
        """Raises ProgramError when what is not taken has a queue that SNS may not send to."""
        self._arn = resource.outputs["arn"]
        self._topic = resource.inputs["topic"]
        self._endpoint = resource.inputs["endpoint"]
        self._raw = resource.inputs.get("rawMessageDelivery", False)
        policy = json.loads(resource.inputs.get("deliveryPolicy", "{}"))
        self._waits = retry_waits(policy.get("healthyRetryPolicy", _DEFAULT_RETRIES))
        self._token = uuid.uuid4().hex
        self._confirmed = threading.Event()
        self._stopped = threading.Event()
        self._confirmations = Server("SNS confirmations")
        self._confirmations.serve(self._confirm)
        self._sqs = aws.client("sqs")
        self._queue = self._sqs.create_queue(QueueName=f"webhook-{self._token[:8]}")["QueueUrl"]
        queue_arn = aws.arn("sqs", self._queue.rsplit("/", 1)[-1])
        aws.client("sns").subscribe(TopicArn=self._topic, Protocol="sqs", Endpoint=queue_arn)
        self._undelivered = _dead_letter_queue(resource, graph)
        self._thread = threading.Thread(target=self._run, name=resource.name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stopped.set()
        self._confirmations.close()
        self._thread.join(timeout=2)

    def _run(self) -> None:
        self._post(self._envelope("SubscriptionConfirmation", {
            "Message": f"You have chosen to subscribe to the topic {self._topic}.",
            "Token": self._token,
            "SubscribeURL": f"{self._confirmations.url}/?Action=ConfirmSubscription&Token={self._token}",
        }))  # fmt: skip
        while not self._stopped.is_set():
            answer = self._sqs.receive_message(QueueUrl=self._queue, WaitTimeSeconds=1, MaxNumberOfMessages=10)
            for message in answer.get("Messages", []):
                published = json.loads(message["Body"])
                if self._confirmed.is_set():
                    kept = {name: published[name] for name in ("Message", "MessageAttributes") if name in published}
                    self._post(self._envelope("Notification", {**kept, "MessageId": published["MessageId"]}))
                self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])

    def _envelope(self, type_: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "Type": type_,
            "MessageId": str(uuid.uuid4()),
            "TopicArn": self._topic,
            "Timestamp": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()),
            **fields,
        }

    def _post(self, envelope: Mapping[str, Any]) -> None:
        raw = self._raw and envelope["Type"] == "Notification"
        headers = {
            "Content-Type": "text/plain; charset=UTF-8",
            "x-amz-sns-message-type": envelope["Type"],
            "x-amz-sns-message-id": envelope["MessageId"],
            "x-amz-sns-topic-arn": self._topic,
            "x-amz-sns-subscription-arn": self._arn,
            **({"x-amz-sns-rawdelivery": "true"} if raw else {}),
        }
        body = envelope["Message"] if raw else json.dumps(envelope)
        for wait in (0.0, *self._waits):
            if self._stopped.wait(wait):
                return
            try:
                answer = requests.post(self._endpoint, data=body, headers=headers, timeout=_TIMEOUT_SECONDS)
            except requests.RequestException:
                continue
            if answer.ok:
                return
            if 400 <= answer.status_code < 500 and answer.status_code != 429:
                break  # a client error is permanent: SNS does not try again
        if self._undelivered and envelope["Type"] == "Notification":
            self._sqs.send_message(QueueUrl=self._undelivered, MessageBody=body)

    def _confirm(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if Request(environ).args.get("Token") == self._token:
            self._confirmed.set()
            return Response("<ConfirmSubscriptionResponse/>", content_type="text/xml")(environ, start_response)
        return Response(status=403)(environ, start_response)


def retry_waits(policy: Mapping[str, Any]) -> list[float]:
    """Seconds before each retry of a `healthyRetryPolicy`: at once, at the least delay, growing, at the largest."""
    least, largest = float(policy["minDelayTarget"]), float(policy["maxDelayTarget"])
    at_once, at_least = policy.get("numNoDelayRetries", 0), policy.get("numMinDelayRetries", 0)
    at_largest = policy.get("numMaxDelayRetries", 0)
    growing = policy["numRetries"] - at_once - at_least - at_largest
    steps = [least * (largest / least) ** (step / max(growing - 1, 1)) for step in range(growing)]
    return [0.0] * at_once + [least] * at_least + steps + [largest] * at_largest


def _dead_letter_queue(subscription: Resource, graph: Graph) -> str | None:
    """The URL of the queue for what is not taken."""
    if "redrivePolicy" not in subscription.inputs:
        return None
    arn = json.loads(subscription.inputs["redrivePolicy"])["deadLetterTargetArn"]
    if not may_send(graph, "sns.amazonaws.com", subscription.inputs["topic"], arn):
        raise ProgramError(f"{subscription.name}: SNS may not send what is not taken to {arn}")
    return graph.with_output("aws:sqs/queue:Queue", "arn", arn).outputs["url"]


class Receiver:
    """A webhook endpoint: confirms its subscription and keeps the events it is sent."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self._arrived = threading.Condition()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        envelope = json.loads(Request(environ).get_data())
        if envelope["Type"] == "SubscriptionConfirmation":
            requests.get(envelope["SubscribeURL"], timeout=_TIMEOUT_SECONDS).raise_for_status()
        else:
            with self._arrived:
                self.events.append(json.loads(envelope["Message"]))
                self._arrived.notify_all()
        return Response(status=204)(environ, start_response)

    def wait_for(self, upload_id: str, timeout: float) -> dict[str, Any]:
        """The event of an upload. Raises TimeoutError after `timeout` seconds without it."""

        def found() -> dict[str, Any] | None:
            return next((event for event in self.events if event["upload_id"] == upload_id), None)

        with self._arrived:
            event = self._arrived.wait_for(found, timeout)
        if event is None:
            raise TimeoutError(f"no webhook for upload {upload_id} within {timeout} s")
        return event
