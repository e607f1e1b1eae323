"""web/avatar-upload/photo.js and avatar-preview.js: the preview of a photo, and the current avatar."""

from __future__ import annotations

import pytest
from PIL import Image, ImageChops
from playwright.sync_api import expect

from functions.process_avatar.imaging.renderer import render
from local.stack import LocalStack
from tests.browser.avatar_upload.conftest import OpenPage
from tests.browser.avatar_upload.widget import (
    HeldRequests,
    Widget,
    file_payload,
    jpeg,
    mean_difference,
)
from tests.fixtures import pictures
from tests.fixtures.gallery import FIXTURES


@pytest.mark.parametrize(("size", "orientation"), [((900, 500), 1), ((500, 900), 6), ((600, 640), 3)])
def test_preview_equals_center_square_of_server(widget: Widget, size: tuple[int, int], orientation: int) -> None:
    upright = pictures.four_corners(*size)
    exif = pictures.exif(orientation)
    data = pictures.encode(pictures.rotate_for_exif(upright, orientation), "JPEG", quality=95, exif=exif)
    widget.choose(file_payload(data))
    expect(widget.element.locator("canvas")).to_be_visible()
    kept = pictures.decode(render(data, sizes=[512], max_pixels=10**8).stable_jpeg).resize((512, 512))
    assert mean_difference(widget.preview_image(), kept) < 3
    assert mean_difference(widget.preview_image(), kept.transpose(Image.Transpose.FLIP_LEFT_RIGHT)) > 50
    assert mean_difference(widget.preview_image(), ImageChops.offset(kept, 16)) > 3


def test_preview_of_animation_shows_first_frame(widget: Widget) -> None:
    first, second = pictures.plain(64, 64, (200, 0, 0)), pictures.plain(64, 64, (0, 0, 200))
    data = pictures.encode(first, "GIF", save_all=True, append_images=[second], duration=20, loop=0)
    widget.choose(file_payload(data, "photo.gif", "image/gif"))
    expect(widget.element.locator("canvas")).to_be_visible()
    assert widget.preview_image().getpixel((256, 256)) == (200, 0, 0)


def test_preview_unsupported_by_browser_still_uploads(widget: Widget) -> None:
    widget.choose(file_payload(FIXTURES["HEIC"].file(), "me.heic", "image/heic"))
    expect(widget.status).to_have_text("Your browser cannot show “me.heic”, but you can send it.")
    widget.button("Use this photo").click()
    widget.wait_for("ready")


def test_preview_after_second_choice_shows_second_photo(widget: Widget) -> None:
    widget.choose(file_payload(pictures.encode(pictures.plain(60, 60, (255, 0, 0)), "PNG"), "a.png", "image/png"))
    expect(widget.element.locator("canvas")).to_be_visible()
    blue = pictures.encode(pictures.plain(60, 60, (0, 0, 255)), "PNG")
    widget.choose(file_payload(blue, "b.png", "image/png"), button="Choose another")
    widget.wait_for("chosen")
    expect(widget.element.locator("canvas")).to_be_visible()
    assert widget.preview_image().getpixel((9, 9)) == (0, 0, 255)
    assert widget.event_names == ["select", "cancel", "select"]


def test_new_avatar_replaces_preview_only_when_loaded(open_page: OpenPage, stack: LocalStack) -> None:
    widget = open_page(f'src="{stack.cdn_url}/defaults/avatar.jpg"')
    held = HeldRequests(widget.page, "**/*.webp")
    expect(widget.element.locator("img")).to_be_visible()
    widget.upload(jpeg(), button="Change photo")
    widget.wait_for("ready")
    expect(widget.element.locator("canvas")).to_be_visible()
    expect(widget.element.locator("img")).to_be_hidden()
    held.release()
    expect(widget.element.locator("img")).to_be_visible()
    expect(widget.element.locator("canvas")).to_be_hidden()


def test_new_avatar_fails_to_load_keeps_preview(widget: Widget) -> None:
    widget.page.route("**/*.webp", lambda route: route.abort())
    with widget.page.expect_event("requestfailed"):
        widget.upload(jpeg())
    widget.wait_for("ready")
    expect(widget.element.locator("canvas")).to_be_visible()


def test_src_set_twice_shows_last_one(widget: Widget, stack: LocalStack) -> None:
    first, last = f"{stack.cdn_url}/banners/banner.jpg", f"{stack.cdn_url}/defaults/avatar.jpg"
    held = HeldRequests(widget.page, first)
    widget.element.evaluate("(element, [a, b]) => { element.src = a; element.src = b; }", [first, last])
    expect(widget.element.get_by_role("img", name="Your profile picture")).to_be_visible()
    with widget.page.expect_event("requestfinished"):
        held.release()
    widget.page.evaluate("new Promise((resolve) => setTimeout(resolve))")
    assert widget.shown_avatar_url() == last


def test_src_missing_avatar_shows_image_of_404_response(open_page: OpenPage, stack: LocalStack) -> None:
    widget = open_page(f'src="{stack.cdn_url}/avatars/nobody.jpg"')
    expect(widget.element.get_by_role("img", name="Your profile picture")).to_be_visible()


def test_src_that_does_not_load_shows_silhouette(open_page: OpenPage) -> None:
    widget = open_page('src="http://127.0.0.1:9/gone.jpg"')
    expect(widget.element.get_by_role("img", name="No profile picture yet")).to_be_visible()
