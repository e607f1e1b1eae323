"""web/profile/profile-view.js and avatar-picture.js: a public profile."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.profile.visitor import (
    DEFAULT_AVATAR,
    NewPerson,
    NewVisitor,
    Person,
    Visitor,
    avatar_image,
    edit_button,
    heading,
)
from tests.local.conftest import PHOTO


def test_profile_is_shown_to_everybody(visitor: Visitor, alice: Person) -> None:
    upload = alice.session.upload(PHOTO.read_bytes(), "image/jpeg")
    handle = alice.get()["handle"]
    page = visitor.open(handle)
    expect(heading(page)).to_have_text("Alice Ackermann")
    expect(page).to_have_title(f"Alice Ackermann (@{handle})")
    expect(page.get_by_text(f"@{handle}", exact=True)).to_be_visible()
    assert page.locator(".bio").inner_text() == "Makes small things that last.\n\nBerlin"
    image = page.get_by_role("img", name="Profile picture of Alice Ackermann")
    urls = {each["size"]: each["url"] for each in upload.avatar["images"]}
    paths = {size: urlsplit(url).path for size, url in urls.items()}
    expect(image).to_have_attribute("srcset", f"{paths[512]} 512w, {paths[128]} 128w")
    expect(image).to_have_attribute("width", "160")
    assert image.evaluate("image => [image.currentSrc, image.naturalWidth > 0]") == [urls[512], True]
    expect(edit_button(page)).to_be_hidden()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    assert visitor.request_bodies("GET profile") == []


def test_avatar_on_small_screen_is_small_image(new_visitor: NewVisitor, alice: Person) -> None:
    upload = alice.session.upload(PHOTO.read_bytes(), "image/jpeg")
    page = new_visitor(viewport={"width": 360, "height": 700}).open(alice.get()["handle"])
    assert avatar_image(page).evaluate("image => image.currentSrc") == upload.avatar["images"][1]["url"]


def test_avatar_missing_shows_default_without_other_requests(visitor: Visitor, alice: Person) -> None:
    page = visitor.open(alice.get()["handle"])
    expect(avatar_image(page)).to_have_attribute("src", DEFAULT_AVATAR)
    assert [request.url for request in visitor.requests if "/avatars/" in request.url] == []


def test_avatar_that_does_not_load_shows_default(visitor: Visitor, alice: Person) -> None:
    alice.session.upload(PHOTO.read_bytes(), "image/jpeg")
    visitor.context.route("**/avatars/**", lambda route: route.abort())
    visitor.allow_console_errors("ERR_FAILED")
    page = visitor.open(alice.get()["handle"])
    expect(avatar_image(page)).to_have_attribute("src", DEFAULT_AVATAR)
    assert avatar_image(page).evaluate("image => image.naturalWidth") == 512


def test_profiles_have_different_colors(visitor: Visitor, new_person: NewPerson) -> None:
    def colors(handle: str) -> tuple[str, ...]:
        new_person(handle=handle)
        page = visitor.open(handle)
        expect(heading(page)).to_have_text("Alice Ackermann")
        read = "element => getComputedStyle(element).background"
        assert page.locator(".banner img").evaluate("image => image.naturalWidth") == 1500
        return page.locator(".banner").evaluate(read), page.locator("html").evaluate(read)

    first, second = colors("one_look"), colors("another_look")
    assert first[0] != second[0]
    assert first[1] != second[1]


def test_markup_in_profile_is_shown_as_text(visitor: Visitor, new_person: NewPerson) -> None:
    markup = "<img src=x onerror=alert(1)>"
    person = new_person(display_name=markup, bio=f"{markup} &amp;")
    page = visitor.open(person.get()["handle"])
    expect(heading(page)).to_have_text(markup)
    expect(page.locator(".bio")).to_have_text(f"{markup} &amp;")


@pytest.mark.parametrize("handle", ["nobody_here", "Not-A-Handle!", "../profile", "%F0%9F%98%80", "x"])
def test_unknown_handle_shows_missing_profile(visitor: Visitor, handle: str) -> None:
    visitor.allow_console_errors("404")
    page = visitor.open(handle)
    shown = unquote(handle).lower()
    expect(heading(page)).to_have_text(f"There is no profile @{shown}")
    expect(page).to_have_title(f"There is no profile @{shown}")


def test_handle_with_at_sign_and_capitals_is_normalized(visitor: Visitor, alice: Person) -> None:
    handle = alice.get()["handle"]
    page = visitor.open(f"%20@{handle.upper()}")
    expect(heading(page)).to_have_text("Alice Ackermann")
