"""The schema's migrations, as they were packed with the function."""

from pathlib import Path
from typing import NamedTuple

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, pool

from functions.shared.db.postgres import Connect

MIGRATIONS = Path(__file__).parents[2] / "migrations"


class Move(NamedTuple):
    """Two revisions; None is the one before the first."""

    before: str | None
    after: str | None

    @property
    def is_down(self) -> bool:
        return (self.after or "") < (self.before or "")


class Schema:
    def __init__(self, connect: Connect, migrations: Path = MIGRATIONS) -> None:
        self._connect = connect
        self._config = Config()
        self._config.set_main_option("script_location", str(migrations))
        self._config.attributes["connect"] = connect

    def move_to(self, target: str) -> Move:
        """Go to `head`, to a revision in either direction, or with `-1` back by one.

        alembic.util.CommandError for a target there is not. What a migration raises; those before it stay.
        """
        before = self._revision()
        move = command.downgrade if _is_back(target, before) else command.upgrade
        move(self._config, target)
        return Move(before, self._revision())

    def _revision(self) -> str | None:
        engine = create_engine("postgresql+psycopg://", creator=self._connect, poolclass=pool.NullPool)
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"version_table_schema": "avatars"})
            return context.get_current_revision()


def _is_back(target: str, revision: str | None) -> bool:
    # Revisions are numbers of one width, so their order is that of text.
    return target.startswith("-") or (target.isdecimal() and target < (revision or ""))
