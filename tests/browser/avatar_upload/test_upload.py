"""web/avatar-upload/upload.js and post.js: the protocol, from the form to the manifest."""

from __future__ import annotations

import base64

import pytest
import requests
from playwright.sync_api import Request, expect

from client.session import Session
from local.stack import LocalStack
from tests.browser.avatar_upload.conftest import OpenPage
from tests.browser.avatar_upload.widget import (
    FINISH,
    STATUS,
    Widget,
    bucket_url,
    fetch_manifest,
    jpeg,
    record_requests,
    respond_pending,
    respond_with,
)
from tests.browser.site import EmbeddingSite
from tests.local.conftest import PHOTO


def test_upload_avatar_without_element_returns_manifest(widget: Widget, stack: LocalStack, user: Session) -> None:
    manifest = widget.page.evaluate(
        """async ([apiUrl, token, photo]) => {
            const { uploadAvatar } = await import("/avatar-upload.js");
            const bytes = Uint8Array.from(atob(photo), (c) => c.charCodeAt(0));
            const file = new File([bytes], "photo.jpg", { type: "image/jpeg" });
            return uploadAvatar(file, { apiUrl, getToken: () => token });
        }""",
        [stack.api_url, user.access_token, base64.b64encode(PHOTO.read_bytes()).decode()],
    )
    assert manifest == fetch_manifest(stack, user)


def test_upload_avatar_aborted_rejects_with_reason_or_code(widget: Widget, stack: LocalStack) -> None:
    outcomes = widget.page.evaluate(
        """async (apiUrl) => {
            const { UploadError, uploadAvatar } = await import("/avatar-upload.js");
            const file = new File(["x"], "photo.jpg", { type: "image/jpeg" });
            const getToken = () => new Promise(() => {});
            const outcome = (upload) => upload.catch((error) => [error instanceof UploadError, error.message]);
            const aborted = AbortSignal.abort(new Error("enough"));
            const controller = new AbortController();
            const running = outcome(uploadAvatar(file, { apiUrl, getToken, signal: controller.signal }));
            controller.abort(new Error("now"));
            return Promise.all([
                outcome(uploadAvatar(file, { apiUrl, getToken, signal: aborted })),
                running,
                outcome(uploadAvatar(new File([], "photo.jpg"), { apiUrl, getToken })),
            ]);
        }""",
        stack.api_url,
    )
    assert outcomes == [[False, "enough"], [False, "now"], [True, "empty_file"]]


def test_post_503_fails_and_retry_button_succeeds(widget: Widget, stack: LocalStack) -> None:
    widget.page.route(bucket_url(stack), respond_with(503, "<Error><Code>SlowDown</Code></Error>"))
    widget.upload(jpeg())
    widget.wait_for("failed")
    expect(widget.error).to_contain_text("The service has a problem at the moment.")
    widget.page.unroute(bucket_url(stack))
    widget.button("Try again").click()
    widget.wait_for("ready")


def test_post_403_once_gets_new_form_silently(widget: Widget, stack: LocalStack) -> None:
    forms = record_requests(widget.page, "key_upload")
    widget.page.route(bucket_url(stack), respond_with(403, "<Error><Code>AccessDenied</Code></Error>", times=1))
    widget.upload(jpeg())
    widget.wait_for("ready")
    assert len(forms) == 2
    assert widget.event_names == ["select", "ready"]


def test_post_403_twice_fails_as_refused(widget: Widget, stack: LocalStack) -> None:
    forms = record_requests(widget.page, "key_upload")
    widget.page.route(bucket_url(stack), respond_with(403, "<Error><Code>AccessDenied</Code></Error>"))
    widget.upload(jpeg())
    widget.wait_for("failed")
    expect(widget.error).to_have_text("The photo was not accepted. Try again.")
    assert widget.event_details("error")[0]["code"] == "upload_refused"
    assert len(forms) == 2


