"""The system's Chromium, under Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

_EXECUTABLES = ("chromium-headless-shell", "chromium", "google-chrome")


@contextmanager
def launch_chromium() -> Generator[Browser]:
    """Without an installed one, Playwright's own is used."""
    path = next((path for name in _EXECUTABLES if (path := shutil.which(name))), None)
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=path) as browser:
        yield browser
