"""web/avatar-upload/flow.js: from the choice of a photo to the new avatar, and cancellation."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from client.session import Session
from local.stack import LocalStack
from tests.browser.avatar_upload.conftest import OpenPage
from tests.browser.avatar_upload.widget import (
    FORM,
    STATUS,
    HeldRequests,
    Widget,
    bucket_url,
    drop_files,
    fetch_manifest,
    jpeg,
    leave_unanswered,
    record_requests,
    respond_pending,
    respond_with,
)
from tests.local.conftest import PHOTO, wait_until


def test_upload_chosen_photo_becomes_avatar_without_reload_or_errors(
    open_page: OpenPage, stack: LocalStack, user: Session
) -> None:
    widget = open_page(clock=False)
    widget.page.evaluate("window.sameDocument = true")
    widget.choose(PHOTO)
    expect(widget.status).to_have_text("This is how your picture will look.")
    assert fetch_manifest(stack, user) is None
    widget.button("Use this photo").click()
    widget.wait_for("ready")
    expect(widget.status).to_have_text("Your new picture is ready.")
    current = fetch_manifest(stack, user)
    assert current
    assert widget.event_details("ready") == [current]
    expect(widget.element.locator("img")).to_be_visible()
    assert widget.shown_avatar_url() in [image["url"] for image in current["images"]]
    expect(widget.element.locator("canvas")).to_be_hidden()
    expect(widget.button("Change photo")).to_be_visible()
    assert widget.event_names == ["select", "ready"]
    assert widget.page.evaluate("window.sameDocument")
    assert widget.page.evaluate("window.violations") == []
    assert widget.console_errors == []


def test_choose_same_file_after_cancel_selects_it_again(widget: Widget) -> None:
    widget.choose(PHOTO)
    wait_until(lambda: widget.event_names == ["select"], "the file is selected")
    widget.button("Cancel").click()
    widget.choose(PHOTO)
    wait_until(lambda: widget.event_names == ["select", "cancel", "select"], "the file is selected again")


def test_use_photo_double_click_uploads_once(widget: Widget) -> None:
    forms = record_requests(widget.page, "key_upload")
    widget.page.route(STATUS, respond_pending)
    widget.choose(jpeg())
    widget.button("Use this photo").dblclick()
    widget.wait_for("processing")
    assert len(forms) == 1
    assert widget.event_names == ["select"]


def test_cancel_before_upload_returns_to_idle(widget: Widget) -> None:
    widget.choose(PHOTO)
    widget.button("Cancel").click()
    assert widget.state == "idle"
    assert widget.event_details("cancel") == [{"sent": False}]


def test_cancel_while_token_is_pending_requests_no_form(widget: Widget) -> None:
    widget.element.evaluate("element => { element.getToken = () => new Promise((r) => { window.give = r; }); }")
    asked = record_requests(widget.page, "key_upload")
    widget.upload(jpeg())
    widget.wait_for("preparing")
    widget.button("Cancel").click()
    widget.page.evaluate("window.give('a token that comes too late')")
    expect(widget.status).to_have_text("Cancelled.")
    assert widget.event_details("cancel") == [{"sent": False}]
    assert asked == []


@pytest.mark.parametrize(("pattern", "state"), [(FORM, "preparing"), ("bucket", "sending"), (STATUS, "processing")])
def test_cancel_during_request_aborts_it(widget: Widget, stack: LocalStack, pattern: str, state: str) -> None:
    url = bucket_url(stack) if pattern == "bucket" else pattern
    widget.page.route(url, leave_unanswered)
    with widget.page.expect_request(url):
        widget.upload(jpeg())
        widget.wait_for(state)
    with widget.page.expect_event("requestfailed", timeout=5000) as ended:
        widget.button("Cancel").click()
    assert ended.value.failure == "net::ERR_ABORTED"
    assert widget.event_details("cancel") == [{"sent": state == "processing"}]
    assert widget.state == "idle"
    assert "error" not in widget.event_names


def test_cancel_while_processing_stops_polling(widget: Widget) -> None:
    widget.page.route(STATUS, respond_pending)
    widget.upload(jpeg())
    widget.wait_for("processing")
    widget.button("Cancel").click()
    asked = record_requests(widget.page, "/uploads/")
    widget.page.clock.run_for(60_000)
    assert asked == []
    expect(widget.status).to_contain_text("may still become your picture")


def test_cancel_then_late_response_is_ignored(widget: Widget) -> None:
    held = HeldRequests(widget.page, STATUS)
    with widget.page.expect_request(STATUS):
        widget.upload(jpeg())
        widget.wait_for("processing")
    widget.button("Cancel").click()
    held.release(respond_with(200, {"status": "rejected", "reason": "truncated"}))
    widget.choose(PHOTO)
    widget.wait_for("chosen")
    assert widget.event_names == ["select", "cancel", "select"]


@pytest.mark.parametrize("last", ["form", "ready", "rejected"])
def test_reset_while_response_is_read_ignores_response(widget: Widget, stack: LocalStack, last: str) -> None:
    """The request is complete then and cannot be aborted; only its response is still to be read."""
    widget.page.route(bucket_url(stack), respond_with(204, ""))
    widget.page.evaluate(
        """([last, url]) => {
            const responses = [
                { name: "form", upload_id: "1", url, fields: {} },
                { name: last, status: last, avatar: { images: [] }, reason: "truncated" },
            ];
            window.fetch = async () => {
                const response = responses.shift();
                const read = () => {
                    if (response.name === last) document.getElementById("avatar").reset();
                    return JSON.stringify(response);
                };
                return { status: 200, text: read };
            };
        }""",
        [last, bucket_url(stack)],
    )
    widget.send_original()  # otherwise its form would be requested before
    widget.upload(jpeg())
    wait_until(lambda: "cancel" in widget.event_names, "the upload is cancelled")
    widget.page.evaluate("new Promise((resolve) => setTimeout(resolve))")
    assert widget.state == "idle"
    assert widget.event_names == ["select", "cancel"]


def test_new_choice_during_upload_cancels_it(widget: Widget, stack: LocalStack) -> None:
    widget.page.route(bucket_url(stack), leave_unanswered)
    with widget.page.expect_request(bucket_url(stack)):
        widget.upload(jpeg())
    widget.wait_for("sending")
    with widget.page.expect_event("requestfailed"):
        drop_files(widget.element.locator("[part=card]"), jpeg(80, 80))
    widget.page.unroute(bucket_url(stack))
    widget.button("Use this photo").click()
    widget.wait_for("ready")
    assert widget.event_names == ["select", "cancel", "select", "ready"]
    assert widget.event_details("ready")[0]["source"]["width"] == 80


def test_reset_during_upload_cancels_it(widget: Widget) -> None:
    widget.page.route(FORM, leave_unanswered)
    widget.upload(jpeg())
    widget.wait_for("preparing")
    widget.element.evaluate("element => element.reset()")
    assert widget.state == "idle"
    assert widget.event_details("cancel") == [{"sent": False}]


def test_offline_upload_resumes_when_online(widget: Widget) -> None:
    widget.choose(jpeg())
    widget.page.context.set_offline(True)
    widget.button("Use this photo").click()
    expect(widget.error).to_have_text("You are offline. Your photo will be sent when you are back online.")
    assert widget.event_details("error")[0]["code"] == "offline"
    widget.page.context.set_offline(False)
    widget.wait_for("ready")
    assert widget.event_names == ["select", "error", "ready"]


def test_offline_upload_cancelled_does_not_resume(widget: Widget) -> None:
    widget.choose(jpeg())
    widget.page.context.set_offline(True)
    widget.button("Use this photo").click()
    widget.wait_for("failed")
    widget.button("Cancel").click()
    widget.page.context.set_offline(False)
    wait_until(lambda: widget.page.evaluate("navigator.onLine"), "online again")
    assert widget.state == "idle"
    assert widget.event_names == ["select", "error"]
