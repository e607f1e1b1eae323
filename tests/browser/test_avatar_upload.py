"""`<avatar-upload>` in a browser: on a page of an allowed origin, under a strict policy, before the running stack."""

from __future__ import annotations

import base64
import http.server
import io
import json
import re
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from PIL import Image, ImageChops, ImageStat
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    FilePayload,
    Locator,
    Page,
    Request,
    Route,
    expect,
)

from client.session import Session
from functions.process_avatar.imaging.renderer import render
from local.stack import LocalStack, read_config
from tests.fixtures import pictures
from tests.fixtures.gallery import FIXTURES
from tests.local.conftest import PHOTO, sign_in, wait_until

WEB = Path(__file__).parents[2] / "web"
DOCUMENT = Path(__file__).parents[2] / "docs" / "widget.md"
SCREENSHOTS = Path(__file__).parents[2] / ".build" / "screenshots"
FORM = "**/avatars/key_upload"
STATUS = "**/avatars/uploads/*"
LIMIT = 4 * 1024 * 1024
UNKNOWN_TOKEN = "header.payload.signature"

PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>A page that embeds the widget</title>
  <link rel="stylesheet" href="/page.css">
  <script type="module" src="{script}"></script>
</head>
<body><main><h1>Account</h1><div id="here">{body}</div><div id="there"></div></main></body>
</html>
"""
STYLE = ":root { color-scheme: light dark; font-family: sans-serif; } body { margin: 0; } main { padding: 16px; }"

# What the page knows, and what it has been told. Runs before the page's own scripts.
RECORDER = """
window.told = [];
for (const name of ["select", "progress", "ready", "rejected", "error", "cancel", "session-expired"]) {
  document.addEventListener(`avatar-${name}`, (event) => {
    window.told.push({ name, id: event.target.id, detail: event.detail });
  });
}
window.violations = [];
document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => {
  window.violations.push(`${violatedDirective} ${blockedURI}`);
});
window.addresses = new Set();
const { createObjectURL, revokeObjectURL } = URL;
URL.createObjectURL = (blob) => {
  const address = createObjectURL.call(URL, blob);
  window.addresses.add(address);
  return address;
};
URL.revokeObjectURL = (address) => {
  window.addresses.delete(address);
  revokeObjectURL.call(URL, address);
};
window.app = {
  asked: [],
  tokens: [],
  async token({ refresh }) {
    this.asked.push(refresh);
    return this.tokens[Math.min(this.asked.filter(Boolean).length, this.tokens.length - 1)];
  },
};
"""


class Site:
    """A web server of an origin of its own: pages that embed the widget, and its files."""

    def __init__(self) -> None:
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = site.content(self.path)
                self.send_response(200 if content else 204)
                if content:
                    self.send_header("Content-Type", content[0])
                    self.send_header("Content-Security-Policy", site.policy)
                self.end_headers()
                self.wfile.write(content[1] if content else b"")

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                pass

        self._server = http.server.ThreadingHTTPServer(("localhost", 0), Handler)
        self.origin = f"http://localhost:{self._server.server_port}"
        self.pages: dict[str, str] = {}
        self.policy = ""
        self.script = "/avatar-upload.js"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def content(self, path: str) -> tuple[str, bytes] | None:
        if path in self.pages:
            return "text/html", PAGE.format(body=self.pages[path], script=self.script).encode()
        if path == "/page.css":
            return "text/css", STYLE.encode()
        file = WEB / path.removeprefix("/")
        return ("text/javascript", file.read_bytes()) if file.is_file() else None

    def allow(self, stack: LocalStack) -> None:
        """What docs/widget.md says that an embedding page needs, and nothing else."""
        self.policy = (
            f"default-src 'none'; script-src 'self' {stack.cdn_url}; style-src 'self'; base-uri 'none'; "
            "form-action 'none'; "
            f"img-src {stack.cdn_url} blob:; connect-src {stack.api_url} {stack.aws_url}; "
            "require-trusted-types-for 'script'; trusted-types 'none'"
        )

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def site() -> Generator[Site]:
    site = Site()
    yield site
    site.close()


@pytest.fixture(scope="module")
def foreign_site(stack: LocalStack) -> Generator[Site]:
    """One that `allowedOrigins` does not name."""
    site = Site()
    site.allow(stack)
    yield site
    site.close()


@pytest.fixture(scope="module")
def stack(site: Site) -> Generator[LocalStack]:
    own = {
        "avatars:allowedOrigins": json.dumps([site.origin]),
        "avatars:maxUploadBytes": str(LIMIT),
        "avatars:sizes": "[512, 128]",
    }
    with ThreadPoolExecutor() as thread:  # Playwright has a loop in this one, and the program needs its own
        stack = thread.submit(LocalStack, read_config("dev")[0] | own).result()
    with stack:
        site.allow(stack)
        site.script = stack.exports["avatarUploadUrl"]
        yield stack


@pytest.fixture
def user(stack: LocalStack) -> Session:
    return sign_in(stack)


@dataclass
class Widget:
    """One element on a page, as its user meets it."""

    page: Page
    id: str = "avatar"
    problems: list[str] = field(default_factory=list)
    """Errors on the console and in scripts."""

    def listen(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.problems.append(message.text)

    @property
    def element(self) -> Locator:
        return self.page.locator(f"#{self.id}")

    def button(self, name: str) -> Locator:
        return self.element.get_by_role("button", name=name, exact=True)

    def choose(self, file: FilePayload | Path, button: str = "Choose a photo") -> None:
        with self.page.expect_file_chooser() as chooser:
            self.button(button).click()
        chooser.value.set_files(file)

    def send(self, file: FilePayload | Path, button: str = "Choose a photo") -> None:
        self.choose(file, button)
        self.button("Use this photo").click()

    def begin_crop(self, file: FilePayload | Path) -> None:
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
        """On the picture."""
        self.surface.focus()
        for key in keys:
            self.page.keyboard.press(key)

    def point(self, right: float, down: float) -> tuple[float, float]:
        """Where on the page a point of the picture's frame is, given in fractions of its edge."""
        box = self.surface.bounding_box()
        assert box
        return box["x"] + right * box["width"], box["y"] + down * box["height"]

    def drag(self, *way: tuple[float, float]) -> None:
        """With the mouse, along points given in fractions of the frame's edge."""
        mouse = self.page.mouse
        mouse.move(*self.point(*way[0]))
        mouse.down()
        for point in way[1:]:
            mouse.move(*self.point(*point), steps=3)
        mouse.up()

    def touch(self, *moments: dict[int, tuple[float, float]]) -> None:
        """With fingers, by their numbers; those that a moment does not name any more are lifted."""
        session = self.page.context.new_cdp_session(self.page)
        for before, fingers in pairwise([{}, *moments, {}]):
            lifted = {number: at for number, at in before.items() if number not in fingers}
            kind = "touchEnd" if lifted else "touchMove" if before.keys() == fingers.keys() else "touchStart"
            points = [
                {"id": number, **dict(zip("xy", self.point(*at), strict=True))}
                for number, at in (lifted or fingers).items()
            ]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def pinch(self, *fingers: tuple[tuple[float, float], tuple[float, float]]) -> None:
        """With two fingers, each from one point to another."""

        def after(part: float) -> dict[int, tuple[float, float]]:
            return {n: (a + (c - a) * part, b + (d - b) * part) for n, ((a, b), (c, d)) in enumerate(fingers)}

        self.touch(*(after(step / 4) for step in range(5)))

    def form_request(self) -> dict[str, Any]:
        """What is asked for when the photo is used. It gets no answer."""
        self.page.route(FORM, never)
        with self.page.expect_request(FORM) as asked:
            self.button("Use this photo").click()
        return content(asked.value)

    @property
    def state(self) -> str:
        return self.element.evaluate("element => element.state")

    def wait_for(self, state: str) -> None:
        expect(self.element).to_have_js_property("state", state, timeout=20_000)

    def told(self, name: str) -> list[Any]:
        """Details of the events of a name so far."""
        all_told = self.page.evaluate("window.told")
        return [event["detail"] for event in all_told if (event["name"], event["id"]) == (name, self.id)]

    @property
    def names_told(self) -> list[str]:
        names = [event["name"] for event in self.page.evaluate("window.told") if event["id"] == self.id]
        return [name for name in names if name != "progress"]

    @property
    def error(self) -> Locator:
        return self.element.get_by_role("alert")

    @property
    def status(self) -> Locator:
        return self.element.locator("[part=status]")

    @property
    def focused(self) -> str:
        """What has the focus: a button by its text, or the card."""
        return self.element.evaluate(
            """({ shadowRoot: { activeElement: e } }) =>
                e && (e.tagName === "BUTTON" ? e.textContent || e.ariaLabel : e.part.value)"""
        )

    def drawn(self) -> Image.Image:
        """What the preview shows."""
        address = self.element.locator("canvas").evaluate("canvas => canvas.toDataURL()")
        return Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))).convert("RGB")

    def shown(self) -> str:
        """Address of the picture that is shown as the current one; empty if none is."""
        return self.element.locator("img").evaluate("image => image.hidden ? '' : image.currentSrc")

    def call_until(self, state: str, milliseconds: int = 1000) -> None:
        """Lets time pass quickly until the state is there. Needs the page's clock to be installed."""
        for _ in range(700):
            if self.state == state:
                return
            self.page.clock.run_for(milliseconds)
            self.page.wait_for_timeout(10)  # real, for answers on their way
        raise AssertionError(f"{state} has not come; the state is {self.state}")


Open = Callable[..., Widget]


@pytest.fixture
def opened(browser: Browser, stack: LocalStack, site: Site, user: Session) -> Generator[Open]:
    """Opens a page with one element, whose user is signed in. Options are those of a browser context."""
    contexts: list[BrowserContext] = []

    def open_page(
        attributes: str = "",
        *,
        body: str | None = None,
        tokens: Sequence[str] = (),
        clock: bool = False,
        at: Site = site,
        **options: Any,
    ) -> Widget:
        element = f'<avatar-upload id="avatar" api-url="{stack.api_url}" token-callback="app.token" {attributes}>'
        at.pages["/"] = body if body is not None else f"{element}</avatar-upload>"
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        widget = Widget(page)
        page.on("console", widget.listen)
        page.on("pageerror", lambda error: widget.problems.append(str(error)))
        page.add_init_script(RECORDER)
        page.add_init_script(f"window.app.tokens = {json.dumps(list(tokens) or [user.access_token])};")
        if clock:
            page.clock.install()
        page.goto(f"{at.origin}/")
        expect(page.locator("avatar-upload:not(:defined)")).to_have_count(0)
        return widget

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def widget(opened: Open) -> Widget:
    return opened()


def payload(data: bytes, name: str = "photo.jpg", content_type: str = "image/jpeg") -> FilePayload:
    return {"name": name, "mimeType": content_type, "buffer": data}


