"""Connections to a PostgreSQL server, and to one that goes away."""

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
from tests.functions.servers import TcpProxy


def test_connect_sets_timeouts_and_prepares_no_statements(database_url: str) -> None:
    with postgres.connect_to_url(database_url, timeout_seconds=20) as connection:
        parameters = connection.info.get_parameters()
        assert (parameters["connect_timeout"], parameters["tcp_user_timeout"]) == ("20", "3000")
        assert connection.autocommit
        for _ in range(10):
            connection.execute("SELECT %s::int", (1,))
        assert connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)


def test_connect_url_without_sslmode_requires_tls(database_url: str) -> None:
    assert database_url.endswith("?sslmode=disable")
    with pytest.raises(UnavailableError, match="server does not support SSL, but SSL was required"):
        postgres.connect_to_url(database_url.removesuffix("?sslmode=disable"), timeout_seconds=5)


# --- Secrets ----------------------------------------------------------------------------------------------------------


def replace_login(url: str, user: str, password: str) -> str:
    place = urlsplit(url)
    return f"{place.scheme}://{user}:{password}@{place.hostname}:{place.port}{place.path}?{place.query}"


def format_chain(error: BaseException) -> str:
    """Return the messages of an error and its causes, as a log shows them."""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return f"{error!r}\n{format_chain(before) if before else ''}"


