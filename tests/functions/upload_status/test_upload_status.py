import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest

from functions.shared import stored_avatar, upload_id
from tests.functions.conftest import LoadHandler

SUBJECT = "0a1b2c3d-0000-4000-8000-00000000a11c"
CDN_URL = "https://cdn.example.com"
ANOTHER = "0a1b2c3d-0000-4000-8000-000000000b0b"


@dataclass(frozen=True)
class Service:
    handler: ModuleType
    s3: Any
    uploads: str
    assets: str

    def ask(self, asked: str) -> tuple[int, dict[str, Any]]:
        event = {
            "requestContext": {"authorizer": {"lambda": {"sub": SUBJECT}}},
            "pathParameters": {"upload_id": asked},
        }
        answer = self.handler.handle(event, None)
        return answer["statusCode"], json.loads(answer["body"])

    def publish(self, upload: str) -> dict[str, Any]:
        """Store a manifest, and return it as the API does: with absolute URLs."""
        path = f"/avatars/{SUBJECT}.jpg"
        manifest = {"subject": SUBJECT, "upload_id": upload, "version": f"{upload}-000", "images": [], "url": path}
        self.s3.put_object(Bucket=self.assets, Key=f"avatars/{SUBJECT}.json", Body=json.dumps(manifest))
        return {**manifest, "url": f"{CDN_URL}{path}"}

    def delete(self, deletion_id: str) -> None:
        stored_avatar.delete(self.s3, self.assets, SUBJECT, deletion_id)

    def reject(self, upload: str, reason: str) -> None:
        record = {"status": "rejected", "reason": reason, "at": "2026-03-01T09:05:07Z", "upload_id": upload}
        key = f"rejected/{SUBJECT}/{upload}.json"
        self.s3.put_object(Bucket=self.uploads, Key=key, Body=json.dumps(record))

    def receive(self, upload: str) -> None:
        self.s3.put_object(Bucket=self.uploads, Key=f"incoming/{SUBJECT}/{upload}", Body=b"jpeg")


@pytest.fixture
def service(
    load_handler: LoadHandler, s3_environment: dict[str, str], s3: Any, new_bucket: Callable[[], str]
) -> Service:
    uploads, assets = new_bucket(), new_bucket()
    settings = {"UPLOADS_BUCKET": uploads, "ASSETS_BUCKET": assets, "CDN_URL": CDN_URL, "IS_MODERATED": ""}
    return Service(load_handler("upload_status", {**s3_environment, **settings}), s3, uploads, assets)


def made(seconds_ago: float, subject: str = SUBJECT) -> str:
    return upload_id.create(subject, int((time.time() - seconds_ago) * 1000))


def test_status_of_new_form_is_pending(service: Service) -> None:
    asked = made(seconds_ago=0)
    assert service.ask(asked) == (200, {"upload_id": asked, "status": "pending"})