def jpeg(width: int = 600, height: int = 400) -> FilePayload:
    return payload(pictures.encode(pictures.four_corners(width, height), "JPEG", quality=95))


def large() -> FilePayload:
    """A few megabytes, so that sending takes a while on a slow line."""
    return payload(pictures.encode(pictures.textured(1000, 1000), "PNG"), "photo.png", "image/png")


def content(request: Request) -> dict[str, Any]:
    """What it sends as JSON."""
    sent = request.post_data_json
    assert isinstance(sent, dict)
    return sent


def manifest(stack: LocalStack, user: Session) -> dict[str, Any] | None:
    headers = {"Authorization": f"Bearer {user.access_token}"}
    answer = requests.get(f"{stack.api_url}/avatars/me", headers=headers, timeout=10)
    return answer.json() if answer.ok else None


def form_url(stack: LocalStack) -> str:
    return f"{stack.aws_url}/{stack.exports['uploadsBucket']}"


def never(_route: Route) -> None:
    """A server that does not answer."""


class Held:
    """A request that waits until the test lets it go on."""

    def __init__(self, page: Page, pattern: str) -> None:
        self._routes: list[Route] = []
        self._page, self._pattern = page, pattern
        page.route(pattern, self._hold)

    def _hold(self, route: Route) -> None:
        self._routes.append(route)

    def release(self, act: Callable[[Route], None] = Route.continue_) -> None:
        """Also of those that come later."""
        wait_until(lambda: self._routes or self._page.wait_for_timeout(10), f"a request for {self._pattern}")
        for route in self._routes:
            act(route)
        self._page.unroute(self._pattern)


def answering(
    status: int, body: Any = None, *, times: int | None = None, requests_seen: list[Request] | None = None
) -> Callable[[Route], None]:
    """A server that answers so, for ever or so many times; then the real one does."""
    left = [times]

    def answer(route: Route) -> None:
        if requests_seen is not None:
            requests_seen.append(route.request)
        if left[0] == 0:
            route.continue_()
            return
        if left[0] is not None:
            left[0] -= 1
        headers = {"Access-Control-Allow-Origin": "*"}
        text = body if isinstance(body, str) else json.dumps(body)
        route.fulfill(status=status, body=text, headers=headers)

    return answer


PENDING = answering(200, {"status": "pending"})


def drop(target: Locator, *files: FilePayload, kind: Literal["drop", "dragenter", "dragover"] = "drop") -> bool:
    """Drops files there. Whether the page kept the browser from showing them itself."""
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


def paste(target: Locator, file: FilePayload) -> None:
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


class TestThePhotoBecomesTheAvatar:
    def test_chosen_seen_sent_and_shown_without_a_reload_and_nothing_complains(
        self, widget: Widget, stack: LocalStack, user: Session
    ) -> None:
        widget.page.evaluate("window.sameDocument = true")
        widget.choose(PHOTO)
        expect(widget.status).to_have_text("This is how your picture will look.")
        assert manifest(stack, user) is None
        widget.button("Use this photo").click()
        widget.wait_for("ready")
        expect(widget.status).to_have_text("Your new picture is ready.")
        current = manifest(stack, user)
        assert current
        assert widget.told("ready") == [current]
        expect(widget.element.locator("img")).to_be_visible()
        assert widget.shown() in [image["url"] for image in current["images"]]
        expect(widget.element.locator("canvas")).to_be_hidden()
        expect(widget.button("Change photo")).to_be_visible()
        assert widget.names_told == ["select", "ready"]
        assert widget.page.evaluate("window.sameDocument")
        assert widget.page.evaluate("window.violations") == []
        assert widget.problems == []

    def test_dropped(self, widget: Widget, stack: LocalStack, user: Session) -> None:
        card = widget.element.locator("[part=card]")
        drop(card, jpeg(), kind="dragenter")
        expect(card).to_have_class(re.compile("target"))
        assert drop(card, jpeg(), kind="dragover")
        assert drop(card, payload(b"hello", "a.txt", "text/plain"), jpeg())
        expect(card).not_to_have_class(re.compile("target"))
        widget.button("Use this photo").click()
        widget.wait_for("ready")
        assert manifest(stack, user) == widget.told("ready")[0]

    @pytest.mark.parametrize("target", ["#avatar", "body"])
    def test_pasted_into_it_or_into_nothing_in_particular(
        self, widget: Widget, stack: LocalStack, user: Session, target: str
    ) -> None:
        paste(widget.page.locator(target), jpeg())
        widget.button("Use this photo").click()
        widget.wait_for("ready")
        assert manifest(stack, user) == widget.told("ready")[0]

    def test_what_is_pasted_into_a_field_of_the_page_is_left_to_it(self, opened: Open, stack: LocalStack) -> None:
        widget = opened(body=f'<input id="field"><avatar-upload id="avatar" api-url="{stack.api_url}"></avatar-upload>')
        paste(widget.page.locator("#field"), jpeg())
        paste(widget.element, jpeg())
        widget.wait_for("chosen")
        assert widget.names_told == ["select"]

    def test_taken_with_the_camera_where_there_is_a_touch_screen(self, opened: Open) -> None:
        expect(opened().button("Take a photo")).to_be_hidden()
        widget = opened(has_touch=True, is_mobile=True, viewport={"width": 390, "height": 800})
        with widget.page.expect_file_chooser() as chooser:
            widget.button("Take a photo").tap()
        assert chooser.value.element.get_attribute("capture") == "user"
        chooser.value.set_files(jpeg())
        widget.wait_for("chosen")
        expect(widget.element.get_by_text("or drop")).to_be_hidden()

    def test_the_same_file_can_be_chosen_twice(self, widget: Widget) -> None:
        widget.choose(PHOTO)
        widget.button("Cancel").click()
        widget.choose(PHOTO)
        widget.wait_for("chosen")
        assert widget.names_told == ["select", "cancel", "select"]

    def test_an_avatar_is_swapped_only_when_the_new_one_is_loaded(self, opened: Open, stack: LocalStack) -> None:
        widget = opened(f'src="{stack.cdn_url}/defaults/avatar.jpg"')
        held = Held(widget.page, "**/*.webp")
        expect(widget.element.locator("img")).to_be_visible()
        widget.send(jpeg(), button="Change photo")
        widget.wait_for("ready")
        expect(widget.element.locator("canvas")).to_be_visible()
        expect(widget.element.locator("img")).to_be_hidden()
        held.release()
        expect(widget.element.locator("img")).to_be_visible()
        expect(widget.element.locator("canvas")).to_be_hidden()

    def test_a_new_avatar_that_cannot_be_loaded_leaves_its_preview(self, widget: Widget) -> None:
        widget.page.route("**/*.webp", lambda route: route.abort())
        with widget.page.expect_event("requestfailed"):
            widget.send(jpeg())
        widget.wait_for("ready")
        expect(widget.element.locator("canvas")).to_be_visible()


class TestPreview:
    @pytest.mark.parametrize(("size", "orientation"), [((900, 500), 1), ((500, 900), 6), ((600, 640), 3)])
    def test_it_is_the_square_the_server_keeps(self, widget: Widget, size: tuple[int, int], orientation: int) -> None:
        upright = pictures.four_corners(*size)
        exif = pictures.exif(orientation)
        data = pictures.encode(pictures.rotate_for_exif(upright, orientation), "JPEG", quality=95, exif=exif)
        widget.choose(payload(data))
        expect(widget.element.locator("canvas")).to_be_visible()
        kept = pictures.decode(render(data, sizes=[512], max_pixels=10**8).stable_jpeg).resize((512, 512))
        assert difference(widget.drawn(), kept) < 3
        assert difference(widget.drawn(), kept.transpose(Image.Transpose.FLIP_LEFT_RIGHT)) > 50
        assert difference(widget.drawn(), ImageChops.offset(kept, 16)) > 3

    def test_of_an_animation_it_shows_the_first_frame(self, widget: Widget) -> None:
        first, second = pictures.plain(64, 64, (200, 0, 0)), pictures.plain(64, 64, (0, 0, 200))
        data = pictures.encode(first, "GIF", save_all=True, append_images=[second], duration=20, loop=0)
        widget.choose(payload(data, "photo.gif", "image/gif"))
        expect(widget.element.locator("canvas")).to_be_visible()
        assert widget.drawn().getpixel((256, 256)) == (200, 0, 0)

    def test_a_picture_the_browser_cannot_show_can_be_sent_all_the_same(self, widget: Widget) -> None:
        widget.choose(payload(FIXTURES["HEIC"].file(), "me.heic", "image/heic"))
        expect(widget.status).to_have_text("Your browser cannot show “me.heic”, but you can send it.")
        widget.button("Use this photo").click()
        widget.wait_for("ready")

    def test_choosing_another_replaces_it(self, widget: Widget) -> None:
        widget.choose(payload(pictures.encode(pictures.plain(60, 60, (255, 0, 0)), "PNG"), "a.png", "image/png"))
        expect(widget.element.locator("canvas")).to_be_visible()
        blue = pictures.encode(pictures.plain(60, 60, (0, 0, 255)), "PNG")
        widget.choose(payload(blue, "b.png", "image/png"), button="Choose another")
        widget.wait_for("chosen")
        expect(widget.element.locator("canvas")).to_be_visible()
        assert widget.drawn().getpixel((9, 9)) == (0, 0, 255)
        assert widget.names_told == ["select", "cancel", "select"]


MOVES_AND_ZOOMS: dict[str, Callable[[Widget], object]] = {
    "drag": lambda widget: widget.drag((0.5, 0.5), (0.3, 0.4), (0.8, 0.7)),
    "wheel": lambda widget: (widget.page.mouse.move(*widget.point(0.2, 0.7)), widget.page.mouse.wheel(0, -300)),
    "keys": lambda widget: widget.press(*["+"] * 4, "ArrowLeft", "Shift+ArrowDown", "Shift+ArrowDown"),
    "slider": lambda widget: (widget.press("Shift+ArrowRight"), widget.zoom.click(position={"x": 60, "y": 12})),
    "buttons": lambda widget: [
        widget.button(name).click() for name in ("Move down", "Move down", "Move up", "Move down")
    ],
    "pinch": lambda widget: widget.pinch(((0.4, 0.4), (0.1, 0.2)), ((0.6, 0.6), (0.8, 0.7))),
}


