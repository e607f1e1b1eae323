"""web/profile/edit-dialog.js and page.js: a user deletes their profile."""

from __future__ import annotations

import re

import requests
from playwright.sync_api import Locator, Page, Route, expect

from local.stack import LocalStack
from tests.browser.profile.visitor import (
    DEFAULT_AVATAR,
    STORAGE_KEY,
    NewVisitor,
    Person,
    Visitor,
    avatar_image,
    edit_button,
    edit_dialog,
    fulfill_json,
    heading,
    route_operation,
    sign_in,
)
from tests.local.conftest import PHOTO, wait_until

DELETED = "Your profile is deleted, and you are signed out. When you sign in again, you get a new one."


def delete_button(page: Page) -> Locator:
    return edit_dialog(page).get_by_role("button", name="Delete profile")


def confirm_button(page: Page) -> Locator:
    return page.get_by_role("group", name="Delete your profile").get_by_role("button", name="Delete for good")


def keep_button(page: Page) -> Locator:
    return page.get_by_role("button", name="Keep the profile")


def ask(visitor: Visitor, person: Person) -> Page:
    """Signs in and goes on to the question."""
    page = visitor.sign_in(person)
    edit_button(page).click()
    delete_button(page).click()
    return page


def public_status(person: Person, handle: str) -> int:
    return requests.get(f"{person.stack.api_url}/profiles/{handle}", timeout=30).status_code


def test_delete_signs_out_and_leaves_nothing(visitor: Visitor, alice: Person, stack: LocalStack) -> None:
    alice.session.upload(PHOTO.read_bytes(), "image/jpeg")
    handle = alice.get()["handle"]
    page = ask(visitor, alice)
    page.evaluate("window.notReloaded = true")
    confirm_button(page).click()
    expect(heading(page)).to_have_text("Sign in")
    expect(page.get_by_label("Email")).to_have_value(alice.username)
    expect(page.get_by_label("Password")).to_be_focused()
    expect(page.get_by_text(DELETED)).to_be_visible()
    expect(page).to_have_url(stack.exports["profileUrl"])
    expect(page.get_by_role("button", name="Back to the profile")).to_be_hidden()
    assert page.evaluate(f"[window.notReloaded, sessionStorage.getItem('{STORAGE_KEY}')]") == [True, None]
    assert public_status(alice, handle) == 404
    wait_until(lambda: visitor.request_bodies("RevokeToken"), "the token is revoked")
    subject = alice.session.subject
    assert requests.get(f"{stack.cdn_url}/avatars/{subject}.json", timeout=5).status_code == 404


def test_sign_in_after_deletion_gives_a_new_profile(visitor: Visitor, alice: Person) -> None:
    alice.session.upload(PHOTO.read_bytes(), "image/jpeg")
    page = ask(visitor, alice)
    confirm_button(page).click()
    expect(page.get_by_text(DELETED)).to_be_visible()
    sign_in(page, alice)
    expect(heading(page)).to_have_text(re.compile(r"^user_"))
    expect(avatar_image(page)).to_have_attribute("src", DEFAULT_AVATAR)
    expect(page.locator(".bio")).to_be_hidden()


def test_keyboard_asks_goes_back_and_deletes(visitor: Visitor, alice: Person) -> None:
    page = visitor.sign_in(alice)
    edit_button(page).press("Enter")
    for go_back in ("Enter", "Escape"):  # on "Keep the profile", which has the focus
        delete_button(page).press("Enter")
        expect(keep_button(page)).to_be_focused()
        expect(page.get_by_role("button", name="Save")).to_be_hidden()
        page.keyboard.press(go_back)
        expect(delete_button(page)).to_be_focused()
        expect(keep_button(page)).to_be_hidden()
        expect(edit_dialog(page)).to_be_visible()
    assert visitor.request_bodies("DELETE profile") == []
    delete_button(page).press("Enter")
    page.keyboard.press("Tab")
    expect(confirm_button(page)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text(DELETED)).to_be_visible()


def test_question_is_gone_when_the_dialog_opens_again(visitor: Visitor, alice: Person) -> None:
    page = ask(visitor, alice)
    page.mouse.click(3, 3)
    expect(keep_button(page)).to_be_hidden()
    page.mouse.click(3, 3)
    expect(edit_dialog(page)).to_be_hidden()
    edit_button(page).click()
    expect(page.get_by_role("button", name="Save")).to_be_visible()
    expect(keep_button(page)).to_be_hidden()


def test_deletion_is_sent_once_and_not_interrupted(visitor: Visitor, alice: Person) -> None:
    """Loading or saving the profile meanwhile would create a new one."""
    held: list[Route] = []
    page = ask(visitor, alice)
    route_operation(page, "DELETE profile", held.append)
    confirm_button(page).click()
    expect(page.get_by_text("Deleting…")).to_be_visible()
    for button in (confirm_button(page), keep_button(page)):
        expect(button).to_be_disabled()
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.mouse.click(3, 3)
    expect(edit_dialog(page)).to_be_visible()
    assert page.locator("#display-name").evaluate("field => (field.focus(), document.activeElement !== field)")
    wait_until(lambda: held, "the request is sent")
    held[0].continue_()
    expect(page.get_by_text(DELETED)).to_be_visible()
    methods = [request.method for request in visitor.requests if request.url.endswith("/profile")]
    assert methods[-1] == "DELETE"
    assert methods.count("DELETE") == 1


