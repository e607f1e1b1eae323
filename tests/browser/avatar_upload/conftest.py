"""Pages with `<avatar-upload>`, whose user is signed in."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import expect

from client.session import Session
from local.stack import LocalStack
from tests.browser.avatar_upload.widget import Widget
from tests.browser.site import EmbeddingSite
from tests.browser.tabs import Tabs
from tests.local.conftest import sign_in

OpenPage = Callable[..., Widget]

# Records events, pending responses, policy violations, decoded photos and token requests, from before the first script.
_RECORDER = """
window.recordedEvents = [];
for (const name of ["select", "progress", "ready", "held", "rejected", "error", "cancel",
    "session-expired", "removed"]) {
  document.addEventListener(`avatar-${name}`, (event) => {
    window.recordedEvents.push({ name, id: event.target.id, detail: event.detail });
  });
}
window.pendingResponses = 0;
const { fetch } = window;
window.fetch = (...request) => {
  const response = fetch(...request);
  window.pendingResponses += 1;
  response
    .then((received) => received.clone().text())
    .catch(() => {})
    .finally(() => (window.pendingResponses -= 1));
  return response;
};
window.violations = [];
document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => {
  window.violations.push(`${violatedDirective} ${blockedURI}`);
});
window.bitmaps = [];
const { createImageBitmap } = window;
window.createImageBitmap = async (...source) => {
  const bitmap = await createImageBitmap(...source);
  window.bitmaps.push(bitmap);
  return bitmap;
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


@pytest.fixture(scope="package")
def foreign_site(stack: LocalStack) -> Generator[EmbeddingSite]:
    """A site whose origin is not in `allowedOrigins`."""
    site = EmbeddingSite()
    site.allow(stack, load_from_cdn=False)
    yield site
    site.close()


@pytest.fixture
def user(stack: LocalStack) -> Session:
    return sign_in(stack)


@pytest.fixture
def open_page(tabs: Tabs, stack: LocalStack, site: EmbeddingSite, user: Session) -> Generator[OpenPage]:
    """Opens a page with one element. `options` are those of `Tabs.use`."""
    with ExitStack() as cleanup:

        def open_page(
            attributes: str = "",
            *,
            body: str | None = None,
            tokens: Sequence[str] = (),
            clock: bool = True,
            at: EmbeddingSite = site,
            **options: Any,
        ) -> Widget:
            element = f'<avatar-upload id="avatar" api-url="{stack.api_url}" token-callback="app.token" {attributes}>'
            at.pages["/"] = body if body is not None else f"{element}</avatar-upload>"
            page = cleanup.enter_context(tabs.use(f"{at.origin}/page.css", clock=clock, **options))
            widget = Widget(page, has_clock=clock)
            cleanup.callback(widget.close)
            tokens = list(tokens) or [user.access_token]
            cleanup.enter_context(page.add_init_script(f"{_RECORDER}\nwindow.app.tokens = {json.dumps(tokens)};"))
            page.goto(f"{at.origin}/")
            expect(page.locator("avatar-upload:not(:defined)")).to_have_count(0)
            return widget

        yield open_page


@pytest.fixture
def widget(open_page: OpenPage) -> Widget:
    return open_page()
