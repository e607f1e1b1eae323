"""The migrations of the deployment package."""

from pathlib import Path
from typing import NamedTuple

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, pool

from functions.shared.db.postgres import Connect

MIGRATIONS = Path(__file__).parents[2] / "migrations"


class MigrationResult(NamedTuple):
    """The revisions before and after. None: no migration is applied."""

    before: str | None
    after: str | None

    @property
    def is_downgrade(self) -> bool:
        return (self.after or "") < (self.before or "")


class Schema:
    def __init__(self, connect: Connect, migrations: Path = MIGRATIONS) -> None:
        self._connect = connect
        self._config = Config()
        self._config.set_main_option("script_location", str(migrations))
        self._config.attributes["connect"] = connect

    def migrate(self, target: str) -> MigrationResult:
        """Upgrade to `head`, upgrade or downgrade to a revision, or downgrade by one with `-1`.

        Each migration is a transaction of its own: those before a failed one stay applied.

        Raises:
            alembic.util.CommandError: There is no such target.
            sqlalchemy.exc.DBAPIError: A migration failed.
        """
        before = self.read_revision()
        run = command.downgrade if _is_downgrade(target, before) else command.upgrade
        run(self._config, target)
        return MigrationResult(before, self.read_revision())

    def list_revisions(self) -> list[str]:
        """Return those of the package, the oldest first."""
        scripts = ScriptDirectory.from_config(self._config).walk_revisions()
        return [script.revision for script in scripts][::-1]

    def read_revision(self) -> str | None:
        """Return that of the database. None: no migration is applied."""
        engine = create_engine("postgresql+psycopg://", creator=self._connect, poolclass=pool.NullPool)
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"version_table_schema": "avatars"})
            return context.get_current_revision()


def _is_downgrade(target: str, revision: str | None) -> bool:
    # Revisions are numbers of the same width, so they compare as text.
    return target.startswith("-") or (target.isdecimal() and target < (revision or ""))
