"""Alembic's environment: runs migrations one at a time, each in a transaction of its own.

The database is that of the attribute `connect` of Alembic's configuration, a function that returns a connection. On the
command line, which has no such attribute, it is that of DATABASE_URL or else of the running local stack.
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

# Key of the advisory lock: any number that other applications are unlikely to use.
_LOCK = int.from_bytes(b"avatars")


def run() -> None:
    engine = create_engine("postgresql+psycopg://", creator=_connect, poolclass=pool.NullPool)
    # A transaction of a second connection holds the lock. Behind a pooler, a session-level lock could be acquired on
    # one server connection and released on another, and would never be free again.
    with engine.begin() as lock_connection, engine.connect() as connection:
        lock_connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        lock_connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        with connection.begin():
            _create_schema(connection)
        context.configure(connection=connection, version_table_schema=SCHEMA, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()


def _create_schema(connection: Connection) -> None:
    """Create the schema. It contains the table of revisions too, so that dropping the schema drops both."""
    # CREATE SCHEMA IF NOT EXISTS needs the CREATE privilege even if the schema exists.
    if not connection.scalar(text("SELECT to_regnamespace(:name) IS NOT NULL"), {"name": SCHEMA}):
        connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))


def _connect() -> postgres.Connection:
    connection = context.config.attributes.get("connect", _connect_from_command_line)()
    connection.autocommit = False  # SQLAlchemy relies on the driver to begin transactions
    return connection


def _connect_from_command_line() -> postgres.Connection:
    try:
        connection = postgres.connect_to_url(
            os.environ.get("DATABASE_URL") or _read_local_stack_url(), timeout_seconds=20
        )
    except postgres.UnavailableError as error:
        raise CommandError(f"cannot connect to the database: {error}") from error
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    return connection


def _read_local_stack_url() -> str:
    try:
        return json.loads(LOCAL_OUTPUTS.read_text())["databaseUrl"]
    except (FileNotFoundError, KeyError):
        raise CommandError(
            "which database? Set DATABASE_URL to its postgresql:// URL, or start the local stack (make local), "
            "which says in .local/outputs.json where its database is"
        ) from None


run()
