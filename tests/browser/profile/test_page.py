"""web/profile/page.js: loading, retries of a 503, navigation, and how the page is served."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Route, expect

from tests.browser.profile.visitor import (
    PROFILE,
    NewPerson,
    NewVisitor,
    Person,
    Visitor,
    avatar_image,
    edit_button,
    fulfill_json,
    heading,
)
from tests.local.conftest import PHOTO, wait_until


def test_profile_of_other_user_cannot_be_edited(visitor: Visitor, alice: Person, new_person: NewPerson) -> None:
    bob = new_person(display_name="Bob", bio="Bob's words")
    visitor.sign_in(alice)
    held: list[Route] = []
    visitor.context.route("**/profiles/*", lambda route: held.append(route))
    page = visitor.open(bob.get()["handle"])
    expect(page.get_by_role("link", name="Your profile")).to_be_visible()
    held[0].continue_()
    expect(heading(page)).to_have_text("Bob")
    expect(edit_button(page)).to_be_hidden()
    page.get_by_role("link", name="Your profile").click()
    expect(heading(page)).to_have_text("Alice Ackermann")
    edit_button(page).click()
    expect(page.get_by_label("Bio")).to_have_value("Makes small things that last.\n\nBerlin")
    expect(page.get_by_role("link", name="Your profile")).to_be_hidden()


def test_public_profile_is_cached_without_session(visitor: Visitor, alice: Person) -> None:
    handle = alice.get()["handle"]
    for _ in range(2):
        expect(heading(visitor.open(handle))).to_have_text("Alice Ackermann")
    assert len(visitor.request_bodies(f"GET profiles/{handle}")) == 2
    assert alice.stack.read_access_log().count(f'"path":"/profiles/{handle}"') == 1


def test_public_profile_is_not_cached_with_session(visitor: Visitor, alice: Person, new_person: NewPerson) -> None:
    bob = new_person(display_name="Bob")
    page = visitor.open(bob.get()["handle"])
    expect(heading(page)).to_have_text("Bob")
    address = page.url
    bob.put(display_name="Bobby")
    page = visitor.sign_in(alice)
    page.goto(address)
    expect(heading(page)).to_have_text("Bobby")


def test_own_profile_in_new_tab_is_current(visitor: Visitor, alice: Person) -> None:
    handle = alice.get()["handle"]
    expect(heading(visitor.open(handle))).to_have_text("Alice Ackermann")
    visitor.sign_in(alice)
    alice.put(display_name="Alice Zuse")
    page = visitor.open(handle)
    expect(edit_button(page)).to_be_visible()
    expect(heading(page)).to_have_text("Alice Zuse")


def test_former_handle_leads_to_the_current_address(visitor: Visitor, alice: Person) -> None:
    former = alice.get()["handle"]
    alice.put(handle=f"{former}_new", display_name="Alice Zuse")
    page = visitor.open(former)
    expect(heading(page)).to_have_text("Alice Zuse")
    assert page.url.endswith(f"?handle={former}_new")
    assert page.evaluate("history.length") == 2  # about:blank, and one for the page


def test_former_handle_of_own_profile_can_be_edited(visitor: Visitor, alice: Person) -> None:
    former = alice.get()["handle"]
    alice.put(handle=f"{former}_new", display_name="Alice Zuse")
    visitor.sign_in(alice)
    held: list[Route] = []
    visitor.context.route("**/profiles/*", lambda route: held.append(route))
    page = visitor.open(former)
    expect(page.get_by_role("link", name="Your profile")).to_be_visible()  # it is known before the one in the URL
    held[0].continue_()
    expect(edit_button(page)).to_be_visible()
    expect(heading(page)).to_have_text("Alice Zuse")
    assert page.url.endswith(f"?handle={former}_new")
    expect(page.get_by_role("link", name="Your profile")).to_be_hidden()


def test_keyboard_reaches_everything_in_order(visitor: Visitor, alice: Person) -> None:
    page = visitor.sign_in(alice)
    page.reload()
    expect(edit_button(page)).to_be_visible()
    reached: list[str] = []
    for _ in range(3):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.textContent"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert reached == ["avatars", "Sign out", "Edit profile"]


def test_load_without_connection_can_be_retried(visitor: Visitor, alice: Person) -> None:
    visitor.allow_console_errors("ERR_FAILED")
    handle = alice.get()["handle"]
    visitor.context.route(f"**/profiles/{handle}", lambda route: route.abort())
    page = visitor.open(handle)
    expect(heading(page)).to_have_text("The profile could not be loaded")
    visitor.context.unroute(f"**/profiles/{handle}")
    page.get_by_role("button", name="Try again").click()
    expect(heading(page)).to_have_text("Alice Ackermann")
    expect(heading(page)).to_be_focused()


def test_load_503_is_retried_until_database_is_up(visitor: Visitor, alice: Person) -> None:
    visitor.allow_console_errors("503")
    asleep = iter(range(2))

    def respond_503(route: Route) -> None:
        if next(asleep, None) is None:
            route.fallback()
        else:
            fulfill_json(route, 503, {"error": {"code": "unavailable", "message": "asleep"}})

    handle = alice.get()["handle"]
    visitor.context.route(f"**/profiles/{handle}", respond_503)
    page = visitor.open(handle)
    expect(page.get_by_text("The database is waking up")).to_be_visible()
    page.clock.run_for(1_000)
    expect(page.get_by_text("The database is waking up")).to_be_visible()
    page.clock.run_for(2_000)
    expect(heading(page)).to_have_text("Alice Ackermann")
    expect(page.get_by_text("The database is waking up")).to_be_hidden()


def test_load_503_fails_after_six_requests(visitor: Visitor) -> None:
    visitor.allow_console_errors("503")
    visitor.context.route("**/profiles/*", lambda route: fulfill_json(route, 503, {"message": "Service Unavailable"}))
    page = visitor.open("somebody")
    expect(page.get_by_text("The database is waking up")).to_be_visible()
    # Again and again: a pause that begins after time has passed is not over by it.
    wait_until(
        lambda: len(visitor.request_bodies("GET profiles/somebody")) == 6 or page.clock.fast_forward(1_000),
        "the last request",
    )
    expect(page.get_by_text("The database did not wake up.")).to_be_visible()
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    assert len(visitor.request_bodies("GET profiles/somebody")) == 6


def test_load_on_slow_network_does_not_shift_layout(new_visitor: NewVisitor, alice: Person) -> None:
    visitor = new_visitor(shared=False)
    alice.session.upload(PHOTO.read_bytes(), "image/jpeg")
    page = visitor.context.new_page()
    page.add_init_script(
        "window.shift = 0; new PerformanceObserver((list) => list.getEntries().forEach(({ value }) => (shift += value))"
        ").observe({ type: 'layout-shift', buffered: true })"
    )
    visitor.context.new_cdp_session(page).send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 300, "downloadThroughput": 100_000, "uploadThroughput": 50_000},
    )
    page.goto(f"{alice.stack.exports['profileUrl']}?handle={alice.get()['handle']}", wait_until="commit")
    busy = page.get_by_role("article")
    expect(busy).to_have_attribute("aria-busy", "true")
    expect(busy).to_have_attribute("aria-busy", "false")
    expect(avatar_image(page)).to_have_attribute("src", re.compile("512"), timeout=15_000)
    assert page.evaluate("window.shift") < 0.01


def test_template_preloads_every_module(visitor: Visitor) -> None:
    template = (PROFILE / "profile.html").read_text()
    named = set(re.findall(r'href="\$\{base\}profile/([\w-]+\.js)"', template)) | {"page.js"}
    assert named == {path.name for path in PROFILE.glob("*.js")}
    page = visitor.open()
    expect(heading(page)).to_have_text("Sign in")
    loaded = {request.url.rsplit("/", 1)[1] for request in visitor.requests if "/profile/" in request.url}
    assert named <= loaded


def test_content_security_policy_blocks_violations(visitor: Visitor) -> None:
    visitor.allow_console_errors("Content Security Policy|Trusted(HTML|Script)")
    page = visitor.open()
    assert page.evaluate("fetch('https://example.com').then(() => 'sent', () => 'refused')") == "refused"
    with pytest.raises(Exception, match="TrustedHTML"):
        page.evaluate("document.body.innerHTML = '<b>x</b>'")
    injected = (
        "document.body.append(Object.assign(document.createElement('script'), { textContent: 'window.ran = 1' }))"
    )
    with pytest.raises(Exception, match="TrustedScript"):
        page.evaluate(injected)
    assert json.loads(page.evaluate("JSON.stringify(window.ran ?? null)")) is None
