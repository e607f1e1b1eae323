"""A load run: uploads and faults at once, until the queue is empty."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from load.checks import Evidence, count_messages
from load.faults import FailingAws, Failures, Killer
from load.observer import Observer
from load.reader import Reader
from load.users import create_users, post_uploads
from local.recording.recorder import PROJECT
from local.stack import LocalStack, read_config

# The longest pause before a message is delivered again is 384 seconds (functions/process_avatar/handler.py).
_PATIENCE_SECONDS = 400
_PROGRESS_SECONDS = 10
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Settings:
    users: int
    uploads: int
    kill_seconds: float
    """The time between two kills of a worker; 0 is none."""
    fail_one_in: int
    """One in so many requests of the functions, and of the events of S3, fails; 0 is none."""


@dataclass(frozen=True)
class Result:
    evidence: Evidence
    failures: Failures
    kills: int
    post_seconds: float
    """Until S3 had accepted all uploads."""
    seconds: float
    """Until all were processed."""


def create_config() -> dict[str, str]:
    """Returns the configuration of stack `dev`, without a quota and without a noticeable throttle."""
    unlimited = {"uploadsPerHour": "0", "throttleRate": "10000", "throttleBurst": "5000"}
    return {**read_config("dev")[0], **{f"{PROJECT}:{key}": value for key, value in unlimited.items()}}


def run(stack: LocalStack, settings: Settings, print_line: Callable[[str], None] = print) -> Result:
    """Uploads and lets things fail until every upload has been processed, or nothing happens any more.

    Raises:
        ClientError: The API or S3 rejects an upload.
    """
    validator, exports = stack.aws.request_validator, stack.exports
    observer = Observer(validator.aws, exports["uploadsBucket"], exports["assetsBucket"])
    failures = Failures(settings.fail_one_in)
    access_keys = frozenset(function.role.access_key_id for function in stack.functions.by_arn.values())
    validator.aws = FailingAws(observer, access_keys, failures)
    users = create_users(stack, settings.users)
    reader = Reader(stack, users)
    killer = Killer(stack.functions.find_by_package("process_avatar"), settings.kill_seconds)

    # An observed long poll that ends without a message has outlasted those from before, which are not observed.
    observer.wait_until(lambda: observer.empty_receives > 0, _PATIENCE_SECONDS)
    _await_empty_queue(stack)  # of S3's test event, which would be in the first invocation
    started = time.monotonic()
    with reader, killer:
        with failures.let_s3_events_fail():
            post_uploads(users, settings.uploads)
        post_seconds = time.monotonic() - started
        print_line(f"{settings.uploads} uploads posted in {post_seconds:.0f} s, {len(observer.processed_at)} processed")
        _await_processing(observer, settings.uploads, print_line)
        _await_empty_queue(stack)
    failures.is_active = False
    seconds = max(observer.processed_at.values(), default=started) - started
    return Result(Evidence(stack, users, observer, reader), failures, killer.kills, post_seconds, seconds)


def _await_processing(observer: Observer, uploads: int, print_line: Callable[[str], None]) -> None:
    next_line = time.monotonic() + _PROGRESS_SECONDS

    def is_done() -> bool:
        nonlocal next_line
        processed = len(observer.processed_at)
        if time.monotonic() > next_line:
            print_line(f"{processed} processed")
            next_line += _PROGRESS_SECONDS
        return processed >= uploads

    observer.wait_until(is_done, _PATIENCE_SECONDS)


def _await_empty_queue(stack: LocalStack) -> None:
    """Waits for messages that are left: of a killed worker, they are invisible."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while count_messages(stack, stack.exports["queueUrl"]) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
