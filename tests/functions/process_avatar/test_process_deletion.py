"""Deletions, delivered to process_avatar with buckets, a topic and a distribution of a moto server."""

import json
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import boto3
import pytest

from functions.process_avatar.cdn import Cdn
from functions.shared import stored_avatar, upload_id
from tests.functions.process_avatar.conftest import BLUE, GREEN, RED, SUBJECT, Stack, jpeg_of
from tests.functions.process_avatar.upload_events import message, s3_event

OTHER = "7a1b2c3d-0000-4000-8000-000000000b0b"


class Deletions:
    """Requests to delete an avatar, as delete_avatar makes them."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    def request(self, minute: int, subject: str = SUBJECT, *, is_recorded: bool = True) -> str:
        """Store a request of that minute of 2026; gives the ID of the deletion."""
        deletion_id = upload_id.create(subject, 1_767_225_600_000 + 60_000 * minute)
        self._stack.s3.put_object(Bucket=self._stack.uploads, Key=f"deletions/{subject}/{deletion_id}")
        if is_recorded:
            stored_avatar.delete(self._stack.s3, self._stack.assets, subject, deletion_id)
        return deletion_id

    def deliver(self, deletion_id: str, subject: str = SUBJECT, receive_count: int = 1) -> bool:
        """Whether the message succeeded."""
        event = s3_event(f"deletions/{subject}/{deletion_id}")
        return not self._stack.failures(message(event, receive_count=receive_count))


@pytest.fixture
def deletions(stack: Stack) -> Deletions:
    return Deletions(stack)


@pytest.fixture
def cloudfront(stack: Stack, moto_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    client = boto3.client(
        "cloudfront",
        endpoint_url=moto_endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFRONT", moto_endpoint)
    origin = {"Id": "assets", "DomainName": "assets.s3.eu-west-1.amazonaws.com"}
    created = client.create_distribution(
        DistributionConfig={
            "CallerReference": stack.assets,
            "Comment": "",
            "Enabled": True,
            "Origins": {"Quantity": 1, "Items": [origin]},
            "DefaultCacheBehavior": {"TargetOriginId": "assets", "ViewerProtocolPolicy": "https-only"},
        }
    )
    distribution_id = created["Distribution"]["Id"]
    object.__setattr__(stack.handler.DELETIONS, "cdn", Cdn(distribution_id))
    yield SimpleNamespace(client=client, distribution_id=distribution_id)
    client.close()


def batches(cloudfront: Any) -> list[dict[str, Any]]:
    listed = cloudfront.client.list_invalidations(DistributionId=cloudfront.distribution_id)["InvalidationList"]
    return [
        cloudfront.client.get_invalidation(DistributionId=cloudfront.distribution_id, Id=its["Id"])["Invalidation"][
            "InvalidationBatch"
        ]
        for its in listed.get("Items", [])
    ]


def publish(stack: Stack, minute: int, color: tuple[int, int, int]) -> str:
    published = stack.upload(minute, jpeg_of(color))
    assert stack.deliver(published) == []
    return published


def test_deletion_deletes_everything_but_its_record(stack: Stack, deletions: Deletions) -> None:
    publish(stack, 1, RED)
    publish(stack, 2, GREEN)
    rejected = stack.upload(3, b"no picture")
    stack.deliver(rejected)
    stack.upload(4, jpeg_of(BLUE))
    stack.heard()
    deletion_id = deletions.request(5)
    assert deletions.deliver(deletion_id)
    assert stack.keys(stack.uploads) == []
    assert stack.keys(stack.assets) == [f"avatars/{SUBJECT}.jpg", f"avatars/{SUBJECT}.json"]
    assert stack.manifest()["upload_id"] == deletion_id
    assert stack.heard() == [
        {"event": "avatar.deleted", "subject": SUBJECT, "upload_id": deletion_id, "at": "2026-01-01T00:05:00.000Z"}
    ]


def test_deletion_that_was_not_recorded_is_recorded(stack: Stack, deletions: Deletions) -> None:
    publish(stack, 1, RED)
    deletion_id = deletions.request(2, is_recorded=False)
    assert deletions.deliver(deletion_id)
    assert stack.manifest()["upload_id"] == deletion_id
    assert stack.stable_jpeg()["Metadata"] == {"version": deletion_id}


@pytest.mark.parametrize("receive_count", [1, 3])
def test_late_event_of_deleted_upload_publishes_nothing(stack: Stack, deletions: Deletions, receive_count: int) -> None:
    late = stack.upload(1, jpeg_of(RED))
    deletion_id = deletions.request(2)
    assert stack.deliver(late, receive_count=receive_count) == []
    assert stack.keys(stack.assets) == [f"avatars/{SUBJECT}.jpg", f"avatars/{SUBJECT}.json"]
    assert stack.manifest()["upload_id"] == deletion_id
    assert stack.keys(stack.uploads) == [f"deletions/{SUBJECT}/{deletion_id}"]
    assert stack.heard() == []


def test_upload_after_deletion_is_published(stack: Stack, deletions: Deletions) -> None:
    publish(stack, 1, RED)
    deletion_id = deletions.request(2)
    newer = publish(stack, 3, GREEN)
    assert deletions.deliver(deletion_id)
    assert stack.manifest()["upload_id"] == newer
    assert len([key for key in stack.keys(stack.assets) if newer in key]) == 2
    for key in (f"avatars/{SUBJECT}.json", f"avatars/{SUBJECT}.jpg"):
        assert stack.s3.get_object_tagging(Bucket=stack.assets, Key=key)["TagSet"] == []
    assert ("avatar.deleted", deletion_id) in stack.heard_events()


@pytest.mark.parametrize("suffix", [".webp", ".jpg", ".json"])
def test_deletion_supersedes_upload_that_is_published_meanwhile(
    stack: Stack, deletions: Deletions, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    publish(stack, 1, RED)
    upload, put_object = stack.upload(2, jpeg_of(GREEN)), stack.handler.S3.put_object
    requested: list[str] = []
    lock = threading.Lock()

    def delete_before(**request: Any) -> Any:
        with lock:  # variants are put at once
            if request["Key"].endswith(suffix) and not requested:
                requested.append(deletions.request(3))
        return put_object(**request)

    monkeypatch.setattr(stack.handler.S3, "put_object", delete_before)
    assert stack.deliver(upload) == []
    assert stack.manifest()["upload_id"] == requested[0]
    assert stack.stable_jpeg()["Metadata"] == {"version": requested[0]}


def test_deletion_whose_request_could_not_be_deleted_is_repeated(
    stack: Stack, deletions: Deletions, monkeypatch: pytest.MonkeyPatch
) -> None:
    deletion_id = deletions.request(1)
    with monkeypatch.context() as patch:
        patch.setattr(stack.handler.S3, "delete_object", Mock(side_effect=ConnectionError))
        assert not deletions.deliver(deletion_id)
    assert deletions.deliver(deletion_id, receive_count=2)
    assert stack.keys(stack.uploads) == []
    assert stack.heard_events() == [("avatar.deleted", deletion_id)] * 2


@pytest.mark.parametrize("receive_count", [1, 3])
def test_late_event_of_completed_deletion_does_nothing(
    stack: Stack, deletions: Deletions, caplog: pytest.LogCaptureFixture, receive_count: int
) -> None:
    deletion_id = deletions.request(1)
    assert deletions.deliver(deletion_id)
    stack.heard()
    for key in stack.keys(stack.assets):
        stack.s3.delete_object(Bucket=stack.assets, Key=key)
    original = stack.upload(0, jpeg_of(RED))
    caplog.set_level("INFO")
    assert deletions.deliver(deletion_id, receive_count=receive_count)
    assert (stack.keys(stack.assets), stack.heard()) == ([], [])
    assert stack.keys(stack.uploads) == [f"incoming/{SUBJECT}/{original}"]
    assert "request is gone, nothing to do" in caplog.text


def test_deletion_keeps_everything_of_others(stack: Stack, deletions: Deletions) -> None:
    stack.s3.put_object(Bucket=stack.assets, Key=f"avatars/{SUBJECT}-2/01A-000-1/64.webp", Body=b"")
    stack.s3.put_object(Bucket=stack.uploads, Key=f"incoming/{OTHER}/01A", Body=b"")
    assert deletions.deliver(deletions.request(1))
    assert f"avatars/{SUBJECT}-2/01A-000-1/64.webp" in stack.keys(stack.assets)
    assert stack.keys(stack.uploads) == [f"incoming/{OTHER}/01A"]


def test_deletion_invalidates_avatar_once(stack: Stack, deletions: Deletions, cloudfront: Any) -> None:
    deletion_id = deletions.request(1)
    assert deletions.deliver(deletion_id)
    expected = {
        "Paths": {"Quantity": 1, "Items": [f"/avatars/{SUBJECT}*"]},
        "CallerReference": deletion_id,
    }
    assert batches(cloudfront) == [expected]


def test_refused_invalidation_keeps_request(
    stack: Stack, deletions: Deletions, cloudfront: Any, caplog: pytest.LogCaptureFixture
) -> None:
    object.__setattr__(stack.handler.DELETIONS, "cdn", Cdn("EUNKNOWN"))
    deletion_id = deletions.request(1)
    assert not deletions.deliver(deletion_id)
    assert stack.keys(stack.uploads) == [f"deletions/{SUBJECT}/{deletion_id}"]
    assert stack.heard() == []
    assert "NoSuchDistribution" in caplog.text
    object.__setattr__(stack.handler.DELETIONS, "cdn", Cdn(cloudfront.distribution_id))
    assert deletions.deliver(deletion_id, receive_count=2)
    assert stack.keys(stack.uploads) == []


@pytest.mark.parametrize(
    "key", [f"deletions/{SUBJECT}", f"deletions/{SUBJECT}/x", "deletions/a.b/01KJM8QZ5K3V7N2R9T4W6X8Y0Z"]
)
def test_malformed_key_is_dropped(stack: Stack, caplog: pytest.LogCaptureFixture, key: str) -> None:
    assert stack.failures(message(s3_event(key))) == []
    assert "not the key of a deletion, dropped" in caplog.text
    assert stack.keys(stack.assets) == []


def test_equal_images_of_two_uploads_have_different_etags(stack: Stack) -> None:
    """A compare-and-set by ETag must tell them apart."""
    etags: set[str] = set()
    for minute in (1, 2):
        publish(stack, minute, RED)
        etags.add(stack.stable_jpeg()["ETag"])
    assert len(etags) == 2


def test_stable_jpeg_has_its_version_as_comment(stack: Stack) -> None:
    publish(stack, 1, RED)
    body = stack.stable_jpeg()["Body"].read()
    version = stack.manifest()["version"].encode()
    assert body[:4] == b"\xff\xd8\xff\xe0"
    assert body[20:24] == b"\xff\xfe" + (len(version) + 2).to_bytes(2)
    assert body[24:].startswith(version + b"\xff\xdb")
    assert json.loads(stack.stable_jpeg()["Metadata"]["facts"])["source"]["format"] == "jpeg"
