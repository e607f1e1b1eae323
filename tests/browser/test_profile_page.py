"""The profile page in a real browser, in front of the running local stack."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Request, Route, expect

from client.session import Session
from local.stack import LocalStack, read_config
from tests.local.conftest import PHOTO, create_user, wait_until

PROFILE = Path(__file__).parents[2] / "web" / "profile"
SCREENSHOTS = Path(__file__).parents[2] / ".build" / "screenshots"
DEFAULT_AVATAR = "/defaults/avatar.jpg"
STORED = "avatars-refresh-token"
_numbers = itertools.count()


@dataclass(frozen=True)
class Person:
    """A user of the stack, with a profile of their own."""

    stack: LocalStack
    username: str
    password: str
    session: Session
    """What they do elsewhere: another device, as it were."""

    def put(self, **profile: str) -> dict[str, Any]:
        return self._profile(requests.put, profile)

    def get(self) -> dict[str, Any]:
        return self._profile(requests.get)

    def _profile(self, send: Callable[..., requests.Response], body: Mapping[str, str] | None = None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.session.access_token}"}
        answer = send(f"{self.stack.api_url}/profile", json=body, headers=headers, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def lose_every_session(self) -> None:
        pool = self.stack.exports["userPoolId"]
        self.stack.aws.client("cognito-idp").admin_user_global_sign_out(UserPoolId=pool, Username=self.username)


class Visitor:
    """A browser. What goes wrong in its pages fails the test at its end, but for what the test forgives."""

    def __init__(self, context: BrowserContext, stack: LocalStack) -> None:
        self.context = context
        self._url = stack.exports["profileUrl"]
        self.problems: list[str] = []
        self.forgiven: list[str] = []
        self.requests: list[Request] = []
        context.on("console", self._hear)
        context.on("weberror", lambda error: self.problems.append(str(error.error)))
        context.on("request", lambda request: self.requests.append(request))

    def open(self, handle: str | None = None) -> Page:
        page = self.context.new_page()
        page.goto(self._url if handle is None else f"{self._url}?handle={handle}")
        return page

    def sign_in(self, person: Person) -> Page:
        """A page with the person's own profile."""
        page = self.open()
        sign_in(page, person)
        expect(edit_button(page)).to_be_visible()
        return page

    def forgive(self, pattern: str) -> None:
        self.forgiven.append(pattern)

    def asked(self, operation: str) -> list[dict[str, Any]]:
        """The bodies of requests to Cognito, or to the API if the operation is a method and path."""
        return [request.post_data_json or {} for request in self.requests if _operation(request) == operation]

    def _hear(self, said: ConsoleMessage) -> None:
        if said.type in ("error", "warning"):
            self.problems.append(said.text)

    def close(self) -> None:
        self.context.close()
        unforgiven = [text for text in self.problems if not any(re.search(known, text) for known in self.forgiven)]
        assert unforgiven == []
        assert [r.url for r in self.requests if re.search(r"undefined|null|NaN|favicon", r.url)] == []


def _operation(request: Request) -> str:
    target = request.headers.get("x-amz-target")
    return target.split(".")[1] if target else f"{request.method} {request.url.split('/', 3)[3]}"


def answer(route: Route, status: int, body: object) -> None:
    route.fulfill(status=status, json=body, headers={"Access-Control-Allow-Origin": "*"})


def sign_in(page: Page, person: Person, password: str | None = None) -> None:
    page.get_by_label("Email").fill(person.username)
    page.get_by_label("Password").fill(password or person.password)
    page.get_by_label("Password").press("Enter")


def edit_button(page: Page) -> Locator:
    return page.get_by_role("button", name="Edit profile")


def dialog(page: Page) -> Locator:
    return page.get_by_role("dialog", name="Edit profile")


def heading(page: Page) -> Locator:
    return page.get_by_role("heading", level=1)


def picture(page: Page) -> Locator:
    return page.get_by_role("main").locator(".avatar img")


def save(page: Page) -> None:
    dialog(page).get_by_role("button", name="Save").click()


@pytest.fixture(scope="module")
def stack() -> Generator[LocalStack]:
    with ThreadPoolExecutor() as thread:  # Playwright has a loop in this one, and the program needs its own
        two_sizes = {"avatars:sizes": "[512, 128]"}  # for large screens and small ones
        stack = thread.submit(LocalStack, read_config("dev")[0] | two_sizes).result()
    with stack:
        yield stack


@pytest.fixture
def new_person(stack: LocalStack) -> Callable[..., Person]:
    def make(**profile: str) -> Person:
        username, password = create_user(stack)
        session = Session({**stack.exports, "cognitoEndpoint": stack.aws_url}, username, password)
        person = Person(stack, username, password, session)
        person.put(**{"display_name": "Alice Ackermann", "handle": f"alice_{next(_numbers)}", **profile})
        return person

    return make


@pytest.fixture
def alice(new_person: Callable[..., Person]) -> Person:
    return new_person(bio="Makes small things that last.\n\nBerlin")


@pytest.fixture
def new_visitor(browser: Browser, stack: LocalStack) -> Generator[Callable[..., Visitor]]:
    visitors: list[Visitor] = []

    def make(**options: Any) -> Visitor:
        calm: dict[str, Any] = {"reduced_motion": "reduce", **options}
        visitors.append(Visitor(browser.new_context(**calm), stack))
        return visitors[-1]

    yield make
    for visitor in visitors:
        visitor.close()


@pytest.fixture
def visitor(new_visitor: Callable[..., Visitor]) -> Visitor:
    return new_visitor()


# What everybody sees


