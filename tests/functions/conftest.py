"""What the functions' tests share: fresh handlers under a given environment, and AWS services to talk to."""

import importlib
import os
import socket
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any, TypeAlias

import boto3
import pytest
from moto.server import ThreadedMotoServer

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
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def s3(moto_endpoint: str) -> Any:
    """A boto3 client of moto's S3, to arrange with and to look with."""
    return boto3.client(
        "s3",
        endpoint_url=moto_endpoint,
        region_name="eu-west-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


@pytest.fixture
def new_bucket(s3: Any) -> Callable[[], str]:
    """Makes an empty bucket and gives its name."""

    def make() -> str:
        name = f"bucket-{uuid.uuid4()}"
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        return name

    return make


@pytest.fixture
def s3_environment(moto_endpoint: str) -> dict[str, str]:
    """What a local run sets for a function, so that it finds moto's S3."""
    return {"AWS_ENDPOINT_URL_S3": moto_endpoint, "AWS_ALLOW_HTTP": "true"}


@pytest.fixture
def unused_endpoint() -> Iterator[str]:
    """A URL that refuses connections: its port is taken, and nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def _clear_aws_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(variable)
