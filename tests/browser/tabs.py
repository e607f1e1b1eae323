"""Tabs that tests use one after the other. A page takes a third of the CPU time in a tab that has had it before."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser, CDPSession, Page

_MAX_USES = 20
"""When a page is loaded, its clock repeats all its former moves."""


@dataclass
class _Tab:
    page: Page
    devtools: CDPSession
    uses: int = 0


class Tabs:
    """The tabs of a browser, by the options of their contexts. Each has a context of its own."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._idle: defaultdict[str, list[_Tab]] = defaultdict(list)

    @contextmanager
    def use(self, rest: str, *, clock: bool = True, shared: bool = True, **options: Any) -> Generator[Page]:
        """Yields a tab without cookies and routes. At the end, closes others of its context.

        `rest` is the URL of a small file where the pages come from, which the tab shows at the end. With about:blank,
        the browser would start another process for the next page.

        `options` are those of a browser context. Without an option there are no animations: drawing one takes up to a
        third of a processor. With `clock`, the page's clock runs in real time, from now, and can be moved forward.

        With `shared=False`, no test has used the tab before or uses it afterwards. This is for tests that need an empty
        cache, or change more of the tab than its size and its color scheme.
        """
        calm: dict[str, Any] = {"reduced_motion": "reduce", **options}
        idle = self._idle[json.dumps([clock, calm], sort_keys=True)]
        tab = idle.pop() if shared and idle else self._open(**calm)
        page, context, size = tab.page, tab.page.context, tab.page.viewport_size
        if clock:
            page.clock.install()
        yield page
        tab.uses += 1
        if not shared or tab.uses == _MAX_USES:
            context.close()
            return
        for other in context.pages:
            if other != page:
                other.close()
        page.goto(rest)
        page.unroute_all(behavior="ignoreErrors")
        context.unroute_all(behavior="ignoreErrors")
        tab.devtools.send("Page.resetNavigationHistory")
        context.clear_cookies()
        page.mouse.move(0, 0)
        page.emulate_media(color_scheme=options.get("color_scheme", "light"))
        if size and page.viewport_size != size:
            page.set_viewport_size(size)
        idle.append(tab)

    def _open(self, **options: Any) -> _Tab:
        page = self._browser.new_context(**options).new_page()
        return _Tab(page, page.context.new_cdp_session(page))
