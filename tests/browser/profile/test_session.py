"""web/profile/session.js and tabs.js: tokens, their renewal, sign-out, and several tabs."""

from __future__ import annotations

import re

from playwright.sync_api import Page, Route, expect

from local.stack import LocalStack
from tests.browser.profile.visitor import (
    STORAGE_KEY,
    NewPerson,
    Person,
    Visitor,
    avatar_image,
    edit_button,
    edit_dialog,
    fulfill_json,
    heading,
    next_number,
    route_operation,
    save,
    sign_in,
)
from tests.local.conftest import PHOTO, wait_until


def test_tokens_are_stored_in_session_storage_only(visitor: Visitor, alice: Person) -> None:
    page = visitor.sign_in(alice)
    assert page.evaluate("[localStorage.length, Object.keys(sessionStorage), document.cookie]") == [
        0,
        [STORAGE_KEY],
        "",
    ]
    assert visitor.context.cookies() == []
    assert alice.session.subject not in page.evaluate(f"sessionStorage.getItem('{STORAGE_KEY}')")
    page.get_by_role("button", name="Sign out").click()
    expect(edit_button(page)).to_be_hidden()
    assert page.evaluate("sessionStorage.length") == 0


def test_sign_out_revokes_refresh_token(visitor: Visitor, alice: Person, stack: LocalStack) -> None:
    page = visitor.sign_in(alice)
    token = page.evaluate(f"sessionStorage.getItem('{STORAGE_KEY}')")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_focused()
    expect(page.get_by_text("You are signed out.")).to_be_visible()
    wait_until(lambda: visitor.request_bodies("RevokeToken"), "the token is revoked")
    assert visitor.request_bodies("RevokeToken") == [{"ClientId": stack.exports["userPoolClientId"], "Token": token}]


def test_access_token_refused_is_refreshed_once(visitor: Visitor, alice: Person) -> None:
    visitor.allow_console_errors("403")
    page = visitor.sign_in(alice)
    refused = iter([True])

    def refuse_first(route: Route) -> None:
        if next(refused, False):
            fulfill_json(route, 403, {"message": "Forbidden"})
        else:
            route.fallback()

    edit_button(page).click()
    page.get_by_label("Bio").fill("renewed")
    route_operation(page, "PUT profile", refuse_first)
    save(page)
    expect(page.locator(".bio")).to_have_text("renewed")
    assert [body["AuthFlow"] for body in visitor.request_bodies("InitiateAuth")] == [
        "USER_PASSWORD_AUTH",
        "REFRESH_TOKEN_AUTH",
    ]
    assert len(visitor.request_bodies("PUT profile")) == 2


def test_access_token_refused_twice_ends_session(visitor: Visitor, alice: Person) -> None:
    visitor.allow_console_errors("403")
    page = visitor.sign_in(alice)
    edit_button(page).click()
    page.get_by_label("Bio").fill("refused twice")
    route_operation(page, "PUT profile", lambda route: fulfill_json(route, 403, {"message": "Forbidden"}))
    save(page)
    expect(page.get_by_text("Your session has ended.")).to_be_visible()
    expect(heading(page)).to_have_text("Sign in")
    assert len(visitor.request_bodies("PUT profile")) == 2


def test_access_token_is_refreshed_before_it_expires(visitor: Visitor, alice: Person) -> None:
    page = visitor.open()
    sign_in(page, alice)
    expect(edit_button(page)).to_be_visible()
    page.clock.fast_forward("58:00")
    edit_button(page).click()
    page.get_by_role("button", name="Cancel").click()
    assert len(visitor.request_bodies("InitiateAuth")) == 1
    page.clock.fast_forward("01:30")
    edit_button(page).click()
    wait_until(
        lambda: len(visitor.request_bodies("InitiateAuth")) == 2 or page.wait_for_timeout(20), "the token is renewed"
    )
    assert visitor.request_bodies("InitiateAuth")[1]["AuthFlow"] == "REFRESH_TOKEN_AUTH"