def test_everybody_sees_a_profile(visitor: Visitor, alice: Person) -> None:
    upload = alice.session.upload(PHOTO.read_bytes(), "image/jpeg")
    handle = alice.get()["handle"]
    page = visitor.open(handle)
    expect(heading(page)).to_have_text("Alice Ackermann")
    expect(page).to_have_title(f"Alice Ackermann (@{handle})")
    expect(page.get_by_text(f"@{handle}", exact=True)).to_be_visible()
    assert page.locator(".bio").inner_text() == "Makes small things that last.\n\nBerlin"
    image = page.get_by_role("img", name="Profile picture of Alice Ackermann")
    urls = {each["size"]: each["url"] for each in upload.avatar["images"]}
    expect(image).to_have_attribute("srcset", f"{urls[512]} 512w, {urls[128]} 128w")
    expect(image).to_have_attribute("width", "160")
    assert image.evaluate("image => [image.currentSrc, image.naturalWidth > 0]") == [urls[512], True]
    expect(edit_button(page)).to_be_hidden()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    assert visitor.asked("GET profile") == []


def test_a_small_screen_gets_the_small_picture(new_visitor: Callable[..., Visitor], alice: Person) -> None:
    upload = alice.session.upload(PHOTO.read_bytes(), "image/jpeg")
    page = new_visitor(viewport={"width": 360, "height": 700}).open(alice.get()["handle"])
    assert picture(page).evaluate("image => image.currentSrc") == upload.avatar["images"][1]["url"]


def test_who_has_no_picture_gets_the_default_and_nothing_else_is_asked_for(visitor: Visitor, alice: Person) -> None:
    page = visitor.open(alice.get()["handle"])
    expect(picture(page)).to_have_attribute("src", DEFAULT_AVATAR)
    assert [request.url for request in visitor.requests if "/avatars/" in request.url] == []


def test_a_picture_that_does_not_load_is_never_seen_broken(visitor: Visitor, alice: Person) -> None:
    alice.session.upload(PHOTO.read_bytes(), "image/jpeg")
    visitor.context.route("**/avatars/**", lambda route: route.abort())
    visitor.forgive("ERR_FAILED")
    page = visitor.open(alice.get()["handle"])
    expect(picture(page)).to_have_attribute("src", DEFAULT_AVATAR)
    assert picture(page).evaluate("image => image.naturalWidth") == 512


def test_each_profile_has_a_look_of_its_own(visitor: Visitor, new_person: Callable[..., Person]) -> None:
    def colours(handle: str) -> tuple[str, ...]:
        new_person(handle=handle)
        page = visitor.open(handle)
        expect(heading(page)).to_have_text("Alice Ackermann")
        read = "element => getComputedStyle(element).background"
        assert page.locator(".banner img").evaluate("image => image.naturalWidth") == 1500
        return page.locator(".banner").evaluate(read), page.locator("html").evaluate(read)

    first, second = colours("one_look"), colours("another_look")
    assert first[0] != second[0]
    assert first[1] != second[1]


def test_what_people_write_is_shown_as_text(visitor: Visitor, new_person: Callable[..., Person]) -> None:
    markup = "<img src=x onerror=alert(1)>"
    person = new_person(display_name=markup, bio=f"{markup} &amp;")
    page = visitor.open(person.get()["handle"])
    expect(heading(page)).to_have_text(markup)
    expect(page.locator(".bio")).to_have_text(f"{markup} &amp;")


@pytest.mark.parametrize("handle", ["nobody_here", "Not-A-Handle!", "../profile", "%F0%9F%98%80", "x"])
def test_a_handle_nobody_has(visitor: Visitor, handle: str) -> None:
    visitor.forgive("404")
    page = visitor.open(handle)
    shown = unquote(handle).lower()
    expect(heading(page)).to_have_text(f"There is no profile @{shown}")
    expect(page).to_have_title(f"There is no profile @{shown}")


def test_a_handle_may_be_written_as_people_write_it(visitor: Visitor, alice: Person) -> None:
    handle = alice.get()["handle"]
    page = visitor.open(f"%20@{handle.upper()}")
    expect(heading(page)).to_have_text("Alice Ackermann")


# Signing in and out


def test_signing_in_shows_ones_own_profile_and_a_reload_keeps_it(visitor: Visitor, alice: Person) -> None:
    page = visitor.open()
    expect(heading(page)).to_have_text("Sign in")
    expect(page.get_by_label("Email")).to_be_focused()
    sign_in(page, alice)
    expect(heading(page)).to_have_text("Alice Ackermann")
    expect(heading(page)).to_be_focused()
    expect(edit_button(page)).to_be_visible()
    assert page.url.endswith(f"/profile?handle={alice.get()['handle']}")
    assert page.evaluate("history.length") == 2
    page.reload()
    expect(edit_button(page)).to_be_visible()


def test_tokens_are_kept_in_the_tab_only(visitor: Visitor, alice: Person) -> None:
    page = visitor.sign_in(alice)
    assert page.evaluate("[localStorage.length, Object.keys(sessionStorage), document.cookie]") == [0, [STORED], ""]
    assert visitor.context.cookies() == []
    assert alice.session.subject not in page.evaluate(f"sessionStorage.getItem('{STORED}')")
    page.get_by_role("button", name="Sign out").click()
    expect(edit_button(page)).to_be_hidden()
    assert page.evaluate("sessionStorage.length") == 0


def test_signing_out_revokes_the_session(visitor: Visitor, alice: Person, stack: LocalStack) -> None:
    page = visitor.sign_in(alice)
    token = page.evaluate(f"sessionStorage.getItem('{STORED}')")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_focused()
    expect(page.get_by_text("You are signed out.")).to_be_visible()
    wait_until(lambda: visitor.asked("RevokeToken"), "the token is revoked")
    assert visitor.asked("RevokeToken") == [{"ClientId": stack.exports["userPoolClientId"], "Token": token}]


def test_password_managers_find_what_they_look_for(visitor: Visitor) -> None:
    page = visitor.open()
    expect(page.get_by_label("Email")).to_have_attribute("autocomplete", "username")
    expect(page.get_by_label("Password")).to_have_attribute("autocomplete", "current-password")
    page.get_by_role("button", name="Forgot password?").click()
    page.get_by_label("Email").fill("me@example.com")
    page.get_by_role("button", name="Send the code").click()
    expect(page.get_by_label("Code", exact=True)).to_have_attribute("autocomplete", "one-time-code")
    expect(page.get_by_label("New password", exact=True)).to_have_attribute("autocomplete", "new-password")
    assert page.get_by_role("main").locator("input[autocomplete=username]").input_value() == "me@example.com"