def test_post_from_other_origin_stores_nothing(
    open_page: OpenPage, stack: LocalStack, foreign_site: EmbeddingSite, user: Session
) -> None:
    headers = {"Authorization": f"Bearer {user.access_token}"}
    form = requests.post(
        f"{stack.api_url}/avatars/key_upload", json={"content_type": "image/jpeg"}, headers=headers, timeout=10
    )
    widget = open_page(at=foreign_site)
    # Nothing is routed here: Playwright answers preflights itself as soon as it intercepts requests.
    code = widget.page.evaluate(
        """async (form) => {
            const { post } = await import("/avatar-upload/post.js");
            const nothing = () => {};
            const photo = new Blob([new Uint8Array(2 ** 19)]); // with a preflight, for its progress
            return post(form, photo, new AbortController().signal, nothing).catch(({ code }) => code);
        }""",
        form.json(),
    )
    assert code == "network"
    assert any("Access-Control-Allow-Origin" in error for error in widget.console_errors)
    stored = stack.aws.client("s3").list_objects_v2(
        Bucket=stack.exports["uploadsBucket"], Prefix=form.json()["fields"]["key"]
    )
    assert stored["KeyCount"] == 0


def test_finished_upload_needs_no_status_request(widget: Widget, user: Session) -> None:
    manifest = user.upload(PHOTO.read_bytes(), "image/jpeg").avatar
    asked = record_requests(widget.page, "/avatars/uploads/")
    widget.page.route(FINISH, respond_with(200, {"status": "ready", "avatar": manifest}))
    widget.send_original()
    widget.upload(jpeg())
    widget.wait_for("ready")
    assert [url.rpartition("/")[2] for url in asked] == ["finish"]
    assert widget.event_details("ready") == [manifest]


@pytest.mark.parametrize("status", [202, 404, 429, 503])
def test_upload_that_is_not_finished_is_polled(widget: Widget, status: int) -> None:
    asked: list[Request] = []
    widget.page.route(FINISH, respond_with(status, {"status": "pending"} if status == 202 else {}, record=asked))
    widget.upload(jpeg())
    widget.wait_for("ready")
    assert len(asked) == 1
    assert widget.event_names == ["select", "ready"]


def test_status_404_fails_as_lost(widget: Widget) -> None:
    widget.page.route(STATUS, respond_with(404, {"error": {"code": "not_found", "message": ""}}))
    widget.upload(jpeg())
    widget.wait_for("failed")
    expect(widget.error).to_have_text("The photo did not arrive. Try again.")
    assert widget.event_details("error")[0]["code"] == "upload_lost"


@pytest.mark.parametrize(
    ("finish", "expected"),
    [(503, [1500, 1000, 1500, 2000, 2000, 2000]), (202, [300, 300, 450, 675, 1012.5, 1518.75, 2000])],
)
def test_status_is_polled_with_growing_pauses(widget: Widget, finish: int, expected: list[float]) -> None:
    widget.page.route(STATUS, respond_with(200, {"status": "pending"}, times=len(expected) - 1))
    widget.page.route(FINISH, respond_with(finish, {"status": "pending"}))
    pauses = widget.page.evaluate_handle(
        """() => {
            const pauses = [];
            const { setTimeout } = window;
            window.setTimeout = (act, wait) => {
                const isPause = wait >= 300 && wait <= 2000;
                if (isPause) pauses.push(wait);
                return setTimeout(act, isPause ? 0 : wait);
            };
            return pauses;
        }"""
    )
    widget.upload(jpeg())
    widget.wait_for("ready")
    assert pauses.json_value()[: len(expected)] == expected


def test_status_pending_for_a_minute_is_slow_and_polled_rarely(widget: Widget) -> None:
    asked: list[Request] = []
    widget.page.route(STATUS, respond_with(200, {"status": "pending"}, record=asked))
    widget.upload(jpeg())
    widget.wait_for("processing")
    slow = widget.element.get_by_text("This takes longer than usual.")
    while not slow.is_visible():
        widget.advance(1)
    assert 25 < len(asked) < 45
    del asked[:]
    widget.advance(60)
    assert 4 <= len(asked) <= 7
    assert widget.event_details("progress")[-1] == {"stage": "processing", "fraction": 1, "slow": True}
    widget.page.unroute(STATUS)
    widget.wait_for("ready")


def test_status_pending_for_ten_minutes_fails(widget: Widget) -> None:
    widget.page.route(STATUS, respond_pending)
    widget.upload(jpeg())
    widget.wait_for("processing")
    widget.wait_for("failed", step_ms=5000)
    expect(widget.error).to_contain_text("It may yet appear; you can also send it again.")
    assert widget.event_details("error")[0]["code"] == "still_pending"
