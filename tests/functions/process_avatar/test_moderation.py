"""Moderated uploads: the moderation function is a server that answers as Lambda does."""

import base64
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from functions.process_avatar import moderation
from functions.shared import storage_keys, stored_avatar, upload_id
from functions.shared.moderation_decision import Decision, hash_file, read_decision
from tests.fixtures import pictures
from tests.functions.process_avatar.conftest import BLUE, GREEN, RED, SUBJECT, Stack, jpeg_of
from tests.functions.process_avatar.upload_events import message, s3_event
from tests.functions.servers import HttpStub

ARN = "arn:aws:lambda:eu-central-1:210987654321:function:moderate:live"
APPROVE = Decision("approve")
REJECT = Decision("reject", "Geschmacklos: ungültig")


@pytest.fixture
def team() -> Iterator[HttpStub]:
    """Lambda with the moderation function."""
    with HttpStub() as stub:
        answer(stub, "approve")
        yield stub


@pytest.fixture
def moderation_environment(team: HttpStub) -> dict[str, str]:
    return {"MODERATION_FUNCTION_ARN": ARN, "AWS_ENDPOINT_URL_LAMBDA": team.url}


def answer(team: HttpStub, decision: str, reason: object = None) -> None:
    team.body = json.dumps({"decision": decision, **({} if reason is None else {"reason": reason})}).encode()


def hold(stack: Stack, team: HttpStub, minute: int = 1, reason: str | None = "suggestive") -> str:
    """Upload an image that is held; gives its upload ID. Subscribers were told."""
    answer(team, "hold", reason)
    held = stack.upload(minute, jpeg_of(RED))
    assert stack.deliver(held) == []
    assert stack.heard_events() == [("avatar.held", held)]
    return held


def decide(stack: Stack, held: str, decision: Decision, data: bytes | None = None) -> None:
    """Copy the original onto itself, as operators do; or another file, with the decision about the original."""
    stack.replace(held, data or jpeg_of(RED), **decision.to_metadata(hash_file(jpeg_of(RED))))


def record_of(stack: Stack, held: str) -> dict[str, Any]:
    return json.load(stack.get(stack.uploads, storage_keys.held_key(SUBJECT, held))["Body"])


def rejection_of(stack: Stack, rejected: str) -> dict[str, Any]:
    return json.load(stack.get(stack.uploads, storage_keys.rejection_key(SUBJECT, rejected))["Body"])


# --- The question and its answers -------------------------------------------------------------------------------------


def test_function_is_asked_with_the_512_pixel_jpeg(stack: Stack, team: HttpStub) -> None:
    new = stack.upload(1, pictures.encode(pictures.plain(600, 700, RED), "PNG"))
    assert stack.deliver(new) == []
    ((headers, body),) = team.requests
    request = json.loads(body)
    image = pictures.decode(base64.b64decode(request.pop("image")))
    assert (image.format, image.size) == ("JPEG", (512, 512))
    assert request == {"subject": SUBJECT, "upload_id": new, "content_type": "image/jpeg"}
    assert team.paths == [f"/2015-03-31/functions/{ARN.replace(':', '%3A')}/invocations"]
    assert "/eu-central-1/lambda/aws4_request" in headers["authorization"]


def test_approved_upload_is_published(stack: Stack, team: HttpStub) -> None:
    new = stack.upload(1, jpeg_of(RED))
    assert stack.deliver(new) == []
    assert stack.manifest()["upload_id"] == new
    assert stack.heard_events() == [("avatar.ready", new)]
    assert stack.keys(stack.uploads) == []


