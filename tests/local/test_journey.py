"""Uploads end to end: sign-in, form, upload, event, processing, CDN, webhook."""

from __future__ import annotations

import datetime
import io
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

import pillow_heif
import pytest
import requests
from PIL import Image, ImageOps

from client.session import ClientError, Session
from functions.shared.stored_avatar import with_absolute_urls
from local.stack import LocalStack
from operations.operated_stack import OperationError
from operations.reprocessing import reprocess
from tests.local.conftest import (
    PHOTO,
    build_s3_event,
    fail_until_dead,
    find_queue_urls,
    has_failures,
    hold_events,
    operate,
    send_message,
    sign_in,
    wait_until,
)

pillow_heif.register_heif_opener()

FORMATS = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "AVIF": "image/avif",
    "HEIF": "image/heic",
}


def encode(image_format: str) -> bytes:
    with Image.open(PHOTO) as photo:
        upright = ImageOps.exif_transpose(photo)
        buffer = io.BytesIO()
        upright.save(buffer, image_format)
    return buffer.getvalue()


def call_api(session: Session, stack: LocalStack, method: str, path: str, body: Any = None) -> requests.Response:
    headers = {"Authorization": f"Bearer {session.access_token}"}
    return requests.request(method, stack.api_url + path, json=body, headers=headers, timeout=30)


def request_form(session: Session, stack: LocalStack, content_type: str = "image/jpeg", **more: Any) -> dict[str, Any]:
    response = call_api(session, stack, "POST", "/avatars/key_upload", {"content_type": content_type, **more})
    assert response.status_code == 200, response.text
    return response.json()


def post(form: Mapping[str, Any], data: bytes, **changed: str) -> requests.Response:
    return requests.post(form["url"], data={**form["fields"], **changed}, files={"file": data}, timeout=30)


def get_status(session: Session, stack: LocalStack, upload_id: str) -> dict[str, Any]:
    response = call_api(session, stack, "GET", f"/avatars/uploads/{upload_id}")
    assert response.status_code == 200, response.text
    return response.json()


def wait_for_status(session: Session, stack: LocalStack, upload_id: str, wanted: str) -> dict[str, Any]:
    wait_until(lambda: get_status(session, stack, upload_id)["status"] == wanted, f"{upload_id} {wanted}")
    return get_status(session, stack, upload_id)


class TestFormats:
    @pytest.mark.parametrize("image_format", FORMATS)
    def test_picture_of_each_format_is_published_to_the_cdn(
        self, stack: LocalStack, session: Session, image_format: str
    ) -> None:
        data = encode(image_format)
        upload = session.upload(data, FORMATS[image_format])
        manifest = upload.avatar
        assert manifest["subject"] == session.subject
        assert manifest["source"] == {
            "format": FORMATS[image_format].removeprefix("image/"), "width": 512, "height": 552, "bytes": len(data)
        }  # fmt: skip
        assert [image["size"] for image in manifest["images"]] == [256]
        for image in manifest["images"]:
            response = requests.get(image["url"], timeout=5)
            assert response.headers["Content-Type"] == "image/webp"
            assert len(response.content) == image["bytes"]
            assert Image.open(io.BytesIO(response.content)).size == (image["size"], image["size"])
        stable = requests.get(manifest["url"], timeout=5)
        assert manifest["url"] == stack.exports["avatarUrl"].replace("{subject}", session.subject)
        assert (stable.headers["Content-Type"], Image.open(io.BytesIO(stable.content)).size) == (
            "image/jpeg",
            (512, 512),
        )
        assert call_api(session, stack, "GET", "/avatars/me").json() == manifest
        public = requests.get(f"{stack.cdn_url}/avatars/{session.subject}.json", timeout=5).json()
        assert with_absolute_urls(public, stack.cdn_url) == manifest
        assert public["url"] == f"/avatars/{session.subject}.jpg"

    def test_photo_with_exif_orientation_is_published_upright(self, session: Session) -> None:
        with Image.open(PHOTO) as photo:
            assert photo.getexif()[0x0112] == 6, "the photo is stored rotated"
            upright = ImageOps.fit(ImageOps.exif_transpose(photo).convert("RGB"), (16, 16))
            sideways = ImageOps.fit(photo.convert("RGB"), (16, 16))
        manifest = session.upload(PHOTO.read_bytes(), "image/jpeg").avatar
        shown = Image.open(io.BytesIO(requests.get(manifest["url"], timeout=5).content)).convert("RGB").resize((16, 16))
        assert mean_difference(shown, upright) < 5 < mean_difference(shown, sideways)

    def test_published_pictures_have_no_exif_metadata(self, session: Session) -> None:
        with Image.open(PHOTO) as photo:
            assert photo.getexif().get_ifd(0x8825), "the photo has a GPS position"
        manifest = session.upload(PHOTO.read_bytes(), "image/jpeg").avatar
        for url in [manifest["url"], *(image["url"] for image in manifest["images"])]:
            content = requests.get(url, timeout=5).content
            assert not Image.open(io.BytesIO(content)).getexif()
            assert b"Exif" not in content
            assert b"EXIF" not in content

    def test_form_for_an_extension_has_its_content_type(self, stack: LocalStack, session: Session) -> None:
        form = call_api(session, stack, "POST", "/avatars/key_upload", {"extension": "JPG"}).json()
        assert form["fields"]["Content-Type"] == "image/jpeg"
        assert post(form, encode("JPEG")).status_code == 204