def test_what_is_missing_is_said_at_the_fields(visitor: Visitor) -> None:
    page = visitor.open()
    page.get_by_role("button", name="Sign in").click()
    for label, sentence in (("Email", "Enter your email address."), ("Password", "Enter your password.")):
        expect(page.get_by_label(label)).to_have_attribute("aria-invalid", "true")
        expect(page.get_by_label(label)).to_have_accessible_description(sentence)
    expect(page.get_by_label("Email")).to_be_focused()
    page.get_by_label("Email").fill("a")
    expect(page.get_by_label("Email")).not_to_have_attribute("aria-invalid", "true")
    assert visitor.asked("InitiateAuth") == []


def test_a_wrong_password_and_an_unknown_address_are_not_told_apart(visitor: Visitor, alice: Person) -> None:
    visitor.forgive("400")
    page = visitor.open()
    for username, password in ((alice.username, "wrong"), ("nobody@example.com", alice.password)):
        page.get_by_label("Email").fill(username)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_have_text("Email or password is wrong.")
    expect(page.get_by_role("button", name="Sign in")).to_be_focused()
    expect(page.get_by_label("Email")).to_have_value("nobody@example.com")


@pytest.mark.parametrize(
    ("code", "message", "sentence"),
    [
        ("UserNotConfirmedException", "", "This account is not confirmed yet."),
        ("TooManyRequestsException", "", "That were too many tries."),
        ("LimitExceededException", "", "That were too many tries."),
        ("NotAuthorizedException", "Password attempts exceeded", "That were too many tries."),
        ("NotAuthorizedException", "User is disabled.", "This account is switched off."),
        ("com.amazonaws#InternalErrorException", "Something broke.", "Signing in failed. Something broke."),
    ],
)
def test_refusals_are_sentences(visitor: Visitor, alice: Person, code: str, message: str, sentence: str) -> None:
    visitor.forgive("400")
    page = visitor.open()
    _refuse(page, "InitiateAuth", code, message)
    sign_in(page, alice)
    expect(page.get_by_role("alert")).to_contain_text(sentence)


def test_a_step_that_this_page_does_not_have_is_named(visitor: Visitor, alice: Person) -> None:
    page = visitor.open()
    challenge = {"ChallengeName": "SMS_MFA", "Session": "s", "ChallengeParameters": {}}
    _on(page, "InitiateAuth", lambda route: answer(route, 200, challenge))
    sign_in(page, alice)
    expect(page.get_by_role("alert")).to_contain_text("(SMS_MFA)")


def test_no_connection_to_cognito(visitor: Visitor, alice: Person) -> None:
    visitor.forgive("ERR_FAILED")
    page = visitor.open()
    _on(page, "InitiateAuth", lambda route: route.abort())
    sign_in(page, alice)
    expect(page.get_by_role("alert")).to_contain_text("No connection")
    page.unroute_all()
    page.get_by_role("button", name="Sign in").click()
    expect(edit_button(page)).to_be_visible()


def test_a_first_password_is_replaced_at_the_first_sign_in(visitor: Visitor, stack: LocalStack) -> None:
    pool, username = stack.exports["userPoolId"], f"first{next(_numbers)}@example.com"
    stack.aws.client("cognito-idp").admin_create_user(
        UserPoolId=pool, Username=username, TemporaryPassword="First-password-1", MessageAction="SUPPRESS"
    )
    visitor.forgive("400")
    page = visitor.open()
    page.get_by_label("Email").fill(username)
    page.get_by_label("Password").fill("First-password-1")
    page.get_by_role("button", name="Sign in").click()
    expect(heading(page)).to_have_text("Choose a password")
    new = page.get_by_label("New password", exact=True)
    expect(new).to_be_focused()
    new.fill("short")
    new.press("Enter")
    expect(new).to_have_accessible_description(re.compile("^That password cannot be used."))
    expect(new).to_be_focused()
    new.fill("A-password-of-my-own-1")
    new.press("Enter")
    expect(edit_button(page)).to_be_visible()
    Session({**stack.exports, "cognitoEndpoint": stack.aws_url}, username, "A-password-of-my-own-1")


def test_the_code_of_an_authenticator_app(visitor: Visitor, alice: Person) -> None:
    visitor.forgive("400")
    page = visitor.open()
    challenge = {"ChallengeName": "SOFTWARE_TOKEN_MFA", "Session": "s", "ChallengeParameters": {"USER_ID_FOR_SRP": "u"}}
    signed_in: list[Any] = []

    def ask_for_a_code(route: Route) -> None:
        signed_in.append(route.fetch().json())
        answer(route, 200, challenge)

    def judge(route: Route) -> None:
        right = {"USERNAME": "u", "SOFTWARE_TOKEN_MFA_CODE": "123456"}
        if (route.request.post_data_json or {})["ChallengeResponses"] == right:
            answer(route, 200, signed_in[0])
        else:
            answer(route, 400, {"__type": "CodeMismatchException", "message": ""})

    _on(page, "InitiateAuth", ask_for_a_code)
    _on(page, "RespondToAuthChallenge", judge)
    sign_in(page, alice)
    expect(heading(page)).to_have_text("Enter your code")
    code = page.get_by_label("Code", exact=True)
    expect(code).to_be_focused()
    code.fill("111111")
    code.press("Enter")
    expect(code).to_have_accessible_description("That is not the code. Look again.")
    code.fill("123 456")
    code.press("Enter")
    expect(edit_button(page)).to_be_visible()


