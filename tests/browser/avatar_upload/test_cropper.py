"""web/avatar-upload/cropper.js and crop.js: the square that the user chooses."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import ImageChops
from playwright.sync_api import Request, expect

from client.session import Session
from local.stack import LocalStack
from tests.browser.avatar_upload.conftest import OpenPage
from tests.browser.avatar_upload.widget import (
    FORM,
    Widget,
    bucket_url,
    drop_files,
    fetch_image,
    fetch_manifest,
    file_payload,
    jpeg,
    json_body,
    leave_unanswered,
    mean_difference,
    respond_with,
)
from tests.fixtures import pictures
from tests.fixtures.gallery import FIXTURES
from tests.local.conftest import PHOTO

MOVES_AND_ZOOMS: dict[str, Callable[[Widget], object]] = {
    "drag": lambda widget: widget.drag((0.5, 0.5), (0.3, 0.4), (0.8, 0.7)),
    "wheel": lambda widget: (widget.page.mouse.move(*widget.page_point(0.2, 0.7)), widget.page.mouse.wheel(0, -300)),
    "keys": lambda widget: widget.press(*["+"] * 4, "ArrowLeft", "Shift+ArrowDown", "Shift+ArrowDown"),
    "slider": lambda widget: (widget.press("Shift+ArrowRight"), widget.zoom.click(position={"x": 60, "y": 12})),
    "buttons": lambda widget: [
        widget.button(name).click() for name in ("Move down", "Move down", "Move up", "Move down")
    ],
    "pinch": lambda widget: widget.pinch(((0.4, 0.4), (0.1, 0.2)), ((0.6, 0.6), (0.8, 0.7))),
}


@pytest.mark.parametrize(
    ("size", "orientation", "way"),
    [
        ((1400, 400), 1, "drag"),
        ((500, 900), 6, "drag"),
        ((700, 700), 3, "wheel"),
        ((500, 900), 8, "keys"),
        ((900, 500), 5, "slider"),
        ((400, 1400), 1, "buttons"),
        ((900, 600), 6, "pinch"),
    ],
)
def test_crop_avatar_equals_preview(open_page: OpenPage, size: tuple[int, int], orientation: int, way: str) -> None:
    widget = open_page(has_touch=way == "pinch")
    stored = pictures.rotate_for_exif(pictures.four_corners(*size), orientation)
    widget.start_crop(file_payload(pictures.encode(stored, "JPEG", quality=95, exif=pictures.exif(orientation))))
    uncropped = widget.preview_image()
    MOVES_AND_ZOOMS[way](widget)
    shown = widget.preview_image()
    assert mean_difference(shown, uncropped) > 10
    widget.button("Use this photo").click()
    widget.wait_for("ready")
    (largest,) = (image for image in widget.event_details("ready")[0]["images"] if image["size"] == 512)
    avatar = fetch_image(largest["url"]).resize(shown.size)
    assert mean_difference(shown, avatar) < 3
    assert mean_difference(shown, ImageChops.offset(avatar, 16)) > 3
    assert widget.page.evaluate("window.violations") == []
    assert widget.console_errors == []


@pytest.mark.parametrize(
    ("size", "keys", "crop"),
    [
        ((1000, 500), ["ArrowRight"], {"x": 0.24, "y": 0, "size": 1}),
        ((1000, 500), ["Shift+ArrowLeft"], {"x": 0.3, "y": 0, "size": 1}),
        ((500, 1000), ["ArrowUp", "ArrowUp", "ArrowDown"], {"x": 0, "y": 0.26, "size": 1}),
        ((1000, 500), ["+"], {"x": 0.272727, "y": 0.045455, "size": 0.909091}),
        ((1000, 500), ["=", "Shift++", "-", "_"], {"x": 0.25, "y": 0, "size": 1}),
    ],
)
def test_crop_form_request_has_fractions(
    widget: Widget, size: tuple[int, int], keys: list[str], crop: dict[str, float]
) -> None:
    photo = jpeg(*size)
    widget.start_crop(photo)
    widget.press(*keys)
    assert widget.request_form() == {"content_type": "image/jpeg", "size": len(photo["buffer"]), "crop": crop}


@pytest.mark.parametrize(
    "act",
    [
        lambda _widget: None,
        lambda widget: widget.page.mouse.click(*widget.page_point(0.3, 0.3)),
        lambda widget: widget.press("ArrowUp", "-", "ArrowDown", "a", "Tab"),  # of a landscape: no room there
        lambda widget: widget.press("+", "ArrowUp", "Home"),
        lambda widget: (widget.drag((0.5, 0.5), (0.9, 0.5)), widget.button("Reset").click()),
    ],
    ids=["untouched", "a click", "no room", "Home", "Reset"],
)
def test_crop_unchanged_or_reset_is_not_requested(widget: Widget, act: Callable[[Widget], object]) -> None:
    photo = jpeg(900, 600)
    widget.start_crop(photo)
    uncropped = widget.preview_image()
    act(widget)
    assert mean_difference(widget.preview_image(), uncropped) == 0
    assert widget.request_form() == {"content_type": "image/jpeg", "size": len(photo["buffer"])}


def test_crop_dragged_too_far_stops_at_picture_edge(widget: Widget) -> None:
    widget.start_crop(jpeg(1000, 500))
    widget.drag((0.9, 0.9), (-3, -3))
    assert widget.button("Move left").get_attribute("aria-disabled") == "true"
    assert widget.button("Move right").get_attribute("aria-disabled") == "false"
    assert widget.request_form()["crop"] == {"x": 0.5, "y": 0, "size": 1}


def test_crop_zoomed_in_stops_at_picture_edge(widget: Widget) -> None:
    widget.start_crop(jpeg(600, 600))
    widget.zoom.fill("100")
    widget.drag((0.1, 0.1), (9, 0.1))
    widget.press(*["ArrowUp"] * 200)
    smallest = pytest.approx(128 / 600, abs=1e-6)
    assert widget.request_form()["crop"] == {"x": 0, "y": pytest.approx(1 - 128 / 600, abs=1e-6), "size": smallest}


def test_crop_zoom_is_limited_to_128_pixels_and_whole_side(widget: Widget) -> None:
    widget.start_crop(jpeg(1000, 512))
    widget.page.mouse.move(*widget.page_point(0.5, 0.5))
    widget.page.mouse.wheel(0, -100_000)
    expect(widget.zoom).to_have_js_property("value", "100")
    expect(widget.zoom).to_have_attribute("aria-valuetext", "400%")
    widget.page.mouse.wheel(0, 100_000)
    expect(widget.zoom).to_have_js_property("value", "0")
    widget.zoom.fill("100")
    assert widget.request_form()["crop"] == {"x": 0.436, "y": 0.375, "size": 0.25}


def test_crop_small_picture_disables_zoom_and_small_square_hides_all(widget: Widget) -> None:
    widget.start_crop(jpeg(200, 100))
    expect(widget.zoom).to_be_disabled()
    widget.button("Move left").click()
    expect(widget.button("Move up")).to_have_attribute("aria-disabled", "true")
    assert widget.request_form()["crop"] == {"x": 0.3, "y": 0, "size": 1}
    widget.button("Cancel").click()
    widget.start_crop(jpeg(128, 128))
    expect(widget.surface).to_be_hidden()
    expect(widget.zoom).to_be_hidden()
    expect(widget.button("Reset")).to_be_hidden()


def test_crop_during_upload_is_shown_without_controls(widget: Widget) -> None:
    widget.page.route(FORM, leave_unanswered)
    widget.start_crop(jpeg(900, 600))
    widget.press("+", "+", "ArrowLeft")
    chosen = widget.preview_image()
    widget.button("Use this photo").click()
    widget.wait_for("preparing")
    assert mean_difference(widget.preview_image(), chosen) == 0
    expect(widget.surface).to_be_hidden()
    expect(widget.zoom).to_be_hidden()
    assert widget.focused_control == "card"


def test_crop_is_kept_for_new_form_new_token_and_retry(widget: Widget, stack: LocalStack) -> None:
    asked: list[Request] = []
    widget.page.route(FORM, respond_with(401, {"message": "Unauthorized"}, times=1, record=asked))
    widget.page.route(bucket_url(stack), respond_with(403, "<Error><Code>AccessDenied</Code></Error>", times=2))
    widget.send_original()
    widget.start_crop(jpeg(1000, 500))
    widget.button("Move right").click()
    widget.button("Use this photo").click()
    widget.wait_for("failed")
    shown = widget.preview_image()
    widget.button("Try again").click()
    widget.wait_for("ready")
    crops = [json_body(request)["crop"] for request in asked]
    assert crops == [{"x": 0.2, "y": 0, "size": 1}] * 4  # of a session, a form, the form after it, the other try
    assert mean_difference(shown, fetch_image(widget.event_details("ready")[0]["url"]).resize(shown.size)) < 3


@pytest.mark.parametrize("after", ["a new choice", "cancelling", "a drop"])
def test_crop_is_discarded_with_its_photo(widget: Widget, after: str) -> None:
    widget.start_crop(jpeg(900, 600))
    uncropped = widget.preview_image()
    widget.press("+", "ArrowLeft")
    if after == "cancelling":
        widget.button("Cancel").click()
        widget.choose(jpeg(900, 600))
    elif after == "a drop":
        drop_files(widget.element.locator("[part=card]"), jpeg(900, 600))
    else:
        widget.choose(jpeg(900, 600), button="Choose another")
    expect(widget.button("Reset")).to_have_attribute("aria-disabled", "true")
    expect(widget.element.locator("canvas")).to_be_visible()
    assert mean_difference(widget.preview_image(), uncropped) == 0
    assert "crop" not in widget.request_form()


def test_crop_without_preview_is_not_offered(widget: Widget) -> None:
    photo = file_payload(FIXTURES["HEIC"].file(), "me.heic", "image/heic")
    widget.choose(photo)
    expect(widget.status).to_contain_text("cannot show")
    expect(widget.surface).to_be_hidden()
    expect(widget.zoom).to_be_hidden()
    for name in ("Move left", "Move up", "Move down", "Move right", "Reset"):
        expect(widget.button(name)).to_be_hidden()
    assert widget.request_form() == {"content_type": "image/heic", "size": len(photo["buffer"])}


def test_crop_by_keyboard_alone_uploads_square(widget: Widget, stack: LocalStack, user: Session) -> None:
    page = widget.page
    widget.send_original()
    page.keyboard.press("Tab")
    with page.expect_file_chooser() as chooser:
        expect(widget.button("Choose a photo")).to_be_focused()
        page.keyboard.press("Enter")
    chooser.value.set_files(jpeg(900, 500))
    expect(widget.button("Use this photo")).to_be_focused()
    expect(widget.element.locator("canvas")).to_be_visible()
    names = [widget.focused_control]
    for _ in range(7):
        page.keyboard.press("Shift+Tab")
        names.append(widget.focused_control)
    moves = ["Move right", "Move down", "Move up", "Move left"]
    assert names == ["Use this photo", "Reset", *moves, "zoom", "crop"]
    expect(widget.surface).to_have_accessible_description("Arrow keys move, + and − zoom, Home resets.")
    expect(widget.element.get_by_text("Arrow keys move")).to_be_visible()
    outline = widget.element.locator("[part=picture]").evaluate("e => getComputedStyle(e).outline")
    assert re.search(r"solid 3px", outline)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    page.keyboard.press("End")
    expect(widget.zoom).to_have_attribute("aria-valuetext", "391%")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")  # more than once in a row is meant
    for _ in range(5):
        page.keyboard.press("Tab")
    with page.expect_request(FORM) as asked:
        page.keyboard.press("Enter")
    size = 128 / 500
    x = 0.5 - 0.02 * 5 / 9 - size * 5 / 18 + 2 * 0.1 * size * 5 / 9
    assert json_body(asked.value)["crop"] == pytest.approx({"x": x, "y": (1 - size) / 2, "size": size}, abs=1e-5)
    widget.wait_for("ready")
    assert fetch_manifest(stack, user) == widget.event_details("ready")[0]


def test_crop_position_is_announced_once_it_rests(widget: Widget) -> None:
    widget.start_crop(jpeg(1000, 500))
    said = widget.element.locator("[part=controls] [role=status]")
    for _ in range(5):
        widget.press("ArrowRight")
        widget.page.clock.run_for(100)
        expect(said).to_have_text("")
    widget.page.clock.run_for(700)
    expect(said).to_have_text("Middle: 45% from the left, 50% from the top. Zoom: 100%.")
    widget.zoom.fill("100")
    widget.page.clock.run_for(5000)
    expect(said).to_have_text("Middle: 45% from the left, 50% from the top. Zoom: 100%.")  # the slider says it
    widget.button("Cancel").click()
    expect(said).to_have_text("")


def test_crop_controls_meet_minimum_target_size(open_page: OpenPage) -> None:
    """24 by 24 pixels: https://www.w3.org/TR/WCAG22/#target-size-minimum"""
    widget = open_page(viewport={"width": 320, "height": 800})
    widget.start_crop(jpeg())
    for target in (widget.zoom, *widget.element.get_by_role("button").all()):
        box = target.bounding_box()
        assert box
        assert min(box["width"], box["height"]) >= 24


