"""web/avatar-upload/drop-paste.js: photos that are dropped or pasted."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from client.session import Session
from local.stack import LocalStack
from tests.browser.avatar_upload.conftest import OpenPage
from tests.browser.avatar_upload.widget import (
    Widget,
    drop_files,
    fetch_manifest,
    file_payload,
    jpeg,
    paste_file,
)
from tests.local.conftest import wait_until


def test_drop_image_among_files_uploads_image(widget: Widget, stack: LocalStack, user: Session) -> None:
    card = widget.element.locator("[part=card]")
    drop_files(card, jpeg(), kind="dragenter")
    expect(card).to_have_class(re.compile("target"))
    assert drop_files(card, jpeg(), kind="dragover")
    assert drop_files(card, file_payload(b"hello", "a.txt", "text/plain"), jpeg())
    expect(card).not_to_have_class(re.compile("target"))
    widget.button("Use this photo").click()
    widget.wait_for("ready")
    assert fetch_manifest(stack, user) == widget.event_details("ready")[0]


@pytest.mark.parametrize("target", ["#avatar", "body"])
def test_paste_into_element_or_body_uploads_photo(
    widget: Widget, stack: LocalStack, user: Session, target: str
) -> None:
    paste_file(widget.page.locator(target), jpeg())
    widget.button("Use this photo").click()
    widget.wait_for("ready")
    assert fetch_manifest(stack, user) == widget.event_details("ready")[0]


def test_paste_into_page_input_is_ignored(open_page: OpenPage, stack: LocalStack) -> None:
    widget = open_page(body=f'<input id="field"><avatar-upload id="avatar" api-url="{stack.api_url}"></avatar-upload>')
    paste_file(widget.page.locator("#field"), jpeg())
    paste_file(widget.element, jpeg())
    wait_until(lambda: widget.event_names == ["select"], "the file is selected")