def test_session_expired_while_editing_keeps_draft(visitor: Visitor, alice: Person) -> None:
    page = _expire_session_while_editing(visitor, alice)
    sign_in(page, alice)
    expect(page.get_by_label("Bio")).to_have_value("precious")
    save(page)
    expect(page.locator(".bio")).to_have_text("precious")
    expect(edit_button(page)).to_be_focused()


def test_session_expired_during_upload_continues_after_sign_in(visitor: Visitor, alice: Person) -> None:
    visitor.allow_console_errors("40[01]")
    page = visitor.sign_in(alice)
    edit_button(page).click()
    alice.revoke_all_sessions()
    route_operation(
        page, "POST avatars/key_upload", lambda route: fulfill_json(route, 401, {"message": "Unauthorized"})
    )
    page.locator("avatar-upload input[type=file]").first.set_input_files(PHOTO)
    page.get_by_role("button", name="Use this photo").click()
    expect(page.get_by_text("Your session has ended.").first).to_be_visible()
    expect(heading(page)).to_have_text("Sign in")
    page.unroute_all()
    sign_in(page, alice)
    page.get_by_role("button", name="Try again").click()
    expect(avatar_image(page)).to_have_attribute("src", re.compile(r"/512\.webp$"), timeout=20_000)


def test_draft_is_not_shown_to_next_user(visitor: Visitor, alice: Person, new_person: NewPerson) -> None:
    page = _expire_session_while_editing(visitor, alice)
    page.unroute_all()
    bob = new_person(display_name="Bob", bio="Bob's words")
    sign_in(page, bob)
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    page.get_by_role("link", name="Your profile").click()
    edit_button(page).click()
    expect(page.get_by_label("Bio")).to_have_value("Bob's words")


def _expire_session_while_editing(visitor: Visitor, person: Person) -> Page:
    visitor.allow_console_errors("40[013]")
    page = visitor.sign_in(person)
    edit_button(page).click()
    page.get_by_label("Bio").fill("precious")
    person.revoke_all_sessions()
    route_operation(page, "PUT profile", lambda route: fulfill_json(route, 401, {"message": "Unauthorized"}))
    save(page)
    expect(page.get_by_text("Your session has ended.")).to_contain_text("What you typed is kept.")
    expect(edit_dialog(page)).to_be_hidden()
    page.unroute_all()
    return page


def test_session_revoked_elsewhere_is_reported_on_reload(visitor: Visitor, alice: Person) -> None:
    visitor.allow_console_errors("400")
    page = visitor.sign_in(alice)
    alice.revoke_all_sessions()
    page.reload()
    expect(page.get_by_text("Your session has ended.")).to_be_visible()
    expect(heading(page)).to_have_text("Alice Ackermann")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0


def test_edit_in_one_tab_updates_other_tab(visitor: Visitor, alice: Person) -> None:
    page = visitor.sign_in(alice)
    other = visitor.open()
    expect(edit_button(other)).to_be_visible()
    handle = f"both_{next_number()}"
    edit_button(page).click()
    page.get_by_label("Display name").fill("In both")
    page.get_by_label("Handle").fill(handle)
    save(page)
    expect(heading(other)).to_have_text("In both")
    expect(other).to_have_url(re.compile(f"handle={handle}$"))


def test_sign_out_in_one_tab_signs_out_all(visitor: Visitor, alice: Person) -> None:
    page = visitor.sign_in(alice)
    other = visitor.open()
    expect(edit_button(other)).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(other.get_by_text("You were signed out in another tab.")).to_be_visible()
    expect(edit_button(other)).to_be_hidden()
    assert other.evaluate("sessionStorage.length") == 0
    third = visitor.open()
    expect(heading(third)).to_have_text("Sign in")


def test_sign_in_in_one_tab_signs_in_waiting_tab(visitor: Visitor, alice: Person) -> None:
    waiting = visitor.open()
    expect(heading(waiting)).to_have_text("Sign in")
    visitor.sign_in(alice)
    expect(edit_button(waiting)).to_be_visible()
