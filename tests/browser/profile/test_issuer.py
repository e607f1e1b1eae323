"""web/profile/issuer.js and issuer-sign-in.js: signing in and out at the page of an OpenID Connect issuer."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
from playwright.sync_api import Browser, Locator, Page, Route, expect

from local.stack import LocalStack, read_config
from tests.browser.profile.test_appearance import assert_passes_axe_in
from tests.browser.profile.visitor import (
    STORAGE_KEY,
    Visitor,
    avatar_image,
    edit_button,
    fulfill_json,
    heading,
    route_operation,
    save,
)
from tests.browser.tabs import Tabs
from tests.local.conftest import PHOTO, create_user, wait_until
from tests.local.conftest import sign_in as create_session

NO_CONNECTION = "No connection to the service that signs you in."
NOT_STARTED_HERE = "This sign-in was not started here, or is over. Sign in again."
NOT_ACCEPTED = "Signing in failed: the service that signs you in gave an answer that this page does not accept."


@dataclass(frozen=True)
class User:
    username: str
    password: str


@pytest.fixture(scope="module")
def issuer_stack(browser: Browser) -> Generator[LocalStack]:
    assert browser.is_connected()
    with ThreadPoolExecutor() as executor:  # a thread without Playwright's event loop
        stack = executor.submit(LocalStack, read_config("dev")[0], openid=True).result()
    with stack:
        yield stack


@pytest.fixture
def visitor(tabs: Tabs, issuer_stack: LocalStack) -> Generator[Visitor]:
    with tabs.use(issuer_stack.exports["avatarUploadUrl"]) as tab:
        visitor = Visitor(tab, issuer_stack)
        yield visitor
    visitor.close()


@pytest.fixture
def user(issuer_stack: LocalStack) -> User:
    return User(*create_user(issuer_stack))


@pytest.fixture(scope="module")
def handle(issuer_stack: LocalStack) -> str:
    """The handle of somebody else's profile."""
    token = create_session(issuer_stack).access_token
    profile = {"display_name": "Bob", "handle": "bob", "bio": ""}
    requests.put(
        f"{issuer_stack.api_url}/profile", json=profile, headers={"Authorization": f"Bearer {token}"}, timeout=10
    ).raise_for_status()
    return "bob"


def build_response(stack: LocalStack, **parameters: str) -> str:
    """The profile page's URL with a response of the issuer."""
    assert stack.openid
    return f"{stack.exports['profileUrl']}?{urlencode({'iss': stack.openid.url, **parameters})}"


def sign_in_button(page: Page) -> Locator:
    return page.get_by_role("button", name="Sign in")


def enter_credentials(page: Page, user: User) -> None:
    page.get_by_label("User name").fill(user.username)
    page.get_by_label("Password").fill(user.password)
    sign_in_button(page).click()


def sign_in(visitor: Visitor, user: User) -> Page:
    """Opens a tab with the user's own profile."""
    page = visitor.open()
    sign_in_button(page).click()
    enter_credentials(page, user)
    expect(edit_button(page)).to_be_visible()
    return page


def find_requests(visitor: Visitor, path: str) -> list[dict[str, str]]:
    """The queries of requests for a path."""
    urls = [urlsplit(request.url) for request in visitor.requests]
    return [{name: values[0] for name, values in parse_qs(url.query).items()} for url in urls if url.path == path]


def count_grants(visitor: Visitor, grant: str) -> int:
    return [body["grant_type"] for body in visitor.request_bodies("POST token")].count(grant)


def open_response(visitor: Visitor, issuer_stack: LocalStack, page: Page, **response: str) -> None:
    """Goes to the issuer's page, and from there back to the profile page with another response than the issuer's."""
    sign_in_button(page).click()
    page.get_by_label("User name").wait_for()
    state = find_requests(visitor, "/auth")[-1]["state"]
    page.goto(build_response(issuer_stack, state=state, **response))


def test_sign_in_returns_to_the_profile_in_the_url(
    visitor: Visitor, issuer_stack: LocalStack, user: User, handle: str
) -> None:
    page = visitor.open(handle)
    expect(heading(page)).to_have_text("Bob")
    sign_in_button(page).click()
    enter_credentials(page, user)
    expect(page.get_by_role("link", name="Your profile")).to_be_visible()
    expect(heading(page)).to_have_text("Bob")
    assert page.url == f"{issuer_stack.exports['profileUrl']}?handle={handle}"
    (request,) = find_requests(visitor, "/auth")
    assert all(len(request.pop(name)) >= 43 for name in ("state", "nonce", "code_challenge"))
    assert request == {
        "response_type": "code",
        "client_id": "profile-page",
        "redirect_uri": issuer_stack.exports["profileUrl"],
        "scope": "openid offline_access",
        "audience": "https://avatars.example.com",
        "code_challenge_method": "S256",
    }
    assert [request.url for request in visitor.requests if "code=" in request.headers.get("referer", "")] == []
    assert page.evaluate("[Object.keys(sessionStorage), localStorage.length]") == [[STORAGE_KEY], 0]
    page.reload()
    expect(page.get_by_role("link", name="Your profile")).to_be_visible()


