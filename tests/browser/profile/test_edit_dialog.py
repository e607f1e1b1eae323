"""web/profile/edit-dialog.js, fields.js and profile-rules.js: a user edits their own profile."""

from __future__ import annotations

import re
from functools import partial
from urllib.parse import urlsplit

import requests
from playwright.sync_api import Route, expect

from tests.browser.profile.visitor import (
    DEFAULT_AVATAR,
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
)
from tests.local.conftest import PHOTO, wait_until


def test_save_shows_new_values_without_reload(visitor: Visitor, alice: Person) -> None:
    page = visitor.sign_in(alice)
    page.evaluate("window.notReloaded = true")
    edit_button(page).focus()
    page.keyboard.press("Enter")
    expect(edit_dialog(page)).to_be_visible()
    expect(page.get_by_label("Display name")).to_be_focused()
    handle = f"changed_{next_number()}"
    page.get_by_label("Display name").fill("  Alicia  ")
    page.get_by_label("Handle").fill(handle)
    page.get_by_label("Bio").fill("One line\nand another")
    page.get_by_label("Display name").press("Enter")
    expect(edit_dialog(page)).to_be_hidden()
    expect(edit_button(page)).to_be_focused()
    expect(heading(page)).to_have_text("Alicia")
    expect(page).to_have_title(f"Alicia (@{handle})")
    expect(page.get_by_text("Saved.")).to_be_visible()
    assert page.locator(".bio").inner_text() == "One line\nand another"
    assert page.url.endswith(f"?handle={handle}")
    assert page.evaluate("window.notReloaded")
    assert alice.get() == {
        "subject": alice.session.subject,
        "handle": handle,
        "display_name": "Alicia",
        "bio": "One line\nand another",
        "avatar": None,
    }


INVALID_VALUES = [
    ("Display name", " ", "Enter a name."),
    ("Display name", "é" * 51, "Use at most 50 characters. These are 51."),
    ("Display name", "a\u202eb", "Remove the control characters."),
    ("Display name", "\u200b\u2800", "Enter a name that can be seen."),
    ("Handle", "No", "Use 3 to 30 small letters (a to z), digits and underscores."),
    ("Handle", "a" * 31, "Use 3 to 30 small letters (a to z), digits and underscores."),
    ("Bio", "😀" * 501, "Use at most 500 characters. These are 501."),
    ("Bio", "a\u0007", "Remove the control characters."),
]


def test_save_invalid_value_shows_server_sentence_without_request(visitor: Visitor, alice: Person) -> None:
    page = visitor.sign_in(alice)
    edit_button(page).click()
    for label, value, sentence in INVALID_VALUES:
        field = page.get_by_label(label)
        saved = field.input_value()
        field.fill(value)
        save(page)
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(field).to_be_focused()
        expect(field).to_have_accessible_description(re.compile("^" + re.escape(sentence)))
        name = {"Display name": "display_name", "Handle": "handle", "Bio": "bio"}[label]
        refused = requests.put(
            f"{alice.stack.api_url}/profile",
            json={"display_name": "Alice", name: value},
            headers={"Authorization": f"Bearer {alice.session.access_token}"},
            timeout=30,
        )
        assert refused.json()["error"]["fields"] == {name: sentence}
        field.fill(saved)
    assert visitor.request_bodies("PUT profile") == []


def test_counter_counts_code_points(visitor: Visitor, alice: Person) -> None:
    page = visitor.sign_in(alice)
    edit_button(page).click()
    name = page.get_by_label("Display name")
    name.fill("😀e\u0301")
    expect(name).to_have_accessible_description("2 of 50")
    name.fill("x" * 53)
    expect(name).to_have_accessible_description("3 too many")
    name.fill("😀" * 50)
    save(page)
    expect(heading(page)).to_have_text("😀" * 50)


