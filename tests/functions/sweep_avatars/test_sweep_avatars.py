"""The sweep: what it deletes, what it keeps, and what it asks S3 for."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BytesIO
from types import ModuleType
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from functions.sweep_avatars.sweep import RETENTION, Sweep, list_subjects
from tests.functions.conftest import LoadHandler

ADA, BOB = "0a1b2c3d-0000-4000-8000-00000000a11c", "7a1b2c3d-0000-4000-8000-000000000b0b"
OLD, CURRENT, NEWER = "01KA-000-11111111", "01KB-000-22222222", "01KC-000-33333333"
ORIGINALS_DAYS = 14
ABANDONED_DAYS = RETENTION.days + ORIGINALS_DAYS + 0.1
PAGE = 5


class NoSuchKeyError(ClientError):
    pass


@dataclass
class FakeS3:
    """Objects by key, with content and LastModified; small pages."""

    objects: dict[str, tuple[bytes, datetime]] = field(default_factory=dict[str, tuple[bytes, datetime]])
    listed: int = 0
    read: list[str] = field(default_factory=list[str])
    refused: str = "none"
    metadata: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    refusal: Exception = field(default_factory=lambda: ClientError({"Error": {"Code": "SlowDown"}}, "GetObject"))

    class exceptions:  # noqa: N801 - as boto3
        NoSuchKey = NoSuchKeyError

    def put(self, key: str, days_ago: float, content: bytes = b"data") -> None:
        self.objects[key] = content, datetime.now(UTC) - timedelta(days=days_ago)

    def put_deletion(self, subject: str, version: str, days_ago: float) -> None:
        self.put(f"avatars/{subject}.jpg", days_ago, b"01KB3VXWZ8M2N4P6Q8R0S2T4V6")
        self.metadata[f"avatars/{subject}.jpg"] = {"version": version}
        content = {"version": version, "deleted_at": "2026-11-27T12:00:00.000Z"}
        self.put(f"avatars/{subject}.json", days_ago, json.dumps(content).encode())

    def put_version(self, subject: str, version: str, days_ago: float) -> None:
        for size in (64, 16):
            self.put(f"avatars/{subject}/{version}/{size}.webp", days_ago)

    def put_manifest(self, subject: str, version: str, days_ago: float) -> None:
        self.put(f"avatars/{subject}.json", days_ago, json.dumps({"version": version}).encode())

    def versions_of(self, subject: str) -> set[str]:
        return {key.split("/")[2] for key in self.objects if key.startswith(f"avatars/{subject}/")}

    def list_objects_v2(self, *, Bucket: str, Prefix: str, StartAfter: str) -> dict[str, Any]:  # noqa: N803
        assert Bucket == "assets"
        self.listed += 1
        keys = [key for key in sorted(self.objects) if key.startswith(Prefix) and key > StartAfter]
        contents = [
            {"Key": key, "Size": len(self.objects[key][0]), "LastModified": self.objects[key][1]} for key in keys[:PAGE]
        ]
        return {"IsTruncated": len(keys) > PAGE, **({"Contents": contents} if contents else {})}

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        assert Bucket == "assets"
        self.read.append(Key)
        if self.refused in Key:
            raise self.refusal
        if Key not in self.objects:
            raise NoSuchKeyError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
        content, at = self.objects[Key]
        return {
            "Body": BytesIO(content),
            "ContentLength": len(content),
            "ETag": _etag(content),
            "Metadata": {},
            "LastModified": at,
        }

    def head_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        assert Bucket == "assets"
        if Key not in self.objects:
            raise ClientError({"ResponseMetadata": {"HTTPStatusCode": 404}}, "HeadObject")  # type: ignore[typeddict-item]
        content, at = self.objects[Key]
        return {"ETag": _etag(content), "Metadata": self.metadata.get(Key, {}), "LastModified": at}

    def delete_object(self, *, Bucket: str, Key: str, IfMatch: str | None = None) -> None:  # noqa: N803
        assert Bucket == "assets"
        if IfMatch not in (None, _etag(self.objects[Key][0])):
            raise ClientError({"ResponseMetadata": {"HTTPStatusCode": 412}}, "DeleteObject")  # type: ignore[typeddict-item]
        del self.objects[Key]


def _etag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


class Context:
    def __init__(self, remaining_ms: int = 900_000) -> None:
        self._remaining_ms = remaining_ms

    def get_remaining_time_in_millis(self) -> int:
        return self._remaining_ms


@pytest.fixture
def s3() -> FakeS3:
    return FakeS3()


@pytest.fixture
def handler(load_handler: LoadHandler, s3: FakeS3, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    loaded = load_handler("sweep_avatars", {"ASSETS_BUCKET": "assets", "ORIGINALS_DAYS": str(ORIGINALS_DAYS)})
    monkeypatch.setattr(loaded, "S3", s3)
    return loaded


@pytest.fixture
def sweep(handler: ModuleType) -> Callable[[], dict[str, Any]]:
    return lambda: handler.handle({}, Context())


RunSweep = Callable[[], dict[str, Any]]


def test_superseded_version_is_deleted_after_seven_days(s3: FakeS3, sweep: RunSweep) -> None:
    s3.put_manifest(ADA, CURRENT, 7.1)
    s3.put_version(ADA, OLD, 100)
    s3.put_version(ADA, CURRENT, 7.1)
    s3.put(f"avatars/{ADA}.jpg", 7.1)
    assert sweep() == {"subjects": 1, "deleted": 2, "failed": 0, "is_complete": True}
    assert s3.versions_of(ADA) == {CURRENT}
    assert {f"avatars/{ADA}.jpg", f"avatars/{ADA}.json"} < s3.objects.keys()


def test_superseded_version_is_kept_for_seven_days(s3: FakeS3, sweep: RunSweep) -> None:
    s3.put_manifest(ADA, CURRENT, 6.9)
    s3.put(f"avatars/{ADA}.jpg", 6.9)
    s3.put_version(ADA, OLD, 100)
    s3.put_version(ADA, CURRENT, 6.9)
    sweep()
    assert s3.versions_of(ADA) == {OLD, CURRENT}
    assert s3.read == []  # the listing is sufficient


def test_version_superseded_during_sweep_is_kept(s3: FakeS3, sweep: RunSweep, monkeypatch: pytest.MonkeyPatch) -> None:
    """The manifest is listed, and then replaced."""
    s3.put_manifest(ADA, CURRENT, 30)
    s3.put_version(ADA, OLD, 100)
    s3.put_version(ADA, CURRENT, 30)
    real_get_object = s3.get_object

    def get_object(**request: Any) -> Any:
        s3.put_version(ADA, NEWER, 0)
        s3.put_manifest(ADA, NEWER, 0)
        return real_get_object(**request)

    monkeypatch.setattr(s3, "get_object", get_object)
    sweep()
    assert s3.versions_of(ADA) == {OLD, CURRENT, NEWER}


@pytest.mark.parametrize(("days_ago", "kept"), [(ABANDONED_DAYS - 0.2, {CURRENT, NEWER}), (ABANDONED_DAYS, {CURRENT})])
def test_unpublished_version_is_kept_as_long_as_its_original(
    s3: FakeS3, sweep: RunSweep, days_ago: float, kept: set[str]
) -> None:
    s3.put_manifest(ADA, CURRENT, 100)
    s3.put_version(ADA, CURRENT, 100)
    s3.put_version(ADA, NEWER, days_ago)
    sweep()
    assert s3.versions_of(ADA) == kept


@pytest.mark.parametrize(("days_ago", "left"), [(ABANDONED_DAYS - 0.2, 3), (ABANDONED_DAYS, 0)])
def test_version_and_jpeg_without_manifest_are_kept_as_long_as_original(
    s3: FakeS3, sweep: RunSweep, days_ago: float, left: int
) -> None:
    s3.put_version(ADA, OLD, days_ago)
    s3.put(f"avatars/{ADA}.jpg", days_ago)
    sweep()
    assert len(s3.objects) == left


def test_version_published_during_sweep_is_kept(s3: FakeS3, sweep: RunSweep, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.put_version(ADA, OLD, ABANDONED_DAYS)
    real_get_object = s3.get_object

    def get_object(**request: Any) -> Any:
        s3.put_manifest(ADA, OLD, 0)
        return real_get_object(**request)

    monkeypatch.setattr(s3, "get_object", get_object)
    sweep()
    assert s3.versions_of(ADA) == {OLD}


def test_current_version_is_kept_however_old(s3: FakeS3, sweep: RunSweep) -> None:
    s3.put_version(ADA, CURRENT, 1_000)
    s3.put(f"avatars/{ADA}.jpg", 1_000)
    s3.put_manifest(ADA, CURRENT, 1_000)
    before = dict(s3.objects)
    sweep()
    assert s3.objects == before
    assert s3.read == []


def test_other_objects_are_kept(s3: FakeS3, sweep: RunSweep) -> None:
    for key in ("defaults/avatar.jpg", f"avatars/{ADA}/notes.txt", f"avatars/{ADA}/{OLD}/64.png", "avatars/x"):
        s3.put(key, 1_000)
    before = dict(s3.objects)
    sweep()
    assert s3.objects == before


def test_version_older_than_deletion_is_deleted_at_once(s3: FakeS3, sweep: RunSweep) -> None:
    s3.put_deletion(ADA, CURRENT, 0)
    s3.put_version(ADA, OLD, 0)
    s3.put_version(ADA, NEWER, 0)
    assert sweep()["deleted"] == 2
    assert s3.versions_of(ADA) == {NEWER}


@pytest.mark.parametrize(("days_ago", "left"), [(ABANDONED_DAYS - 0.2, 2), (ABANDONED_DAYS, 0)])
def test_deletion_is_recorded_as_long_as_originals_exist(
    s3: FakeS3, sweep: RunSweep, days_ago: float, left: int
) -> None:
    s3.put_deletion(ADA, CURRENT, days_ago)
    assert sweep()["deleted"] == 2 - left
    assert len(s3.objects) == left


def test_record_of_deletion_without_its_jpeg_is_deleted(s3: FakeS3, sweep: RunSweep) -> None:
    """An earlier sweep has ended between the two."""
    s3.put_deletion(ADA, CURRENT, ABANDONED_DAYS)
    del s3.objects[f"avatars/{ADA}.jpg"]
    assert sweep()["deleted"] == 1
    assert s3.objects == {}


def test_avatar_published_while_deletion_is_swept_is_kept(
    s3: FakeS3, sweep: RunSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.put_deletion(ADA, CURRENT, ABANDONED_DAYS)
    real_head_object = s3.head_object

    def head_object(**request: Any) -> Any:
        response = real_head_object(**request)
        s3.put(f"avatars/{ADA}.jpg", 0, b"newer")
        s3.put_manifest(ADA, NEWER, 0)
        return response

    monkeypatch.setattr(s3, "head_object", head_object)
    sweep()
    assert s3.objects.keys() == {f"avatars/{ADA}.jpg", f"avatars/{ADA}.json"}


@pytest.mark.parametrize(("days_ago", "left"), [(ABANDONED_DAYS - 0.2, 2), (ABANDONED_DAYS, 0)])
def test_jpeg_newer_than_deletion_is_kept_as_long_as_originals_exist(
    s3: FakeS3, sweep: RunSweep, days_ago: float, left: int
) -> None:
    """Its delivery has ended before the manifest."""
    s3.put_deletion(ADA, CURRENT, ABANDONED_DAYS + 1)
    s3.put(f"avatars/{ADA}.jpg", days_ago, b"an avatar, and not the record of a deletion")
    s3.metadata[f"avatars/{ADA}.jpg"] = {"version": NEWER}
    assert sweep()["deleted"] == 2 - left
    assert len(s3.objects) == left


@pytest.mark.parametrize("suffix", [".jpg", ".json"])
def test_record_of_deletion_is_kept_if_replaced_since_it_was_listed(
    s3: FakeS3, sweep: RunSweep, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    s3.put_deletion(ADA, CURRENT, ABANDONED_DAYS)
    real_list = s3.list_objects_v2

    def list_objects_v2(**request: Any) -> dict[str, Any]:
        page = real_list(**request)
        content, _ = s3.objects[f"avatars/{ADA}{suffix}"]
        s3.put(f"avatars/{ADA}{suffix}", 0, content)
        return page

    monkeypatch.setattr(s3, "list_objects_v2", list_objects_v2)
    assert sweep()["deleted"] == 0
    assert s3.objects.keys() == {f"avatars/{ADA}.jpg", f"avatars/{ADA}.json"}


def test_avatar_whose_manifest_is_older_than_its_jpeg_is_kept(s3: FakeS3, sweep: RunSweep) -> None:
    """The delivery of a newer upload has ended before the manifest."""
    s3.put_manifest(ADA, CURRENT, ABANDONED_DAYS + 1)
    s3.put_version(ADA, CURRENT, ABANDONED_DAYS + 1)
    s3.put(f"avatars/{ADA}.jpg", ABANDONED_DAYS, b"of the newer upload")
    assert sweep()["deleted"] == 0


@pytest.mark.parametrize(
    "refusal",
    [
        ClientError({"Error": {"Code": "SlowDown"}}, "GetObject"),
        EndpointConnectionError(endpoint_url="https://s3.eu-west-1.amazonaws.com"),
    ],
    ids=["ClientError", "BotoCoreError"],
)
def test_failed_subject_raises_after_the_others_are_swept(
    s3: FakeS3, sweep: RunSweep, caplog: pytest.LogCaptureFixture, refusal: Exception
) -> None:
    s3.refused, s3.refusal = ADA, refusal
    for subject in (ADA, BOB):
        s3.put_manifest(subject, CURRENT, 30)
        s3.put_version(subject, OLD, 100)
        s3.put_version(subject, CURRENT, 30)
    with pytest.raises(Exception, match=r"^1 subjects were not swept$"):
        sweep()
    assert (s3.versions_of(ADA), s3.versions_of(BOB)) == ({OLD, CURRENT}, {CURRENT})
    (failure,) = [vars(record) for record in caplog.records if record.message == "subject not swept"]
    assert failure["subject"] == ADA


def test_repeated_sweep_deletes_nothing_more(s3: FakeS3, sweep: RunSweep) -> None:
    s3.put_manifest(ADA, CURRENT, 30)
    s3.put_version(ADA, OLD, 100)
    s3.put_version(ADA, CURRENT, 30)
    assert (sweep()["deleted"], sweep()["deleted"]) == (2, 0)


@pytest.mark.parametrize("day", range(16))
def test_every_first_digit_is_swept_on_every_day(
    s3: FakeS3, handler: ModuleType, monkeypatch: pytest.MonkeyPatch, day: int
) -> None:
    for digit in "0123456789abcdef":
        s3.put_version(f"{digit}a1b2c3d", OLD, 1_000)

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) + timedelta(days=day)

    monkeypatch.setattr(handler, "datetime", Clock)
    assert handler.handle({}, Context()) == {"subjects": 16, "deleted": 32, "failed": 0, "is_complete": True}
    assert s3.objects == {}


def test_sweep_without_time_ends_and_starts_elsewhere_the_next_day(
    s3: FakeS3, handler: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("functions.sweep_avatars.sweep._CHUNK", 1)
    firsts = list[str]()
    for day in range(16):
        for digit in "0123456789abcdef":
            s3.put_version(f"{digit}a1b2c3d", OLD, 1_000)

        class Clock(datetime):
            @classmethod
            def now(cls, tz: Any = None, day: int = day) -> datetime:
                return datetime.now(tz) + timedelta(days=day)

        monkeypatch.setattr(handler, "datetime", Clock)
        before = {key.split("/")[1] for key in s3.objects}
        result = handler.handle({}, Context(handler.RESERVED_MS))
        assert (result["is_complete"], result["subjects"]) == (False, 1)
        firsts += before - {key.split("/")[1] for key in s3.objects}
    assert sorted(first[0] for first in firsts) == list("0123456789abcdef")


@pytest.mark.parametrize(
    ("later", "kept"), [(timedelta(0), ({OLD, CURRENT}, {NEWER})), (timedelta.resolution, ({CURRENT}, set[str]()))]
)
def test_version_is_kept_up_to_the_exact_end_of_its_time(
    s3: FakeS3, later: timedelta, kept: tuple[set[str], set[str]]
) -> None:
    """LastModified has no fractions: a manifest may have been written up to a second after it."""
    now, lifetime = datetime(2026, 3, 1, tzinfo=UTC), timedelta(days=ORIGINALS_DAYS)
    s3.objects = {
        f"avatars/{ADA}.json": (json.dumps({"version": CURRENT}).encode(), now - RETENTION - timedelta(seconds=1)),
        f"avatars/{ADA}/{OLD}/64.webp": (b"", now - RETENTION),
        f"avatars/{ADA}/{CURRENT}/64.webp": (b"", now - RETENTION),
        f"avatars/{BOB}/{NEWER}/64.webp": (b"", now - RETENTION - lifetime),
    }
    client: Any = s3
    Sweep(client, "assets", lifetime, now + later).run(list_subjects(client, "assets"), lambda: True)
    assert (s3.versions_of(ADA), s3.versions_of(BOB)) == kept


def test_sweep_starts_no_chunk_in_the_last_minute(
    s3: FakeS3, handler: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("functions.sweep_avatars.sweep._CHUNK", 1)
    s3.put_version(ADA, OLD, 0)
    s3.put_version(BOB, OLD, 0)
    assert handler.handle({}, Context(60_001))["is_complete"]
    assert not handler.handle({}, Context(60_000))["is_complete"]


def test_list_subjects_groups_keys_over_pages(s3: FakeS3) -> None:
    """A subject that begins with another one is a subject of its own."""
    names = ["a", "a-1", "a0", "b"]
    for name in names:
        s3.put_manifest(name, CURRENT, 1)
        s3.put(f"avatars/{name}.jpg", 1)
        s3.put_version(name, OLD, 1)
        s3.put_version(name, CURRENT, 1)
    subjects = list(list_subjects(s3, "assets"))  # type: ignore[arg-type]
    assert sorted(subject.name for subject in subjects) == names
    assert all(subject.manifest and subject.stable_jpeg for subject in subjects)
    assert all({version: len(its) for version, its in s.versions.items()} == {OLD: 2, CURRENT: 2} for s in subjects)
    assert s3.listed == 5


def test_slow_request_is_repeated_after_two_seconds(load_handler: LoadHandler) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance-guidelines.html"""
    loaded = load_handler("sweep_avatars", {"ASSETS_BUCKET": "assets", "ORIGINALS_DAYS": "14"})
    assert loaded.S3.meta.config.read_timeout == 2


@pytest.mark.parametrize("missing", ["ASSETS_BUCKET", "ORIGINALS_DAYS"])
def test_import_with_missing_setting_raises_key_error(load_handler: LoadHandler, missing: str) -> None:
    settings = {"ASSETS_BUCKET": "assets", "ORIGINALS_DAYS": "14"}
    with pytest.raises(KeyError, match=missing):
        load_handler("sweep_avatars", {name: value for name, value in settings.items() if name != missing})