def test_a_challenge_that_was_left_too_long_starts_again(visitor: Visitor, alice: Person) -> None:
    visitor.forgive("400")
    page = visitor.open()
    challenge = {"ChallengeName": "SOFTWARE_TOKEN_MFA", "Session": "s", "ChallengeParameters": {}}
    _on(page, "InitiateAuth", lambda route: answer(route, 200, challenge))
    _refuse(page, "RespondToAuthChallenge", "NotAuthorizedException", "Invalid session for the user.")
    sign_in(page, alice)
    page.get_by_label("Code", exact=True).fill("123456")
    page.get_by_label("Code", exact=True).press("Enter")
    expect(page.get_by_text("That took too long. Sign in once more.")).to_be_visible()
    expect(page.get_by_label("Email")).to_have_value(alice.username)
    expect(page.get_by_label("Password")).to_be_focused()


def test_a_forgotten_password_is_set_anew(visitor: Visitor, alice: Person) -> None:
    visitor.forgive("400")
    page = visitor.open()
    page.get_by_label("Email").fill(alice.username)
    page.get_by_role("button", name="Forgot password?").click()
    expect(page.get_by_label("Email")).to_have_value(alice.username)
    page.get_by_role("button", name="Send the code").click()
    expect(page.get_by_text(f"If {alice.username} has an account here")).to_be_visible()
    # Moto takes any code but one of its own that is wrong.
    page.get_by_label("Code", exact=True).fill("moto-confirmation-code:0")
    page.get_by_label("New password", exact=True).fill("Another-password-1")
    page.get_by_role("button", name="Save and sign in").click()
    expect(page.get_by_label("Code", exact=True)).to_have_accessible_description(re.compile("too old"))
    page.get_by_label("Code", exact=True).fill("123456")
    page.get_by_role("button", name="Save and sign in").click()
    expect(edit_button(page)).to_be_visible()


def test_asking_for_a_code_does_not_tell_who_has_an_account(visitor: Visitor) -> None:
    visitor.forgive("400")
    page = visitor.open()
    _refuse(page, "ForgotPassword", "UserNotFoundException")
    page.get_by_role("button", name="Forgot password?").click()
    page.get_by_label("Email").fill("nobody@example.com")
    page.get_by_role("button", name="Send the code").click()
    expect(page.get_by_text("If nobody@example.com has an account here")).to_be_visible()


def test_a_password_that_an_administrator_reset(visitor: Visitor, alice: Person) -> None:
    visitor.forgive("400")
    page = visitor.open()
    _refuse(page, "InitiateAuth", "PasswordResetRequiredException")
    sign_in(page, alice)
    expect(heading(page)).to_have_text("Set a new password")
    page.unroute_all()
    page.get_by_label("Code", exact=True).fill("123456")
    page.get_by_label("New password", exact=True).fill("Another-password-2")
    page.get_by_role("button", name="Save and sign in").click()
    expect(edit_button(page)).to_be_visible()


def test_signing_in_from_anothers_profile_comes_back_to_it(
    visitor: Visitor, alice: Person, new_person: Callable[..., Person]
) -> None:
    handle = new_person(display_name="Bob").get()["handle"]
    page = visitor.open(handle)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Back to the profile").click()
    expect(heading(page)).to_have_text("Bob")
    page.get_by_role("button", name="Sign in").click()
    sign_in(page, alice)
    expect(heading(page)).to_have_text("Bob")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    assert page.url.endswith(f"?handle={handle}")


def _on(page: Page, operation: str, handler: Callable[[Route], None]) -> None:
    def choose(route: Route) -> None:
        if _operation(route.request) == operation:
            handler(route)
        else:
            route.fallback()

    page.route("**/*", choose)


def _refuse(page: Page, operation: str, code: str, message: str = "") -> None:
    _on(page, operation, lambda route: answer(route, 400, {"__type": code, "message": message}))


# Editing


def test_saving_shows_the_new_values_without_a_reload(visitor: Visitor, alice: Person) -> None:
    page = visitor.sign_in(alice)
    page.evaluate("window.notReloaded = true")
    edit_button(page).focus()
    page.keyboard.press("Enter")
    expect(dialog(page)).to_be_visible()
    expect(page.get_by_label("Display name")).to_be_focused()
    handle = f"changed_{next(_numbers)}"
    page.get_by_label("Display name").fill("  Alicia  ")
    page.get_by_label("Handle").fill(handle)
    page.get_by_label("Bio").fill("One line\nand another")
    page.get_by_label("Display name").press("Enter")
    expect(dialog(page)).to_be_hidden()
    expect(edit_button(page)).to_be_focused()
    expect(heading(page)).to_have_text("Alicia")
    expect(page).to_have_title(f"Alicia (@{handle})")
    expect(page.get_by_text("Saved.")).to_be_visible()
    assert page.locator(".bio").inner_text() == "One line\nand another"
    assert page.url.endswith(f"?handle={handle}")
    assert page.evaluate("window.notReloaded")
    assert alice.get() == {
        "subject": alice.session.subject,
        "handle": handle,
        "display_name": "Alicia",
        "bio": "One line\nand another",
        "avatar": None,
    }


@pytest.mark.parametrize(
    ("label", "value", "sentence"),
    [
        ("Display name", " ", "Enter a name."),
        ("Display name", "é" * 51, "Use at most 50 characters. These are 51."),
        ("Display name", "a\u202eb", "Remove the control characters."),
        ("Display name", "\u200b\u2800", "Enter a name that can be seen."),
        ("Handle", "No", "Use 3 to 30 small letters (a to z), digits and underscores."),
        ("Handle", "a" * 31, "Use 3 to 30 small letters (a to z), digits and underscores."),
        ("Bio", "😀" * 501, "Use at most 500 characters. These are 501."),
        ("Bio", "a\u0007", "Remove the control characters."),
    ],
)
def test_a_wrong_value_is_told_as_the_server_would_and_is_not_sent(
    visitor: Visitor, alice: Person, label: str, value: str, sentence: str
) -> None:
    page = visitor.sign_in(alice)
    edit_button(page).click()
    page.get_by_label(label).fill(value)
    save(page)
    field = page.get_by_label(label)
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()
    expect(field).to_have_accessible_description(re.compile("^" + re.escape(sentence)))
    assert visitor.asked("PUT profile") == []
    name = {"Display name": "display_name", "Handle": "handle", "Bio": "bio"}[label]
    refused = requests.put(
        f"{alice.stack.api_url}/profile",
        json={"display_name": "Alice", name: value},
        headers={"Authorization": f"Bearer {alice.session.access_token}"},
        timeout=30,
    )
    assert refused.json()["error"]["fields"] == {name: sentence}


