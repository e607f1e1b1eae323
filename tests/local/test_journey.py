"""The whole way of a photo: sign in, form, upload, event, processing, CDN, webhook."""

from __future__ import annotations

import datetime
import io
from collections.abc import Mapping
from typing import Any

import pillow_heif
import pytest
import requests
from PIL import Image, ImageOps

from client.session import ClientError, Session
from local.stack import LocalStack
from tests.local.conftest import PHOTO, change_visibility, event_of, queue_urls, send, sign_in, wait_until

pillow_heif.register_heif_opener()

FORMATS = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "AVIF": "image/avif",
    "HEIF": "image/heic",
}


def encoded(image_format: str) -> bytes:
    with Image.open(PHOTO) as photo:
        upright = ImageOps.exif_transpose(photo)
        buffer = io.BytesIO()
        upright.save(buffer, image_format)
    return buffer.getvalue()


def api(session: Session, stack: LocalStack, method: str, path: str, body: Any = None) -> requests.Response:
    headers = {"Authorization": f"Bearer {session.access_token}"}
    return requests.request(method, stack.api_url + path, json=body, headers=headers, timeout=30)


def form_for(session: Session, stack: LocalStack, content_type: str = "image/jpeg", **more: Any) -> dict[str, Any]:
    answer = api(session, stack, "POST", "/avatars/key_upload", {"content_type": content_type, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def post(form: Mapping[str, Any], data: bytes, **changed: str) -> requests.Response:
    return requests.post(form["url"], data={**form["fields"], **changed}, files={"file": data}, timeout=30)


def status_of(session: Session, stack: LocalStack, upload_id: str) -> dict[str, Any]:
    answer = api(session, stack, "GET", f"/avatars/uploads/{upload_id}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def wait_for_status(session: Session, stack: LocalStack, upload_id: str, wanted: str) -> dict[str, Any]:
    wait_until(lambda: status_of(session, stack, upload_id)["status"] == wanted, f"{upload_id} {wanted}")
    return status_of(session, stack, upload_id)


class TestFormats:
    @pytest.mark.parametrize("image_format", FORMATS)
    def test_picture_of_each_format_is_published_to_the_cdn(
        self, stack: LocalStack, session: Session, image_format: str
    ) -> None:
        data = encoded(image_format)
        upload = session.upload(data, FORMATS[image_format])
        manifest = upload.avatar
        assert manifest["subject"] == session.subject
        assert manifest["source"] == {
            "format": FORMATS[image_format].removeprefix("image/"), "width": 512, "height": 552, "bytes": len(data)
        }  # fmt: skip
        assert [image["size"] for image in manifest["images"]] == [256]
        for image in manifest["images"]:
            answer = requests.get(image["url"], timeout=5)
            assert answer.headers["Content-Type"] == "image/webp"
            assert len(answer.content) == image["bytes"]
            assert Image.open(io.BytesIO(answer.content)).size == (image["size"], image["size"])
        stable = requests.get(manifest["url"], timeout=5)
        assert manifest["url"] == stack.exports["avatarUrl"].replace("{subject}", session.subject)
        assert (stable.headers["Content-Type"], Image.open(io.BytesIO(stable.content)).size) == (
            "image/jpeg",
            (512, 512),
        )
        assert api(session, stack, "GET", "/avatars/me").json() == manifest
        assert requests.get(f"{stack.cdn_url}/avatars/{session.subject}.json", timeout=5).json() == manifest

    def test_photo_with_exif_orientation_is_published_upright(self, session: Session) -> None:
        with Image.open(PHOTO) as photo:
            assert photo.getexif()[0x0112] == 6, "the photo is stored sideways"
            upright = ImageOps.fit(ImageOps.exif_transpose(photo).convert("RGB"), (16, 16))
            sideways = ImageOps.fit(photo.convert("RGB"), (16, 16))
        manifest = session.upload(PHOTO.read_bytes(), "image/jpeg").avatar
        shown = Image.open(io.BytesIO(requests.get(manifest["url"], timeout=5).content)).convert("RGB").resize((16, 16))
        assert difference(shown, upright) < 5 < difference(shown, sideways)

    def test_published_pictures_have_no_exif_metadata(self, session: Session) -> None:
        with Image.open(PHOTO) as photo:
            assert photo.getexif().get_ifd(0x8825), "the photo has a position"
        manifest = session.upload(PHOTO.read_bytes(), "image/jpeg").avatar
        for url in [manifest["url"], *(image["url"] for image in manifest["images"])]:
            content = requests.get(url, timeout=5).content
            assert not Image.open(io.BytesIO(content)).getexif()
            assert b"Exif" not in content
            assert b"EXIF" not in content

    def test_form_for_an_extension_has_its_content_type(
        self, stack: LocalStack, session: Session
    ) -> None:
        form = api(session, stack, "POST", "/avatars/key_upload", {"extension": "JPG"}).json()
        assert form["fields"]["Content-Type"] == "image/jpeg"
        assert post(form, encoded("JPEG")).status_code == 204


def difference(first: Image.Image, second: Image.Image) -> float:
    """Mean difference of two pictures' samples, 0 to 255."""
    pairs = zip(first.tobytes(), second.tobytes(), strict=True)
    return sum(abs(a - b) for a, b in pairs) / len(first.tobytes())


class TestCrop:
    def test_avatar_has_the_signed_crop(self, stack: LocalStack, session: Session) -> None:
        picture = Image.new("RGB", (400, 200), "blue")
        picture.paste("red", (300, 0, 400, 100))
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        form = form_for(session, stack, "image/png", crop={"x": 0.75, "y": 0, "size": 0.5})
        assert post(form, buffer.getvalue()).status_code == 204
        avatar = wait_for_status(session, stack, form["upload_id"], "ready")["avatar"]
        with Image.open(io.BytesIO(requests.get(avatar["images"][0]["url"], timeout=5).content)) as square:
            assert square.size == (100, 100)
            assert square.getpixel((50, 50)) == pytest.approx((255, 0, 0), abs=12)

    def test_crop_other_than_the_signed_one_is_rejected(self, stack: LocalStack, session: Session) -> None:
        form = form_for(session, stack, crop={"x": 0, "y": 0, "size": 1})
        answer = post(form, b"x", **{"x-amz-meta-crop": "0.000000,0.000000,0.500000"})
        assert (answer.status_code, "Policy Condition failed" in answer.text) == (403, True)

    def test_crop_without_signature_is_rejected(self, stack: LocalStack, session: Session) -> None:
        answer = post(form_for(session, stack), b"x", **{"x-amz-meta-crop": "0.000000,0.000000,0.500000"})
        assert (answer.status_code, "Extra input fields: x-amz-meta-crop" in answer.text) == (403, True)


class TestUploadsThatAreRefused:
    def is_stored(self, stack: LocalStack, session: Session) -> bool:
        listing = stack.aws.client("s3").list_objects_v2(
            Bucket=stack.exports["uploadsBucket"], Prefix=f"incoming/{session.subject}/"
        )
        return listing["KeyCount"] > 0

    def test_file_over_max_bytes_is_rejected(self, stack: LocalStack, session: Session) -> None:
        form = form_for(session, stack)
        answer = post(form, b"x" * (form["max_bytes"] + 1))
        assert (answer.status_code, "EntityTooLarge" in answer.text) == (400, True)
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
        answer = post(form_for(session, stack), b"x", **changed)
        assert (answer.status_code, error in answer.text) == (403, True)
        assert not self.is_stored(stack, session)

    def test_form_is_rejected_after_five_minutes(
        self, stack: LocalStack, session: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        form = form_for(session, stack)
        now = datetime.datetime.now(datetime.UTC)
        assert datetime.datetime.fromisoformat(form["expires_at"]) - now < datetime.timedelta(minutes=5)
        monkeypatch.setattr(
            stack.aws.request_validator, "clock", lambda: now + datetime.timedelta(minutes=5, seconds=1)
        )
        answer = post(form, b"x")
        assert (answer.status_code, "Policy expired" in answer.text) == (403, True)
        monkeypatch.undo()
        assert not self.is_stored(stack, session)

    def test_form_for_invalid_size_or_type_is_not_issued(self, stack: LocalStack, session: Session) -> None:
        too_large = api(session, stack, "POST", "/avatars/key_upload", {"content_type": "image/png", "size": 10**9})
        assert (too_large.status_code, too_large.json()["error"]["code"]) == (413, "size_too_large")
        svg = api(session, stack, "POST", "/avatars/key_upload", {"content_type": "image/svg+xml"})
        assert (svg.status_code, svg.json()["error"]["code"]) == (415, "unsupported_type")

    def test_extension_with_a_path_is_rejected(self, stack: LocalStack, session: Session) -> None:
        answer = api(session, stack, "POST", "/avatars/key_upload", {"extension": "x/victim.jpg"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_type")


class TestPicturesThatAreRejected:
    def test_rejection_reason_is_in_status_and_webhook(
        self, stack: LocalStack, session: Session
    ) -> None:
        form = form_for(session, stack)
        post(form, b"this is no picture")
        state = wait_for_status(session, stack, form["upload_id"], "rejected")
        assert state == {"upload_id": form["upload_id"], "status": "rejected", "reason": "not_an_image"}
        event = stack.receiver.wait_for(form["upload_id"], 10)
        assert (event["event"], event["reason"], event["subject"]) == (
            "avatar.rejected", "not_an_image", session.subject
        )  # fmt: skip
        assert api(session, stack, "GET", "/avatars/me").status_code == 404

    def test_rejected_picture_does_not_change_the_avatar(
        self, stack: LocalStack, session: Session, photo: bytes
    ) -> None:
        before = session.upload(photo, "image/jpeg").avatar
        with pytest.raises(ClientError, match="rejected: truncated"):
            session.upload(photo[: len(photo) // 2], "image/jpeg")
        assert api(session, stack, "GET", "/avatars/me").json() == before


class TestStatus:
    def test_status_before_the_upload_is_pending(self, stack: LocalStack, session: Session) -> None:
        form = form_for(session, stack)
        assert status_of(session, stack, form["upload_id"]) == {"upload_id": form["upload_id"], "status": "pending"}

    def test_status_of_another_users_upload_returns_404(self, stack: LocalStack, session: Session) -> None:
        form = form_for(session, stack)
        stranger = sign_in(stack)
        assert api(stranger, stack, "GET", f"/avatars/uploads/{form['upload_id']}").status_code == 404

    @pytest.mark.parametrize("upload_id", ["x", "01HZZZZZZZZZZZZZZZZZZZZZZZ", "..%2F..%2Fetc"])
    def test_status_of_unknown_upload_returns_404(self, stack: LocalStack, session: Session, upload_id: str) -> None:
        assert api(session, stack, "GET", f"/avatars/uploads/{upload_id}").status_code == 404


class TestOrder:
    def test_older_upload_processed_last_does_not_replace_newer(
        self, stack: LocalStack, session: Session
    ) -> None:
        older, newer = form_for(session, stack), form_for(session, stack)
        post(newer, encoded("PNG"))
        ready = wait_for_status(session, stack, newer["upload_id"], "ready")
        stable = requests.get(ready["avatar"]["url"], timeout=5).content
        post(older, encoded("GIF"))
        wait_until(
            lambda: "superseded" in stack.functions.find_by_package("process_avatar").read_log(),
            "the older one is looked at",
        )
        wait_until(lambda: queue_is_empty(stack), "the queue is empty")
        assert api(session, stack, "GET", "/avatars/me").json() == ready["avatar"]
        assert status_of(session, stack, older["upload_id"])["avatar"] == ready["avatar"]
        assert stored(stack, f"avatars/{session.subject}.jpg") == stable

    def test_duplicate_event_changes_nothing(self, stack: LocalStack, session: Session, photo: bytes) -> None:
        upload = session.upload(photo, "image/jpeg")
        stack.receiver.wait_for(upload.upload_id, 10)
        before = versions(stack, session.subject)
        send(stack, event_of(f"incoming/{session.subject}/{upload.upload_id}"))
        wait_until(lambda: queue_is_empty(stack), "the queue is empty")
        assert versions(stack, session.subject) == before
        events = [event for event in stack.receiver.events if event["upload_id"] == upload.upload_id]
        assert [event["event"] for event in events] == ["avatar.ready"]


class TestPoison:
    def test_failing_message_goes_to_dead_letter_queue_and_blocks_nothing(
        self, stack: LocalStack, session: Session, photo: bytes
    ) -> None:
        sqs = stack.aws.client("sqs")
        queue, dead_letters = queue_urls(stack)
        visibility = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["VisibilityTimeout"])
        change_visibility(stack, "1")
        try:
            send(stack, "poison")
            arrived: list[Any] = []

            def is_terminated() -> bool:
                arrived.extend(sqs.receive_message(QueueUrl=dead_letters).get("Messages", []))
                return bool(arrived)

            wait_until(is_terminated, "the message is in the dead-letter queue", timeout=60)
        finally:
            change_visibility(stack, visibility["Attributes"]["VisibilityTimeout"])
        assert [message["Body"] for message in arrived] == ["poison"]
        assert session.upload(photo, "image/jpeg").avatar["subject"] == session.subject


def queue_is_empty(stack: LocalStack) -> bool:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    queue, _ = queue_urls(stack)
    attributes = stack.aws.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
    return all(attributes[name] == "0" for name in names)


def stored(stack: LocalStack, key: str) -> bytes:
    answer = stack.aws.client("s3").get_object(Bucket=stack.exports["assetsBucket"], Key=key)
    return answer["Body"].read()


def versions(stack: LocalStack, subject: str) -> set[tuple[str, str]]:
    listing = stack.aws.client("s3").list_object_versions(
        Bucket=stack.exports["assetsBucket"], Prefix=f"avatars/{subject}"
    )
    return {(version["Key"], version["VersionId"]) for version in listing["Versions"]}
