"""PostgreSQL connections: errors contain no secret, and poolers are supported."""

import re
from collections.abc import Callable
from typing import Any, LiteralString, TypeAlias, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]
Connect: TypeAlias = Callable[[], Connection]

_R = TypeVar("_R")

# How long sent data may stay unacknowledged, in milliseconds: after a failover the old host does not close connections.
_TCP_USER_TIMEOUT_MS = 3_000

# A password with an unencoded / or @ makes libpq split the URL at the wrong place, and report a part of the password as
# an unknown host or an invalid port. https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
_URL = re.compile(r"postgres(ql)?://([^@/?#\s]*@)?[^@/?#\s]+(/[^@/?#\s]*)?(\?[^@#\s]*)?")


class UnavailableError(Exception):
    """The database cannot be reached or does not respond in time. The message contains no secret."""


def connect_to_url(url: str, *, timeout_seconds: int) -> Connection:
    """Connect to postgresql://<user>:<password>@<host>/<database>.

    TLS is required unless the URL has an `sslmode`. libpq's own default falls back to an unencrypted connection.

    Raises:
        UnavailableError: There is no connection after `timeout_seconds` for each of the host's addresses, or the URL is
            invalid.
    """
    if not _URL.fullmatch(url):
        raise UnavailableError("not a postgresql:// URL; the password in it must be percent-encoded")
    return connect(url, timeout_seconds=timeout_seconds)


def connect(conninfo: str, password: str | None = None, *, timeout_seconds: int) -> Connection:
    """Connect with a libpq connection string, as `connect_to_url`.

    Raises:
        UnavailableError: There is no connection after `timeout_seconds`, or the connection string is invalid.
    """
    try:
        return psycopg.connect(
            conninfo,
            password=password,
            sslmode=conninfo_to_dict(conninfo).get("sslmode", "require"),
            connect_timeout=timeout_seconds,
            tcp_user_timeout=_TCP_USER_TIMEOUT_MS,
            autocommit=True,
            prepare_threshold=None,  # a pooler can run the next statement on another server connection
        )
    except psycopg.OperationalError as error:
        raise UnavailableError(_join_lines(error)) from error
    except psycopg.ProgrammingError:
        # The message quotes the text that cannot be parsed, which can be the password.
        raise UnavailableError("the database's URL or parameters cannot be read") from None


class Database:
    """A database with one connection, created on first use and kept between invocations."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._connection: Connection | None = None

    def fetch_one(self, statement: LiteralString, parameters: tuple[object, ...]) -> tuple[Any, ...] | None:
        """Run the statement in a transaction of its own and return its first row, or None. As `transact`."""
        return self.transact(lambda connection: connection.execute(statement, parameters).fetchone())

    def transact(self, work: Callable[[Connection], _R]) -> _R:
        """Run `work` in a transaction, which is rolled back if it raises an error, and return its result.

        If the server has closed the connection, `work` is run again on a new one: it must be idempotent.

        Raises:
            UnavailableError: The database cannot be reached, or a statement takes longer than three seconds.
            DeadlockDetected: This transaction was ended so that another one could go on.
        """
        try:
            return self._transact(work)
        except psycopg.errors.DeadlockDetected:
            raise
        except psycopg.OperationalError as error:
            raise UnavailableError(_join_lines(error)) from error

    def _transact(self, work: Callable[[Connection], _R]) -> _R:
        if self._connection:
            try:
                return _run(self._connection, work)
            except psycopg.OperationalError:
                if not self._connection.closed:
                    raise
        self._connection = self._connect()
        return _run(self._connection, work)


def _run(connection: Connection, work: Callable[[Connection], _R]) -> _R:
    with connection.transaction():
        # Set in each transaction, in a request of its own, because of poolers: they reject it as a connection parameter
        # and keep the effect of SET without LOCAL for the next client, and some lose results in pipeline mode.
        # https://www.pgbouncer.org/features.html#sql-feature-map-for-pooling-modes
        connection.execute("SET LOCAL statement_timeout = 3000")
        return work(connection)


def _join_lines(error: psycopg.Error) -> str:
    return " ".join(str(error).split())