def test_rejected_upload_is_not_allowed_with_reason_for_the_team(
    stack: Stack, team: HttpStub, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    answer(team, "reject", "Weapons")
    new = stack.upload(1, jpeg_of(RED))
    assert stack.deliver(new) == []
    assert stack.keys(stack.assets) == []
    assert stack.keys(stack.uploads) == [storage_keys.rejection_key(SUBJECT, new)]
    record = rejection_of(stack, new)
    assert (record["reason"], record["moderation_reason"]) == ("not_allowed", "Weapons")
    assert stack.heard() == [
        {
            "event": "avatar.rejected",
            "subject": SUBJECT,
            "upload_id": new,
            "at": record["at"],
            "reason": "not_allowed",
            "moderation_reason": "Weapons",
        }
    ]
    (logged,) = [vars(each) for each in caplog.records if each.message == "avatar.rejected"]
    assert logged["moderation_reason"] == "Weapons"


def test_rejection_without_reason_has_no_moderation_reason(stack: Stack, team: HttpStub) -> None:
    answer(team, "reject")
    stack.deliver(stack.upload(1, jpeg_of(RED)))
    (heard,) = stack.heard()
    assert (heard["reason"], "moderation_reason" in heard) == ("not_allowed", False)


def test_file_that_is_not_an_image_is_rejected_without_asking(stack: Stack, team: HttpStub) -> None:
    stack.deliver(stack.upload(1, b"no picture"))
    (heard,) = stack.heard()
    assert (heard["reason"], team.requests) == ("not_an_image", [])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"approve",
        b'"approve"',
        b"null",
        b'["approve"]',
        b"{}",
        b'{"decision": "Approve"}',
        b'{"decision": ["approve"]}',
        b'{"decision": true}',
        b'{"decision": "approve", "reason": 1}',
        json.dumps({"decision": "reject", "reason": "x" * 201}).encode(),
    ],
)
def test_invalid_answer_is_a_failure_and_nothing_is_published(stack: Stack, team: HttpStub, body: bytes) -> None:
    team.body = body
    new = stack.upload(1, jpeg_of(RED))
    assert stack.deliver(new) == [new]
    assert_nothing_happened(stack, new)


def test_reason_of_200_characters_or_null_is_valid(stack: Stack, team: HttpStub) -> None:
    answer(team, "reject", "x" * 200)
    stack.deliver(stack.upload(1, jpeg_of(RED)))
    team.body = b'{"decision": "reject", "reason": null}'
    stack.deliver(stack.upload(2, jpeg_of(RED)))
    assert [heard.get("moderation_reason") for heard in stack.heard()] == ["x" * 200, None]


def test_function_error_is_a_failure_and_nothing_is_published(
    stack: Stack, team: HttpStub, caplog: pytest.LogCaptureFixture
) -> None:
    team.headers["X-Amz-Function-Error"] = "Unhandled"
    team.body = b'{"errorType": "KeyError", "decision": "approve"}'
    new = stack.upload(1, jpeg_of(RED))
    assert stack.deliver(new) == [new]
    assert "the moderation function failed" in caplog.text
    assert_nothing_happened(stack, new)


@pytest.mark.parametrize("status", [403, 404, 429, 500])
def test_error_of_lambda_is_a_failure_after_one_attempt(stack: Stack, team: HttpStub, status: int) -> None:
    team.status = status
    new = stack.upload(1, jpeg_of(RED))
    assert stack.deliver(new) == [new]
    assert len(team.requests) == 1
    assert_nothing_happened(stack, new)