def test_upload_shows_avatar_of_hashed_subject(visitor: Visitor, user: User) -> None:
    page = sign_in(visitor, user)
    edit_button(page).click()
    page.locator("avatar-upload input[type=file]").first.set_input_files(PHOTO)
    page.get_by_role("button", name="Use this photo").click()
    expect(avatar_image(page)).to_have_attribute("src", re.compile(r"^/avatars/[0-9a-f]{64}/"), timeout=20_000)
    page.reload()
    expect(avatar_image(page)).to_have_attribute("src", re.compile(r"^/avatars/[0-9a-f]{64}/"))
    assert avatar_image(page).evaluate("image => image.naturalWidth") > 0


def test_sign_out_ends_session_in_all_tabs_and_at_issuer(visitor: Visitor, user: User, handle: str) -> None:
    page = sign_in(visitor, user)
    token = page.evaluate(f"sessionStorage.getItem('{STORAGE_KEY}')")
    other = visitor.open(handle)
    expect(other.get_by_role("link", name="Your profile")).to_be_visible()
    other.get_by_role("button", name="Sign out").click()
    other.get_by_role("button", name="Sign out").click()  # the issuer asks, too
    expect(other.get_by_text("You are signed out.")).to_be_visible()
    expect(heading(other)).to_have_text("Bob")
    assert other.url.endswith(f"/profile?handle={handle}")
    expect(page.get_by_text("You were signed out in another tab.")).to_be_visible()
    assert [tab.evaluate("sessionStorage.length") for tab in (page, other)] == [0, 0]
    assert [body["token"] for body in visitor.request_bodies("POST token/revocation")] == [token]
    sign_in_button(other).click()
    expect(other.get_by_label("User name")).to_be_visible()


def test_two_tabs_renew_one_at_a_time(visitor: Visitor, user: User) -> None:
    page = sign_in(visitor, user)
    other = visitor.open()
    expect(edit_button(other)).to_be_visible()
    assert count_grants(visitor, "refresh_token") == 0
    held: list[Route] = []
    visitor.context.route("**/token", lambda route: held.append(route))
    for number, (first, second) in enumerate(((page, other), (other, page)), 1):
        visitor.context.clock.fast_forward("59:30")
        edit_button(first).click()
        edit_button(second).click()
        wait_until(lambda: held or page.wait_for_timeout(20), "a tab renews the token")
        assert second.evaluate("navigator.locks.query().then(({ pending }) => pending.length)") == 1
        with second.expect_response("**/profile"):
            held.pop().continue_()
        assert (count_grants(visitor, "refresh_token"), held) == (number, [])
        for tab in (first, second):
            tab.locator("#edit-cancel").click()
            expect(edit_button(tab)).to_be_visible()
    tokens = [tab.evaluate(f"sessionStorage.getItem('{STORAGE_KEY}')") for tab in (page, other)]
    assert tokens[0] == tokens[1]
    assert tokens[0] not in [
        body["refresh_token"] for body in visitor.request_bodies("POST token") if "code" not in body
    ]


def test_refused_renewal_ends_session_and_keeps_draft(visitor: Visitor, user: User) -> None:
    visitor.allow_console_errors("40[01]")
    page = sign_in(visitor, user)
    edit_button(page).click()
    page.get_by_label("Bio").fill("precious")
    route_operation(page, "PUT profile", lambda route: fulfill_json(route, 401, {"message": "Unauthorized"}))
    route_operation(page, "POST token", lambda route: fulfill_json(route, 400, {"error": "invalid_grant"}))
    save(page)
    expect(page.get_by_text("Your session has ended.")).to_contain_text("What you typed is kept.")
    page.unroute_all()
    sign_in_button(page).click()  # the issuer still has a session
    expect(page.get_by_label("Bio")).to_have_value("precious")
    save(page)
    expect(page.locator(".bio")).to_have_text("precious")


def test_session_without_refresh_token_ends_with_access_token(visitor: Visitor, user: User) -> None:
    visitor.context.route("**/token", change_tokens(lambda tokens: tokens.pop("refresh_token")))
    page = sign_in(visitor, user)
    assert page.evaluate("sessionStorage.length") == 0
    page.clock.fast_forward("59:30")
    edit_button(page).click()
    expect(page.get_by_text("Your session has ended.")).to_be_visible()
    assert count_grants(visitor, "refresh_token") == 0


ERRORS = [
    ({"error": "server_error"}, "The service that signs you in has a problem. Try again in a minute."),
    ({"error": "invalid_scope", "error_description": "<b>No</b>"}, "Signing in failed. <b>No</b>"),
    ({"error": "toString"}, "Signing in failed. toString"),
    ({"code": "expired"}, "That took too long. Sign in once more."),
]


