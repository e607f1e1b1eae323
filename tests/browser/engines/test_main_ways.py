"""web/: what every user does, in engines other than Chromium's."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver

from client.session import Session
from functions.process_avatar.imaging.renderer import render
from local.stack import LocalStack
from tests.browser.avatar_upload.widget import SHRINK, fetch_image, fetch_manifest, mean_difference
from tests.browser.engines.page import RECORDER, Page, Widget
from tests.browser.site import EmbeddingSite
from tests.fixtures import pictures
from tests.fixtures.gallery import FIXTURES
from tests.local.conftest import create_user, sign_in


@pytest.fixture
def page(driver: WebDriver) -> Page:
    return Page(driver)


@pytest.fixture
def user(stack: LocalStack) -> Session:
    return sign_in(stack)


@pytest.fixture
def widget(page: Page, stack: LocalStack, site: EmbeddingSite, user: Session) -> Widget:
    site.scripts["/recorder.js"] = RECORDER
    element = f'<avatar-upload api-url="{stack.api_url}" token-callback="app.token"></avatar-upload>'
    site.pages["/engine"] = f'<script src="/recorder.js"></script>{element}'
    page.open(f"{site.origin}/engine")
    page.run("const [token] = arguments; window.app = { token: async () => token }", user.access_token)
    return Widget(page)


def test_session_survives_reload_and_edited_name_is_saved(page: Page, stack: LocalStack) -> None:
    username, password = create_user(stack)
    page.open(stack.exports["profileUrl"])
    page.run(RECORDER)
    page.find("#username").send_keys(username)
    page.find("#password").send_keys(password, Keys.ENTER)
    page.wait_until("document.querySelector('.edit')?.checkVisibility()")
    assert page.problems == []
    page.reload()
    page.run(RECORDER)
    page.click("Edit profile")
    name = page.find("#display-name")
    name.clear()
    name.send_keys("Alice Ackermann")
    page.click("Save")
    page.wait_until("document.querySelector('h1').textContent === 'Alice Ackermann'")
    page.wait_until("!document.querySelector('dialog').open")
    assert page.problems == []
    page.reload()
    page.wait_until("document.querySelector('h1')?.textContent === 'Alice Ackermann'")


def test_photo_is_cropped_as_previewed_uploaded_and_removed(
    widget: Widget, stack: LocalStack, user: Session, tmp_path: Path
) -> None:
    photo = tmp_path / "photo.jpg"
    stored = pictures.rotate_for_exif(pictures.four_corners(2700, 1800), 6)
    photo.write_bytes(pictures.encode(stored, "JPEG", quality=95, exif=pictures.exif(6)))
    widget.choose(photo)
    widget.wait_until("root.querySelector('canvas').checkVisibility()")
    uncropped = widget.preview_image()
    widget.find("[part=crop]").send_keys("+++", Keys.ARROW_LEFT)
    zoomed = widget.preview_image()
    assert mean_difference(zoomed, uncropped) > 3
    widget.drag(40, 30)
    cropped = widget.preview_image()
    assert mean_difference(cropped, zoomed) > 10
    widget.click("Use this photo")
    widget.wait_until("element.state === 'ready'")
    widget.wait_until("root.querySelector('img').checkVisibility()")
    manifest = fetch_manifest(stack, user)
    assert manifest
    source, images = manifest["source"], manifest["images"]
    assert source["format"] == "jpeg"
    assert source["width"] == source["height"] < 1800 / 1.1**3
    assert mean_difference(fetch_image(images[0]["url"]).resize(cropped.size), cropped) < 3
    widget.click("Remove photo")
    widget.click("Remove")
    widget.wait_until("element.state === 'removed'")
    assert fetch_manifest(stack, user) is None
    assert widget.page.problems == []


def test_shrunk_photos_look_as_originals(driver: WebDriver, widget: Widget) -> None:
    """Upright, in sRGB, and with transparency, which a canvas of WebKit cannot encode as WebP."""
    types = {
        "JPEG, orientation 6": "image/jpeg",
        "JPEG, Display P3": "image/jpeg",
        "JPEG, Adobe RGB": "image/jpeg",
        "PNG, 16 bit": "image/jpeg",
        "PNG, alpha": "image/webp" if driver.name == "firefox" else "image/png",
    }
    originals = [FIXTURES[name].file() for name in types]
    shrunk = widget.page.run(f"return ({SHRINK})(arguments[0])", [["", encode(data)] for data in originals])
    assert [content_type for content_type, _ in shrunk] == list(types.values())
    for name, original, (_, content) in zip(types, originals, shrunk, strict=True):
        ours, theirs = (
            pictures.decode(render(data, sizes=[128], max_pixels=10**6).variants[0].data)
            for data in (base64.b64decode(content), original)
        )
        assert mean_difference(ours, theirs) < 4, name


def test_truncated_photo_is_not_shrunk(widget: Widget) -> None:
    """WebKit decodes it to transparent pixels, Firefox what there is of it."""
    script = """
        const { decodePhoto } = await import("/avatar-upload/photo.js");
        const { shrinkPhoto } = await import("/avatar-upload/shrink.js");
        const photo = await decodePhoto(new Blob([Uint8Array.from(atob(content), (c) => c.charCodeAt(0))]));
        return photo && shrinkPhoto(photo);
    """
    truncated = encode(FIXTURES["JPEG"].file()[:20_000])
    assert widget.page.run(f"return (async (content) => {{{script}}})(arguments[0])", truncated) is None


def encode(data: bytes) -> str:
    return base64.b64encode(data).decode()
