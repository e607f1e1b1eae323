"""Signing in: by a URL that is kept in SSM, or with IAM's tokens."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import psycopg
import pytest
from botocore.exceptions import ClientError
from psycopg import sql

from functions.shared.db import login, postgres
from functions.shared.db.postgres import UnavailableError
from tests.functions.conftest import PLATFORM_ENVIRONMENT

NOW = datetime(2026, 3, 1, 9, 5, 7, tzinfo=UTC)
HOST = "avatars.cluster-abc.eu-west-1.rds.amazonaws.com"
IAM_SETTINGS = {"PGHOST": HOST, "PGPORT": "5432", "PGDATABASE": "avatars", "PGUSER": "profiles", "PGSSLMODE": "require"}

Login = Callable[[Mapping[str, str]], postgres.Connect]


@pytest.fixture
def sign_in(monkeypatch: pytest.MonkeyPatch, moto_endpoint: str) -> Login:
    """Reads settings as a new sandbox does."""

    def read(settings: Mapping[str, str]) -> postgres.Connect:
        for name in ("DATABASE_URL_PARAMETER", *IAM_SETTINGS):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it may have other credentials
        for name, value in {**PLATFORM_ENVIRONMENT, "AWS_ENDPOINT_URL_SSM": moto_endpoint, **settings}.items():
            monkeypatch.setenv(name, value)
        return login.from_environment(timeout_seconds=5)

    return read


def user_of(connection: postgres.Connection) -> str:
    row = connection.execute("SELECT current_user").fetchone()
    assert row
    return row[0]


# --- Settings ---------------------------------------------------------------------------------------------------------


def test_missing_variables_raise_key_error(sign_in: Login) -> None:
    with pytest.raises(KeyError, match=r"DATABASE_URL_PARAMETER \(or PGHOST"):
        sign_in({})


@pytest.mark.parametrize("missing", IAM_SETTINGS)
def test_missing_variable_raises_key_error_with_its_name(sign_in: Login, missing: str) -> None:
    with pytest.raises(KeyError, match=missing):
        sign_in({name: value for name, value in IAM_SETTINGS.items() if name != missing})


# --- A URL ------------------------------------------------------------------------------------------------------------


def test_url_is_read_from_ssm_at_first_connect_and_kept(
    sign_in: Login, url_parameter: Callable[[str], str], database_url: str, ssm: Any
) -> None:
    name = url_parameter("not yet")
    connect = sign_in({"DATABASE_URL_PARAMETER": name})
    ssm.put_parameter(Name=name, Value=database_url, Overwrite=True)
    with connect() as connection:
        assert user_of(connection) == "avatars"
    ssm.delete_parameter(Name=name)
    with connect() as connection:
        assert user_of(connection) == "avatars"


def test_url_is_read_again_after_failed_connect(
    sign_in: Login,
    url_parameter: Callable[[str], str],
    new_user: Callable[[str], str],
    administrator: postgres.Connection,
    database_url: str,
    ssm: Any,
) -> None:
    user = new_user("former")
    place = urlsplit(database_url).netloc.rpartition("@")[2]
    name = url_parameter(f"postgresql://{user}:former@{place}/avatars?sslmode=disable")
    connect = sign_in({"DATABASE_URL_PARAMETER": name})
    connect().close()
    administrator.execute(sql.SQL("ALTER ROLE {} PASSWORD 'latter'").format(sql.Identifier(user)))
    with pytest.raises(UnavailableError, match="password authentication failed"):
        connect()
    ssm.put_parameter(Name=name, Value=f"postgresql://{user}:latter@{place}/avatars?sslmode=disable", Overwrite=True)
    with connect() as connection:
        assert user_of(connection) == user


def test_missing_parameter_raises_unavailable(sign_in: Login) -> None:
    connect = sign_in({"DATABASE_URL_PARAMETER": "/no/such"})
    with pytest.raises(UnavailableError, match=r"\(ParameterNotFound\) when calling the GetParameter operation"):
        connect()


def test_connect_with_unreachable_ssm_raises_unavailable(
    sign_in: Login, unused_endpoint: str, no_backoff: list[float]
) -> None:
    connect = sign_in({"DATABASE_URL_PARAMETER": "/any", "AWS_ENDPOINT_URL_SSM": unused_endpoint})
    with pytest.raises(UnavailableError, match=rf"the database's URL cannot be read: .*{unused_endpoint}"):
        connect()


# --- Tokens -----------------------------------------------------------------------------------------------------------


def test_denied_parameter_raises_access_denied(sign_in: Login, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(*_: object) -> str:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no policy"}}, "GetParameter")

    monkeypatch.setattr(login, "_read_parameter", deny)
    with pytest.raises(login.AccessDeniedError, match="no policy"):
        sign_in({"DATABASE_URL_PARAMETER": "/avatars/url"})()


def token_of(host: str, port: int, user: str) -> str:
    client: Any = boto3.client(
        "rds",
        region_name="eu-west-1",
        aws_access_key_id=PLATFORM_ENVIRONMENT["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=PLATFORM_ENVIRONMENT["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=PLATFORM_ENVIRONMENT["AWS_SESSION_TOKEN"],
    )
    return client.generate_db_auth_token(host, port, user)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Sets the time that botocore signs with."""

    def set_to(moment: datetime) -> None:
        monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: moment)

    return set_to