def test_error_of_the_issuer_is_said_in_words(
    visitor: Visitor, issuer_stack: LocalStack, user: User, handle: str
) -> None:
    visitor.allow_console_errors("400|AuthorizationResponseError")
    page = visitor.open(handle)
    for response, sentence in ERRORS:
        open_response(visitor, issuer_stack, page, **response)
        expect(page.get_by_role("alert")).to_have_text(sentence)
        assert page.url == f"{issuer_stack.exports['profileUrl']}?handle={handle}"
    sign_in_button(page).click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("alert")).to_have_text("Signing in was canceled, or refused to this account.")
    assert_passes_axe_in(page, "light", 1280)
    assert_passes_axe_in(page, "dark", 320)
    page.get_by_role("button", name="Back to the profile").click()
    expect(heading(page)).to_have_text("Bob")
    sign_in_button(page).click()
    enter_credentials(page, user)
    expect(page.get_by_role("link", name="Your profile")).to_be_visible()


def test_issuer_that_does_not_respond_can_be_retried(visitor: Visitor) -> None:
    visitor.allow_console_errors("ERR_FAILED")
    page = visitor.open()
    visitor.context.route("**/.well-known/openid-configuration", lambda route: route.abort())
    sign_in_button(page).click()
    expect(page.get_by_role("alert")).to_contain_text(NO_CONNECTION)
    visitor.context.unroute("**/.well-known/openid-configuration")
    sign_in_button(page).click()
    expect(page.get_by_label("User name")).to_be_visible()


def test_forged_response_signs_nobody_in(visitor: Visitor, issuer_stack: LocalStack, user: User, handle: str) -> None:
    forged = build_response(issuer_stack, code="x", state="y")
    page = visitor.open()
    sign_in_button(page).click()
    page.get_by_label("User name").wait_for()
    page.goto(forged)
    expect(page.get_by_role("alert")).to_have_text(NOT_STARTED_HERE)
    assert page.url == issuer_stack.exports["profileUrl"]
    sign_in_button(page).click()
    enter_credentials(page, user)
    expect(edit_button(page)).to_be_visible()
    own = heading(page).inner_text()
    page.goto(f"{forged}&handle={handle}")
    expect(heading(page)).to_have_text("Bob")
    expect(page.get_by_role("link", name="Your profile")).to_be_visible()
    page.goto(forged)
    expect(heading(page)).to_have_text(own)
    assert count_grants(visitor, "authorization_code") == 1


def test_response_is_accepted_once_and_in_its_tab_only(visitor: Visitor, issuer_stack: LocalStack, user: User) -> None:
    visitor.allow_console_errors("ERR_FAILED")
    page = visitor.open()
    sign_in_button(page).click()
    visitor.context.route("**/page.js", lambda route: route.abort())
    enter_credentials(page, user)
    page.wait_for_url("**/profile?code=*")
    response = page.url
    visitor.context.unroute("**/page.js")
    other = visitor.context.new_page()
    other.goto(response)
    expect(other.get_by_role("alert")).to_have_text(NOT_STARTED_HERE)
    page.reload()
    expect(edit_button(page)).to_be_visible()
    expect(edit_button(other)).to_be_visible()
    page.goto(response)
    expect(edit_button(page)).to_be_visible()
    assert count_grants(visitor, "authorization_code") == 1


def change_tokens(change: Callable[[dict[str, str]], object]) -> Callable[[Route], None]:
    """Changes the issuer's responses to a request for tokens."""

    def handle(route: Route) -> None:
        response = route.fetch()
        tokens = response.json()
        change(tokens)
        route.fulfill(response=response, json=tokens)

    return handle


def replace_claim(name: str, value: str) -> Callable[[Route], None]:
    def change(tokens: dict[str, str]) -> None:
        header, payload, signature = tokens["id_token"].split(".")
        claims = {**json.loads(base64.urlsafe_b64decode(f"{payload}==")), name: value}
        payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
        tokens["id_token"] = f"{header}.{payload}.{signature}"

    return change_tokens(change)


def test_response_or_id_token_of_another_sign_in_is_refused(
    visitor: Visitor, issuer_stack: LocalStack, user: User
) -> None:
    visitor.allow_console_errors("OperationProcessingError")
    page = visitor.open()
    open_response(visitor, issuer_stack, page, code="x", iss="https://issuer.example.com")
    expect(page.get_by_role("alert")).to_have_text(NOT_ACCEPTED)
    assert visitor.request_bodies("POST token") == []
    for claim in ("nonce", "aud", "iss"):
        visitor.context.route("**/token", replace_claim(claim, "another"))
        sign_in_button(page).click()
        if claim == "nonce":
            enter_credentials(page, user)
        expect(page.get_by_role("alert")).to_have_text(NOT_ACCEPTED)
        visitor.context.unroute("**/token")
    assert page.evaluate("sessionStorage.length") == 0
    expect(page.get_by_role("button", name="Sign out")).to_be_hidden()


def test_sign_in_without_storage_is_refused_in_words(visitor: Visitor, issuer_stack: LocalStack) -> None:
    with visitor.context.add_init_script(
        "Object.defineProperty(window, 'sessionStorage', { get() { throw new DOMException('', 'SecurityError'); } })"
    ):
        page = visitor.context.new_page()
        page.goto(issuer_stack.exports["profileUrl"])
    sign_in_button(page).click()
    expect(page.get_by_role("alert")).to_have_text("To sign in, allow this page to store data in your browser.")