def test_crop_right_to_left_page_keeps_left_on_the_left(widget: Widget) -> None:
    widget.page.evaluate("document.documentElement.dir = 'rtl'")
    widget.start_crop(jpeg(1000, 500))
    left, right = widget.button("Move left").bounding_box(), widget.button("Move right").bounding_box()
    assert left
    assert right
    assert left["x"] < right["x"]
    widget.drag((0.5, 0.5), (0.7, 0.5))
    assert widget.request_form()["crop"] == pytest.approx({"x": 0.15, "y": 0, "size": 1}, abs=5e-3)


def test_crop_disabled_ignores_drag(widget: Widget) -> None:
    widget.start_crop(jpeg(1000, 500))
    before = widget.preview_image()
    at, to = widget.page_point(0.5, 0.5), widget.page_point(0.9, 0.5)
    widget.element.evaluate("element => { element.disabled = true; }")
    widget.page.mouse.move(*at)
    widget.page.mouse.down()
    widget.page.mouse.move(*to)
    widget.page.mouse.up()
    assert mean_difference(widget.preview_image(), before) == 0
    widget.element.evaluate("element => { element.disabled = false; }")
    widget.drag((0.5, 0.5), (0.9, 0.5))
    assert mean_difference(widget.preview_image(), before) > 10


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_crop_passes_axe_at_every_width(open_page: OpenPage, scheme: str) -> None:
    widget = open_page(color_scheme=scheme)
    widget.start_crop(PHOTO)
    widget.press("+", "+", "+", "ArrowDown")
    for width, direction in ((320, "ltr"), (500, "ltr"), (800, "ltr"), (800, "rtl")):
        widget.page.set_viewport_size({"width": width, "height": 800})
        widget.page.evaluate("direction => { document.documentElement.dir = direction; }", direction)
        results = Axe().run(widget.page)
        assert results.violations_count == 0, results.generate_report()
        assert widget.page.evaluate("document.documentElement.scrollWidth") == width
        assert widget.element.evaluate("element => element.shadowRoot.getAnimations().length") == 0


def test_crop_slider_is_visible_in_forced_colors(open_page: OpenPage) -> None:
    widget = open_page(forced_colors="active")
    widget.start_crop(jpeg())
    painted = pictures.decode(widget.zoom.screenshot()).convert("L")
    assert painted.getextrema() == (0, 255)
    assert painted.crop((painted.width // 2, 0, painted.width, painted.height)).getextrema() == (0, 255)
