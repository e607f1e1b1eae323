"""One stack before it has a domain, with one, and without it again: the avatars of every time work all the time.

Nothing resolves the names of the domain: the requests for them go to the emulators, which tell them by the Host header.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
import requests
from playwright.sync_api import Browser, Route

from client.session import Session
from functions.shared import stored_avatar
from functions.shared.storage_keys import manifest_key
from local.stack import LocalStack, read_config
from tests.browser.profile.visitor import avatar_image, heading
from tests.local.conftest import PHOTO, create_user

DOMAIN = {"avatars:domain": "avatars.test", "avatars:hostedZoneId": "Z0123456789ABCDEFGHIJ"}
CDN, API = "https://assets.avatars.test", "https://api.avatars.test"


@dataclass(frozen=True)
class Person:
    handle: str
    session: Session
    upload_id: str
    avatar: Mapping[str, Any]
    """As the API gave it after the upload."""
    event: Mapping[str, Any]

    @property
    def urls(self) -> list[str]:
        return [self.avatar["url"], *(image["url"] for image in self.avatar["images"]), self.event["avatar"]["url"]]


@dataclass
class Deployment:
    """The stack in one of its three times."""

    stack: LocalStack
    people: list[Person] = field(default_factory=list[Person])
    cdn: str = ""
    api: str = ""
    hosts: list[str] = field(default_factory=list[str])
    """The hosts of the CDN."""

    def update(self, *, domain: bool) -> None:
        config = {**read_config("dev")[0], **(DOMAIN if domain else {})}
        with ThreadPoolExecutor() as executor:  # the program needs an event loop; Playwright has one in this thread
            executor.submit(self.stack.update, config).result()

    def look(self, *, domain: bool) -> None:
        self.cdn, self.api = (CDN, API) if domain else (self.stack.cdn_url, self.stack.api_url)
        self.hosts = [self.stack.cdn_url, *([CDN] if domain else [])]

    def add_person(self) -> Person:
        handle = f"person_{len(self.people)}"
        outputs = {**self.stack.exports, "apiUrl": self.stack.api_url, "cognitoEndpoint": self.stack.aws_url}
        session = Session.sign_in(outputs, *create_user(self.stack))
        requests.put(
            f"{self.stack.api_url}/profile",
            json={"display_name": handle, "handle": handle, "bio": ""},
            headers={"Authorization": f"Bearer {session.access_token}"},
            timeout=30,
        ).raise_for_status()
        form = requests.post(
            f"{self.stack.api_url}/avatars/key_upload",
            json={"content_type": "image/jpeg"},
            headers={"Authorization": f"Bearer {session.access_token}"},
            timeout=10,
        ).json()
        requests.post(
            form["url"], data=form["fields"], files={"file": PHOTO.read_bytes()}, timeout=10
        ).raise_for_status()
        event = self.stack.receiver.wait_for(form["upload_id"], timeout=20)
        person = Person(handle, session, form["upload_id"], self.call(session, "/avatars/me").json(), event)
        self.people.append(person)
        return person

    def fetch(self, url: str, method: str = "GET", **headers: str) -> requests.Response:
        """Sends the request to the emulator of the host."""
        parts = urlsplit(url)
        server = {urlsplit(CDN).netloc: self.stack.cdn_url, urlsplit(API).netloc: self.stack.api_url}.get(parts.netloc)
        where = f"{server or f'{parts.scheme}://{parts.netloc}'}{parts.path}"
        return requests.request(method, where, headers={**headers, "Host": parts.netloc}, timeout=10)

    def call(self, session: Session, path: str) -> requests.Response:
        return self.fetch(f"{self.api}{path}", Authorization=f"Bearer {session.access_token}")

    def answer(self, route: Route) -> None:
        """For a browser."""
        request = route.request
        response = self.fetch(request.url, request.method, **request.all_headers())
        route.fulfill(status=response.status_code, headers=dict(response.headers), body=response.content)


@pytest.fixture(scope="module")
def deployment(browser: Browser) -> Generator[Deployment]:
    assert browser.is_connected()
    with ThreadPoolExecutor() as executor:
        stack = executor.submit(LocalStack, read_config("dev")[0]).result()
    with stack:
        deployment = Deployment(stack)
        deployment.look(domain=False)
        old = deployment.add_person()
        # As stored by versions before 0.2
        key = manifest_key(old.avatar["subject"])
        content = json.dumps(
            stored_avatar.with_absolute_urls(dict(old.avatar), "https://d111111abcdef8.cloudfront.net")
        )
        stack.aws.client("s3").put_object(Bucket=stack.exports["assetsBucket"], Key=key, Body=content.encode())
        yield deployment


@pytest.fixture(scope="module", params=["before the domain", "with the domain", "after the domain"])
def now(request: pytest.FixtureRequest, deployment: Deployment) -> Deployment:
    domain = request.param == "with the domain"
    if request.param != "before the domain":
        deployment.update(domain=domain)
    deployment.look(domain=domain)
    deployment.add_person()
    return deployment


def test_api_gives_urls_of_the_current_host(now: Deployment) -> None:
    for person in now.people:
        avatar = now.call(person.session, "/avatars/me").json()
        status = now.call(person.session, f"/avatars/uploads/{person.upload_id}").json()
        profile = now.call(person.session, "/profile").json()
        assert status == {"upload_id": person.upload_id, "status": "ready", "avatar": avatar}
        assert profile["avatar"]["url"] == avatar["url"]
        for url in (avatar["url"], *(image["url"] for image in avatar["images"])):
            assert url.startswith(f"{now.cdn}/avatars/")
            response = now.fetch(url)
            assert (response.status_code, response.headers["Content-Type"].split("/")[0]) == (200, "image")


def test_default_api_endpoint_gives_the_same(now: Deployment) -> None:
    """Clients may have the former URL of the API."""
    for person in now.people:
        token = {"Authorization": f"Bearer {person.session.access_token}"}
        there = now.fetch(f"{now.stack.api_url}/avatars/me", **token).json()
        assert there == now.call(person.session, "/avatars/me").json()


def test_event_has_urls_of_the_host_of_its_time(now: Deployment) -> None:
    assert all(url.startswith(f"{now.cdn}/avatars/") for url in now.people[-1].urls)


def test_manifest_leads_to_images_at_every_host(now: Deployment) -> None:
    for host in now.hosts:
        for person in now.people[1:]:
            response = now.fetch(f"{host}/avatars/{person.avatar['subject']}.json")
            assert [now.fetch(urljoin(host, image["url"])).status_code for image in response.json()["images"]] == [200]


def test_urls_from_before_the_domain_still_work(now: Deployment) -> None:
    """Pages, databases and webhook receivers have stored them. Those of a removed domain have no DNS record."""
    for person in now.people:
        for url in person.urls:
            expected = 403 if url.startswith(CDN) and CDN not in now.hosts else 200
            assert now.fetch(url).status_code == expected, url


def test_element_is_served_at_every_host(now: Deployment) -> None:
    assert now.stack.exports["avatarUploadUrl"] == f"{now.cdn}/web/avatar-upload.js"
    for host in now.hosts:
        response = now.fetch(f"{host}/web/avatar-upload.js")
        assert (response.status_code, response.headers["Content-Type"]) == (200, "text/javascript; charset=utf-8")


def test_api_and_uploads_allow_the_page_at_every_host(now: Deployment) -> None:
    """Playwright itself allows the responses that it fulfills, so the next test would not notice."""
    uploads = f"{now.stack.aws_url}/{now.stack.exports['uploadsBucket']}"
    for host in now.hosts:
        preflight = {"Origin": host, "Access-Control-Request-Method": "POST"}
        for url in (f"{now.api}/avatars/key_upload", uploads):
            response = now.fetch(url, "OPTIONS", **preflight)
            assert response.headers.get("Access-Control-Allow-Origin") == host, url


def test_profile_page_shows_all_avatars_at_every_host(now: Deployment, browser: Browser) -> None:
    assert now.stack.exports["profileUrl"] == f"{now.cdn}/profile"
    with browser.new_context() as context:
        context.route(f"{CDN}/**", now.answer)
        context.route(f"{API}/**", now.answer)
        problems: list[str] = []
        context.on("console", lambda message: problems.append(message.text))
        for host in now.hosts:
            for person in now.people:
                page = context.new_page()
                page.goto(f"{host}/profile?handle={person.handle}")
                heading(page).get_by_text(person.handle).wait_for()
                avatar_image(page).wait_for()
                shown = avatar_image(page).evaluate("image => [image.currentSrc, image.naturalWidth > 0]")
                assert shown == [f"{host}{urlsplit(person.avatar['images'][0]['url']).path}", True]
                page.close()
        assert problems == []
