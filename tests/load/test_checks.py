"""A short load run keeps every rule, and each rule finds what violates it."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import Any

import pytest

from functions.shared import upload_id
from functions.shared.storage_keys import INCOMING, manifest_key, rejection_key, stable_key, variant_key
from load import checks, photos
from load.checks import Evidence
from load.reader import Reader, Violation
from load.run import Result
from load.users import Upload, User
from tests.load.conftest import UPLOADS, replaced_object
from tests.local.conftest import wait_until


def read_manifest(evidence: Evidence, user: User) -> dict[str, Any]:
    manifest = evidence.storage.read_manifest(user.subject)
    assert manifest is not None
    return manifest


def get_newest(user: User) -> Upload:
    assert user.newest_photo is not None
    return user.newest_photo


def read(evidence: Evidence, user: User) -> list[Violation]:
    """What the reader reports of one user."""
    evidence.reader.read(user)
    return evidence.reader.violations


def test_run_with_failures_and_a_kill_keeps_every_rule(result: Result) -> None:
    observer, failures = result.evidence.observer, result.failures
    assert checks.check(result.evidence) == []
    assert (len(result.evidence.uploads), len(observer.processed_at), result.kills) == (UPLOADS, UPLOADS, 1)
    # The message of the killed worker is delivered again, and so is each event that was sent twice.
    assert observer.deliveries >= UPLOADS + 1 + failures.events["twice"]
    assert 0 < failures.failed.total() < failures.requests / 4
    assert failures.retries > 0
    assert result.evidence.reader.reads > 0


class TestNewestUploadIsShown:
    def test_older_manifest_is_found(self, evidence: Evidence) -> None:
        user = evidence.users[0]
        older = user.uploads[0].id
        manifest = {**read_manifest(evidence, user), "upload_id": older}
        with replaced_object(evidence, manifest_key(user.subject), json.dumps(manifest).encode()):
            found = list(checks.newest_upload_is_shown(evidence))
        assert found == [f"the manifest of {user.subject} shows {older}, not {get_newest(user).id}"]

    def test_stable_jpeg_of_another_upload_is_found(self, evidence: Evidence) -> None:
        user = evidence.users[1]
        key = stable_key(user.subject)
        with replaced_object(evidence, key, photos.draw(user.uploads[0].number)):
            found = list(checks.newest_upload_is_shown(evidence))
        assert found == [f"{key} is {user.uploads[0].number}, not {get_newest(user).number}"]

    def test_missing_image_is_found(self, evidence: Evidence) -> None:
        user = evidence.users[0]
        [key] = evidence.storage.find_keys(read_manifest(evidence, user))
        with replaced_object(evidence, key, None):
            found = list(checks.newest_upload_is_shown(evidence))
        assert found == [f"{key} is missing, not {get_newest(user).number}"]

    def test_missing_manifest_is_found(self, evidence: Evidence) -> None:
        user = evidence.users[0]
        with replaced_object(evidence, manifest_key(user.subject), None):
            found = list(checks.newest_upload_is_shown(evidence))
        assert found == [f"the manifest of {user.subject} shows nothing, not {get_newest(user).id}"]


class TestEveryUploadIsAnswered:
    def test_pending_upload_is_found(self, evidence: Evidence) -> None:
        user = evidence.users[1]
        rejected = user.uploads[-1]
        assert not rejected.is_photo
        s3, bucket = evidence.storage.s3, evidence.stack.exports["uploadsBucket"]
        key = rejection_key(user.subject, rejected.id)
        record = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        s3.delete_object(Bucket=bucket, Key=key)
        found = list(checks.every_upload_is_answered(evidence))
        s3.put_object(Bucket=bucket, Key=key, Body=record)
        assert found == [f"{rejected.id} is pending, not rejected as not_an_image"]

    def test_rejected_photo_is_found(self, evidence: Evidence) -> None:
        user = evidence.users[1]
        photo = replace(user.uploads[-1], number=0)
        users = [replace(user, uploads=[photo])]
        found = list(checks.every_upload_is_answered(replace(evidence, users=users)))
        assert found == [f"{photo.id} is rejected as not_an_image, not ready"]

    def test_unknown_upload_is_found(self, evidence: Evidence) -> None:
        user = evidence.users[0]
        unknown = Upload(0, upload_id.create("somebody else", 0), 0)
        [found] = checks.every_upload_is_answered(replace(evidence, users=[replace(user, uploads=[unknown])]))
        assert found.startswith(f"{unknown.id} is GET /avatars/uploads/{unknown.id} returned 404")


class TestEveryAnswerIsAnnounced:
    def forget_event(self, evidence: Evidence, monkeypatch: pytest.MonkeyPatch, upload: Upload) -> None:
        events = [event for event in evidence.stack.receiver.events if event["upload_id"] != upload.id]
        monkeypatch.setattr(evidence.stack.receiver, "events", events)

    @pytest.mark.parametrize("index", [-1, 0], ids=["rejected", "first"])
    def test_upload_without_event_is_found(
        self, evidence: Evidence, monkeypatch: pytest.MonkeyPatch, index: int
    ) -> None:
        upload = evidence.users[1].uploads[index]
        monkeypatch.setattr(evidence.observer, "published", {user.subject: [] for user in evidence.users})
        self.forget_event(evidence, monkeypatch, upload)
        assert f"{upload.id} was never announced" in checks.every_answer_is_announced(evidence)

    def test_upload_superseded_before_its_end_needs_no_event(
        self, evidence: Evidence, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        user = evidence.users[0]
        upload, newer = user.uploads[0], user.uploads[1]
        end = evidence.observer.processed_at[upload.id]
        self.forget_event(evidence, monkeypatch, upload)
        # In the run it may have been delivered again, as that of a killed worker.
        monkeypatch.setitem(evidence.observer.last_received_at, upload.id, end)
        for at, expected in ((end - 1, []), (end + 1, [f"{upload.id} was never announced"])):
            monkeypatch.setattr(evidence.observer, "published", {user.subject: [(at, newer.id)]})
            only = replace(evidence, users=[replace(user, uploads=[upload])])
            assert list(checks.every_answer_is_announced(only)) == expected
        monkeypatch.setitem(evidence.observer.last_received_at, upload.id, end + 2)
        assert list(checks.every_answer_is_announced(only)) == []  # it was delivered again after the newer one


def test_original_that_is_left_is_found(evidence: Evidence) -> None:
    s3, bucket = evidence.storage.s3, evidence.stack.exports["uploadsBucket"]
    key = f"{INCOMING}left"  # not the key of an upload, which would be processed now
    s3.put_object(Bucket=bucket, Key=key, Body=b"left")
    found = list(checks.originals_are_deleted(evidence))
    s3.delete_object(Bucket=bucket, Key=key)
    wait_until(
        lambda: not checks.count_messages(evidence.stack, evidence.stack.exports["queueUrl"]), "no event is left"
    )
    assert found == [f"{key} exists"]


class TestNothingIsLeftBehind:
    def test_message_in_the_queue_is_found(self, evidence: Evidence) -> None:
        sqs, queue = evidence.stack.aws.client("sqs"), evidence.stack.exports["queueUrl"]
        sqs.send_message(QueueUrl=queue, MessageBody="late", DelaySeconds=900)
        found = list(checks.nothing_is_left_behind(evidence))
        sqs.purge_queue(QueueUrl=queue)
        assert found == ["1 messages are in the queue"]

    def test_record_of_a_rejected_photo_is_found(self, evidence: Evidence) -> None:
        user, s3, bucket = evidence.users[0], evidence.storage.s3, evidence.stack.exports["uploadsBucket"]
        key = rejection_key(user.subject, user.uploads[0].id)
        s3.put_object(Bucket=bucket, Key=key, Body=b"{}")
        found = list(checks.nothing_is_left_behind(evidence))
        s3.delete_object(Bucket=bucket, Key=key)
        assert found == [f"{key} exists"]

    def test_image_of_a_version_that_was_never_published_is_found(self, evidence: Evidence) -> None:
        user = evidence.users[0]
        key = variant_key(user.subject, read_manifest(evidence, user)["version"] + "-newer", 256)
        with replaced_object(evidence, key, b"left"):
            assert list(checks.nothing_is_left_behind(evidence)) == [f"{key} exists"]

    def test_image_of_a_superseded_version_is_expected(self, evidence: Evidence) -> None:
        user = evidence.users[0]
        with replaced_object(evidence, variant_key(user.subject, f"{user.uploads[0].id}-000-0", 256), b"superseded"):
            assert list(checks.nothing_is_left_behind(evidence)) == []


@pytest.mark.parametrize("index", [0, 1], ids=["uploads", "webhook"])
def test_dead_letter_is_found(evidence: Evidence, index: int) -> None:
    sqs = evidence.stack.aws.client("sqs")
    url = list(checks.count_dead_letters(evidence.stack))[index]
    sqs.send_message(QueueUrl=url, MessageBody="dead")
    found = list(checks.nothing_is_dead_lettered(evidence))
    sqs.purge_queue(QueueUrl=url)
    assert found == [f"1 messages are in {url.rpartition('/')[2]}"]


def test_wait_counts_from_when_a_worker_received_the_upload(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, upload = evidence.uploads[0]
    received = evidence.observer.received_at[upload.id]
    for seconds, expected in ((100, []), (100.5, ["the 99th percentile is 100.5 s"])):
        processed = {**evidence.observer.processed_at, upload.id: received + seconds}
        monkeypatch.setattr(evidence.observer, "processed_at", processed)
        assert list(checks.wait_is_bounded(evidence)) == expected


class TestReader:
    def test_missing_image_of_manifest_is_found(self, evidence: Evidence) -> None:
        user = evidence.users[0]
        manifest = read_manifest(evidence, user)
        [key] = evidence.storage.find_keys(manifest)
        with replaced_object(evidence, key, None):
            found = read(evidence, user)
        details = f"the manifest {manifest['version']} names {key}, which is missing"
        assert found == [Violation("manifest_is_complete", details)]

    def test_image_of_another_upload_in_manifest_is_found(self, evidence: Evidence) -> None:
        user = evidence.users[0]
        manifest = read_manifest(evidence, user)
        [key] = evidence.storage.find_keys(manifest)
        with replaced_object(evidence, key, photos.draw(user.uploads[0].number)):
            found = read(evidence, user)
        details = f"the manifest {manifest['version']} names {key}, which is {user.uploads[0].number}"
        assert found == [Violation("manifest_is_complete", details)]

    def test_older_manifest_after_newer_is_found(self, evidence: Evidence) -> None:
        user = evidence.users[0]
        manifest = read_manifest(evidence, user)
        assert read(evidence, user) == []
        older = json.dumps({**manifest, "version": user.uploads[0].id}).encode()
        with replaced_object(evidence, manifest_key(user.subject), older):
            found = read(evidence, user)
        details = f"the manifest of {user.subject} showed {manifest['version']}, and then {user.uploads[0].id}"
        assert found == [Violation("older_never_replaces_newer", details)]

    @pytest.mark.parametrize("is_missing", [False, True], ids=["older", "missing"])
    def test_older_stable_jpeg_after_newer_is_found(self, evidence: Evidence, is_missing: bool) -> None:
        user = evidence.users[0]
        oldest = user.uploads[0]
        assert read(evidence, user) == []
        with replaced_object(evidence, stable_key(user.subject), None if is_missing else photos.draw(oldest.number)):
            found = read(evidence, user)
        shown = "nothing" if is_missing else oldest.id
        details = f"the stable JPEG of {user.subject} showed {get_newest(user).id}, and then {shown}"
        assert found == [Violation("older_never_replaces_newer", details)]

    def test_stable_jpeg_of_another_user_is_found(self, evidence: Evidence) -> None:
        user, other = evidence.users
        key, number = stable_key(user.subject), other.uploads[0].number
        with replaced_object(evidence, key, photos.draw(number)):
            assert read(evidence, user) == [Violation("avatar_is_of_its_user", f"{key} is {number}")]

    def test_unknown_upload_is_found(self, evidence: Evidence) -> None:
        user = evidence.users[0]
        unknown = Upload(0, upload_id.create("somebody else", 0), 0)
        found = read(evidence, replace(user, uploads=[unknown]))
        assert found == [Violation("accepted_upload_is_never_unknown", f"the status of {unknown.id} is 404")]

    def test_status_that_goes_back_from_ready_is_found(self, evidence: Evidence) -> None:
        newest = get_newest(evidence.users[0])
        user = replace(evidence.users[0], uploads=[newest])
        assert read(evidence, user) == []
        with replaced_object(evidence, manifest_key(user.subject), None):
            found = read(evidence, user)
        assert found[1:] == [Violation("ready_is_final", f"{newest.id} was ready, and is pending")]

    def test_violation_is_one_of_the_run(self, evidence: Evidence) -> None:
        violation = Violation("ready_is_final", "seen by the reader")
        evidence.reader.violations.append(violation)
        assert checks.check(evidence) == [violation]

    def test_error_ends_the_run(self, evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
        reader = Reader(evidence.stack, evidence.users)

        failed = threading.Event()

        def fail(_user: User) -> None:
            failed.set()
            raise ConnectionError("no stack")

        monkeypatch.setattr(reader, "read", fail)
        with pytest.raises(ConnectionError, match="no stack"), reader:
            assert failed.wait(10)