class TestCrop:
    """The square the user chooses."""

    @pytest.mark.parametrize(
        ("size", "orientation", "way"),
        [
            ((1400, 400), 1, "drag"),
            ((500, 900), 6, "drag"),
            ((700, 700), 3, "wheel"),
            ((500, 900), 8, "keys"),
            ((900, 500), 5, "slider"),
            ((400, 1400), 1, "buttons"),
            ((900, 600), 6, "pinch"),
        ],
    )
    def test_the_avatar_is_what_the_preview_showed(
        self, opened: Open, size: tuple[int, int], orientation: int, way: str
    ) -> None:
        widget = opened(has_touch=way == "pinch")
        stored = pictures.rotate_for_exif(pictures.four_corners(*size), orientation)
        widget.begin_crop(payload(pictures.encode(stored, "JPEG", quality=95, exif=pictures.exif(orientation))))
        of_the_centre = widget.drawn()
        MOVES_AND_ZOOMS[way](widget)
        shown = widget.drawn()
        assert difference(shown, of_the_centre) > 10
        widget.button("Use this photo").click()
        widget.wait_for("ready")
        (largest,) = (image for image in widget.told("ready")[0]["images"] if image["size"] == 512)
        avatar = fetched(largest["url"]).resize(shown.size)
        assert difference(shown, avatar) < 3
        assert difference(shown, ImageChops.offset(avatar, 16)) > 3
        assert widget.page.evaluate("window.violations") == []
        assert widget.problems == []

    @pytest.mark.parametrize(
        ("size", "keys", "crop"),
        [
            ((1000, 500), ["ArrowRight"], {"x": 0.24, "y": 0, "size": 1}),
            ((1000, 500), ["Shift+ArrowLeft"], {"x": 0.3, "y": 0, "size": 1}),
            ((500, 1000), ["ArrowUp", "ArrowUp", "ArrowDown"], {"x": 0, "y": 0.26, "size": 1}),
            ((1000, 500), ["+"], {"x": 0.272727, "y": 0.045455, "size": 0.909091}),
            ((1000, 500), ["=", "Shift++", "-", "_"], {"x": 0.25, "y": 0, "size": 1}),
        ],
    )
    def test_it_is_asked_for_with_the_form_in_fractions(
        self, widget: Widget, size: tuple[int, int], keys: list[str], crop: dict[str, float]
    ) -> None:
        photo = jpeg(*size)
        widget.begin_crop(photo)
        widget.press(*keys)
        assert widget.form_request() == {"content_type": "image/jpeg", "size": len(photo["buffer"]), "crop": crop}

    @pytest.mark.parametrize(
        "act",
        [
            lambda _widget: None,
            lambda widget: widget.page.mouse.click(*widget.point(0.3, 0.3)),
            lambda widget: widget.press("ArrowUp", "-", "ArrowDown", "a", "Tab"),  # of a landscape: no room there
            lambda widget: widget.press("+", "ArrowUp", "Home"),
            lambda widget: (widget.drag((0.5, 0.5), (0.9, 0.5)), widget.button("Reset").click()),
        ],
        ids=["untouched", "a click", "no room", "Home", "Reset"],
    )
    def test_of_who_has_chosen_none_there_is_none(self, widget: Widget, act: Callable[[Widget], object]) -> None:
        photo = jpeg(900, 600)
        widget.begin_crop(photo)
        of_the_centre = widget.drawn()
        act(widget)
        assert difference(widget.drawn(), of_the_centre) == 0
        assert widget.form_request() == {"content_type": "image/jpeg", "size": len(photo["buffer"])}

    def test_it_never_leaves_the_picture(self, widget: Widget) -> None:
        widget.begin_crop(jpeg(1000, 500))
        widget.drag((0.9, 0.9), (-3, -3))
        assert widget.button("Move left").get_attribute("aria-disabled") == "true"
        assert widget.button("Move right").get_attribute("aria-disabled") == "false"
        assert widget.form_request()["crop"] == {"x": 0.5, "y": 0, "size": 1}

    def test_zoomed_in_it_does_not_either(self, widget: Widget) -> None:
        widget.begin_crop(jpeg(600, 600))
        widget.zoom.fill("100")
        widget.drag((0.1, 0.1), (9, 0.1))
        widget.press(*["ArrowUp"] * 200)
        smallest = pytest.approx(128 / 600, abs=1e-6)
        assert widget.form_request()["crop"] == {"x": 0, "y": pytest.approx(1 - 128 / 600, abs=1e-6), "size": smallest}

    def test_who_drags_too_far_and_back_has_it_where_it_was(self, widget: Widget) -> None:
        widget.begin_crop(jpeg(1000, 500))
        before = widget.drawn()
        widget.drag((0.5, 0.5), (2.5, 0.5), (0.5, 0.5))
        assert difference(widget.drawn(), before) == 0

    def test_it_has_at_least_128_pixels_of_the_picture_and_at_most_all(self, widget: Widget) -> None:
        widget.begin_crop(jpeg(1000, 512))
        widget.page.mouse.move(*widget.point(0.5, 0.5))
        widget.page.mouse.wheel(0, -100_000)
        expect(widget.zoom).to_have_js_property("value", "100")
        expect(widget.zoom).to_have_attribute("aria-valuetext", "400%")
        widget.page.mouse.wheel(0, 100_000)
        expect(widget.zoom).to_have_js_property("value", "0")
        widget.zoom.fill("100")
        assert widget.form_request()["crop"] == {"x": 0.436, "y": 0.375, "size": 0.25}

    def test_a_small_picture_can_be_moved_only_and_a_small_square_has_nothing_to_choose(self, widget: Widget) -> None:
        widget.begin_crop(jpeg(200, 100))
        expect(widget.zoom).to_be_disabled()
        widget.button("Move left").click()
        expect(widget.button("Move up")).to_have_attribute("aria-disabled", "true")
        assert widget.form_request()["crop"] == {"x": 0.3, "y": 0, "size": 1}
        widget.button("Cancel").click()
        widget.begin_crop(jpeg(128, 128))
        expect(widget.surface).to_be_hidden()
        expect(widget.zoom).to_be_hidden()
        expect(widget.button("Reset")).to_be_hidden()

    @pytest.mark.parametrize(("turned", "size"), [(-100, 0.818731), (-300, 0.548812)])
    def test_the_wheel_keeps_what_is_under_the_pointer(self, widget: Widget, turned: int, size: float) -> None:
        widget.begin_crop(jpeg(800, 800))
        widget.page.mouse.move(*widget.point(0.25, 0.75))
        widget.page.mouse.wheel(0, turned)
        expect(widget.button("Reset")).to_have_attribute("aria-disabled", "false")
        crop = {"x": 0.25 * (1 - size), "y": 0.75 * (1 - size), "size": size}
        assert widget.form_request()["crop"] == pytest.approx(crop, abs=2e-3)

    @pytest.mark.parametrize(
        ("event", "size"),
        [
            ({"deltaY": -100, "deltaMode": 0}, 0.818731),
            ({"deltaY": -5, "deltaMode": 1}, 0.852144),
            ({"deltaY": -20, "deltaMode": 0, "ctrlKey": True}, 0.818731),
        ],
        ids=["pixels", "lines", "trackpad"],
    )
    def test_wheels_of_all_kinds(self, widget: Widget, event: dict[str, Any], size: float) -> None:
        widget.begin_crop(jpeg(800, 800))
        left_alone = widget.surface.evaluate(
            "(e, event) => e.dispatchEvent(new WheelEvent('wheel', { ...event, cancelable: true }))", event
        )
        assert not left_alone
        assert widget.form_request()["crop"]["size"] == pytest.approx(size, abs=1e-6)

    def test_two_fingers_keep_what_is_between_them(self, opened: Open) -> None:
        widget = opened(has_touch=True)
        widget.begin_crop(jpeg(1000, 1000))
        widget.pinch(((0.3, 0.5), (0.1, 0.5)), ((0.5, 0.5), (0.7, 0.5)))
        crop = {"x": 0.4 * 2 / 3, "y": 0.5 * 2 / 3, "size": 1 / 3}
        assert widget.form_request()["crop"] == pytest.approx(crop, abs=5e-3)

    def test_a_finger_that_is_left_goes_on_dragging(self, opened: Open) -> None:
        widget = opened(has_touch=True)
        widget.begin_crop(jpeg(1000, 500))
        widget.touch({0: (0.2, 0.5), 1: (0.4, 0.5)}, {1: (0.4, 0.5)}, {1: (0.5, 0.5)}, {1: (0.6, 0.5)})
        assert widget.form_request()["crop"] == pytest.approx({"x": 0.15, "y": 0, "size": 1}, abs=5e-3)

    def test_a_third_finger_has_no_say(self, opened: Open) -> None:
        widget = opened(has_touch=True)
        widget.begin_crop(jpeg(1000, 500))
        two = {0: (0.4, 0.5), 1: (0.6, 0.5)}
        widget.touch(two, two | {2: (0.5, 0.8)}, two | {2: (0.1, 0.1)})
        assert "crop" not in widget.form_request()

    def test_nor_has_the_wheel_while_it_is_held(self, widget: Widget) -> None:
        widget.begin_crop(jpeg(1000, 500))
        widget.page.mouse.move(*widget.point(0.5, 0.5))
        widget.page.mouse.down()
        widget.page.mouse.wheel(0, -300)
        widget.page.mouse.up()
        assert "crop" not in widget.form_request()

    def test_the_page_scrolls_beside_the_picture_only(self, widget: Widget) -> None:
        widget.page.evaluate("document.body.style.setProperty('min-height', '4000px')")
        widget.begin_crop(jpeg(800, 800))
        widget.page.mouse.move(*widget.point(0.5, 0.5))
        widget.page.mouse.wheel(0, 300)  # it cannot become smaller, and yet
        widget.press("ArrowDown", "Home")
        assert widget.page.evaluate("scrollY") == 0
        widget.page.mouse.move(*widget.point(1.4, 0.1))
        widget.page.mouse.wheel(0, 300)
        wait_until(lambda: widget.page.evaluate("scrollY") == 300, "the page scrolls")
        touch = "e => getComputedStyle(e).touchAction"
        assert widget.surface.evaluate(touch) == "none"
        assert widget.element.locator("[part=card]").evaluate(touch) == "auto"

    def test_keys_of_the_browser_are_left_to_it(self, widget: Widget) -> None:
        widget.begin_crop(jpeg(800, 800))
        pressed = """(e, init) => e.dispatchEvent(new KeyboardEvent("keydown", { ...init, cancelable: true }))"""
        for modifier in ("ctrlKey", "metaKey", "altKey"):
            assert widget.surface.evaluate(pressed, {"key": "+", modifier: True})
        assert widget.surface.evaluate(pressed, {"key": "PageDown"})
        expect(widget.button("Reset")).to_have_attribute("aria-disabled", "true")
        assert not widget.surface.evaluate(pressed, {"key": "+"})
        expect(widget.button("Reset")).to_have_attribute("aria-disabled", "false")

    def test_only_the_main_button_of_a_mouse_drags(self, widget: Widget) -> None:
        widget.begin_crop(jpeg(1000, 500))
        before = widget.drawn()
        widget.page.mouse.move(*widget.point(0.5, 0.5))
        widget.page.mouse.down(button="right")
        widget.page.mouse.move(*widget.point(0.1, 0.5))
        widget.page.mouse.up(button="right")
        assert difference(widget.drawn(), before) == 0

    def test_it_is_shown_while_it_is_sent_and_cannot_be_changed_then(self, widget: Widget) -> None:
        widget.begin_crop(jpeg(900, 600))
        widget.press("+", "+", "ArrowLeft")
        chosen = widget.drawn()
        widget.page.route(FORM, never)
        widget.button("Use this photo").click()
        widget.wait_for("preparing")
        assert difference(widget.drawn(), chosen) == 0
        expect(widget.surface).to_be_hidden()
        expect(widget.zoom).to_be_hidden()
        assert widget.focused == "card"

    def test_it_stays_for_another_try_and_another_form(self, widget: Widget, stack: LocalStack) -> None:
        asked: list[Request] = []
        widget.page.route(FORM, answering(401, {"message": "Unauthorized"}, times=1, requests_seen=asked))
        widget.page.route(form_url(stack), answering(403, "<Error><Code>AccessDenied</Code></Error>", times=2))
        widget.begin_crop(jpeg(1000, 500))
        widget.button("Move right").click()
        widget.button("Use this photo").click()
        widget.wait_for("failed")
        shown = widget.drawn()
        widget.button("Try again").click()
        widget.wait_for("ready")
        crops = [content(request)["crop"] for request in asked]
        assert crops == [{"x": 0.2, "y": 0, "size": 1}] * 4  # of a session, a form, the form after it, the other try
        assert difference(shown, fetched(widget.told("ready")[0]["url"]).resize(shown.size)) < 3

    @pytest.mark.parametrize("after", ["a new choice", "cancelling", "a drop"])
    def test_it_goes_with_the_choice(self, widget: Widget, after: str) -> None:
        widget.begin_crop(jpeg(900, 600))
        of_the_centre = widget.drawn()
        widget.press("+", "ArrowLeft")
        if after == "cancelling":
            widget.button("Cancel").click()
            widget.choose(jpeg(900, 600))
        elif after == "a drop":
            drop(widget.element.locator("[part=card]"), jpeg(900, 600))
        else:
            widget.choose(jpeg(900, 600), button="Choose another")
        expect(widget.button("Reset")).to_have_attribute("aria-disabled", "true")
        expect(widget.element.locator("canvas")).to_be_visible()
        assert difference(widget.drawn(), of_the_centre) == 0
        assert "crop" not in widget.form_request()

    def test_what_is_still_held_does_not_move_the_next_photo(self, widget: Widget) -> None:
        widget.begin_crop(jpeg(900, 600))
        widget.page.mouse.move(*widget.point(0.5, 0.5))
        widget.page.mouse.down()
        drop(widget.element.locator("[part=card]"), jpeg(1000, 500))
        expect(widget.element.locator("canvas")).to_be_visible()
        widget.page.mouse.move(*widget.point(0.9, 0.5))
        widget.page.mouse.up()
        assert "crop" not in widget.form_request()

    def test_a_picture_the_browser_cannot_show_has_none(self, widget: Widget) -> None:
        photo = payload(FIXTURES["HEIC"].file(), "me.heic", "image/heic")
        widget.choose(photo)
        expect(widget.status).to_contain_text("cannot show")
        expect(widget.surface).to_be_hidden()
        expect(widget.zoom).to_be_hidden()
        for name in ("Move left", "Move up", "Move down", "Move right", "Reset"):
            expect(widget.button(name)).to_be_hidden()
        assert widget.form_request() == {"content_type": "image/heic", "size": len(photo["buffer"])}

    def test_all_of_it_by_keyboard(self, widget: Widget, stack: LocalStack, user: Session) -> None:
        page = widget.page
        page.on("filechooser", lambda chooser: chooser.set_files(jpeg(900, 500)))
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(widget.button("Use this photo")).to_be_focused()
        expect(widget.element.locator("canvas")).to_be_visible()
        names = [widget.focused]
        for _ in range(7):
            page.keyboard.press("Shift+Tab")
            names.append(widget.focused)
        moves = ["Move right", "Move down", "Move up", "Move left"]
        assert names == ["Use this photo", "Reset", *moves, "zoom", "crop"]
        expect(widget.surface).to_have_accessible_description("Arrow keys move, + and − zoom, Home resets.")
        expect(widget.element.get_by_text("Arrow keys move")).to_be_visible()
        outline = widget.element.locator("[part=picture]").evaluate("e => getComputedStyle(e).outline")
        assert re.search(r"solid 3px", outline)
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Tab")
        page.keyboard.press("End")
        expect(widget.zoom).to_have_attribute("aria-valuetext", "391%")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.keyboard.press("Enter")  # more than once in a row is meant
        for _ in range(5):
            page.keyboard.press("Tab")
        with page.expect_request(FORM) as asked:
            page.keyboard.press("Enter")
        size = 128 / 500
        x = 0.5 - 0.02 * 5 / 9 - size * 5 / 18 + 2 * 0.1 * size * 5 / 9
        assert content(asked.value)["crop"] == pytest.approx({"x": x, "y": (1 - size) / 2, "size": size}, abs=1e-5)
        widget.wait_for("ready")
        assert manifest(stack, user) == widget.told("ready")[0]

    def test_where_it_is_is_said_when_it_rests(self, opened: Open) -> None:
        widget = opened(clock=True)
        widget.begin_crop(jpeg(1000, 500))
        said = widget.element.locator("[part=controls] [role=status]")
        for _ in range(5):
            widget.press("ArrowRight")
            widget.page.clock.run_for(100)
            expect(said).to_have_text("")
        widget.page.clock.run_for(700)
        expect(said).to_have_text("Middle: 45% from the left, 50% from the top. Zoom: 100%.")
        widget.zoom.fill("100")
        widget.page.clock.run_for(5000)
        expect(said).to_have_text("Middle: 45% from the left, 50% from the top. Zoom: 100%.")  # the slider says it
        widget.button("Cancel").click()
        expect(said).to_have_text("")

    def test_what_is_to_be_hit_is_large_enough(self, opened: Open) -> None:
        """24 by 24 pixels: https://www.w3.org/TR/WCAG22/#target-size-minimum"""
        widget = opened(viewport={"width": 320, "height": 800})
        widget.begin_crop(jpeg())
        for target in (widget.zoom, *widget.element.get_by_role("button").all()):
            box = target.bounding_box()
            assert box
            assert min(box["width"], box["height"]) >= 24

    def test_left_is_left_in_every_language(self, widget: Widget) -> None:
        widget.page.evaluate("document.documentElement.dir = 'rtl'")
        widget.begin_crop(jpeg(1000, 500))
        left, right = widget.button("Move left").bounding_box(), widget.button("Move right").bounding_box()
        assert left
        assert right
        assert left["x"] < right["x"]
        widget.drag((0.5, 0.5), (0.7, 0.5))
        assert widget.form_request()["crop"] == pytest.approx({"x": 0.15, "y": 0, "size": 1}, abs=5e-3)

    def test_disabled_it_cannot_be_changed(self, widget: Widget) -> None:
        widget.begin_crop(jpeg(1000, 500))
        before = widget.drawn()
        at, to = widget.point(0.5, 0.5), widget.point(0.9, 0.5)
        widget.element.evaluate("element => { element.disabled = true; }")
        widget.page.mouse.move(*at)
        widget.page.mouse.down()
        widget.page.mouse.move(*to)
        widget.page.mouse.up()
        assert difference(widget.drawn(), before) == 0
        widget.element.evaluate("element => { element.disabled = false; }")
        widget.drag((0.5, 0.5), (0.9, 0.5))
        assert difference(widget.drawn(), before) > 10

    @pytest.mark.parametrize(("width", "direction"), [(320, "ltr"), (500, "ltr"), (800, "ltr"), (800, "rtl")])
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_axe_finds_nothing_at_any_width(self, opened: Open, scheme: str, width: int, direction: str) -> None:
        widget = opened(color_scheme=scheme, viewport={"width": width, "height": 800})
        widget.page.evaluate("direction => { document.documentElement.dir = direction; }", direction)
        _cropped(widget)
        widget.page.screenshot(path=SCREENSHOTS / f"avatar-upload-crop-{scheme}-{width}-{direction}.png")
        results = Axe().run(widget.page)
        assert results.violations_count == 0, results.generate_report()
        assert widget.page.evaluate("document.documentElement.scrollWidth") == width
        assert widget.element.evaluate("element => element.shadowRoot.getAnimations().length") == 0

    def test_in_forced_colours_the_slider_is_seen(self, opened: Open) -> None:
        widget = opened(forced_colors="active")
        widget.begin_crop(jpeg())
        painted = pictures.decode(widget.zoom.screenshot()).convert("L")
        assert painted.getextrema() == (0, 255)
        assert painted.crop((painted.width // 2, 0, painted.width, painted.height)).getextrema() == (0, 255)


def fetched(url: str) -> Image.Image:
    return pictures.decode(requests.get(url, timeout=10).content).convert("RGB")


def _cropped(widget: Widget) -> None:
    widget.begin_crop(PHOTO)
    widget.press("+", "+", "+", "ArrowDown")


def difference(one: Image.Image, other: Image.Image) -> float:
    """Of the channel that differs most, the mean over all pixels; at most 255."""
    return max(ImageStat.Stat(ImageChops.difference(one, other)).mean)


class TestProgress:
    def test_it_is_seen_and_told_and_read_out_by_quarters_only(self, widget: Widget) -> None:
        spoken = widget.element.evaluate_handle(
            """({ shadowRoot }) => {
                const spoken = [];
                const region = shadowRoot.querySelector("[role=status]:not([part])");
                new MutationObserver(() => region.textContent && spoken.push(region.textContent))
                    .observe(region, { childList: true });
                return spoken;
            }"""
        )
        slow_line(widget.page, bytes_per_second=1_500_000)
        widget.send(large())
        widget.wait_for("ready")
        progress = widget.told("progress")
        stages = [event["stage"] for event in progress]
        assert sorted(set(stages), key=stages.index) == ["preparing", "sending", "processing"]
        fractions = [event["fraction"] for event in progress if event["stage"] == "sending"]
        assert fractions == sorted(fractions)
        assert len(set(fractions)) > 5
        assert spoken.json_value() == ["25% sent", "50% sent", "75% sent"]

    def test_the_bar_says_how_much_and_has_a_name(self, widget: Widget) -> None:
        slow_line(widget.page, bytes_per_second=300_000)
        bar = widget.element.get_by_role("progressbar", name="Sending your photo")
        widget.send(large())
        expect(bar).to_be_visible()
        wait_until(lambda: bar.evaluate("bar => bar.value") > 0.1, "some of it is sent")
        expect(widget.element.get_by_text(re.compile(r"^\d+%$"))).to_be_visible()
        widget.button("Cancel").click()
        expect(bar).to_be_hidden()


def slow_line(page: Page, bytes_per_second: int) -> None:
    page.context.new_cdp_session(page).send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 5, "downloadThroughput": -1, "uploadThroughput": bytes_per_second},
    )


