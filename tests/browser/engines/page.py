"""The page in a browser that WebDriver drives."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

from PIL import Image
from selenium.webdriver.common.action_chains import ActionChains
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
        self._wait = WebDriverWait(driver, timeout=30, poll_frequency=0.05)

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

    def drag(self, element: WebElement, right: int, down: int) -> None:
        ActionChains(self._driver).drag_and_drop_by_offset(element, right, down).perform()

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
        self.page = page
        self._element = page.find("avatar-upload:defined")

    def find(self, selector: str) -> WebElement:
        return self._element.shadow_root.find_element(By.CSS_SELECTOR, selector)

    def click(self, button: str) -> None:
        self.page.click(button, self._element)

    def choose(self, file: Path) -> None:
        self.find("input[type=file]").send_keys(str(file))

    def drag(self, right: int, down: int) -> None:
        """Drags the photo by pixels."""
        self.page.drag(self.find("[part=crop]"), right, down)

    def wait_until(self, condition: str) -> None:
        """Waits until an expression of JavaScript about `element` and its `root` is true."""
        arguments = "(arguments[0], arguments[0].shadowRoot)"
        self.page.wait_until(f"((element, root) => {condition}){arguments}", self._element)

    def preview_image(self) -> Image.Image:
        url = self.page.run("return arguments[0].toDataURL()", self.find("canvas"))
        return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB")
