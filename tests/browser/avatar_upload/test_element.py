"""web/avatar-upload/element.js: attributes, properties, methods, and a place in the document."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import expect

from client.session import Session
from local.stack import LocalStack
from tests.browser.avatar_upload.conftest import OpenPage
from tests.browser.avatar_upload.widget import (
    FORM,
    UNKNOWN_TOKEN,
    HeldRequests,
    Widget,
    bucket_url,
    drop_files,
    fetch_manifest,
    jpeg,
    leave_unanswered,
    paste_file,
)
from tests.browser.site import WEB
from tests.local.conftest import sign_in


def test_api_url_missing_offers_nothing_until_set(open_page: OpenPage, stack: LocalStack) -> None:
    widget = open_page(body='<avatar-upload id="avatar" token-callback="app.token"></avatar-upload>')
    expect(widget.error).to_have_text("This page cannot send photos: <avatar-upload> needs the attribute api-url.")
    assert widget.state == "unconfigured"
    expect(widget.element.get_by_role("button")).to_have_count(0)
    drop_files(widget.element.locator("[part=card]"), jpeg())
    assert widget.state == "unconfigured"
    widget.element.evaluate("(element, url) => { element.apiUrl = url; }", stack.api_url + "/")
    widget.upload(jpeg())
    widget.wait_for("ready")


def test_api_url_removed_cancels_upload(widget: Widget) -> None:
    widget.page.route(FORM, leave_unanswered)
    widget.upload(jpeg())
    widget.wait_for("preparing")
    widget.element.evaluate("element => element.removeAttribute('api-url')")
    assert widget.state == "unconfigured"
    assert widget.event_details("cancel") == [{"sent": False}]


def test_src_and_alt_set_current_picture_and_its_text(widget: Widget, stack: LocalStack) -> None:
    expect(widget.element.get_by_role("img", name="No profile picture yet")).to_be_visible()
    expect(widget.button("Choose a photo")).to_be_visible()
    default = f"{stack.cdn_url}/defaults/avatar.jpg"
    widget.element.evaluate("(element, src) => { element.src = src; }", default)
    expect(widget.element.get_by_role("img", name="Your profile picture")).to_be_visible()
    expect(widget.button("Change photo")).to_be_visible()
    assert widget.shown_avatar_url() == default
    widget.element.evaluate("element => { element.alt = 'Alice'; }")
    expect(widget.element.get_by_role("img", name="Alice")).to_be_visible()
    widget.element.evaluate("element => { element.src = null; }")
    expect(widget.element.get_by_role("img", name="No profile picture yet")).to_be_visible()


def test_accept_is_passed_to_file_dialog(widget: Widget) -> None:
    with widget.page.expect_file_chooser() as chooser:
        widget.button("Choose a photo").click()
    assert chooser.value.element.get_attribute("accept") == "image/jpeg,image/png,image/webp,image/gif"
    widget.element.evaluate("element => element.setAttribute('accept', 'image/png')")
    with widget.page.expect_file_chooser() as chooser:
        widget.button("Choose a photo").click()
    assert chooser.value.element.get_attribute("accept") == "image/png"


def test_disabled_takes_no_photo_and_keeps_running_upload(widget: Widget) -> None:
    held = HeldRequests(widget.page, FORM)
    with widget.page.expect_request(FORM):
        widget.upload(jpeg())
    widget.element.evaluate("element => { element.disabled = true; }")
    expect(widget.button("Cancel")).to_be_enabled()
    assert drop_files(widget.element.locator("[part=card]"), jpeg())
    paste_file(widget.element, jpeg())
    assert widget.state == "preparing"
    held.release()
    widget.wait_for("ready")
    expect(widget.button("Change photo")).to_be_disabled()
    widget.element.evaluate("element => { element.open(); element.disabled = false; }")
    expect(widget.button("Change photo")).to_be_enabled()
    assert widget.event_names == ["select", "ready"]


def test_open_shows_file_dialog(widget: Widget) -> None:
    widget.page.evaluate("document.querySelector('h1').onclick = () => document.getElementById('avatar').open()")
    with widget.page.expect_file_chooser() as chooser:
        widget.page.locator("h1").click()
    chooser.value.set_files(jpeg())
    widget.wait_for("chosen")


def test_properties_set_before_definition_take_effect(open_page: OpenPage, stack: LocalStack, user: Session) -> None:
    widget = open_page(body="")
    widget.page.evaluate(
        """([apiUrl, token]) => {
            const element = document.implementation.createHTMLDocument().createElement("avatar-upload");
            if (element.reset) throw new Error("it is defined already");
            const properties = { apiUrl, messages: { choose: "Early" }, getToken: () => token };
            Object.assign(element, { id: "avatar", ...properties });
            document.getElementById("there").append(element);
        }""",
        [stack.api_url, user.access_token],
    )
    widget.choose(jpeg(), button="Early")
    widget.button("Use this photo").click()
    widget.wait_for("ready")


@pytest.mark.parametrize("callback", ["", "nothing.of.this.name", "app.tokens"])
def test_token_callback_naming_no_function_fails(widget: Widget, callback: str) -> None:
    widget.element.evaluate("(element, callback) => { element.tokenCallback = callback; }", callback)
    widget.upload(jpeg())
    widget.wait_for("failed")
    expect(widget.error).to_contain_text("it does not say who is signed in")
    assert widget.event_details("error")[0]["code"] == "no_token"


def test_get_token_property_overrides_token_callback(open_page: OpenPage, user: Session) -> None:
    widget = open_page(tokens=[UNKNOWN_TOKEN])
    widget.element.evaluate("(element, token) => { element.getToken = async () => token; }", user.access_token)
    widget.upload(jpeg())
    widget.wait_for("ready")
    assert widget.page.evaluate("window.app.asked") == []


def test_two_elements_on_a_page_are_independent(open_page: OpenPage, stack: LocalStack, user: Session) -> None:
    other = sign_in(stack)
    body = "".join(
        f'<avatar-upload id="{name}" api-url="{stack.api_url}" token-callback="tokens.{name}"></avatar-upload>'
        for name in ("first", "second")
    )
    page = open_page(body=body).page
    page.evaluate(
        "([a, b]) => { window.tokens = { first: () => a, second: () => b }; }",
        [user.access_token, other.access_token],
    )
    first, second = Widget(page, "first"), Widget(page, "second")
    paste_file(page.locator("body"), jpeg())
    first.choose(jpeg(90, 70))
    drop_files(second.element.locator("[part=card]"), jpeg(50, 60))
    first.button("Use this photo").click()
    second.button("Use this photo").click()
    first.wait_for("ready")
    second.wait_for("ready")
    assert (first.event_names, second.event_names) == (["select", "ready"], ["select", "ready"])
    for session, told in ((user, first.event_details("ready")), (other, second.event_details("ready"))):
        assert told == [fetch_manifest(stack, session)]
    assert first.event_details("ready")[0]["source"]["width"] == 70  # of the squares
    assert second.event_details("ready")[0]["source"]["width"] == 50


def test_removed_while_sending_aborts_and_releases_everything(widget: Widget, stack: LocalStack) -> None:
    page = widget.page
    page.route(bucket_url(stack), leave_unanswered)
    with page.expect_request(bucket_url(stack)):
        widget.upload(jpeg())
    widget.wait_for("sending")
    page.evaluate("window.kept = document.getElementById('avatar')")
    with page.expect_event("requestfailed") as ended:
        page.evaluate("window.kept.remove()")
    assert ended.value.failure == "net::ERR_ABORTED"
    assert page.evaluate("[window.kept.state, window.bitmaps.map((bitmap) => bitmap.width)]") == ["idle", [0]]
    paste_file(page.locator("body"), jpeg())
    assert page.evaluate("window.kept.state") == "idle"

    page.unroute(bucket_url(stack))
    page.evaluate("document.getElementById('there').append(window.kept)")
    paste_file(page.locator("body"), jpeg())
    widget.button("Use this photo").click()
    widget.wait_for("ready")


def test_moved_during_upload_continues(widget: Widget) -> None:
    held = HeldRequests(widget.page, FORM)
    with widget.page.expect_request(FORM):
        widget.upload(jpeg())
    widget.page.evaluate("document.getElementById('there').append(document.getElementById('avatar'))")
    held.release()
    widget.wait_for("ready")
    assert widget.event_names == ["select", "ready"]


@pytest.mark.skipif(not shutil.which("node"), reason="Node.js is not installed")
def test_import_without_dom_exports_module(tmp_path: Path) -> None:
    """A server that renders pages can import the module."""
    folder = shutil.copytree(WEB, tmp_path / "web")
    (folder / "package.json").write_text('{"type": "module"}')
    script = "import('./avatar-upload.js').then((module) => console.log(JSON.stringify(Object.keys(module))))"
    done = subprocess.run(["node", "--eval", script], cwd=folder, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == [
        "AvatarUpload",
        "ENGLISH",
        "UploadError",
        "failureSentence",
        "removeAvatar",
        "uploadAvatar",
    ]
