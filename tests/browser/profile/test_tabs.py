"""tests/browser/tabs.py: a test does not see what others did in its tab."""

from __future__ import annotations

import time

from local.stack import LocalStack
from tests.browser.tabs import Tabs

_LOOK = """now => [history.length, innerWidth, matchMedia('(prefers-color-scheme: dark)').matches,
    Math.abs(Date.now() - now) < 60_000]"""


def test_tab_that_was_used_before_is_as_a_new_one(tabs: Tabs, stack: LocalStack) -> None:
    url, rest = stack.exports["profileUrl"], stack.exports["avatarUploadUrl"]
    with tabs.use(rest, locale="de") as used:
        used.goto(url)
        used.context.add_cookies([{"name": "name", "value": "value", "url": url}])
        used.route(url, lambda route: route.fulfill(body="of another test"))
        used.context.new_page()
        used.emulate_media(color_scheme="dark")
        used.set_viewport_size({"width": 320, "height": 320})
        used.clock.run_for("24:00:00")
    with tabs.use(rest, locale="de") as page, tabs.use(rest, locale="de", shared=False) as other:
        assert (page, page.context.pages, page.context.cookies()) == (used, [used], [])
        assert other != used
        page.goto(url)
        assert "of another test" not in page.content()
        assert page.evaluate(_LOOK, time.time() * 1000) == [2, 1280, False, True]
