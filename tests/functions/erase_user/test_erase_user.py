"""The erasure of a user against S3 and DynamoDB of a moto server, with stand-ins for two other functions."""

import functools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest

from functions.erase_user import erasure
from functions.shared import upload_id, user_block
from tests.functions.conftest import LoadHandler
from tests.functions.servers import HttpStub

SUBJECT = "0a1b2c3d-0000-4000-8000-00000000a11c"
# Others, whose keys begin with the same characters, or are the beginning of them.
OTHERS = (f"{SUBJECT}2", f"{SUBJECT}-2", SUBJECT[:-1], "0a1b2c3d-0000-4000-8000-000000000b0b")
UPLOAD = upload_id.create(SUBJECT, int(time.time() * 1000) - 60_000)
VERSION = f"{UPLOAD}-001-00112233"
PROFILE_ARN = "arn:aws:lambda:eu-west-1:123456789012:function:erase_profile"
PROCESSING_SECONDS = 14
NOTHING = {"objects": 0, "limits": 0, "profile": False, "handles": 0}


@dataclass
class Service:
    """The function, and what it works on. Pauses take no time: process_avatar's work is done in them."""

    handler: ModuleType
    s3: Any
    dynamodb: Any
    uploads: str
    assets: str
    table: str
    profiles: HttpStub
    is_processing: bool = True
    is_requested_late: bool = False
    """Whether there is another request to delete the avatar while it waits for process_avatar."""
    pauses: list[float] | None = None

    def erase(self) -> dict[str, Any]:
        self.pauses = []
        return self.handler.handle({"subject": SUBJECT}, None)

    def pause(self, seconds: float) -> None:
        """Complete the requests to delete avatars, as process_avatar does."""
        assert self.pauses is not None
        self.pauses.append(seconds)
        for key in self.list_keys(self.uploads):
            if self.is_processing and key.startswith("deletions/"):
                self.s3.delete_object(Bucket=self.uploads, Key=key)
        if self.is_requested_late and seconds == PROCESSING_SECONDS:
            self.store("deletions")

    def publish(self, subject: str = SUBJECT) -> None:
        """Store a current avatar with its version."""
        manifest = {"subject": subject, "upload_id": UPLOAD, "version": VERSION, "images": []}
        self.s3.put_object(Bucket=self.assets, Key=f"avatars/{subject}/{VERSION}/256.webp", Body=b"webp")
        self.s3.put_object(Bucket=self.assets, Key=f"avatars/{subject}.json", Body=json.dumps(manifest))
        self.s3.put_object(
            Bucket=self.assets, Key=f"avatars/{subject}.jpg", Body=b"jpeg", Metadata={"version": VERSION}
        )

    def store(self, *prefixes: str, subject: str = SUBJECT) -> None:
        for prefix in prefixes:
            self.s3.put_object(Bucket=self.uploads, Key=f"{prefix}/{subject}/{UPLOAD}", Body=b"")

    def count_uploads(self, *periods: str, subject: str = SUBJECT) -> None:
        for period in periods:
            item = {"subject": {"S": subject}, "period": {"S": period}}
            self.dynamodb.put_item(TableName=self.table, Item=item)

    def list_keys(self, bucket: str) -> list[str]:
        return [entry["Key"] for entry in self.s3.list_objects_v2(Bucket=bucket).get("Contents", [])]

    def list_versions(self) -> list[tuple[str, str]]:
        """The keys and IDs of all versions and delete markers in both buckets."""
        pages = [self.s3.list_object_versions(Bucket=bucket) for bucket in (self.uploads, self.assets)]
        return [
            (its["Key"], its["VersionId"])
            for page in pages
            for its in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        ]

    def list_items(self) -> list[tuple[str, str]]:
        items = self.dynamodb.scan(TableName=self.table, ConsistentRead=True)["Items"]
        return sorted((item["subject"]["S"], item["period"]["S"]) for item in items)


