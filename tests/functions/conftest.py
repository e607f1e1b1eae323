"""What the functions' tests share: fresh handlers under a given environment, AWS services and a database to talk to."""

import importlib
import os
import socket
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType, SimpleNamespace
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import boto3
import psycopg
import pytest
from psycopg import sql

from functions.migrate_database.schema import Schema
from functions.shared.db import postgres
from local.emulators.http_server import HttpServer
from local.emulators.moto import create_dispatcher, make_changes_atomic
from local.emulators.postgres import Postgres

LoadHandler: TypeAlias = Callable[[str, Mapping[str, str]], ModuleType]

PLATFORM_ENVIRONMENT = {
    "AWS_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "ASIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret-access-key",
    "AWS_SESSION_TOKEN": "session-token",
}


@pytest.fixture
def load_handler(monkeypatch: pytest.MonkeyPatch) -> LoadHandler:
    """Import a function's handler afresh under `env`, as a new sandbox of that function would.

    What Lambda itself sets is there already; every other AWS_ variable of the machine is not.
    """

    def load(name: str, env: Mapping[str, str]) -> ModuleType:
        _clear_aws_variables(monkeypatch)
        for variable, value in {**PLATFORM_ENVIRONMENT, **env}.items():
            monkeypatch.setenv(variable, value)
        module = f"functions.{name}.handler"
        monkeypatch.delitem(sys.modules, module, raising=False)
        return importlib.import_module(module)

    return load


@pytest.fixture(scope="session")
def moto_endpoint() -> Iterator[str]:
    """The URL of a moto server for the whole run: use bucket and topic names of your own."""
    server = HttpServer("AWS")
    server.serve(create_dispatcher())
    yield server.url
    server.close()


@pytest.fixture(scope="session")
def s3(moto_endpoint: str) -> Any:
    """A boto3 client of moto's S3."""
    return boto3.client(
        "s3",
        endpoint_url=moto_endpoint,
        region_name="eu-west-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


@pytest.fixture(scope="session")
def ssm(moto_endpoint: str) -> Any:
    """A boto3 client of moto's SSM."""
    return boto3.client(
        "ssm",
        endpoint_url=moto_endpoint,
        region_name="eu-west-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


@pytest.fixture(scope="session")
def dynamodb(moto_endpoint: str) -> Iterator[Any]:
    make_changes_atomic()
    client = boto3.client(
        "dynamodb",
        endpoint_url=moto_endpoint,
        region_name="eu-west-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    yield client
    client.close()


@pytest.fixture
def limits_table(dynamodb: Any) -> str:
    """The name of an empty limits table."""
    name = f"limits-{uuid.uuid4()}"
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[
            {"AttributeName": "subject", "KeyType": "HASH"},
            {"AttributeName": "period", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("subject", "period")],
    )
    return name


@pytest.fixture
def new_bucket(s3: Any) -> Callable[[], str]:
    """Creates an empty bucket and returns its name."""

    def create() -> str:
        name = f"bucket-{uuid.uuid4()}"
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        return name

    return create


@pytest.fixture
def s3_environment(moto_endpoint: str) -> dict[str, str]:
    """The environment with which a function calls moto's S3."""
    return {"AWS_ENDPOINT_URL_S3": moto_endpoint}


@pytest.fixture
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that botocore makes before retries, in seconds; they take no time."""
    pauses: list[float] = []
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=pauses.append))
    return pauses


@pytest.fixture
def unused_endpoint() -> Iterator[str]:
    """A URL that refuses connections: its port is taken, and nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """For the whole run: use the database through the next two."""
    with Postgres() as server:
        yield server


@pytest.fixture
def administrator(postgres_server: Postgres) -> Iterator[postgres.Connection]:
    """A connection that may do everything: make users, and end the connections of others."""
    with psycopg.connect(postgres_server.administrator_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def new_user(administrator: postgres.Connection) -> Iterator[Callable[[str], str]]:
    """Makes a user with that password, and gives their name."""
    made: list[sql.Identifier] = []

    def make(password: str) -> str:
        name = f"user_{uuid.uuid4().hex}"
        made.append(sql.Identifier(name))
        administrator.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(made[-1], sql.Literal(password)))
        return name

    yield make
    for user in made:
        administrator.execute(sql.SQL("DROP ROLE {}").format(user))


@pytest.fixture
def database_url(postgres_server: Postgres) -> str:
    """The owner's URL of a database in which nothing has been made yet."""
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS avatars CASCADE")
    return postgres_server.url


@pytest.fixture(scope="session")
def migrated_database(postgres_server: Postgres) -> str:
    """The owner's URL of a database of its own, which is migrated once: use it through the next one."""
    name = "migrated"
    with psycopg.connect(postgres_server.administrator_url, autocommit=True) as connection:
        owner = sql.Identifier(urlsplit(postgres_server.url).username or "")
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), owner))
    url = urlsplit(postgres_server.url)._replace(path=f"/{name}").geturl()
    Schema(lambda: postgres.connect_to_url(url, timeout_seconds=5)).migrate("head")
    return url


@pytest.fixture
def migrated_url(migrated_database: str) -> str:
    """The owner's URL of a database with empty tables. Leave the schema as it is: other tests use it too."""
    with psycopg.connect(migrated_database, autocommit=True) as connection:
        found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'avatars' ORDER BY tablename")
        tables = [sql.Identifier("avatars", name) for (name,) in found if name != "alembic_version"]
        connection.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY CASCADE").format(sql.SQL(", ").join(tables)))
    return migrated_database


@pytest.fixture
def opened(administrator: postgres.Connection, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[postgres.Connection]]:
    """The connections that functions make in the test; all are closed at its end."""
    assert not administrator.closed  # made before the first of them, and none of them
    connections: list[postgres.Connection] = []
    connect = psycopg.connect

    def record(*args: Any, **kwargs: Any) -> postgres.Connection:
        connections.append(connect(*args, **kwargs))
        return connections[-1]

    monkeypatch.setattr(psycopg, "connect", record)
    yield connections
    for connection in connections:
        connection.close()


@pytest.fixture
def url_parameter(ssm: Any) -> Callable[[str], str]:
    """Keeps a secret in SSM, and gives its new name."""

    def keep(url: str) -> str:
        name = f"/database-url/{uuid.uuid4()}"
        ssm.put_parameter(Name=name, Type="SecureString", Value=url)
        return name

    return keep


def wait_until(condition: Callable[[], object], timeout: float = 10) -> None:
    """Fails when the condition does not come true within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def _clear_aws_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(variable)
