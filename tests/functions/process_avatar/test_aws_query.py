"""Publish requests as they go over the wire, answered by a small server of the test's own."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest

from functions.process_avatar.aws_query import QueryError
from functions.process_avatar.topic import Topic

ARN = "arn:aws:sns:eu-north-1:123456789012:avatars"


@dataclass
class Sns:
    url: str = ""
    status: int = 200
    answer: bytes = b"<PublishResponse/>"
    hangs_up_after_each: bool = False
    connections: int = 0
    requests: list[tuple[dict[str, str], dict[str, list[str]]]] = field(default_factory=list)


@pytest.fixture
def sns(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sns]:
    fake = Sns()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            fake.connections += 1
            super().setup()

        def do_POST(self) -> None:
            form = self.rfile.read(int(self.headers["Content-Length"])).decode()
            fake.requests.append(({name.lower(): value for name, value in self.headers.items()}, parse_qs(form)))
            self.send_response(fake.status)
            self.send_header("Content-Length", str(len(fake.answer)))
            self.end_headers()
            self.wfile.write(fake.answer)
            self.close_connection = fake.hangs_up_after_each  # without a word to the client, as an idle timeout does

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SNS", fake.url)
    yield fake
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_message_goes_out_as_json_with_its_event_as_an_attribute(sns: Sns) -> None:
    Topic(ARN).publish("avatar.ready", {"subject": "jürgen & co"})
    ((_, form),) = sns.requests
    assert form == {
        "Action": ["Publish"],
        "Version": ["2010-03-31"],
        "TopicArn": [ARN],
        "Message": ['{"subject": "j\\u00fcrgen & co"}'],
        "MessageAttributes.entry.1.Name": ["event"],
        "MessageAttributes.entry.1.Value.DataType": ["String"],
        "MessageAttributes.entry.1.Value.StringValue": ["avatar.ready"],
    }


def test_requests_are_signed_for_the_topics_own_region(sns: Sns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    Topic(ARN).publish("avatar.ready", {})
    ((headers, _),) = sns.requests
    assert headers["x-amz-security-token"] == "token"
    assert headers["host"] == sns.url.removeprefix("http://")
    assert f"/{headers['x-amz-date'][:8]}/eu-north-1/sns/aws4_request" in headers["authorization"]
    assert "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token" in headers["authorization"]


def test_messages_share_one_connection(sns: Sns) -> None:
    topic = Topic(ARN)
    topic.publish("avatar.ready", {})
    topic.publish("avatar.ready", {})
    assert (len(sns.requests), sns.connections) == (2, 1)


def test_a_connection_that_was_closed_while_idle_is_opened_again(sns: Sns) -> None:
    sns.hangs_up_after_each = True
    topic = Topic(ARN)
    for _ in range(3):
        topic.publish("avatar.ready", {})
    assert (len(sns.requests), sns.connections) == (3, 3)


def test_a_refusal_names_service_status_code_and_action(sns: Sns) -> None:
    sns.status = 403
    sns.answer = b"<ErrorResponse><Error><Type>Sender</Type><Code>AuthorizationError</Code></Error></ErrorResponse>"
    with pytest.raises(QueryError, match="sns answered 403 AuthorizationError to Publish"):
        Topic(ARN).publish("avatar.ready", {})


def test_a_server_that_is_not_there_is_an_error(sns: Sns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SNS", "http://127.0.0.1:1")
    with pytest.raises(ConnectionRefusedError):
        Topic(ARN).publish("avatar.ready", {})
