"""DELETE /avatars/me against moto's S3."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest
from botocore.exceptions import ClientError

from functions.shared import stored_avatar, upload_id
from tests.functions.conftest import LoadHandler

SUBJECT = "0a1b2c3d-0000-4000-8000-00000000a11c"
OTHER = "0a1b2c3d-0000-4000-8000-000000000b0b"


@dataclass(frozen=True)
class Service:
    handler: ModuleType
    s3: Any
    uploads: str
    assets: str

    def delete(self) -> int:
        response = self.handler.handle({"requestContext": {"authorizer": {"lambda": {"sub": SUBJECT}}}}, None)
        assert response == {"statusCode": response["statusCode"], "headers": {"cache-control": "no-store"}}
        return response["statusCode"]

    def publish(self, upload: str, subject: str = SUBJECT) -> None:
        version = f"{upload}-001-00112233"
        manifest = {"subject": subject, "upload_id": upload, "version": version, "images": []}
        self.s3.put_object(Bucket=self.assets, Key=f"avatars/{subject}.json", Body=json.dumps(manifest))
        self.s3.put_object(
            Bucket=self.assets, Key=f"avatars/{subject}.jpg", Body=b"jpeg", Metadata={"version": version}
        )

    def keys(self, bucket: str) -> list[str]:
        return [entry["Key"] for entry in self.s3.list_objects_v2(Bucket=bucket).get("Contents", [])]

    def manifest(self) -> dict[str, Any]:
        return json.load(self.s3.get_object(Bucket=self.assets, Key=f"avatars/{SUBJECT}.json")["Body"])

    def tags(self, key: str) -> list[dict[str, str]]:
        return self.s3.get_object_tagging(Bucket=self.assets, Key=key)["TagSet"]


@pytest.fixture
def service(
    load_handler: LoadHandler, s3_environment: dict[str, str], s3: Any, new_bucket: Callable[[], str]
) -> Service:
    uploads, assets = new_bucket(), new_bucket()
    environment = {**s3_environment, "UPLOADS_BUCKET": uploads, "ASSETS_BUCKET": assets}
    return Service(load_handler("delete_avatar", environment), s3, uploads, assets)


def new_id(seconds_ago: float = 10) -> str:
    return upload_id.create(SUBJECT, int((time.time() - seconds_ago) * 1000))


def test_delete_avatar_records_deletion_and_request(service: Service) -> None:
    service.publish(new_id())
    service.publish(new_id(), OTHER)
    assert service.delete() == 204
    (request,) = service.keys(service.uploads)
    prefix, subject, deletion_id = request.split("/")
    assert (prefix, subject) == ("deletions", SUBJECT)
    assert upload_id.is_owned_by(deletion_id, SUBJECT)
    assert abs(upload_id.parse_time_ms(deletion_id) - time.time() * 1000) < 60_000
    manifest = service.manifest()
    assert manifest.pop("deleted_at")[:19] == time.strftime(
        "%Y-%m-%dT%H:%M:%S", time.gmtime(upload_id.parse_time_ms(deletion_id) / 1000)
    )
    assert manifest == {"subject": SUBJECT, "upload_id": deletion_id, "version": deletion_id}
    jpeg = service.s3.get_object(Bucket=service.assets, Key=f"avatars/{SUBJECT}.jpg")
    assert jpeg["Metadata"] == {"version": deletion_id}
    assert jpeg["Body"].read() == deletion_id.encode()
    for key in (f"avatars/{SUBJECT}.json", f"avatars/{SUBJECT}.jpg"):
        assert service.tags(key) == [{"Key": "deleted", "Value": "true"}]
    assert service.tags(f"avatars/{OTHER}.json") == []


@pytest.mark.parametrize("key", ["incoming/{}/{}", "rejected/{}/{}.json"])
def test_delete_without_avatar_records_deletion_of_upload(service: Service, key: str) -> None:
    upload = new_id()
    service.s3.put_object(Bucket=service.uploads, Key=key.format(SUBJECT, upload), Body=b"")
    assert service.delete() == 204
    assert service.manifest()["upload_id"] > upload


def test_delete_without_anything_stores_nothing(service: Service) -> None:
    service.s3.put_object(Bucket=service.uploads, Key=f"incoming/{SUBJECT}/notes.txt", Body=b"")
    service.s3.put_object(Bucket=service.uploads, Key=f"incoming/{OTHER}/{new_id()}", Body=b"")
    assert service.delete() == 204
    assert len(service.keys(service.uploads)) == 2
    assert service.keys(service.assets) == []


def test_repeated_delete_records_one_deletion(service: Service) -> None:
    service.publish(new_id())
    assert (service.delete(), service.delete()) == (204, 204)
    assert len(service.keys(service.uploads)) == 1


@pytest.mark.parametrize("seconds_ago", [-3600, 0])
def test_deletion_is_newer_than_avatar_of_a_faster_clock(service: Service, seconds_ago: float) -> None:
    upload = new_id(seconds_ago)
    service.publish(upload)
    service.delete()
    assert service.manifest()["upload_id"] > upload


def test_deletion_is_newer_than_original_of_a_faster_clock(service: Service) -> None:
    upload = new_id(-3600)
    service.s3.put_object(Bucket=service.uploads, Key=f"incoming/{SUBJECT}/{upload}", Body=b"")
    service.delete()
    assert service.manifest()["upload_id"] > upload


def test_failure_after_request_keeps_request(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """process_avatar records the deletion in that case."""
    service.publish(new_id())

    def refuse(*_: object) -> None:
        raise ClientError({"Error": {"Code": "InternalError"}}, "PutObject")

    monkeypatch.setattr(stored_avatar, "delete", refuse)
    with pytest.raises(ClientError, match="InternalError"):
        service.delete()
    assert [key.split("/")[0] for key in service.keys(service.uploads)] == ["deletions"]


@pytest.mark.parametrize("missing", ["UPLOADS_BUCKET", "ASSETS_BUCKET"])
def test_import_with_missing_setting_raises_key_error(load_handler: LoadHandler, missing: str) -> None:
    settings = {"UPLOADS_BUCKET": "uploads", "ASSETS_BUCKET": "assets"}
    with pytest.raises(KeyError, match=missing):
        load_handler("delete_avatar", {name: value for name, value in settings.items() if name != missing})
