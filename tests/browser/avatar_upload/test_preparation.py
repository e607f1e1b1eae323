"""web/avatar-upload/preparation.js: what is done before the user presses "Use this photo"."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
import requests
from playwright.sync_api import Request, expect

from client.session import Session
from local.stack import LocalStack
from tests.browser.avatar_upload.conftest import OpenPage
from tests.browser.avatar_upload.widget import (
    FORM,
    Widget,
    fetch_manifest,
    file_payload,
    jpeg,
    json_body,
    leave_unanswered,
    respond_with,
)
from tests.fixtures import pictures
from tests.local.conftest import PHOTO, sign_in, wait_until

_RECORD = """() => {
    const { append } = document.head;
    window.connections = [];
    document.head.append = function (link) {
        window.connections.push([link.rel, link.href, link.crossOrigin]);
        return append.call(this, link);
    };
    const { toBlob } = HTMLCanvasElement.prototype;
    window.encoded = 0;
    HTMLCanvasElement.prototype.toBlob = function (...options) {
        window.encoded += 1;
        return toBlob.apply(this, options);
    };
}"""


@pytest.fixture
def forms(widget: Widget) -> list[Request]:
    """The requests for a form."""
    forms: list[Request] = []
    widget.page.on("request", lambda request: forms.append(request) if request.url.endswith("/key_upload") else None)
    return forms


def wait_for_forms(widget: Widget, forms: list[Request], count: int) -> list[str]:
    """Waits for so many requests for a form and the responses. Returns the IDs of the uploads."""
    wait_until(lambda: widget.page.wait_for_timeout(10) or len(forms) == count, f"{count} requests for a form")
    return [response.json()["upload_id"] for request in forms if (response := request.response())]


def use(widget: Widget) -> str:
    """Presses "Use this photo" with a key. Returns the ID of the avatar's upload."""
    widget.button("Use this photo").press("Enter")
    widget.wait_for("ready")
    return widget.event_details("ready")[-1]["upload_id"]


def test_upload_uses_form_connection_and_content_from_before(
    widget: Widget, stack: LocalStack, forms: list[Request]
) -> None:
    widget.page.evaluate(_RECORD)
    widget.start_crop(jpeg(900, 600))
    (early,) = wait_for_forms(widget, forms, 1)
    widget.press("+", "ArrowLeft")
    widget.page.clock.run_for(300)
    wait_until(lambda: widget.page.evaluate("window.connections.length") == 2, "the square rests")
    widget.button("Use this photo").hover()
    assert use(widget) == early
    assert [json_body(request) for request in forms] == [{"content_type": "image/jpeg"}]
    assert widget.page.evaluate("window.encoded") == 2
    storage, cdn = (f"{url.scheme}://{url.netloc}/" for url in map(urlsplit, (stack.aws_url, stack.cdn_url)))
    *to_storage, to_cdn = widget.page.evaluate("window.connections")
    assert to_storage == [["preconnect", storage, "anonymous"]] * 3  # the last as the pointer reaches the button
    assert to_cdn == ["preconnect", cdn, None]
    assert widget.page.evaluate("window.violations") == []
    sending = [its["fraction"] for its in widget.event_details("progress") if its["stage"] == "sending"]
    assert sending == [0]  # a listener would cost a preflight


def test_form_for_original_is_requested_by_upload(widget: Widget, forms: list[Request]) -> None:
    widget.send_original()
    widget.start_crop(jpeg(900, 600))
    widget.press("+")
    widget.page.clock.run_for(300)
    widget.button("Use this photo").hover()
    assert forms == []
    use(widget)
    assert len(forms) == 1


def test_form_for_other_content_type_is_requested_again(widget: Widget, forms: list[Request]) -> None:
    """Only a part of the photo is transparent."""
    photo = pictures.four_corners(900, 600).convert("RGBA")
    photo.putpixel((450, 0), (0, 0, 0, 0))
    widget.start_crop(file_payload(pictures.encode(photo, "PNG"), "photo.png", "image/png"))
    wait_for_forms(widget, forms, 1)
    widget.zoom.fill("50")
    use(widget)
    assert [json_body(request)["content_type"] for request in forms] == ["image/webp", "image/jpeg"]


def test_form_that_expires_soon_is_not_used(widget: Widget, forms: list[Request]) -> None:
    widget.start_crop(jpeg())
    wait_for_forms(widget, forms, 1)
    widget.page.mouse.move(0, 0)  # on the button, it would have a new form requested
    widget.page.clock.fast_forward("04:01")
    assert use(widget) == wait_for_forms(widget, forms, 2)[1]


def test_form_of_another_user_is_not_used(
    widget: Widget, stack: LocalStack, user: Session, forms: list[Request]
) -> None:
    widget.start_crop(jpeg())
    wait_for_forms(widget, forms, 1)
    other = sign_in(stack)
    widget.page.evaluate("token => { window.app.tokens = [token]; }", other.access_token)
    use(widget)
    assert (fetch_manifest(stack, user), fetch_manifest(stack, other)) == (None, widget.event_details("ready")[0])


@pytest.mark.parametrize(("failure", "attempts"), [(401, 2), (429, 4), ("offline", 1)])
def test_error_of_early_request_is_shown_only_to_who_decides(
    widget: Widget, forms: list[Request], failure: int | str, attempts: int
) -> None:
    """It is neither retried, nor is the token refreshed: the page may ask the user to sign in again."""
    if failure == "offline":
        widget.page.context.set_offline(True)
    else:
        widget.page.route(FORM, respond_with(int(failure), {"message": "no"}))
    widget.start_crop(jpeg(900, 600))
    wait_until(lambda: widget.page.wait_for_timeout(10) or forms, "an early request")
    widget.press("+")
    widget.page.clock.run_for(5000)
    assert (widget.state, len(forms), widget.event_names) == ("chosen", 1, ["select"])
    assert widget.page.evaluate("window.app.asked") == [False]
    widget.button("Use this photo").click()
    widget.wait_for("failed")
    expect(widget.error).not_to_have_text("")
    assert len(forms) == 1 + attempts
    widget.page.unroute(FORM)
    if failure == "offline":
        widget.page.context.set_offline(False)
    else:
        widget.button("Try again").click()
    widget.wait_for("ready")


def test_early_request_is_aborted_with_choice(widget: Widget) -> None:
    widget.page.route(FORM, leave_unanswered)
    with widget.page.expect_request(FORM):
        widget.start_crop(jpeg())
    with widget.page.expect_event("requestfailed", timeout=5000) as ended:
        widget.button("Cancel").click()
    assert ended.value.failure == "net::ERR_ABORTED"


@pytest.mark.parametrize("act", ["upload", "removal"])
def test_what_user_did_since_photo_was_chosen_does_not_prevail(
    open_page: OpenPage, stack: LocalStack, user: Session, act: str
) -> None:
    """The order of uploads and removals is that of the requests for their forms."""
    widget = open_page(clock=False)
    user.upload(PHOTO.read_bytes(), "image/jpeg")
    with widget.page.expect_response(FORM):
        widget.start_crop(jpeg(400, 400))
    if act == "upload":
        user.upload(PHOTO.read_bytes(), "image/jpeg")
    else:
        headers = {"Authorization": f"Bearer {user.access_token}"}
        requests.delete(f"{stack.api_url}/avatars/me", headers=headers, timeout=10).raise_for_status()
    widget.button("Use this photo").click()
    widget.wait_for("ready")
    avatar = fetch_manifest(stack, user)
    assert avatar
    assert (avatar["source"]["width"], widget.event_details("ready")) == (400, [avatar])