def mean_difference(first: Image.Image, second: Image.Image) -> float:
    """Returns the mean difference of the samples of two pictures, 0 to 255."""
    pairs = zip(first.tobytes(), second.tobytes(), strict=True)
    return sum(abs(a - b) for a, b in pairs) / len(first.tobytes())


class TestCrop:
    def test_avatar_has_the_signed_crop(self, stack: LocalStack, session: Session) -> None:
        picture = Image.new("RGB", (400, 200), "blue")
        picture.paste("red", (300, 0, 400, 100))
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        form = request_form(session, stack, "image/png", crop={"x": 0.75, "y": 0, "size": 0.5})
        assert post(form, buffer.getvalue()).status_code == 204
        avatar = wait_for_status(session, stack, form["upload_id"], "ready")["avatar"]
        with Image.open(io.BytesIO(requests.get(avatar["images"][0]["url"], timeout=5).content)) as square:
            assert square.size == (100, 100)
            assert square.getpixel((50, 50)) == pytest.approx((255, 0, 0), abs=12)

    def test_crop_other_than_the_signed_one_is_rejected(self, stack: LocalStack, session: Session) -> None:
        form = request_form(session, stack, crop={"x": 0, "y": 0, "size": 1})
        response = post(form, b"x", **{"x-amz-meta-crop": "0.000000,0.000000,0.500000"})
        assert (response.status_code, "Policy Condition failed" in response.text) == (403, True)

    def test_crop_without_signature_is_rejected(self, stack: LocalStack, session: Session) -> None:
        response = post(request_form(session, stack), b"x", **{"x-amz-meta-crop": "0.000000,0.000000,0.500000"})
        assert (response.status_code, "Extra input fields: x-amz-meta-crop" in response.text) == (403, True)