@pytest.mark.parametrize("user", ["profiles", "with space+plus/slash@at", "über"])
def test_token_is_a_presigned_url_for_host_port_and_user(
    sign_in: Login, clock: Callable[[datetime], None], monkeypatch: pytest.MonkeyPatch, user: str
) -> None:
    clock(NOW)
    passwords: list[str] = []
    monkeypatch.setattr(psycopg, "connect", lambda _, *, password, **__: passwords.append(password))
    sign_in({**IAM_SETTINGS, "PGUSER": user})()
    (token,) = passwords
    address = urlsplit(f"https://{token}")
    query = {name: value for name, (value,) in parse_qs(address.query).items()}
    assert (address.netloc, address.path) == (f"{HOST}:5432", "/")
    assert len(query.pop("X-Amz-Signature")) == 64
    assert query == {
        "Action": "connect",
        "DBUser": user,
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": "ASIAEXAMPLE/20260301/eu-west-1/rds-db/aws4_request",
        "X-Amz-Date": "20260301T090507Z",
        "X-Amz-Expires": "900",
        "X-Amz-SignedHeaders": "host",
        "X-Amz-Security-Token": "session-token",
    }


def test_each_connection_has_a_new_token(
    sign_in: Login,
    new_user: Callable[[str], str],
    administrator: postgres.Connection,
    database_url: str,
    clock: Callable[[datetime], None],
) -> None:
    place = urlsplit(database_url)
    assert place.hostname
    assert place.port
    user = new_user("none yet")
    connect = sign_in(
        {
            "PGHOST": place.hostname,
            "PGPORT": str(place.port),
            "PGDATABASE": "avatars",
            "PGUSER": user,
            "PGSSLMODE": "prefer",
        }
    )
    for moment in (NOW, NOW + timedelta(hours=1)):
        clock(moment)
        token = token_of(place.hostname, place.port, user)
        administrator.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(user), sql.Literal(token)))
        with connect() as connection:
            assert user_of(connection) == user


@pytest.mark.parametrize(
    ("message", "type_"),
    [
        ('FATAL: PAM authentication failed for user "profiles"', login.AccessDeniedError),
        ("connection refused", UnavailableError),
    ],
)
def test_refused_token_is_access_denied(
    sign_in: Login, monkeypatch: pytest.MonkeyPatch, message: str, type_: type[Exception]
) -> None:
    def refuse(*_: object, **__: object) -> postgres.Connection:
        raise UnavailableError(message)

    connect = sign_in(IAM_SETTINGS)
    monkeypatch.setattr(postgres, "connect", refuse)
    with pytest.raises(UnavailableError) as caught:
        connect()
    assert type(caught.value) is type_


def test_refused_token_is_not_in_the_error(sign_in: Login, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place = urlsplit(database_url)
    settings = {**IAM_SETTINGS, "PGHOST": str(place.hostname), "PGPORT": str(place.port)}
    with pytest.raises(UnavailableError, match="server does not support SSL, but SSL was required"):
        sign_in(settings)()
    with pytest.raises(UnavailableError, match='password authentication failed for user "profiles"') as caught:
        sign_in({**settings, "PGSSLMODE": "disable"})()
    assert "X-Amz" not in repr(caught.value) + repr(caught.value.__cause__)
    seen: list[dict[str, Any]] = []
    monkeypatch.setattr(psycopg, "connect", lambda conninfo, **options: seen.append({"conninfo": conninfo, **options}))
    sign_in(IAM_SETTINGS)()
    assert seen[0]["conninfo"] == f"host={HOST} port=5432 user=profiles dbname=avatars sslmode=require"
