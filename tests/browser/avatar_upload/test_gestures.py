"""web/avatar-upload/gestures.js: mouse, wheel, touch and keys on the picture."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.avatar_upload.conftest import OpenPage
from tests.browser.avatar_upload.widget import (
    Widget,
    drop_files,
    jpeg,
    mean_difference,
)
from tests.local.conftest import wait_until


def test_drag_too_far_and_back_restores_crop(widget: Widget) -> None:
    widget.start_crop(jpeg(1000, 500))
    before = widget.preview_image()
    widget.drag((0.5, 0.5), (2.5, 0.5), (0.5, 0.5))
    assert mean_difference(widget.preview_image(), before) == 0


def test_drag_with_right_button_does_nothing(widget: Widget) -> None:
    widget.start_crop(jpeg(1000, 500))
    before = widget.preview_image()
    widget.page.mouse.move(*widget.page_point(0.5, 0.5))
    widget.page.mouse.down(button="right")
    widget.page.mouse.move(*widget.page_point(0.1, 0.5))
    widget.page.mouse.up(button="right")
    assert mean_difference(widget.preview_image(), before) == 0


def test_drag_across_new_choice_does_not_move_new_photo(widget: Widget) -> None:
    widget.start_crop(jpeg(900, 600))
    widget.page.mouse.move(*widget.page_point(0.5, 0.5))
    widget.page.mouse.down()
    drop_files(widget.element.locator("[part=card]"), jpeg(1000, 500))
    expect(widget.element.locator("canvas")).to_be_visible()
    widget.page.mouse.move(*widget.page_point(0.9, 0.5))
    widget.page.mouse.up()
    assert "crop" not in widget.request_form()


@pytest.mark.parametrize(("turned", "size"), [(-100, 0.818731), (-300, 0.548812)])
def test_wheel_zooms_around_pointer(widget: Widget, turned: int, size: float) -> None:
    widget.start_crop(jpeg(800, 800))
    widget.page.mouse.move(*widget.page_point(0.25, 0.75))
    widget.page.mouse.wheel(0, turned)
    expect(widget.button("Reset")).to_have_attribute("aria-disabled", "false")
    crop = {"x": 0.25 * (1 - size), "y": 0.75 * (1 - size), "size": size}
    assert widget.request_form()["crop"] == pytest.approx(crop, abs=2e-3)


@pytest.mark.parametrize(
    ("event", "size"),
    [
        ({"deltaY": -100, "deltaMode": 0}, 0.818731),
        ({"deltaY": -5, "deltaMode": 1}, 0.852144),
        ({"deltaY": -20, "deltaMode": 0, "ctrlKey": True}, 0.818731),
    ],
    ids=["pixels", "lines", "trackpad"],
)
def test_wheel_zooms_in_every_delta_mode(widget: Widget, event: dict[str, Any], size: float) -> None:
    widget.start_crop(jpeg(800, 800))
    left_alone = widget.surface.evaluate(
        "(e, event) => e.dispatchEvent(new WheelEvent('wheel', { ...event, cancelable: true }))", event
    )
    assert not left_alone
    assert widget.request_form()["crop"]["size"] == pytest.approx(size, abs=1e-6)


def test_wheel_during_drag_does_nothing(widget: Widget) -> None:
    widget.start_crop(jpeg(1000, 500))
    widget.page.mouse.move(*widget.page_point(0.5, 0.5))
    widget.page.mouse.down()
    widget.page.mouse.wheel(0, -300)
    widget.page.mouse.up()
    assert "crop" not in widget.request_form()


def test_wheel_scrolls_page_only_outside_picture(widget: Widget) -> None:
    widget.page.evaluate("document.body.style.setProperty('min-height', '4000px')")
    widget.start_crop(jpeg(800, 800))
    widget.page.mouse.move(*widget.page_point(0.5, 0.5))
    widget.page.mouse.wheel(0, 300)  # it cannot become smaller, and yet
    widget.press("ArrowDown", "Home")
    assert widget.page.evaluate("scrollY") == 0
    widget.page.mouse.move(*widget.page_point(1.4, 0.1))
    widget.page.mouse.wheel(0, 300)
    wait_until(lambda: widget.page.evaluate("scrollY") == 300, "the page scrolls")
    touch = "e => getComputedStyle(e).touchAction"
    assert widget.surface.evaluate(touch) == "none"
    assert widget.element.locator("[part=card]").evaluate(touch) == "auto"


def test_pinch_zooms_around_middle_of_fingers(open_page: OpenPage) -> None:
    widget = open_page(has_touch=True)
    widget.start_crop(jpeg(1000, 1000))
    widget.pinch(((0.3, 0.5), (0.1, 0.5)), ((0.5, 0.5), (0.7, 0.5)))
    crop = {"x": 0.4 * 2 / 3, "y": 0.5 * 2 / 3, "size": 1 / 3}
    assert widget.request_form()["crop"] == pytest.approx(crop, abs=5e-3)


def test_pinch_with_one_finger_lifted_continues_as_drag(open_page: OpenPage) -> None:
    widget = open_page(has_touch=True)
    widget.start_crop(jpeg(1000, 500))
    widget.touch({0: (0.2, 0.5), 1: (0.4, 0.5)}, {1: (0.4, 0.5)}, {1: (0.5, 0.5)}, {1: (0.6, 0.5)})
    assert widget.request_form()["crop"] == pytest.approx({"x": 0.15, "y": 0, "size": 1}, abs=5e-3)


def test_pinch_ignores_third_finger(open_page: OpenPage) -> None:
    widget = open_page(has_touch=True)
    widget.start_crop(jpeg(1000, 500))
    two = {0: (0.4, 0.5), 1: (0.6, 0.5)}
    widget.touch(two, two | {2: (0.5, 0.8)}, two | {2: (0.1, 0.1)})
    assert "crop" not in widget.request_form()


def test_keys_with_modifiers_are_left_to_browser(widget: Widget) -> None:
    widget.start_crop(jpeg(800, 800))
    pressed = """(e, init) => e.dispatchEvent(new KeyboardEvent("keydown", { ...init, cancelable: true }))"""
    for modifier in ("ctrlKey", "metaKey", "altKey"):
        assert widget.surface.evaluate(pressed, {"key": "+", modifier: True})
    assert widget.surface.evaluate(pressed, {"key": "PageDown"})
    expect(widget.button("Reset")).to_have_attribute("aria-disabled", "true")
    assert not widget.surface.evaluate(pressed, {"key": "+"})
    expect(widget.button("Reset")).to_have_attribute("aria-disabled", "false")