class TestCancel:
    def test_before_anything_is_sent(self, widget: Widget) -> None:
        widget.choose(PHOTO)
        widget.button("Cancel").click()
        assert widget.state == "idle"
        assert widget.told("cancel") == [{"sent": False}]

    def test_while_the_page_looks_for_a_token(self, widget: Widget) -> None:
        widget.element.evaluate("element => { element.getToken = () => new Promise((r) => { window.give = r; }); }")
        asked = seen(widget.page, "key_upload")
        widget.send(jpeg())
        widget.wait_for("preparing")
        widget.button("Cancel").click()
        widget.page.evaluate("window.give('a token that comes too late')")
        expect(widget.status).to_have_text("Cancelled.")
        assert widget.told("cancel") == [{"sent": False}]
        assert asked == []

    @pytest.mark.parametrize(("pattern", "state"), [(FORM, "preparing"), ("bucket", "sending"), (STATUS, "processing")])
    def test_it_ends_the_request_under_way(self, widget: Widget, stack: LocalStack, pattern: str, state: str) -> None:
        widget.page.route(form_url(stack) if pattern == "bucket" else pattern, never)
        with widget.page.expect_request(form_url(stack) if pattern == "bucket" else pattern):
            widget.send(jpeg())
        widget.wait_for(state)
        with widget.page.expect_event("requestfailed", timeout=5000) as ended:
            widget.button("Cancel").click()
        assert ended.value.failure == "net::ERR_ABORTED"
        assert widget.told("cancel") == [{"sent": state == "processing"}]
        assert widget.state == "idle"
        assert "error" not in widget.names_told

    def test_nothing_is_asked_any_more(self, opened: Open) -> None:
        widget = opened(clock=True)
        widget.page.route(STATUS, PENDING)
        widget.send(jpeg())
        widget.wait_for("processing")
        widget.button("Cancel").click()
        asked = seen(widget.page, "/uploads/")
        widget.page.clock.run_for(60_000)
        assert asked == []
        expect(widget.status).to_contain_text("may still become your picture")

    def test_late_answers_change_nothing(self, widget: Widget) -> None:
        held = Held(widget.page, STATUS)
        with widget.page.expect_request(STATUS):
            widget.send(jpeg())
        widget.button("Cancel").click()
        held.release(answering(200, {"status": "rejected", "reason": "truncated"}))
        widget.choose(PHOTO)
        widget.wait_for("chosen")
        assert widget.names_told == ["select", "cancel", "select"]

    @pytest.mark.parametrize("last", ["form", "ready", "rejected"])
    def test_an_answer_of_the_same_moment_changes_nothing_either(
        self, widget: Widget, stack: LocalStack, last: str
    ) -> None:
        """No request is there to be aborted then, only its answer is still to be read."""
        widget.page.route(form_url(stack), answering(204, ""))
        widget.page.evaluate(
            """([last, url]) => {
                const answers = [
                    { name: "form", upload_id: "1", url, fields: {} },
                    { name: last, status: last, avatar: { images: [] }, reason: "truncated" },
                ];
                window.fetch = async () => {
                    const answer = answers.shift();
                    const read = () => {
                        if (answer.name === last) document.getElementById("avatar").reset();
                        return JSON.stringify(answer);
                    };
                    return { status: 200, text: read };
                };
            }""",
            [last, form_url(stack)],
        )
        widget.send(jpeg())
        wait_until(lambda: "cancel" in widget.names_told, "the moment")
        widget.page.evaluate("new Promise((resolve) => setTimeout(resolve))")
        assert widget.state == "idle"
        assert widget.names_told == ["select", "cancel"]

    def test_a_new_choice_cancels_the_upload_under_way(self, widget: Widget, stack: LocalStack) -> None:
        widget.page.route(form_url(stack), never)
        with widget.page.expect_request(form_url(stack)):
            widget.send(jpeg())
        widget.wait_for("sending")
        with widget.page.expect_event("requestfailed"):
            drop(widget.element.locator("[part=card]"), jpeg(80, 80))
        widget.page.unroute(form_url(stack))
        widget.button("Use this photo").click()
        widget.wait_for("ready")
        assert widget.names_told == ["select", "cancel", "select", "ready"]
        assert widget.told("ready")[0]["source"]["width"] == 80

    def test_reset_does_it_too(self, widget: Widget) -> None:
        widget.page.route(FORM, never)
        widget.send(jpeg())
        widget.wait_for("preparing")
        widget.element.evaluate("element => element.reset()")
        assert widget.state == "idle"
        assert widget.told("cancel") == [{"sent": False}]


