"""Browsers that WebDriver drives: Playwright drives only its own builds of these engines, which no package contains."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from selenium import webdriver
from selenium.webdriver.firefox.service import Service as FirefoxService
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.webkitgtk.service import Service as WebKitService

_FIREFOX = "firefox-esr" if shutil.which("firefox-esr") else "firefox"


@dataclass(frozen=True)
class Engine:
    """A browser engine, and the programs that it needs."""

    name: str
    start: Callable[[], AbstractContextManager[WebDriver]]
    programs: tuple[str, ...]
    installation: str

    @property
    def problem(self) -> str:
        """Which programs are missing; empty if none is."""
        missing = [name for name in self.programs if not shutil.which(name)]
        return f"{self.name} needs {' and '.join(missing)}: `{self.installation}`" if missing else ""


@contextmanager
def start_webkit() -> Generator[WebDriver]:
    """Starts WebKitGTK's MiniBrowser, which has no headless mode, without its renderer for GPUs."""
    with start_display() as display:
        environment = {**os.environ, "DISPLAY": display, "WEBKIT_DISABLE_DMABUF_RENDERER": "1"}
        service = WebKitService(shutil.which("WebKitWebDriver"), env=environment)
        with webdriver.WebKitGTK(service=service) as driver:
            yield driver


@contextmanager
def start_display() -> Generator[str]:
    """Starts an X server without a screen, with a free number. Yields its name."""
    command = ("Xvfb", "-displayfd", "1", "-screen", "0", "1280x1024x24", "-nolisten", "tcp")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout
        try:
            yield f":{server.stdout.readline().strip()}"
        finally:
            server.terminate()


@contextmanager
def start_firefox() -> Generator[WebDriver]:
    options = webdriver.FirefoxOptions()
    options.binary_location = shutil.which(_FIREFOX) or ""
    options.add_argument("-headless")
    with webdriver.Firefox(options, FirefoxService(shutil.which("geckodriver"))) as driver:
        yield driver


WEBKIT = Engine("WebKit", start_webkit, ("WebKitWebDriver", "Xvfb"), "apt-get install webkit2gtk-driver xvfb")
FIREFOX = Engine(
    "Firefox",
    start_firefox,
    (_FIREFOX, "geckodriver"),
    "apt-get install firefox-esr && cargo install geckodriver",
)
