"""What fails during a load run, and what does not."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Any

import pytest
import requests
from moto.s3 import notifications

from load import faults
from load.faults import FailingAws, Failures, Killer
from local.emulators.http_server import HttpServer

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

FUNCTION = {"Authorization": "AWS4-HMAC-SHA256 Credential=ASIAFUNCTION/20261127/eu-west-1/s3/aws4_request"}
OPERATOR = {"Authorization": "AWS4-HMAC-SHA256 Credential=AKIAOPERATOR/20261127/eu-west-1/s3/aws4_request"}


class Aws:
    """Counts the requests that have an effect."""

    def __init__(self) -> None:
        self.effects = 0
        self.failures = Failures(1)
        self.server = HttpServer("AWS")
        self.server.serve(FailingAws(self._handle, frozenset({"ASIAFUNCTION"}), self.failures))

    def _handle(self, _environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        self.effects += 1
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    def request(self, headers: dict[str, str]) -> int | None:
        """Returns the status, None without a response."""
        try:
            return requests.put(self.server.url, headers=headers, data=b"x", timeout=5).status_code
        except requests.ConnectionError:
            return None


@pytest.fixture
def aws() -> Generator[Aws]:
    aws = Aws()
    yield aws
    aws.server.close()


@pytest.mark.parametrize(
    ("kind", "status", "effects"),
    [
        ("500 without effect", 500, 0),
        ("500 after the effect", 500, 1),
        ("no response without effect", None, 0),
        ("no response after the effect", None, 1),
    ],
)
def test_request_of_function_fails(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, kind: str, status: int | None, effects: int
) -> None:
    def choose(kinds: tuple[str, ...]) -> str:
        return kinds[kinds.index(kind)]

    monkeypatch.setattr(faults.random, "choice", choose)
    assert (aws.request(FUNCTION), aws.effects) == (status, effects)
    assert aws.failures.failed == {kind: 1}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        OPERATOR,
        FUNCTION | {"X-Amz-Target": "AmazonSQS.ReceiveMessage"},
        FUNCTION | {"X-Amz-Target": "AmazonSQS.DeleteMessageBatch"},
    ],
    ids=["user", "operator", "poller receives", "poller deletes"],
)
def test_request_of_others_does_not_fail(aws: Aws, headers: dict[str, str]) -> None:
    assert (aws.request(headers), aws.effects, aws.failures.requests) == (200, 1, 0)


def test_requests_do_not_fail_when_failures_are_over(aws: Aws) -> None:
    aws.failures.is_active = False
    assert (aws.request(FUNCTION), aws.failures.requests) == (200, 1)


def test_repeated_request_is_a_retry(aws: Aws) -> None:
    aws.failures.is_active = False
    for attempt in (1, 2, 3):
        aws.request(FUNCTION | {"Amz-Sdk-Request": f"attempt={attempt}; max=3"})
    assert (aws.failures.requests, aws.failures.retries) == (3, 2)


@pytest.mark.parametrize(("number", "kind", "count"), [(0.1, "twice", 2), (0.9, "late", 1)])
def test_s3_event_is_sent_late_or_twice(monkeypatch: pytest.MonkeyPatch, number: float, kind: str, count: int) -> None:
    sent: list[tuple[Any, ...]] = []

    def send(*arguments: Any) -> None:
        sent.append(arguments)

    monkeypatch.setattr(notifications, "_send_sqs_message", send)
    monkeypatch.setattr(faults, "_EVENT_RETRY_SECONDS", 0.05)
    monkeypatch.setattr(faults.random, "random", lambda: number)
    failures = Failures(1)
    with failures.let_s3_events_fail():
        notifications._send_sqs_message("account", {}, "queue", "region")  # pyright: ignore[reportPrivateUsage]
        assert len(sent) == count - 1
    assert sent == [("account", {}, "queue", "region")] * count
    assert failures.events == {kind: 1}
    assert notifications._send_sqs_message is send  # pyright: ignore[reportPrivateUsage]


class Function:
    """Has an invocation to kill at the second look, and then at every look that `is_busy`."""

    def __init__(self, is_busy: bool) -> None:
        self._is_busy = is_busy
        self.looks = 0
        self.looked_often = threading.Event()

    def kill_sandbox(self) -> bool:
        self.looks += 1
        if self.looks > 5:
            self.looked_often.set()
        return self.looks == 2 or (self.looks > 2 and self._is_busy)


@pytest.mark.parametrize(("is_busy", "kills"), [(True, range(4, 1000)), (False, range(1, 2))])
def test_killer_kills_the_first_invocation_and_then_at_intervals(is_busy: bool, kills: range) -> None:
    function = Function(is_busy)
    with Killer(function, 0.01) as killer:  # pyright: ignore[reportArgumentType]
        assert function.looked_often.wait(10)
    assert killer.kills in kills


def test_killer_without_interval_kills_nothing() -> None:
    function = Function(is_busy=True)
    with Killer(function, 0) as killer:  # pyright: ignore[reportArgumentType]
        pass
    assert (killer.kills, function.looks) == (0, 0)
