"""Connections to a real server, and what happens when it goes away."""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlsplit

import psycopg
import pytest

from functions.shared.db import postgres
from functions.shared.db.postgres import Database, UnavailableError
from tests.functions.conftest import wait_until
from tests.functions.servers import Gate


def test_a_connection_waits_as_long_as_it_is_told_to_and_prepares_nothing(database_url: str) -> None:
    with postgres.connect_to_url(database_url, patience_seconds=20) as connection:
        parameters = connection.info.get_parameters()
        assert (parameters["connect_timeout"], parameters["tcp_user_timeout"]) == ("20", "5000")
        assert connection.autocommit
        for _ in range(10):
            connection.execute("SELECT %s::int", (1,))
        assert connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)


def test_without_a_word_on_tls_in_the_url_there_is_no_connection_without_it(database_url: str) -> None:
    assert database_url.endswith("?sslmode=disable")
    with pytest.raises(UnavailableError, match="server does not support SSL, but SSL was required"):
        postgres.connect_to_url(database_url.removesuffix("?sslmode=disable"), patience_seconds=5)


# --- Secrets ----------------------------------------------------------------------------------------------------------


def with_login(url: str, user: str, password: str) -> str:
    place = urlsplit(url)
    return f"{place.scheme}://{user}:{password}@{place.hostname}:{place.port}{place.path}?{place.query}"


def said(error: BaseException) -> str:
    """The messages a log could show of an error and of those it came from."""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return f"{error!r}\n{said(before) if before else ''}"


