"""Each alarm goes off when what it watches is broken, and somebody is told once."""

from __future__ import annotations

import datetime
import io
import json
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
import requests
from moto.sqs.models import sqs_backends
from PIL import Image
from werkzeug.wrappers import Response

from client.session import Session
from local.emulators.moto import ACCOUNT_ID
from local.emulators.sns_webhooks import WebhookReceiver
from local.stack import LocalStack
from tests.local.cloudwatch import METRIC_ALARM, Recorder
from tests.local.conftest import (
    fail_until_dead,
    find_queue_urls,
    hold_events,
    sign_in,
    wait_until,
)

OUTAGE = "avatars-alarms-outage"
SLOW = "avatars-alarms-slow-avatars"


@pytest.fixture
def recorder(stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    for queue in ("queue", "dead-letters", "undelivered"):  # what other tests have left
        purge(stack, queue)
    return Recorder(stack, monkeypatch)


def draw() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "blue").save(buffer, "PNG")
    return buffer.getvalue()


def call_api(stack: LocalStack, session: Session | None, path: str) -> int:
    headers = {"Authorization": f"Bearer {session.access_token}"} if session else {}
    return requests.get(stack.api_url + path, headers=headers, timeout=30).status_code


def count_messages(stack: LocalStack, name: str) -> int:
    """Counts the messages that wait or are being processed."""
    url = stack.graph.named(f"avatars-pipeline-{name}").outputs["url"]
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = stack.aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(attributes[name]) for name in names)


def purge(stack: LocalStack, name: str) -> None:
    """Does what PurgeQueue does, which SQS allows once a minute."""
    backend: Any = sqs_backends[ACCOUNT_ID][stack.aws.region]
    backend.queues[stack.graph.named(f"avatars-pipeline-{name}").outputs["name"]]._messages.clear()


def is_fast(stack: LocalStack, recorder: Recorder) -> bool:
    short = stack.graph.named(f"{SLOW}-5-minutes").inputs["metricQueries"][0]["metric"]
    return all(recorder.figures.read(short["namespace"], short["metricName"], short["dimensions"], 0, 3600))


# What has no figures in a healthy hour: a sweep, and what is counted only if it happens.
UNSEEN = {"avatars-pipeline-failed-sweeps", "avatars-alarms-database-errors"}


def test_healthy_hour_has_the_figures_and_sets_off_nothing(
    stack: LocalStack, session: Session, recorder: Recorder
) -> None:
    session.upload(draw(), "image/png")
    session.upload(draw(), "image/png", finish=False)
    form = session.request_form(b"no picture", "image/png")
    session.post(form, b"no picture")
    wait_until(lambda: session.fetch_status(form["upload_id"])["status"] == "rejected", "it is rejected")
    assert call_api(stack, None, "/avatars/me") == 401
    assert call_api(stack, session, "/profile") == 200
    wait_until(lambda: count_messages(stack, "queue") == 0, "the queue is empty")
    for _ in range(60):
        recorder.end_minute()
        # A machine that is busy may be too slow for a single avatar, which tells nobody.
        assert recorder.find_alarms() <= (set() if is_fast(stack, recorder) else {f"{SLOW}-5-minutes"})
    unseen = {
        alarm.name
        for alarm in stack.graph.of_type(METRIC_ALARM)
        if not any(
            recorder.figures.read(its["namespace"], its["metricName"], its["dimensions"], 0, 3600)
            for its in [query["metric"] for query in alarm.inputs.get("metricQueries", []) if "metric" in query]
            or [alarm.inputs]
        )
    }
    assert unseen == UNSEEN


class TestJoinedAlarms:
    """A fault of these sets off several alarms, and is one message."""

    @pytest.fixture(
        params=["authorizer", "function", "throttle", "database"],
    )
    def fault(self, request: pytest.FixtureRequest, stack: LocalStack) -> tuple[Any, str, set[str]]:
        """What breaks something, the path of a request that notices, and the alarms."""
        return {
            "authorizer": (break_authorizer(stack), "/avatars/me", {"api-errors", "authorizer-errors"}),
            "function": (deny_everything(stack, "current_avatar"), "/avatars/me", {"api-errors"}),
            "throttle": (throttle(stack, "current_avatar"), "/avatars/me", {"api-errors", "throttles"}),
            "database": (move_database(stack), "/profile", {"api-errors", "database-errors"}),
        }[request.param]

    def test_fault_of_three_minutes_is_one_message_until_it_is_repaired(
        self, stack: LocalStack, recorder: Recorder, fault: tuple[AbstractContextManager[None], str, set[str]]
    ) -> None:
        broken, path, alarms = fault
        session = sign_in(stack)  # with a token that is not in the authorizer's cache
        with broken:
            for minute in range(3):
                assert recorder.find_alarms() == set(), f"after {minute} minutes"
                assert call_api(stack, session, path) >= 500
                recorder.end_minute()
            assert recorder.find_alarms() == {f"avatars-alarms-{name}" for name in alarms} | {OUTAGE}
            assert recorder.find_messages() == {OUTAGE}
        for _ in range(3):
            assert call_api(stack, session, path) == (404 if path == "/avatars/me" else 200)
            recorder.end_minute()
        assert recorder.find_alarms() == set()


@contextmanager
def break_authorizer(stack: LocalStack) -> Generator[None]:
    """Its issuer cannot be reached."""
    authorize = stack.functions.find_by_package("authorize")
    environment: Any = authorize.config.environment
    issuer = environment["ISSUER"]
    environment["ISSUER"] = "http://127.0.0.1:1/issuer"
    authorize.stop_sandboxes()
    yield
    environment["ISSUER"] = issuer
    authorize.stop_sandboxes()


