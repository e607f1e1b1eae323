"""web/avatar-upload/view.js, messages.js and styles.js: buttons, focus, progress, accessibility, theming."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from local.stack import LocalStack
from tests.browser.avatar_upload.conftest import OpenPage
from tests.browser.avatar_upload.widget import (
    FORM,
    STATUS,
    HeldRequests,
    Widget,
    bucket_url,
    file_payload,
    jpeg,
    large_png,
    leave_unanswered,
    read_error_codes,
    respond_with,
)
from tests.fixtures import pictures
from tests.local.conftest import PHOTO, wait_until


def test_camera_button_is_shown_on_touch_screens_only(open_page: OpenPage) -> None:
    expect(open_page().button("Take a photo")).to_be_hidden()
    widget = open_page(has_touch=True, is_mobile=True, viewport={"width": 390, "height": 800})
    with widget.page.expect_file_chooser() as chooser:
        widget.button("Take a photo").tap()
    assert chooser.value.element.get_attribute("capture") == "user"
    chooser.value.set_files(jpeg())
    widget.wait_for("chosen")
    expect(widget.element.get_by_text("or drop")).to_be_hidden()


def test_cancel_ignores_second_click_of_double_click(widget: Widget) -> None:
    """Where the first was, another button may be by then."""
    widget.page.route(FORM, leave_unanswered)
    widget.upload(jpeg())
    widget.wait_for("preparing")
    widget.button("Cancel").dispatch_event("click", {"detail": 2})
    assert widget.state == "preparing"
    widget.button("Cancel").click()
    assert widget.state == "idle"


def test_messages_set_at_any_time_replace_sentences(widget: Widget) -> None:
    widget.page.evaluate("document.documentElement.lang = 'de'")
    widget.element.evaluate(
        """element => { element.messages = {
            choose: "Foto auswählen", file_too_large_limit: "Zu groß: {size}, erlaubt sind {limit}.",
        }; }"""
    )
    expect(widget.button("Foto auswählen")).to_be_visible()
    widget.choose(file_payload(b"\xff\xd8\xff" + bytes(4_700_000)), button="Foto auswählen")
    widget.button("Use this photo").click()
    expect(widget.error).to_have_text("Zu groß: 4,5 MB, erlaubt sind 4 MB.")
    widget.element.evaluate("element => { element.messages = { file_too_large_limit: 'Höchstens {limit}' }; }")
    expect(widget.error).to_have_text("Höchstens 4 MB")


def test_messages_cover_every_error_code(widget: Widget) -> None:
    known = widget.page.evaluate("async () => Object.keys((await import('/avatar-upload.js')).ENGLISH)")
    assert read_error_codes() <= set(known)


def test_progress_is_reported_and_announced_by_quarters(open_page: OpenPage) -> None:
    widget = open_page(shared=False)
    spoken = widget.element.evaluate_handle(
        """({ shadowRoot }) => {
            const spoken = [];
            const region = shadowRoot.querySelector("[role=status]:not([part])");
            new MutationObserver(() => region.textContent && spoken.push(region.textContent))
                .observe(region, { childList: true });
            return spoken;
        }"""
    )
    throttle_upload(widget.page, bytes_per_second=1_500_000)
    widget.send_original()
    widget.upload(large_png())
    widget.wait_for("ready")
    progress = widget.event_details("progress")
    stages = [event["stage"] for event in progress]
    assert sorted(set(stages), key=stages.index) == ["preparing", "sending", "processing"]
    fractions = [event["fraction"] for event in progress if event["stage"] == "sending"]
    assert fractions == sorted(fractions)
    assert len(set(fractions)) > 5
    assert spoken.json_value() == ["25% sent", "50% sent", "75% sent"]


def test_progress_bar_has_name_and_percentage(open_page: OpenPage) -> None:
    widget = open_page(shared=False)
    throttle_upload(widget.page, bytes_per_second=300_000)
    bar = widget.element.get_by_role("progressbar", name="Sending your photo")
    widget.send_original()
    widget.upload(large_png())
    expect(bar).to_be_visible()
    wait_until(lambda: bar.evaluate("bar => bar.value") > 0.1, "some of it is sent")
    expect(widget.element.get_by_text(re.compile(r"^\d+%$"))).to_be_visible()
    widget.button("Cancel").click()
    expect(bar).to_be_hidden()


def throttle_upload(page: Page, bytes_per_second: int) -> None:
    page.context.new_cdp_session(page).send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 5, "downloadThroughput": -1, "uploadThroughput": bytes_per_second},
    )


def test_keyboard_alone_uploads_and_keeps_focus(open_page: OpenPage) -> None:
    widget = open_page(shared=False)
    page = widget.page
    held = HeldRequests(page, FORM)
    page.on("filechooser", lambda chooser: chooser.set_files(jpeg()))
    page.keyboard.press("Tab")
    assert widget.focused_control == "Choose a photo"
    page.keyboard.press("Enter")
    widget.wait_for("chosen")
    assert widget.focused_control == "Use this photo"
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert widget.focused_control == "Cancel"
    page.keyboard.press("Enter")
    assert widget.focused_control == "Choose a photo"
    page.keyboard.press("Space")
    widget.wait_for("chosen")
    page.keyboard.press("Enter")
    assert widget.focused_control == "card"
    page.keyboard.press("Enter")  # too much of it: nothing is there to press
    assert widget.state == "preparing"
    page.keyboard.press("Tab")
    assert widget.focused_control == "Cancel"
    held.release()
    widget.wait_for("ready")
    assert widget.focused_control == "Change photo"


def test_focus_after_failure_is_on_retry_button(widget: Widget, stack: LocalStack) -> None:
    widget.page.route(bucket_url(stack), respond_with(403))
    widget.upload(jpeg())
    widget.wait_for("failed")
    assert widget.focused_control == "Try again"
    widget.page.unroute(bucket_url(stack))
    widget.page.keyboard.press("Enter")
    widget.wait_for("ready")
    assert widget.focused_control == "Change photo"


def test_focus_elsewhere_on_page_is_not_taken(open_page: OpenPage, stack: LocalStack) -> None:
    element = f'<avatar-upload id="avatar" api-url="{stack.api_url}" token-callback="app.token"></avatar-upload>'
    widget = open_page(body=f'<label>Name <input id="name"></label>{element}')
    widget.upload(jpeg())
    widget.page.locator("#name").focus()
    widget.wait_for("ready")
    assert widget.page.evaluate("document.activeElement.id") == "name"


def test_focus_is_visible(widget: Widget) -> None:
    widget.page.keyboard.press("Tab")
    outline = widget.button("Choose a photo").evaluate("e => getComputedStyle(e).outline")
    assert re.search(r"solid 3px", outline)


def test_focus_method_focuses_first_button(widget: Widget) -> None:
    widget.element.evaluate("element => element.focus()")
    assert widget.focused_control == "Choose a photo"


def _leave_in(pattern: str, state: str) -> Callable[[Widget, LocalStack], None]:
    def bring(widget: Widget, stack: LocalStack) -> None:
        widget.page.route(bucket_url(stack) if pattern == "bucket" else pattern, leave_unanswered)
        widget.upload(PHOTO)
        widget.wait_for(state)

    return bring


def _choose(widget: Widget, _stack: LocalStack) -> None:
    widget.choose(PHOTO)
    expect(widget.element.locator("canvas")).to_be_visible()


def _choose_without_preview(widget: Widget, _stack: LocalStack) -> None:
    widget.choose(file_payload(b"\0\0\0\x18ftypheic", "a-name-without-any-place-to-break-it-at-all.heic", "image/heic"))
    expect(widget.status).to_contain_text("cannot show")


def _finish(widget: Widget, _stack: LocalStack) -> None:
    widget.upload(PHOTO)
    widget.wait_for("ready")


def _hold(widget: Widget, _stack: LocalStack) -> None:
    widget.page.route(STATUS, respond_with(200, {"status": "held"}))
    widget.upload(PHOTO)
    widget.wait_for("held")


def _fail(widget: Widget, stack: LocalStack) -> None:
    widget.page.route(bucket_url(stack), respond_with(403))
    widget.upload(PHOTO)
    widget.wait_for("failed")


def _choose_empty_file(widget: Widget, _stack: LocalStack) -> None:
    widget.choose(file_payload(b""))
    widget.wait_for("failed")


STATES: dict[str, Callable[[Widget, LocalStack], None]] = {
    "idle": lambda _widget, _stack: None,
    "disabled": lambda widget, _stack: widget.element.evaluate("element => { element.disabled = true; }"),
    "unconfigured": lambda widget, _stack: widget.element.evaluate("element => { element.apiUrl = null; }"),
    "chosen": _choose,
    "unseen": _choose_without_preview,
    "preparing": _leave_in(FORM, "preparing"),
    "sending": _leave_in("bucket", "sending"),
    "processing": _leave_in(STATUS, "processing"),
    "ready": _finish,
    "held": _hold,
    "failed": _fail,
    "rejected": _choose_empty_file,
}


@pytest.mark.parametrize("state", STATES)
def test_state_passes_axe_and_fits_320_pixels(open_page: OpenPage, stack: LocalStack, state: str) -> None:
    widget = open_page(viewport={"width": 320, "height": 700}, reduced_motion="reduce")
    STATES[state](widget, stack)
    _assert_passes_axe_in(widget, "light", "rgb(255, 255, 255)")
    _assert_passes_axe_in(widget, "dark", "rgb(27, 29, 34)")
    assert widget.page.evaluate("document.documentElement.scrollWidth") == 320


def _assert_passes_axe_in(widget: Widget, scheme: Literal["light", "dark"], background: str) -> None:
    widget.page.emulate_media(color_scheme=scheme)
    card = widget.element.locator("[part=card]")
    assert card.evaluate("e => getComputedStyle(e).backgroundColor") == background
    results = Axe().run(widget.page)
    assert results.violations_count == 0, results.generate_report()


@pytest.mark.parametrize("width", [320, 1200])
def test_width_fills_container_up_to_maximum(open_page: OpenPage, width: int) -> None:
    widget = open_page(viewport={"width": width, "height": 700})
    box = widget.element.bounding_box()
    assert box
    assert box["width"] == min(width - 32, 42 * 16)


def test_animations_stop_with_reduced_motion(open_page: OpenPage, stack: LocalStack) -> None:
    running = "element => element.shadowRoot.getAnimations().length"
    for preference, animations in (("no-preference", 2), ("reduce", 0)):
        widget = open_page(reduced_motion=preference)
        STATES["processing"](widget, stack)
        widget.page.wait_for_timeout(400)
        assert widget.element.evaluate(running) == animations


def test_forced_colors_keep_button_edges_and_progress_visible(open_page: OpenPage, stack: LocalStack) -> None:
    widget = open_page(forced_colors="active", reduced_motion="reduce")
    STATES["sending"](widget, stack)
    assert widget.button("Cancel").evaluate("e => getComputedStyle(e).borderTopWidth") == "1px"
    bar = widget.element.get_by_role("progressbar")
    bar.evaluate("e => { e.value = 0.5; }")
    painted = pictures.decode(bar.screenshot()).convert("RGB")
    middle = painted.height // 2
    assert painted.getpixel((painted.width // 4, middle)) != painted.getpixel((painted.width * 3 // 4, middle))


def test_status_and_error_are_live_regions(widget: Widget, stack: LocalStack) -> None:
    expect(widget.element.get_by_role("group", name="Profile picture")).to_be_visible()
    expect(widget.status).to_have_attribute("role", "status")
    STATES["failed"](widget, stack)
    expect(widget.element.get_by_role("alert")).to_have_text("The photo was not accepted. Try again.")


def test_custom_property_part_and_state_selectors_apply(widget: Widget) -> None:
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
