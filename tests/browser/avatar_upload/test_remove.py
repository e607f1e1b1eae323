"""web/avatar-upload/remove.js, and how the element asks before it removes the avatar."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Request, expect

from client.session import Session
from local.stack import LocalStack
from tests.browser.avatar_upload.conftest import OpenPage
from tests.browser.avatar_upload.widget import (
    FORM,
    OWN_AVATAR,
    STATUS,
    UNKNOWN_TOKEN,
    HeldRequests,
    Widget,
    drop_files,
    fetch_manifest,
    jpeg,
    leave_unanswered,
    record_requests,
    respond_with,
)
from tests.local.conftest import PHOTO

QUESTION = "Remove your profile picture? This cannot be undone."
OpenWithPicture = Callable[..., Widget]


@pytest.fixture
def open_with_picture(open_page: OpenPage, stack: LocalStack) -> OpenWithPicture:
    """Opens a page that shows a picture, whether or not the user has an avatar."""

    def open_with_picture(attributes: str = "", **options: Any) -> Widget:
        widget = open_page(f'src="{stack.cdn_url}/defaults/avatar.jpg" {attributes}', **options)
        expect(widget.button("Change photo")).to_be_visible()
        return widget

    return open_with_picture


@pytest.fixture
def widget(open_with_picture: OpenWithPicture) -> Widget:
    return open_with_picture()


@pytest.fixture
def avatar(user: Session) -> Mapping[str, Any]:
    """The manifest of the avatar that the user has."""
    return user.upload(PHOTO.read_bytes(), "image/jpeg").avatar


def question(widget: Widget) -> Locator:
    return widget.element.get_by_role("group", name=QUESTION)


def remove(widget: Widget) -> None:
    widget.button("Remove photo").click()
    widget.button("Remove").click()


def test_remove_is_offered_only_with_picture(open_page: OpenPage, stack: LocalStack) -> None:
    widget = open_page()
    expect(widget.button("Remove photo")).to_be_hidden()
    widget.element.evaluate("(element, src) => { element.src = src; }", f"{stack.cdn_url}/defaults/avatar.jpg")
    expect(widget.button("Remove photo")).to_be_visible()
    widget.element.evaluate("element => { element.noRemove = true; }")
    expect(widget.button("Remove photo")).to_be_hidden()
    widget.element.evaluate("element => { element.noRemove = false; }")
    expect(widget.button("Remove photo")).to_be_visible()
    widget.element.evaluate("element => { element.src = 'data:,'; }")
    expect(widget.button("Choose a photo")).to_be_visible()
    expect(widget.button("Remove photo")).to_be_hidden()


def test_no_remove_attribute_hides_button_from_start(open_with_picture: OpenWithPicture) -> None:
    expect(open_with_picture("no-remove").button("Remove photo")).to_be_hidden()


def test_remove_is_not_offered_during_upload(widget: Widget) -> None:
    held = HeldRequests(widget.page, FORM)
    widget.choose(jpeg(), button="Change photo")
    expect(widget.button("Remove photo")).to_be_hidden()
    widget.button("Use this photo").click()
    widget.wait_for("preparing")
    expect(widget.button("Remove photo")).to_be_hidden()
    held.release()
    widget.wait_for("ready")
    expect(widget.button("Remove photo")).to_be_visible()


def test_remove_by_keyboard_alone_deletes_avatar(
    open_page: OpenPage, stack: LocalStack, user: Session, avatar: Mapping[str, Any]
) -> None:
    widget = open_page(f'src="{avatar["images"][0]["url"]}"', clock=False)
    expect(widget.button("Remove photo")).to_be_visible()
    keyboard = widget.page.keyboard
    keyboard.press("Tab")
    keyboard.press("Tab")
    assert widget.focused_control == "Remove photo"
    keyboard.press("Enter")
    assert widget.state == "confirming"
    expect(question(widget)).to_be_visible()
    assert widget.focused_control == "Keep"
    keyboard.press("Shift+Tab")
    assert widget.focused_control == "Remove"
    keyboard.press("Space")
    widget.wait_for("removed")
    assert widget.focused_control == "Choose a photo"
    assert fetch_manifest(stack, user) is None
    assert requests.get(avatar["url"], timeout=5).status_code == 404
    assert widget.event_names == ["removed"]
    assert widget.event_details("removed") == [{}]
    expect(widget.status).to_have_text("Your picture is removed.")
    expect(widget.element.get_by_role("img", name="No profile picture yet")).to_be_visible()
    assert widget.shown_avatar_url() == ""
    expect(widget.button("Remove photo")).to_be_hidden()
    expect(question(widget)).to_be_hidden()
    assert widget.console_errors == []
    assert widget.page.evaluate("window.violations") == []


def test_upload_after_removal_becomes_avatar(widget: Widget, stack: LocalStack, user: Session) -> None:
    remove(widget)
    widget.wait_for("removed")
    widget.upload(jpeg())
    widget.wait_for("ready")
    assert widget.event_details("ready") == [fetch_manifest(stack, user)]
    expect(widget.button("Remove photo")).to_be_visible()


def test_remove_of_avatar_deleted_elsewhere_succeeds(
    widget: Widget, stack: LocalStack, user: Session, avatar: Mapping[str, Any]
) -> None:
    headers = {"Authorization": f"Bearer {user.access_token}"}
    assert requests.delete(f"{stack.api_url}/avatars/me", headers=headers, timeout=10).status_code == 204
    remove(widget)
    widget.wait_for("removed")
    assert widget.event_names == ["removed"]


def _press_keep(widget: Widget) -> None:
    widget.page.keyboard.press("Enter")


def _press_escape(widget: Widget) -> None:
    widget.page.keyboard.press("Escape")


def _press_escape_after_click_on_card(widget: Widget) -> None:
    question(widget).get_by_text(QUESTION).click()
    assert widget.focused_control == "card"
    widget.page.keyboard.press("Escape")


@pytest.mark.parametrize("keep", [_press_keep, _press_escape, _press_escape_after_click_on_card])
def test_keep_removes_nothing_and_returns_focus(widget: Widget, keep: Callable[[Widget], None]) -> None:
    sent = record_requests(widget.page, "/avatars/me")
    widget.button("Remove photo").click()
    keep(widget)
    assert widget.state == "idle"
    expect(question(widget)).to_be_hidden()
    assert widget.focused_control == "Remove photo"
    assert (sent, widget.event_names) == ([], [])


def test_confirmation_ignores_second_click_of_double_click(widget: Widget) -> None:
    sent = record_requests(widget.page, "/avatars/me")
    widget.button("Remove photo").click()
    widget.button("Remove").dispatch_event("click", {"detail": 2})
    assert widget.state == "confirming"
    assert sent == []


def test_photo_dropped_at_question_is_chosen(widget: Widget) -> None:
    widget.button("Remove photo").click()
    drop_files(widget.element.locator("[part=card]"), jpeg())
    widget.wait_for("chosen")
    expect(question(widget)).to_be_hidden()
    assert widget.focused_control == "Use this photo"


def test_request_pending_disables_buttons_and_is_announced(widget: Widget) -> None:
    held = HeldRequests(widget.page, OWN_AVATAR)
    remove(widget)
    assert widget.state == "removing"
    expect(widget.status).to_have_role("status")
    expect(widget.status).to_have_text("Removing your picture")
    expect(widget.element.get_by_role("progressbar", name="Removing your picture")).to_be_visible()
    for name in ("Remove", "Keep"):
        expect(widget.button(name)).to_be_disabled()
    expect(question(widget)).to_be_visible()
    expect(widget.element.get_by_text(QUESTION)).to_be_hidden()
    assert widget.focused_control == "card"
    widget.page.keyboard.press("Escape")
    drop_files(widget.element.locator("[part=card]"), jpeg())
    assert widget.state == "removing"
    held.release()
    widget.wait_for("removed")
    assert widget.event_names == ["removed"]


def test_token_refused_is_refreshed_once_silently(open_with_picture: OpenWithPicture, user: Session) -> None:
    widget = open_with_picture(tokens=[UNKNOWN_TOKEN, user.access_token])
    remove(widget)
    widget.wait_for("removed")
    assert widget.page.evaluate("window.app.asked") == [False, True]
    assert widget.event_names == ["removed"]


def test_token_refused_twice_fires_session_expired(
    open_with_picture: OpenWithPicture, stack: LocalStack, user: Session, avatar: Mapping[str, Any]
) -> None:
    widget = open_with_picture(tokens=[UNKNOWN_TOKEN])
    remove(widget)
    widget.wait_for("failed")
    expect(widget.error).to_have_text("Your session has ended. Sign in again, then try again.")
    assert widget.event_names == ["session-expired", "error"]
    assert widget.event_details("error")[0]["code"] == "session_expired"
    assert fetch_manifest(stack, user) == avatar
    widget.page.evaluate("token => { window.app.tokens = [token]; }", user.access_token)
    widget.button("Try again").click()
    widget.wait_for("removed")
    assert fetch_manifest(stack, user) is None


def test_connection_reset_fails_and_retry_button_succeeds(widget: Widget) -> None:
    widget.page.route(OWN_AVATAR, lambda route: route.abort("connectionreset"))
    remove(widget)
    widget.wait_for("failed")
    expect(widget.error).to_have_text("The server cannot be reached. Check your connection and try again.")
    (error,) = widget.event_details("error")
    assert (error["code"], error["retry"]) == ("network", True)
    assert widget.focused_control == "Try again"
    expect(widget.button("Choose another")).to_be_hidden()
    widget.page.unroute(OWN_AVATAR)
    widget.page.keyboard.press("Enter")
    widget.wait_for("removed")
    expect(widget.error).to_have_text("")
    assert widget.focused_control == "Choose a photo"


def test_offline_removal_is_not_sent_when_online_again(widget: Widget) -> None:
    context = widget.page.context
    sent = record_requests(widget.page, "/avatars/me")
    context.set_offline(True)
    remove(widget)
    widget.wait_for("failed")
    expect(widget.error).to_have_text("You are offline. Try again when you are back online.")
    assert widget.event_details("error")[0]["message"] == widget.error.text_content()
    del sent[:]
    widget.page.evaluate("() => { addEventListener('online', () => { window.isOnlineAgain = true; }); }")
    context.set_offline(False)
    widget.page.wait_for_function("window.isOnlineAgain")
    assert (widget.state, sent) == ("failed", [])
    widget.button("Try again").click()
    widget.wait_for("removed")


@pytest.mark.parametrize("status", [429, 503])
def test_transient_status_is_retried_silently(widget: Widget, status: int) -> None:
    sent: list[Request] = []
    widget.page.route(OWN_AVATAR, respond_with(status, {"message": "no"}, times=3, record=sent))
    remove(widget)
    widget.wait_for("removed")
    assert [request.method for request in sent] == ["DELETE"] * 4
    assert widget.event_names == ["removed"]


def test_persistent_503_fails_and_cancel_shows_picture(widget: Widget) -> None:
    sent: list[Request] = []
    widget.page.route(OWN_AVATAR, respond_with(503, "<html>no JSON</html>", record=sent))
    remove(widget)
    widget.wait_for("failed")
    assert len(sent) == 4
    expect(widget.error).to_contain_text("The service has a problem at the moment.")
    error = widget.event_details("error")[0]
    assert (error["code"], error["retry"]) == ("server_error", True)
    widget.button("Cancel").click()
    assert widget.state == "idle"
    expect(widget.element.get_by_role("img", name="Your profile picture")).to_be_visible()
    assert widget.event_names == ["error"]


def test_response_outside_contract_fails_as_unexpected(widget: Widget) -> None:
    widget.page.route(OWN_AVATAR, respond_with(404, {"message": "Not Found"}))
    remove(widget)
    widget.wait_for("failed")
    expect(widget.error).to_have_text("Something went wrong, and your picture was not removed. Come back later.")
    error = widget.event_details("error")[0]
    assert (error["code"], error["retry"], error["cause"]["status"]) == ("unexpected", False, 404)
    expect(widget.button("Try again")).to_be_hidden()
    assert widget.focused_control == "Cancel"


def test_token_callback_missing_fails_in_words(widget: Widget) -> None:
    widget.element.evaluate("element => { element.tokenCallback = ''; }")
    remove(widget)
    widget.wait_for("failed")
    expect(widget.error).to_have_text("This page cannot remove your picture: it does not say who is signed in.")
    assert widget.event_details("error")[0]["code"] == "no_token"


def test_disabled_cannot_remove_and_keeps_running_removal(widget: Widget) -> None:
    widget.element.evaluate("element => { element.disabled = true; }")
    expect(widget.button("Remove photo")).to_be_disabled()
    widget.element.evaluate("element => { element.disabled = false; }")
    widget.button("Remove photo").click()
    widget.element.evaluate("element => { element.disabled = true; }")
    expect(widget.button("Remove")).to_be_disabled()
    expect(widget.button("Keep")).to_be_enabled()
    widget.element.evaluate("element => { element.disabled = false; }")
    held = HeldRequests(widget.page, OWN_AVATAR)
    widget.button("Remove").click()
    widget.element.evaluate("element => { element.disabled = true; }")
    held.release()
    widget.wait_for("removed")


@pytest.mark.parametrize("end", ["element.reset()", "element.remove()"])
def test_request_pending_is_aborted_by_reset_and_disconnection(widget: Widget, end: str) -> None:
    page = widget.page
    page.route(OWN_AVATAR, leave_unanswered)
    with page.expect_request(OWN_AVATAR):
        remove(widget)
    page.evaluate("window.kept = document.getElementById('avatar')")
    with page.expect_event("requestfailed") as ended:
        page.evaluate(f"(() => {{ const element = window.kept; {end}; }})()")
    assert ended.value.failure == "net::ERR_ABORTED"
    assert page.evaluate("window.kept.state") == "idle"
    assert widget.event_names == []


def test_new_src_after_removal_is_shown(widget: Widget, stack: LocalStack) -> None:
    remove(widget)
    widget.wait_for("removed")
    widget.element.evaluate("(element, src) => { element.src = src; }", f"{stack.cdn_url}/defaults/avatar.jpg?2")
    expect(widget.button("Remove photo")).to_be_visible()
    assert widget.state == "idle"
    expect(widget.status).to_have_text("")


def test_focus_moves_when_picture_goes_elsewhere(widget: Widget) -> None:
    widget.button("Remove photo").focus()
    widget.element.evaluate("element => { element.src = null; }")
    expect(widget.button("Remove photo")).to_be_hidden()
    assert widget.focused_control == "Choose a photo"


def test_upload_rejected_as_deleted_can_be_retried(widget: Widget) -> None:
    widget.page.route(STATUS, respond_with(200, {"status": "rejected", "reason": "deleted"}))
    widget.upload(jpeg(), button="Change photo")
    widget.wait_for("failed")
    expect(widget.error).to_have_text(
        "You removed your picture while this photo was being sent, so it was not used. Try again to use it."
    )
    message = widget.error.text_content()
    assert widget.event_details("rejected") == [{"reason": "deleted", "message": message}]
    widget.page.unroute(STATUS)
    widget.button("Try again").click()
    widget.wait_for("ready")


def test_messages_replace_every_text_of_removal(widget: Widget) -> None:
    widget.element.evaluate(
        """element => { element.messages = {
            remove: "Foto entfernen", removalQuestion: "Wirklich?", confirmRemoval: "Entfernen", keep: "Behalten",
            removing: "Wird entfernt", removed: "Entfernt", removal_unexpected: "Nicht entfernt",
        }; }"""
    )
    widget.page.route(OWN_AVATAR, respond_with(400, {}, times=1))
    widget.button("Foto entfernen").click()
    expect(widget.element.get_by_role("group", name="Wirklich?")).to_be_visible()
    expect(widget.button("Behalten")).to_be_focused()
    widget.button("Entfernen").click()
    expect(widget.error).to_have_text("Nicht entfernt")
    widget.button("Cancel").click()
    widget.button("Foto entfernen").click()
    held = HeldRequests(widget.page, OWN_AVATAR)
    widget.button("Entfernen").click()
    expect(widget.status).to_have_text("Wird entfernt")
    held.release()
    expect(widget.status).to_have_text("Entfernt")


def _ask(widget: Widget) -> None:
    widget.button("Remove photo").click()


def _leave_in_removing(widget: Widget) -> None:
    widget.page.route(OWN_AVATAR, leave_unanswered)
    remove(widget)
    widget.wait_for("removing")


def _remove(widget: Widget) -> None:
    remove(widget)
    widget.wait_for("removed")


def _fail(widget: Widget) -> None:
    widget.page.route(OWN_AVATAR, respond_with(400, {}))
    remove(widget)
    widget.wait_for("failed")


STATES: dict[str, Callable[[Widget], None]] = {
    "idle": lambda _widget: None,
    "confirming": _ask,
    "removing": _leave_in_removing,
    "removed": _remove,
    "failed": _fail,
}


PAGES: list[tuple[Literal["light", "dark"], str, int]] = [
    ("light", "ltr", 320),
    ("dark", "rtl", 320),
    ("light", "rtl", 800),
]


@pytest.mark.parametrize("state", STATES)
def test_state_passes_axe_in_both_schemes_and_directions(open_with_picture: OpenWithPicture, state: str) -> None:
    widget = open_with_picture(viewport={"width": 320, "height": 800}, reduced_motion="reduce")
    STATES[state](widget)
    assert widget.state == state
    for scheme, direction, width in PAGES:
        widget.page.emulate_media(color_scheme=scheme)
        widget.page.set_viewport_size({"width": width, "height": 800})
        widget.page.evaluate("direction => { document.documentElement.dir = direction; }", direction)
        results = Axe().run(widget.page)
        assert results.violations_count == 0, results.generate_report()
        assert widget.page.evaluate("document.documentElement.scrollWidth") == width


def test_buttons_are_as_high_as_others_and_mirrored_in_rtl(widget: Widget) -> None:
    widget.page.evaluate("document.documentElement.dir = 'rtl'")
    change, remove_photo = (widget.button(name).bounding_box() for name in ("Change photo", "Remove photo"))
    assert change
    assert remove_photo
    assert remove_photo["x"] < change["x"]
    widget.button("Remove photo").click()
    yes, no = (widget.button(name).bounding_box() for name in ("Remove", "Keep"))
    assert yes
    assert no
    assert no["x"] < yes["x"]
    assert [box["height"] for box in (change, remove_photo, yes, no)] == [44] * 4


def test_forced_colors_show_edge_of_quiet_button(open_with_picture: OpenWithPicture) -> None:
    color = "button => getComputedStyle(button).borderTopColor"
    assert open_with_picture().button("Remove photo").evaluate(color) == "rgba(0, 0, 0, 0)"
    forced = open_with_picture(forced_colors="active")
    assert forced.button("Remove photo").evaluate(color) == forced.button("Change photo").evaluate(color)


def test_remove_avatar_without_element_deletes_it(
    widget: Widget, stack: LocalStack, user: Session, avatar: Mapping[str, Any]
) -> None:
    outcomes = widget.page.evaluate(
        """async ([apiUrl, token]) => {
            const { failureSentence, removeAvatar } = await import("/avatar-upload.js");
            const refused = await removeAvatar({ apiUrl, getToken: () => null }).catch(({ code }) => code);
            const signal = AbortSignal.abort(new Error("enough"));
            const aborted = await removeAvatar({ apiUrl, getToken: () => token, signal }).catch((e) => e.message);
            const sentence = failureSentence({ code: "offline" }, { removal: true });
            return [refused, aborted, sentence, (await removeAvatar({ apiUrl, getToken: () => token })) ?? "removed"];
        }""",
        [stack.api_url, user.access_token],
    )
    assert outcomes == ["session_expired", "enough", "You are offline. Try again when you are back online.", "removed"]
    assert fetch_manifest(stack, user) is None