def test_save_refused_by_server_marks_field_and_keeps_input(
    visitor: Visitor, alice: Person, new_person: NewPerson
) -> None:
    taken = new_person().get()["handle"]
    visitor.allow_console_errors("422")
    page = visitor.sign_in(alice)
    edit_button(page).click()
    page.get_by_label("Display name").fill("Somebody")
    page.get_by_label("Handle").fill(taken)
    save(page)
    expect(page.get_by_label("Handle")).to_have_accessible_description(re.compile("taken"))
    expect(page.get_by_label("Handle")).to_be_focused()
    expect(page.get_by_label("Display name")).to_have_value("Somebody")
    expect(heading(page)).to_have_text("Alice Ackermann")
    assert alice.get()["display_name"] == "Alice Ackermann"


def test_save_422_marks_every_named_field(visitor: Visitor, alice: Person) -> None:
    visitor.allow_console_errors("422")
    page = visitor.sign_in(alice)
    fields = {"display_name": "A name.", "bio": "A bio.", "colour": "No such field."}
    error = {"code": "invalid_profile", "message": "wrong", "fields": fields}
    route_operation(page, "PUT profile", lambda route: fulfill_json(route, 422, {"error": error}))
    edit_button(page).click()
    save(page)
    expect(page.get_by_label("Display name")).to_have_accessible_description(re.compile(r"^A name\."))
    expect(page.get_by_label("Bio")).to_have_accessible_description(re.compile(r"^A bio\."))
    expect(page.get_by_label("Handle")).not_to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Display name")).to_be_focused()
    expect(edit_dialog(page).locator(".failure")).to_contain_text("No such field.")


def test_open_loads_values_changed_elsewhere(visitor: Visitor, alice: Person) -> None:
    page = visitor.sign_in(alice)
    avatar_image(page).evaluate("image => (image.isTheFormer = true)")
    handle = f"phone_{next_number()}"
    alice.put(display_name="From my phone", bio="new", handle=handle)
    edit_button(page).click()
    expect(page.get_by_label("Display name")).to_have_value("From my phone")
    expect(page.get_by_label("Bio")).to_have_value("new")
    expect(page.get_by_label("Handle")).to_have_value(handle)
    expect(page).to_have_url(re.compile(f"handle={handle}$"))
    page.get_by_role("button", name="Cancel").click()
    expect(heading(page)).to_have_text("From my phone")
    expect(avatar_image(page)).to_have_attribute("alt", "From my phone has no profile picture to show")
    assert avatar_image(page).evaluate("image => image.isTheFormer")


def test_change_elsewhere_does_not_replace_typed_text(visitor: Visitor, alice: Person) -> None:
    page = visitor.sign_in(alice)
    held: list[Route] = []
    route_operation(page, "GET profile", lambda route: held.append(route))
    alice.put(display_name="From my phone", bio="from my phone")
    edit_button(page).click()
    page.get_by_label("Bio").fill("typed")
    wait_until(lambda: bool(held) or page.wait_for_timeout(20), "the form asks for the profile")
    held[0].continue_()
    expect(page.get_by_label("Display name")).to_have_value("From my phone")
    expect(page.get_by_label("Bio")).to_have_value("typed")
    expect(edit_dialog(page).get_by_text("This was changed elsewhere meanwhile.")).to_be_visible()


def test_close_with_unsaved_changes_asks_once(visitor: Visitor, alice: Person) -> None:
    page = visitor.sign_in(alice)
    for close in (
        lambda: page.keyboard.press("Escape"),
        page.get_by_role("button", name="Cancel").click,
        partial(page.mouse.click, 3, 3),
    ):
        edit_button(page).click()
        page.get_by_label("Bio").fill("half a sentence")
        close()
        expect(page.get_by_text("Close without saving your changes?")).to_be_visible()
        expect(page.get_by_role("button", name="Keep editing")).to_be_focused()
        page.get_by_role("button", name="Keep editing").click()
        expect(page.get_by_label("Bio")).to_have_value("half a sentence")
        close()
        page.get_by_role("button", name="Discard").click()
        expect(edit_dialog(page)).to_be_hidden()
        expect(edit_button(page)).to_be_focused()
    edit_button(page).click()
    expect(page.get_by_label("Bio")).to_have_value("Makes small things that last.\n\nBerlin")
    page.keyboard.press("Escape")
    expect(edit_dialog(page)).to_be_hidden()
    assert visitor.request_bodies("PUT profile") == []


