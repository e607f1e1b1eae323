"""web/avatar-upload/files.js, and what the server and the storage refuse."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from local.stack import LocalStack
from tests.browser.avatar_upload.widget import (
    FORM,
    STATUS,
    Widget,
    bucket_url,
    drop_files,
    file_payload,
    jpeg,
    record_requests,
    respond_with,
)
from tests.browser.conftest import MAX_UPLOAD_BYTES
from tests.fixtures import pictures
from tests.local.conftest import PHOTO


def test_choose_empty_file_fails(widget: Widget) -> None:
    widget.choose(file_payload(b""))
    expect(widget.error).to_have_text("This file is empty. Choose another one.")
    assert_only_another_choice_is_offered(widget, "empty_file")


@pytest.mark.parametrize(
    ("name", "content_type"),
    [("report.pdf", "application/pdf"), ("notes.txt", "text/plain"), ("clip.mp4", "video/mp4"), ("data", "")],
)
def test_choose_file_of_other_type_fails_without_request(widget: Widget, name: str, content_type: str) -> None:
    asked = record_requests(widget.page, "key_upload")
    drop_files(widget.element.locator("[part=card]"), file_payload(b"hello", name, content_type))
    expect(widget.error).to_contain_text("Choose a JPEG, PNG, WebP, GIF, AVIF or HEIC picture.")
    assert_only_another_choice_is_offered(widget, "unsupported_type")
    assert asked == []


def test_upload_deleted_file_fails(widget: Widget, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(PHOTO.read_bytes())
    widget.choose(photo)
    widget.wait_for("chosen")
    photo.unlink()
    widget.button("Use this photo").click()
    expect(widget.error).to_contain_text("This file cannot be read.")
    assert_only_another_choice_is_offered(widget, "unreadable_file")


def test_upload_file_over_limit_is_refused_before_sending(widget: Widget, stack: LocalStack) -> None:
    sent = record_requests(widget.page, bucket_url(stack))
    widget.upload(file_payload(b"\xff\xd8\xff" + bytes(MAX_UPLOAD_BYTES)))
    widget.wait_for("failed")
    expect(widget.error).to_have_text("This file is too large: it has 4.1 MB, the limit is 4 MB. Choose a smaller one.")
    assert_only_another_choice_is_offered(widget, "file_too_large")
    assert sent == []


def test_upload_refused_by_storage_as_too_large_tells_limit(widget: Widget, stack: LocalStack) -> None:
    widget.page.route(bucket_url(stack), respond_with(400, "<Error><Code>EntityTooLarge</Code></Error>"))
    widget.upload(jpeg())
    widget.wait_for("failed")
    expect(widget.error).to_contain_text("the limit is 4 MB")
    assert_only_another_choice_is_offered(widget, "file_too_large")


@pytest.mark.parametrize(
    ("reason", "data", "sentence"),
    [
        ("not_an_image", b"hello " * 100, "This file is not a picture."),
        ("unsupported_format", pictures.encode(pictures.plain(9, 9), "BMP"), "This kind of picture"),
        ("too_many_pixels", pictures.png_declaring(30_000, 30_000), "This picture has too many pixels."),
        ("truncated", PHOTO.read_bytes()[:3000], "This picture is damaged or incomplete."),
    ],
)
def test_upload_rejected_by_server_tells_reason(widget: Widget, reason: str, data: bytes, sentence: str) -> None:
    widget.send_original()
    widget.upload(file_payload(data))
    widget.wait_for("failed")
    expect(widget.error).to_contain_text(sentence)
    message = widget.error.text_content()
    assert widget.event_details("rejected") == [{"reason": reason, "message": message}]
    assert widget.event_names == ["select", "rejected"]
    expect(widget.button("Try again")).to_be_hidden()


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        ("too_large", "This file is too large."),
        ("too_many_uploads", "You have uploaded too many pictures within an hour. Try again in an hour."),
        ("not_allowed", "This picture is not allowed here. Choose another one."),
        ("blocked", "You cannot change your picture at the moment."),
        ("of_the_future", "This photo cannot be used."),
    ],
)
def test_upload_rejected_for_other_reason_has_sentence(widget: Widget, reason: str, sentence: str) -> None:
    widget.page.route(STATUS, respond_with(200, {"status": "rejected", "reason": reason}))
    widget.upload(jpeg())
    widget.wait_for("failed")
    expect(widget.error).to_contain_text(sentence)
    assert widget.event_details("rejected")[0]["reason"] == reason
    expect(widget.button("Try again")).to_be_hidden()


def assert_only_another_choice_is_offered(widget: Widget, code: str) -> None:
    (error,) = widget.event_details("error")
    assert (error["code"], error["retry"], error["message"]) == (code, False, widget.error.text_content())
    expect(widget.button("Try again")).to_be_hidden()
    expect(widget.button("Choose another")).to_be_visible()
    widget.button("Cancel").click()
    expect(widget.error).to_have_text("")


@pytest.mark.parametrize(
    ("name", "content_type", "declared"),
    [
        ("photo.JPG", "", "image/jpeg"),
        ("photo.jfif", "application/octet-stream", "image/jpeg"),
        ("photo.jpeg", "image/jpg", "image/jpeg"),
        ("photo.jpg", "image/png", "image/png"),
        ("me.heic", "", "image/heic"),
    ],
)
def test_declared_type_of_original_is_of_file_or_extension(
    widget: Widget, name: str, content_type: str, declared: str
) -> None:
    widget.send_original()
    drop_files(widget.element.locator("[part=card]"), file_payload(PHOTO.read_bytes(), name, content_type))
    with widget.page.expect_request(FORM) as asked:
        widget.button("Use this photo").click()
    assert asked.value.post_data_json == {"content_type": declared, "size": PHOTO.stat().st_size}
