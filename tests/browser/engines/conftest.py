"""One browser for each engine besides Chromium. Without an engine its tests are skipped.

BROWSER_TESTS=required makes that an error for WebKit. Debian has no package of the driver of Firefox.
"""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest
from selenium.webdriver.remote.webdriver import WebDriver

from tests.browser.engines.engine import FIREFOX, WEBKIT, Engine

_REQUIRED = {WEBKIT} if os.environ.get("BROWSER_TESTS") == "required" else set[Engine]()


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(
            engine,
            id=engine.name,
            marks=pytest.mark.skipif(bool(engine.problem) and engine not in _REQUIRED, reason=engine.problem),
        )
        for engine in (WEBKIT, FIREFOX)
    ],
)
def driver(request: pytest.FixtureRequest) -> Generator[WebDriver]:
    engine: Engine = request.param
    assert not engine.problem, engine.problem
    with engine.start() as driver:
        yield driver
