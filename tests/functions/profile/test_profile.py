"""The routes of profiles against a real PostgreSQL, an S3 and an SSM of moto, and a Cognito of the test's own."""

import json
import logging
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from botocore.exceptions import ClientError

from functions.profile import handle_generator
from functions.shared import stored_avatar, upload_id
from functions.shared.db import postgres
from local.emulators.postgres import Postgres
from tests.functions.conftest import LoadHandler
from tests.functions.servers import HOST, HttpStub, TcpProxy

ISSUER = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Example"
TOKEN = "eyJ.access.token"
ADA = "0a1b2c3d-0000-4000-8000-00000000ada1"
BOB = "0a1b2c3d-0000-4000-8000-000000000b0b"


@dataclass
class Api:
    """The function behind the API, and what it stands on."""

    handler: ModuleType
    cognito: HttpStub
    s3: Any
    uploads: str
    assets: str

    def public(self, handle: str) -> tuple[int, Any]:
        event = {"routeKey": "GET /profiles/{handle}", "pathParameters": {"handle": handle}, "headers": {}}
        status, body, headers = self._ask(event)
        if status == 301:
            assert headers.pop("location") == f"./{body['handle']}"
        cached = {"cache-control": "public, max-age=30", "vary": "origin"}
        assert headers == (cached if status in (200, 301) else {"cache-control": "no-store"})
        return status, body

    def get(self, subject: str, name: str | None = None) -> tuple[int, Any]:
        return self._ask_privately(self.event("GET /profile", subject, name))

    def put(self, subject: str, name: str | None = None, **profile: Any) -> tuple[int, Any]:
        return self.put_body(subject, json.dumps(profile), name)

    def put_body(self, subject: str, body: str, name: str | None = None) -> tuple[int, Any]:
        return self._ask_privately({**self.event("PUT /profile", subject, name), "body": body})

    def delete(self, subject: str) -> int:
        response = self.handler.handle(self.event("DELETE /profile", subject), None)
        assert response == {"statusCode": 204, "headers": {"cache-control": "no-store"}}
        return response["statusCode"]

    def publish(self, subject: str) -> dict[str, Any]:
        """Store a manifest. Returns what profiles have of it."""
        avatar = {
            "url": f"https://cdn.example.com/avatars/{subject}.jpg",
            "updated_at": "2026-11-20T12:00:01.234Z",
            "images": [{"size": 512, "format": "webp", "url": "https://cdn.example.com/512.webp", "bytes": 42264}],
        }
        upload = upload_id.create(subject, int(time.time() * 1000) - 10_000)
        manifest = {"subject": subject, "upload_id": upload, "version": f"{upload}-001-00112233", **avatar}
        self.s3.put_object(Bucket=self.assets, Key=f"avatars/{subject}.json", Body=json.dumps(manifest))
        return avatar

    def keys(self, bucket: str) -> list[str]:
        return [entry["Key"] for entry in self.s3.list_objects_v2(Bucket=bucket).get("Contents", [])]

    def event(self, route: str, subject: str, name: str | None = None) -> dict[str, Any]:
        """Of a user whose name Cognito knows, or has none for."""
        attributes = [{"Name": "name", "Value": name}] if name else []
        self.cognito.body = json.dumps({"Username": subject, "UserAttributes": attributes}).encode()
        return {
            "routeKey": route,
            "headers": {"authorization": f"Bearer {TOKEN}"},
            "requestContext": {"authorizer": {"lambda": {"sub": subject}}},
        }

    def _ask_privately(self, event: dict[str, Any]) -> tuple[int, Any]:
        status, body, headers = self._ask(event)
        assert headers == {"cache-control": "no-store"}
        return status, body

    def _ask(self, event: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        answer = self.handler.handle(event, None)
        headers = dict(answer["headers"])
        assert headers.pop("content-type") == "application/json"
        return answer["statusCode"], json.loads(answer["body"]), headers


@pytest.fixture
def cognito() -> Iterator[HttpStub]:
    with HttpStub() as stub:
        yield stub


@pytest.fixture
def load(
    load_handler: LoadHandler,
    s3_environment: dict[str, str],
    moto_endpoint: str,
    s3: Any,
    new_bucket: Callable[[], str],
    url_parameter: Callable[[str], str],
    cognito: HttpStub,
    opened: list[postgres.Connection],
) -> Callable[[str], Api]:
    """A new sandbox with the database of that URL."""
    assert opened == []  # what the sandbox opens is closed with it

    def load(url: str, **environment: str) -> Api:
        uploads, assets = new_bucket(), new_bucket()
        settings = {
            "UPLOADS_BUCKET": uploads,
            "ASSETS_BUCKET": assets,
            "CDN_URL": "https://cdn.example.com",
            "ISSUER": ISSUER,
            "HANDLE_HOLD_DAYS": "30",
            "METRICS_SERVICE": "profiles",
            "DATABASE_URL_PARAMETER": url_parameter(url),
            "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER": cognito.url,
            "AWS_ENDPOINT_URL_SSM": moto_endpoint,
            **s3_environment,
            **environment,
        }
        return Api(load_handler("profile", settings), cognito, s3, uploads, assets)

    return load


@pytest.fixture
def api(load: Callable[[str], Api], migrated_url: str) -> Api:
    return load(migrated_url)


@pytest.fixture
def owner(migrated_url: str) -> Iterator[postgres.Connection]:
    with psycopg.connect(migrated_url, autocommit=True) as connection:
        yield connection


def rows(owner: postgres.Connection) -> list[tuple[Any, ...]]:
    return owner.execute("SELECT subject, handle, display_name, bio FROM avatars.users ORDER BY subject").fetchall()


def refusal(fields: dict[str, str]) -> tuple[int, Any]:
    message = " ".join(f"{name}: {sentence}" for name, sentence in fields.items())
    return 422, {"error": {"code": "invalid_profile", "message": message, "fields": fields}}


def retired(owner: postgres.Connection) -> list[tuple[Any, ...]]:
    return owner.execute("SELECT handle, subject FROM avatars.retired_handles ORDER BY handle").fetchall()


TAKEN = refusal({"handle": "This handle is taken."})


# --- GET /profile -----------------------------------------------------------------------------------------------------


def test_first_get_creates_profile_from_cognito_name(api: Api, owner: postgres.Connection) -> None:
    profile = {"subject": ADA, "handle": "ada_king", "display_name": "Ada King", "bio": "", "avatar": None}
    assert api.get(ADA, name="Ada King") == (200, profile)
    assert rows(owner) == [(ADA, "ada_king", "Ada King", "")]
    ((_, body),) = api.cognito.requests
    assert json.loads(body) == {"AccessToken": TOKEN}


def test_later_get_does_not_call_cognito(api: Api) -> None:
    first = api.get(ADA, name="Ada")
    assert api.get(ADA, name="Another Name") == first
    assert len(api.cognito.requests) == 1


def test_first_get_without_name_creates_random_handle(api: Api) -> None:
    status, profile = api.get(ADA)
    assert status == 200
    assert re.fullmatch("user_[a-z0-9]{6}", profile["handle"])
    assert profile["display_name"] == profile["handle"]


def test_first_get_without_issuer_asks_nobody_for_the_name(load: Callable[..., Api], migrated_url: str) -> None:
    api = load(migrated_url, ISSUER="")
    status, profile = api.get(ADA, name="Ada King")
    assert status == 200
    assert re.fullmatch("user_[a-z0-9]{6}", profile["handle"])
    assert profile["display_name"] == profile["handle"]
    assert api.put(BOB, name="Bob", display_name="Robert")[1]["handle"][:5] == "user_"
    assert api.cognito.requests == []


@pytest.mark.parametrize("status", [400, 500])
def test_failed_get_user_does_not_refuse_profile(api: Api, status: int) -> None:
    api.cognito.status = status
    answered, profile = api.get(ADA, name="Ada")
    assert (answered, profile["handle"][:5]) == (200, "user_")


def test_sign_in_address_is_never_published(api: Api, owner: postgres.Connection) -> None:
    for attribute in ("email", "name", "preferred_username"):
        event = api.event("GET /profile", f"s-{attribute}")
        attributes = [{"Name": attribute, "Value": "ada@example.com"}, {"Name": "email", "Value": "ada@example.com"}]
        api.cognito.body = json.dumps({"Username": "ada@example.com", "UserAttributes": attributes}).encode()
        answer = api.handler.handle(event, None)
        assert answer["statusCode"] == 200
        assert "ada" not in answer["body"]
    assert "ada" not in str(rows(owner))


def test_taken_handle_gets_random_suffix(api: Api) -> None:
    assert api.get(ADA, name="Same Name")[1]["handle"] == "same_name"
    status, profile = api.get(BOB, name="Same Name")
    assert (status, profile["subject"], profile["display_name"]) == (200, BOB, "Same Name")
    assert re.fullmatch("same_name_[a-z0-9]{4}", profile["handle"])


def test_handles_are_tried_until_one_is_free(
    api: Api, owner: postgres.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for taken in range(4):
        owner.execute("INSERT INTO avatars.users VALUES (%s, %s, 'A')", (f"s-{taken}", f"ada_{taken:04}"))
    owner.execute("INSERT INTO avatars.users VALUES ('s', 'ada', 'A')")
    numbers = count()
    monkeypatch.setattr(handle_generator, "_random", lambda length: f"{next(numbers):0{length}}")
    assert api.get(ADA, name="Ada")[1]["handle"] == "ada_0004"


def test_concurrent_first_requests_create_one_profile(
    load: Callable[[str], Api], migrated_url: str, owner: postgres.Connection
) -> None:
    sandboxes = [load(migrated_url) for _ in range(2)]
    events = [api.event("GET /profile", ADA, "Ada") for api in sandboxes]
    answers: list[Any] = []
    with owner.transaction():
        owner.execute("LOCK TABLE avatars.users IN SHARE ROW EXCLUSIVE MODE")  # reads go on, the first write waits
        threads = [
            threading.Thread(target=lambda api=api, event=event: answers.append(api.handler.handle(event, None)))
            for api, event in zip(sandboxes, events, strict=True)
        ]
        for thread in threads:
            thread.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE relation = 'avatars.users'::regclass AND NOT granted"
        while owner.execute(waiting).fetchone() != (2,):
            assert all(thread.is_alive() for thread in threads)
    for thread in threads:
        thread.join(10)
    assert [answer["statusCode"] for answer in answers] == [200, 200]
    assert answers[0]["body"] == answers[1]["body"]
    assert rows(owner) == [(ADA, "ada", "Ada", "")]


# --- PUT /profile -----------------------------------------------------------------------------------------------------


def test_put_replaces_profile_and_keeps_omitted_handle(api: Api, owner: postgres.Connection) -> None:
    api.get(ADA, name="Ada")
    changed = {"subject": ADA, "handle": "ada_l", "display_name": "Ada L.", "bio": "One.\nTwo.", "avatar": None}
    assert api.put(ADA, display_name=" Ada L. ", bio="One.\r\nTwo.\n", handle="ada_l") == (200, changed)
    assert api.get(ADA) == (200, changed)
    assert api.put(ADA, display_name="Ada") == (200, {**changed, "display_name": "Ada", "bio": ""})
    assert rows(owner) == [(ADA, "ada_l", "Ada", "")]


def test_put_sets_updated_at(api: Api, owner: postgres.Connection) -> None:
    api.get(ADA, name="Ada")
    owner.execute("UPDATE avatars.users SET created_at = '2020-01-01', updated_at = '2020-01-01'")
    api.put(ADA, display_name="Ada")
    ages = "SELECT now() - created_at > '1 year', now() - updated_at < '1 minute' FROM avatars.users"
    assert owner.execute(ages).fetchone() == (True, True)


def test_put_may_be_the_first_request(api: Api, owner: postgres.Connection) -> None:
    assert api.put(ADA, name="Ada King", display_name="The Countess", bio="Hi")[0] == 200
    assert api.put(BOB, name="Ada King", display_name="Bob", handle="bob")[0] == 200
    assert rows(owner) == [(BOB, "bob", "Bob", ""), (ADA, "ada_king", "The Countess", "Hi")]
    assert retired(owner) == []


def test_first_put_of_a_taken_handle_returns_422_and_creates_another(api: Api, owner: postgres.Connection) -> None:
    api.put(ADA, display_name="Ada", handle="ada")
    assert api.put(BOB, name="Bob", display_name="Robert", handle="ada") == TAKEN
    assert rows(owner)[0] == (BOB, "bob", "Bob", "")


@pytest.mark.parametrize(
    "text", ["\U0001f600" * 50, "'; DROP TABLE avatars.users; --", "%s %(x)s {}", "\\x00", "é" * 50]
)
def test_text_of_any_script_is_stored_unchanged(api: Api, text: str) -> None:
    assert api.put(ADA, display_name=text, bio=text * 10)[0] == 200
    _, profile = api.get(ADA)
    assert (profile["display_name"], profile["bio"]) == (text, text * 10)


def test_put_taken_handle_returns_422_and_changes_nothing(api: Api, owner: postgres.Connection) -> None:
    api.put(ADA, display_name="Ada", handle="ada")
    api.put(BOB, display_name="Bob", bio="mine", handle="bob")
    assert api.put(BOB, display_name="Robert", bio="", handle="ada") == TAKEN
    assert rows(owner) == [(BOB, "bob", "Bob", "mine"), (ADA, "ada", "Ada", "")]
    assert api.put(BOB, display_name="Bob", handle="bob")[0] == 200


@pytest.mark.parametrize("handle", ["admin", "sign_up"])
def test_put_reserved_handle_returns_422_and_changes_nothing(api: Api, owner: postgres.Connection, handle: str) -> None:
    reserved = refusal({"handle": "This handle is reserved."})
    assert api.put(ADA, display_name="Ada", handle=handle) == reserved
    assert rows(owner) == []
    api.put(ADA, display_name="Ada", handle="ada")
    assert api.put(ADA, display_name="Admin", handle=handle) == reserved
    assert rows(owner) == [(ADA, "ada", "Ada", "")]


def test_put_keeps_reserved_handle_that_the_user_has(api: Api, owner: postgres.Connection) -> None:
    owner.execute("INSERT INTO avatars.users VALUES (%s, 'admin', 'A')", (ADA,))
    assert api.put(ADA, display_name="Ada", handle="admin")[0] == 200
    assert api.public("admin")[1]["display_name"] == "Ada"
    assert rename(api, BOB, "admin") == refusal({"handle": "This handle is reserved."})


def test_put_invalid_fields_returns_422_for_each_field(api: Api, owner: postgres.Connection) -> None:
    api.put(ADA, display_name="Ada", handle="ada")
    fields = {
        "email": "A profile has no such field.",
        "display_name": "Enter a name.",
        "handle": "Use 3 to 30 small letters (a to z), digits and underscores.",
        "bio": "Use at most 500 characters. These are 501.",
    }
    assert api.put(ADA, display_name=" ", bio="x" * 501, handle="No!", email="a@b.c") == refusal(fields)
    assert rows(owner) == [(ADA, "ada", "Ada", "")]


def test_invalid_first_put_creates_no_profile(api: Api, owner: postgres.Connection) -> None:
    assert api.put(ADA, name="Ada", display_name="")[0] == 422
    assert rows(owner) == []
    assert api.cognito.requests == []


@pytest.mark.parametrize(
    "body",
    [
        r'{"display_name": "\ud800"}',
        r'{"display_name": "\u0000"}',
        r'{"display_name": "Ada", "bio": "\udc00"}',
        r'{"display_name": "Ada", "bio": "\u0000"}',
        r'{"display_name": "Ada", "handle": "ab\u0000"}',
        r'{"display_name": "Ada", "\ud800": 1}',
        '{"display_name": NaN}',
        '{"display_name": {"$ne": null}}',
        '{"display_name": "Ada", "handle": null}',
        "{}",
    ],
)
def test_put_unstorable_text_returns_422(api: Api, body: str) -> None:
    assert api.put_body(ADA, body)[0] == 422


@pytest.mark.parametrize("body", ["", "{", "[]", '"Ada"', "null"])
def test_put_body_that_is_not_an_object_returns_400(api: Api, body: str) -> None:
    status, answer = api.put_body(ADA, body)
    assert (status, answer["error"]["code"]) == (400, "invalid_json")


@pytest.mark.parametrize("field", ["subject", "id", "created_at", "avatar", "email"])
def test_put_cannot_change_another_profile(api: Api, owner: postgres.Connection, field: str) -> None:
    api.put(ADA, display_name="Ada", bio="mine", handle="ada")
    before = rows(owner)
    body = json.dumps({"display_name": "Mallory", field: ADA})
    assert api.put_body(BOB, body) == refusal({field: "A profile has no such field."})
    assert rows(owner) == before
    assert api.put(BOB, display_name="Mallory", bio="also mine", handle="mallory")[0] == 200
    assert rows(owner) == [(BOB, "mallory", "Mallory", "also mine"), *before]


@pytest.mark.parametrize("route", ["GET /profile", "PUT /profile"])
def test_request_without_authorizer_raises_key_error(api: Api, owner: postgres.Connection, route: str) -> None:
    event = {"routeKey": route, "headers": {}, "requestContext": {}, "body": '{"display_name": "Ada"}'}
    with pytest.raises(KeyError, match="authorizer"):
        api.handler.handle(event, None)
    assert rows(owner) == []


# --- DELETE /profile --------------------------------------------------------------------------------------------------


def test_delete_removes_row_and_avatar_of_caller_only(api: Api, owner: postgres.Connection) -> None:
    for subject, handle in ((ADA, "ada"), (BOB, "bob")):
        api.put(subject, display_name="A", handle=handle)
        avatar = api.publish(subject)
    assert api.delete(ADA) == 204
    assert rows(owner) == [(BOB, "bob", "A", "")]
    (request,) = api.keys(api.uploads)
    assert request.startswith(f"deletions/{ADA}/")
    record = stored_avatar.read_manifest(api.s3, api.assets, ADA)
    assert record
    assert (record.is_deleted, record.upload_id) == (True, request.split("/")[2])
    assert api.public("ada")[0] == 404
    assert api.public("bob")[1]["avatar"] == avatar


def test_delete_is_idempotent_and_stores_nothing_the_second_time(api: Api) -> None:
    api.put(ADA, display_name="Ada", handle="ada")
    api.publish(ADA)
    assert (api.delete(ADA), api.delete(ADA)) == (204, 204)
    assert len(api.keys(api.uploads)) == 1


def test_delete_without_profile_returns_204_and_stores_nothing(api: Api, owner: postgres.Connection) -> None:
    assert api.delete(ADA) == 204
    assert (rows(owner), api.keys(api.uploads), api.keys(api.assets)) == ([], [], [])
    assert api.cognito.requests == []


def test_get_after_delete_creates_an_empty_profile(api: Api) -> None:
    api.put(ADA, display_name="Ada", bio="Hi", handle="ada")
    api.publish(ADA)
    api.delete(ADA)
    _, profile = api.get(ADA)
    assert (profile["handle"][:5], profile["bio"], profile["avatar"]) == ("user_", "", None)


def test_delete_keeps_row_if_avatar_cannot_be_deleted(
    api: Api, owner: postgres.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.put(ADA, display_name="Ada", handle="ada")
    api.publish(ADA)

    def refuse(*_: object) -> None:
        raise ClientError({"Error": {"Code": "InternalError"}}, "PutObject")

    with monkeypatch.context() as patch:
        patch.setattr(stored_avatar, "delete", refuse)
        with pytest.raises(ClientError, match="InternalError"):
            api.delete(ADA)
    assert rows(owner) == [(ADA, "ada", "Ada", "")]
    assert api.delete(ADA) == 204
    assert rows(owner) == []


# --- GET /profiles/{handle} -------------------------------------------------------------------------------------------


def test_get_by_handle_returns_public_profile(api: Api) -> None:
    own = api.put(ADA, display_name="Ada", bio="Hi", handle="ada")
    assert api.public("ada") == own


@pytest.mark.parametrize("handle", ["nobody", "ADA", "ad", "", "a" * 31, "ada\0", "ad\ud800", "' OR true --", "%", ADA])
def test_get_unknown_handle_returns_404(api: Api, handle: str) -> None:
    api.put(ADA, display_name="Ada", handle="ada")
    assert api.public(handle) == (404, {"error": {"code": "not_found", "message": "there is no such profile"}})


# --- Handles that were given up ---------------------------------------------------------------------------------------


def rename(api: Api, subject: str, handle: str) -> tuple[int, Any]:
    return api.put(subject, display_name="A", handle=handle)


def let_days_pass(owner: postgres.Connection, days: int) -> None:
    owner.execute("UPDATE avatars.retired_handles SET retired_at = retired_at - make_interval(days => %s)", (days,))


def test_renamed_handle_redirects_to_current_one(api: Api) -> None:
    for handle in ("ada", "countess", "ada_king"):
        assert rename(api, ADA, handle)[0] == 200
    assert api.public("ada") == api.public("countess") == (301, {"handle": "ada_king"})
    assert api.public("ada_king")[0] == 200


def test_renamed_handle_is_taken_for_others_until_hold_ends(api: Api, owner: postgres.Connection) -> None:
    rename(api, ADA, "ada")
    rename(api, ADA, "countess")
    rename(api, BOB, "bob")
    let_days_pass(owner, 29)
    before = rows(owner)
    assert api.put(BOB, display_name="Robert", bio="new", handle="ada") == TAKEN
    assert (rows(owner), api.public("ada")) == (before, (301, {"handle": "countess"}))
    let_days_pass(owner, 1)
    assert api.public("ada")[0] == 404
    assert rename(api, BOB, "ada")[0] == 200
    assert api.public("ada")[1]["subject"] == BOB
    assert retired(owner) == [("bob", BOB)]


def test_user_takes_back_own_handle(api: Api, owner: postgres.Connection) -> None:
    for handle in ("ada", "countess", "ada"):
        assert rename(api, ADA, handle)[0] == 200
    assert retired(owner) == [("countess", ADA)]
    assert api.public("ada")[0] == 200
    assert api.public("countess") == (301, {"handle": "ada"})


def test_put_with_same_handle_retires_nothing(api: Api, owner: postgres.Connection) -> None:
    rename(api, ADA, "ada")
    rename(api, ADA, "ada")
    api.put(ADA, display_name="Ada")
    assert retired(owner) == []


def test_handles_of_deleted_profile_lead_nowhere_and_are_held(api: Api, owner: postgres.Connection) -> None:
    rename(api, ADA, "ada")
    rename(api, ADA, "countess")
    api.delete(ADA)
    assert retired(owner) == [("ada", None), ("countess", None)]
    assert owner.execute("SELECT DISTINCT former_subject FROM avatars.retired_handles").fetchall() == [(ADA,)]
    rename(api, ADA, "another")
    for handle in ("ada", "countess"):
        assert api.public(handle)[0] == 404
        for subject in (ADA, BOB):
            assert rename(api, subject, handle) == TAKEN
    let_days_pass(owner, 30)
    assert (rename(api, BOB, "ada")[0], rename(api, BOB, "countess")[0]) == (200, 200)


def test_first_handle_from_name_avoids_held_ones(api: Api) -> None:
    rename(api, ADA, "sam")
    api.delete(ADA)
    assert re.fullmatch("sam_[a-z0-9]{4}", api.get(BOB, name="Sam")[1]["handle"])


def test_hold_of_zero_days_releases_handle_at_once(
    load: Callable[..., Api], migrated_url: str, owner: postgres.Connection
) -> None:
    api = load(migrated_url, HANDLE_HOLD_DAYS="0")
    rename(api, ADA, "ada")
    rename(api, ADA, "countess")
    assert (api.public("ada")[0], retired(owner)) == (404, [])
    assert rename(api, BOB, "ada")[0] == 200


def test_expired_handles_are_removed_by_the_next_rename(api: Api, owner: postgres.Connection) -> None:
    for handle in ("ada", "countess"):
        rename(api, ADA, handle)
    let_days_pass(owner, 30)
    rename(api, ADA, "ada_king")
    assert retired(owner) == [("countess", ADA)]


class Concurrent:
    """Requests that run at once, each in a sandbox of its own."""

    def __init__(self, load: Callable[[str], Api], url: str, owner: postgres.Connection) -> None:
        self._load = lambda: load(url)
        self._owner = owner
        self._threads: list[threading.Thread] = []
        self.responses: dict[str, tuple[int, Any]] = {}

    def start(self, name: str, request: Callable[[Api], Any]) -> None:
        """Start a request, and return when it waits for a lock."""
        api = self._load()
        waiting = self._count_waiting()

        def run() -> None:
            self.responses[name] = request(api)

        self._threads.append(threading.Thread(target=run))
        self._threads[-1].start()
        while self._count_waiting() == waiting:
            assert self._threads[-1].is_alive()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def _count_waiting(self) -> int:
        row = self._owner.execute("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted").fetchone()
        assert row
        return row[0]


@pytest.fixture
def concurrent(load: Callable[[str], Api], migrated_url: str, owner: postgres.Connection) -> Concurrent:
    return Concurrent(load, migrated_url, owner)


def test_handle_wanted_while_it_is_given_up_is_held(
    api: Api, owner: postgres.Connection, concurrent: Concurrent
) -> None:
    rename(api, ADA, "ada")
    rename(api, BOB, "bob")
    with owner.transaction():
        owner.execute("LOCK TABLE avatars.retired_handles IN SHARE MODE")  # the first rename waits before its commit
        concurrent.start("ada", lambda api: rename(api, ADA, "countess"))
        concurrent.start("bob", lambda api: rename(api, BOB, "ada"))
    concurrent.join()
    assert (concurrent.responses["ada"][0], concurrent.responses["bob"]) == (200, TAKEN)
    assert api.public("ada") == (301, {"handle": "countess"})


def test_handle_generated_while_it_is_deleted_is_held(
    api: Api, owner: postgres.Connection, concurrent: Concurrent
) -> None:
    rename(api, ADA, "sam")
    with owner.transaction():
        owner.execute("LOCK TABLE avatars.retired_handles IN SHARE MODE")
        concurrent.start("ada", lambda api: api.delete(ADA))
        concurrent.start("bob", lambda api: api.get(BOB, name="Sam"))
    concurrent.join()
    assert concurrent.responses["ada"] == 204
    assert re.fullmatch("sam_[a-z0-9]{4}", concurrent.responses["bob"][1]["handle"])


def test_handle_wanted_by_two_users_at_once_is_of_the_first(
    api: Api, owner: postgres.Connection, concurrent: Concurrent
) -> None:
    rename(api, ADA, "ada")
    rename(api, BOB, "bob")
    with owner.transaction():
        owner.execute("LOCK TABLE avatars.retired_handles IN SHARE MODE")
        concurrent.start("ada", lambda api: rename(api, ADA, "wanted"))
        concurrent.start("bob", lambda api: rename(api, BOB, "wanted"))
    concurrent.join()
    assert (concurrent.responses["ada"][0], concurrent.responses["bob"]) == (200, TAKEN)
    assert api.public("ada") == (301, {"handle": "wanted"})
    assert api.public("bob")[0] == 200


@pytest.fixture
def superuser(postgres_server: Postgres, migrated_url: str) -> Iterator[postgres.Connection]:
    """May change settings that an owner may not."""
    administrator, database = urlsplit(postgres_server.administrator_url), urlsplit(migrated_url)
    with psycopg.connect(administrator._replace(path=database.path).geturl(), autocommit=True) as connection:
        yield connection


def test_users_who_wait_for_each_others_handle_are_refused(
    api: Api, superuser: postgres.Connection, owner: postgres.Connection, concurrent: Concurrent
) -> None:
    rename(api, ADA, "ada")
    rename(api, BOB, "bob")
    before = rows(owner)
    give_up = "UPDATE avatars.users SET handle = %s WHERE subject = %s"
    with superuser.transaction(force_rollback=True):
        superuser.execute("SET LOCAL deadlock_timeout = '1min'")  # PostgreSQL ends the other transaction
        superuser.execute(give_up, ("countess", ADA))
        concurrent.start("bob", lambda api: rename(api, BOB, "ada"))
        with pytest.raises(psycopg.errors.UniqueViolation):
            superuser.execute(give_up, ("bob", ADA))
    concurrent.join()
    assert concurrent.responses == {"bob": TAKEN}
    assert rows(owner) == before


# --- Avatars ----------------------------------------------------------------------------------------------------------


def test_profile_has_avatar_of_manifest(api: Api) -> None:
    avatar = api.publish(ADA)
    assert api.put(ADA, display_name="Ada", handle="ada")[1]["avatar"] == avatar
    assert api.get(ADA)[1]["avatar"] == avatar
    assert api.public("ada")[1]["avatar"] == avatar
    assert api.get(BOB)[1]["avatar"] is None


# --- Faults -----------------------------------------------------------------------------------------------------------


def test_unavailable_database_returns_503_with_retry_after(
    load: Callable[[str], Api], migrated_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    place = urlsplit(migrated_url)
    assert place.port
    with TcpProxy(place.port) as proxy:
        api = load(migrated_url.replace(f":{place.port}/", f":{proxy.port}/"))
        assert api.get(ADA, name="Ada")[0] == 200
        proxy.stop()
        events = [
            api.event("GET /profile", ADA),
            {**api.event("PUT /profile", ADA), "body": '{"display_name": "Ada"}'},
            api.event("DELETE /profile", ADA),
            {"routeKey": "GET /profiles/{handle}", "pathParameters": {"handle": "ada"}},
        ]
        for event in events:
            answer = api.handler.handle(event, None)
            assert (answer["statusCode"], answer["headers"]["retry-after"]) == (503, "5")
            error = {"code": "unavailable", "message": "profiles cannot be reached; try again"}
            assert json.loads(answer["body"]) == {"error": error}
            assert answer["headers"]["cache-control"] == "no-store"
        proxy.start()
        assert [api.handler.handle(event, None)["statusCode"] for event in events] == [200, 200, 204, 404]
    said = [record for record in caplog.records if record.levelname == "ERROR"]
    assert [record.getMessage() for record in said] == ["database unavailable"] * 4
    assert all("Connection refused" in vars(record)["reason"] for record in said)
    assert [(vars(record)["service"], vars(record)["DatabaseUnavailable"]) for record in said] == [("profiles", 1)] * 4


def test_database_that_does_not_answer_returns_503_after_seconds(load: Callable[[str], Api]) -> None:
    with socket.create_server((HOST, 0)) as silent:  # accepts connections and never responds, as a paused database
        api = load(f"postgresql://avatars:secret@{HOST}:{silent.getsockname()[1]}/avatars?sslmode=disable")
        started = time.monotonic()
        response = api.handler.handle(api.event("GET /profile", ADA), None)
        elapsed = time.monotonic() - started
    assert (response["statusCode"], response["headers"]["retry-after"]) == (503, "5")
    assert 2 < elapsed < 6


def test_log_and_response_have_no_password_or_token(
    load: Callable[[str], Api], migrated_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    place = urlsplit(migrated_url)
    for password in ("correct-horse", "correct/horse", "correct%zzhorse"):
        api = load(f"postgresql://avatars:{password}@{place.hostname}:{place.port}/avatars")
        answer = api.handler.handle(api.event("GET /profile", ADA, "Ada"), None)
        assert answer["statusCode"] == 503
        assert "horse" not in answer["body"]
    errors = [vars(record) for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 3
    ours = [
        vars(record) for record in caplog.records if not record.name.startswith(("botocore", "urllib3", "werkzeug"))
    ]
    assert "horse" not in str(ours)
    assert TOKEN not in str(ours)


def test_connection_ended_by_server_is_reopened(
    api: Api, opened: list[postgres.Connection], administrator: postgres.Connection
) -> None:
    first = api.get(ADA, name="Ada")
    before = len(opened)
    administrator.execute("SELECT pg_terminate_backend(%s, 10000)", (opened[-1].info.backend_pid,))
    assert api.get(ADA) == first
    assert len(opened) == before + 1


def test_requests_share_one_connection(api: Api, opened: list[postgres.Connection]) -> None:
    before = len(opened)
    for subject in (ADA, BOB, ADA):
        api.put(subject, display_name="A")
        api.get(subject)
    assert len(opened) == before + 1


def test_missing_schema_raises_undefined_table(load: Callable[[str], Api], database_url: str) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable):
        load(database_url).public("ada")


@pytest.mark.parametrize(
    "missing",
    [
        *("UPLOADS_BUCKET", "ASSETS_BUCKET", "CDN_URL", "ISSUER", "HANDLE_HOLD_DAYS", "METRICS_SERVICE"),
        "DATABASE_URL_PARAMETER",
    ],
)
def test_import_without_variable_raises_key_error(load_handler: LoadHandler, missing: str) -> None:
    settings = {
        "UPLOADS_BUCKET": "uploads",
        "ASSETS_BUCKET": "assets",
        "CDN_URL": "https://cdn",
        "ISSUER": ISSUER,
        "HANDLE_HOLD_DAYS": "30",
        "METRICS_SERVICE": "profiles",
        "DATABASE_URL_PARAMETER": "name",
    }
    del settings[missing]
    with pytest.raises(KeyError, match=missing):
        load_handler("profile", settings)
