"""One Chromium in front of one running local stack.

Both have package scope: Playwright's synchronous API keeps an event loop running in this thread, and tests elsewhere
run the Pulumi program, which needs a loop of its own. For the same reason the stack starts before Playwright.

Without a browser the tests are skipped; BROWSER_TESTS=required makes that an error.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Generator, Sequence
from functools import cache
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

from local.stack import LocalStack, read_config
from tests.browser.site import EmbeddingSite
from tests.browser.tabs import Tabs

MAX_UPLOAD_BYTES = 4 * 1024 * 1024
# Chromium without windows first: opening a page takes a quarter of the CPU time.
_EXECUTABLES = (
    "chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable",
)  # fmt: skip
_NO_BROWSER = (
    "Chromium is missing: `apt-get install chromium-headless-shell`, "
    "or `.venv/bin/playwright install --with-deps chromium`"
)


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    if _find_chromium() is None and os.environ.get("BROWSER_TESTS") != "required":
        for item in items:
            if isinstance(item, pytest.Function) and "browser" in item.fixturenames:
                item.add_marker(pytest.mark.skip(reason=_NO_BROWSER))


@pytest.fixture(scope="package")
def site() -> Generator[EmbeddingSite]:
    """A site whose origin is in `allowedOrigins`."""
    site = EmbeddingSite()
    yield site
    site.close()


@pytest.fixture(scope="package")
def stack(site: EmbeddingSite) -> Generator[LocalStack]:
    config = read_config("dev")[0] | {
        "avatars:allowedOrigins": json.dumps([site.origin]),
        "avatars:maxUploadBytes": str(MAX_UPLOAD_BYTES),
        "avatars:sizes": "[512, 128]",
    }
    with LocalStack(config) as stack:
        site.allow(stack)
        yield stack


@pytest.fixture(scope="package")
def playwright(stack: LocalStack) -> Generator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="package")
def browser(playwright: Playwright) -> Generator[Browser]:
    executable = _find_chromium()
    assert executable, _NO_BROWSER
    with playwright.chromium.launch(executable_path=executable) as browser:
        yield browser


@pytest.fixture(scope="package")
def tabs(browser: Browser) -> Tabs:
    return Tabs(browser)


@cache
def _find_chromium() -> str | None:
    """The path of the system's Chromium, else of the one that Playwright has installed."""
    return (
        next((path for name in _EXECUTABLES if (path := shutil.which(name))), None) or _find_installed_by_playwright()
    )


def _find_installed_by_playwright() -> str | None:
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None
