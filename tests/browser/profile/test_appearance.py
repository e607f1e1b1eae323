"""web/profile/profile.css and profile.html: accessibility, contrast, motion, forced colors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.profile.visitor import (
    NewVisitor,
    Person,
    Visitor,
    avatar_image,
    edit_button,
    heading,
    save,
)
from tests.local.conftest import PHOTO

STATES: dict[str, Callable[[Visitor, Person], Page]] = {}


def register_state(make: Callable[[Visitor, Person], Page]) -> Callable[[Visitor, Person], Page]:
    STATES[make.__name__.removeprefix("_show_")] = make
    return make


@register_state
def _show_public(visitor: Visitor, person: Person) -> Page:
    page = visitor.open(person.get()["handle"])
    expect(avatar_image(page)).to_be_visible()
    return page


@register_state
def _show_loading(visitor: Visitor, person: Person) -> Page:
    visitor.context.route("**/profiles/*", lambda route: None)
    return visitor.open(person.get()["handle"])


@register_state
def _show_missing(visitor: Visitor, _person: Person) -> Page:
    page = visitor.open("no-such-handle-" + "x" * 60)
    expect(heading(page)).to_contain_text("There is no profile")
    return page


@register_state
def _show_failed(visitor: Visitor, person: Person) -> Page:
    visitor.allow_console_errors("ERR_FAILED")
    visitor.context.route("**/profiles/*", lambda route: route.abort())
    page = visitor.open(person.get()["handle"])
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    return page


@register_state
def _show_sign_in(visitor: Visitor, _person: Person) -> Page:
    page = visitor.open()
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("Enter your password.")).to_be_visible()
    return page


@register_state
def _show_password_reset(visitor: Visitor, person: Person) -> Page:
    page = visitor.open()
    page.get_by_label("Email").fill(person.username)
    page.get_by_role("button", name="Forgot password?").click()
    page.get_by_role("button", name="Send the code").click()
    expect(heading(page)).to_have_text("Set a new password")
    return page


@register_state
def _show_own(visitor: Visitor, person: Person) -> Page:
    return visitor.sign_in(person)


@register_state
def _show_invalid_edit(visitor: Visitor, person: Person) -> Page:
    page = visitor.sign_in(person)
    edit_button(page).click()
    page.get_by_label("Display name").fill("")
    page.get_by_label("Bio").fill("x" * 501)
    save(page)
    return page


@register_state
def _show_close_question(visitor: Visitor, person: Person) -> Page:
    page = visitor.sign_in(person)
    edit_button(page).click()
    page.get_by_label("Bio").fill("half a sentence")
    page.keyboard.press("Escape")
    return page


@register_state
def _show_removal_question(visitor: Visitor, person: Person) -> Page:
    person.session.upload(PHOTO.read_bytes(), "image/jpeg")
    page = visitor.sign_in(person)
    edit_button(page).click()
    page.get_by_role("button", name="Remove photo").click()
    return page


@register_state
def _show_deletion_question(visitor: Visitor, person: Person) -> Page:
    page = visitor.sign_in(person)
    edit_button(page).click()
    page.get_by_role("button", name="Delete profile").click()
    return page


@register_state
def _show_deletion_failed(visitor: Visitor, person: Person) -> Page:
    visitor.allow_console_errors("ERR_FAILED")
    page = _show_deletion_question(visitor, person)
    page.route("**/profile", lambda route: route.abort())
    page.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_text("Not deleted: there is no connection.")).to_be_in_viewport()
    return page


@register_state
def _show_deleted(visitor: Visitor, person: Person) -> Page:
    page = _show_deletion_question(visitor, person)
    page.get_by_role("button", name="Delete for good").click()
    expect(heading(page)).to_have_text("Sign in")
    return page


@pytest.mark.parametrize("name", STATES)
def test_state_passes_axe_and_fits_width(visitor: Visitor, alice: Person, name: str) -> None:
    page = STATES[name](visitor, alice)
    assert_passes_axe_in(page, "light", 1280)
    assert_passes_axe_in(page, "dark", 320)
    assert page.locator("h1").count() == 1
    assert page.get_by_role("main").count() == 1


def assert_passes_axe_in(page: Page, scheme: Literal["light", "dark"], width: int) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    found = Axe().run(page).response["violations"]
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


TEXT_AND_BACKGROUND = [
    ("--text", "--page"),
    ("--text", "--glow"),
    ("--text", "--surface"),
    ("--muted", "--surface"),
    ("--muted", "--sunken"),
    ("--accent", "--surface"),
    ("--accent", "--sunken"),
    ("--on-accent", "--accent"),
    ("--on-accent", "--accent-strong"),
    ("--danger", "--surface"),
    ("--danger", "--sunken"),
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_contrast_is_sufficient_in_every_hue(new_visitor: NewVisitor, scheme: str) -> None:
    """4.5:1, https://www.w3.org/TR/WCAG22/#contrast-minimum; axe sees the hues of its profiles only."""
    page = new_visitor(color_scheme=scheme).open()
    ratios = page.evaluate(
        """(pairs) => {
          const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
          const probe = document.body.appendChild(document.createElement("i"));
          const luminance = (name) => {
            probe.style.color = `var(${name})`;
            context.fillStyle = getComputedStyle(probe).color;
            context.fillRect(0, 0, 1, 1);
            const linear = [...context.getImageData(0, 0, 1, 1).data].map((byte) =>
              byte / 255 <= 0.04045 ? byte / 255 / 12.92 : ((byte / 255 + 0.055) / 1.055) ** 2.4);
            return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
          };
          const found = [];
          for (let hue = 0; hue < 360; hue += 10) {
            document.documentElement.style.setProperty("--hue", hue);
            for (const [text, ground] of pairs) {
              const [light, dark] = [luminance(text), luminance(ground)].sort((a, b) => b - a);
              found.push([(light + 0.05) / (dark + 0.05), hue, text, ground]);
            }
          }
          return found;
        }""",
        TEXT_AND_BACKGROUND,
    )
    assert len(ratios) == 36 * len(TEXT_AND_BACKGROUND)
    assert [each for each in ratios if each[0] < 4.5] == []


def test_animations_stop_with_reduced_motion(new_visitor: NewVisitor, alice: Person) -> None:
    moving = "document.getAnimations().some((animation) => animation.effect.getTiming().duration > 0)"
    for motion, expected in (("reduce", False), ("no-preference", True)):
        page = _show_loading(new_visitor(reduced_motion=motion), alice)
        assert page.evaluate(moving) is expected


def test_forced_colors_keep_edges(new_visitor: NewVisitor, alice: Person) -> None:
    page = new_visitor(forced_colors="active").sign_in(alice)
    for part in (edit_button(page), page.get_by_role("button", name="Sign out"), page.get_by_role("article")):
        style = part.evaluate("part => [getComputedStyle(part).borderStyle, getComputedStyle(part).borderColor]")
        assert style[0] == "solid"
        assert not style[1].startswith("rgba(0, 0, 0, 0")