def seen(page: Page, part: str) -> list[str]:
    """Addresses with this part that are requested from now on."""
    found: list[str] = []

    def notice(request: Request) -> None:
        if part in request.url:
            found.append(request.url)

    page.on("request", notice)
    return found


class TestFilesThatCannotBeUsed:
    def test_an_empty_one(self, widget: Widget) -> None:
        widget.choose(payload(b""))
        expect(widget.error).to_have_text("This file is empty. Choose another one.")
        self.assert_nothing_but_another_choice(widget, "empty_file")

    @pytest.mark.parametrize(
        ("name", "content_type"),
        [("report.pdf", "application/pdf"), ("notes.txt", "text/plain"), ("clip.mp4", "video/mp4"), ("data", "")],
    )
    def test_one_that_is_known_not_to_be_a_picture(self, widget: Widget, name: str, content_type: str) -> None:
        asked = seen(widget.page, "key_upload")
        drop(widget.element.locator("[part=card]"), payload(b"hello", name, content_type))
        expect(widget.error).to_contain_text("Choose a JPEG, PNG, WebP, GIF, AVIF or HEIC picture.")
        self.assert_nothing_but_another_choice(widget, "unsupported_type")
        assert asked == []

    def test_one_that_is_gone_when_it_is_sent(self, widget: Widget, tmp_path: Path) -> None:
        photo = tmp_path / "photo.jpg"
        photo.write_bytes(PHOTO.read_bytes())
        widget.choose(photo)
        widget.wait_for("chosen")
        photo.unlink()
        widget.button("Use this photo").click()
        expect(widget.error).to_contain_text("This file cannot be read.")
        self.assert_nothing_but_another_choice(widget, "unreadable_file")

    def test_one_over_the_limit_is_refused_before_it_is_sent_and_the_limit_is_said(
        self, widget: Widget, stack: LocalStack
    ) -> None:
        sent = seen(widget.page, form_url(stack))
        widget.send(payload(b"\xff\xd8\xff" + bytes(LIMIT)))
        expect(widget.error).to_have_text(
            "This file is too large: it has 4.1 MB, the limit is 4 MB. Choose a smaller one."
        )
        self.assert_nothing_but_another_choice(widget, "file_too_large")
        assert sent == []

    def test_one_over_the_limit_when_only_the_storage_notices(self, widget: Widget, stack: LocalStack) -> None:
        widget.page.route(form_url(stack), answering(400, "<Error><Code>EntityTooLarge</Code></Error>"))
        widget.send(jpeg())
        expect(widget.error).to_contain_text("the limit is 4 MB")
        self.assert_nothing_but_another_choice(widget, "file_too_large")

    @pytest.mark.parametrize(
        ("reason", "data", "sentence"),
        [
            ("not_an_image", b"hello " * 100, "This file is not a picture."),
            ("unsupported_format", pictures.encode(pictures.plain(9, 9), "BMP"), "This kind of picture"),
            ("too_many_pixels", pictures.png_declaring(30_000, 30_000), "This picture has too many pixels."),
            ("truncated", PHOTO.read_bytes()[:3000], "This picture is damaged or incomplete."),
        ],
    )
    def test_one_the_server_rejects(self, widget: Widget, reason: str, data: bytes, sentence: str) -> None:
        widget.send(payload(data))
        expect(widget.error).to_contain_text(sentence)
        message = widget.error.text_content()
        assert widget.told("rejected") == [{"reason": reason, "message": message}]
        assert widget.names_told == ["select", "rejected"]
        expect(widget.button("Try again")).to_be_hidden()

    @pytest.mark.parametrize(
        ("reason", "sentence"),
        [("too_large", "This file is too large."), ("of_the_future", "This photo cannot be used.")],
    )
    def test_a_rejection_that_this_stack_does_not_make(self, widget: Widget, reason: str, sentence: str) -> None:
        widget.page.route(STATUS, answering(200, {"status": "rejected", "reason": reason}))
        widget.send(jpeg())
        expect(widget.error).to_contain_text(sentence)
        assert widget.told("rejected")[0]["reason"] == reason

    def assert_nothing_but_another_choice(self, widget: Widget, code: str) -> None:
        (error,) = widget.told("error")
        assert (error["code"], error["retry"], error["message"]) == (code, False, widget.error.text_content())
        expect(widget.button("Try again")).to_be_hidden()
        expect(widget.button("Choose another")).to_be_visible()
        widget.button("Cancel").click()
        expect(widget.error).to_have_text("")


class TestTypes:
    @pytest.mark.parametrize(
        ("name", "content_type", "declared"),
        [
            ("photo.JPG", "", "image/jpeg"),
            ("photo.jfif", "application/octet-stream", "image/jpeg"),
            ("photo.jpeg", "image/jpg", "image/jpeg"),
            ("photo.jpg", "image/png", "image/png"),
            ("me.heic", "", "image/heic"),
        ],
    )
    def test_the_type_of_the_file_else_of_its_extension(
        self, widget: Widget, name: str, content_type: str, declared: str
    ) -> None:
        drop(widget.element.locator("[part=card]"), payload(PHOTO.read_bytes(), name, content_type))
        with widget.page.expect_request(FORM) as asked:
            widget.button("Use this photo").click()
        assert asked.value.post_data_json == {"content_type": declared, "size": PHOTO.stat().st_size}