def test_request_for_the_profile_ends_before_its_deletion(visitor: Visitor, alice: Person) -> None:
    page = visitor.sign_in(alice)
    held: list[Route] = []
    route_operation(page, "GET profile", held.append)
    edit_button(page).click()
    wait_until(lambda: held or page.wait_for_timeout(20), "the dialog asks for the profile")
    delete_button(page).click()
    with page.expect_event("requestfailed", lambda request: request.method == "GET"):
        confirm_button(page).click()
    expect(page.get_by_text(DELETED)).to_be_visible()


def test_deletion_503_is_retried(visitor: Visitor, alice: Person) -> None:
    visitor.allow_console_errors("503")
    page = ask(visitor, alice)
    asleep = iter([True])

    def respond_503(route: Route) -> None:
        if next(asleep, False):
            fulfill_json(route, 503, {"error": {"code": "unavailable", "message": "asleep"}})
        else:
            route.fallback()

    route_operation(page, "DELETE profile", respond_503)
    confirm_button(page).click()
    expect(page.get_by_text("The database is waking up. Deleting goes on by itself")).to_be_visible()
    page.clock.run_for(1_000)
    expect(page.get_by_text(DELETED)).to_be_visible()


def test_deletion_failed_says_what_is_left_and_can_be_repeated(visitor: Visitor, alice: Person) -> None:
    visitor.allow_console_errors("ERR_FAILED|500|503")
    handle = alice.get()["handle"]
    page = ask(visitor, alice)
    for status, sentence in (
        (None, "Not deleted: there is no connection. Try again."),
        (500, "Not deleted: something went wrong on the server. Try again."),
        (503, "Your picture is deleted, but not your profile: the database did not wake up. Try again."),
    ):

        def fail(route: Route, status: int | None = status) -> None:
            if status is None:
                route.abort()
            else:
                fulfill_json(route, status, {"error": {"code": "unavailable", "message": "no"}})

        route_operation(page, "DELETE profile", fail)
        confirm_button(page).click()
        if status == 503:  # moves on through the pauses before the retries
            wait_until(
                lambda: len(visitor.request_bodies("DELETE profile")) == 1 + 1 + 6 or page.clock.fast_forward(1_000),
                "the last attempt",
            )
        failure = edit_dialog(page).locator(".failure")
        expect(failure).to_have_text(sentence)
        expect(failure).to_be_in_viewport()
        expect(delete_button(page)).to_be_focused()
        assert public_status(alice, handle) == 200
        page.unroute_all()
        delete_button(page).click()
    confirm_button(page).click()
    expect(page.get_by_text(DELETED)).to_be_visible()
    assert public_status(alice, handle) == 404


def test_other_tab_shows_neither_profile_nor_its_buttons(visitor: Visitor, alice: Person) -> None:
    page = ask(visitor, alice)
    handle = alice.get()["handle"]
    other = visitor.open(handle)
    expect(edit_button(other)).to_be_visible()
    confirm_button(page).click()
    expect(heading(other)).to_have_text(f"There is no profile @{handle}")
    expect(other.get_by_text("You were signed out in another tab.")).to_be_visible()
    expect(other.get_by_role("button", name="Sign in")).to_be_visible()


def test_refused_token_signs_out_without_deleting(visitor: Visitor, alice: Person) -> None:
    visitor.allow_console_errors("403")
    page = ask(visitor, alice)
    route_operation(page, "DELETE profile", lambda route: fulfill_json(route, 403, {"message": "Forbidden"}))
    confirm_button(page).click()
    expect(page.get_by_text("Your session has ended.")).to_be_visible()
    expect(edit_dialog(page)).to_be_hidden()
    assert public_status(alice, alice.get()["handle"]) == 200


def test_button_is_aligned_with_the_labels_in_both_directions(new_visitor: NewVisitor, alice: Person) -> None:
    page = new_visitor(viewport={"width": 320, "height": 700}).sign_in(alice)
    edit_button(page).click()
    edges = """() => ["#edit-delete", "label[for=bio]"].map((selector) => {
      const range = document.createRange();
      range.selectNodeContents(document.querySelector(selector));
      const { left, right } = range.getBoundingClientRect();
      return document.documentElement.dir === "rtl" ? right : left;
    })"""
    for direction in ("ltr", "rtl"):
        page.evaluate("direction => (document.documentElement.dir = direction)", direction)
        button, label = page.evaluate(edges)
        assert abs(button - label) <= 2
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        delete_button(page).click()
        expect(confirm_button(page)).to_be_in_viewport(ratio=1)
        keep_button(page).click()
