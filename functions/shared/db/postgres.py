"""PostgreSQL through psycopg: connections that leak no secret and work behind a pooler, and one that is kept."""

import re
from collections.abc import Callable
from typing import Any, LiteralString, TypeAlias

import psycopg
from psycopg.conninfo import conninfo_to_dict

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]
Connect: TypeAlias = Callable[[], Connection]

# For what was sent to be received, in milliseconds: a host that has vanished, as in a failover, never says so.
_VANISHED_AFTER = 5_000

# A URL that is split wrongly, at a / or @ of a password that is not percent-encoded, would put a part of the password
# into libpq's message about an unknown host or a port that is no number.
# https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
_URL = re.compile(r"postgres(ql)?://([^@/?#\s]*@)?[^@/?#\s]+(/[^@/?#\s]*)?(\?[^@#\s]*)?")


class UnavailableError(Exception):
    """The database cannot be reached, or does not answer in time. The message holds no secret."""


def connect_to_url(url: str, *, patience_seconds: int) -> Connection:
    """A new connection, by postgresql://<user>:<password>@<host>/<database>. UnavailableError if there is none in time.

    Over TLS unless the URL has an sslmode that says otherwise: libpq by itself goes on without where it is not offered.
    """
    if not _URL.fullmatch(url):
        raise UnavailableError("not a postgresql:// URL; the password in it must be percent-encoded")
    return connect(url, patience_seconds=patience_seconds)


def connect(conninfo: str, password: str | None = None, *, patience_seconds: int) -> Connection:
    """As `connect_to_url`, by any of libpq's connection strings."""
    try:
        return psycopg.connect(
            conninfo,
            password=password,
            sslmode=conninfo_to_dict(conninfo).get("sslmode", "require"),
            connect_timeout=patience_seconds,
            tcp_user_timeout=_VANISHED_AFTER,
            autocommit=True,
            prepare_threshold=None,  # behind a pooler the next statement may find itself on another connection
        )
    except psycopg.OperationalError as error:
        raise UnavailableError(_one_line(error)) from error
    except psycopg.ProgrammingError:
        # psycopg's message quotes what it cannot read, and that may be the password.
        raise UnavailableError("the database's URL or parameters cannot be read") from None


class Database:
    """A database over one connection, which is kept between invocations and made when there is none."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._connection: Connection | None = None

    def fetch_one(self, statement: LiteralString, parameters: tuple[object, ...]) -> tuple[Any, ...] | None:
        """The first row a statement gives, None without one; the statement is a transaction of its own.

        It is run again, over a new connection, when the server has closed the old one: run twice it must do what it
        does once. UnavailableError if the database cannot be reached or takes longer than five seconds.
        """
        try:
            return self._fetch_one(statement, parameters)
        except psycopg.OperationalError as error:
            raise UnavailableError(_one_line(error)) from error

    def _fetch_one(self, statement: LiteralString, parameters: tuple[object, ...]) -> tuple[Any, ...] | None:
        if self._connection:
            try:
                return _run(self._connection, statement, parameters)
            except psycopg.OperationalError:
                if not self._connection.closed:
                    raise
        self._connection = None
        self._connection = self._connect()
        return _run(self._connection, statement, parameters)


def _run(connection: Connection, statement: LiteralString, parameters: tuple[object, ...]) -> tuple[Any, ...] | None:
    with connection.transaction():
        # The timeout is set in each transaction, and in a request of its own, because of poolers: they refuse it among
        # a connection's parameters, leave what is SET without LOCAL to the next client, and some lose answers when
        # statements are sent ahead, as psycopg's pipeline does.
        # https://www.pgbouncer.org/features.html#sql-feature-map-for-pooling-modes
        connection.execute("SET LOCAL statement_timeout = 5000")
        return connection.execute(statement, parameters).fetchone()


def _one_line(error: psycopg.Error) -> str:
    return " ".join(str(error).split())