class TestTheNetworkAndTheServerFail:
    @pytest.mark.parametrize("pattern", [FORM, "bucket", STATUS])
    def test_a_lost_connection_and_another_try(self, opened: Open, stack: LocalStack, pattern: str) -> None:
        widget = opened(clock=True)
        address = form_url(stack) if pattern == "bucket" else pattern
        widget.page.route(address, lambda route: route.abort("connectionreset"))
        widget.send(jpeg())
        widget.call_until("failed", 100)
        expect(widget.error).to_have_text("The server cannot be reached. Check your connection and try again.")
        (error,) = widget.told("error")
        assert (error["code"], error["retry"]) == ("network", True)
        widget.page.unroute(address)
        forms = seen(widget.page, "key_upload")
        widget.button("Try again").click()
        widget.call_until("ready", 100)
        assert len(forms) == 1
        expect(widget.error).to_have_text("")

    def test_a_short_loss_is_not_noticed(self, opened: Open) -> None:
        widget = opened(clock=True)
        losses = iter([True, True, False])
        widget.page.route(STATUS, lambda route: route.abort() if next(losses, False) else route.continue_())
        widget.send(jpeg())
        widget.call_until("ready", 100)
        assert widget.names_told == ["select", "ready"]

    def test_offline_it_waits_and_goes_on_by_itself(self, widget: Widget) -> None:
        widget.choose(jpeg())
        widget.page.context.set_offline(True)
        widget.button("Use this photo").click()
        expect(widget.error).to_have_text("You are offline. Your photo will be sent when you are back online.")
        assert widget.told("error")[0]["code"] == "offline"
        widget.page.context.set_offline(False)
        widget.wait_for("ready")
        assert widget.names_told == ["select", "error", "ready"]

    def test_offline_and_cancelled_it_does_not_go_on(self, widget: Widget) -> None:
        widget.choose(jpeg())
        widget.page.context.set_offline(True)
        widget.button("Use this photo").click()
        widget.wait_for("failed")
        widget.button("Cancel").click()
        widget.page.context.set_offline(False)
        wait_until(lambda: widget.page.evaluate("navigator.onLine"), "online again")
        assert widget.state == "idle"
        assert widget.names_told == ["select", "error"]

    @pytest.mark.parametrize("pattern", [FORM, "bucket", STATUS])
    def test_a_server_that_never_answers_is_asked_once(self, opened: Open, stack: LocalStack, pattern: str) -> None:
        widget = opened(clock=True)
        asked: list[Request] = []
        widget.page.route(
            form_url(stack) if pattern == "bucket" else pattern, lambda route: asked.append(route.request)
        )
        with widget.page.expect_request(form_url(stack) if pattern == "bucket" else pattern):
            widget.send(jpeg())
            if pattern == STATUS:  # asked after a pause
                widget.wait_for("processing")
                widget.page.clock.run_for(1500)
        widget.call_until("failed", 5000)
        assert widget.told("error")[0]["code"] == "network"
        assert len(asked) == 1

    @pytest.mark.parametrize("status", [429, 500, 503])
    @pytest.mark.parametrize("pattern", [FORM, STATUS])
    def test_a_failure_that_passes_is_not_noticed(self, opened: Open, status: int, pattern: str) -> None:
        widget = opened(clock=True)
        asked: list[Request] = []
        widget.page.route(pattern, answering(status, {"message": "no"}, times=3, requests_seen=asked))
        widget.send(jpeg())
        widget.call_until("ready", 100)
        assert len(asked) >= 4
        assert widget.names_told == ["select", "ready"]

    @pytest.mark.parametrize("pattern", [FORM, STATUS])
    def test_one_that_does_not_pass_is_told_after_four_tries(self, opened: Open, pattern: str) -> None:
        widget = opened(clock=True)
        asked: list[Request] = []
        widget.page.route(pattern, answering(503, "<html>no JSON</html>", requests_seen=asked))
        widget.send(jpeg())
        widget.call_until("failed", 100)
        assert len(asked) == 4
        expect(widget.error).to_contain_text("The service has a problem at the moment.")
        error = widget.told("error")[0]
        assert (error["code"], error["retry"]) == ("server_error", True)

    def test_a_failure_of_the_storage(self, widget: Widget, stack: LocalStack) -> None:
        widget.page.route(form_url(stack), answering(503, "<Error><Code>SlowDown</Code></Error>"))
        widget.send(jpeg())
        expect(widget.error).to_contain_text("The service has a problem at the moment.")
        widget.page.unroute(form_url(stack))
        widget.button("Try again").click()
        widget.wait_for("ready")

    def test_an_expired_form_is_replaced_once_and_silently(self, widget: Widget, stack: LocalStack) -> None:
        forms = seen(widget.page, "key_upload")
        widget.page.route(form_url(stack), answering(403, "<Error><Code>AccessDenied</Code></Error>", times=1))
        widget.send(jpeg())
        widget.wait_for("ready")
        assert len(forms) == 2
        assert widget.names_told == ["select", "ready"]

    def test_a_second_refusal_is_told(self, widget: Widget, stack: LocalStack) -> None:
        forms = seen(widget.page, "key_upload")
        widget.page.route(form_url(stack), answering(403, "<Error><Code>AccessDenied</Code></Error>"))
        widget.send(jpeg())
        expect(widget.error).to_have_text("The photo was not accepted. Try again.")
        assert widget.told("error")[0]["code"] == "upload_refused"
        assert len(forms) == 2

    def test_an_upload_the_server_does_not_know_any_more(self, widget: Widget) -> None:
        widget.page.route(STATUS, answering(404, {"error": {"code": "not_found", "message": ""}}))
        widget.send(jpeg())
        expect(widget.error).to_have_text("The photo did not arrive. Try again.")
        assert widget.told("error")[0]["code"] == "upload_lost"

    @pytest.mark.parametrize(("pattern", "status", "body"), [(FORM, 400, {}), (FORM, 200, "?"), (STATUS, 200, {})])
    def test_an_answer_out_of_contract(self, widget: Widget, pattern: str, status: int, body: Any) -> None:
        widget.page.route(pattern, answering(status, body))
        widget.send(jpeg())
        expect(widget.error).to_contain_text("Something went wrong.")
        error = widget.told("error")[0]
        assert (error["code"], error["retry"], error["cause"]["status"]) == ("unexpected", False, status)

    def test_what_became_of_it_is_asked_when_there_can_be_an_answer(self, widget: Widget) -> None:
        widget.page.route(STATUS, answering(200, {"status": "pending"}, times=5))
        pauses = widget.page.evaluate_handle(
            """() => {
                const pauses = [];
                const { setTimeout } = window;
                window.setTimeout = (act, wait) => {
                    const isPause = wait >= 1000 && wait <= 2000;
                    if (isPause) pauses.push(wait);
                    return setTimeout(act, isPause ? 0 : wait);
                };
                return pauses;
            }"""
        )
        widget.send(jpeg())
        widget.wait_for("ready")
        assert pauses.json_value()[:6] == [1500, 1000, 1500, 2000, 2000, 2000]

    def test_a_long_wait_is_explained_and_then_asked_about_rarely(self, opened: Open) -> None:
        widget = opened(clock=True)
        asked: list[Request] = []
        widget.page.route(STATUS, answering(200, {"status": "pending"}, requests_seen=asked))
        widget.send(jpeg())
        widget.wait_for("processing")
        slow = widget.element.get_by_text("This takes longer than usual.")
        while not slow.is_visible():
            widget.page.clock.run_for(1000)
            widget.page.wait_for_timeout(10)
        assert 25 < len(asked) < 45
        del asked[:]
        for _ in range(60):
            widget.page.clock.run_for(1000)
            widget.page.wait_for_timeout(10)
        assert 4 <= len(asked) <= 7
        assert widget.told("progress")[-1] == {"stage": "processing", "fraction": 1, "slow": True}
        widget.page.unroute(STATUS)
        widget.call_until("ready")

    def test_after_ten_minutes_it_stops_asking(self, opened: Open) -> None:
        widget = opened(clock=True)
        widget.page.route(STATUS, PENDING)
        widget.send(jpeg())
        widget.wait_for("processing")
        widget.call_until("failed", 2000)
        expect(widget.error).to_contain_text("It may yet appear; you can also send it again.")
        assert widget.told("error")[0]["code"] == "still_pending"


class TestSession:
    def test_a_refused_token_is_replaced_once_and_silently(self, opened: Open, user: Session) -> None:
        widget = opened(tokens=[UNKNOWN_TOKEN, user.access_token])
        widget.send(jpeg())
        widget.wait_for("ready")
        assert widget.page.evaluate("window.app.asked") == [False, True]
        assert widget.names_told == ["select", "ready"]

    @pytest.mark.parametrize("pattern", [FORM, STATUS])
    @pytest.mark.parametrize("status", [401, 403])
    def test_at_every_call(self, widget: Widget, pattern: str, status: int) -> None:
        widget.page.route(pattern, answering(status, {"message": "Forbidden"}, times=1))
        widget.send(jpeg())
        widget.wait_for("ready")
        assert widget.page.evaluate("window.app.asked") == [False, True]

    def test_when_the_new_one_is_refused_too_the_session_has_ended(self, opened: Open, user: Session) -> None:
        widget = opened(tokens=[UNKNOWN_TOKEN])
        widget.send(jpeg())
        expect(widget.error).to_have_text("Your session has ended. Sign in again, then try again.")
        assert widget.page.evaluate("window.app.asked") == [False, True]
        assert widget.names_told == ["select", "session-expired", "error"]
        assert widget.told("error")[0]["code"] == "session_expired"
        widget.page.evaluate("token => { window.app.tokens = [token]; }", user.access_token)
        widget.button("Try again").click()
        widget.wait_for("ready")

    @pytest.mark.parametrize("get_token", ["async () => { throw new Error('signed out') }", "() => ''", "() => null"])
    def test_a_page_without_a_token_has_no_session(self, widget: Widget, get_token: str) -> None:
        asked = seen(widget.page, "key_upload")
        widget.element.evaluate(f"element => {{ element.getToken = {get_token}; }}")
        widget.send(jpeg())
        expect(widget.error).to_contain_text("Your session has ended.")
        assert asked == []

    @pytest.mark.parametrize("callback", ["", "nothing.of.this.name", "app.tokens"])
    def test_a_page_that_names_no_function_is_told_so(self, widget: Widget, callback: str) -> None:
        widget.element.evaluate("(element, callback) => { element.tokenCallback = callback; }", callback)
        widget.send(jpeg())
        expect(widget.error).to_contain_text("it does not say who is signed in")
        assert widget.told("error")[0]["code"] == "no_token"

    def test_the_property_goes_before_the_attribute(self, opened: Open, user: Session) -> None:
        widget = opened(tokens=[UNKNOWN_TOKEN])
        widget.element.evaluate("(element, token) => { element.getToken = async () => token; }", user.access_token)
        widget.send(jpeg())
        widget.wait_for("ready")
        assert widget.page.evaluate("window.app.asked") == []


class TestOrigins:
    def test_a_page_of_another_origin_cannot_upload_even_with_a_token(
        self, opened: Open, stack: LocalStack, foreign_site: Site, user: Session
    ) -> None:
        widget = opened(at=foreign_site, clock=True)
        posted = seen(widget.page, form_url(stack))
        widget.send(jpeg())
        widget.call_until("failed", 100)
        assert widget.told("error")[0]["code"] == "network"
        assert any("Access-Control-Allow-Origin" in problem for problem in widget.problems)
        assert posted == []
        assert manifest(stack, user) is None

    def test_nor_post_to_the_bucket_when_it_has_got_hold_of_a_form(
        self, opened: Open, stack: LocalStack, foreign_site: Site, user: Session
    ) -> None:
        headers = {"Authorization": f"Bearer {user.access_token}"}
        asked = requests.post(
            f"{stack.api_url}/avatars/key_upload", json={"content_type": "image/jpeg"}, headers=headers, timeout=10
        )
        widget = opened(at=foreign_site)
        # Nothing is routed here: Playwright answers preflights itself as soon as it intercepts requests.
        code = widget.page.evaluate(
            """async (form) => {
                const { post } = await import("/avatar-upload/post.js");
                const nothing = () => {};
                return post(form, new Blob(["photo"]), new AbortController().signal, nothing).catch(({ code }) => code);
            }""",
            asked.json(),
        )
        assert code == "network"
        assert any("Access-Control-Allow-Origin" in problem for problem in widget.problems)
        kept = stack.aws.client("s3").list_objects_v2(
            Bucket=stack.exports["uploadsBucket"], Prefix=asked.json()["fields"]["key"]
        )
        assert kept["KeyCount"] == 0