def test_lengths_are_counted_as_people_count(visitor: Visitor, alice: Person) -> None:
    page = visitor.sign_in(alice)
    edit_button(page).click()
    name = page.get_by_label("Display name")
    name.fill("😀e\u0301")
    expect(name).to_have_accessible_description("2 of 50")
    name.fill("x" * 53)
    expect(name).to_have_accessible_description("3 too many")
    name.fill("😀" * 50)
    save(page)
    expect(heading(page)).to_have_text("😀" * 50)


def test_what_the_server_refuses_is_told_at_the_fields_and_nothing_typed_is_lost(
    visitor: Visitor, alice: Person, new_person: Callable[..., Person]
) -> None:
    taken = new_person().get()["handle"]
    visitor.forgive("422")
    page = visitor.sign_in(alice)
    edit_button(page).click()
    page.get_by_label("Display name").fill("Somebody")
    page.get_by_label("Handle").fill(taken)
    save(page)
    expect(page.get_by_label("Handle")).to_have_accessible_description(re.compile("taken"))
    expect(page.get_by_label("Handle")).to_be_focused()
    expect(page.get_by_label("Display name")).to_have_value("Somebody")
    expect(heading(page)).to_have_text("Alice Ackermann")
    assert alice.get()["display_name"] == "Alice Ackermann"


def test_every_field_the_server_names_is_marked(visitor: Visitor, alice: Person) -> None:
    visitor.forgive("422")
    page = visitor.sign_in(alice)
    fields = {"display_name": "A name.", "bio": "A bio.", "colour": "No such field."}
    error = {"code": "invalid_profile", "message": "wrong", "fields": fields}
    _on(page, "PUT profile", lambda route: answer(route, 422, {"error": error}))
    edit_button(page).click()
    save(page)
    expect(page.get_by_label("Display name")).to_have_accessible_description(re.compile(r"^A name\."))
    expect(page.get_by_label("Bio")).to_have_accessible_description(re.compile(r"^A bio\."))
    expect(page.get_by_label("Handle")).not_to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Display name")).to_be_focused()
    expect(dialog(page).locator(".failure")).to_contain_text("No such field.")


def test_the_form_has_what_the_server_has_now(visitor: Visitor, alice: Person) -> None:
    page = visitor.sign_in(alice)
    picture(page).evaluate("image => (image.isTheFormer = true)")
    handle = f"phone_{next(_numbers)}"
    alice.put(display_name="From my phone", bio="new", handle=handle)
    edit_button(page).click()
    expect(page.get_by_label("Display name")).to_have_value("From my phone")
    expect(page.get_by_label("Bio")).to_have_value("new")
    expect(page.get_by_label("Handle")).to_have_value(handle)
    expect(page).to_have_url(re.compile(f"handle={handle}$"))
    page.get_by_role("button", name="Cancel").click()
    expect(heading(page)).to_have_text("From my phone")
    expect(picture(page)).to_have_attribute("alt", "From my phone has no profile picture to show")
    assert picture(page).evaluate("image => image.isTheFormer")


def test_what_was_changed_elsewhere_does_not_replace_what_is_being_typed(visitor: Visitor, alice: Person) -> None:
    page = visitor.sign_in(alice)
    held: list[Route] = []
    _on(page, "GET profile", lambda route: held.append(route))
    alice.put(display_name="From my phone", bio="from my phone")
    edit_button(page).click()
    page.get_by_label("Bio").fill("typed")
    wait_until(lambda: bool(held) or page.wait_for_timeout(20), "the form asks for the profile")
    held[0].continue_()
    expect(page.get_by_label("Display name")).to_have_value("From my phone")
    expect(page.get_by_label("Bio")).to_have_value("typed")
    expect(dialog(page).get_by_text("This was changed elsewhere meanwhile.")).to_be_visible()


def test_nobody_can_edit_anothers_profile(visitor: Visitor, alice: Person, new_person: Callable[..., Person]) -> None:
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


def test_the_keyboard_reaches_everything_in_order(visitor: Visitor, alice: Person) -> None:
    page = visitor.sign_in(alice)
    page.reload()
    expect(edit_button(page)).to_be_visible()
    reached: list[str] = []
    for _ in range(3):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.textContent"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert reached == ["avatars", "Sign out", "Edit profile"]


def test_closing_asks_once_about_what_would_be_lost(visitor: Visitor, alice: Person) -> None:
    page = visitor.sign_in(alice)
    for close in (
        lambda: page.keyboard.press("Escape"),
        page.get_by_role("button", name="Cancel").click,
        partial(page.mouse.click, 3, 3),
    ):
        edit_button(page).click()
        page.get_by_label("Bio").fill("half a sentence")
        close()
        expect(page.get_by_text("Close without saving your changes?")).to_be_visible()
        expect(page.get_by_role("button", name="Keep editing")).to_be_focused()
        page.get_by_role("button", name="Keep editing").click()
        expect(page.get_by_label("Bio")).to_have_value("half a sentence")
        close()
        page.get_by_role("button", name="Discard").click()
        expect(dialog(page)).to_be_hidden()
        expect(edit_button(page)).to_be_focused()
    edit_button(page).click()
    expect(page.get_by_label("Bio")).to_have_value("Makes small things that last.\n\nBerlin")
    page.keyboard.press("Escape")
    expect(dialog(page)).to_be_hidden()
    assert visitor.asked("PUT profile") == []