def test_connect_wrong_password_error_hides_password(database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(UnavailableError, match='password authentication failed for user "avatars"') as caught:
        postgres.connect_to_url(replace_login(database_url, "avatars", "correct-horse"), timeout_seconds=5)
    assert "correct-horse" not in format_chain(caught.value) + caplog.text


@pytest.mark.parametrize("between", ["/", "@", "?", "#", "%zz", " ", "@a/", "/@", "?x=@", "@[", ":@"])
def test_connect_unencoded_password_error_hides_password(database_url: str, between: str) -> None:
    with pytest.raises(UnavailableError) as caught:
        postgres.connect_to_url(replace_login(database_url, "avatars", f"correct{between}horse"), timeout_seconds=5)
    assert "correct" not in format_chain(caught.value)
    assert "horse" not in format_chain(caught.value)


@pytest.mark.parametrize("url", ["", "mysql://horse@host/db", "host=127.0.0.1 password=horse", "horse"])
def test_connect_other_url_error_hides_url(url: str) -> None:
    with pytest.raises(UnavailableError, match=r"^not a postgresql:// URL") as caught:
        postgres.connect_to_url(url, timeout_seconds=5)
    assert "horse" not in format_chain(caught.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_connect_encoded_password_of_any_characters_works(
    database_url: str, new_user: Callable[[str], str], scheme: str
) -> None:
    password = "a/b@c?d#e%f:g h&i=ü"
    url = replace_login(database_url, new_user(password), quote(password, safe=""))
    with postgres.connect_to_url(
        url.replace("postgresql", scheme, 1) + "&application_name=test", timeout_seconds=5
    ) as connection:
        assert connection.execute("SELECT current_setting('application_name')").fetchone() == ("test",)


# --- Database ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def database(database_url: str, opened: list[postgres.Connection]) -> Database:
    """A database whose connections are recorded in `opened`."""
    assert opened == []
    return Database(lambda: postgres.connect_to_url(database_url, timeout_seconds=5))


def is_connected(administrator: postgres.Connection, backend: int) -> bool:
    return administrator.execute("SELECT FROM pg_stat_activity WHERE pid = %s", (backend,)).fetchone() is not None


def test_database_connects_on_first_statement(database: Database, opened: list[object]) -> None:
    assert opened == []
    assert database.fetch_one("SELECT %s::text", ("é",)) == ("é",)
    assert len(opened) == 1


def test_fetch_one_shares_connection_and_commits(database: Database, opened: list[object]) -> None:
    database.fetch_one("SELECT set_config('avatars.mark', 'kept', false)", ())
    assert database.fetch_one("SELECT current_setting('avatars.mark')", ()) == ("kept",)
    assert len(opened) == 1


def test_fetch_one_without_row_returns_none(database: Database) -> None:
    assert database.fetch_one("SELECT 1 WHERE false", ()) is None


def test_fetch_one_statement_timeout_is_local_to_transaction(
    database: Database, opened: list[postgres.Connection]
) -> None:
    assert database.fetch_one("SELECT current_setting('statement_timeout')", ()) == ("3s",)
    (connection,) = opened
    assert connection.execute("SELECT current_setting('statement_timeout')").fetchone() == ("0",)
    assert connection.info.get_parameters().keys().isdisjoint({"options"})


def test_fetch_one_canceled_raises_unavailable_without_retry(
    database: Database, opened: list[object], administrator: postgres.Connection
) -> None:
    """A statement timeout is reported the same way."""
    backend = get_backend_pid(database)
    with run_blocked(database, administrator) as result:
        administrator.execute("SELECT pg_cancel_backend(%s)", (backend,))
        assert isinstance(result(), UnavailableError)
    assert "canceling statement" in str(result())
    assert (get_backend_pid(database), len(opened)) == (backend, 1)


def test_fetch_one_invalid_statement_keeps_connection(database: Database, opened: list[object]) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero):
        database.fetch_one("SELECT 1 / 0", ())
    assert database.fetch_one("SELECT 1", ()) == (1,)
    assert len(opened) == 1


def test_transact_error_rolls_back_and_keeps_connection(database: Database, opened: list[object]) -> None:
    def fail(connection: postgres.Connection) -> None:
        connection.execute("CREATE SCHEMA avatars")
        raise LookupError

    with pytest.raises(LookupError):
        database.transact(fail)
    assert database.transact(lambda connection: connection.execute("SELECT to_regnamespace('avatars')").fetchone()) == (
        None,
    )
    assert len(opened) == 1


def test_fetch_one_terminated_connection_reconnects(
    database: Database, opened: list[object], administrator: postgres.Connection
) -> None:
    previous = get_backend_pid(database)
    administrator.execute("SELECT pg_terminate_backend(%s, 10000)", (previous,))
    assert get_backend_pid(database) != previous
    assert len(opened) == 2


def test_fetch_one_after_idle_session_timeout_reconnects(
    database: Database, opened: list[postgres.Connection], administrator: postgres.Connection
) -> None:
    previous = get_backend_pid(database)
    opened[0].execute("SET idle_session_timeout = 50")
    wait_until(lambda: not is_connected(administrator, previous))
    assert get_backend_pid(database) != previous
    assert len(opened) == 2


def test_fetch_one_terminated_while_running_is_retried(database: Database, administrator: postgres.Connection) -> None:
    previous = get_backend_pid(database)
    with run_blocked(database, administrator) as result:
        administrator.execute("SELECT pg_terminate_backend(%s, 10000)", (previous,))
        wait_until(lambda: is_waiting(administrator))
    assert result() == ("done",)
    assert get_backend_pid(database) != previous


def test_fetch_one_server_down_raises_unavailable_then_recovers(database_url: str, opened: list[object]) -> None:
    place = urlsplit(database_url)
    assert place.port
    with TcpProxy(place.port) as proxy:
        url = database_url.replace(f":{place.port}/", f":{proxy.port}/")
        database = Database(lambda: postgres.connect_to_url(url, timeout_seconds=5))
        assert database.fetch_one("SELECT 1", ()) == (1,)
        proxy.stop()
        for _ in range(2):
            with pytest.raises(UnavailableError, match="Connection refused"):
                database.fetch_one("SELECT 1", ())
        proxy.start()
        assert database.fetch_one("SELECT 1", ()) == (1,)
    assert len(opened) == 2


def get_backend_pid(database: Database) -> int:
    row = database.fetch_one("SELECT pg_backend_pid()", ())
    assert row
    return row[0]


LOCK = 7


def is_waiting(administrator: postgres.Connection) -> bool:
    waiting = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND NOT granted"
    return administrator.execute(waiting, (LOCK,)).fetchone() is not None


@contextmanager
def run_blocked(
    database: Database, administrator: postgres.Connection
) -> Generator[Callable[[], tuple[str] | Exception | None]]:
    """Run a statement that blocks until the block ends, and yield a function that returns its result or error."""
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