class TestSeveralAndGone:
    def test_two_on_a_page_know_nothing_of_each_other(self, opened: Open, stack: LocalStack, user: Session) -> None:
        other = sign_in(stack)
        body = "".join(
            f'<avatar-upload id="{name}" api-url="{stack.api_url}" token-callback="tokens.{name}"></avatar-upload>'
            for name in ("first", "second")
        )
        page = opened(body=body).page
        page.evaluate(
            "([a, b]) => { window.tokens = { first: () => a, second: () => b }; }",
            [user.access_token, other.access_token],
        )
        first, second = Widget(page, "first"), Widget(page, "second")
        paste(page.locator("body"), jpeg())
        first.choose(jpeg(90, 70))
        drop(second.element.locator("[part=card]"), jpeg(50, 60))
        first.button("Use this photo").click()
        second.button("Use this photo").click()
        first.wait_for("ready")
        second.wait_for("ready")
        assert (first.names_told, second.names_told) == (["select", "ready"], ["select", "ready"])
        for session, told in ((user, first.told("ready")), (other, second.told("ready"))):
            assert told == [manifest(stack, session)]
        assert first.told("ready")[0]["source"]["width"] == 90
        assert second.told("ready")[0]["source"]["width"] == 50

    def test_taken_out_of_the_page_while_sending_it_stops_and_leaves_nothing(
        self, widget: Widget, stack: LocalStack
    ) -> None:
        page = widget.page
        page.route(form_url(stack), never)
        with page.expect_request(form_url(stack)):
            widget.send(jpeg())
        widget.wait_for("sending")
        page.evaluate("window.kept = document.getElementById('avatar')")
        with page.expect_event("requestfailed") as ended:
            page.evaluate("window.kept.remove()")
        assert ended.value.failure == "net::ERR_ABORTED"
        assert page.evaluate("[window.kept.state, window.addresses.size]") == ["idle", 0]
        paste(page.locator("body"), jpeg())
        assert page.evaluate("window.kept.state") == "idle"

        page.unroute(form_url(stack))
        page.evaluate("document.getElementById('there').append(window.kept)")
        paste(page.locator("body"), jpeg())
        widget.button("Use this photo").click()
        widget.wait_for("ready")

    def test_moving_it_breaks_nothing_off(self, widget: Widget) -> None:
        held = Held(widget.page, FORM)
        with widget.page.expect_request(FORM):
            widget.send(jpeg())
        widget.page.evaluate("document.getElementById('there').append(document.getElementById('avatar'))")
        held.release()
        widget.wait_for("ready")
        assert widget.names_told == ["select", "ready"]

    def test_no_address_of_a_preview_is_kept(self, widget: Widget) -> None:
        widget.choose(jpeg())
        expect(widget.element.locator("canvas")).to_be_visible()
        assert widget.page.evaluate("window.addresses.size") == 0

    def test_a_double_click_is_one_click(self, widget: Widget) -> None:
        forms = seen(widget.page, "key_upload")
        widget.choose(jpeg())
        widget.page.route(STATUS, PENDING)
        widget.button("Use this photo").dblclick()
        widget.wait_for("processing")
        assert len(forms) == 1
        assert widget.names_told == ["select"]

    def test_the_second_click_of_a_double_click_does_not_cancel(self, widget: Widget) -> None:
        """Where the first was, another button may be by then."""
        widget.page.route(FORM, never)
        widget.send(jpeg())
        widget.wait_for("preparing")
        widget.button("Cancel").dispatch_event("click", {"detail": 2})
        assert widget.state == "preparing"
        widget.button("Cancel").click()
        assert widget.state == "idle"


class TestAttributesAndProperties:
    def test_without_an_api_it_says_so_and_offers_nothing_until_it_has_one(
        self, opened: Open, stack: LocalStack
    ) -> None:
        widget = opened(body='<avatar-upload id="avatar" token-callback="app.token"></avatar-upload>')
        expect(widget.error).to_have_text("This page cannot send photos: <avatar-upload> needs the attribute api-url.")
        assert widget.state == "unconfigured"
        expect(widget.element.get_by_role("button")).to_have_count(0)
        drop(widget.element.locator("[part=card]"), jpeg())
        assert widget.state == "unconfigured"
        widget.element.evaluate("(element, url) => { element.apiUrl = url; }", stack.api_url + "/")
        widget.send(jpeg())
        widget.wait_for("ready")

    def test_taking_the_api_away_ends_the_upload(self, widget: Widget) -> None:
        widget.page.route(FORM, never)
        widget.send(jpeg())
        widget.wait_for("preparing")
        widget.element.evaluate("element => element.removeAttribute('api-url')")
        assert widget.state == "unconfigured"
        assert widget.told("cancel") == [{"sent": False}]

    def test_src_and_alt(self, widget: Widget, stack: LocalStack) -> None:
        expect(widget.element.get_by_role("img", name="No profile picture yet")).to_be_visible()
        expect(widget.button("Choose a photo")).to_be_visible()
        default = f"{stack.cdn_url}/defaults/avatar.jpg"
        widget.element.evaluate("(element, src) => { element.src = src; }", default)
        expect(widget.element.get_by_role("img", name="Your profile picture")).to_be_visible()
        expect(widget.button("Change photo")).to_be_visible()
        assert widget.shown() == default
        widget.element.evaluate("element => { element.alt = 'Alice'; }")
        expect(widget.element.get_by_role("img", name="Alice")).to_be_visible()
        widget.element.evaluate("element => { element.src = null; }")
        expect(widget.element.get_by_role("img", name="No profile picture yet")).to_be_visible()

    def test_of_two_addresses_the_last_one_wins(self, widget: Widget, stack: LocalStack) -> None:
        first, last = f"{stack.cdn_url}/banners/banner.jpg", f"{stack.cdn_url}/defaults/avatar.jpg"
        held = Held(widget.page, first)
        widget.element.evaluate("(element, [a, b]) => { element.src = a; element.src = b; }", [first, last])
        expect(widget.element.get_by_role("img", name="Your profile picture")).to_be_visible()
        with widget.page.expect_event("requestfinished"):
            held.release()
        widget.page.evaluate("new Promise((resolve) => setTimeout(resolve))")
        assert widget.shown() == last

    def test_a_missing_avatar_shows_the_picture_its_404_brings(self, opened: Open, stack: LocalStack) -> None:
        widget = opened(f'src="{stack.cdn_url}/avatars/nobody.jpg"')
        expect(widget.element.get_by_role("img", name="Your profile picture")).to_be_visible()

    def test_an_avatar_that_does_not_load_is_a_silhouette(self, opened: Open) -> None:
        widget = opened('src="http://127.0.0.1:9/gone.jpg"')
        expect(widget.element.get_by_role("img", name="No profile picture yet")).to_be_visible()

    def test_accept_is_what_the_dialog_offers(self, opened: Open) -> None:
        widget = opened()
        with widget.page.expect_file_chooser() as chooser:
            widget.button("Choose a photo").click()
        assert chooser.value.element.get_attribute("accept") == "image/jpeg,image/png,image/webp,image/gif"
        widget.element.evaluate("element => element.setAttribute('accept', 'image/png')")
        with widget.page.expect_file_chooser() as chooser:
            widget.button("Choose a photo").click()
        assert chooser.value.element.get_attribute("accept") == "image/png"

    def test_disabled_takes_nothing_and_lets_a_running_upload_be(self, widget: Widget) -> None:
        held = Held(widget.page, FORM)
        with widget.page.expect_request(FORM):
            widget.send(jpeg())
        widget.element.evaluate("element => { element.disabled = true; }")
        expect(widget.button("Cancel")).to_be_enabled()
        assert drop(widget.element.locator("[part=card]"), jpeg())
        paste(widget.element, jpeg())
        assert widget.state == "preparing"
        held.release()
        widget.wait_for("ready")
        expect(widget.button("Change photo")).to_be_disabled()
        widget.element.evaluate("element => { element.open(); element.disabled = false; }")
        expect(widget.button("Change photo")).to_be_enabled()
        assert widget.names_told == ["select", "ready"]

    def test_open_opens_the_dialog(self, widget: Widget) -> None:
        widget.page.evaluate("document.querySelector('h1').onclick = () => document.getElementById('avatar').open()")
        with widget.page.expect_file_chooser() as chooser:
            widget.page.locator("h1").click()
        chooser.value.set_files(jpeg())
        widget.wait_for("chosen")

    def test_every_sentence_can_be_replaced_at_any_time(self, widget: Widget) -> None:
        widget.page.evaluate("document.documentElement.lang = 'de'")
        widget.element.evaluate(
            """element => { element.messages = {
                choose: "Foto auswählen", file_too_large_limit: "Zu groß: {size}, erlaubt sind {limit}.",
            }; }"""
        )
        expect(widget.button("Foto auswählen")).to_be_visible()
        widget.choose(payload(b"\xff\xd8\xff" + bytes(4_700_000)), button="Foto auswählen")
        widget.button("Use this photo").click()
        expect(widget.error).to_have_text("Zu groß: 4,5 MB, erlaubt sind 4 MB.")
        widget.element.evaluate("element => { element.messages = { file_too_large_limit: 'Höchstens {limit}' }; }")
        expect(widget.error).to_have_text("Höchstens 4 MB")

    def test_each_failure_has_a_sentence(self, widget: Widget) -> None:
        known = widget.page.evaluate("async () => Object.keys((await import('/avatar-upload.js')).ENGLISH)")
        assert failure_codes() <= set(known)

    def test_properties_set_before_the_element_is_defined_are_taken_over(
        self, opened: Open, stack: LocalStack, user: Session
    ) -> None:
        widget = opened(body="")
        widget.page.evaluate(
            """([apiUrl, token]) => {
                const element = document.implementation.createHTMLDocument().createElement("avatar-upload");
                if (element.reset) throw new Error("it is defined already");
                const properties = { apiUrl, messages: { choose: "Early" }, getToken: () => token };
                Object.assign(element, { id: "avatar", ...properties });
                document.getElementById("there").append(element);
            }""",
            [stack.api_url, user.access_token],
        )
        widget.choose(jpeg(), button="Early")
        widget.button("Use this photo").click()
        widget.wait_for("ready")