@pytest.fixture
def load(
    load_handler: LoadHandler,
    moto_endpoint: str,
    s3: Any,
    new_bucket: Callable[[], str],
    dynamodb: Any,
    limits_table: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[..., Service]]:
    uploads, assets = new_bucket(), new_bucket()
    s3.put_bucket_versioning(Bucket=assets, VersioningConfiguration={"Status": "Enabled"})
    with HttpStub(body=b'{"profile": true, "handles": 2}') as profiles:

        def load(**environment: str) -> Service:
            settings = {
                **{f"AWS_ENDPOINT_URL_{service}": moto_endpoint for service in ("S3", "DYNAMODB")},
                "AWS_ENDPOINT_URL_LAMBDA": profiles.url,
                "UPLOADS_BUCKET": uploads,
                "ASSETS_BUCKET": assets,
                "LIMITS_TABLE": limits_table,
                "ERASE_PROFILE_ARN": "",
                "PROCESSING_SECONDS": str(PROCESSING_SECONDS),
                "LOG_RETENTION_DAYS": "30",
                **environment,
            }
            handler = load_handler("erase_user", settings)
            service = Service(handler, s3, dynamodb, uploads, assets, limits_table, profiles)
            monkeypatch.setattr(erasure.time, "sleep", service.pause)
            return service

        yield load


@pytest.fixture
def service(load: Callable[..., Service]) -> Service:
    return load()


def describe(report: dict[str, Any]) -> list[str]:
    """What remains although it should not."""
    return [f"{its['what']}: {its['why']}" for its in report["remaining"] if "why" in its]


# --- What is removed --------------------------------------------------------------------------------------------------


def test_erase_removes_everything_of_subject_in_all_versions(service: Service) -> None:
    service.publish()
    service.publish()
    service.s3.delete_object(Bucket=service.assets, Key=f"avatars/{SUBJECT}/{VERSION}/256.webp")
    service.store("incoming", "rejected", "deletions", "held")
    service.count_uploads("hour#2026-11-28T01", "hour#2026-11-28T02")
    report = service.erase()
    assert (service.list_versions(), service.list_items()) == ([], [(SUBJECT, "block")])
    # Three objects in two versions each, a delete marker, the record of the deletion in place of two objects, and what
    # is in the uploads bucket but for the requests, which process_avatar deletes.
    assert report["removed"] == {**NOTHING, "objects": 6 + 1 + 2 + 3, "limits": 2}
    assert describe(report) == []


def test_erase_keeps_everything_of_others(service: Service) -> None:
    for subject in OTHERS:
        service.publish(subject)
        service.store("incoming", "rejected", "held", subject=subject)
        service.count_uploads("hour#2026-11-28T01", "block", subject=subject)
    versions, items = service.list_versions(), service.list_items()
    service.publish()
    service.store("incoming", "rejected", "held")
    service.count_uploads("hour#2026-11-28T01")
    service.erase()
    assert service.list_versions() == versions
    assert service.list_items() == sorted([*items, (SUBJECT, "block")])


def test_erase_again_removes_nothing(service: Service) -> None:
    service.publish()
    service.erase()
    report = service.erase()
    assert report["removed"] == NOTHING
    assert (service.list_versions(), service.list_items()) == ([], [(SUBJECT, "block")])
    assert [its["what"] for its in report["remaining"]] == [
        "a block of uploads",
        "access logs of the CDN, logs of the API and functions",
    ]


