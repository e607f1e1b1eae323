"""Signing in: by a URL that is kept in SSM, or with IAM's tokens."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import boto3
import psycopg
import pytest
from psycopg import sql

from functions.shared.aws import sigv4
from functions.shared.db import login, postgres
from functions.shared.db.postgres import UnavailableError
from tests.functions.conftest import PLATFORM_ENVIRONMENT

NOW = datetime(2026, 3, 1, 9, 5, 7, tzinfo=UTC)
CREDENTIALS = sigv4.Credentials("ASIAEXAMPLE", "secret-access-key", "session-token")
HOST = "avatars.cluster-abc.eu-west-1.rds.amazonaws.com"
IAM_SETTINGS = {"PGHOST": HOST, "PGPORT": "5432", "PGDATABASE": "avatars", "PGUSER": "profiles", "PGSSLMODE": "require"}

Login = Callable[[Mapping[str, str]], postgres.Connect]


@pytest.fixture
def sign_in(monkeypatch: pytest.MonkeyPatch, moto_endpoint: str) -> Login:
    """Reads settings as a new sandbox does."""

    def read(settings: Mapping[str, str]) -> postgres.Connect:
        for name in ("DATABASE_URL_PARAMETER", *IAM_SETTINGS):
            monkeypatch.delenv(name, raising=False)
        for name, value in {**PLATFORM_ENVIRONMENT, "AWS_ENDPOINT_URL_SSM": moto_endpoint, **settings}.items():
            monkeypatch.setenv(name, value)
        return login.from_environment(patience_seconds=5)

    return read


def user_of(connection: postgres.Connection) -> str:
    row = connection.execute("SELECT current_user").fetchone()
    assert row
    return row[0]


# --- Settings ---------------------------------------------------------------------------------------------------------


def test_without_any_settings_the_error_names_the_first(sign_in: Login) -> None:
    with pytest.raises(KeyError, match=r"DATABASE_URL_PARAMETER \(or PGHOST"):
        sign_in({})


@pytest.mark.parametrize("missing", IAM_SETTINGS)
def test_without_one_setting_the_error_names_it(sign_in: Login, missing: str) -> None:
    with pytest.raises(KeyError, match=missing):
        sign_in({name: value for name, value in IAM_SETTINGS.items() if name != missing})


# --- A URL ------------------------------------------------------------------------------------------------------------


def test_the_url_is_read_from_ssm_when_it_is_first_needed_and_then_kept(
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


def test_after_a_failure_the_url_is_read_again(
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


def test_a_parameter_that_is_not_there_makes_the_database_unavailable(sign_in: Login) -> None:
    connect = sign_in({"DATABASE_URL_PARAMETER": "/no/such"})
    with pytest.raises(UnavailableError, match="ssm answered 400 ParameterNotFound to parameter /no/such"):
        connect()


def test_an_ssm_that_is_not_there_makes_the_database_unavailable(sign_in: Login, unused_endpoint: str) -> None:
    connect = sign_in({"DATABASE_URL_PARAMETER": "/any", "AWS_ENDPOINT_URL_SSM": unused_endpoint})
    with pytest.raises(UnavailableError, match=r"the database's URL cannot be had: .*Connection refused"):
        connect()


# --- Tokens -----------------------------------------------------------------------------------------------------------


def botocores_token(host: str, port: int, user: str) -> str:
    client: Any = boto3.client(
        "rds",
        region_name="eu-west-1",
        aws_access_key_id=CREDENTIALS.access_key_id,
        aws_secret_access_key=CREDENTIALS.secret_access_key,
        aws_session_token=CREDENTIALS.session_token,
    )
    return client.generate_db_auth_token(host, port, user)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Sets the time for the function and for botocore."""

    def set_to(moment: datetime) -> None:
        class Clock(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> datetime:
                return moment.astimezone(tz)

        monkeypatch.setattr(login, "datetime", Clock)
        monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: moment)

    return set_to


@pytest.mark.parametrize("port", [5432, 443])
@pytest.mark.parametrize("user", ["profiles", "with space+plus/slash@at", "über"])
def test_a_token_is_the_one_botocore_makes(clock: Callable[[datetime], None], port: int, user: str) -> None:
    clock(NOW)
    token = login.iam_token(HOST, port, user, region="eu-west-1", credentials=CREDENTIALS, now=NOW)
    assert token == botocores_token(HOST, port, user)
    assert token.startswith(f"{HOST}:{port}/?Action=connect&DBUser=")
    assert "X-Amz-Expires=900" in token


def test_each_connection_signs_in_with_a_token_of_its_own(
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
        token = botocores_token(place.hostname, place.port, user)
        administrator.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(user), sql.Literal(token)))
        with connect() as connection:
            assert user_of(connection) == user


def test_settings_reach_the_driver_and_a_refused_token_is_not_told(
    sign_in: Login, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
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
