"""Profiles end to end: API, functions and database tables."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from typing import Any

import psycopg
import pytest
import requests

from client.session import Session
from local.stack import LocalStack
from tests.local.conftest import sign_in, wait_until

OTHER_ORIGIN = "https://evil.example"


def call(
    stack: LocalStack, method: str, path: str, session: Session | None = None, body: Mapping[str, Any] | None = None
) -> requests.Response:
    headers = {"Authorization": f"Bearer {session.access_token}"} if session else {}
    return requests.request(method, stack.api_url + path, json=body, headers=headers, timeout=30)


def put_profile(stack: LocalStack, session: Session, **profile: Any) -> requests.Response:
    return call(stack, "PUT", "/profile", session, profile)


def test_first_request_creates_profile_with_generated_name(stack: LocalStack) -> None:
    session = sign_in(stack, name="Zoë O'Neil-Smith")
    created = call(stack, "GET", "/profile", session).json()
    assert re.fullmatch("user_[a-z0-9]{6}", created["handle"])
    assert created == {
        "subject": session.subject,
        "handle": created["handle"],
        "display_name": created["handle"],
        "bio": "",
        "avatar": None,
    }
    assert call(stack, "GET", "/profile", session).json() == created


@pytest.fixture(scope="module")
def naming_stack(config: dict[str, str]) -> Generator[LocalStack]:
    """A stack that names new profiles as their users in the pool."""
    with LocalStack({**config, "avatars:profileNames": "cognito"}) as stack:
        yield stack


def test_first_request_creates_profile_with_the_sign_up_name(naming_stack: LocalStack) -> None:
    stack = naming_stack
    session = sign_in(stack, name="Zoë O'Neil-Smith")
    response = call(stack, "GET", "/profile", session)
    assert response.status_code == 200
    assert response.json() == {
        "subject": session.subject,
        "handle": "zoe_o_neil_smith",
        "display_name": "Zoë O'Neil-Smith",
        "bio": "",
        "avatar": None,
    }
    assert call(stack, "GET", "/profile", session).json() == response.json()


def test_users_with_equal_names_get_different_handles(naming_stack: LocalStack) -> None:
    stack = naming_stack
    first, second = (call(stack, "GET", "/profile", sign_in(stack, name="Sam Same")).json()["handle"] for _ in range(2))
    assert first == "sam_same"
    assert second.startswith("sam_same_")


def test_saved_profile_is_public(stack: LocalStack, session: Session) -> None:
    saved = put_profile(
        stack, session, display_name="  Grace Hopper ", bio="Rear admiral.\nCompilers.", handle="grace_h"
    )
    assert saved.status_code == 200
    assert saved.json()["display_name"] == "Grace Hopper"
    seen = call(stack, "GET", "/profiles/grace_h")
    assert (seen.status_code, seen.json()) == (200, saved.json())
    assert seen.headers["Cache-Control"] == "public, max-age=30"
    assert saved.headers["Cache-Control"] == "no-store"


def test_unknown_handle_returns_404(stack: LocalStack) -> None:
    for handle in ("nobody_here", "No-Handle", "x"):
        response = call(stack, "GET", f"/profiles/{handle}")
        assert (response.status_code, response.json()["error"]["code"]) == (404, "not_found")


def test_invalid_profile_lists_every_invalid_field(stack: LocalStack, session: Session) -> None:
    response = put_profile(stack, session, display_name=" ", bio="x" * 501, handle="No!")
    assert (response.status_code, response.json()["error"]["code"]) == (422, "invalid_profile")
    assert sorted(response.json()["error"]["fields"]) == ["bio", "display_name", "handle"]


def test_handle_in_use_is_rejected(stack: LocalStack, session: Session) -> None:
    owner = sign_in(stack)
    assert put_profile(stack, owner, display_name="Owner", handle="owned").status_code == 200
    response = put_profile(stack, session, display_name="Thief", handle="owned")
    assert (response.status_code, list(response.json()["error"]["fields"])) == (422, ["handle"])
    assert call(stack, "GET", "/profiles/owned").json()["display_name"] == "Owner"


def test_reserved_handle_is_rejected(stack: LocalStack, session: Session) -> None:
    response = put_profile(stack, session, display_name="Admin", handle="admin")
    assert response.status_code == 422
    assert response.json()["error"]["fields"] == {"handle": "This handle is reserved."}


def test_renamed_handle_redirects_to_the_new_one(stack: LocalStack, session: Session) -> None:
    for handle in ("renamed_from", "renamed_to"):
        assert put_profile(stack, session, display_name="Renamed", handle=handle).status_code == 200
    followed = requests.get(f"{stack.api_url}/profiles/renamed_from", headers={"Origin": stack.cdn_url}, timeout=30)
    (redirect,) = followed.history
    assert (redirect.status_code, redirect.json()) == (301, {"handle": "renamed_to"})
    assert redirect.headers["Location"] == "./renamed_to"
    assert redirect.headers["Cache-Control"] == "public, max-age=30"
    assert redirect.headers["Access-Control-Allow-Origin"] == stack.cdn_url
    assert followed.url == f"{stack.api_url}/profiles/renamed_to"
    assert (followed.status_code, followed.json()["subject"]) == (200, session.subject)


def test_profile_with_subject_is_rejected_and_changes_only_the_caller(stack: LocalStack, session: Session) -> None:
    victim = sign_in(stack)
    before = put_profile(stack, victim, display_name="Victim", bio="mine").json()
    response = put_profile(stack, session, display_name="Mallory", subject=victim.subject)
    assert (response.status_code, list(response.json()["error"]["fields"])) == (422, ["subject"])
    assert put_profile(stack, session, display_name="Mallory").json()["subject"] == session.subject
    assert call(stack, "GET", "/profile", victim).json() == before


def test_own_profile_without_token_returns_401(stack: LocalStack) -> None:
    assert call(stack, "GET", "/profile").status_code == 401
    assert call(stack, "PUT", "/profile", body={"display_name": "Nobody"}).status_code == 401
    assert call(stack, "DELETE", "/profile").status_code == 401


def test_profile_has_the_images_of_the_avatar(stack: LocalStack, session: Session, photo: bytes) -> None:
    manifest = session.upload(photo, "image/jpeg").avatar
    profile = put_profile(stack, session, display_name="With a face", handle="face").json()
    assert profile["avatar"] == {name: manifest[name] for name in ("url", "updated_at", "images")}
    assert call(stack, "GET", "/profiles/face").json()["avatar"] == profile["avatar"]


def test_delete_profile_removes_row_and_avatar(stack: LocalStack, session: Session, photo: bytes) -> None:
    session.upload(photo, "image/jpeg")
    assert put_profile(stack, session, display_name="For now", handle="for_now").status_code == 200
    deleted = call(stack, "DELETE", "/profile", session)
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert call(stack, "GET", "/profiles/for_now").status_code == 404
    assert call(stack, "GET", "/avatars/me", session).status_code == 404
    wait_until(
        lambda: any(
            (event["event"], event["subject"]) == ("avatar.deleted", session.subject) for event in stack.receiver.events
        ),
        "the deletion is announced",
    )
    created = call(stack, "GET", "/profile", session).json()
    assert (created["bio"], created["avatar"]) == ("", None)


@pytest.mark.parametrize("path", ["/profiles/grace", "/profile"])
def test_profile_for_other_origin_has_no_cors_headers(stack: LocalStack, session: Session, path: str) -> None:
    headers = {"Authorization": f"Bearer {session.access_token}"}
    other = requests.get(stack.api_url + path, headers={**headers, "Origin": OTHER_ORIGIN}, timeout=30)
    own = requests.get(stack.api_url + path, headers={**headers, "Origin": stack.cdn_url}, timeout=30)
    assert "Access-Control-Allow-Origin" not in other.headers
    assert own.headers["Access-Control-Allow-Origin"] == stack.cdn_url


def test_deployment_creates_tables_in_the_avatars_schema(stack: LocalStack) -> None:
    with psycopg.connect(stack.database.url) as connection:
        tables = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname !~ '^pg_|information_schema' ORDER BY 1, 2"
        ).fetchall()
    assert tables == [("avatars", "alembic_version"), ("avatars", "retired_handles"), ("avatars", "users")]


def test_downgrade_and_upgrade_keep_profiles(stack: LocalStack, session: Session) -> None:
    before = put_profile(stack, session, display_name="Kept", bio="lost with its column").json()
    migrate = stack.functions.find_by_package("migrate_database")
    back = migrate.invoke({"target": "0001"})
    forth = migrate.invoke({"target": "head"})
    assert (back.error, forth.error) == (None, None)
    assert (back.payload, forth.payload) == ({"from": "0004", "to": "0001"}, {"from": "0001", "to": "0004"})
    assert call(stack, "GET", "/profile", session).json() == {**before, "bio": ""}


def test_logs_and_environments_do_not_contain_database_password(stack: LocalStack, session: Session) -> None:
    password = stack.database.url.split(":")[2].split("@")[0]
    call(stack, "GET", "/profile", session)
    for function in stack.functions.by_arn.values():
        assert password not in function.read_log()
        assert password not in str(function.config.environment)