def test_erase_reads_every_page_of_versions_and_items(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        service.publish()
    service.count_uploads(*(f"hour#2026-11-28T{hour:02}" for hour in range(5)))
    client = service.handler.S3
    monkeypatch.setattr(client, "list_object_versions", functools.partial(client.list_object_versions, MaxKeys=2))
    client = service.handler.DYNAMODB
    monkeypatch.setattr(client, "query", functools.partial(client.query, Limit=2))
    report = service.erase()
    assert (service.list_versions(), service.list_items()) == ([], [(SUBJECT, "block")])
    assert (report["removed"]["objects"], report["removed"]["limits"]) == (3 * 3 + 2, 5)


# --- The block --------------------------------------------------------------------------------------------------------


def test_erase_blocks_uploads_for_a_day(service: Service) -> None:
    report = service.erase()
    end = user_block.read_end(service.dynamodb, service.table, SUBJECT)
    assert end
    assert timedelta(0) <= datetime.now(UTC) + timedelta(days=1) - end < timedelta(minutes=1)
    assert report["remaining"][0] == {"what": "a block of uploads", "until": f"{end:%Y-%m-%dT%H:%M:%SZ}"}


@pytest.mark.parametrize(("hours", "kept"), [(1, False), (48, True)])
def test_erase_keeps_only_a_longer_block(service: Service, hours: int, kept: bool) -> None:
    existing = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=hours)
    user_block.put(service.dynamodb, service.table, SUBJECT, existing)
    service.erase()
    assert (user_block.read_end(service.dynamodb, service.table, SUBJECT) == existing) == kept


# --- What is under way ------------------------------------------------------------------------------------------------