def test_drag_out_of_dialog_does_not_close_it(visitor: Visitor, alice: Person) -> None:
    page = visitor.sign_in(alice)
    edit_button(page).click()
    box = page.get_by_label("Display name").bounding_box()
    assert box
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(3, 3)
    page.mouse.up()
    expect(edit_dialog(page)).to_be_visible()


def test_save_is_sent_once_and_can_be_cancelled(visitor: Visitor, alice: Person) -> None:
    page = visitor.sign_in(alice)
    held: list[Route] = []
    route_operation(page, "PUT profile", lambda route: held.append(route))
    edit_button(page).click()
    page.get_by_label("Bio").fill("slow")
    save(page)
    expect(edit_dialog(page).get_by_role("button", name="Save")).to_be_disabled()
    expect(edit_dialog(page).get_by_text("Saving…")).to_be_visible()
    page.get_by_label("Display name").press("Enter")
    visitor.allow_console_errors("ERR_FAILED|ERR_ABORTED")
    page.keyboard.press("Escape")
    expect(edit_dialog(page)).to_be_hidden()
    expect(page.locator(".bio")).to_contain_text("Makes small things")
    edit_button(page).click()
    expect(edit_dialog(page).get_by_role("button", name="Save")).to_be_enabled()
    assert len(held) == 1


def test_save_failed_keeps_input(visitor: Visitor, alice: Person) -> None:
    visitor.allow_console_errors("ERR_FAILED|500")
    page = visitor.sign_in(alice)
    edit_button(page).click()
    page.get_by_label("Bio").fill("precious")
    for fail in (
        lambda route: route.abort(),
        lambda route: fulfill_json(route, 500, {"message": "Internal Server Error"}),
    ):
        route_operation(page, "PUT profile", fail)
        save(page)
        expect(edit_dialog(page).locator(".failure")).to_contain_text("Not saved")
        expect(edit_dialog(page).get_by_role("button", name="Save")).to_be_focused()
        page.unroute_all()
    expect(page.get_by_label("Bio")).to_have_value("precious")
    save(page)
    expect(page.locator(".bio")).to_have_text("precious")


def test_save_503_is_retried(visitor: Visitor, alice: Person) -> None:
    visitor.allow_console_errors("503")
    page = visitor.sign_in(alice)
    edit_button(page).click()
    page.get_by_label("Bio").fill("patient")
    asleep = iter([True])

    def respond_503(route: Route) -> None:
        if next(asleep, False):
            fulfill_json(route, 503, {"error": {"code": "unavailable", "message": "asleep"}})
        else:
            route.fallback()

    route_operation(page, "PUT profile", respond_503)
    save(page)
    expect(edit_dialog(page).get_by_text("The database is waking up.")).to_be_visible()
    page.clock.run_for(1_000)
    expect(page.locator(".bio")).to_have_text("patient")


def test_new_avatar_is_shown_in_all_tabs(visitor: Visitor, alice: Person) -> None:
    page = visitor.sign_in(alice)
    other = visitor.open(alice.get()["handle"])
    expect(avatar_image(other)).to_have_attribute("src", DEFAULT_AVATAR)
    edit_button(page).click()
    page.get_by_label("Bio").fill("not saved")
    page.locator("avatar-upload input[type=file]").first.set_input_files(PHOTO)
    page.locator("avatar-upload").get_by_role("button", name="Use this photo").click()
    for tab in (page, other):
        expect(avatar_image(tab)).to_have_attribute("src", re.compile(r"/512\.webp$"), timeout=20_000)
        assert avatar_image(tab).evaluate("image => image.naturalWidth") > 0
    expect(page.get_by_label("Bio")).to_have_value("not saved")
    stored = alice.get()
    assert avatar_image(page).get_attribute("src") == urlsplit(stored["avatar"]["images"][0]["url"]).path
    assert stored["bio"] != "not saved"