class TestKeyboard:
    def test_everything_without_a_pointer_and_the_focus_is_never_lost(self, widget: Widget) -> None:
        page = widget.page
        held = Held(page, FORM)
        page.on("filechooser", lambda chooser: chooser.set_files(jpeg()))
        page.keyboard.press("Tab")
        assert widget.focused == "Choose a photo"
        page.keyboard.press("Enter")
        widget.wait_for("chosen")
        assert widget.focused == "Use this photo"
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        assert widget.focused == "Cancel"
        page.keyboard.press("Enter")
        assert widget.focused == "Choose a photo"
        page.keyboard.press("Space")
        widget.wait_for("chosen")
        with page.expect_request(FORM):
            page.keyboard.press("Enter")
        assert widget.focused == "card"
        page.keyboard.press("Enter")  # too much of it: nothing is there to press
        assert widget.state == "preparing"
        page.keyboard.press("Tab")
        assert widget.focused == "Cancel"
        held.release()
        widget.wait_for("ready")
        assert widget.focused == "Change photo"

    def test_after_a_failure_it_is_on_the_way_out(self, widget: Widget, stack: LocalStack) -> None:
        widget.page.route(form_url(stack), answering(403))
        widget.send(jpeg())
        widget.wait_for("failed")
        assert widget.focused == "Try again"
        widget.page.unroute(form_url(stack))
        widget.page.keyboard.press("Enter")
        widget.wait_for("ready")
        assert widget.focused == "Change photo"

    def test_it_takes_no_focus_from_the_rest_of_the_page(self, opened: Open, stack: LocalStack) -> None:
        element = f'<avatar-upload id="avatar" api-url="{stack.api_url}" token-callback="app.token"></avatar-upload>'
        widget = opened(body=f'<label>Name <input id="name"></label>{element}')
        widget.send(jpeg())
        widget.page.locator("#name").focus()
        widget.wait_for("ready")
        assert widget.page.evaluate("document.activeElement.id") == "name"

    def test_the_focus_is_seen(self, widget: Widget) -> None:
        widget.page.keyboard.press("Tab")
        outline = widget.button("Choose a photo").evaluate("e => getComputedStyle(e).outline")
        assert re.search(r"solid 3px", outline)

    def test_focus_goes_to_its_first_button(self, widget: Widget) -> None:
        widget.element.evaluate("element => element.focus()")
        assert widget.focused == "Choose a photo"


def _busy(pattern: str, state: str) -> Callable[[Widget, LocalStack], None]:
    def bring(widget: Widget, stack: LocalStack) -> None:
        widget.page.route(form_url(stack) if pattern == "bucket" else pattern, never)
        widget.send(PHOTO)
        widget.wait_for(state)

    return bring


def _chosen(widget: Widget, _stack: LocalStack) -> None:
    widget.choose(PHOTO)
    expect(widget.element.locator("canvas")).to_be_visible()


def _unseen(widget: Widget, _stack: LocalStack) -> None:
    widget.choose(payload(b"\0\0\0\x18ftypheic", "a-name-without-any-place-to-break-it-at-all.heic", "image/heic"))
    expect(widget.status).to_contain_text("cannot show")


def _ready(widget: Widget, _stack: LocalStack) -> None:
    widget.send(PHOTO)
    widget.wait_for("ready")


def _failed(widget: Widget, stack: LocalStack) -> None:
    widget.page.route(form_url(stack), answering(403))
    widget.send(PHOTO)
    widget.wait_for("failed")


def _rejected(widget: Widget, _stack: LocalStack) -> None:
    widget.choose(payload(b""))
    widget.wait_for("failed")


STATES: dict[str, Callable[[Widget, LocalStack], None]] = {
    "idle": lambda _widget, _stack: None,
    "disabled": lambda widget, _stack: widget.element.evaluate("element => { element.disabled = true; }"),
    "unconfigured": lambda widget, _stack: widget.element.evaluate("element => { element.apiUrl = null; }"),
    "chosen": _chosen,
    "unseen": _unseen,
    "preparing": _busy(FORM, "preparing"),
    "sending": _busy("bucket", "sending"),
    "processing": _busy(STATUS, "processing"),
    "ready": _ready,
    "failed": _failed,
    "rejected": _rejected,
}


class TestForEverybody:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize("state", STATES)
    def test_axe_finds_nothing_and_nothing_sticks_out_of_320_pixels(
        self, opened: Open, stack: LocalStack, state: str, scheme: str
    ) -> None:
        widget = opened(color_scheme=scheme, viewport={"width": 320, "height": 700}, reduced_motion="reduce")
        background = "e => getComputedStyle(e).backgroundColor"
        expected = {"light": "rgb(255, 255, 255)", "dark": "rgb(27, 29, 34)"}[scheme]
        assert widget.element.locator("[part=card]").evaluate(background) == expected
        STATES[state](widget, stack)
        results = Axe().run(widget.page)
        assert results.violations_count == 0, results.generate_report()
        assert widget.page.evaluate("document.documentElement.scrollWidth") == 320

    @pytest.mark.parametrize("width", [320, 1200])
    def test_it_fills_the_width_it_is_given_up_to_its_own(self, opened: Open, width: int) -> None:
        widget = opened(viewport={"width": width, "height": 700})
        box = widget.element.bounding_box()
        assert box
        assert box["width"] == min(width - 32, 42 * 16)

    def test_it_moves_only_for_those_who_do_not_mind(self, opened: Open, stack: LocalStack) -> None:
        running = "element => element.shadowRoot.getAnimations().length"
        for preference, animations in (("no-preference", 2), ("reduce", 0)):
            widget = opened(reduced_motion=preference)
            STATES["processing"](widget, stack)
            widget.page.wait_for_timeout(400)
            assert widget.element.evaluate(running) == animations

    def test_in_forced_colours_buttons_have_edges_and_the_bar_says_how_much(
        self, opened: Open, stack: LocalStack
    ) -> None:
        widget = opened(forced_colors="active", reduced_motion="reduce")
        STATES["sending"](widget, stack)
        assert widget.button("Cancel").evaluate("e => getComputedStyle(e).borderTopWidth") == "1px"
        bar = widget.element.get_by_role("progressbar")
        bar.evaluate("e => { e.value = 0.5; }")
        painted = pictures.decode(bar.screenshot()).convert("RGB")
        middle = painted.height // 2
        assert painted.getpixel((painted.width // 4, middle)) != painted.getpixel((painted.width * 3 // 4, middle))

    def test_what_happens_is_announced(self, widget: Widget, stack: LocalStack) -> None:
        expect(widget.element.get_by_role("group", name="Profile picture")).to_be_visible()
        expect(widget.status).to_have_attribute("role", "status")
        STATES["failed"](widget, stack)
        expect(widget.element.get_by_role("alert")).to_have_text("The photo was not accepted. Try again.")

    def test_theming(self, opened: Open) -> None:
        widget = opened()
        widget.page.evaluate(
            """() => {
                const sheet = new CSSStyleSheet();
                sheet.replaceSync(`
                    body { --avatar-upload-accent: rgb(0, 90, 60); }
                    avatar-upload:state(idle)::part(primary) { text-transform: uppercase; }
                `);
                document.adoptedStyleSheets = [sheet];
            }"""
        )
        style = widget.button("Choose a photo").evaluate(
            "e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).textTransform]"
        )
        assert style == ["rgb(0, 90, 60)", "uppercase"]


class TestWithoutTheElement:
    def test_the_protocol_alone(self, widget: Widget, stack: LocalStack, user: Session) -> None:
        told = widget.page.evaluate(
            """async ([apiUrl, token, photo]) => {
                const { uploadAvatar } = await import("/avatar-upload.js");
                const bytes = Uint8Array.from(atob(photo), (c) => c.charCodeAt(0));
                const file = new File([bytes], "photo.jpg", { type: "image/jpeg" });
                return uploadAvatar(file, { apiUrl, getToken: () => token });
            }""",
            [stack.api_url, user.access_token, base64.b64encode(PHOTO.read_bytes()).decode()],
        )
        assert told == manifest(stack, user)

    def test_it_ends_with_the_signals_reason_and_fails_with_a_code(self, widget: Widget, stack: LocalStack) -> None:
        outcomes = widget.page.evaluate(
            """async (apiUrl) => {
                const { UploadError, uploadAvatar } = await import("/avatar-upload.js");
                const file = new File(["x"], "photo.jpg", { type: "image/jpeg" });
                const getToken = () => new Promise(() => {});
                const outcome = (upload) => upload.catch((error) => [error instanceof UploadError, error.message]);
                const aborted = AbortSignal.abort(new Error("enough"));
                const controller = new AbortController();
                const running = outcome(uploadAvatar(file, { apiUrl, getToken, signal: controller.signal }));
                controller.abort(new Error("now"));
                return Promise.all([
                    outcome(uploadAvatar(file, { apiUrl, getToken, signal: aborted })),
                    running,
                    outcome(uploadAvatar(new File([], "photo.jpg"), { apiUrl, getToken })),
                ]);
            }""",
            stack.api_url,
        )
        assert outcomes == [[False, "enough"], [False, "now"], [True, "empty_file"]]


class TestDocument:
    """docs/widget.md against what it speaks of."""

    def test_failures(self) -> None:
        assert first_cells("## Errors") == failure_codes() - {"rejected"}

    def test_events(self) -> None:
        emitted = set(re.findall(r'emit\("(avatar-[\w-]+)"', script("flow")))
        assert first_cells("## Events") == emitted

    def test_custom_properties_and_their_defaults(self) -> None:
        defined: dict[str, str] = {}
        for name, default in re.findall(r"var\((--avatar-upload-[\w-]+), (.+)\);", script("styles")):
            defined[name] = re.sub(r"light-dark\((\S+), (\S+)\)", r"\1` `\2", default)
        assert dict(re.findall(r"^\| `(--[\w-]+)` \| `(.+?)` \|", section("## Theming"), re.MULTILINE)) == defined

    def test_parts(self) -> None:
        listed = re.findall(r'part: "([\w ]+)"', script("view") + script("frame") + script("cropper"))
        parts = set(" ".join(listed).split()) | {"primary"}
        named = section("## Theming").partition("there are parts:")[2].partition(":")[0]
        assert set(re.findall(r"`(\w+)`", named)) == parts

    def test_states(self) -> None:
        declared = re.findall(r'"(\w+)"', script("flow").partition("@typedef {")[2].partition("} State")[0])
        rows = re.findall(r"^\| (`.+?`) \|", section("## States"), re.MULTILINE)
        assert set(re.findall(r"`(\w+)`", " ".join(rows))) == {*declared, "unconfigured"}


def script(name: str) -> str:
    return (WEB / "avatar-upload" / f"{name}.js").read_text()


def failure_codes() -> set[str]:
    return set(re.findall(r'"(\w+)"', script("failures").partition("@typedef")[2].partition("FailureCode")[0]))


def section(heading: str) -> str:
    return DOCUMENT.read_text().partition(f"\n{heading}\n")[2].partition("\n## ")[0]


def first_cells(heading: str) -> set[str]:
    return set(re.findall(r"^\| `([\w-]+)` \|", section(heading), re.MULTILINE))