def test_dragging_a_selection_out_of_the_form_does_not_close_it(visitor: Visitor, alice: Person) -> None:
    page = visitor.sign_in(alice)
    edit_button(page).click()
    box = page.get_by_label("Display name").bounding_box()
    assert box
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(3, 3)
    page.mouse.up()
    expect(dialog(page)).to_be_visible()


def test_saving_is_sent_once_and_can_be_given_up(visitor: Visitor, alice: Person) -> None:
    page = visitor.sign_in(alice)
    held: list[Route] = []
    _on(page, "PUT profile", lambda route: held.append(route))
    edit_button(page).click()
    page.get_by_label("Bio").fill("slow")
    save(page)
    expect(dialog(page).get_by_role("button", name="Save")).to_be_disabled()
    expect(dialog(page).get_by_text("Saving…")).to_be_visible()
    page.get_by_label("Display name").press("Enter")
    visitor.forgive("ERR_FAILED|ERR_ABORTED")
    page.keyboard.press("Escape")
    expect(dialog(page)).to_be_hidden()
    expect(page.locator(".bio")).to_contain_text("Makes small things")
    edit_button(page).click()
    expect(dialog(page).get_by_role("button", name="Save")).to_be_enabled()
    assert len(held) == 1


def test_a_save_that_does_not_arrive_keeps_what_was_typed(visitor: Visitor, alice: Person) -> None:
    visitor.forgive("ERR_FAILED|500")
    page = visitor.sign_in(alice)
    edit_button(page).click()
    page.get_by_label("Bio").fill("precious")
    for fail in (lambda route: route.abort(), lambda route: answer(route, 500, {"message": "Internal Server Error"})):
        _on(page, "PUT profile", fail)
        save(page)
        expect(dialog(page).locator(".failure")).to_contain_text("Not saved")
        expect(dialog(page).get_by_role("button", name="Save")).to_be_focused()
        page.unroute_all()
    expect(page.get_by_label("Bio")).to_have_value("precious")
    save(page)
    expect(page.locator(".bio")).to_have_text("precious")


def test_a_new_picture_is_shown_at_once_and_in_other_tabs(visitor: Visitor, alice: Person) -> None:
    page = visitor.sign_in(alice)
    other = visitor.open(alice.get()["handle"])
    expect(picture(other)).to_have_attribute("src", DEFAULT_AVATAR)
    edit_button(page).click()
    page.get_by_label("Bio").fill("not saved")
    page.locator("avatar-upload input[type=file]").first.set_input_files(PHOTO)
    page.locator("avatar-upload").get_by_role("button", name="Use this photo").click()
    for tab in (page, other):
        expect(picture(tab)).to_have_attribute("src", re.compile(r"/512\.webp$"), timeout=20_000)
        assert picture(tab).evaluate("image => image.naturalWidth") > 0
    expect(page.get_by_label("Bio")).to_have_value("not saved")
    stored = alice.get()
    assert picture(page).get_attribute("src") == stored["avatar"]["images"][0]["url"]
    assert stored["bio"] != "not saved"


# More than one tab


def test_an_edit_in_one_tab_shows_in_the_others(visitor: Visitor, alice: Person) -> None:
    page = visitor.sign_in(alice)
    other = visitor.open()
    expect(edit_button(other)).to_be_visible()
    handle = f"both_{next(_numbers)}"
    edit_button(page).click()
    page.get_by_label("Display name").fill("In both")
    page.get_by_label("Handle").fill(handle)
    save(page)
    expect(heading(other)).to_have_text("In both")
    expect(other).to_have_url(re.compile(f"handle={handle}$"))


def test_a_form_that_is_open_in_another_tab_follows(visitor: Visitor, alice: Person) -> None:
    page = visitor.sign_in(alice)
    other = visitor.open()
    edit_button(other).click()
    other.get_by_label("Bio").fill("typed here")
    edit_button(page).click()
    page.get_by_label("Display name").fill("In both")
    save(page)
    expect(other.get_by_label("Display name")).to_have_value("In both")
    expect(other.get_by_label("Bio")).to_have_value("typed here")
    save(other)
    expect(page.locator(".bio")).to_have_text("typed here")
    assert alice.get()["display_name"] == "In both"


def test_a_new_tab_is_signed_in_and_signing_out_is_for_all(visitor: Visitor, alice: Person) -> None:
    page = visitor.sign_in(alice)
    other = visitor.open()
    expect(edit_button(other)).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(other.get_by_text("You were signed out in another tab.")).to_be_visible()
    expect(edit_button(other)).to_be_hidden()
    assert other.evaluate("sessionStorage.length") == 0
    third = visitor.open()
    expect(heading(third)).to_have_text("Sign in")


def test_signing_in_in_one_tab_signs_in_those_that_wait(visitor: Visitor, alice: Person) -> None:
    waiting = visitor.open()
    expect(heading(waiting)).to_have_text("Sign in")
    visitor.sign_in(alice)
    expect(edit_button(waiting)).to_be_visible()


# Sessions that end


def test_a_token_that_is_refused_is_renewed_once(visitor: Visitor, alice: Person) -> None:
    visitor.forgive("403")
    page = visitor.sign_in(alice)
    refused = iter([True])

    def refuse_first(route: Route) -> None:
        if next(refused, False):
            answer(route, 403, {"message": "Forbidden"})
        else:
            route.fallback()

    edit_button(page).click()
    page.get_by_label("Bio").fill("renewed")
    _on(page, "PUT profile", refuse_first)
    save(page)
    expect(page.locator(".bio")).to_have_text("renewed")
    assert [body["AuthFlow"] for body in visitor.asked("InitiateAuth")] == ["USER_PASSWORD_AUTH", "REFRESH_TOKEN_AUTH"]
    assert len(visitor.asked("PUT profile")) == 2


