"""`<avatar-upload>` on a page as its user meets it, and the responses that tests put before the real ones."""

from __future__ import annotations

import base64
import io
import json
import re
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import requests
from PIL import Image, ImageChops, ImageStat
from playwright.sync_api import ConsoleMessage, Error, FilePayload, Locator, Page, Request, Route, expect

from client.session import Session
from local.stack import LocalStack
from tests.browser.site import WEB
from tests.fixtures import pictures
from tests.local.conftest import wait_until

FORM = "**/avatars/key_upload"
STATUS = "**/avatars/uploads/**"
"""The request that finishes an upload, and those for its status."""
FINISH = "**/avatars/uploads/*/finish"
OWN_AVATAR = "**/avatars/me"
FIRST_PAUSE_MS = 1500
"""Between sending the photo and the first request for its status: web/avatar-upload/upload.js."""
UNKNOWN_TOKEN = "header.payload.signature"
TO_BASE64 = """async (blob) => {
    const bytes = new Uint8Array(await blob.arrayBuffer());
    let text = "";
    for (const byte of bytes) text += String.fromCharCode(byte);
    return btoa(text);
}"""
SHRINK = """async (files) => {
    const { decodePhoto } = await import("/avatar-upload/photo.js");
    const { shrinkPhoto } = await import("/avatar-upload/shrink.js");
    const contents = [];
    for (const [type, content] of files) {
        const file = new Blob([Uint8Array.from(atob(content), (c) => c.charCodeAt(0))], { type });
        const { type: shrunkType, encode } = shrinkPhoto(await decodePhoto(file));
        contents.push([shrunkType, await (TO_BASE64)(await encode())]);
    }
    return contents;
}""".replace("TO_BASE64", TO_BASE64)
"""Content types and contents, in Base64, of files and of what is sent of them."""
_STATE_AND_PENDING = "id => [document.getElementById(id).state, window.pendingResponses]"
_REQUESTING = ("preparing", "sending", "processing", "removing")