class TestRejectedUploads:
    def is_stored(self, stack: LocalStack, session: Session) -> bool:
        listing = stack.aws.client("s3").list_objects_v2(
            Bucket=stack.exports["uploadsBucket"], Prefix=f"incoming/{session.subject}/"
        )
        return listing["KeyCount"] > 0

    def test_file_over_max_bytes_is_rejected(self, stack: LocalStack, session: Session) -> None:
        form = request_form(session, stack)
        response = post(form, b"x" * (form["max_bytes"] + 1))
        assert (response.status_code, "EntityTooLarge" in response.text) == (400, True)
        assert not self.is_stored(stack, session)

    @pytest.mark.parametrize(
        ("changed", "error"),
        [
            ({"Content-Type": "text/html"}, "Policy Condition failed"),
            ({"key": "incoming/somebody-else/1"}, "Policy Condition failed"),
            ({"policy": "eyJjb25kaXRpb25zIjogW119"}, "SignatureDoesNotMatch"),
        ],
    )
    def test_changed_content_type_key_or_policy_is_rejected(
        self, stack: LocalStack, session: Session, changed: dict[str, str], error: str
    ) -> None:
        response = post(request_form(session, stack), b"x", **changed)
        assert (response.status_code, error in response.text) == (403, True)
        assert not self.is_stored(stack, session)

    def test_form_is_rejected_after_five_minutes(
        self, stack: LocalStack, session: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        form = request_form(session, stack)
        now = datetime.datetime.now(datetime.UTC)
        assert datetime.datetime.fromisoformat(form["expires_at"]) - now < datetime.timedelta(minutes=5)
        monkeypatch.setattr(
            stack.aws.request_validator, "clock", lambda: now + datetime.timedelta(minutes=5, seconds=1)
        )
        response = post(form, b"x")
        assert (response.status_code, "Policy expired" in response.text) == (403, True)
        monkeypatch.undo()
        assert not self.is_stored(stack, session)

    def test_form_for_invalid_size_or_type_is_not_issued(self, stack: LocalStack, session: Session) -> None:
        too_large = call_api(
            session, stack, "POST", "/avatars/key_upload", {"content_type": "image/png", "size": 10**9}
        )
        assert (too_large.status_code, too_large.json()["error"]["code"]) == (413, "size_too_large")
        svg = call_api(session, stack, "POST", "/avatars/key_upload", {"content_type": "image/svg+xml"})
        assert (svg.status_code, svg.json()["error"]["code"]) == (415, "unsupported_type")

    def test_extension_with_a_path_is_rejected(self, stack: LocalStack, session: Session) -> None:
        response = call_api(session, stack, "POST", "/avatars/key_upload", {"extension": "x/victim.jpg"})
        assert (response.status_code, response.json()["error"]["code"]) == (415, "unsupported_type")


def use_up_quota(stack: LocalStack, subject: str) -> None:
    """Fills the items of this hour and the next, so that the hour may end meanwhile."""
    table = stack.graph.one("aws:dynamodb/table:Table").outputs["name"]
    now = datetime.datetime.now(datetime.UTC)
    for hour in (now, now + datetime.timedelta(hours=1)):
        item = {
            "subject": {"S": subject},
            "period": {"S": f"hour#{hour:%Y-%m-%dT%H}"},
            "posts": {"BS": [bytes([number]) for number in range(60)]},
        }
        stack.aws.client("dynamodb").put_item(TableName=table, Item=item)


class TestRejectedPictures:
    def test_rejection_reason_is_in_status_and_webhook(self, stack: LocalStack, session: Session) -> None:
        form = request_form(session, stack)
        post(form, b"not an image")
        state = wait_for_status(session, stack, form["upload_id"], "rejected")
        assert state == {"upload_id": form["upload_id"], "status": "rejected", "reason": "not_an_image"}
        event = stack.receiver.wait_for(form["upload_id"], 10)
        assert (event["event"], event["reason"], event["subject"]) == (
            "avatar.rejected", "not_an_image", session.subject
        )  # fmt: skip
        assert call_api(session, stack, "GET", "/avatars/me").status_code == 404

    def test_upload_over_the_quota_is_rejected_for_that_user_only(
        self, stack: LocalStack, session: Session, photo: bytes
    ) -> None:
        use_up_quota(stack, session.subject)
        with pytest.raises(ClientError, match="rejected: too_many_uploads"):
            session.upload(photo, "image/jpeg")
        assert call_api(session, stack, "GET", "/avatars/me").status_code == 404
        stranger = sign_in(stack)
        assert stranger.upload(photo, "image/jpeg").avatar["subject"] == stranger.subject

    def test_rejected_picture_does_not_change_the_avatar(
        self, stack: LocalStack, session: Session, photo: bytes
    ) -> None:
        before = session.upload(photo, "image/jpeg").avatar
        with pytest.raises(ClientError, match="rejected: truncated"):
            session.upload(photo[: len(photo) // 2], "image/jpeg")
        assert call_api(session, stack, "GET", "/avatars/me").json() == before


class TestReprocessing:
    def test_original_without_event_is_processed_with_its_crop(
        self, stack: LocalStack, session: Session, photo: bytes
    ) -> None:
        form = request_form(session, stack, crop={"x": 0, "y": 0, "size": 0.25})
        with without_events(stack):
            assert post(form, photo).status_code == 204
        assert get_status(session, stack, form["upload_id"])["status"] == "pending"
        reprocess(operate(stack), session.subject, form["upload_id"])
        avatar = wait_for_status(session, stack, form["upload_id"], "ready")["avatar"]
        stable = requests.get(avatar["url"], timeout=5).content
        assert Image.open(io.BytesIO(stable)).size == (128, 128)  # a quarter of 512

    def test_file_posted_meanwhile_keeps_its_own_metadata(
        self, stack: LocalStack, session: Session, photo: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        form, operator = request_form(session, stack), operate(stack)
        key = f"incoming/{session.subject}/{form['upload_id']}"
        read = operator.s3.head_object

        def read_before_another_post(**request: Any) -> Any:
            existing = read(**request)
            stack.aws.client("s3").put_object(Bucket=stack.exports["uploadsBucket"], Key=key, Body=b"another file")
            return existing

        with without_events(stack):
            assert post(form, photo).status_code == 204
            monkeypatch.setattr(operator.s3, "head_object", read_before_another_post)
            with pytest.raises(OperationError, match=f"{key} is another file now: it was posted with the same form"):
                reprocess(operator, session.subject, form["upload_id"])

    def test_missing_original_raises(self, stack: LocalStack, session: Session) -> None:
        form = request_form(session, stack)
        with pytest.raises(OperationError, match=f"no original incoming/{session.subject}/{form['upload_id']}: it was"):
            reprocess(operate(stack), session.subject, form["upload_id"])


@contextmanager
def without_events(stack: LocalStack) -> Generator[None]:
    """Loses the events of the uploads bucket meanwhile."""
    s3, bucket = stack.aws.client("s3"), stack.exports["uploadsBucket"]
    configuration = s3.get_bucket_notification_configuration(Bucket=bucket)
    del configuration["ResponseMetadata"]
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    yield
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)


class TestDeletion:
    def test_deleted_avatar_is_gone_everywhere(self, stack: LocalStack, session: Session, photo: bytes) -> None:
        upload = session.upload(photo, "image/jpeg")
        urls = [
            upload.avatar["url"],
            f"{stack.cdn_url}/avatars/{session.subject}.json",
            *(image["url"] for image in upload.avatar["images"]),
        ]
        assert [requests.get(url, timeout=5).status_code for url in urls] == [200] * 3
        assert call_api(session, stack, "DELETE", "/avatars/me").status_code == 204
        assert call_api(session, stack, "GET", "/avatars/me").status_code == 404
        assert get_status(session, stack, upload.upload_id) == {
            "upload_id": upload.upload_id, "status": "rejected", "reason": "deleted"
        }  # fmt: skip
        wait_until(lambda: find_deletions(stack, session), "the deletion is announced")
        default = requests.get(f"{stack.cdn_url}/defaults/avatar.jpg", timeout=5).content
        for url in urls:
            response = requests.get(url, timeout=5)
            assert (response.status_code, response.content) == (404, default)
        wait_until(lambda: not list_uploads(stack, session), "nothing is left in the uploads bucket")

    def test_upload_after_deletion_is_shown(self, stack: LocalStack, session: Session, photo: bytes) -> None:
        session.upload(photo, "image/jpeg")
        assert call_api(session, stack, "DELETE", "/avatars/me").status_code == 204
        avatar = session.upload(photo, "image/jpeg").avatar
        assert call_api(session, stack, "GET", "/avatars/me").json() == avatar
        assert requests.get(avatar["images"][0]["url"], timeout=5).status_code == 200

    def test_upload_before_deletion_that_is_processed_later_is_not_shown(
        self, stack: LocalStack, session: Session, photo: bytes
    ) -> None:
        session.upload(photo, "image/jpeg")
        form = request_form(session, stack)
        assert call_api(session, stack, "DELETE", "/avatars/me").status_code == 204
        assert post(form, photo).status_code == 204
        wait_until(lambda: not list_uploads(stack, session), "the late original is deleted")
        assert call_api(session, stack, "GET", "/avatars/me").status_code == 404
        assert get_status(session, stack, form["upload_id"])["reason"] == "deleted"

    def test_deletion_without_avatar_returns_204_and_announces_nothing(
        self, stack: LocalStack, session: Session
    ) -> None:
        assert call_api(session, stack, "DELETE", "/avatars/me").status_code == 204
        assert list_uploads(stack, session) == []
        assert find_deletions(stack, session) == []

    def test_deletion_without_token_returns_401(self, stack: LocalStack) -> None:
        assert requests.delete(f"{stack.api_url}/avatars/me", timeout=5).status_code == 401


def find_deletions(stack: LocalStack, session: Session) -> list[dict[str, Any]]:
    return [e for e in stack.receiver.events if (e["event"], e["subject"]) == ("avatar.deleted", session.subject)]


def list_uploads(stack: LocalStack, session: Session) -> list[str]:
    """Returns what the uploads bucket has of a user."""
    listing = stack.aws.client("s3").list_objects_v2(Bucket=stack.exports["uploadsBucket"])
    return [stored["Key"] for stored in listing.get("Contents", []) if session.subject in stored["Key"]]


class TestFinish:
    def test_finished_upload_is_completed_by_its_event(self, stack: LocalStack, session: Session) -> None:
        photo = PHOTO.read_bytes()
        with hold_events(stack):
            form = request_form(session, stack)
            path = f"/avatars/uploads/{form['upload_id']}/finish"
            assert call_api(session, stack, "POST", path).status_code == 404, "nothing was posted"
            assert post(form, photo).ok
            assert call_api(sign_in(stack), stack, "POST", path).status_code == 404
            finished = call_api(session, stack, "POST", path)
        assert (finished.status_code, finished.json()["status"]) == (200, "ready")
        assert call_api(session, stack, "GET", "/avatars/me").json() == finished.json()["avatar"]
        send_message(stack, build_s3_event(form["fields"]["key"]))
        assert stack.receiver.wait_for(form["upload_id"], 20)["avatar"] == finished.json()["avatar"]
        original = {"Bucket": stack.exports["uploadsBucket"], "Prefix": form["fields"]["key"]}
        s3 = stack.aws.client("s3")
        wait_until(lambda: not s3.list_objects_v2(**original)["KeyCount"], "the original is deleted")


class TestStatus:
    def test_status_before_the_upload_is_pending(self, stack: LocalStack, session: Session) -> None:
        form = request_form(session, stack)
        assert get_status(session, stack, form["upload_id"]) == {"upload_id": form["upload_id"], "status": "pending"}

    def test_status_of_another_users_upload_returns_404(self, stack: LocalStack, session: Session) -> None:
        form = request_form(session, stack)
        stranger = sign_in(stack)
        assert call_api(stranger, stack, "GET", f"/avatars/uploads/{form['upload_id']}").status_code == 404

    @pytest.mark.parametrize("upload_id", ["x", "01HZZZZZZZZZZZZZZZZZZZZZZZ", "..%2F..%2Fetc"])
    def test_status_of_unknown_upload_returns_404(self, stack: LocalStack, session: Session, upload_id: str) -> None:
        assert call_api(session, stack, "GET", f"/avatars/uploads/{upload_id}").status_code == 404


class TestOrder:
    def test_older_upload_processed_last_does_not_replace_newer(self, stack: LocalStack, session: Session) -> None:
        older, newer = request_form(session, stack), request_form(session, stack)
        post(newer, encode("PNG"))
        ready = wait_for_status(session, stack, newer["upload_id"], "ready")
        stable = requests.get(ready["avatar"]["url"], timeout=5).content
        post(older, encode("GIF"))
        wait_until(
            lambda: "superseded" in stack.functions.find_by_package("process_avatar").read_log(),
            "the older upload is superseded",
        )
        wait_until(lambda: queue_is_empty(stack), "the queue is empty")
        assert call_api(session, stack, "GET", "/avatars/me").json() == ready["avatar"]
        assert get_status(session, stack, older["upload_id"])["avatar"] == ready["avatar"]
        assert read_object(stack, f"avatars/{session.subject}.jpg") == stable

    def test_duplicate_event_changes_nothing(self, stack: LocalStack, session: Session, photo: bytes) -> None:
        upload = session.upload(photo, "image/jpeg", finish=False)
        stack.receiver.wait_for(upload.upload_id, 10)
        before = list_versions(stack, session.subject)
        send_message(stack, build_s3_event(f"incoming/{session.subject}/{upload.upload_id}"))
        wait_until(lambda: queue_is_empty(stack), "the queue is empty")
        assert list_versions(stack, session.subject) == before
        events = [event for event in stack.receiver.events if event["upload_id"] == upload.upload_id]
        assert [event["event"] for event in events] == ["avatar.ready"]


class TestDeadLetterQueue:
    def test_failing_message_goes_to_dead_letter_queue_and_blocks_nothing(
        self,
        stack: LocalStack,
        session: Session,
        photo: bytes,
        monkeypatch: pytest.MonkeyPatch,
        advance_queue_clock: Callable[[float], None],
    ) -> None:
        sqs = stack.aws.client("sqs")
        _, dead_letter_queue = find_queue_urls(stack)
        message_id, max_receives = fail_until_dead(stack, "poison", advance_queue_clock)
        dead: list[Any] = []

        def receive_dead_letters() -> bool:
            dead.extend(sqs.receive_message(QueueUrl=dead_letter_queue).get("Messages", []))
            return bool(dead)

        wait_until(receive_dead_letters, "the message is in the dead-letter queue")
        monkeypatch.undo()
        assert [message["Body"] for message in dead] == ["poison"]
        assert has_failures(stack, message_id, max_receives)
        assert session.upload(photo, "image/jpeg").avatar["subject"] == session.subject


def queue_is_empty(stack: LocalStack) -> bool:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    queue, _ = find_queue_urls(stack)
    attributes = stack.aws.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
    return all(attributes[name] == "0" for name in names)


def read_object(stack: LocalStack, key: str) -> bytes:
    response = stack.aws.client("s3").get_object(Bucket=stack.exports["assetsBucket"], Key=key)
    return response["Body"].read()


def list_versions(stack: LocalStack, subject: str) -> set[tuple[str, str]]:
    listing = stack.aws.client("s3").list_object_versions(
        Bucket=stack.exports["assetsBucket"], Prefix=f"avatars/{subject}"
    )
    return {(version["Key"], version["VersionId"]) for version in listing["Versions"]}