@contextmanager
def deny_everything(stack: LocalStack, package: str) -> Generator[None]:
    role = stack.functions.find_by_package(package).role
    statements, role.statements = role.statements, ()
    yield
    role.statements = statements


@contextmanager
def throttle(stack: LocalStack, package: str) -> Generator[None]:
    function = stack.functions.find_by_package(package)
    function.reserved_concurrency = 0
    yield
    function.reserved_concurrency = None


@contextmanager
def move_database(stack: LocalStack) -> Generator[None]:
    """Nobody listens at the address that new sandboxes get."""
    profile = stack.functions.find_by_package("profile")
    ssm, name = stack.aws.client("ssm"), profile.config.environment["DATABASE_URL_PARAMETER"]

    def move(url: str) -> None:
        ssm.put_parameter(Name=name, Type="SecureString", Value=url, Overwrite=True)
        profile.stop_sandboxes()

    move("postgresql://avatars:secret@127.0.0.1:1/avatars?sslmode=disable")
    yield
    move(stack.database.url)


def test_reserved_concurrency_of_the_program_throttles(stack: LocalStack) -> None:
    assert stack.functions.find_by_package("profile").reserved_concurrency == 20
    assert stack.functions.find_by_package("authorize").reserved_concurrency is None


def test_one_late_avatar_is_too_few_and_ten_are_an_outage(
    stack: LocalStack, session: Session, recorder: Recorder
) -> None:
    recorder.end_minute(60)
    deliver_late(stack, session)
    recorder.end_minute()
    assert recorder.find_alarms() == {f"{SLOW}-5-minutes"}
    for _ in range(9):
        deliver_late(stack, session)
    recorder.end_minute()
    slow = {f"{SLOW}-5-minutes", f"{SLOW}-1-hour"}
    assert (recorder.find_alarms(), recorder.find_messages()) == ({*slow, OUTAGE}, {OUTAGE})
    recorder.end_minute(5)
    assert recorder.find_alarms() == {f"{SLOW}-1-hour"}


def deliver_late(stack: LocalStack, session: Session) -> None:
    """Uploads a photo whose event comes ten seconds after it was stored."""
    form = session.request_form(draw(), "image/png")
    key = form["fields"]["key"]
    with hold_events(stack):
        session.post(form, draw())
    stored = stack.aws.client("s3").head_object(Bucket=stack.exports["uploadsBucket"], Key=key)
    at = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=10)
    event = {"key": key, "eTag": stored["ETag"].strip('"'), "sequencer": "1"}
    body = json.dumps(
        {"Records": [{"eventName": "ObjectCreated:Post", "eventTime": at.isoformat(), "s3": {"object": event}}]}
    )
    stack.aws.client("sqs").send_message(QueueUrl=find_queue_urls(stack)[0], MessageBody=body)
    wait_until(lambda: form["upload_id"] in read_ready(stack), f"{key} is an avatar")


def read_ready(stack: LocalStack) -> str:
    log = stack.functions.find_by_package("process_avatar").read_log()
    return "".join(line for line in log.splitlines() if '"avatar.ready"' in line)


def test_upload_that_waits_16_minutes_is_an_outage(
    stack: LocalStack, session: Session, recorder: Recorder, advance_queue_clock: Callable[[float], None]
) -> None:
    with throttle(stack, "process_avatar"):
        form = session.request_form(draw(), "image/png")
        session.post(form, draw())
        recorder.end_minute(15)
        assert recorder.find_alarms() == set()
        recorder.end_minute(2)
        assert (recorder.find_alarms(), recorder.find_messages()) == (
            {"avatars-pipeline-late-uploads", OUTAGE},
            {OUTAGE},
        )
    advance_queue_clock(400)  # longer than the visibility timeout
    wait_until(lambda: session.fetch_status(form["upload_id"])["status"] == "ready", "it is processed")
    wait_until(lambda: count_messages(stack, "queue") == 0, "the queue is empty")
    recorder.end_minute()
    assert recorder.find_alarms() == set()


def test_message_in_dead_letter_queue_is_a_message(
    stack: LocalStack, recorder: Recorder, advance_queue_clock: Callable[[float], None]
) -> None:
    fail_until_dead(stack, "poison", advance_queue_clock)
    wait_until(lambda: count_messages(stack, "dead-letters") == 1, "the message is in the dead-letter queue")
    recorder.end_minute()
    assert recorder.find_alarms() == recorder.find_messages() == {"avatars-pipeline-failed-uploads"}
    purge(stack, "dead-letters")
    recorder.end_minute()
    assert recorder.find_alarms() == set()


def test_event_that_the_webhook_refuses_is_a_message(
    stack: LocalStack, session: Session, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_receiver: object, environ: Any, start_response: Any) -> Any:
        return Response(status=410)(environ, start_response)

    monkeypatch.setattr(WebhookReceiver, "__call__", refuse)
    session.upload(draw(), "image/png")
    wait_until(lambda: count_messages(stack, "undelivered") == 1, "the event is in the dead-letter queue")
    recorder.end_minute()
    assert recorder.find_alarms() == recorder.find_messages() == {"avatars-pipeline-undelivered-events"}
    purge(stack, "undelivered")
    recorder.end_minute()
    assert recorder.find_alarms() == set()


def test_sweep_that_fails_three_times_is_a_message(stack: LocalStack, recorder: Recorder) -> None:
    sweep = stack.functions.find_by_package("sweep_avatars")
    with deny_everything(stack, "sweep_avatars"):
        for _ in range(2):
            assert sweep.invoke({}).error is not None
        recorder.end_minute()
        assert recorder.find_alarms() == set()
        assert sweep.invoke({}).error is not None
        recorder.end_minute()
    assert recorder.find_alarms() == recorder.find_messages() == {"avatars-pipeline-failed-sweeps"}
