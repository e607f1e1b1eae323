"""A real browser in front of the running local stack.

Without one these tests are left out, and pytest says so; BROWSER_TESTS=required makes that an error.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Sequence
from functools import cache
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_HOW_TO_GET_ONE = (
    "there is no Chromium here: `apt-get install chromium`, or `.venv/bin/playwright install --with-deps chromium`"
)


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    here = Path(__file__).parent
    if _installed_program() is None and os.environ.get("BROWSER_TESTS") != "required":
        for item in items:
            if here in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=_HOW_TO_GET_ONE))


@pytest.fixture(scope="module")
def playwright() -> Generator[Playwright]:
    """Not for the whole session: as long as it is there this thread has a running event loop, which others need."""
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Generator[Browser]:
    program = _installed_program()
    assert program, _HOW_TO_GET_ONE
    browser = playwright.chromium.launch(executable_path=program)
    yield browser
    browser.close()


@cache
def _installed_program() -> str | None:
    """A browser of the system, or else the one that Playwright has fetched."""
    return next((found for name in _PROGRAMS if (found := shutil.which(name))), None) or _fetched_program()


def _fetched_program() -> str | None:
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None
