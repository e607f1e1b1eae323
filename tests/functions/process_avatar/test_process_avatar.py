"""The handler against S3, SNS and SQS of a moto server: what is in the buckets, and what subscribers hear."""

import dataclasses
import hashlib
import json
import logging
import random
import re
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from unittest.mock import ANY, Mock

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from components import avatar_pipeline
from functions.process_avatar import publishing
from functions.shared import storage_keys, stored_avatar, upload_id
from functions.shared.aws.s3 import StoredObject
from tests.fixtures import pictures
from tests.functions.conftest import LoadHandler
from tests.functions.process_avatar.conftest import (
    BLUE,
    GREEN,
    MAX_UPLOAD_BYTES,
    RED,
    SETTINGS,
    SUBJECT,
    Stack,
    jpeg_of,
)
from tests.functions.process_avatar.upload_events import message, s3_event, s3_test_event

# --- The way of one upload --------------------------------------------------------------------------------------------


def test_upload_creates_variants_stable_jpeg_and_manifest(stack: Stack) -> None:
    data = jpeg_of(RED)
    new = stack.upload(1, data)
    assert stack.deliver(new) == []

    manifest = stack.manifest()
    version = manifest["version"]
    assert re.fullmatch(rf"{new}-fff-[0-9a-f]{{8}}", version)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", manifest.pop("updated_at"))
    folder = f"avatars/{SUBJECT}/{version}"
    sizes = {size: stack.get(stack.assets, f"{folder}/{size}.webp")["ContentLength"] for size in (64, 16)}
    assert manifest == {
        "subject": SUBJECT,
        "upload_id": new,
        "version": version,
        "source": {"format": "jpeg", "width": 90, "height": 120, "bytes": len(data)},
        "images": [
            {"size": 64, "format": "webp", "url": f"/{folder}/64.webp", "bytes": sizes[64]},
            {"size": 16, "format": "webp", "url": f"/{folder}/16.webp", "bytes": sizes[16]},
        ],
        "url": f"/avatars/{SUBJECT}.jpg",
    }
    assert sorted(stack.keys(stack.assets)) == sorted(
        [f"avatars/{SUBJECT}.jpg", f"avatars/{SUBJECT}.json", f"{folder}/64.webp", f"{folder}/16.webp"]
    )
    assert [stack.colour(key) for key in stack.keys(stack.assets) if not key.endswith(".json")] == [RED] * 3


def test_upload_with_crop_is_cut_to_the_crop(stack: Stack) -> None:
    picture = pictures.plain(200, 100, BLUE)
    picture.paste(RED, (150, 0, 200, 50))
    new = stack.upload(1, pictures.encode(picture, "PNG"), crop="0.750000,0.000000,0.500000")
    assert stack.deliver(new) == []
    assert_current(stack, new, RED)


def test_malformed_crop_is_a_failure(stack: Stack, caplog: pytest.LogCaptureFixture) -> None:
    new = stack.upload(1, jpeg_of(RED), crop="everything")
    assert stack.deliver(new) == [new]
    assert "'everything' is not the text of a crop" in caplog.text
    assert stack.heard() == []


def test_objects_have_content_type_and_cache_control(stack: Stack) -> None:
    stack.deliver(stack.upload(1, jpeg_of(RED)))
    told = {
        key.rsplit(".")[-1]: (stored["ContentType"], stored["CacheControl"])
        for key in stack.keys(stack.assets)
        if (stored := stack.get(stack.assets, key))
    }
    assert told == {
        "webp": ("image/webp", "public, max-age=31536000, immutable"),
        "jpg": ("image/jpeg", "public, max-age=60"),
        "json": ("application/json", "public, max-age=60"),
    }


def test_ready_avatar_is_announced_with_its_manifest(stack: Stack) -> None:
    new = stack.upload(1, jpeg_of(RED))
    stack.deliver(new)
    (heard,) = stack.heard()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", heard.pop("at"))
    assert heard == {"event": "avatar.ready", "subject": SUBJECT, "upload_id": new, "avatar": stack.announced_avatar()}