def test_no_answer_in_time_is_a_failure_after_one_attempt(
    stack: Stack, team: HttpStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def time_out(**_: object) -> None:
        raise ReadTimeoutError(endpoint_url=team.url)

    client = stack.handler.MODERATION.lambda_client
    assert client.meta.config.retries == {"mode": "standard", "total_max_attempts": 1}
    assert client.meta.config.read_timeout == moderation.READ_TIMEOUT_SECONDS
    monkeypatch.setattr(client, "invoke", time_out)
    new = stack.upload(1, jpeg_of(RED))
    assert stack.deliver(new) == [new]
    assert_nothing_happened(stack, new)


def test_failed_moderation_is_asked_again_by_redelivery(stack: Stack, team: HttpStub) -> None:
    team.status = 500
    new = stack.upload(1, jpeg_of(RED))
    assert stack.deliver(new) == [new]
    team.status = 200
    assert stack.deliver(new, receive_count=2) == []
    assert stack.heard_events() == [("avatar.ready", new)]


def assert_nothing_happened(stack: Stack, new: str) -> None:
    assert stack.keys(stack.assets) == []
    assert stack.keys(stack.uploads) == [storage_keys.incoming_key(SUBJECT, new)]
    assert stack.heard() == []


# --- Held uploads -----------------------------------------------------------------------------------------------------


def test_held_upload_keeps_original_and_old_avatar(stack: Stack, team: HttpStub) -> None:
    old = stack.upload(1, jpeg_of(BLUE))
    stack.deliver(old)
    stack.heard()
    answer(team, "hold", "Suggestive")
    new = stack.upload(2, jpeg_of(RED))
    assert stack.deliver(new) == []
    assert stack.manifest()["upload_id"] == old
    assert stack.colour(f"avatars/{SUBJECT}.jpg") == BLUE
    assert stack.keys(stack.uploads) == [storage_keys.held_key(SUBJECT, new), storage_keys.incoming_key(SUBJECT, new)]
    record = record_of(stack, new)
    original = stack.get(stack.uploads, storage_keys.incoming_key(SUBJECT, new))
    assert record == {
        "reason": "Suggestive",
        "at": record["at"],
        "etag": original["ETag"],
        "sha256": hash_file(jpeg_of(RED)),
        "is_unannounced": False,
    }
    assert stack.heard() == [
        {
            "event": "avatar.held",
            "subject": SUBJECT,
            "upload_id": new,
            "at": record["at"],
            "moderation_reason": "Suggestive",
        }
    ]


def test_duplicate_event_of_held_upload_neither_asks_nor_announces(stack: Stack, team: HttpStub) -> None:
    held = hold(stack, team)
    before = record_of(stack, held)
    answer(team, "approve")
    assert stack.deliver(held) == []
    assert (len(team.requests), stack.heard(), record_of(stack, held)) == (1, [], before)
    assert stack.keys(stack.assets) == []


@pytest.mark.parametrize(("receive_count", "minutes"), [(2, 0.0), (1, 4.5)])
def test_repeated_delivery_of_held_upload_announces_without_asking(
    stack: Stack, team: HttpStub, receive_count: int, minutes: float
) -> None:
    held = hold(stack, team)
    assert stack.deliver(held, receive_count=receive_count, age=timedelta(minutes=minutes)) == []
    assert (len(team.requests), stack.heard_events()) == (1, [("avatar.held", held)])


def test_hold_whose_announcement_failed_is_announced(
    stack: Stack, team: HttpStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no topic")

    answer(team, "hold")
    new = stack.upload(1, jpeg_of(RED))
    with monkeypatch.context() as patch:
        patch.setattr(stack.handler.UPLOADS.topic, "publish", refuse)
        assert stack.deliver(new) == [new]
    assert stack.deliver(new, receive_count=2) == []
    assert (len(team.requests), stack.heard_events()) == (1, [("avatar.held", new)])


def test_hold_whose_response_was_lost_is_announced(stack: Stack, team: HttpStub, no_backoff: None) -> None:
    answer(team, "hold", "Suggestive")
    new = stack.upload(1, jpeg_of(RED))
    attempts = stack.lose_first_response(storage_keys.held_key(SUBJECT, new))
    assert stack.deliver(new) == []
    assert len(attempts) == 2  # botocore's retry, which fails because of the first attempt
    (heard,) = stack.heard()
    assert (heard["event"], heard["moderation_reason"]) == ("avatar.held", "Suggestive")


def test_approved_original_is_published_without_asking(stack: Stack, team: HttpStub) -> None:
    held = hold(stack, team)
    decide(stack, held, APPROVE)
    assert stack.deliver(held) == []
    assert (len(team.requests), stack.manifest()["upload_id"]) == (1, held)
    assert stack.heard_events() == [("avatar.ready", held)]
    assert stack.keys(stack.uploads) == []


def test_rejected_original_is_rejected_with_the_operators_reason(stack: Stack, team: HttpStub) -> None:
    held = hold(stack, team)
    decide(stack, held, REJECT)
    assert stack.deliver(held) == []
    (heard,) = stack.heard()
    assert (heard["event"], heard["reason"], heard["moderation_reason"]) == (
        "avatar.rejected",
        "not_allowed",
        "Geschmacklos: ungültig",
    )
    assert (len(team.requests), stack.keys(stack.assets)) == (1, [])
    assert stack.keys(stack.uploads) == [storage_keys.rejection_key(SUBJECT, held)]


def test_decided_original_is_not_counted_again(stack: Stack, team: HttpStub, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[str] = []

    class RecordingQuota:
        def count(self, _subject: str, created: Any) -> None:
            counted.append(created.key)

        def refuse_claims(self, *_: object) -> None:
            """Held, and so not published."""

        def is_claimed(self, *_: object) -> bool:
            return False

    object.__setattr__(stack.handler.UPLOADS, "quota", RecordingQuota())
    held = hold(stack, team)
    decide(stack, held, APPROVE)
    assert stack.deliver(held) == []
    assert counted == [storage_keys.incoming_key(SUBJECT, held)]


def test_approved_upload_of_blocked_user_is_rejected(stack: Stack, team: HttpStub) -> None:
    held = hold(stack, team)
    object.__setattr__(stack.handler.UPLOADS, "read_block_end", lambda _subject: datetime(9999, 1, 1, tzinfo=UTC))
    decide(stack, held, APPROVE)
    assert stack.deliver(held) == []
    assert rejection_of(stack, held)["reason"] == "blocked"
    assert stack.keys(stack.assets) == []


def test_decision_about_another_file_is_not_obeyed(stack: Stack, team: HttpStub) -> None:
    held = hold(stack, team)
    decide(stack, held, APPROVE, jpeg_of(GREEN))
    assert stack.deliver(held) == []
    assert (len(team.requests), stack.heard_events()) == (2, [("avatar.held", held)])
    assert stack.keys(stack.assets) == []


def test_unknown_decision_in_metadata_is_a_failure(stack: Stack, team: HttpStub) -> None:
    held = hold(stack, team)
    stack.replace(held, jpeg_of(RED), **{**APPROVE.to_metadata(hash_file(jpeg_of(RED))), "moderation": "maybe"})
    assert stack.deliver(held) == [held]
    assert stack.keys(stack.assets) == []


@pytest.mark.parametrize("verdict", ["approve", "hold"])
def test_other_file_with_the_form_of_a_held_one_is_asked_about(stack: Stack, team: HttpStub, verdict: str) -> None:
    held = hold(stack, team)
    answer(team, verdict)
    stack.replace(held, jpeg_of(GREEN))
    assert stack.deliver(held) == []
    assert len(team.requests) == 2
    if verdict == "approve":
        assert stack.colour(f"avatars/{SUBJECT}.jpg") == GREEN
        # The record is of the file that was replaced: it expires, and no operator can decide about it.
        assert record_of(stack, held)["reason"] == "suggestive"
    else:
        assert record_of(stack, held)["reason"] is None
        assert stack.heard_events() == [("avatar.held", held)]


def test_late_hold_does_not_replace_that_of_a_file_posted_later(
    stack: Stack, team: HttpStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(team, "hold")
    new = stack.upload(1, jpeg_of(RED))
    real = stack.handler.MODERATION.hold

    def hold_late(*arguments: Any) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(type(stack.handler.MODERATION), "hold", lambda _self, *others: real(*others))
            stack.replace(new, jpeg_of(GREEN))
            assert stack.deliver(new) == []
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(type(stack.handler.MODERATION), "hold", lambda _self, *arguments: hold_late(*arguments))
        assert stack.deliver(new) == [new]
    assert record_of(stack, new)["sha256"] == hash_file(jpeg_of(GREEN))
    assert stack.deliver(new, receive_count=2) == []
    assert stack.heard_events() == [("avatar.held", new)] * 2


def test_newer_upload_supersedes_held_one_whatever_is_decided(stack: Stack, team: HttpStub) -> None:
    held = hold(stack, team)
    answer(team, "approve")
    newer = stack.upload(2, jpeg_of(BLUE))
    stack.deliver(newer)
    decide(stack, held, APPROVE)
    assert stack.deliver(held) == []
    assert stack.manifest()["upload_id"] == newer
    assert stack.heard_events() == [("avatar.ready", newer)]
    assert stack.keys(stack.uploads) == []


def test_approved_upload_whose_delivery_died_is_published_whatever_is_said_later(
    stack: Stack, team: HttpStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stable JPEG is public since the delivery that was approved: it is completed, and nothing is held."""
    real = stack.handler.S3.put_object

    def die_at_manifest(**request: Any) -> Any:
        if request["Key"].endswith(".json"):
            raise OSError("no network")
        return real(**request)

    new = stack.upload(1, jpeg_of(RED))
    with monkeypatch.context() as patch:
        patch.setattr(stack.handler.S3, "put_object", die_at_manifest)
        assert stack.deliver(new) == [new]
    answer(team, "hold")
    assert stack.deliver(new, receive_count=2) == []
    assert stack.heard_events() == [("avatar.ready", new)]
    assert stack.keys(stack.uploads) == []


# --- Deletion ---------------------------------------------------------------------------------------------------------


def request_deletion(stack: Stack, minute: int) -> str:
    deletion_id = upload_id.create(SUBJECT, 1_767_225_600_000 + 60_000 * minute)
    stack.s3.put_object(Bucket=stack.uploads, Key=storage_keys.deletion_key(SUBJECT, deletion_id))
    stored_avatar.delete(stack.s3, stack.assets, SUBJECT, deletion_id)
    return deletion_id


def deliver_deletion(stack: Stack, deletion_id: str) -> None:
    assert stack.failures(message(s3_event(storage_keys.deletion_key(SUBJECT, deletion_id)))) == []


def test_deletion_deletes_held_uploads_and_keeps_newer_ones(stack: Stack, team: HttpStub) -> None:
    hold(stack, team, minute=1)
    newer = hold(stack, team, minute=3)
    deliver_deletion(stack, request_deletion(stack, minute=2))
    assert stack.keys(stack.uploads) == [
        storage_keys.held_key(SUBJECT, newer),
        storage_keys.incoming_key(SUBJECT, newer),
    ]


def test_deletion_deletes_the_original_before_the_held_record(
    stack: Stack, team: HttpStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Operators can look for an original that was not deleted."""
    held = hold(stack, team)
    deleted: list[str] = []
    real = stack.handler.S3.delete_object

    def delete_object(**request: Any) -> Any:
        deleted.append(request["Key"])
        return real(**request)

    monkeypatch.setattr(stack.handler.S3, "delete_object", delete_object)
    deliver_deletion(stack, request_deletion(stack, minute=2))
    originals, records = storage_keys.incoming_key(SUBJECT, held), storage_keys.held_key(SUBJECT, held)
    assert deleted.index(originals) < deleted.index(records)


def test_upload_held_during_deletion_leaves_nothing(
    stack: Stack, team: HttpStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deletion has listed the held uploads when the record is written."""
    real = stack.handler.MODERATION.hold

    def delete_first(*arguments: Any) -> Any:
        deliver_deletion(stack, request_deletion(stack, minute=2))
        return real(*arguments)

    monkeypatch.setattr(type(stack.handler.MODERATION), "hold", lambda _self, *arguments: delete_first(*arguments))
    answer(team, "hold")
    new = stack.upload(1, jpeg_of(RED))
    assert stack.deliver(new) == []
    assert stack.keys(stack.uploads) == []
    assert [event for event, _ in stack.heard_events()] == ["avatar.deleted"]


# --- The metadata -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("decision", [Decision("approve"), Decision("reject"), Decision("reject", "Ü" * 200)])
def test_decision_is_read_from_its_metadata(decision: Decision) -> None:
    metadata = decision.to_metadata(hash_file(b"file"))
    assert read_decision({"crop": "0,0,1", **metadata}, b"file") == decision
    assert read_decision({"crop": "0,0,1", **metadata}, b"another") is None
    assert all(text.isascii() for text in metadata.values())
    assert metadata["moderation"] == {"approve": "approved", "reject": "rejected"}[decision.verdict]


def test_longest_reason_fits_into_the_metadata_of_an_object() -> None:
    metadata = Decision("reject", "\U0001f4a9" * 200).to_metadata(hash_file(b""))
    assert sum(len(name) + len(text) for name, text in metadata.items()) < 2_048 - 100  # 100 for the crop
