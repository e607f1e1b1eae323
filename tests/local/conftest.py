"""One running stack for all tests here, and users of it."""

from __future__ import annotations

import datetime
import itertools
import json
import secrets
import time
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from client.session import Session
from local.stack import LocalStack, read_config

FIXTURES = Path(__file__).parent.parent / "fixtures"
PHOTO = Path(__file__).parent.parent.parent / "local" / "photo.jpg"
_numbers = itertools.count()


@pytest.fixture(scope="session")
def config() -> dict[str, str]:
    return read_config("dev")[0]


@pytest.fixture(scope="session")
def stack(config: dict[str, str]) -> Generator[LocalStack]:
    with LocalStack(config) as stack:
        yield stack


@pytest.fixture
def session(stack: LocalStack) -> Session:
    """A new user, signed in."""
    return sign_in(stack)


@pytest.fixture(scope="session")
def photo() -> bytes:
    return PHOTO.read_bytes()


def create_user(stack: LocalStack, name: str | None = None) -> tuple[str, str]:
    """Makes a user of the stack's pool. Returns username and password."""
    username, password = f"user{next(_numbers)}@example.com", f"{secrets.token_urlsafe(12)}-aA1"
    cognito = stack.aws.client("cognito-idp")
    pool = stack.exports["userPoolId"]
    attributes = [{"Name": "name", "Value": name}] if name else []
    cognito.admin_create_user(UserPoolId=pool, Username=username, UserAttributes=attributes, MessageAction="SUPPRESS")
    cognito.admin_set_user_password(UserPoolId=pool, Username=username, Password=password, Permanent=True)
    return username, password


def sign_in(stack: LocalStack, client_id: str | None = None, name: str | None = None) -> Session:
    """Makes a user of the stack's pool and signs them in."""
    username, password = create_user(stack, name)
    outputs = {**stack.exports, "cognitoEndpoint": stack.aws_url}
    if client_id:
        outputs["userPoolClientId"] = client_id
    return Session(outputs, username, password)


def wait_until(condition: Callable[[], object], what: str, timeout: float = 20) -> None:
    """Waits for a condition, and fails by its name after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.02)


def change_visibility(stack: LocalStack, seconds: str) -> None:
    """Failed messages come back after so long. A poll under way would still use the old value, so polling restarts."""
    for source in stack.event_source_mappings:
        source.close()
    queue, _ = queue_urls(stack)
    stack.aws.client("sqs").set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": seconds})
    for source in stack.event_source_mappings:
        source.start()


def queue_urls(stack: LocalStack) -> tuple[str, str]:
    """The queue that feeds the function, and its dead-letter queue."""
    queue = next(q for q in stack.graph.of_type("aws:sqs/queue:Queue") if q.inputs.get("redrivePolicy"))
    dead_letter_arn = json.loads(queue.inputs["redrivePolicy"])["deadLetterTargetArn"]
    return queue.outputs["url"], stack.graph.with_output("aws:sqs/queue:Queue", "arn", dead_letter_arn).outputs["url"]


def event_of(key: str) -> str:
    """What S3 sends to the queue when an object is made, as far as it is read."""
    now = datetime.datetime.now(datetime.UTC).isoformat()
    return json.dumps({"Records": [{"eventTime": now, "s3": {"object": {"key": key}}}]})


def send(stack: LocalStack, body: str) -> None:
    stack.aws.client("sqs").send_message(QueueUrl=queue_urls(stack)[0], MessageBody=body)
