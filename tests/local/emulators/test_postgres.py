"""The temporary PostgreSQL server of a local run."""

from __future__ import annotations

import os
import socket
from collections.abc import Generator
from pathlib import Path

import psycopg
import pytest

from local.emulators.http_server import PortInUseError
from local.emulators.postgres import Postgres


@pytest.fixture(scope="module")
def postgres() -> Generator[Postgres]:
    with Postgres() as server:
        yield server


def test_url_signs_in_as_unprivileged_owner_of_an_empty_database(postgres: Postgres) -> None:
    with psycopg.connect(postgres.url) as connection:
        row = connection.execute(
            "SELECT current_user::text, current_database()::text, rolsuper, rolcreaterole,"
            " (SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema'))"
            " FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
    assert row == ("avatars", "avatars", False, False, 0)


def test_wrong_password_is_rejected(postgres: Postgres) -> None:
    user, _, rest = postgres.url.rpartition("@")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(f"{user[:-1]}@{rest}")


def test_server_listens_only_on_localhost(postgres: Postgres) -> None:
    with psycopg.connect(postgres.url) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("127.0.0.1",)


def test_server_processes_do_not_run_as_root(postgres: Postgres) -> None:
    with psycopg.connect(postgres.url) as connection:
        (pid,) = connection.execute("SELECT pg_backend_pid()").fetchone() or (0,)
        assert Path(f"/proc/{pid}").stat().st_uid == (os.geteuid() or 65534)


def test_closed_server_leaves_no_process_and_no_files() -> None:
    with Postgres() as server, psycopg.connect(server.url) as connection:
        (pid,) = connection.execute("SELECT pg_backend_pid()").fetchone() or (0,)
        data = Path(f"/proc/{pid}/cwd").readlink()
        assert data.is_dir()
    assert not data.parent.exists()
    assert not Path(f"/proc/{pid}").exists()


def test_server_starts_as_root_with_private_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setattr("tempfile.tempdir", str(closed))
    with Postgres() as server, psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_port_in_use_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"PostgreSQL needs port {port} on 127.0.0.1"):
            Postgres(port)
