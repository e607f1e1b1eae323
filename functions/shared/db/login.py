"""Which database to connect to, and how to sign in, by environment variables.

DATABASE_URL_PARAMETER                              the name of a Systems Manager parameter that holds its URL
PGHOST, PGPORT, PGDATABASE, PGUSER, PGSSLMODE       or else a database that takes IAM tokens for passwords
"""

import os
from collections.abc import Callable

from botocore.client import BaseClient
from botocore.exceptions import BotoCoreError, ClientError
from psycopg.conninfo import make_conninfo

from functions.shared.aws import clients
from functions.shared.db import postgres

_READ_TIMEOUT_SECONDS = 1


def from_environment(*, timeout_seconds: int) -> postgres.Connect:
    """A function that opens a connection within `timeout_seconds`.

    It raises an AccessDeniedError if AWS does not allow it, otherwise as postgres.connect.

    Raises:
        KeyError: a variable is missing.
    """
    if name := os.environ.get("DATABASE_URL_PARAMETER"):
        ssm = clients.create("ssm", read_timeout_seconds=_READ_TIMEOUT_SECONDS)
        return _UrlLogin(lambda: _read_parameter(ssm, name), timeout_seconds)
    if "PGHOST" not in os.environ:
        raise KeyError("DATABASE_URL_PARAMETER (or PGHOST, with an IAM token as the password)")
    return _iam_login(timeout_seconds)


class AccessDeniedError(postgres.UnavailableError):
    """The function's role does not allow it; or not yet, as policies take some time until they apply everywhere.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
    """


class _UrlLogin:
    """Connections by a URL, which is kept until a connection fails: its password may have been changed."""

    def __init__(self, read_url: Callable[[], str], timeout_seconds: int) -> None:
        self._read_url = read_url
        self._timeout_seconds = timeout_seconds
        self._url: str | None = None

    def __call__(self) -> postgres.Connection:
        try:
            self._url = self._url or self._read_url()
        except (BotoCoreError, ClientError) as error:
            is_denied = isinstance(error, ClientError) and error.response["Error"]["Code"] == "AccessDeniedException"
            type_ = AccessDeniedError if is_denied else postgres.UnavailableError
            raise type_(f"the database's URL cannot be read: {error}") from error
        try:
            return postgres.connect_to_url(self._url, timeout_seconds=self._timeout_seconds)
        except postgres.UnavailableError:
            self._url = None
            raise


def _read_parameter(ssm: BaseClient, name: str) -> str:
    return ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]


def _iam_login(timeout_seconds: int) -> postgres.Connect:
    host, port, user = os.environ["PGHOST"], int(os.environ["PGPORT"]), os.environ["PGUSER"]
    database, ssl_mode = os.environ["PGDATABASE"], os.environ["PGSSLMODE"]
    conninfo = make_conninfo(host=host, port=port, user=user, dbname=database, sslmode=ssl_mode)
    rds = clients.create("rds", read_timeout_seconds=_READ_TIMEOUT_SECONDS)  # signs tokens; sends no request

    def connect() -> postgres.Connection:
        # A token is valid for 15 minutes:
        # https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/UsingWithRDS.IAMDBAuth.html
        token = rds.generate_db_auth_token(host, port, user)
        try:
            return postgres.connect(conninfo, token, timeout_seconds=timeout_seconds)
        except postgres.UnavailableError as error:
            # https://repost.aws/knowledge-center/aurora-postgresql-connect-iam
            if "PAM authentication failed" in str(error):
                raise AccessDeniedError(str(error)) from error
            raise

    return connect
