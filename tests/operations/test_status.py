"""What `make status` says of a stack, and of one upload."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from moto.s3.models import s3_backends

from functions.shared import storage_keys, upload_id
from local.emulators.moto import ACCOUNT_ID
from operations import status
from operations.__main__ import main
from operations.operated_stack import OperatedStack
from operations.status import describe_stack, describe_upload
from tests.local.conftest import build_s3_event

SUBJECT = "5f0c2a4e-8a43-4a5e-9a3b-0d6a0c1e7b11"
NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)


def put(stack: OperatedStack, key: str, age: timedelta, content: object = "", bucket: str = "uploadsBucket") -> None:
    """Stores an object of that age."""
    name = stack.get_output(bucket)
    body = content if isinstance(content, str) else json.dumps(content)
    stack.s3.put_object(Bucket=name, Key=key, Body=body, ContentType="image/jpeg")
    stored = s3_backends[ACCOUNT_ID]["global"].buckets[name].keys[key]
    stored.last_modified = (NOW - age).replace(tzinfo=None)


def send(stack: OperatedStack, queue: str, body: str) -> None:
    stack.sqs.send_message(QueueUrl=stack.get_output(queue), MessageBody=body)


def create_upload() -> str:
    return upload_id.create(SUBJECT, int(time.time() * 1000))


def describe(stack: OperatedStack) -> str:
    return "\n".join(describe_stack(stack, NOW))


def test_stack_without_work_says_so_with_its_functions(operated: OperatedStack) -> None:
    assert describe(operated).splitlines() == [
        "waiting      nothing",
        "  queue: 0 wait, 0 in process or before a retry",
        "failed       nothing",
        "lost         nothing",
        "undelivered  nothing",
        "held         nothing",
        "rejected     0 in the last hour, 0 since originals are kept",
        "functions    code, last modified",
        "  process_avatar   dHks8MyoTdP7  2026-11-28T06:30:00.000+0000",
        "  upload_status    dHks8MyoTdP7  2026-11-28T06:30:00.000+0000",
    ]


def test_late_originals_are_lost_only_if_the_queue_is_empty(operated: OperatedStack) -> None:
    late, new, failed, held = (create_upload() for _ in range(4))
    for upload, age in ((late, 2 * HOUR), (new, HOUR / 60), (failed, HOUR), (held, HOUR)):
        put(operated, storage_keys.incoming_key(SUBJECT, upload), age)
    put(operated, storage_keys.held_key(SUBJECT, held), HOUR)
    put(operated, storage_keys.deletion_key(SUBJECT, new), HOUR)
    send(operated, "deadLetterQueueUrl", build_s3_event(storage_keys.incoming_key(SUBJECT, failed)))
    printed = describe(operated)
    assert f"waiting      1, since {NOW - HOUR / 60:%Y-%m-%d %H:%M:%S} UTC (60 s)\n  queue" in printed
    assert f"lost         2, since {NOW - 2 * HOUR:%Y-%m-%d %H:%M:%S} UTC (2 h) -> make reprocess\n" in printed
    assert f"\n  SUBJECT={SUBJECT} UPLOAD={late} since {NOW - 2 * HOUR:%Y-%m-%d %H:%M:%S} UTC\n" in printed
    assert f"\n  deletion of SUBJECT={SUBJECT} since " in printed
    assert f"held         1, since {NOW - HOUR:%Y-%m-%d %H:%M:%S} UTC (60 min) -> make held\n" in printed

    send(operated, "queueUrl", build_s3_event(storage_keys.incoming_key(SUBJECT, late)))
    printed = describe(operated)
    assert f"waiting      3, since {NOW - 2 * HOUR:%Y-%m-%d %H:%M:%S} UTC (2 h)\n  2 for more than 15 min\n" in printed
    assert "  queue: 1 wait, 0 in process or before a retry\n" in printed
    assert "lost         nothing\n" in printed


def test_more_failures_than_are_read_are_counted_and_none_is_lost(
    operated: OperatedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "_READ", 20)
    put(operated, storage_keys.incoming_key(SUBJECT, create_upload()), HOUR)
    for number in range(25):
        send(operated, "deadLetterQueueUrl", build_s3_event(f"incoming/{SUBJECT}/01A{number}"))
    printed = describe(operated)
    assert "failed       25, since " in printed
    assert printed.count(f"  SUBJECT={SUBJECT} UPLOAD=01A") == 10
    assert "\n  and 10 more\n" in printed
    assert "lost         nothing\n" in printed


def test_last_rejections_come_with_their_reasons(operated: OperatedStack) -> None:
    for number in range(7):
        upload = f"01A{number}"
        record = {"reason": f"reason_{number}", "upload_id": upload, "at": "2026-11-28T07:00:00.000Z"}
        put(operated, storage_keys.rejection_key(SUBJECT, upload), HOUR / 3 * number, record)
    lines = describe(operated).splitlines()
    first = lines.index("rejected     3 in the last hour, 7 since originals are kept")
    assert lines[first + 1] == f"  reason_0 SUBJECT={SUBJECT} UPLOAD=01A0 at 2026-11-28T07:00:00.000Z"
    assert [line.split()[0] for line in lines[first + 1 : first + 7]] == [
        *(f"reason_{number}" for number in range(5)),
        "functions",
    ]


def test_upload_that_failed_is_in_the_dead_letter_queue(operated: OperatedStack) -> None:
    upload = create_upload()
    put(operated, storage_keys.incoming_key(SUBJECT, upload), HOUR, "x" * 1234)
    send(operated, "deadLetterQueueUrl", build_s3_event(storage_keys.incoming_key(SUBJECT, upload)))
    assert list(describe_upload(operated, SUBJECT, upload)) == [
        f"original     1,234 bytes, image/jpeg, since {NOW - HOUR:%Y-%m-%d %H:%M:%S} UTC",
        "message      in the dead-letter queue: it has failed -> make logs UPLOAD=, make redrive",
        "avatar       none",
    ]


def test_upload_that_is_held_or_rejected_has_its_reason(operated: OperatedStack) -> None:
    upload, at = create_upload(), "2026-11-28T07:00:00.000Z"
    put(operated, storage_keys.incoming_key(SUBJECT, upload), HOUR)
    put(operated, storage_keys.held_key(SUBJECT, upload), HOUR, {"reason": "Violence", "at": at})
    assert list(describe_upload(operated, SUBJECT, upload))[1] == f"held         since {at}: Violence -> make held"
    other = create_upload()
    rejection = {"reason": "not_allowed", "moderation_reason": "no", "at": at}
    put(operated, storage_keys.rejection_key(SUBJECT, other), HOUR, rejection)
    assert list(describe_upload(operated, SUBJECT, other))[:2] == [
        "original     none: it was never posted, or is processed, or has expired",
        f"rejected     not_allowed: no at {at}",
    ]


@pytest.mark.parametrize(
    ("is_newer", "deletion", "expected"),
    [
        (True, {}, "of {current}, a newer upload, which supersedes this one"),
        (False, {}, "of {current}, an older upload"),
        (True, {"deleted_at": "2026-11-28T07:00:00.000Z"}, "deleted at 2026-11-28T07:00:00.000Z, after this upload"),
    ],
)
def test_avatar_of_another_upload_is_named(
    operated: OperatedStack, is_newer: bool, deletion: dict[str, str], expected: str
) -> None:
    upload = create_upload()
    current = "7" * 26 if is_newer else "0" * 26
    put(operated, storage_keys.manifest_key(SUBJECT), HOUR, {"upload_id": current, **deletion}, "assetsBucket")
    assert list(describe_upload(operated, SUBJECT, upload))[-1] == f"avatar       {expected.format(current=current)}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--subject", SUBJECT], "the status of one upload needs both SUBJECT and UPLOAD"),
        (["--subject", SUBJECT, "--upload", "01A"], f"01A is not the ID of an upload of {SUBJECT}"),
    ],
)
def test_incomplete_or_foreign_upload_is_an_error(
    outputs_file: str, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--outputs", outputs_file, "status", *arguments]) == 1
    assert capsys.readouterr().err == f"error: {message}\n"