def test_status_of_expired_unused_form_is_404(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    now = float(int(time.time()))
    monkeypatch.setattr(time, "time", lambda: now)
    assert service.ask(made(seconds_ago=359.999))[0] == 200
    status, answer = service.ask(made(seconds_ago=360))
    assert (status, answer["error"]["code"]) == (404, "not_found")


def test_status_of_old_unprocessed_original_is_pending(service: Service) -> None:
    asked = made(seconds_ago=86_400)
    service.receive(asked)
    assert service.ask(asked) == (200, {"upload_id": asked, "status": "pending"})


def test_silent_s3_is_given_up_within_the_timeout_of_the_function(service: Service) -> None:
    """Of 5 seconds, for three attempts with connect and read timeouts, and the pauses between them."""
    config = service.handler.S3.meta.config
    assert 3 * (config.connect_timeout + config.read_timeout) + 0.15 < 5


def test_status_of_current_avatar_is_ready_with_manifest(service: Service) -> None:
    asked = made(seconds_ago=10)
    service.receive(asked)
    manifest = service.publish(asked)
    assert service.ask(asked) == (200, {"upload_id": asked, "status": "ready", "avatar": manifest})


@pytest.mark.parametrize("had_avatar", [True, False])
def test_status_of_upload_before_deletion_is_rejected_as_deleted(service: Service, had_avatar: bool) -> None:
    asked = made(seconds_ago=10)
    service.receive(asked)
    if had_avatar:
        service.publish(made(seconds_ago=8))
    service.delete(made(seconds_ago=5))
    assert service.ask(asked) == (200, {"upload_id": asked, "status": "rejected", "reason": "deleted"})


def test_status_of_upload_after_deletion_is_its_own(service: Service) -> None:
    service.delete(made(seconds_ago=10))
    asked = made(seconds_ago=5)
    assert service.ask(asked)[1]["status"] == "pending"
    service.reject(asked, "truncated")
    assert service.ask(asked)[1]["reason"] == "truncated"


def test_status_of_rejected_upload_has_the_reason(service: Service) -> None:
    asked = made(seconds_ago=10)
    service.receive(asked)
    service.reject(asked, "too_many_pixels")
    assert service.ask(asked) == (
        200,
        {"upload_id": asked, "status": "rejected", "reason": "too_many_pixels"},
    )


def test_status_of_rejected_upload_is_ready_after_newer_upload(service: Service) -> None:
    """As of every superseded upload: a rejection may be recorded after the status was ready."""
    asked = made(seconds_ago=20)
    service.reject(asked, "truncated")
    manifest = service.publish(made(seconds_ago=10))
    assert service.ask(asked) == (200, {"upload_id": asked, "status": "ready", "avatar": manifest})


def test_status_of_rejected_upload_with_older_avatar_is_rejected(service: Service) -> None:
    service.publish(made(seconds_ago=20))
    asked = made(seconds_ago=10)
    service.reject(asked, "truncated")
    assert service.ask(asked)[1]["status"] == "rejected"


@pytest.mark.parametrize("result", ["ready", "rejected"])
def test_status_of_upload_processed_meanwhile_is_its_result(
    service: Service, monkeypatch: pytest.MonkeyPatch, result: str
) -> None:
    """The result is written, and the original deleted, between the looks at the result and at the original."""
    asked = made(seconds_ago=400)
    service.receive(asked)
    real_head_object = service.handler.S3.head_object

    def head_object(**request: Any) -> Any:
        if result == "ready":
            service.publish(asked)
        else:
            service.reject(asked, "truncated")
        service.s3.delete_object(Bucket=service.uploads, Key=request["Key"])
        return real_head_object(**request)

    monkeypatch.setattr(service.handler.S3, "head_object", head_object)
    assert service.ask(asked)[1]["status"] == result


def test_status_of_superseded_upload_is_ready_with_newer_avatar(service: Service) -> None:
    asked = made(seconds_ago=20)
    service.receive(asked)
    manifest = service.publish(made(seconds_ago=10))
    assert service.ask(asked) == (200, {"upload_id": asked, "status": "ready", "avatar": manifest})


def test_status_with_older_avatar_is_pending(service: Service) -> None:
    service.publish(made(seconds_ago=20))
    asked = made(seconds_ago=10)
    service.receive(asked)
    assert service.ask(asked) == (200, {"upload_id": asked, "status": "pending"})


def test_status_of_another_users_upload_is_404(service: Service) -> None:
    asked = made(seconds_ago=0, subject=ANOTHER)
    service.s3.put_object(Bucket=service.uploads, Key=f"incoming/{ANOTHER}/{asked}", Body=b"jpeg")
    status, answer = service.ask(asked)
    assert (status, answer) == (
        404,
        {"error": {"code": "not_found", "message": "there is no such upload"}},
    )


@pytest.mark.parametrize("asked", ["", "x", "../manifest", "0" * 26, "01KJM8QZ5K3V7N2R9T4W6X8Y0Z"])
def test_status_of_invalid_id_is_404(service: Service, asked: str) -> None:
    assert service.ask(asked)[0] == 404


# --- Moderation -------------------------------------------------------------------------------------------------------


def hold(service: Service, upload: str) -> None:
    record = {"reason": "Suggestive", "at": "2026-03-01T09:05:07Z", "etag": '"0"'}
    service.s3.put_object(Bucket=service.uploads, Key=f"held/{SUBJECT}/{upload}.json", Body=json.dumps(record))


@pytest.fixture
def moderated(service: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
    monkeypatch.setattr(service.handler, "IS_MODERATED", True)
    return service


def test_held_upload_is_held_without_the_reason(moderated: Service) -> None:
    asked = upload_id.create(SUBJECT, 1)
    hold(moderated, asked)
    assert moderated.ask(asked) == (200, {"upload_id": asked, "status": "held"})


def test_held_upload_that_was_decided_or_superseded_has_its_result(moderated: Service) -> None:
    """The record of the hold is deleted after the result is written."""
    asked = upload_id.create(SUBJECT, 1)
    hold(moderated, asked)
    moderated.reject(asked, "not_allowed")
    assert moderated.ask(asked)[1] == {"upload_id": asked, "status": "rejected", "reason": "not_allowed"}
    avatar = moderated.publish(upload_id.create(SUBJECT, 2))
    assert moderated.ask(asked)[1] == {"upload_id": asked, "status": "ready", "avatar": avatar}


def test_without_moderation_there_is_no_request_for_held_uploads(service: Service) -> None:
    asked = upload_id.create(SUBJECT, int(time.time() * 1000))
    hold(service, asked)
    assert service.ask(asked)[1]["status"] == "pending"
