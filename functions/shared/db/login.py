"""Which database, and how to sign in to it, by the environment.

DATABASE_URL_PARAMETER                              the name of a parameter of Systems Manager with its URL
PGHOST, PGPORT, PGDATABASE, PGUSER, PGSSLMODE       or else the place of one that takes IAM tokens for passwords
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import quote

from psycopg.conninfo import make_conninfo

from functions.shared.aws import parameter_store, sigv4
from functions.shared.db import postgres

# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/UsingWithRDS.IAMDBAuth.html
_TOKEN_SECONDS = 900


def from_environment(*, patience_seconds: int) -> postgres.Connect:
    """What makes a connection, within `patience_seconds`. KeyError, which names the variable, if one is missing."""
    if name := os.environ.get("DATABASE_URL_PARAMETER"):
        return _UrlLogin(lambda: parameter_store.read(name), patience_seconds)
    if "PGHOST" not in os.environ:
        raise KeyError("DATABASE_URL_PARAMETER (or PGHOST, with an IAM token as the password)")
    return _iam_login(patience_seconds)


class _UrlLogin:
    """Connections by a URL, which is read once and, as passwords change, again after a connection failed."""

    def __init__(self, read: Callable[[], str], patience_seconds: int) -> None:
        self._read = read
        self._patience_seconds = patience_seconds
        self._url: str | None = None

    def __call__(self) -> postgres.Connection:
        try:
            self._url = self._url or self._read()
        except (OSError, parameter_store.ParameterError) as error:
            raise postgres.UnavailableError(f"the database's URL cannot be had: {error}") from error
        try:
            return postgres.connect_to_url(self._url, timeout_seconds=self._patience_seconds)
        except postgres.UnavailableError:
            self._url = None
            raise


def _iam_login(patience_seconds: int) -> postgres.Connect:
    host, port, user = os.environ["PGHOST"], int(os.environ["PGPORT"]), os.environ["PGUSER"]
    database, ssl_mode = os.environ["PGDATABASE"], os.environ["PGSSLMODE"]
    conninfo = make_conninfo(host=host, port=port, user=user, dbname=database, sslmode=ssl_mode)

    def connect() -> postgres.Connection:
        token = iam_token(
            host,
            port,
            user,
            region=os.environ["AWS_REGION"],
            credentials=sigv4.Credentials.from_environment(),
            now=datetime.now(UTC),
        )
        return postgres.connect(conninfo, token, timeout_seconds=patience_seconds)

    return connect


def iam_token(host: str, port: int, user: str, *, region: str, credentials: sigv4.Credentials, now: datetime) -> str:
    """A password for the next quarter of an hour: a presigned URL, without its scheme. `now` is in UTC.

    https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/UsingWithRDS.IAMDBAuth.Connecting.html
    """
    url = f"https://{host}:{port}/?Action=connect&DBUser={quote(user, safe='')}"
    signed = sigv4.presigned_url(
        url, service="rds-db", region=region, credentials=credentials, now=now, expires_seconds=_TOKEN_SECONDS
    )
    return signed.removeprefix("https://")