def test_avatar_is_deleted_after_block_and_before_its_record(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The avatar is replaced by the record of its deletion while anything may be under way."""
    service.publish()
    service.store("incoming")
    seen: list[tuple[float, list[tuple[str, str]], bool]] = []

    def look(seconds: float) -> None:
        manifest = json.load(service.s3.get_object(Bucket=service.assets, Key=f"avatars/{SUBJECT}.json")["Body"])
        seen.append((seconds, service.list_items(), "deleted_at" in manifest))
        service.pause(seconds)

    monkeypatch.setattr(erasure.time, "sleep", look)
    service.erase()
    assert seen == [(pause, [(SUBJECT, "block")], True) for pause in (1, PROCESSING_SECONDS)]


def test_erase_without_originals_waits_for_processing(service: Service) -> None:
    """Another delivery may have deleted the original of one that is under way."""
    service.erase()
    assert service.pauses == [PROCESSING_SECONDS]


def test_old_versions_are_deleted_before_the_latest(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the avatar is public again for a moment, or for good if the next request fails."""
    service.publish()
    requests: list[list[bool]] = []
    delete_objects = service.handler.S3.delete_objects

    def look(**request: Any) -> Any:
        page = service.s3.list_object_versions(Bucket=request["Bucket"], Prefix=f"avatars/{SUBJECT}.")
        latest = {its["VersionId"]: its["IsLatest"] for its in page["Versions"]}
        requests.append(
            [latest[its["VersionId"]] for its in request["Delete"]["Objects"] if its["VersionId"] in latest]
        )
        return delete_objects(**request)

    monkeypatch.setattr(service.handler.S3, "delete_objects", look)
    service.erase()
    assert list(filter(None, requests)) == [[False, False], [True, True]]


def test_latest_versions_stay_if_an_old_one_is_not_deleted(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.publish()
    delete_objects = service.handler.S3.delete_objects

    def fail_once(**request: Any) -> Any:
        *others, failed = request["Delete"]["Objects"]
        if failed["Key"] != f"avatars/{SUBJECT}.json":
            return delete_objects(**request)
        monkeypatch.setattr(service.handler.S3, "delete_objects", delete_objects)
        delete_objects(**{**request, "Delete": {"Objects": others, "Quiet": True}})
        return {"Errors": [{**failed, "Code": "InternalError", "Message": "try again"}]}

    monkeypatch.setattr(service.handler.S3, "delete_objects", fail_once)
    service.erase()
    manifest = json.load(service.s3.get_object(Bucket=service.assets, Key=f"avatars/{SUBJECT}.json")["Body"])
    assert "deleted_at" in manifest


def test_deletion_in_the_queue_is_reported_and_completed_by_next_run(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the request, process_avatar would not remove the avatar from the CDN's caches."""
    monkeypatch.setattr(erasure, "QUEUE_SECONDS", 0.05)
    service.publish()
    service.is_processing = False
    report = service.erase()
    assert describe(report) == [
        "the deletion of the avatar: it waits in the queue or the dead-letter queue; when it is processed, "
        "run the erasure again"
    ]
    ((key, _),) = service.list_versions()
    assert key.startswith(f"deletions/{SUBJECT}/")
    service.is_processing = True
    assert describe(service.erase()) == []
    assert service.list_versions() == []


# --- The profile ------------------------------------------------------------------------------------------------------


def test_profile_is_erased_by_its_function(load: Callable[..., Service]) -> None:
    service = load(ERASE_PROFILE_ARN=PROFILE_ARN)
    report = service.erase()
    assert report["removed"] == {**NOTHING, "profile": True, "handles": 2}
    ((_, body),) = service.profiles.requests
    assert json.loads(body) == {"subject": SUBJECT}
    (path,) = service.profiles.paths
    assert path == f"/2015-03-31/functions/{PROFILE_ARN.replace(':', '%3A')}/invocations"


def test_failed_erasure_of_profile_is_reported_after_the_rest(load: Callable[..., Service]) -> None:
    service = load(ERASE_PROFILE_ARN=PROFILE_ARN)
    service.profiles.headers["X-Amz-Function-Error"] = "Unhandled"
    service.profiles.body = b'{"errorType": "UnavailableError", "errorMessage": "timeout expired"}'
    service.publish()
    report = service.erase()
    assert service.list_versions() == []
    assert (report["removed"]["profile"], report["removed"]["handles"]) == (False, 0)
    assert describe(report) == ["profile and handles: timeout expired; run the erasure again"]


def test_without_database_no_function_is_invoked(service: Service) -> None:
    service.erase()
    assert service.profiles.requests == []


# --- What remains -----------------------------------------------------------------------------------------------------


def test_request_to_delete_that_comes_meanwhile_is_reported(service: Service) -> None:
    service.publish()
    service.store("incoming")
    service.is_requested_late = True
    assert [its.partition(":")[0] for its in describe(service.erase())] == ["the deletion of the avatar"]


def test_edges_and_logs_remain_until_they_expire(service: Service) -> None:
    service.publish()
    remaining = service.erase()["remaining"][1:]
    end = datetime.now(UTC) + timedelta(days=30)
    assert remaining == [
        {"what": "copies at edge locations of the CDN", "until": "the invalidation is complete"},
        {"what": "access logs of the CDN, logs of the API and functions", "until": remaining[1]["until"]},
    ]
    assert abs(datetime.fromisoformat(remaining[1]["until"]) - end) < timedelta(minutes=1)


def test_versions_that_are_not_deleted_are_reported_and_logged(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    service.store("held")
    error = {"Key": f"held/{SUBJECT}/{UPLOAD}", "VersionId": "null", "Code": "InternalError", "Message": "try again"}
    monkeypatch.setattr(service.handler.S3, "delete_objects", lambda **_: {"Errors": [error]})
    report = service.erase()
    assert report["removed"] == NOTHING
    assert describe(report) == ["1 object versions: stored meanwhile, or not deleted: run the erasure again"]
    (record,) = [its for its in caplog.records if its.message == "version not deleted"]
    assert (vars(record)["Key"], vars(record)["Code"]) == (error["Key"], "InternalError")


def test_item_that_is_counted_meanwhile_is_reported(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.count_uploads("hour#2026-11-28T01")
    monkeypatch.setattr(service.handler.DYNAMODB, "delete_item", lambda **_: None)
    assert describe(service.erase()) == ["1 counted hours of uploads: counted meanwhile: run the erasure again"]


# --- Input ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", [{}, {"subject": None}, {"subject": 1}, {"sub": "x"}, [], None, "x"])
def test_event_without_subject_raises_error_that_shows_it(service: Service, event: object) -> None:
    with pytest.raises(ValueError, match="the event has no subject") as error:
        service.handler.handle(event, None)
    assert repr(event) in str(error.value)


@pytest.mark.parametrize("subject", ["", "a/b", "..", "a" * 129, "a*"])
def test_invalid_subject_raises_error_that_names_it(service: Service, subject: str) -> None:
    with pytest.raises(ValueError, match="cannot be part of a key") as error:
        service.handler.handle({"subject": subject}, None)
    assert repr(subject) in str(error.value)
    assert service.list_items() == []
