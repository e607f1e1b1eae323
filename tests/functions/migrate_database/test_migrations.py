"""The migrations on a real server: by the function that deployments invoke, and by the commands of the Makefile."""

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from psycopg import sql
from sqlalchemy.exc import DatabaseError

from functions.migrate_database.schema import MIGRATIONS, Move, Schema
from functions.shared.db import postgres
from tests.functions.conftest import LoadHandler, Server, wait_until

REPOSITORY = Path(__file__).parents[3]
NUMBERS = [path.name.partition("_")[0] for path in sorted((MIGRATIONS / "versions").glob("*.py"))]
NEWEST = NUMBERS[-1]


class Project:
    """A copy of the migrations and of what runs them, to add to and to break."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.environment = {"DATABASE_URL": url}
        ignored = shutil.ignore_patterns("__pycache__", "layers")
        for part in ("migrations", "functions"):
            shutil.copytree(REPOSITORY / part, folder / part, ignore=ignored)
        for part in ("Makefile", "pyproject.toml"):
            shutil.copy(REPOSITORY / part, folder / part)
        self.schema = Schema(lambda: postgres.connect_to_url(url, patience_seconds=5), folder / "migrations")

    @property
    def versions(self) -> Path:
        return self.folder / "migrations" / "versions"

    def add(self, number: str, upgrade: str, downgrade: str = "") -> None:
        previous = f"{int(number) - 1:04}"
        text = f"""
            from alembic import op
            revision, down_revision = {number!r}, {previous!r}
            def upgrade(): op.execute({upgrade!r})
            def downgrade(): op.execute({downgrade!r})
        """
        (self.versions / f"{number}_more.py").write_text(textwrap.dedent(text))

    def make(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self._command(*arguments), **self._options(), timeout=60)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(self._command(*arguments), **self._options())

    def _command(self, *arguments: str) -> list[str]:
        return ["make", "--old-file=.venv/installed", f"VENV={Path(sys.executable).parent}", *arguments]

    def _options(self) -> dict[str, Any]:
        # Not as a part of the `make test` that may have started us: that hands down its flags and its level.
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
        environment = {**kept, **self.environment}
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
    return Schema(lambda: postgres.connect_to_url(database_url, patience_seconds=5))


@pytest.fixture
def owner(database_url: str) -> Iterator[postgres.Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def revision(owner: postgres.Connection) -> list[str]:
    return [row[0] for row in owner.execute("SELECT version_num FROM avatars.alembic_version").fetchall()]


def snapshot(owner: postgres.Connection) -> list[tuple[Any, ...]]:
    """Every column and constraint of the schema, but for the table of revisions."""
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


def tables(owner: postgres.Connection) -> set[str]:
    listed = "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname !~ '^(pg_|information_schema)'"
    return {row[0] for row in owner.execute(listed)}


def insert(owner: postgres.Connection, **values: Any) -> None:
    row = {"subject": "s-1", "handle": "ada_l", "display_name": "Ada", **values}
    statement = sql.SQL("INSERT INTO avatars.users ({}) VALUES ({})").format(
        sql.SQL(", ").join(map(sql.Identifier, row)), sql.SQL(", ").join(map(sql.Placeholder, row))
    )
    owner.execute(statement, row)


# --- What the migrations make -----------------------------------------------------------------------------------------


def test_migrations_are_numbered_in_one_sequence() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    scripts = ScriptDirectory.from_config(config)
    assert [int(number) for number in NUMBERS] == list(range(1, len(NUMBERS) + 1))
    assert [script.revision for script in scripts.walk_revisions()] == NUMBERS[::-1]
    assert [script.down_revision for script in scripts.walk_revisions()] == [*NUMBERS[-2::-1], None]


def test_every_migration_is_taken_back_to_what_was_before_it(schema: Schema, owner: postgres.Connection) -> None:
    shapes: list[object] = [[]]
    for number in NUMBERS:
        schema.move_to(number)
        shapes.append(snapshot(owner))
    assert len({str(shape) for shape in shapes}) == len(shapes)
    for number in NUMBERS[::-1]:
        assert (revision(owner), snapshot(owner)) == ([number], shapes.pop())
        schema.move_to("-1")
    assert (revision(owner), snapshot(owner)) == ([], shapes.pop())


@pytest.fixture
def table(schema: Schema, owner: postgres.Connection) -> postgres.Connection:
    schema.move_to("head")
    return owner


@pytest.mark.parametrize(
    "values",
    [
        {"handle": "abc", "display_name": "A", "bio": ""},
        {"handle": "a_0" * 10, "display_name": "\U0001f600" * 50, "bio": "\U0001f600" * 500},
        {"handle": "___"},
    ],
)
def test_what_is_allowed_is_kept(table: postgres.Connection, values: Mapping[str, str]) -> None:
    insert(table, **values)
    row = table.execute("SELECT * FROM avatars.users").fetchone()
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
def test_what_is_not_allowed_is_refused_by_the_database_too(
    table: postgres.Connection, values: Mapping[str, str], constraint: str
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        insert(table, **values)
    assert caught.value.diag.constraint_name == constraint


@pytest.mark.parametrize("column", ["subject", "handle", "display_name", "bio", "created_at", "updated_at"])
def test_nothing_may_be_null(table: postgres.Connection, column: str) -> None:
    with pytest.raises(psycopg.errors.NotNullViolation):
        insert(table, **{column: None})


def test_subjects_and_handles_are_unique(table: postgres.Connection) -> None:
    insert(table)
    with pytest.raises(psycopg.errors.UniqueViolation) as caught:
        insert(table, handle="another")
    assert caught.value.diag.constraint_name == "users_pkey"
    with pytest.raises(psycopg.errors.UniqueViolation) as caught:
        insert(table, subject="s-2")
    assert caught.value.diag.constraint_name == "users_handle_key"


def test_a_row_says_when_it_was_made_and_has_no_bio_until_it_is_given_one(table: postgres.Connection) -> None:
    insert(table)
    row = table.execute(
        "SELECT bio, created_at = updated_at, now() - created_at < '1 min' FROM avatars.users"
    ).fetchone()
    assert row == ("", True, True)


def test_nothing_is_made_outside_of_the_schema(table: postgres.Connection) -> None:
    assert tables(table) == {"avatars.alembic_version", "avatars.users"}


# --- How they run -----------------------------------------------------------------------------------------------------


def test_rows_survive_the_newest_migrations_going_back_and_forth(schema: Schema, owner: postgres.Connection) -> None:
    schema.move_to("0002")
    insert(owner, bio="gone")
    before = owner.execute("SELECT subject, handle, display_name, created_at, updated_at FROM avatars.users").fetchall()
    assert schema.move_to("-1") == Move("0002", "0001")
    assert owner.execute("SELECT * FROM avatars.users").fetchall() == before
    assert schema.move_to("head") == Move("0001", NEWEST)
    after = owner.execute("SELECT subject, handle, display_name, created_at, updated_at, bio FROM avatars.users")
    assert after.fetchall() == [(*before[0], "")]


def test_a_failing_migration_leaves_nothing_of_itself_and_everything_before_it(
    project: Project, owner: postgres.Connection
) -> None:
    following = f"{int(NEWEST) + 1:04}"
    project.add(following, "CREATE TABLE avatars.half (); SELECT 1 / 0")
    with pytest.raises(DatabaseError, match="division by zero"):
        project.schema.move_to("head")
    assert revision(owner) == [NEWEST]
    assert tables(owner) == {"avatars.alembic_version", "avatars.users"}
    project.add(following, "CREATE TABLE avatars.half ()", "DROP TABLE avatars.half; SELECT 1 / 0")
    assert project.schema.move_to("head") == Move(NEWEST, following)
    with pytest.raises(DatabaseError, match="division by zero"):
        project.schema.move_to("-1")
    assert revision(owner) == [following]
    assert tables(owner) == {"avatars.alembic_version", "avatars.half", "avatars.users"}


def test_a_schema_that_was_dropped_is_made_again(schema: Schema, owner: postgres.Connection) -> None:
    schema.move_to("head")
    before = snapshot(owner)
    owner.execute("DROP SCHEMA avatars CASCADE")
    assert schema.move_to("head") == Move(None, NEWEST)
    assert snapshot(owner) == before


def test_a_user_who_may_not_make_schemas_uses_the_one_an_administrator_made(
    database_url: str, administrator: postgres.Connection, new_user: Callable[[str], str]
) -> None:
    user = new_user("password")
    administrator.execute(sql.SQL("CREATE SCHEMA avatars AUTHORIZATION {}").format(sql.Identifier(user)))
    url = f"postgresql://{user}:password@{urlsplit(database_url).netloc.rpartition('@')[2]}/avatars?sslmode=disable"
    try:
        assert Schema(lambda: postgres.connect_to_url(url, patience_seconds=5)).move_to("head") == Move(None, NEWEST)
    finally:
        administrator.execute("DROP SCHEMA avatars CASCADE")


def test_of_two_that_migrate_at_once_each_waits_for_the_other_and_every_migration_runs_once(
    project: Project, administrator: postgres.Connection
) -> None:
    key = int.from_bytes(b"avatars")
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    administrator.execute("SELECT pg_advisory_lock(%s)", (key,))
    running = [project.start("migrate") for _ in range(2)]
    try:
        wait_until(lambda: administrator.execute(waiting).fetchone() == (2,), 30)
    finally:
        administrator.execute("SELECT pg_advisory_unlock(%s)", (key,))
    said = [process.communicate(timeout=60)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    applied = re.findall(r"Running upgrade \w* -> (\w+)", "".join(said))
    assert applied == NUMBERS


def test_a_migration_may_take_longer_than_the_database_lets_transactions_idle(
    project: Project, administrator: postgres.Connection
) -> None:
    project.add(f"{int(NEWEST) + 1:04}", "SELECT pg_sleep(0.3)")
    administrator.execute("ALTER DATABASE avatars SET idle_in_transaction_session_timeout = 100")
    try:
        assert project.schema.move_to("head").after == f"{int(NEWEST) + 1:04}"
    finally:
        administrator.execute("ALTER DATABASE avatars RESET idle_in_transaction_session_timeout")


# --- The function -----------------------------------------------------------------------------------------------------

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


def test_the_function_goes_where_it_is_told_and_says_from_where_to_where(load: LoadFunction) -> None:
    handler = load()
    targets = ["head", "head", "-1", "0001", "0002", "head", "0001", "-1", "head"]
    answers = [handler.handle({"target": target}, None) for target in targets]
    assert answers == [
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


@pytest.mark.parametrize("target", ["9999", "0000", "nonsense", "-9"])
def test_a_target_there_is_not_is_an_error_and_nothing_is_done(
    load: LoadFunction, owner: postgres.Connection, target: str
) -> None:
    handler = load()
    handler.handle({"target": "head"}, None)
    with pytest.raises(CommandError):
        handler.handle({"target": target}, None)
    assert revision(owner) == [NEWEST]


def test_a_database_that_is_not_there_is_an_error_without_its_password(load: LoadFunction) -> None:
    handler = load("postgresql://avatars:correct-horse@127.0.0.1:1/avatars")
    with pytest.raises(postgres.UnavailableError, match="Connection refused") as caught:
        handler.handle({"target": "head"}, None)
    assert "horse" not in str(caught.value)


def test_without_a_database_in_its_settings_the_function_does_not_start(
    load_handler: LoadHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DATABASE_URL_PARAMETER", "PGHOST"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(KeyError, match="DATABASE_URL_PARAMETER"):
        load_handler("migrate_database", {})


class TestAppUser:
    """Made by somebody who may make users, as the master user of a cluster in RDS."""

    NAME = "profiles"

    @pytest.fixture
    def handler(self, load: LoadFunction, postgres_server: Server) -> ModuleType:
        return load(postgres_server.administrator_url, APP_USER=self.NAME)

    @pytest.fixture(autouse=True)
    def clean(self, administrator: postgres.Connection) -> Iterator[None]:
        yield
        for role in (self.NAME, "rds_iam"):
            if self.exists(administrator, role):
                name = sql.Identifier(role)
                administrator.execute(sql.SQL("DROP OWNED BY {}").format(name))
                administrator.execute(sql.SQL("DROP ROLE {}").format(name))
        administrator.execute("DROP SCHEMA IF EXISTS avatars CASCADE")  # not the owner's, as other tests expect it

    def exists(self, administrator: postgres.Connection, role: str) -> bool:
        return administrator.execute("SELECT FROM pg_roles WHERE rolname = %s", (role,)).fetchone() is not None

    def may(self, administrator: postgres.Connection, statement: str) -> bool:
        """Whether the user could, tried and taken back."""
        try:
            with administrator.transaction(force_rollback=True):
                administrator.execute("SET LOCAL ROLE profiles")
                administrator.execute(statement.encode())
        except psycopg.errors.InsufficientPrivilege:
            return False
        return True

    def test_it_may_do_what_profiles_need_and_nothing_else(
        self, handler: ModuleType, administrator: postgres.Connection
    ) -> None:
        for _ in range(2):  # the second time finds all of it there
            handler.handle({"target": "head"}, None)
        for statement in (
            "SELECT * FROM avatars.users",
            "INSERT INTO avatars.users (subject, handle, display_name) VALUES ('s', 'abc', 'A')",
            "UPDATE avatars.users SET bio = ''",
        ):
            assert self.may(administrator, statement), statement
        for statement in (
            "DELETE FROM avatars.users",
            "TRUNCATE avatars.users",
            "DROP TABLE avatars.users",
            "CREATE TABLE avatars.mine ()",
            "SELECT * FROM avatars.alembic_version",
            "CREATE SCHEMA mine",
            "CREATE ROLE mine",
        ):
            assert not self.may(administrator, statement), statement
        login = "SELECT rolcanlogin, rolsuper, rolinherit FROM pg_roles WHERE rolname = 'profiles'"
        assert administrator.execute(login).fetchone() == (True, False, True)

    def test_where_there_is_iam_it_signs_in_with_tokens(
        self, handler: ModuleType, administrator: postgres.Connection
    ) -> None:
        administrator.execute("CREATE ROLE rds_iam")
        handler.handle({"target": "head"}, None)
        assert administrator.execute("SELECT pg_has_role('profiles', 'rds_iam', 'member')").fetchone() == (True,)

    def test_it_is_not_made_on_the_way_back(self, handler: ModuleType, administrator: postgres.Connection) -> None:
        handler.SCHEMA.move_to("head")
        handler.handle({"target": "-1"}, None)
        assert not self.exists(administrator, self.NAME)

    def test_without_the_setting_nobody_is_made(self, load: LoadFunction, administrator: postgres.Connection) -> None:
        users = "SELECT count(*) FROM pg_roles"
        before = administrator.execute(users).fetchone()
        load().handle({"target": "head"}, None)
        assert administrator.execute(users).fetchone() == before


# --- The commands -----------------------------------------------------------------------------------------------------


def test_make_migrate_and_make_rollback_go_to_the_newest_and_one_back(
    project: Project, owner: postgres.Connection
) -> None:
    migrated = project.make("migrate")
    assert migrated.returncode == 0, migrated.stderr
    assert revision(owner) == [NEWEST]
    rolled_back = project.make("rollback")
    assert rolled_back.returncode == 0, rolled_back.stderr
    assert revision(owner) == [NUMBERS[-2]]
    assert f"Running downgrade {NEWEST} -> {NUMBERS[-2]}" in rolled_back.stderr


def test_a_rollback_with_nothing_to_take_back_is_an_error(project: Project) -> None:
    refused = project.make("rollback")
    assert refused.returncode == 2
    assert "Relative revision -1 didn't produce 1 migrations" in refused.stderr


def test_the_database_of_a_running_local_stack_is_taken_when_none_is_named(
    project: Project, owner: postgres.Connection
) -> None:
    (project.folder / ".local").mkdir()
    (project.folder / ".local" / "outputs.json").write_text(
        json.dumps({"databaseUrl": project.environment.pop("DATABASE_URL")})
    )
    migrated = project.make("migrate")
    assert migrated.returncode == 0, migrated.stderr
    assert revision(owner) == [NEWEST]


@pytest.mark.parametrize("outputs", [None, {"apiUrl": "http://127.0.0.1:8431"}])
def test_without_a_database_it_says_both_ways_to_name_one(project: Project, outputs: object) -> None:
    if outputs:
        (project.folder / ".local").mkdir()
        (project.folder / ".local" / "outputs.json").write_text(json.dumps(outputs))
    project.environment["DATABASE_URL"] = ""
    refused = project.make("migrate")
    assert refused.returncode == 2
    assert "Set DATABASE_URL to its postgresql:// URL, or start the local stack (make local)" in refused.stdout
    assert "Traceback" not in refused.stderr


def test_a_database_that_refuses_is_a_sentence_without_its_password(project: Project) -> None:
    place = urlsplit(project.environment["DATABASE_URL"]).netloc.rpartition("@")[2]
    project.environment["DATABASE_URL"] = f"postgresql://avatars:correct-horse@{place}/avatars"
    refused = project.make("migrate")
    assert refused.returncode == 2
    assert 'cannot connect to the database: connection failed: connection to server at "127.0.0.1"' in refused.stdout
    assert "horse" not in refused.stderr + refused.stdout
    assert "Traceback" not in refused.stderr


def test_make_migration_begins_the_next_one_which_runs_as_it_is(project: Project, owner: postgres.Connection) -> None:
    following = f"{int(NEWEST) + 1:04}"
    made = project.make("migration", "NAME=add_x")
    assert made.returncode == 0, made.stderr
    (path,) = project.versions.glob(f"{following}_*.py")
    assert path.name == f"{following}_add_x.py"
    formatted = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--check", "--config", REPOSITORY / "pyproject.toml", path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert formatted.returncode == 0, formatted.stdout
    assert project.schema.move_to("head").after == following
    assert project.schema.move_to("-1") == Move(following, NEWEST)
    assert revision(owner) == [NEWEST]
    assert project.make("migration", "NAME=add_y").returncode == 0
    assert (project.versions / f"{int(NEWEST) + 2:04}_add_y.py").exists()


@pytest.mark.parametrize("name", [None, "", "Add", "1x", "_x", "a b", "a-b", "a;b", "a'b", '"', "$x", "../x"])
def test_a_migration_without_a_good_name_is_refused(project: Project, name: str | None) -> None:
    before = sorted(project.versions.iterdir())
    refused = project.make("migration", *([] if name is None else [f"NAME={name}"]))
    assert refused.returncode == 2
    assert refused.stderr.startswith("make migration needs a name of a-z, 0-9 and _: make migration NAME=add_x\n")
    assert sorted(project.versions.iterdir()) == before
