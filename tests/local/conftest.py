"""A running stack that all tests here share, and helpers to use it."""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import json
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from moto.core.utils import unix_time_millis
from moto.sqs import models as sqs_models
from psycopg import sql

from client.session import Session
from local.emulators.lambda_functions import SourceFunction
from local.recording.graph import Resource
from local.stack import ROOT, LocalStack, read_config
from operations.operated_stack import OperatedStack
from tests.functions.servers import HttpStub

FIXTURES = Path(__file__).parent.parent / "fixtures"
PHOTO = Path(__file__).parent.parent.parent / "local" / "photo.jpg"
_numbers = itertools.count()
ALARMS = {"avatars:alarmEmail": "on-call@example.com", "avatars:reservedConcurrency": '{"profile": 20}'}


@pytest.fixture(scope="session")
def config() -> dict[str, str]:
    """That of a development stack, but attacks make more requests than its throttle allows."""
    return {**read_config("dev")[0], "avatars:throttleRate": "10000", "avatars:throttleBurst": "5000", **ALARMS}


def shorten_erasure(resource: Resource) -> Resource:
    """Lets erase_user not wait for deliveries that are under way: the tests erase when there are none."""
    if resource.name != "avatars-pipeline-erase-user":
        return resource
    variables = {**resource.inputs["environment"]["variables"], "PROCESSING_SECONDS": "0"}
    return dataclasses.replace(resource, inputs={**resource.inputs, "environment": {"variables": variables}})


@pytest.fixture(scope="package")
def stack(config: dict[str, str]) -> Generator[LocalStack]:
    """Stopped before tests elsewhere run: its threads would see what those replace, for example in `socket`."""
    with LocalStack(config, mutate_resource=shorten_erasure) as stack:
        yield stack


@pytest.fixture(scope="package")
def rekognition() -> Generator[HttpStub]:
    with HttpStub() as stub:
        yield stub


@pytest.fixture(scope="package")
def openid_stack(config: dict[str, str], rekognition: HttpStub) -> Generator[LocalStack]:
    """A stack with what `stack` has not: an OpenID provider in Cognito's place, and a moderation function."""
    credentials = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}
    environment = {"AWS_ENDPOINT_URL_REKOGNITION": rekognition.url, **credentials}
    moderation = SourceFunction(ROOT / "examples" / "moderation", environment)
    with LocalStack(config, mutate_resource=shorten_erasure, moderation=moderation, openid=True) as stack:
        yield stack


@pytest.fixture
def session(stack: LocalStack) -> Session:
    """The session of a new user."""
    return sign_in(stack)


@pytest.fixture
def advance_queue_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the clock that ends visibility timeouts by some seconds."""
    offset_ms = 0.0
    now_ms = unix_time_millis

    def advance(seconds: float) -> None:
        nonlocal offset_ms
        offset_ms += seconds * 1000

    def wait_for_messages(_queue: Any, timeout: float) -> None:
        time.sleep(0.02)

    monkeypatch.setattr(sqs_models, "unix_time_millis", lambda: now_ms() + offset_ms)
    # A long poll of moto would notice only after a second that a message has become visible.
    monkeypatch.setattr(sqs_models.Queue, "wait_for_messages", wait_for_messages)
    return advance


@pytest.fixture
def outputs_file(stack: LocalStack, tmp_path: Path) -> str:
    """The path of the file with what the stack's operator needs."""
    file = tmp_path / "outputs.json"
    file.write_text(json.dumps(dict(operate(stack).outputs)))
    return str(file)


@pytest.fixture(scope="session")
def photo() -> bytes:
    return PHOTO.read_bytes()


def create_user(stack: LocalStack, name: str | None = None) -> tuple[str, str]:
    """Creates a user. Returns username and password."""
    username = f"user{next(_numbers)}@example.com"
    return username, stack.create_user(username, name)


def sign_in(stack: LocalStack, client_id: str | None = None, name: str | None = None) -> Session:
    """Creates a user and signs in."""
    username, password = create_user(stack, name)
    if stack.openid:
        return Session(stack.exports, stack.openid.sign_in(username, password)["access_token"])
    outputs = {**stack.exports, "cognitoEndpoint": stack.aws_url}
    if client_id:
        outputs["userPoolClientId"] = client_id
    return Session.sign_in(outputs, username, password)


