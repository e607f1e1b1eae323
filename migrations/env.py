"""How migrations run: one at a time, each in a transaction of its own.

Alembic runs this file for each command that needs the database. It is found in the attribute `connect` of Alembic's
configuration, a function that gives a connection; without one, as on the command line, by DATABASE_URL or else in what
a local stack says of itself.
"""

import json
import logging
import os
from pathlib import Path

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection, create_engine, pool, text

from functions.shared.db import postgres

SCHEMA = "avatars"
LOCAL_OUTPUTS = Path(__file__).parents[1] / ".local" / "outputs.json"

# Any number that nobody else in the database is likely to lock.
_LOCK = int.from_bytes(b"avatars")


def run() -> None:
    engine = create_engine("postgresql+psycopg://", creator=_connect, poolclass=pool.NullPool)
    # The lock is held by an open transaction of a second connection. A lock of the session that migrates would, behind
    # a pooler, be taken on one connection and given back on another, and never be free again.
    with engine.begin() as guard, engine.connect() as connection:
        guard.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        guard.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        with connection.begin():
            _make_schema(connection)
        context.configure(connection=connection, version_table_schema=SCHEMA, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()


def _make_schema(connection: Connection) -> None:
    """The table of revisions lies in the schema too, so that whoever drops the schema drops both."""
    # IF NOT EXISTS would ask for the right to make schemas even where an administrator has made this one.
    if not connection.scalar(text("SELECT to_regnamespace(:name) IS NOT NULL"), {"name": SCHEMA}):
        connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))


def _connect() -> postgres.Connection:
    connection = context.config.attributes.get("connect", _connect_from_here)()
    connection.autocommit = False  # SQLAlchemy leaves it to the driver to begin transactions
    return connection


def _connect_from_here() -> postgres.Connection:
    try:
        connection = postgres.connect_to_url(
            os.environ.get("DATABASE_URL") or _url_of_local_stack(), patience_seconds=20
        )
    except postgres.UnavailableError as error:
        raise CommandError(f"cannot connect to the database: {error}") from error
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    return connection


def _url_of_local_stack() -> str:
    try:
        return json.loads(LOCAL_OUTPUTS.read_text())["databaseUrl"]
    except (FileNotFoundError, KeyError):
        raise CommandError(
            "which database? Set DATABASE_URL to its postgresql:// URL, or start the local stack (make local), "
            "which says in .local/outputs.json where its database is"
        ) from None


run()
