"""web/: what every user does, in engines other than Chromium's."""

from __future__ import annotations

from pathlib import Path

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver

from local.stack import LocalStack
from tests.browser.avatar_upload.widget import fetch_image, fetch_manifest, mean_difference
from tests.browser.engines.page import RECORDER, Page, Widget
from tests.browser.site import EmbeddingSite
from tests.fixtures import pictures
from tests.local.conftest import create_user, sign_in


def test_session_survives_reload_and_edited_name_is_saved(driver: WebDriver, stack: LocalStack) -> None:
    username, password = create_user(stack)
    page = Page(driver)
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
    page.wait_until("document.querySelector('h1')?.textContent === 'Alice Ackermann'")
    page.wait_until("!document.querySelector('dialog').open")
    page.reload()
    page.run(RECORDER)
    page.wait_until("document.querySelector('h1')?.textContent === 'Alice Ackermann'")
    assert page.problems == []
    page.click("Sign out")


def test_photo_is_cropped_as_previewed_uploaded_and_removed(
    driver: WebDriver, stack: LocalStack, site: EmbeddingSite, tmp_path: Path
) -> None:
    user = sign_in(stack)
    photo = tmp_path / "photo.jpg"
    stored = pictures.rotate_for_exif(pictures.four_corners(900, 600), 6)
    photo.write_bytes(pictures.encode(stored, "JPEG", quality=95, exif=pictures.exif(6)))
    site.scripts["/recorder.js"] = RECORDER
    element = f'<avatar-upload api-url="{stack.api_url}" token-callback="app.token"></avatar-upload>'
    site.pages["/engine"] = f'<script src="/recorder.js"></script>{element}'
    page = Page(driver)
    page.open(f"{site.origin}/engine")
    page.run("const [token] = arguments; window.app = { token: async () => token }", user.access_token)
    widget = Widget(page)
    widget.find("input[type=file]").send_keys(str(photo))
    widget.wait_until("root.querySelector('canvas').checkVisibility()")
    uncropped = widget.preview_image()
    surface = widget.find("[part=crop]")
    surface.send_keys("+++", Keys.ARROW_LEFT)
    keyed = widget.preview_image()
    assert mean_difference(keyed, uncropped) > 3
    ActionChains(driver).drag_and_drop_by_offset(surface, 40, 30).perform()
    cropped = widget.preview_image()
    assert mean_difference(cropped, keyed) > 10
    widget.click("Use this photo")
    widget.wait_until("element.state === 'ready'")
    widget.wait_until("root.querySelector('img').checkVisibility()")
    manifest = fetch_manifest(stack, user)
    assert manifest
    avatar = fetch_image(manifest["images"][0]["url"])
    assert mean_difference(avatar.resize(cropped.size), cropped) < 3
    widget.click("Remove photo")
    widget.click("Remove")
    widget.wait_until("element.state === 'removed'")
    assert fetch_manifest(stack, user) is None
    assert page.problems == []
