"""The page in a browser that WebDriver drives."""

from __future__ import annotations

import base64
import io
from typing import Any

from PIL import Image
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

RECORDER = """
window.problems = [];
const record = (...texts) => window.problems.push(texts.join(" "));
addEventListener("error", ({ message, target }) => record(message ?? target.outerHTML), true);
addEventListener("unhandledrejection", ({ reason }) => record(reason));
addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => {
  // WebKit asks for it although no page names it.
  if (!blockedURI.endsWith("/favicon.ico")) record(violatedDirective, blockedURI);
});
Object.assign(console, { error: record, warn: record });
"""
"""Records exceptions, failed loads, violations of the content security policy, and what is wrong on the console."""

_FIND_BUTTON = """
const [name, host] = arguments;
return [...(host?.shadowRoot ?? document).querySelectorAll("button")].find(
  (button) => button.textContent === name && button.checkVisibility());
"""


class Page:
    """The page in the window of a browser."""

    def __init__(self, driver: WebDriver) -> None:
        self._driver = driver
        self._wait = WebDriverWait(driver, timeout=20, poll_frequency=0.05)

    def open(self, url: str) -> None:
        self._driver.get(url)

    def reload(self) -> None:
        self._driver.refresh()

    def run(self, script: str, *arguments: Any) -> Any:
        return self._driver.execute_script(script, *arguments)

    def find(self, selector: str) -> WebElement:
        return self._wait.until(lambda driver: driver.find_element(By.CSS_SELECTOR, selector), selector)

    def click(self, button: str, host: WebElement | None = None) -> None:
        """Clicks the visible button with that text, in the shadow tree of the host if there is one."""
        self._wait.until(lambda _: self.run(_FIND_BUTTON, button, host), f"no button {button}").click()

    def wait_until(self, condition: str, *arguments: Any) -> None:
        """Waits until an expression of JavaScript is true."""
        self._wait.until(lambda _: self.run(f"return {condition}", *arguments), f"not true: {condition}")

    @property
    def problems(self) -> list[str]:
        """What `RECORDER` has recorded."""
        return self.run("return window.problems")


class Widget:
    """`<avatar-upload>` on a page."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._element = page.find("avatar-upload:defined")

    def find(self, selector: str) -> WebElement:
        return self._element.shadow_root.find_element(By.CSS_SELECTOR, selector)

    def click(self, button: str) -> None:
        self._page.click(button, self._element)

    def wait_until(self, condition: str) -> None:
        """Waits until an expression of JavaScript about `element` and its `root` is true."""
        self._page.wait_until(
            f"(({{ shadowRoot: root }}, element = arguments[0]) => {condition})(arguments[0])", self._element
        )

    def preview_image(self) -> Image.Image:
        url = self._page.run("return arguments[0].toDataURL()", self.find("canvas"))
        return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB")
