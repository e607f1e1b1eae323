"""An upload that moderation holds: the element says so, and the current avatar stays."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from local.stack import LocalStack
from tests.browser.avatar_upload.conftest import OpenPage
from tests.browser.avatar_upload.widget import STATUS, Widget, jpeg, record_requests, respond_with

SENTENCE = "Your photo is being reviewed. It becomes your picture when it is approved."


@pytest.fixture
def held(open_page: OpenPage, stack: LocalStack) -> Widget:
    """With a picture, and a photo that is held."""
    widget = open_page(f'src="{stack.cdn_url}/defaults/avatar.jpg"')
    expect(widget.button("Change photo")).to_be_visible()
    widget.page.route(STATUS, respond_with(200, {"status": "held"}))
    widget.upload(jpeg(), button="Change photo")
    widget.wait_for("held")
    return widget


def test_held_photo_is_announced_and_current_picture_stays(held: Widget, stack: LocalStack) -> None:
    expect(held.status).to_have_text(SENTENCE)
    expect(held.error).to_have_text("")
    expect(held.element.locator("[part=avatar]")).to_have_attribute("src", f"{stack.cdn_url}/defaults/avatar.jpg")
    expect(held.element.locator("[part=avatar]")).to_be_visible()
    expect(held.element.locator("canvas")).to_be_hidden()
    assert held.event_names == ["select", "held"]
    assert held.event_details("held") == [{}]
    assert held.console_errors == []


def test_held_photo_ends_polling(held: Widget) -> None:
    asked = record_requests(held.page, "/avatars/uploads/")
    held.page.clock.run_for(60_000)
    assert asked == []


def test_held_photo_can_be_followed_by_another_one(held: Widget) -> None:
    held.page.unroute(STATUS)
    held.upload(jpeg(), button="Change photo")
    held.wait_for("ready")
    assert held.event_names == ["select", "held", "select", "ready"]


def test_picture_can_be_removed_while_photo_is_held(held: Widget) -> None:
    held.button("Remove photo").click()
    expect(held.button("Keep")).to_be_focused()
    held.button("Remove").click()
    held.wait_for("removed")


def test_held_message_can_be_replaced(held: Widget) -> None:
    held.element.evaluate("element => { element.messages = { held: 'Wird geprüft.' }; }")
    expect(held.status).to_have_text("Wird geprüft.")