def test_a_session_whose_tokens_are_never_accepted_has_ended(visitor: Visitor, alice: Person) -> None:
    visitor.forgive("403")
    page = visitor.sign_in(alice)
    edit_button(page).click()
    page.get_by_label("Bio").fill("refused twice")
    _on(page, "PUT profile", lambda route: answer(route, 403, {"message": "Forbidden"}))
    save(page)
    expect(page.get_by_text("Your session has ended.")).to_be_visible()
    expect(heading(page)).to_have_text("Sign in")
    assert len(visitor.asked("PUT profile")) == 2


def test_a_token_is_renewed_before_it_expires(visitor: Visitor, alice: Person) -> None:
    page = visitor.open()
    page.clock.install()
    page.reload()
    sign_in(page, alice)
    expect(edit_button(page)).to_be_visible()
    page.clock.fast_forward("58:00")
    edit_button(page).click()
    page.get_by_role("button", name="Cancel").click()
    assert len(visitor.asked("InitiateAuth")) == 1
    page.clock.fast_forward("01:30")
    edit_button(page).click()
    wait_until(lambda: len(visitor.asked("InitiateAuth")) == 2 or page.wait_for_timeout(20), "the token is renewed")
    assert visitor.asked("InitiateAuth")[1]["AuthFlow"] == "REFRESH_TOKEN_AUTH"


def test_a_session_that_ended_asks_to_sign_in_and_goes_on_with_what_was_typed(visitor: Visitor, alice: Person) -> None:
    page = _with_an_ended_session(visitor, alice)
    sign_in(page, alice)
    expect(page.get_by_label("Bio")).to_have_value("precious")
    save(page)
    expect(page.locator(".bio")).to_have_text("precious")
    expect(edit_button(page)).to_be_focused()


def test_an_upload_for_which_the_session_was_too_old_goes_on_after_signing_in(visitor: Visitor, alice: Person) -> None:
    visitor.forgive("40[01]")
    page = visitor.sign_in(alice)
    edit_button(page).click()
    alice.lose_every_session()
    _on(page, "POST avatars/key_upload", lambda route: answer(route, 401, {"message": "Unauthorized"}))
    page.locator("avatar-upload input[type=file]").first.set_input_files(PHOTO)
    page.get_by_role("button", name="Use this photo").click()
    expect(page.get_by_text("Your session has ended.").first).to_be_visible()
    expect(heading(page)).to_have_text("Sign in")
    page.unroute_all()
    sign_in(page, alice)
    page.get_by_role("button", name="Try again").click()
    expect(picture(page)).to_have_attribute("src", re.compile(r"/512\.webp$"), timeout=20_000)


def test_what_was_typed_is_not_shown_to_whoever_signs_in_next(
    visitor: Visitor, alice: Person, new_person: Callable[..., Person]
) -> None:
    page = _with_an_ended_session(visitor, alice)
    page.unroute_all()
    bob = new_person(display_name="Bob", bio="Bob's words")
    sign_in(page, bob)
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    page.get_by_role("link", name="Your profile").click()
    edit_button(page).click()
    expect(page.get_by_label("Bio")).to_have_value("Bob's words")


def _with_an_ended_session(visitor: Visitor, person: Person) -> Page:
    visitor.forgive("40[013]")
    page = visitor.sign_in(person)
    edit_button(page).click()
    page.get_by_label("Bio").fill("precious")
    person.lose_every_session()
    _on(page, "PUT profile", lambda route: answer(route, 401, {"message": "Unauthorized"}))
    save(page)
    expect(page.get_by_text("Your session has ended.")).to_contain_text("What you typed is kept.")
    expect(dialog(page)).to_be_hidden()
    page.unroute_all()
    return page


def test_a_session_that_ended_while_away_is_told_at_the_reload(visitor: Visitor, alice: Person) -> None:
    visitor.forgive("400")
    page = visitor.sign_in(alice)
    alice.lose_every_session()
    page.reload()
    expect(page.get_by_text("Your session has ended.")).to_be_visible()
    expect(heading(page)).to_have_text("Alice Ackermann")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0


# A network and a database that are not there


def test_without_a_connection_one_can_try_again(visitor: Visitor, alice: Person) -> None:
    visitor.forgive("ERR_FAILED")
    handle = alice.get()["handle"]
    visitor.context.route(f"**/profiles/{handle}", lambda route: route.abort())
    page = visitor.open(handle)
    expect(heading(page)).to_have_text("The profile could not be loaded")
    visitor.context.unroute(f"**/profiles/{handle}")
    page.get_by_role("button", name="Try again").click()
    expect(heading(page)).to_have_text("Alice Ackermann")
    expect(heading(page)).to_be_focused()


def test_a_database_that_wakes_up_is_waited_for(visitor: Visitor, alice: Person) -> None:
    visitor.forgive("503")
    asleep = iter(range(2))

    def sleepy(route: Route) -> None:
        if next(asleep, None) is None:
            route.fallback()
        else:
            answer(route, 503, {"error": {"code": "unavailable", "message": "asleep"}})

    handle = alice.get()["handle"]
    visitor.context.route(f"**/profiles/{handle}", sleepy)
    page = visitor.open(handle)
    expect(page.get_by_text("The database is waking up")).to_be_visible()
    expect(heading(page)).to_have_text("Alice Ackermann")
    expect(page.get_by_text("The database is waking up")).to_be_hidden()


def test_a_database_that_stays_away_is_given_up(visitor: Visitor) -> None:
    visitor.forgive("503")
    visitor.context.route("**/profiles/*", lambda route: answer(route, 503, {"message": "Service Unavailable"}))
    visitor.context.clock.install()
    page = visitor.open("somebody")
    expect(page.get_by_text("The database is waking up")).to_be_visible()
    # Again and again: a pause that begins after time has passed is not over by it.
    wait_until(
        lambda: len(visitor.asked("GET profiles/somebody")) == 6 or page.clock.fast_forward(1_000), "the last request"
    )
    expect(page.get_by_text("The database did not wake up.")).to_be_visible()
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    assert len(visitor.asked("GET profiles/somebody")) == 6