def test_held_photo_leaves_avatar_of_page_and_notice_until_reopened(visitor: Visitor, alice: Person) -> None:
    page = visitor.sign_in(alice)
    edit_button(page).click()
    page.route("**/avatars/uploads/**", lambda route: fulfill_json(route, 200, {"status": "held"}))
    page.locator("avatar-upload input[type=file]").first.set_input_files(PHOTO)
    widget = page.locator("avatar-upload")
    widget.get_by_role("button", name="Use this photo").click()
    notice = widget.get_by_text("Your photo is being reviewed.")
    expect(notice).to_be_visible(timeout=20_000)
    expect(avatar_image(page)).to_have_attribute("src", DEFAULT_AVATAR)
    edit_dialog(page).get_by_role("button", name="Cancel", exact=True).click()
    edit_button(page).click()
    expect(notice).to_be_hidden()


def test_removed_avatar_is_default_in_all_tabs(visitor: Visitor, alice: Person) -> None:
    alice.session.upload(PHOTO.read_bytes(), "image/jpeg")
    page = visitor.sign_in(alice)
    other = visitor.open(alice.get()["handle"])
    for tab in (page, other):
        expect(avatar_image(tab)).to_have_attribute("src", re.compile(r"/512\.webp$"))
    page.evaluate("window.notReloaded = true")
    edit_button(page).click()
    page.get_by_label("Bio").fill("not saved")
    widget = page.locator("avatar-upload")
    widget.get_by_role("button", name="Remove photo").click()
    page.keyboard.press("Escape")
    expect(widget.get_by_role("button", name="Remove photo")).to_be_focused()
    expect(edit_dialog(page).get_by_text("Close without saving your changes?")).to_be_hidden()
    widget.get_by_role("button", name="Remove photo").click()
    widget.get_by_role("button", name="Remove", exact=True).click()
    for tab in (page, other):
        expect(avatar_image(tab)).to_have_attribute("src", DEFAULT_AVATAR, timeout=20_000)
    expect(widget.get_by_role("button", name="Choose a photo")).to_be_focused()
    expect(widget.get_by_text("Your picture is removed.")).to_be_visible()
    expect(page.get_by_label("Bio")).to_have_value("not saved")
    assert page.evaluate("window.notReloaded")
    assert alice.get()["avatar"] is None
    save(page)
    edit_button(page).click()
    expect(widget.get_by_role("img", name="No profile picture yet")).to_be_visible()
    expect(widget.get_by_text("Your picture is removed.")).to_be_hidden()


def test_open_dialog_in_other_tab_follows_saved_values(visitor: Visitor, alice: Person) -> None:
    page = visitor.sign_in(alice)
    other = visitor.open()
    edit_button(other).click()
    other.get_by_label("Bio").fill("typed here")
    edit_button(page).click()
    page.get_by_label("Display name").fill("In both")
    save(page)
    expect(other.get_by_label("Display name")).to_have_value("In both")
    expect(other.get_by_label("Bio")).to_have_value("typed here")
    save(other)
    expect(page.locator(".bio")).to_have_text("typed here")
    assert alice.get()["display_name"] == "In both"


def test_widget_has_colors_of_page(visitor: Visitor, alice: Person) -> None:
    page = visitor.sign_in(alice)
    edit_button(page).click()
    color = "button => getComputedStyle(button).backgroundColor"
    choose = page.get_by_role("button", name="Choose a photo")
    assert choose.evaluate(color) == edit_dialog(page).get_by_role("button", name="Save").evaluate(color)
