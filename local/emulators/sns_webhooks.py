"""Emulates the delivery of SNS messages to HTTPS endpoints, and provides such an endpoint.

https://docs.aws.amazon.com/sns/latest/dg/sns-http-https-endpoint-as-subscriber.html. Unlike in SNS, messages are not
signed, because only AWS has the private key.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import requests
from botocore.exceptions import BotoCoreError, ClientError
from werkzeug.wrappers import Request, Response

from local.emulators.http_server import HttpServer
from local.emulators.moto import MotoServer
from local.emulators.queue_policies import can_send
from local.recording.graph import Graph, ProgramError, Resource

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

# https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html, for customer-managed endpoints
_DEFAULT_RETRIES = {"numRetries": 3, "minDelayTarget": 20, "maxDelayTarget": 20}
_TIMEOUT_SECONDS = 15
_RETRY_SECONDS = 1


class HttpsSubscription:
    """Requests confirmation of one subscription, then delivers the messages of its topic."""

    def __init__(self, resource: Resource, graph: Graph, aws: MotoServer) -> None:
        """Subscribes to the topic.

        Raises:
            ProgramError: SNS may not send to the dead-letter queue of the subscription.
        """
        self._arn = resource.outputs["arn"]
        self._topic = resource.inputs["topic"]
        self._endpoint = resource.inputs["endpoint"]
        self._raw = resource.inputs.get("rawMessageDelivery", False)
        policy = json.loads(resource.inputs.get("deliveryPolicy", "{}"))
        self._retry_delays = compute_retry_delays(policy.get("healthyRetryPolicy", _DEFAULT_RETRIES))
        self._token = uuid.uuid4().hex
        self._confirmed = threading.Event()
        self._stopped = threading.Event()
        self._confirmations = HttpServer("SNS confirmations")
        self._confirmations.serve(self._confirm)
        self._sqs = aws.client("sqs")
        self._queue = self._sqs.create_queue(QueueName=f"webhook-{self._token[:8]}")["QueueUrl"]
        queue_arn = aws.arn("sqs", self._queue.rsplit("/", 1)[-1])
        aws.client("sns").subscribe(TopicArn=self._topic, Protocol="sqs", Endpoint=queue_arn)
        self._dead_letter_queue = _find_dead_letter_queue(resource, graph)
        self._name = resource.name

    def start(self) -> None:
        threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def close(self) -> None:
        self._stopped.set()
        self._confirmations.close()

    def _run(self) -> None:
        self._deliver(self._build_envelope("SubscriptionConfirmation", {
            "Message": f"You have chosen to subscribe to the topic {self._topic}.",
            "Token": self._token,
            "SubscribeURL": f"{self._confirmations.url}/?Action=ConfirmSubscription&Token={self._token}",
        }))  # fmt: skip
        while not self._stopped.is_set():
            try:
                self._deliver_messages()
            except (BotoCoreError, ClientError):  # the endpoint has been closed
                self._stopped.wait(_RETRY_SECONDS)

    def _deliver_messages(self) -> None:
        response = self._sqs.receive_message(QueueUrl=self._queue, WaitTimeSeconds=1, MaxNumberOfMessages=10)
        for message in response.get("Messages", []):
            published = json.loads(message["Body"])
            if self._confirmed.is_set():
                fields = {name: published[name] for name in ("Message", "MessageAttributes") if name in published}
                self._deliver(self._build_envelope("Notification", {**fields, "MessageId": published["MessageId"]}))
            self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])

    def _build_envelope(self, type_: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "Type": type_,
            "MessageId": str(uuid.uuid4()),
            "TopicArn": self._topic,
            "Timestamp": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()),
            **fields,
        }

    def _deliver(self, envelope: Mapping[str, Any]) -> None:
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
        for delay in (0.0, *self._retry_delays):
            if self._stopped.wait(delay):
                return
            try:
                response = requests.post(self._endpoint, data=body, headers=headers, timeout=_TIMEOUT_SECONDS)
            except requests.RequestException:
                continue
            if response.ok:
                return
            if 400 <= response.status_code < 500 and response.status_code != 429:
                break  # SNS does not retry after a client error
        if self._dead_letter_queue and envelope["Type"] == "Notification":
            self._sqs.send_message(QueueUrl=self._dead_letter_queue, MessageBody=body)

    def _confirm(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if Request(environ).args.get("Token") == self._token:
            self._confirmed.set()
            return Response("<ConfirmSubscriptionResponse/>", content_type="text/xml")(environ, start_response)
        return Response(status=403)(environ, start_response)


def compute_retry_delays(policy: Mapping[str, Any]) -> list[float]:
    """Returns the delay before each retry, in seconds, of a `healthyRetryPolicy` with an exponential backoff function.

    The phases are immediate retry, pre-backoff, backoff and post-backoff:
    https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html.
    """
    min_delay, max_delay = float(policy["minDelayTarget"]), float(policy["maxDelayTarget"])
    immediate, pre_backoff = policy.get("numNoDelayRetries", 0), policy.get("numMinDelayRetries", 0)
    post_backoff = policy.get("numMaxDelayRetries", 0)
    backoff = policy["numRetries"] - immediate - pre_backoff - post_backoff
    delays = [min_delay * (max_delay / min_delay) ** (step / max(backoff - 1, 1)) for step in range(backoff)]
    return [0.0] * immediate + [min_delay] * pre_backoff + delays + [max_delay] * post_backoff


def _find_dead_letter_queue(subscription: Resource, graph: Graph) -> str | None:
    if "redrivePolicy" not in subscription.inputs:
        return None
    arn = json.loads(subscription.inputs["redrivePolicy"])["deadLetterTargetArn"]
    if not can_send(graph, "sns.amazonaws.com", subscription.inputs["topic"], arn):
        raise ProgramError(f"{subscription.name}: SNS may not send undelivered messages to {arn}")
    return graph.with_output("aws:sqs/queue:Queue", "arn", arn).outputs["url"]


class WebhookReceiver:
    """A webhook endpoint: confirms its subscription and keeps the events that it receives."""

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
        """Waits for the event of an upload.

        Raises:
            TimeoutError: The event has not arrived after `timeout` seconds.
        """

        def find_event() -> dict[str, Any] | None:
            return next((event for event in self.events if event["upload_id"] == upload_id), None)

        with self._arrived:
            event = self._arrived.wait_for(find_event, timeout)
        if event is None:
            raise TimeoutError(f"no webhook request for upload {upload_id} within {timeout} s")
        return event
