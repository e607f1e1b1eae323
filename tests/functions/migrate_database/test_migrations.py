"""The migrations on a PostgreSQL server: with the Lambda function, and with the commands of the Makefile."""

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from psycopg import sql
from sqlalchemy.exc import DatabaseError

from functions.migrate_database.schema import MIGRATIONS, MigrationResult, Schema
from functions.shared.db import login, postgres
from local.emulators.postgres import Postgres
from tests.functions.conftest import LoadHandler, wait_until

REPOSITORY = Path(__file__).parents[3]
NUMBERS = [path.name.partition("_")[0] for path in sorted((MIGRATIONS / "versions").glob("*.py"))]
NEWEST = NUMBERS[-1]
TABLES = {"avatars.alembic_version", "avatars.retired_handles", "avatars.users"}


class Project:
    """A copy of the migrations and of the code that runs them, for tests that change it."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.environment = {"DATABASE_URL": url}
        ignored = shutil.ignore_patterns("__pycache__")
        for part in ("migrations", "functions"):
            shutil.copytree(REPOSITORY / part, folder / part, ignore=ignored)
        for part in ("Makefile", "pyproject.toml"):
            shutil.copy(REPOSITORY / part, folder / part)
        self.schema = Schema(lambda: postgres.connect_to_url(url, timeout_seconds=5), folder / "migrations")

    @property
    def versions(self) -> Path:
        return self.folder / "migrations" / "versions"

    def add_migration(self, number: str, upgrade: str, downgrade: str = "") -> None:
        previous = f"{int(number) - 1:04}"
        text = f"""
            from alembic import op
            revision, down_revision = {number!r}, {previous!r}
            def upgrade(): op.execute({upgrade!r})
            def downgrade(): op.execute({downgrade!r})
        """
        (self.versions / f"{number}_more.py").write_text(textwrap.dedent(text))

    def run_make(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self._make_command(*arguments), **self._make_process_options(), timeout=60)

    def start_make(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(self._make_command(*arguments), **self._make_process_options())

    def _make_command(self, *arguments: str) -> list[str]:
        return ["make", "--old-file=.venv/local", f"VENV={Path(sys.executable).parent}", *arguments]

    def _make_process_options(self) -> dict[str, Any]:
        # Without the variables of `make test`: its flags and its level would apply to this make.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
        environment = {**inherited, **self.environment}
        return {
            "cwd": self.folder,
            "env": environment,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
        }


@pytest.fixture
def project(tmp_path: Path, database_url: str) -> Project:
    return Project(tmp_path, database_url)


@pytest.fixture
def schema(database_url: str) -> Schema:
    return Schema(lambda: postgres.connect_to_url(database_url, timeout_seconds=5))


@pytest.fixture
def owner(database_url: str) -> Iterator[postgres.Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def read_revisions(owner: postgres.Connection) -> list[str]:
    return [row[0] for row in owner.execute("SELECT version_num FROM avatars.alembic_version").fetchall()]


def read_schema(owner: postgres.Connection) -> list[tuple[Any, ...]]:
    """Return all columns and constraints of the schema, except those of the table of revisions."""
    columns = """
        SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns
        WHERE table_schema = 'avatars' AND table_name <> 'alembic_version' ORDER BY 1, 2
    """
    constraints = """
        SELECT relname, conname, pg_get_constraintdef(pg_constraint.oid)
        FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid
        WHERE connamespace = to_regnamespace('avatars') AND relname <> 'alembic_version' ORDER BY 1, 2
    """
    return [*owner.execute(columns).fetchall(), *owner.execute(constraints).fetchall()]


def list_tables(owner: postgres.Connection) -> set[str]:
    query = "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname !~ '^(pg_|information_schema)'"
    return {row[0] for row in owner.execute(query)}


def insert(owner: postgres.Connection, **values: Any) -> None:
    row = {"subject": "s-1", "handle": "ada_l", "display_name": "Ada", **values}
    statement = sql.SQL("INSERT INTO avatars.users ({}) VALUES ({})").format(
        sql.SQL(", ").join(map(sql.Identifier, row)), sql.SQL(", ").join(map(sql.Placeholder, row))
    )
    with owner.transaction():
        owner.execute(statement, row)


# --- The schema -------------------------------------------------------------------------------------------------------


def test_migrations_are_numbered_consecutively() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    scripts = ScriptDirectory.from_config(config)
    assert [int(number) for number in NUMBERS] == list(range(1, len(NUMBERS) + 1))
    assert [script.revision for script in scripts.walk_revisions()] == NUMBERS[::-1]
    assert [script.down_revision for script in scripts.walk_revisions()] == [*NUMBERS[-2::-1], None]


def test_migrate_each_downgrade_restores_previous_schema(schema: Schema, owner: postgres.Connection) -> None:
    shapes: list[object] = [[]]
    for number in NUMBERS:
        schema.migrate(number)
        shapes.append(read_schema(owner))
    assert len({str(shape) for shape in shapes}) == len(shapes)
    for number in NUMBERS[::-1]:
        assert (read_revisions(owner), read_schema(owner)) == ([number], shapes.pop())
        schema.migrate("-1")
    assert (read_revisions(owner), read_schema(owner)) == ([], shapes.pop())


@pytest.fixture(scope="module")
def newest_url(postgres_server: Postgres) -> Iterator[str]:
    """The URL of a database with the newest schema, for tests that do not migrate."""
    url = urlsplit(postgres_server.url)._replace(path="/newest").geturl()
    with psycopg.connect(postgres_server.administrator_url, autocommit=True) as administrator:
        administrator.execute("CREATE DATABASE newest OWNER avatars")
        Schema(lambda: postgres.connect_to_url(url, timeout_seconds=5)).migrate("head")
        yield url
        administrator.execute("DROP DATABASE newest")


@pytest.fixture
def newest(newest_url: str) -> Iterator[postgres.Connection]:
    """A connection to an empty database with the newest schema. Changes are rolled back."""
    with psycopg.connect(newest_url, autocommit=True) as connection, connection.transaction(force_rollback=True):
        yield connection


@pytest.mark.parametrize(
    "values",
    [
        {"handle": "abc", "display_name": "A", "bio": ""},
        {"handle": "a_0" * 10, "display_name": "\U0001f600" * 50, "bio": "\U0001f600" * 500},
        {"handle": "___"},
    ],
)
def test_users_table_accepts_valid_values(newest: postgres.Connection, values: Mapping[str, str]) -> None:
    insert(newest, **values)
    row = newest.execute("SELECT * FROM avatars.users").fetchone()
    assert row is not None
    assert set(values.values()) <= set(row)


@pytest.mark.parametrize(
    ("values", "constraint"),
    [
        ({"handle": "ab"}, "users_handle_check"),
        ({"handle": "a" * 31}, "users_handle_check"),
        ({"handle": "Ada"}, "users_handle_check"),
        ({"handle": "ada-l"}, "users_handle_check"),
        ({"handle": "ada\n"}, "users_handle_check"),
        ({"handle": "\nada"}, "users_handle_check"),
        ({"handle": "adä"}, "users_handle_check"),
        ({"display_name": ""}, "users_display_name_check"),
        ({"display_name": "x" * 51}, "users_display_name_check"),
        ({"bio": "x" * 501}, "users_bio_check"),
    ],
)
def test_users_table_rejects_invalid_values(
    newest: postgres.Connection, values: Mapping[str, str], constraint: str
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        insert(newest, **values)
    assert caught.value.diag.constraint_name == constraint


@pytest.mark.parametrize("column", ["subject", "handle", "display_name", "bio", "created_at", "updated_at"])
def test_users_table_rejects_null(newest: postgres.Connection, column: str) -> None:
    with pytest.raises(psycopg.errors.NotNullViolation):
        insert(newest, **{column: None})


def test_users_table_subjects_and_handles_are_unique(newest: postgres.Connection) -> None:
    insert(newest)
    with pytest.raises(psycopg.errors.UniqueViolation) as caught:
        insert(newest, handle="another")
    assert caught.value.diag.constraint_name == "users_pkey"
    with pytest.raises(psycopg.errors.UniqueViolation) as caught:
        insert(newest, subject="s-2")
    assert caught.value.diag.constraint_name == "users_handle_key"


def test_users_table_has_defaults_for_bio_and_times(newest: postgres.Connection) -> None:
    insert(newest)
    row = newest.execute(
        "SELECT bio, created_at = updated_at, now() - created_at < '1 min' FROM avatars.users"
    ).fetchone()
    assert row == ("", True, True)


def test_deleted_user_is_removed_from_retired_handles(newest: postgres.Connection) -> None:
    insert(newest)
    newest.execute("INSERT INTO avatars.retired_handles (handle, subject) SELECT 'former', subject FROM avatars.users")
    newest.execute("DELETE FROM avatars.users")
    row = newest.execute("SELECT handle, subject, now() - retired_at < '1 min' FROM avatars.retired_handles").fetchone()
    assert row == ("former", None, True)


def test_migrate_creates_tables_in_schema_only(newest: postgres.Connection) -> None:
    assert list_tables(newest) == TABLES


# --- Running migrations -----------------------------------------------------------------------------------------------


def test_migrate_down_and_up_keeps_rows(schema: Schema, owner: postgres.Connection) -> None:
    schema.migrate("0002")
    insert(owner, bio="gone")
    before = owner.execute("SELECT subject, handle, display_name, created_at, updated_at FROM avatars.users").fetchall()
    assert schema.migrate("-1") == MigrationResult("0002", "0001")
    assert owner.execute("SELECT * FROM avatars.users").fetchall() == before
    assert schema.migrate("head") == MigrationResult("0001", NEWEST)
    after = owner.execute("SELECT subject, handle, display_name, created_at, updated_at, bio FROM avatars.users")
    assert after.fetchall() == [(*before[0], "")]


def test_former_subjects_are_those_of_handles_that_lead_somewhere(schema: Schema, owner: postgres.Connection) -> None:
    schema.migrate("0003")
    insert(owner)
    owner.execute("INSERT INTO avatars.retired_handles (handle, subject) VALUES ('ada', 's-1'), ('of_nobody', NULL)")
    schema.migrate("0004")
    owner.execute("DELETE FROM avatars.users")
    handles = owner.execute("SELECT handle, subject, former_subject FROM avatars.retired_handles ORDER BY handle")
    assert handles.fetchall() == [("ada", None, "s-1"), ("of_nobody", None, None)]


def test_migrate_failure_keeps_earlier_migrations_only(project: Project, owner: postgres.Connection) -> None:
    following = f"{int(NEWEST) + 1:04}"
    project.add_migration(following, "CREATE TABLE avatars.half (); SELECT 1 / 0")
    with pytest.raises(DatabaseError, match="division by zero"):
        project.schema.migrate("head")
    assert read_revisions(owner) == [NEWEST]
    assert list_tables(owner) == TABLES
    project.add_migration(following, "CREATE TABLE avatars.half ()", "DROP TABLE avatars.half; SELECT 1 / 0")
    assert project.schema.migrate("head") == MigrationResult(NEWEST, following)
    with pytest.raises(DatabaseError, match="division by zero"):
        project.schema.migrate("-1")
    assert read_revisions(owner) == [following]
    assert list_tables(owner) == {*TABLES, "avatars.half"}


def test_migrate_dropped_schema_is_created_again(schema: Schema, owner: postgres.Connection) -> None:
    schema.migrate("head")
    before = read_schema(owner)
    owner.execute("DROP SCHEMA avatars CASCADE")
    assert schema.migrate("head") == MigrationResult(None, NEWEST)
    assert read_schema(owner) == before


def test_migrate_without_create_privilege_uses_existing_schema(
    database_url: str, administrator: postgres.Connection, new_user: Callable[[str], str]
) -> None:
    user = new_user("password")
    administrator.execute(sql.SQL("CREATE SCHEMA avatars AUTHORIZATION {}").format(sql.Identifier(user)))
    url = f"postgresql://{user}:password@{urlsplit(database_url).netloc.rpartition('@')[2]}/avatars?sslmode=disable"
    try:
        assert Schema(lambda: postgres.connect_to_url(url, timeout_seconds=5)).migrate("head") == MigrationResult(
            None, NEWEST
        )
    finally:
        administrator.execute("DROP SCHEMA avatars CASCADE")


def test_migrate_concurrently_runs_each_migration_once(project: Project, administrator: postgres.Connection) -> None:
    key = int.from_bytes(b"avatars")
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    administrator.execute("SELECT pg_advisory_lock(%s)", (key,))
    running = [project.start_make("migrate") for _ in range(2)]
    try:
        wait_until(lambda: administrator.execute(waiting).fetchone() == (2,), 30)
    finally:
        administrator.execute("SELECT pg_advisory_unlock(%s)", (key,))
    errors = [process.communicate(timeout=60)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0], errors
    applied = re.findall(r"Running upgrade \w* -> (\w+)", "".join(errors))
    assert applied == NUMBERS


def test_migrate_slower_than_idle_transaction_timeout_succeeds(
    project: Project, administrator: postgres.Connection
) -> None:
    project.add_migration(f"{int(NEWEST) + 1:04}", "SELECT pg_sleep(0.3)")
    administrator.execute("ALTER DATABASE avatars SET idle_in_transaction_session_timeout = 100")
    try:
        assert project.schema.migrate("head").after == f"{int(NEWEST) + 1:04}"
    finally:
        administrator.execute("ALTER DATABASE avatars RESET idle_in_transaction_session_timeout")


# --- The Lambda function ----------------------------------------------------------------------------------------------

LoadFunction = Callable[..., ModuleType]


@pytest.fixture
def load(
    load_handler: LoadHandler, moto_endpoint: str, url_parameter: Callable[[str], str], database_url: str
) -> LoadFunction:
    def load(url: str = database_url, **environment: str) -> ModuleType:
        parameter = url_parameter(url)
        settings = {"DATABASE_URL_PARAMETER": parameter, "AWS_ENDPOINT_URL_SSM": moto_endpoint, **environment}
        return load_handler("migrate_database", settings)

    return load


def test_handle_targets_return_revisions_before_and_after(load: LoadFunction) -> None:
    handler = load()
    targets = ["head", "head", "-1", "0001", "0002", "head", "0001", "-1", "head"]
    responses = [handler.handle({"target": target}, None) for target in targets]
    assert responses == [
        {"from": None, "to": NEWEST},
        {"from": NEWEST, "to": NEWEST},
        {"from": NEWEST, "to": NUMBERS[-2]},
        {"from": NUMBERS[-2], "to": "0001"},
        {"from": "0001", "to": "0002"},
        {"from": "0002", "to": NEWEST},
        {"from": NEWEST, "to": "0001"},
        {"from": "0001", "to": None},
        {"from": None, "to": NEWEST},
    ]


@pytest.mark.parametrize("target", [None, "0002"])
def test_handle_without_target_says_the_revision_and_changes_nothing(load: LoadFunction, target: str | None) -> None:
    handler = load()
    if target:
        handler.handle({"target": target}, None)
    responses = [handler.handle({}, None) for _ in range(2)]
    assert responses == [{"revision": target, "known": NUMBERS}] * 2


@pytest.mark.parametrize("target", ["9999", "0000", "nonsense", "-9"])
def test_handle_unknown_target_raises_and_changes_nothing(
    load: LoadFunction, owner: postgres.Connection, target: str
) -> None:
    handler = load()
    handler.handle({"target": "head"}, None)
    with pytest.raises(CommandError):
        handler.handle({"target": target}, None)
    assert read_revisions(owner) == [NEWEST]


def test_handle_unreachable_database_error_hides_password(load: LoadFunction) -> None:
    handler = load("postgresql://avatars:correct-horse@127.0.0.1:1/avatars")
    with pytest.raises(postgres.UnavailableError, match="Connection refused") as caught:
        handler.handle({"target": "head"}, None)
    assert "horse" not in str(caught.value)


@pytest.mark.parametrize(("denials", "is_migrated"), [(20, True), (21, False)])
def test_handle_waits_a_minute_for_the_policy_of_its_role(
    load: LoadFunction, monkeypatch: pytest.MonkeyPatch, denials: int, is_migrated: bool
) -> None:
    handler = load()
    slept: list[float] = []
    connect = handler._CONNECT

    def deny_first() -> postgres.Connection:
        if len(slept) < denials:
            raise login.AccessDeniedError("not yet")
        return connect()

    monkeypatch.setattr(handler, "_CONNECT", deny_first)
    monkeypatch.setattr(handler, "time", SimpleNamespace(monotonic=lambda: sum(slept), sleep=slept.append))
    if is_migrated:
        assert handler.handle({"target": "head"}, None) == {"from": None, "to": NEWEST}
    else:
        with pytest.raises(login.AccessDeniedError):
            handler.handle({"target": "head"}, None)
    assert slept == [3] * 20


def test_handler_import_without_database_settings_raises(
    load_handler: LoadHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DATABASE_URL_PARAMETER", "PGHOST"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(KeyError, match="DATABASE_URL_PARAMETER"):
        load_handler("migrate_database", {})


class TestAppUser:
    """Created by a user with CREATEROLE, such as the master user of an RDS cluster."""

    NAME = "profiles"

    @pytest.fixture
    def handler(self, load: LoadFunction, postgres_server: Postgres) -> ModuleType:
        return load(postgres_server.administrator_url, APP_USER=self.NAME)

    @pytest.fixture(autouse=True)
    def clean(self, administrator: postgres.Connection) -> Iterator[None]:
        yield
        for role in (self.NAME, "rds_iam"):
            if self.role_exists(administrator, role):
                name = sql.Identifier(role)
                administrator.execute(sql.SQL("DROP OWNED BY {}").format(name))
                administrator.execute(sql.SQL("DROP ROLE {}").format(name))
        administrator.execute("DROP SCHEMA IF EXISTS avatars CASCADE")  # other tests expect a schema of the owner

    def role_exists(self, administrator: postgres.Connection, role: str) -> bool:
        return administrator.execute("SELECT FROM pg_roles WHERE rolname = %s", (role,)).fetchone() is not None

    def is_allowed(self, administrator: postgres.Connection, statement: str) -> bool:
        """Run the statement as the user, and roll it back."""
        try:
            with administrator.transaction(force_rollback=True):
                administrator.execute("SET LOCAL ROLE profiles")
                administrator.execute(statement.encode())
        except psycopg.errors.InsufficientPrivilege:
            return False
        return True

    def test_app_user_has_required_privileges_only(
        self, handler: ModuleType, administrator: postgres.Connection
    ) -> None:
        for _ in range(2):  # idempotent
            handler.handle({"target": "head"}, None)
        for statement in (
            "SELECT * FROM avatars.users",
            "INSERT INTO avatars.users (subject, handle, display_name) VALUES ('s', 'abc', 'A')",
            "UPDATE avatars.users SET bio = ''",
            "DELETE FROM avatars.users",
            "SELECT * FROM avatars.retired_handles FOR UPDATE SKIP LOCKED",
            "INSERT INTO avatars.retired_handles (handle) VALUES ('abc')",
            "DELETE FROM avatars.retired_handles",
            "INSERT INTO avatars.users (subject, handle, display_name) VALUES ('s', 'abc', 'A'); "
            "INSERT INTO avatars.retired_handles (handle, subject) VALUES ('former', 's'); DELETE FROM avatars.users",
        ):
            assert self.is_allowed(administrator, statement), statement
        for statement in (
            "TRUNCATE avatars.users",
            "DROP TABLE avatars.users",
            "CREATE TABLE avatars.mine ()",
            "SELECT * FROM avatars.alembic_version",
            "CREATE SCHEMA mine",
            "CREATE ROLE mine",
        ):
            assert not self.is_allowed(administrator, statement), statement
        login = "SELECT rolcanlogin, rolsuper, rolinherit FROM pg_roles WHERE rolname = 'profiles'"
        assert administrator.execute(login).fetchone() == (True, False, True)

    def test_app_user_on_rds_is_member_of_rds_iam(
        self, handler: ModuleType, administrator: postgres.Connection
    ) -> None:
        administrator.execute("CREATE ROLE rds_iam")
        handler.handle({"target": "head"}, None)
        assert administrator.execute("SELECT pg_has_role('profiles', 'rds_iam', 'member')").fetchone() == (True,)

    def test_app_user_is_not_created_on_downgrade(
        self, handler: ModuleType, administrator: postgres.Connection
    ) -> None:
        handler.SCHEMA.migrate("head")
        handler.handle({"target": "-1"}, None)
        assert not self.role_exists(administrator, self.NAME)

    def test_app_user_without_setting_is_not_created(
        self, load: LoadFunction, administrator: postgres.Connection
    ) -> None:
        users = "SELECT count(*) FROM pg_roles"
        before = administrator.execute(users).fetchone()
        load().handle({"target": "head"}, None)
        assert administrator.execute(users).fetchone() == before


# --- make migrate, rollback, and migration ----------------------------------------------------------------------------


def test_make_migrate_upgrades_and_rollback_downgrades_by_one(project: Project, owner: postgres.Connection) -> None:
    migrated = project.run_make("migrate")
    assert migrated.returncode == 0, migrated.stderr
    assert read_revisions(owner) == [NEWEST]
    rolled_back = project.run_make("rollback")
    assert rolled_back.returncode == 0, rolled_back.stderr
    assert read_revisions(owner) == [NUMBERS[-2]]
    assert f"Running downgrade {NEWEST} -> {NUMBERS[-2]}" in rolled_back.stderr


def test_make_rollback_without_migrations_fails(project: Project) -> None:
    result = project.run_make("rollback")
    assert result.returncode == 2
    assert "Relative revision -1 didn't produce 1 migrations" in result.stderr


def test_make_migrate_without_url_uses_local_stack(project: Project, owner: postgres.Connection) -> None:
    (project.folder / ".local").mkdir()
    (project.folder / ".local" / "outputs.json").write_text(
        json.dumps({"databaseUrl": project.environment.pop("DATABASE_URL")})
    )
    migrated = project.run_make("migrate")
    assert migrated.returncode == 0, migrated.stderr
    assert read_revisions(owner) == [NEWEST]


@pytest.mark.parametrize("outputs", [None, {"apiUrl": "http://127.0.0.1:8431"}])
def test_make_migrate_without_database_explains_both_settings(project: Project, outputs: object) -> None:
    if outputs:
        (project.folder / ".local").mkdir()
        (project.folder / ".local" / "outputs.json").write_text(json.dumps(outputs))
    project.environment["DATABASE_URL"] = ""
    result = project.run_make("migrate")
    assert result.returncode == 2
    assert "Set DATABASE_URL to its postgresql:// URL, or start the local stack (make local)" in result.stdout
    assert "Traceback" not in result.stderr


def test_make_migrate_connection_error_hides_password(project: Project) -> None:
    place = urlsplit(project.environment["DATABASE_URL"]).netloc.rpartition("@")[2]
    project.environment["DATABASE_URL"] = f"postgresql://avatars:correct-horse@{place}/avatars"
    result = project.run_make("migrate")
    assert result.returncode == 2
    assert 'cannot connect to the database: connection failed: connection to server at "127.0.0.1"' in result.stdout
    assert "horse" not in result.stderr + result.stdout
    assert "Traceback" not in result.stderr


def test_make_migration_creates_runnable_migration(project: Project, owner: postgres.Connection) -> None:
    following = f"{int(NEWEST) + 1:04}"
    created = project.run_make("migration", "NAME=add_x")
    assert created.returncode == 0, created.stderr
    (path,) = project.versions.glob(f"{following}_*.py")
    assert path.name == f"{following}_add_x.py"
    formatted = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--check", "--config", REPOSITORY / "pyproject.toml", path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert formatted.returncode == 0, formatted.stdout
    assert project.schema.migrate("head").after == following
    assert project.schema.migrate("-1") == MigrationResult(following, NEWEST)
    assert read_revisions(owner) == [NEWEST]
    assert project.run_make("migration", "NAME=add_y").returncode == 0
    assert (project.versions / f"{int(NEWEST) + 2:04}_add_y.py").exists()


@pytest.mark.parametrize("name", [None, "", "Add", "1x", "_x", "a b", "a-b", "a;b", "a'b", '"', "$x", "../x"])
def test_make_migration_invalid_name_is_rejected(project: Project, name: str | None) -> None:
    before = sorted(project.versions.iterdir())
    result = project.run_make("migration", *([] if name is None else [f"NAME={name}"]))
    assert result.returncode == 2
    assert result.stderr.startswith(
        "make migration needs NAME, of a-z, 0-9 and _, for example: make migration NAME=add_x\n"
    )
    assert sorted(project.versions.iterdir()) == before