def test_a_wrong_password_is_told_without_the_password(database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(UnavailableError, match='password authentication failed for user "avatars"') as caught:
        postgres.connect_to_url(with_login(database_url, "avatars", "correct-horse"), patience_seconds=5)
    assert "correct-horse" not in said(caught.value) + caplog.text


@pytest.mark.parametrize("between", ["/", "@", "?", "#", "%zz", " ", "@a/", "/@", "?x=@", "@[", ":@"])
def test_a_url_that_is_not_encoded_is_refused_without_a_word_of_its_password(database_url: str, between: str) -> None:
    with pytest.raises(UnavailableError) as caught:
        postgres.connect_to_url(with_login(database_url, "avatars", f"correct{between}horse"), patience_seconds=5)
    assert "correct" not in said(caught.value)
    assert "horse" not in said(caught.value)


@pytest.mark.parametrize("url", ["", "mysql://horse@host/db", "host=127.0.0.1 password=horse", "horse"])
def test_what_is_no_url_of_postgresql_is_refused_without_a_word_of_it(url: str) -> None:
    with pytest.raises(UnavailableError, match=r"^not a postgresql:// URL") as caught:
        postgres.connect_to_url(url, patience_seconds=5)
    assert "horse" not in said(caught.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_a_password_of_any_characters_works_when_it_is_encoded(
    database_url: str, new_user: Callable[[str], str], scheme: str
) -> None:
    password = "a/b@c?d#e%f:g h&i=ü"
    url = with_login(database_url, new_user(password), quote(password, safe=""))
    with postgres.connect_to_url(
        url.replace("postgresql", scheme, 1) + "&application_name=test", patience_seconds=5
    ) as connection:
        assert connection.execute("SELECT current_setting('application_name')").fetchone() == ("test",)


# --- One connection, kept ---------------------------------------------------------------------------------------------


@pytest.fixture
def database(database_url: str, opened: list[postgres.Connection]) -> Database:
    """Makes its connections when it needs them; `opened` has them."""
    assert opened == []
    return Database(lambda: postgres.connect_to_url(database_url, patience_seconds=5))


def is_connected(administrator: postgres.Connection, backend: int) -> bool:
    return administrator.execute("SELECT FROM pg_stat_activity WHERE pid = %s", (backend,)).fetchone() is not None


def test_nothing_connects_before_there_is_something_to_ask(database: Database, opened: list[object]) -> None:
    assert opened == []
    assert database.fetch_one("SELECT %s::text", ("é",)) == ("é",)
    assert len(opened) == 1


def test_statements_share_one_connection_and_each_is_committed(database: Database, opened: list[object]) -> None:
    database.fetch_one("SELECT set_config('avatars.mark', 'kept', false)", ())
    assert database.fetch_one("SELECT current_setting('avatars.mark')", ()) == ("kept",)
    assert len(opened) == 1


def test_a_statement_that_gives_nothing_gives_none(database: Database) -> None:
    assert database.fetch_one("SELECT 1 WHERE false", ()) is None


def test_each_statement_has_five_seconds_and_leaves_no_setting_behind_for_a_pooler_to_pass_on(
    database: Database, opened: list[postgres.Connection]
) -> None:
    assert database.fetch_one("SELECT current_setting('statement_timeout')", ()) == ("5s",)
    (connection,) = opened
    assert connection.execute("SELECT current_setting('statement_timeout')").fetchone() == ("0",)
    assert connection.info.get_parameters().keys().isdisjoint({"options"})


def test_a_statement_that_is_cancelled_is_told_and_not_repeated(
    database: Database, opened: list[object], administrator: postgres.Connection
) -> None:
    """By the timeout, too: to the client the two are one."""
    backend = pid(database)
    with waiting(database, administrator) as result:
        administrator.execute("SELECT pg_cancel_backend(%s)", (backend,))
        assert isinstance(result(), UnavailableError)
    assert "canceling statement" in str(result())
    assert (pid(database), len(opened)) == (backend, 1)


def test_a_statement_that_is_wrong_is_the_callers_error_and_the_connection_goes_on(
    database: Database, opened: list[object]
) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero):
        database.fetch_one("SELECT 1 / 0", ())
    assert database.fetch_one("SELECT 1", ()) == (1,)
    assert len(opened) == 1


def test_a_connection_the_server_has_ended_is_made_again(
    database: Database, opened: list[object], administrator: postgres.Connection
) -> None:
    former = pid(database)
    administrator.execute("SELECT pg_terminate_backend(%s, 10000)", (former,))
    assert pid(database) != former
    assert len(opened) == 2


def test_a_connection_that_was_idle_too_long_for_the_server_is_made_again(
    database: Database, administrator: postgres.Connection
) -> None:
    administrator.execute("ALTER DATABASE avatars SET idle_session_timeout = 50")
    try:
        former = pid(database)
        wait_until(lambda: not is_connected(administrator, former))
        assert pid(database) != former
    finally:
        administrator.execute("ALTER DATABASE avatars RESET idle_session_timeout")


def test_a_statement_whose_connection_is_ended_under_it_is_repeated(
    database: Database, administrator: postgres.Connection
) -> None:
    former = pid(database)
    with waiting(database, administrator) as result:
        administrator.execute("SELECT pg_terminate_backend(%s, 10000)", (former,))
        wait_until(lambda: is_waiting(administrator))
    assert result() == ("done",)
    assert pid(database) != former


def test_while_the_server_is_away_every_statement_says_so_and_the_first_one_after_works(
    database_url: str, opened: list[object]
) -> None:
    place = urlsplit(database_url)
    assert place.port
    with Gate(place.port) as gate:
        url = database_url.replace(f":{place.port}/", f":{gate.port}/")
        database = Database(lambda: postgres.connect_to_url(url, patience_seconds=5))
        assert database.fetch_one("SELECT 1", ()) == (1,)
        gate.shut()
        for _ in range(2):
            with pytest.raises(UnavailableError, match="Connection refused"):
                database.fetch_one("SELECT 1", ())
        gate.open()
        assert database.fetch_one("SELECT 1", ()) == (1,)
    assert len(opened) == 2


def pid(database: Database) -> int:
    row = database.fetch_one("SELECT pg_backend_pid()", ())
    assert row
    return row[0]


LOCK = 7


def is_waiting(administrator: postgres.Connection) -> bool:
    waiting = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND NOT granted"
    return administrator.execute(waiting, (LOCK,)).fetchone() is not None


@contextmanager
def waiting(
    database: Database, administrator: postgres.Connection
) -> Generator[Callable[[], tuple[str] | Exception | None]]:
    """Has the database run a statement that takes as long as the block; gives a way to its result or error."""
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(database.fetch_one("SELECT 'done' FROM pg_advisory_xact_lock(%s)", (LOCK,)))
        except Exception as error:
            results.append(error)

    thread = threading.Thread(target=run)

    def result() -> tuple[str] | Exception | None:
        thread.join(10)
        return results[0]

    administrator.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
    thread.start()
    try:
        wait_until(lambda: is_waiting(administrator))
        yield result
    finally:
        administrator.execute("SELECT pg_advisory_unlock(%s)", (LOCK,))
        thread.join(10)
