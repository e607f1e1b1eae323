"""The erasure of profiles in a PostgreSQL server, and in one that is not there yet."""

import threading
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from functions.profile.profile_validation import ProfileUpdate
from functions.profile.users import Users
from functions.shared.db import postgres
from tests.functions.conftest import LoadHandler
from tests.functions.servers import HOST, TcpProxy

ADA = "0a1b2c3d-0000-4000-8000-00000000ada1"
BOB = "0a1b2c3d-0000-4000-8000-000000000b0b"
NOTHING = {"profile": False, "handles": 0}


@pytest.fixture
def load(
    load_handler: LoadHandler,
    moto_endpoint: str,
    url_parameter: Callable[[str], str],
    opened: list[postgres.Connection],
) -> Callable[[str], ModuleType]:
    assert opened == []  # what the sandbox opens is closed with it

    def load(url: str) -> ModuleType:
        settings = {"DATABASE_URL_PARAMETER": url_parameter(url), "AWS_ENDPOINT_URL_SSM": moto_endpoint}
        return load_handler("erase_profile", settings)

    return load


@pytest.fixture
def handler(load: Callable[[str], ModuleType], migrated_url: str) -> ModuleType:
    return load(migrated_url)


@pytest.fixture
def users(handler: ModuleType, migrated_url: str) -> Users:
    return Users(postgres.Database(lambda: postgres.connect_to_url(migrated_url, timeout_seconds=5)), hold_days=30)


@pytest.fixture
def owner(handler: ModuleType, migrated_url: str) -> Iterator[postgres.Connection]:
    with psycopg.connect(migrated_url, autocommit=True) as connection:
        yield connection


def rename(users: Users, subject: str, *handles: str) -> None:
    users.create(subject, handles[0], "A name")
    for handle in handles[1:]:
        assert users.update(subject, ProfileUpdate(display_name="A name", bio="", handle=handle))


def rows(owner: postgres.Connection) -> tuple[list[Any], list[Any]]:
    """The users, and the handles that they gave up."""
    return (
        owner.execute("SELECT subject, handle FROM avatars.users ORDER BY 1").fetchall(),
        owner.execute("SELECT handle, subject, former_subject FROM avatars.retired_handles ORDER BY 1").fetchall(),
    )


def erase(handler: ModuleType, subject: str = ADA) -> dict[str, Any]:
    return handler.handle({"subject": subject}, None)


def test_erase_removes_profile_and_former_handles_of_subject_only(
    handler: ModuleType, users: Users, owner: postgres.Connection
) -> None:
    rename(users, ADA, "ada", "countess", "ada_king")
    rename(users, BOB, "bob", "bobby")
    rename(users, f"{ADA}-2", "ada_2")
    assert erase(handler) == {"profile": True, "handles": 2}
    assert rows(owner) == ([(BOB, "bobby"), (f"{ADA}-2", "ada_2")], [("bob", BOB, BOB)])
    assert erase(handler) == NOTHING


def test_erase_finds_held_handles_of_a_deleted_profile(
    handler: ModuleType, users: Users, owner: postgres.Connection
) -> None:
    rename(users, ADA, "ada", "countess")
    users.delete(ADA)
    assert rows(owner) == ([], [("ada", None, ADA), ("countess", None, ADA)])
    assert erase(handler) == {"profile": False, "handles": 2}
    assert rows(owner) == ([], [])


def test_erased_handles_are_free_at_once(handler: ModuleType, users: Users) -> None:
    rename(users, ADA, "ada", "countess")
    assert users.create(BOB, "ada", "Bob") is None
    erase(handler)
    rename(users, BOB, "ada", "countess")


def test_handle_given_up_during_erasure_is_erased(
    handler: ModuleType, users: Users, owner: postgres.Connection, administrator: postgres.Connection
) -> None:
    """The erasure waits for the transaction that has locked the row, and sees what it has committed."""
    rename(users, ADA, "ada")
    erased: list[dict[str, Any]] = []
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'DELETE%users%'"
    with owner.transaction():
        owner.execute("SELECT FROM avatars.users FOR UPDATE")
        thread = threading.Thread(target=lambda: erased.append(erase(handler)))
        thread.start()
        deadline = time.monotonic() + 2
        while administrator.execute(waiting).fetchone() != (1,):
            assert time.monotonic() < deadline
        owner.execute("UPDATE avatars.users SET handle = 'countess'")
        owner.execute(
            "INSERT INTO avatars.retired_handles (handle, subject, former_subject) VALUES ('ada', %s, %s)", (ADA, ADA)
        )
    thread.join()
    assert erased == [{"profile": True, "handles": 1}]
    assert rows(owner) == ([], [])


def test_database_that_resumes_late_is_waited_for(
    load: Callable[[str], ModuleType], migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = urlsplit(migrated_url)
    assert address.port
    with TcpProxy(address.port) as proxy:
        login = address.netloc.rpartition("@")[0]
        handler = load(address._replace(netloc=f"{login}@{HOST}:{proxy.port}").geturl())
        proxy.stop()
        pauses: list[float] = []

        def resume(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 2:
                proxy.start()

        monkeypatch.setattr(handler.time, "sleep", resume)
        assert erase(handler) == NOTHING
        assert pauses == [handler.PAUSE_SECONDS] * 2


def test_database_that_stays_unavailable_raises_at_the_limit(
    load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = load("postgresql://avatars:correct-horse@127.0.0.1:1/avatars")
    monkeypatch.setattr(handler, "RESUME_SECONDS", 0.05)
    monkeypatch.setattr(handler, "PAUSE_SECONDS", 0.1)
    with pytest.raises(postgres.UnavailableError, match="Connection refused"):
        erase(handler)