def operate(stack: LocalStack) -> OperatedStack:
    """Returns the stack with its operator's credentials, as a local run writes them."""
    operator = {name.lower(): value for name, value in stack.aws.principals.operator.to_environment().items()}
    endpoint = {"endpoint_url": stack.aws_url, "region_name": stack.aws.region}
    return OperatedStack({**stack.exports, "operator": {**operator, **endpoint}})


def wait_until(condition: Callable[[], object], description: str, timeout: float = 20) -> None:
    """Waits for a condition. Fails with its description after `timeout` seconds.

    Most conditions are requests, which take CPU time, so the pauses between them become longer.
    """
    deadline = time.monotonic() + timeout
    pause = 0.02
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout} s: {description}"
        time.sleep(pause)
        pause = min(pause * 1.3, 0.15)


def find_queue_urls(stack: LocalStack) -> tuple[str, str]:
    """Returns the URLs of the queue that invokes the function and of its dead-letter queue."""
    queue = next(q for q in stack.graph.of_type("aws:sqs/queue:Queue") if q.inputs.get("redrivePolicy"))
    dead_letter_arn = json.loads(queue.inputs["redrivePolicy"])["deadLetterTargetArn"]
    return queue.outputs["url"], stack.graph.with_output("aws:sqs/queue:Queue", "arn", dead_letter_arn).outputs["url"]


def build_s3_event(key: str) -> str:
    """Builds the part of an S3 event notification that the function reads."""
    now = datetime.datetime.now(datetime.UTC).isoformat()
    stored = {"key": key, "eTag": "0" * 32, "sequencer": now}
    return json.dumps({"Records": [{"eventName": "ObjectCreated:Post", "eventTime": now, "s3": {"object": stored}}]})


def send_message(stack: LocalStack, body: str) -> str:
    """Sends a message to the queue that invokes the function. Returns the message ID."""
    return stack.aws.client("sqs").send_message(QueueUrl=find_queue_urls(stack)[0], MessageBody=body)["MessageId"]


@contextmanager
def hold_events(stack: LocalStack) -> Generator[None]:
    """Keeps events of S3 back, so that process_avatar does not write the record of a deletion first."""
    s3, bucket = stack.aws.client("s3"), stack.exports["uploadsBucket"]
    configuration = s3.get_bucket_notification_configuration(Bucket=bucket)
    del configuration["ResponseMetadata"]
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    try:
        yield
    finally:
        s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)


def fail_until_dead(stack: LocalStack, body: str, advance_queue_clock: Callable[[float], None]) -> tuple[str, int]:
    """Sends a message that fails until it is moved. Returns its ID, and how often it was delivered."""
    queue, _ = find_queue_urls(stack)
    attributes = stack.aws.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["RedrivePolicy"])
    max_receives = int(json.loads(attributes["Attributes"]["RedrivePolicy"])["maxReceiveCount"])
    message_id = send_message(stack, body)
    for receives in range(1, max_receives + 1):
        wait_until(partial(has_failures, stack, message_id, receives), f"the message has failed {receives} times")
        advance_queue_clock(400)  # longer than the longest pause before a retry
    return message_id, max_receives


def has_failures(stack: LocalStack, message_id: str, count: int) -> bool:
    log = stack.functions.find_by_package("process_avatar").read_log()
    retries = [line for line in log.splitlines() if message_id in line and "message is retried" in line]
    return len(retries) == count


@contextmanager
def another_password(stack: LocalStack) -> Generator[str]:
    """Changes the database's password, and ends the connections of the functions. Yields the URL with the new one."""
    old = urlsplit(stack.database.url).password
    assert old
    _set_password(stack, new := "another")
    try:
        yield stack.database.url.replace(old, new)
    finally:
        _set_password(stack, old)


def _set_password(stack: LocalStack, password: str) -> None:
    with psycopg.connect(stack.database.administrator_url, autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER ROLE avatars PASSWORD {}").format(sql.Literal(password)))
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'avatars'")
