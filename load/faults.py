"""What fails during a load run: requests of the functions, events of S3, and workers."""

from __future__ import annotations

import contextlib
import random
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Any

from moto.s3 import notifications
from werkzeug.test import run_wsgi_app

from load.background import Background
from load.observer import RECEIVE_MESSAGE
from local.emulators.lambda_functions import LambdaFunction

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# Lambda polls queues with the role of the function.
_POLLER = (RECEIVE_MESSAGE, "AmazonSQS.DeleteMessageBatch")
_EVENT_RETRY_SECONDS = 1
_POLL_SECONDS = 0.002
_BETWEEN_INVOCATIONS_SECONDS = 0.2
_KINDS = tuple(
    f"{answer} {effect}" for answer in ("500", "no response") for effect in ("without effect", "after the effect")
)


class Failures:
    """Decides which requests fail: one in `one_in`, none if that is 0. Counts them."""

    def __init__(self, one_in: int) -> None:
        self._one_in = one_in
        self._lock = threading.Lock()
        self.is_active = True
        self.requests = 0
        """Requests of functions."""
        self.retries = 0
        """Requests that botocore repeated."""
        self.failed: Counter[str] = Counter()
        """Requests that failed, by kind."""
        self.events: Counter[str] = Counter()
        """Events of S3 that were sent late or twice."""

    def choose(self) -> bool:
        return self.is_active and self._one_in > 0 and random.randrange(self._one_in) == 0

    def choose_kind(self, attempt: int) -> str | None:
        """Counts a request of a function. Returns how it fails, if it does."""
        kind = random.choice(_KINDS) if self.choose() else None
        with self._lock:
            self.requests += 1
            self.retries += attempt > 1
            if kind:
                self.failed[kind] += 1
        return kind

    @contextlib.contextmanager
    def let_s3_events_fail(self) -> Generator[None]:
        """S3 repeats an event that it could not send, or whose answer was lost: it arrives late, or twice.

        Exiting waits until all events are sent.
        https://docs.aws.amazon.com/AmazonS3/latest/userguide/NotificationHowTo.html
        """
        original = notifications._send_sqs_message  # pyright: ignore[reportPrivateUsage]
        retries: list[threading.Timer] = []

        def send(*arguments: Any) -> None:
            if not self.choose():
                original(*arguments)
                return
            is_sent = random.random() < 0.5
            with self._lock:
                self.events["twice" if is_sent else "late"] += 1
            if is_sent:
                original(*arguments)
            retry = threading.Timer(_EVENT_RETRY_SECONDS, original, arguments)
            retries.append(retry)
            retry.start()

        notifications._send_sqs_message = send  # pyright: ignore[reportPrivateUsage]
        try:
            yield
        finally:
            notifications._send_sqs_message = original  # pyright: ignore[reportPrivateUsage]
            for retry in retries:
                retry.join()


class FailingAws:
    """A WSGI application that forwards requests to `aws`, of which some fail if a function sends them."""

    def __init__(self, aws: WSGIApplication, access_keys: frozenset[str], failures: Failures) -> None:
        """`access_keys` are those of the functions."""
        self._aws = aws
        self._access_keys = access_keys
        self._failures = failures

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        kind = self._failures.choose_kind(_read_attempt(environ)) if self._is_of_function(environ) else None
        if kind is None:
            return self._aws(environ, start_response)
        if kind.endswith("after the effect"):
            run_wsgi_app(self._aws, environ, buffered=True)
        if kind.startswith("no response"):
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionAbortedError
        start_response("500 Internal Server Error", [("Content-Length", "0")])
        return []

    def _is_of_function(self, environ: WSGIEnvironment) -> bool:
        key = re.search(r"Credential=(\w+)/", environ.get("HTTP_AUTHORIZATION", ""))
        is_poller = environ.get("HTTP_X_AMZ_TARGET") in _POLLER
        return key is not None and key[1] in self._access_keys and not is_poller


def _read_attempt(environ: WSGIEnvironment) -> int:
    """https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html"""
    attempt = re.search(r"attempt=(\d+)", environ.get("HTTP_AMZ_SDK_REQUEST", ""))
    return int(attempt[1]) if attempt else 1


class Killer(Background):
    """Kills a worker of a function in its first invocation and then every `seconds`, or none if that is 0.

    When no worker has an invocation, none is killed: a killer that waited for the next invocation would kill every
    delivery of a late message.
    """

    def __init__(self, function: LambdaFunction, seconds: float) -> None:
        super().__init__()
        self._function = function
        self._seconds = seconds
        self.kills = 0

    def _run(self) -> None:
        if not self._seconds:
            return
        while not self._kill(_POLL_SECONDS):
            if self._stopped.is_set():
                return
        while not self._stopped.wait(self._seconds):
            self._kill(_BETWEEN_INVOCATIONS_SECONDS)

    def _kill(self, patience: float) -> bool:
        deadline = time.monotonic() + patience
        while not self._function.kill_sandbox():
            if time.monotonic() > deadline or self._stopped.wait(_POLL_SECONDS):
                return False
        self.kills += 1
        return True
