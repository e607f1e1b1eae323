"""web/avatar-upload/api.js: retries, timeouts and access tokens."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Request, expect

from client.session import Session
from local.stack import LocalStack
from tests.browser.avatar_upload.conftest import OpenPage
from tests.browser.avatar_upload.widget import (
    FIRST_PAUSE_MS,
    FORM,
    STATUS,
    UNKNOWN_TOKEN,
    Widget,
    bucket_url,
    fetch_manifest,
    jpeg,
    record_requests,
    respond_with,
)
from tests.browser.site import EmbeddingSite


@pytest.mark.parametrize("pattern", [FORM, "bucket", STATUS])
def test_connection_reset_fails_and_retry_button_succeeds(widget: Widget, stack: LocalStack, pattern: str) -> None:
    url = bucket_url(stack) if pattern == "bucket" else pattern
    widget.page.route(url, lambda route: route.abort("connectionreset"))
    widget.upload(jpeg())
    widget.wait_for("failed")
    expect(widget.error).to_have_text("The server cannot be reached. Check your connection and try again.")
    (error,) = widget.event_details("error")
    assert (error["code"], error["retry"]) == ("network", True)
    widget.page.unroute(url)
    forms = record_requests(widget.page, "key_upload")
    widget.button("Try again").click()
    widget.wait_for("ready")
    assert len(forms) == 1
    expect(widget.error).to_have_text("")


def test_connection_reset_twice_is_retried_silently(widget: Widget) -> None:
    losses = iter([True, True, True, False])
    widget.page.route(STATUS, lambda route: route.abort() if next(losses, False) else route.continue_())
    widget.upload(jpeg())
    widget.wait_for("ready")
    assert widget.event_names == ["select", "ready"]


@pytest.mark.parametrize("pattern", [FORM, "bucket", STATUS])
def test_request_timeout_is_not_retried(widget: Widget, stack: LocalStack, pattern: str) -> None:
    asked: list[Request] = []
    url = bucket_url(stack) if pattern == "bucket" else pattern
    widget.page.route(url, lambda route: asked.append(route.request))
    with widget.page.expect_request(url):
        widget.start_crop(jpeg())
        widget.button("Use this photo").click()
        if pattern == STATUS:
            widget.wait_for("processing")
            widget.page.clock.run_for(FIRST_PAUSE_MS)
    widget.advance_until("failed", 5000)
    assert widget.event_details("error")[0]["code"] == "network"
    assert len(asked) == (1 if pattern == "bucket" else 2)  # once before it is needed: early, or to finish


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize("pattern", [FORM, STATUS])
def test_transient_status_is_retried_silently(widget: Widget, status: int, pattern: str) -> None:
    asked: list[Request] = []
    widget.page.route(pattern, respond_with(status, {"message": "no"}, times=3, record=asked))
    widget.upload(jpeg())
    widget.wait_for("ready")
    assert len(asked) >= 4
    assert widget.event_names == ["select", "ready"]


@pytest.mark.parametrize("pattern", [FORM, STATUS])
def test_persistent_503_fails_after_four_attempts(widget: Widget, pattern: str) -> None:
    asked: list[Request] = []
    widget.page.route(pattern, respond_with(503, "<html>no JSON</html>", record=asked))
    widget.start_crop(jpeg())
    widget.button("Use this photo").click()
    widget.wait_for("failed")
    assert len(asked) == 5  # the first is made once: early, or to finish
    expect(widget.error).to_contain_text("The service has a problem at the moment.")
    error = widget.event_details("error")[0]
    assert (error["code"], error["retry"]) == ("server_error", True)


@pytest.mark.parametrize(("pattern", "status", "body"), [(FORM, 400, {}), (FORM, 200, "?"), (STATUS, 200, {})])
def test_response_outside_contract_fails_as_unexpected(widget: Widget, pattern: str, status: int, body: Any) -> None:
    widget.page.route(pattern, respond_with(status, body))
    widget.upload(jpeg())
    widget.wait_for("failed")
    expect(widget.error).to_contain_text("Something went wrong.")
    error = widget.event_details("error")[0]
    assert (error["code"], error["retry"], error["cause"]["status"]) == ("unexpected", False, status)


def test_token_refused_is_refreshed_once_silently(open_page: OpenPage, user: Session) -> None:
    widget = open_page(tokens=[UNKNOWN_TOKEN, user.access_token])
    widget.start_crop(jpeg())
    widget.button("Use this photo").click()
    widget.wait_for("ready")
    assert widget.page.evaluate("window.app.asked") == [False, False, True]
    assert widget.event_names == ["select", "ready"]


@pytest.mark.parametrize("pattern", [FORM, STATUS])
@pytest.mark.parametrize("status", [401, 403])
def test_token_refused_at_any_call_is_refreshed(widget: Widget, pattern: str, status: int) -> None:
    widget.page.route(pattern, respond_with(status, {"message": "Forbidden"}, times=2))
    widget.start_crop(jpeg())
    widget.button("Use this photo").click()
    widget.wait_for("ready")
    assert widget.page.evaluate("window.app.asked") == [False, False, True]


def test_token_refused_twice_fires_session_expired(open_page: OpenPage, user: Session) -> None:
    widget = open_page(tokens=[UNKNOWN_TOKEN])
    widget.start_crop(jpeg())
    widget.button("Use this photo").click()
    widget.wait_for("failed")
    expect(widget.error).to_have_text("Your session has ended. Sign in again, then try again.")
    assert widget.page.evaluate("window.app.asked") == [False, False, True]
    assert widget.event_names == ["select", "session-expired", "error"]
    assert widget.event_details("error")[0]["code"] == "session_expired"
    widget.page.evaluate("token => { window.app.tokens = [token]; }", user.access_token)
    widget.button("Try again").click()
    widget.wait_for("ready")


@pytest.mark.parametrize("get_token", ["async () => { throw new Error('signed out') }", "() => ''", "() => null"])
def test_get_token_throws_or_empty_fails_without_request(widget: Widget, get_token: str) -> None:
    asked = record_requests(widget.page, "key_upload")
    widget.element.evaluate(f"element => {{ element.getToken = {get_token}; }}")
    widget.upload(jpeg())
    widget.wait_for("failed")
    expect(widget.error).to_contain_text("Your session has ended.")
    assert asked == []


def test_page_of_other_origin_with_token_cannot_upload(
    open_page: OpenPage, stack: LocalStack, foreign_site: EmbeddingSite, user: Session
) -> None:
    widget = open_page(at=foreign_site)
    posted = record_requests(widget.page, bucket_url(stack))
    widget.upload(jpeg())
    widget.wait_for("failed")
    assert widget.event_details("error")[0]["code"] == "network"
    assert any("Access-Control-Allow-Origin" in error for error in widget.console_errors)
    assert posted == []
    assert fetch_manifest(stack, user) is None