def test_a_save_waits_for_the_database_too(visitor: Visitor, alice: Person) -> None:
    visitor.forgive("503")
    page = visitor.sign_in(alice)
    edit_button(page).click()
    page.get_by_label("Bio").fill("patient")
    asleep = iter([True])

    def sleepy(route: Route) -> None:
        if next(asleep, False):
            answer(route, 503, {"error": {"code": "unavailable", "message": "asleep"}})
        else:
            route.fallback()

    _on(page, "PUT profile", sleepy)
    save(page)
    expect(dialog(page).get_by_text("The database is waking up.")).to_be_visible()
    expect(page.locator(".bio")).to_have_text("patient")


def test_on_a_slow_network_nothing_jumps(visitor: Visitor, alice: Person) -> None:
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
    expect(picture(page)).to_have_attribute("src", re.compile("512"), timeout=15_000)
    assert page.evaluate("window.shift") < 0.01


# Looks


STATES: dict[str, Callable[[Visitor, Person], Page]] = {}


def state(make: Callable[[Visitor, Person], Page]) -> Callable[[Visitor, Person], Page]:
    STATES[make.__name__.strip("_")] = make
    return make


@state
def _public(visitor: Visitor, person: Person) -> Page:
    page = visitor.open(person.get()["handle"])
    expect(picture(page)).to_be_visible()
    return page


@state
def _loading(visitor: Visitor, person: Person) -> Page:
    visitor.context.route("**/profiles/*", lambda route: None)
    return visitor.open(person.get()["handle"])


@state
def _missing(visitor: Visitor, _person: Person) -> Page:
    page = visitor.open("no-such-handle-" + "x" * 60)
    expect(heading(page)).to_contain_text("There is no profile")
    return page


@state
def _failed(visitor: Visitor, person: Person) -> Page:
    visitor.forgive("ERR_FAILED")
    visitor.context.route("**/profiles/*", lambda route: route.abort())
    page = visitor.open(person.get()["handle"])
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    return page


@state
def _signing_in(visitor: Visitor, _person: Person) -> Page:
    page = visitor.open()
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("Enter your password.")).to_be_visible()
    return page


@state
def _forgotten(visitor: Visitor, person: Person) -> Page:
    page = visitor.open()
    page.get_by_label("Email").fill(person.username)
    page.get_by_role("button", name="Forgot password?").click()
    page.get_by_role("button", name="Send the code").click()
    expect(heading(page)).to_have_text("Set a new password")
    return page


@state
def _own(visitor: Visitor, person: Person) -> Page:
    return visitor.sign_in(person)


@state
def _editing(visitor: Visitor, person: Person) -> Page:
    page = visitor.sign_in(person)
    edit_button(page).click()
    page.get_by_label("Display name").fill("")
    page.get_by_label("Bio").fill("x" * 501)
    save(page)
    return page


@state
def _leaving(visitor: Visitor, person: Person) -> Page:
    page = visitor.sign_in(person)
    edit_button(page).click()
    page.get_by_label("Bio").fill("half a sentence")
    page.keyboard.press("Escape")
    return page


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 320)])
@pytest.mark.parametrize("name", STATES)
def test_every_state_is_accessible_and_fits(
    new_visitor: Callable[..., Visitor], alice: Person, name: str, scheme: str, width: int
) -> None:
    visitor = new_visitor(color_scheme=scheme, viewport={"width": width, "height": 800})
    page = STATES[name](visitor, alice)
    page.screenshot(path=SCREENSHOTS / f"{name.strip('_')}-{scheme}-{width}.png")
    found = Axe().run(page).response["violations"]
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []
    assert page.locator("h1").count() == 1
    assert page.get_by_role("main").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth") <= width


PAIRS = [
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
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_every_hue(new_visitor: Callable[..., Visitor], scheme: str) -> None:
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
        PAIRS,
    )
    assert len(ratios) == 36 * len(PAIRS)
    assert [each for each in ratios if each[0] < 4.5] == []


def test_the_widget_looks_like_the_rest(visitor: Visitor, alice: Person) -> None:
    page = visitor.sign_in(alice)
    edit_button(page).click()
    colour = "button => getComputedStyle(button).backgroundColor"
    choose = page.get_by_role("button", name="Change photo")
    assert choose.evaluate(colour) == dialog(page).get_by_role("button", name="Save").evaluate(colour)


def test_who_wants_no_motion_gets_none(new_visitor: Callable[..., Visitor], alice: Person) -> None:
    moving = "document.getAnimations().some((animation) => animation.effect.getTiming().duration > 0)"
    for motion, expected in (("reduce", False), ("no-preference", True)):
        page = _loading(new_visitor(reduced_motion=motion), alice)
        assert page.evaluate(moving) is expected


def test_in_forced_colours_everything_has_an_edge(new_visitor: Callable[..., Visitor], alice: Person) -> None:
    page = new_visitor(forced_colors="active").sign_in(alice)
    for part in (edit_button(page), page.get_by_role("button", name="Sign out"), page.get_by_role("article")):
        style = part.evaluate("part => [getComputedStyle(part).borderStyle, getComputedStyle(part).borderColor]")
        assert style[0] == "solid"
        assert not style[1].startswith("rgba(0, 0, 0, 0")


# How it is served


def test_every_module_is_asked_for_at_once(visitor: Visitor) -> None:
    template = (PROFILE / "profile.html").read_text()
    named = set(re.findall(r'href="\$\{base\}profile/([\w-]+\.js)"', template)) | {"page.js"}
    assert named == {path.name for path in PROFILE.glob("*.js")}
    page = visitor.open()
    expect(heading(page)).to_have_text("Sign in")
    loaded = {request.url.rsplit("/", 1)[1] for request in visitor.requests if "/profile/" in request.url}
    assert named <= loaded


def test_the_policy_bites(visitor: Visitor) -> None:
    visitor.forgive("Content Security Policy|Trusted(HTML|Script)")
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