class Widget:
    """One element on a page."""

    def __init__(self, page: Page, element_id: str = "avatar", *, has_clock: bool = True) -> None:
        """`has_clock`: the page's clock is installed and can be moved."""
        self.page = page
        self.id = element_id
        self._has_clock = has_clock
        self.console_errors: list[str] = []
        """Errors on the console and exceptions of scripts."""
        self._in_flight: set[Request] = set()
        page.on("console", self._record_console_error)
        page.on("pageerror", self._record_exception)
        page.on("request", self._add_in_flight)
        page.on("requestfinished", self._remove_in_flight)
        page.on("requestfailed", self._remove_in_flight)

    def close(self) -> None:
        """Lets the page be that of another test."""
        self.page.remove_listener("console", self._record_console_error)
        self.page.remove_listener("pageerror", self._record_exception)
        self.page.remove_listener("request", self._add_in_flight)
        self.page.remove_listener("requestfinished", self._remove_in_flight)
        self.page.remove_listener("requestfailed", self._remove_in_flight)

    def _record_console_error(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.console_errors.append(message.text)

    def _record_exception(self, error: Error) -> None:
        self.console_errors.append(str(error))

    def _add_in_flight(self, request: Request) -> None:
        if request.resource_type in ("fetch", "xhr"):
            self._in_flight.add(request)

    def _remove_in_flight(self, request: Request) -> None:
        self._in_flight.discard(request)

    @property
    def element(self) -> Locator:
        return self.page.locator(f"#{self.id}")

    def button(self, name: str) -> Locator:
        return self.element.get_by_role("button", name=name, exact=True)

    def choose(self, file: FilePayload | Path, button: str = "Choose a photo") -> None:
        with self.page.expect_file_chooser() as chooser:
            self.button(button).click()
        chooser.value.set_files(file)

    def upload(self, file: FilePayload | Path, button: str = "Choose a photo") -> None:
        """Chooses a file and presses "Use this photo"."""
        self.choose(file, button)
        self.button("Use this photo").click()

    def start_crop(self, file: FilePayload | Path) -> None:
        """Chooses a file and waits for its preview."""
        self.choose(file)
        expect(self.element.locator("canvas")).to_be_visible()

    @property
    def surface(self) -> Locator:
        """What is dragged, and takes the keys."""
        return self.element.get_by_role("application", name="Position of the photo")

    @property
    def zoom(self) -> Locator:
        return self.element.get_by_role("slider", name="Zoom")

    def press(self, *keys: str) -> None:
        """Presses keys on the picture."""
        self.surface.focus()
        for key in keys:
            self.page.keyboard.press(key)

    def page_point(self, right: float, down: float) -> tuple[float, float]:
        """Coordinates on the page of a point of the picture's frame, given in fractions of its edge."""
        box = self.surface.bounding_box()
        assert box
        return box["x"] + right * box["width"], box["y"] + down * box["height"]

    def drag(self, *path: tuple[float, float]) -> None:
        """Drags with the mouse along points given in fractions of the frame's edge."""
        mouse = self.page.mouse
        mouse.move(*self.page_point(*path[0]))
        mouse.down()
        for point in path[1:]:
            mouse.move(*self.page_point(*point), steps=3)
        mouse.up()

    def touch(self, *moments: dict[int, tuple[float, float]]) -> None:
        """Touches with fingers, by their numbers; a finger that a moment does not name any more is lifted."""
        session = self.page.context.new_cdp_session(self.page)
        for before, fingers in pairwise([{}, *moments, {}]):
            lifted = {number: at for number, at in before.items() if number not in fingers}
            kind = "touchEnd" if lifted else "touchMove" if before.keys() == fingers.keys() else "touchStart"
            points = [
                {"id": number, **dict(zip("xy", self.page_point(*at), strict=True))}
                for number, at in (lifted or fingers).items()
            ]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def pinch(self, *fingers: tuple[tuple[float, float], tuple[float, float]]) -> None:
        """Pinches with two fingers, each from one point to another."""

        def positions_after(part: float) -> dict[int, tuple[float, float]]:
            return {n: (a + (c - a) * part, b + (d - b) * part) for n, ((a, b), (c, d)) in enumerate(fingers)}

        self.touch(*(positions_after(step / 4) for step in range(5)))

    def send_original(self) -> None:
        """Sets the attribute `original`: photos are sent as they are."""
        self.element.evaluate("element => { element.original = true; }")

    def request_form(self) -> dict[str, Any]:
        """Sends the original. Returns the body of the request for a form, which gets no response."""
        self.send_original()
        self.page.route(FORM, leave_unanswered)
        with self.page.expect_request(FORM) as request:
            self.button("Use this photo").click()
        return json_body(request.value)

    @property
    def state(self) -> str:
        # Not by a locator, which takes five times the CPU time: the state is what tests ask for most.
        return self.page.evaluate("id => document.getElementById(id).state", self.id)

    def wait_for(self, state: str, *, step_ms: int = 500, timeout: float = 20) -> None:
        """Waits for a state. Pauses between requests are skipped by moving the page's clock forward.

        The clock is not moved while a request is in flight: its timeout would come too early.
        """
        deadline = time.monotonic() + timeout
        while True:
            current, pending = self.page.evaluate(_STATE_AND_PENDING, self.id)
            if current == state:
                return
            assert time.monotonic() < deadline, f"the state is {current}, not {state}, after {timeout} s"
            if self._has_clock and current in _REQUESTING and not pending and not self._in_flight:
                self.page.clock.run_for(step_ms)
            self.page.wait_for_timeout(25)

    def advance(self, seconds: int) -> None:
        """Moves the page's clock forward second by second, and waits for the response to each request."""
        for _ in range(seconds):
            self.page.clock.run_for(1000)
            while self._awaits_response():
                self.page.wait_for_timeout(5)

    def _awaits_response(self) -> bool:
        """Asks the page too: Playwright reports a request later than the page sends it."""
        return bool(self._in_flight or self.page.evaluate("window.pendingResponses"))

    def advance_until(self, state: str, milliseconds: int) -> None:
        """Moves the page's clock forward in steps until the state is reached, also while a request is in flight."""
        for _ in range(700):
            if self.state == state:
                return
            self.page.clock.run_for(milliseconds)
            self.page.wait_for_timeout(10)
        raise AssertionError(f"the state is {self.state}, not {state}")

    def event_details(self, name: str) -> list[Any]:
        """Details of the events of a name so far."""
        events = self.page.evaluate("window.recordedEvents")
        return [event["detail"] for event in events if (event["name"], event["id"]) == (name, self.id)]

    @property
    def event_names(self) -> list[str]:
        """Names of the events so far, without `progress`."""
        names = [event["name"] for event in self.page.evaluate("window.recordedEvents") if event["id"] == self.id]
        return [name for name in names if name != "progress"]

    @property
    def error(self) -> Locator:
        return self.element.get_by_role("alert")

    @property
    def status(self) -> Locator:
        return self.element.locator("[part=status]")

    @property
    def focused_control(self) -> str:
        """What has the focus: a button by its text, or the card."""
        return self.element.evaluate(
            """({ shadowRoot: { activeElement: e } }) =>
                e && (e.tagName === "BUTTON" ? e.textContent || e.ariaLabel : e.part.value)"""
        )

    def preview_image(self) -> Image.Image:
        """What the preview shows."""
        url = self.element.locator("canvas").evaluate("canvas => canvas.toDataURL()")
        return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB")

    def shown_avatar_url(self) -> str:
        """URL of the image that is shown as the current avatar; empty if none is."""
        return self.element.locator("img").evaluate("image => image.hidden ? '' : image.currentSrc")


def file_payload(data: bytes, name: str = "photo.jpg", content_type: str = "image/jpeg") -> FilePayload:
    return {"name": name, "mimeType": content_type, "buffer": data}


def jpeg(width: int = 600, height: int = 400) -> FilePayload:
    return file_payload(pictures.encode(pictures.four_corners(width, height), "JPEG", quality=95))


def large_png() -> FilePayload:
    """A few megabytes, so that sending takes a while on a slow line."""
    return file_payload(pictures.encode(pictures.textured(1000, 1000), "PNG"), "photo.png", "image/png")


def json_body(request: Request) -> dict[str, Any]:
    body = request.post_data_json
    assert isinstance(body, dict)
    return body


def fetch_manifest(stack: LocalStack, user: Session) -> dict[str, Any] | None:
    headers = {"Authorization": f"Bearer {user.access_token}"}
    response = requests.get(f"{stack.api_url}/avatars/me", headers=headers, timeout=10)
    return response.json() if response.ok else None


def fetch_image(url: str) -> Image.Image:
    return pictures.decode(requests.get(url, timeout=10).content).convert("RGB")


def mean_difference(one: Image.Image, other: Image.Image) -> float:
    """Mean over all pixels of the channel that differs most; at most 255."""
    return max(ImageStat.Stat(ImageChops.difference(one, other)).mean)


def bucket_url(stack: LocalStack) -> str:
    return f"{stack.aws_url}/{stack.exports['uploadsBucket']}"


def leave_unanswered(_route: Route) -> None:
    """A server that does not respond."""


class HeldRequests:
    """Requests that wait until the test releases them."""

    def __init__(self, page: Page, pattern: str) -> None:
        self._routes: list[Route] = []
        self._page, self._pattern = page, pattern
        page.route(pattern, self._hold)

    def _hold(self, route: Route) -> None:
        self._routes.append(route)

    def release(self, act: Callable[[Route], None] = Route.continue_) -> None:
        """Waits for a request and releases it; later ones are not held."""
        wait_until(lambda: self._routes or self._page.wait_for_timeout(10), f"a request for {self._pattern}")
        for route in self._routes:
            act(route)
        self._page.unroute(self._pattern)


def respond_with(
    status: int, body: Any = None, *, times: int | None = None, record: list[Request] | None = None
) -> Callable[[Route], None]:
    """A route handler that gives this response, always or so many times; then the real server responds."""
    left = [times]

    def respond(route: Route) -> None:
        if record is not None:
            record.append(route.request)
        if left[0] == 0:
            route.continue_()
            return
        if left[0] is not None:
            left[0] -= 1
        headers = {"Access-Control-Allow-Origin": "*"}
        text = body if isinstance(body, str) else json.dumps(body)
        route.fulfill(status=status, body=text, headers=headers)

    return respond


respond_pending = respond_with(200, {"status": "pending"})


def record_requests(page: Page, part: str) -> list[str]:
    """URLs with this part that are requested from now on."""
    urls: list[str] = []

    def record(request: Request) -> None:
        if part in request.url:
            urls.append(request.url)

    page.on("request", record)
    return urls


def drop_files(target: Locator, *files: FilePayload, kind: Literal["drop", "dragenter", "dragover"] = "drop") -> bool:
    """Drops files. Returns whether the page prevented the browser's default action."""
    contents = [
        [file["name"], file["mimeType"], base64.b64encode(file["buffer"]).decode()] for file in files
    ]  # fmt: skip
    return target.evaluate(
        """(target, [kind, files]) => {
            const data = new DataTransfer();
            for (const [name, type, content] of files) {
                const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
                data.items.add(new File([bytes], name, { type }));
            }
            const event = { dataTransfer: data, bubbles: true, cancelable: true, composed: true };
            return !target.dispatchEvent(new DragEvent(kind, event));
        }""",
        [kind, contents],
    )


def paste_file(target: Locator, file: FilePayload) -> None:
    target.evaluate(
        """(target, [name, type, content]) => {
            const data = new DataTransfer();
            const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
            data.items.add(new File([bytes], name, { type }));
            const event = { clipboardData: data, bubbles: true, cancelable: true, composed: true };
            target.dispatchEvent(new ClipboardEvent("paste", event));
        }""",
        [file["name"], file["mimeType"], base64.b64encode(file["buffer"]).decode()],
    )


def read_module(name: str) -> str:
    """Source of a module of web/avatar-upload/."""
    return (WEB / "avatar-upload" / f"{name}.js").read_text()


def read_error_codes() -> set[str]:
    return set(re.findall(r'"(\w+)"', read_module("errors").partition("@typedef")[2].partition("ErrorCode")[0]))