def test_stable_jpeg_then_manifest_are_written_last(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    before_each_put(stack, monkeypatch, written.append)
    stack.deliver(stack.upload(1, jpeg_of(RED)))
    endings = [key.rsplit(".")[-1] for key in written]
    assert endings == ["webp", "webp", "jpg", "json"]


@pytest.mark.parametrize("data", [jpeg_of(RED), b"no picture"])
def test_processed_original_is_deleted(stack: Stack, data: bytes) -> None:
    new = stack.upload(1, data)
    stack.deliver(new)
    assert storage_keys.incoming_key(SUBJECT, new) not in stack.keys(stack.uploads)


def test_rejected_original_is_kept_until_announced(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    new = stack.upload(1, b"no picture")
    monkeypatch.setattr(stack.handler.UPLOADS.topic, "publish", refuse)
    assert stack.deliver(new) == [new]
    assert storage_keys.incoming_key(SUBJECT, new) in stack.keys(stack.uploads)


def test_superseded_or_duplicate_original_is_deleted(stack: Stack) -> None:
    """Overtaken by a newer upload, or posted again after it was done."""
    older, newer = stack.upload(1, jpeg_of(RED)), stack.upload(2, jpeg_of(BLUE))
    stack.deliver(newer)
    stack.replace(newer, jpeg_of(BLUE))
    assert stack.deliver(older, newer) == []
    assert stack.keys(stack.uploads) == []
    assert_current(stack, newer, BLUE)


@pytest.mark.parametrize(("data", "event"), [(jpeg_of(RED), "avatar.ready"), (b"no picture", "avatar.rejected")])
def test_failed_delete_of_original_is_retried_by_redelivery(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, data: bytes, event: str
) -> None:
    new = stack.upload(1, data)
    with monkeypatch.context() as patch:
        patch.setattr(stack.handler.S3, "delete_object", refuse)
        assert stack.deliver(new) == [new]
    assert stack.heard_events() == [(event, new)]
    assert stack.deliver(new, receive_count=2) == []
    assert stack.keys(stack.uploads) == ([] if event == "avatar.ready" else [storage_keys.rejection_key(SUBJECT, new)])


@pytest.mark.parametrize("step", ["announcement", "deletion", "both"])
def test_delivery_killed_after_manifest_is_completed_by_redelivery(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    class KilledError(BaseException):
        """What no handler catches."""

    def die(*_: object, **__: object) -> None:
        raise KilledError

    new = stack.upload(1, jpeg_of(RED))
    with monkeypatch.context() as patch:
        if step != "deletion":
            patch.setattr(stack.handler.UPLOADS.topic, "publish", die)
        if step != "announcement":
            patch.setattr(stack.handler.S3, "delete_object", die)
        with pytest.raises(KilledError):
            stack.deliver(new)
    stack.heard_events()
    assert stack.deliver(new, receive_count=2) == []
    assert stack.heard_events() == [("avatar.ready", new)]
    assert stack.keys(stack.uploads) == []
    assert_current(stack, new, RED)


@pytest.mark.parametrize("before", ["nothing", "an avatar", "a deletion"])
def test_avatar_reads_only_original_and_manifest(stack: Stack, monkeypatch: pytest.MonkeyPatch, before: str) -> None:
    """And writes every object once: each request is billed."""
    if before == "an avatar":
        stack.deliver(stack.upload(1, jpeg_of(BLUE)))
    if before == "a deletion":
        stored_avatar.delete(stack.s3, stack.assets, SUBJECT, upload_id.create(SUBJECT, 1_767_225_660_000))
    new = stack.upload(2, jpeg_of(RED))
    read: list[str] = []
    written: list[str] = []
    before_each(stack, monkeypatch, ["get_object", "head_object"], read.append)
    before_each(stack, monkeypatch, ["put_object"], written.append)
    stack.deliver(new)
    assert sorted(read) == [f"avatars/{SUBJECT}.json", storage_keys.incoming_key(SUBJECT, new)]
    assert len(written) == len(set(written))
    assert_current(stack, new, RED)


def test_missing_original_is_not_a_failure(stack: Stack) -> None:
    assert stack.deliver(upload_id.create(SUBJECT, 1)) == []
    assert (stack.keys(stack.assets), stack.heard()) == ([], [])


# --- At once ----------------------------------------------------------------------------------------------------------


def test_variants_are_put_in_parallel(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    stack.deliver(stack.upload(1, jpeg_of(RED)))
    newer = stack.upload(2, jpeg_of(BLUE))
    wait_for_each_other(monkeypatch, (stack.handler.S3, "put_object"), parties=2)
    assert stack.deliver(newer) == []
    assert_current(stack, newer, BLUE)


def test_avatar_is_announced_while_original_is_deleted(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    new = stack.upload(1, jpeg_of(RED))
    wait_for_each_other(
        monkeypatch, (stack.handler.UPLOADS.topic, "publish"), (stack.handler.S3, "delete_object"), parties=2
    )
    assert stack.deliver(new) == []
    assert stack.heard_events() == [("avatar.ready", new)]
    assert stack.keys(stack.uploads) == []


# --- Twice, late, out of order ----------------------------------------------------------------------------------------


def test_duplicate_event_changes_nothing_and_is_not_announced(stack: Stack) -> None:
    new = stack.upload(1, jpeg_of(RED))
    stack.deliver(new)
    before = stack.get(stack.assets, f"avatars/{SUBJECT}.json")["LastModified"], stack.manifest()
    assert stack.deliver(new, new) == []
    assert (stack.get(stack.assets, f"avatars/{SUBJECT}.json")["LastModified"], stack.manifest()) == before
    assert stack.heard_events() == [("avatar.ready", new)]


def test_redelivered_message_is_announced_again(stack: Stack) -> None:
    new = stack.upload(1, jpeg_of(RED))
    stack.deliver(new)
    before = stack.manifest()
    stack.deliver(new, receive_count=2)
    assert stack.manifest() == before
    assert stack.heard_events() == [("avatar.ready", new)] * 2


@pytest.mark.parametrize(("data", "event"), [(jpeg_of(RED), "avatar.ready"), (b"no picture", "avatar.rejected")])
def test_redriven_message_is_announced(stack: Stack, monkeypatch: pytest.MonkeyPatch, data: bytes, event: str) -> None:
    """A redriven message counts as received once, and what failed before may have been the announcement alone."""
    new = stack.upload(1, data)
    with monkeypatch.context() as patch:
        patch.setattr(stack.handler.UPLOADS.topic, "publish", refuse)
        assert stack.deliver(new) == [new]
    stack.deliver(new, age=timedelta(minutes=4.5))
    assert stack.heard_events() == [(event, new)]


def test_ready_avatar_is_announced_again_only_for_late_event(stack: Stack) -> None:
    new = stack.upload(1, jpeg_of(RED))
    stack.deliver(new)
    (announced,) = stack.heard_events()
    stack.deliver(new, age=timedelta(minutes=3.5))
    assert stack.heard_events() == []
    stack.deliver(new, age=timedelta(minutes=4.5))
    assert stack.heard_events() == [announced]


def test_newer_upload_supersedes_older_one(stack: Stack) -> None:
    older, newer = stack.upload(1, jpeg_of(RED)), stack.upload(2, jpeg_of(BLUE))
    assert stack.deliver(older) + stack.deliver(newer) == []
    assert_current(stack, newer, BLUE)
    assert stack.heard_events() == [("avatar.ready", older), ("avatar.ready", newer)]


def test_older_upload_delivered_later_changes_nothing(stack: Stack) -> None:
    older, newer = stack.upload(1, jpeg_of(RED)), stack.upload(2, jpeg_of(BLUE))
    stack.deliver(newer)
    before = stack.keys(stack.assets)
    assert stack.deliver(older, receive_count=2) == []
    assert_current(stack, newer, BLUE)
    assert stack.keys(stack.assets) == before
    assert stack.heard_events() == [("avatar.ready", newer)]


@pytest.mark.parametrize("moment", [".webp", ".jpg", ".json"])
def test_newer_upload_stays_current_while_older_one_writes(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    older, newer = stack.upload(1, jpeg_of(RED)), stack.upload(2, jpeg_of(BLUE))
    once_before_put(stack, monkeypatch, moment, lambda: stack.deliver(newer))
    assert stack.deliver(older) == []
    assert_current(stack, newer, BLUE)
    assert stack.heard_events() == [("avatar.ready", newer)]


@pytest.mark.parametrize("moment", [".webp", ".jpg", ".json"])
def test_newer_upload_supersedes_older_one_published_meanwhile(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    older, newer = stack.upload(1, jpeg_of(RED)), stack.upload(2, jpeg_of(BLUE))
    rendered = count_renderings(stack, monkeypatch)
    once_before_put(stack, monkeypatch, moment, lambda: stack.deliver(older))
    assert stack.deliver(newer) == []
    assert_current(stack, newer, BLUE)
    assert rendered() == 2  # one for each upload: a lost race is not a reason to render again
    assert stack.heard_events()[-1] == ("avatar.ready", newer)


def test_avatar_deleted_meanwhile_does_not_stop_newer_upload(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    older, newer = stack.upload(1, jpeg_of(RED)), stack.upload(2, jpeg_of(BLUE))
    stack.deliver(older)

    def delete() -> None:
        for key in (f"avatars/{SUBJECT}.json", f"avatars/{SUBJECT}.jpg"):
            stack.s3.delete_object(Bucket=stack.assets, Key=key)

    once_before_put(stack, monkeypatch, ".jpg", delete)
    assert stack.deliver(newer) == []
    assert_current(stack, newer, BLUE)


def test_manifest_that_always_changes_fails_after_5_attempts(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    stack.deliver(stack.upload(1, jpeg_of(RED)))
    newer = stack.upload(2, jpeg_of(BLUE))
    manifest = stack.manifest()
    attempts: list[int] = []

    def touch(key: str) -> None:
        if key.endswith(".json"):
            attempts.append(1)
            body = json.dumps({**manifest, "touched": len(attempts)})
            stack.s3.put_object(Bucket=stack.assets, Key=key, Body=body)

    before_each_put(stack, monkeypatch, touch)
    assert stack.deliver(newer) == [newer]
    assert len(attempts) == 5


def post_later(stack: Stack, monkeypatch: pytest.MonkeyPatch, its_id: str, data: bytes) -> None:
    """Post another file with the same form, a second after everything that was posted with it before."""
    stack.replace(its_id, data)
    real_version_of = publishing.version_of

    def version_of(upload: str, original: StoredObject) -> str:
        posted_at = original.last_modified + timedelta(seconds=original.data == data)
        return real_version_of(upload, dataclasses.replace(original, last_modified=posted_at))

    monkeypatch.setattr(publishing, "version_of", version_of)


def recent_upload(stack: Stack, data: bytes) -> str:
    """An upload whose form was made ten seconds ago."""
    new_id = upload_id.create(SUBJECT, int((time.time() - 10) * 1000))
    stack.replace(new_id, data)
    return new_id


def kill_at_write(stack: Stack, monkeypatch: pytest.MonkeyPatch, its_id: str, ending: str) -> None:
    """Deliver an upload whose delivery ends at its first write of a key that ends with `ending`."""

    def die(_key: str) -> None:
        raise EndpointConnectionError(endpoint_url="https://s3")

    with monkeypatch.context() as patch:
        before_each_put(stack, patch, die, ending)
        assert stack.deliver(its_id) == [its_id]


@pytest.mark.parametrize("first", [RED, GREEN])
def test_form_reposted_with_other_bytes_shows_the_later_file(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, first: tuple[int, int, int]
) -> None:
    """Whatever the order of the files' hashes."""
    second = GREEN if first == RED else RED
    new = recent_upload(stack, jpeg_of(first))
    stack.deliver(new)
    post_later(stack, monkeypatch, new, jpeg_of(second))
    assert stack.deliver(new) == []
    assert_current(stack, new, second)
    assert stack.heard_events() == [("avatar.ready", new)] * 2


@pytest.mark.parametrize("first", [RED, GREEN])
def test_form_reposted_after_death_before_manifest_shows_one_file(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, first: tuple[int, int, int]
) -> None:
    second = GREEN if first == RED else RED
    new = recent_upload(stack, jpeg_of(first))
    kill_at_write(stack, monkeypatch, new, ".json")
    assert stack.colour(f"avatars/{SUBJECT}.jpg") == first
    post_later(stack, monkeypatch, new, jpeg_of(second))
    assert stack.deliver(new) == []
    assert_current(stack, new, second)


@pytest.mark.parametrize("second", [b"no picture", None])
def test_death_before_manifest_is_completed_without_original(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, second: bytes | None
) -> None:
    """The original is replaced by another file, which is rejected, or it is gone."""
    new = recent_upload(stack, jpeg_of(RED))
    kill_at_write(stack, monkeypatch, new, ".json")
    if second:
        stack.replace(new, second)
    else:
        stack.s3.delete_object(Bucket=stack.uploads, Key=storage_keys.incoming_key(SUBJECT, new))
    assert stack.deliver(new, receive_count=2) == []
    assert_current(stack, new, RED)
    assert stack.heard() == [
        {"event": "avatar.ready", "subject": SUBJECT, "upload_id": new, "at": ANY, "avatar": stack.announced_avatar()}
    ]
    assert stack.keys(stack.uploads) == []


def test_file_posted_while_another_is_processed_is_kept(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    new = recent_upload(stack, jpeg_of(RED))
    once_before_put(stack, monkeypatch, ".json", lambda: post_later(stack, monkeypatch, new, jpeg_of(GREEN)))
    assert stack.deliver(new) == []
    assert stack.keys(stack.uploads) == [storage_keys.incoming_key(SUBJECT, new)]
    assert stack.deliver(new) == []
    assert_current(stack, new, GREEN)
    assert stack.keys(stack.uploads) == []


@pytest.mark.parametrize(
    ("seconds", "digits"), [(0, "000"), (1, "001"), (299, "12b"), (-2, "000"), (4_095, "fff"), (86_400, "fff")]
)
def test_version_has_seconds_from_form_to_post(seconds: int, digits: str) -> None:
    new = upload_id.create(SUBJECT, 1_767_225_600_999)
    posted_at = datetime.fromtimestamp(1_767_225_600 + seconds, UTC)
    original = StoredObject(b"", 0, '"0123456789abcdef"', {}, posted_at)
    assert publishing.version_of(new, original) == f"{new}-{digits}-01234567"


def test_form_reposted_with_other_bytes_gets_other_urls(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    new = stack.upload(1, jpeg_of(RED))
    kill_at_write(stack, monkeypatch, new, ".json")
    stack.replace(new, jpeg_of(GREEN))
    assert stack.deliver(new) == []
    folders = {key.split("/")[2] for key in stack.keys(stack.assets) if key.endswith(".webp")}
    assert len(folders) == 2
    assert {stack.colour(f"avatars/{SUBJECT}/{folder}/64.webp") for folder in folders} == {RED, GREEN}


def test_stable_jpeg_is_not_replaced_by_older_upload(stack: Stack) -> None:
    older, newer = stack.upload(1, jpeg_of(RED)), stack.upload(2, jpeg_of(BLUE))
    stack.deliver(newer)
    version = stack.stable_jpeg()["Metadata"]["version"]
    assert version == stack.manifest()["version"]
    # The newer one's manifest is lost, so nothing but the JPEG itself knows of it.
    stack.s3.delete_object(Bucket=stack.assets, Key=f"avatars/{SUBJECT}.json")
    stack.deliver(older)
    assert stack.stable_jpeg()["Metadata"]["version"] == version
    assert stack.colour(f"avatars/{SUBJECT}.jpg") == BLUE


@pytest.mark.parametrize(
    ("ending", "data", "event"),
    [
        (".jpg", jpeg_of(RED), "avatar.ready"),
        (".json", jpeg_of(RED), "avatar.ready"),
        (".json", b"no picture", "avatar.rejected"),
    ],
)
@pytest.mark.parametrize("receive_count", [1, 2])
def test_write_with_lost_response_is_announced(
    stack: Stack, no_backoff: None, ending: str, data: bytes, event: str, receive_count: int
) -> None:
    new = stack.upload(1, data)
    written = stack.lose_first_response(ending)
    assert stack.deliver(new, receive_count=receive_count) == []
    assert written == [written[0]] * 2  # botocore's retry, which fails because of the first attempt, and no other write
    assert stack.heard_events() == [(event, new)]
    assert storage_keys.incoming_key(SUBJECT, new) not in stack.keys(stack.uploads)
    if event == "avatar.ready":
        assert_current(stack, new, RED)


def test_stable_jpeg_without_our_metadata_is_replaced(stack: Stack) -> None:
    stack.s3.put_object(Bucket=stack.assets, Key=f"avatars/{SUBJECT}.jpg", Body=b"another program's")
    new = stack.upload(1, jpeg_of(RED))
    assert stack.deliver(new) == []
    assert_current(stack, new, RED)


def test_stable_jpeg_that_always_changes_fails_after_5_attempts(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    new = stack.upload(1, jpeg_of(RED))
    attempts: list[int] = []

    def touch(key: str) -> None:
        attempts.append(1)
        stack.s3.put_object(Bucket=stack.assets, Key=key, Body=str(len(attempts)).encode())

    before_each_put(stack, monkeypatch, touch, ending=".jpg")
    assert stack.deliver(new) == [new]
    assert len(attempts) == 5
    assert f"avatars/{SUBJECT}.json" not in stack.keys(stack.assets)


# --- Superseded avatars -----------------------------------------------------------------------------------------------


def pictures_of(stack: Stack, its_id: str) -> list[str]:
    return sorted(key for key in stack.keys(stack.assets) if f"/{its_id}-" in key)


def test_superseded_avatar_is_kept(stack: Stack) -> None:
    older, newer = stack.upload(1, jpeg_of(RED)), stack.upload(2, jpeg_of(BLUE))
    stack.deliver(older)
    before = pictures_of(stack, older)
    stack.deliver(newer)
    assert (len(before), pictures_of(stack, older)) == (2, before)


def test_duplicate_that_loses_its_race_deletes_nothing(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """A duplicate is held up while the first delivery publishes and a newer upload replaces it."""
    older, newer = stack.upload(1, jpeg_of(RED)), stack.upload(2, jpeg_of(BLUE))

    def publish_both() -> None:
        assert stack.deliver(older) + stack.deliver(newer) == []

    once_before_put(stack, monkeypatch, ".json", publish_both)
    assert stack.deliver(older) == []
    assert_current(stack, newer, BLUE)
    assert len(pictures_of(stack, older)) == 2


# --- Rejection --------------------------------------------------------------------------------------------------------


def test_rejection_is_recorded_announced_and_not_retried(stack: Stack) -> None:
    new = stack.upload(1, b"this is no picture")
    assert stack.deliver(new) == []
    stored = stack.get(stack.uploads, storage_keys.rejection_key(SUBJECT, new))
    assert stored["ContentType"] == "application/json"
    record = json.load(stored["Body"])
    at = record.pop("at")
    etag = f'"{hashlib.md5(b"this is no picture").hexdigest()}"'  # noqa: S324 - S3's
    assert record == {"status": "rejected", "reason": "not_an_image", "upload_id": new, "etag": etag}
    assert stack.heard() == [
        {"event": "avatar.rejected", "subject": SUBJECT, "upload_id": new, "at": at, "reason": "not_an_image"}
    ]
    assert stack.keys(stack.assets) == []


def test_duplicate_event_of_rejection_is_not_announced(stack: Stack) -> None:
    new = stack.upload(1, b"this is no picture")
    stack.deliver(new)
    record = stack.get(stack.uploads, storage_keys.rejection_key(SUBJECT, new))["Body"].read()
    assert stack.deliver(new) == []
    assert stack.get(stack.uploads, storage_keys.rejection_key(SUBJECT, new))["Body"].read() == record
    assert stack.heard_events() == [("avatar.rejected", new)]


def rejected_and_not_announced(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> str:
    new = stack.upload(1, b"this is no picture")
    with monkeypatch.context() as patch:
        patch.setattr(stack.handler.UPLOADS.topic, "publish", refuse)
        assert stack.deliver(new) == [new]
    return new


def test_unannounced_rejection_is_announced_once_by_redelivery(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    new = rejected_and_not_announced(stack, monkeypatch)
    stack.deliver(new, receive_count=2)
    stack.deliver(new, receive_count=3)
    assert stack.heard_events() == [("avatar.rejected", new)]


def test_duplicate_event_of_unannounced_rejection_announces_it(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    new = rejected_and_not_announced(stack, monkeypatch)
    assert stack.deliver(new) == []
    assert stack.deliver(new, receive_count=2) == []
    assert stack.heard_events() == [("avatar.rejected", new)]
    assert storage_keys.incoming_key(SUBJECT, new) not in stack.keys(stack.uploads)


@pytest.mark.parametrize("again", [b"this is no picture", b"nor is this"])
def test_unannounced_rejection_is_announced_after_repost(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, again: bytes
) -> None:
    new = rejected_and_not_announced(stack, monkeypatch)
    stack.replace(new, again)
    assert stack.deliver(new) == []
    assert stack.heard_events() == [("avatar.rejected", new)]
    assert storage_keys.incoming_key(SUBJECT, new) not in stack.keys(stack.uploads)


def test_rejection_being_recorded_elsewhere_is_retried(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 answers 409 while it is being written: nothing can be known of it yet."""
    new = stack.upload(1, b"this is no picture")

    def conflict(**_: object) -> None:
        raise client_error(409, "ConditionalRequestConflict", "PutObject")

    with monkeypatch.context() as patch:
        patch.setattr(stack.handler.S3, "put_object", conflict)
        assert stack.deliver(new) == [new]
    assert stack.heard_events() == []
    assert stack.deliver(new, receive_count=2) == []
    assert stack.heard_events() == [("avatar.rejected", new)]


@pytest.mark.parametrize("again", [b"this is no picture", b"nor is this", jpeg_of(RED)[:400]])
def test_form_reposted_after_rejection_does_not_stay(stack: Stack, again: bytes) -> None:
    """It is announced again, with the reason that was recorded."""
    new = stack.upload(1, b"this is no picture")
    stack.deliver(new)
    stack.replace(new, again)
    assert stack.deliver(new) == []
    assert [(heard["event"], heard["reason"]) for heard in stack.heard()] == [("avatar.rejected", "not_an_image")] * 2
    assert stack.keys(stack.uploads) == [storage_keys.rejection_key(SUBJECT, new)]


def test_form_reposted_with_picture_after_rejection_is_published(stack: Stack) -> None:
    new = stack.upload(1, b"this is no picture")
    stack.deliver(new)
    stack.replace(new, jpeg_of(RED))
    assert stack.deliver(new) == []
    assert_current(stack, new, RED)
    assert stack.heard_events() == [("avatar.rejected", new), ("avatar.ready", new)]


def test_form_reposted_without_picture_keeps_finished_avatar(stack: Stack) -> None:
    new = recent_upload(stack, jpeg_of(RED))
    stack.deliver(new)
    stack.replace(new, b"no picture")
    assert stack.deliver(new) == []
    assert_current(stack, new, RED)
    assert stack.heard_events() == [("avatar.ready", new)]
    assert stack.keys(stack.uploads) == []


def test_rejected_upload_keeps_existing_avatar(stack: Stack) -> None:
    older, newer = stack.upload(1, jpeg_of(RED)), stack.upload(2, jpeg_of(BLUE)[:400])
    stack.deliver(older, newer)
    assert_current(stack, older, RED)
    assert [heard.get("reason") for heard in stack.heard()] == [None, "truncated"]


def test_original_above_byte_limit_is_rejected_unread(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    fits = stack.upload(1, jpeg_of(RED).ljust(MAX_UPLOAD_BYTES, b"\0"))
    too_large = stack.upload(2, jpeg_of(RED).ljust(MAX_UPLOAD_BYTES + 1, b"\0"))
    bodies_read = record_reads(stack, monkeypatch)
    assert stack.deliver(fits, too_large) == []
    originals = [storage_keys.incoming_key(SUBJECT, each) for each in (fits, too_large)]
    assert [key for key in bodies_read if key in originals] == originals[:1]
    assert [heard.get("reason") for heard in stack.heard()] == [None, "too_large"]


def test_picture_above_pixel_limit_is_rejected(stack: Stack) -> None:
    stack.deliver(stack.upload(1, pictures.png_declaring(1001, 1000)))
    assert [heard["reason"] for heard in stack.heard()] == ["too_many_pixels"]


# --- Batches and failures ---------------------------------------------------------------------------------------------


def test_failed_message_does_not_fail_the_others(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    bad, good = stack.upload(2, jpeg_of(RED)), stack.upload(3, jpeg_of(BLUE))

    def die(key: str) -> None:
        if f"/{bad}-" in key:
            raise EndpointConnectionError(endpoint_url="https://s3")

    before_each_put(stack, monkeypatch, die)
    assert stack.deliver(bad, good) == [bad]
    assert_current(stack, good, BLUE)


def test_records_after_a_failed_record_are_processed(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = {subject: stack.upload(1, jpeg_of(RED), subject) for subject in ("one", "two", "three")}

    def die(_key: str) -> None:
        raise EndpointConnectionError(endpoint_url="https://s3")

    before_each_put(stack, monkeypatch, die, ending="two.json")
    body = s3_event(*(storage_keys.incoming_key(subject, its) for subject, its in ids.items()))
    its_message = message(body)
    assert stack.failures(its_message) == [its_message["messageId"]]
    assert [stack.manifest(subject)["upload_id"] for subject in ("one", "three")] == [ids["one"], ids["three"]]
    assert "avatars/two.json" not in stack.keys(stack.assets)


def test_failed_announcement_is_retried_by_redelivery(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    new = stack.upload(1, jpeg_of(RED))

    with monkeypatch.context() as patch:
        patch.setattr(stack.handler.UPLOADS.topic, "publish", refuse)
        assert stack.deliver(new) == [new]
    assert_current(stack, new, RED)
    assert stack.deliver(new, receive_count=2) == []
    assert stack.heard_events() == [("avatar.ready", new)]


def test_missing_topic_is_a_failure(stack: Stack) -> None:
    new = stack.upload(1, jpeg_of(RED))
    stack.sns.delete_topic(TopicArn=stack.topic_arn)
    assert stack.deliver(new) == [new]


def test_s3_test_event_is_not_a_failure(stack: Stack) -> None:
    assert stack.failures(message(s3_test_event())) == []


@pytest.mark.parametrize("body", ['{"hello": 1}', "", "not json", "null", "[]"])
def test_message_that_is_not_an_s3_event_fails_alone(stack: Stack, body: str) -> None:
    new = stack.upload(1, jpeg_of(RED))
    foreign, ours = message(body), message(s3_event(storage_keys.incoming_key(SUBJECT, new)))
    assert stack.failures(foreign, ours) == [foreign["messageId"]]
    assert_current(stack, new, RED)


def test_key_that_is_not_of_an_upload_is_dropped(stack: Stack, caplog: pytest.LogCaptureFixture) -> None:
    assert stack.failures(message(s3_event("incoming/../secret/x", "elsewhere/a b"))) == []
    assert stack.keys(stack.assets) == []
    dropped = [record.__dict__["key"] for record in caplog.records if "not the key of an upload" in record.message]
    assert dropped == ["incoming/../secret/x", "elsewhere/a b"]


@pytest.fixture
def fixed_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda _low, high: high)


def queue_message(stack: Stack, body: str) -> dict[str, Any]:
    """The record of a message that was received from the queue, where it is invisible for 84 seconds."""
    stack.sqs.send_message(QueueUrl=stack.queue, MessageBody=body)
    (received,) = stack.sqs.receive_message(QueueUrl=stack.queue, VisibilityTimeout=84)["Messages"]
    return {**message(body), "messageId": received["MessageId"], "receiptHandle": received["ReceiptHandle"]}


@pytest.mark.parametrize(
    ("receive_count", "seconds"), [(1, 3), (2, 6), (3, 12), (4, 24), (5, 48), (6, 96), (7, 192), (8, 384), (9, 384)]
)
def test_failed_message_becomes_visible_after_growing_pause(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, fixed_jitter: None, receive_count: int, seconds: int
) -> None:
    changes: list[dict[str, Any]] = []
    monkeypatch.setattr(stack.handler.SQS, "change_message_visibility", lambda **change: changes.append(change))
    failing = message("not json", receive_count=receive_count)
    assert stack.failures(failing, message(s3_test_event())) == [failing["messageId"]]
    assert changes == [
        {"QueueUrl": stack.queue, "ReceiptHandle": failing["receiptHandle"], "VisibilityTimeout": seconds}
    ]


def test_pause_before_retry_has_jitter(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds: list[int] = []
    monkeypatch.setattr(
        stack.handler.SQS, "change_message_visibility", lambda **change: seconds.append(change["VisibilityTimeout"])
    )
    for _ in range(200):
        stack.failures(message("not json", receive_count=5))
    assert 32 <= min(seconds) < 36
    assert 44 < max(seconds) <= 48


def test_failed_message_is_received_again_within_seconds(stack: Stack, fixed_jitter: None) -> None:
    failing = queue_message(stack, "not json")
    assert stack.failures(failing) == [failing["messageId"]]
    (again,) = stack.sqs.receive_message(QueueUrl=stack.queue, WaitTimeSeconds=10)["Messages"]
    assert again["MessageId"] == failing["messageId"]


@pytest.mark.parametrize(
    "error", [ClientError({}, "ChangeMessageVisibility"), EndpointConnectionError(endpoint_url="https://sqs")]
)
def test_failure_to_change_visibility_is_logged_only(
    stack: Stack, error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(stack.handler.SQS, "change_message_visibility", Mock(side_effect=error))
    failing = message("not json")
    assert stack.failures(failing) == [failing["messageId"]]
    assert "message waits for the visibility timeout" in caplog.text


def test_retries_outlast_the_age_of_late_events(stack: Stack) -> None:
    """A message in the dead-letter queue is late, so that its redrive announces what was not announced."""
    handler = stack.handler
    pauses = [handler.RETRY_BASE_SECONDS**count for count in range(1, avatar_pipeline.MAX_RECEIVES)]
    assert handler.LATE.total_seconds() < sum(pauses)
    assert pauses[-1] < handler.MAX_RETRY_SECONDS


def test_rejection_is_logged_with_the_fields_of_the_queries(stack: Stack, caplog: pytest.LogCaptureFixture) -> None:
    """The record of an avatar: test_metrics.py."""
    caplog.set_level(logging.INFO)
    new = stack.upload(1, b"no picture")
    stack.deliver(new)
    (record,) = [vars(each) for each in caplog.records if each.message == "avatar.rejected"]
    assert (record["subject"], record["upload_id"], record["reason"]) == (SUBJECT, new, "not_an_image")


def test_superseded_upload_is_logged_with_the_current_one(stack: Stack, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    older, newer = stack.upload(1, jpeg_of(RED)), stack.upload(2, jpeg_of(BLUE))
    stack.deliver(newer, older)
    (record,) = [vars(each) for each in caplog.records if each.message == "superseded by a newer upload"]
    assert (record["subject"], record["upload_id"], record["current_upload_id"]) == (SUBJECT, older, newer)


def test_missing_original_is_logged_unless_upload_is_published(stack: Stack, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    published = stack.upload(1, jpeg_of(RED))
    missing = upload_id.create(SUBJECT, 1_767_225_600_000 + 120_000)
    assert stack.deliver(published) == []
    assert stack.deliver(published, missing) == []
    gone = [vars(each)["key"] for each in caplog.records if each.message == "original is gone, nothing to do"]
    assert gone == [storage_keys.incoming_key(SUBJECT, missing)]


def test_failed_message_is_logged_with_its_id(
    stack: Stack, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, fixed_jitter: None
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(stack.handler.SQS, "change_message_visibility", lambda **_: None)
    failing = message("not json")
    stack.failures(failing)
    ours = [vars(each) for each in caplog.records if "message_id" in vars(each)]
    assert [(each["message"], each["message_id"], each.get("retry_seconds")) for each in ours] == [
        ("not an S3 event", failing["messageId"], None),
        ("message is retried", failing["messageId"], 3),
    ]


def test_failure_is_logged_with_key_and_stack_trace(stack: Stack, caplog: pytest.LogCaptureFixture) -> None:
    new = stack.upload(1, jpeg_of(RED), crop="everything")
    stack.deliver(new)
    (record,) = [each for each in caplog.records if each.message == "failed, given back"]
    assert record.__dict__["key"] == storage_keys.incoming_key(SUBJECT, new)
    assert record.exc_info


@pytest.mark.parametrize("missing", SETTINGS)
def test_import_with_missing_setting_raises_key_error(load_handler: LoadHandler, missing: str) -> None:
    with pytest.raises(KeyError, match=missing):
        load_handler("process_avatar", {name: value for name, value in SETTINGS.items() if name != missing})


# --- Seams ------------------------------------------------------------------------------------------------------------


def assert_current(stack: Stack, its_id: str, colour: tuple[int, int, int]) -> None:
    """Manifest, stable JPEG and the pictures the manifest names are all of that upload."""
    manifest = stack.manifest()
    assert manifest["upload_id"] == its_id
    assert stack.stable_jpeg()["Metadata"]["version"] == manifest["version"]
    keys = [f"avatars/{SUBJECT}.jpg", *(image["url"].removeprefix("/") for image in manifest["images"])]
    assert [stack.colour(key) for key in keys] == [colour] * len(keys)


def client_error(status: int, code: str, operation: str) -> ClientError:
    error = {"Code": code, "Message": "No."}
    return ClientError({"Error": error, "ResponseMetadata": {"HTTPStatusCode": status}}, operation)  # pyright: ignore[reportArgumentType]


def refuse(*_: object, **__: object) -> None:
    raise client_error(403, "AccessDenied", "Operation")


def before_each_put(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, act: Callable[[str], object], ending: str = ""
) -> None:
    """Call `act` with the key before each write of an object whose key ends with `ending`."""
    before_each(stack, monkeypatch, ["put_object"], lambda key: act(key) if key.endswith(ending) else None)


def before_each(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, operations: list[str], act: Callable[[str], object]
) -> None:
    """Call `act` with the key before each of these operations of the handler's S3 client."""

    def patch(name: str) -> None:
        real = getattr(stack.handler.S3, name)

        def operation(**request: Any) -> Any:
            act(request["Key"])
            return real(**request)

        monkeypatch.setattr(stack.handler.S3, name, operation)

    for each in operations:
        patch(each)


def wait_for_each_other(monkeypatch: pytest.MonkeyPatch, *methods: tuple[Any, str], parties: int) -> None:
    """Let the first `parties` calls begin only when all of them have been made: BrokenBarrierError if they are not."""
    barrier = threading.Barrier(parties, timeout=5)
    calls = count()

    def patch(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def method(*arguments: Any, **options: Any) -> Any:
            if next(calls) < parties:
                barrier.wait()
            return real(*arguments, **options)

        monkeypatch.setattr(owner, name, method)

    for owner, name in methods:
        patch(owner, name)


def once_before_put(stack: Stack, monkeypatch: pytest.MonkeyPatch, ending: str, act: Callable[[], object]) -> None:
    """Call `act` between an upload's reads and its first write of a key that ends with `ending`."""
    pending = [act]
    before_each_put(stack, monkeypatch, lambda _key: pending.pop()() if pending else None, ending)


def count_renderings(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """The number of pictures rendered from now on."""
    processor, calls = stack.handler.UPLOADS, []

    def render(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        return processor.render(*arguments, **options)

    monkeypatch.setattr(stack.handler, "UPLOADS", dataclasses.replace(processor, render=render))
    return lambda: len(calls)


def record_reads(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of the objects whose bodies, not only headers, are read from now on."""
    real_get_object, keys = stack.handler.S3.get_object, list[str]()

    def get_object(**request: Any) -> Any:
        response = real_get_object(**request)
        real_read = response["Body"].read

        def read(*arguments: Any) -> bytes:
            keys.append(request["Key"])
            return real_read(*arguments)

        response["Body"].read = read
        return response

    monkeypatch.setattr(stack.handler.S3, "get_object", get_object)
    return keys
