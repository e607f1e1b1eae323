"""The profile page as its visitors meet it, and the responses that tests put before the real ones."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import requests
from playwright.sync_api import ConsoleMessage, Locator, Page, Request, Route, WebError

from client.session import Session
from local.stack import LocalStack
from tests.browser.site import WEB

PROFILE = WEB / "profile"
DEFAULT_AVATAR = "/defaults/avatar.jpg"
STORAGE_KEY = "avatars-refresh-token"
_OTHER_TABS_WAIT_MS = 250
"""How long a tab without a session waits for the other tabs: web/profile/session.js."""
_numbers = itertools.count()


@dataclass(frozen=True)
class Person:
    """A user of the stack, with a profile of their own."""

    stack: LocalStack
    username: str
    password: str
    session: Session
    """Their session on another device."""

    def put(self, **profile: str) -> dict[str, Any]:
        return self._call(requests.put, profile)

    def get(self) -> dict[str, Any]:
        return self._call(requests.get)

    def _call(self, send: Callable[..., requests.Response], body: Mapping[str, str] | None = None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.session.access_token}"}
        response = send(f"{self.stack.api_url}/profile", json=body, headers=headers, timeout=30)
        assert response.status_code == 200, response.text
        return response.json()

    def revoke_all_sessions(self) -> None:
        pool = self.stack.exports["userPoolId"]
        self.stack.aws.client("cognito-idp").admin_user_global_sign_out(UserPoolId=pool, Username=self.username)


class Visitor:
    """Who uses a tab, and others of its context. Errors and warnings on their consoles fail the test at its end, unless
    the test allows them."""

    def __init__(self, tab: Page, stack: LocalStack) -> None:
        self.context = tab.context
        self._unused: Page | None = tab
        self._url = stack.exports["profileUrl"]
        self._console_errors: list[str] = []
        self._allowed: list[str] = []
        self.requests: list[Request] = []
        self.context.on("console", self._record_console_message)
        self.context.on("weberror", self._record_exception)
        self.context.on("request", self._record_request)

    def open(self, handle: str | None = None) -> Page:
        """Opens the page in a new tab. The first tab does not wait for others that could share a session."""
        url = self._url if handle is None else f"{self._url}?handle={handle}"
        if self._unused is None:
            page = self.context.new_page()
            page.goto(url)
            return page
        page, self._unused = self._unused, None
        with page.add_init_script("sessionStorage.clear()"):  # that of the tab's former visitor
            page.goto(url)
        page.clock.run_for(_OTHER_TABS_WAIT_MS)
        return page

    def sign_in(self, person: Person) -> Page:
        """Opens a tab with the person's own profile."""
        page = self.open()
        sign_in(page, person)
        edit_button(page).wait_for()
        return page

    def allow_console_errors(self, pattern: str) -> None:
        self._allowed.append(pattern)

    def request_bodies(self, operation: str) -> list[dict[str, Any]]:
        """Bodies of the requests for an operation: Cognito's name, or the API's method and path."""
        return [request.post_data_json or {} for request in self.requests if _operation(request) == operation]

    def _record_console_message(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._console_errors.append(message.text)

    def _record_request(self, request: Request) -> None:
        self.requests.append(request)

    def _record_exception(self, error: WebError) -> None:
        self._console_errors.append(str(error.error))

    def close(self) -> None:
        self.context.remove_listener("console", self._record_console_message)
        self.context.remove_listener("weberror", self._record_exception)
        self.context.remove_listener("request", self._record_request)
        errors = [text for text in self._console_errors if not any(re.search(known, text) for known in self._allowed)]
        assert errors == []
        assert [r.url for r in self.requests if re.search(r"undefined|null|NaN|favicon", r.url)] == []


NewPerson = Callable[..., Person]
NewVisitor = Callable[..., Visitor]


def next_number() -> int:
    """A number that no other call returns, for unique names."""
    return next(_numbers)


def sign_in(page: Page, person: Person) -> None:
    page.get_by_label("Email").fill(person.username)
    page.get_by_label("Password").fill(person.password)
    page.get_by_label("Password").press("Enter")


def edit_button(page: Page) -> Locator:
    return page.get_by_role("button", name="Edit profile")


def edit_dialog(page: Page) -> Locator:
    return page.get_by_role("dialog", name="Edit profile")


def heading(page: Page) -> Locator:
    return page.get_by_role("heading", level=1)


def avatar_image(page: Page) -> Locator:
    return page.get_by_role("main").locator(".avatar img")


def save(page: Page) -> None:
    edit_dialog(page).get_by_role("button", name="Save").click()


def route_operation(page: Page, operation: str, handler: Callable[[Route], None]) -> None:
    """Routes the requests for an operation, named as in `Visitor.request_bodies`, to a handler."""

    def choose(route: Route) -> None:
        if _operation(route.request) == operation:
            handler(route)
        else:
            route.fallback()

    page.route("**/*", choose)


def fulfill_json(route: Route, status: int, body: object) -> None:
    route.fulfill(status=status, json=body, headers={"Access-Control-Allow-Origin": "*"})


def respond_with_cognito_error(page: Page, operation: str, code: str, message: str = "") -> None:
    route_operation(page, operation, lambda route: fulfill_json(route, 400, {"__type": code, "message": message}))


def _operation(request: Request) -> str:
    target = request.headers.get("x-amz-target")
    return target.split(".")[1] if target else f"{request.method} {request.url.split('/', 3)[3]}"
