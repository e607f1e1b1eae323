"""The one configuration of all clients: addresses, signatures, timeouts and retries."""

import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
    SSLError,
)

from functions.shared.aws import clients
from tests.functions.certificates import self_signed
from tests.functions.conftest import PLATFORM_ENVIRONMENT
from tests.functions.servers import HOST, HttpStub


@pytest.fixture(autouse=True)
def platform_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for service in ("S3", "SNS"):
        monkeypatch.delenv(f"AWS_ENDPOINT_URL_{service}", raising=False)
    for name, value in PLATFORM_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def server() -> Iterator[HttpStub]:
    with HttpStub(body=b"", headers={"ETag": '"5d41402abc4b2a76b9719d911017c592"'}) as stub:
        yield stub


@pytest.fixture
def client(server: HttpStub) -> BaseClient:
    return clients.create("s3", read_timeout_seconds=10, endpoint_url=server.url)


@pytest.fixture
def silent_url() -> Iterator[str]:
    """A server that accepts connections and never responds."""
    with socket.create_server((HOST, 0)) as silent:
        yield f"http://{HOST}:{silent.getsockname()[1]}"


def put(client: BaseClient) -> None:
    client.put_object(Bucket="uploads", Key="a/k", Body=b"hello")


def raw(status: int, code: str = "") -> bytes:
    body = f"<Error><Code>{code}</Code><Message>No.</Message></Error>"
    return f"HTTP/1.1 {status} No\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


# --- Requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("region", "bucket", "host", "path"),
    [
        ("eu-west-1", "uploads", "uploads.s3.eu-west-1.amazonaws.com", "/a%20b"),
        ("us-east-1", "uploads", "uploads.s3.us-east-1.amazonaws.com", "/a%20b"),
        # The wildcard certificate of S3 does not cover dots.
        ("eu-west-1", "up.loads", "s3.eu-west-1.amazonaws.com", "/up.loads/a%20b"),
    ],
)
def test_s3_requests_go_to_the_regional_host_over_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, region: str, bucket: str, host: str, path: str
) -> None:
    looked_up: list[tuple[str, int]] = []
    certificate, key = self_signed(tmp_path, host)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    with HttpStub(tls=(certificate, key), headers={"ETag": '"x"', "Connection": "close"}) as server:
        found = socket.getaddrinfo(HOST, server.port, type=socket.SOCK_STREAM)

        def getaddrinfo(host: str, port: int, *_: Any, **__: Any) -> Any:
            looked_up.append((host, port))
            return list(found)

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        client = clients.create("s3", read_timeout_seconds=5, region=region)
        client.get_object(Bucket=bucket, Key="a b")["Body"].read()
        client.close()
    assert (looked_up, server.paths) == ([(host, 443)], [path])
    assert server.requests[0][0]["host"] == host


@pytest.mark.parametrize(
    ("host", "is_trusted", "error"),
    [
        pytest.param("example.com", True, "hostname '127.0.0.1' doesn't match 'example.com'", id="another host"),
        pytest.param(HOST, False, "CERTIFICATE_VERIFY_FAILED", id="unknown authority"),
    ],
)
def test_invalid_certificate_raises_ssl_error(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    no_backoff: list[float],
    host: str,
    is_trusted: bool,
    error: str,
) -> None:
    certificate, key = self_signed(tmp_path, host)
    if is_trusted:
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    with HttpStub(tls=(certificate, key)) as server:
        client = clients.create("s3", read_timeout_seconds=5, endpoint_url=server.url)
        with pytest.raises(SSLError, match=error):
            put(client)
        client.close()
    assert server.requests == []


def test_requests_are_signed_for_service_and_region(server: HttpStub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it may have other credentials
    server.body = b"<PublishResponse><PublishResult/><ResponseMetadata/></PublishResponse>"
    client = clients.create("sns", read_timeout_seconds=5, region="eu-north-1", endpoint_url=server.url)
    client.publish(TopicArn="arn:aws:sns:eu-north-1:123456789012:avatars", Message="{}")
    ((headers, _),) = server.requests
    assert headers["x-amz-security-token"] == "session-token"
    scope = f"ASIAEXAMPLE/{headers['x-amz-date'][:8]}/eu-north-1/sns/aws4_request"
    assert f"Credential={scope}" in headers["authorization"]


def test_endpoint_is_taken_from_the_environment(server: HttpStub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
    put(clients.create("s3", read_timeout_seconds=5))
    assert (server.methods, server.paths) == (["PUT"], ["/uploads/a/k"])


def test_place_of_the_credentials_is_not_logged(
    server: HttpStub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it may have credentials already
    clients.create("s3", read_timeout_seconds=1, endpoint_url=server.url).head_object(Bucket="b", Key="k")
    assert caplog.records == []


def test_create_without_region_raises_key_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION")
    with pytest.raises(KeyError, match="AWS_REGION"):
        clients.create("s3", read_timeout_seconds=5)


def test_requests_share_one_connection(server: HttpStub, client: BaseClient) -> None:
    put(client)
    put(client)
    assert (len(server.requests), server.connections) == (2, 1)


def test_connection_closed_while_idle_is_reopened(
    server: HttpStub, client: BaseClient, no_backoff: list[float]
) -> None:
    server.closes_connections = True
    for _ in range(3):
        put(client)
    assert (len(server.requests), server.connections) == (3, 3)


# --- Retries ----------------------------------------------------------------------------------------------------------

TRANSIENT = [
    pytest.param(raw(500, "InternalError"), ClientError, id="500"),
    pytest.param(raw(502), ClientError, id="502"),
    pytest.param(raw(503, "SlowDown"), ClientError, id="503"),
    pytest.param(raw(504), ClientError, id="504"),
    pytest.param(raw(429, "TooManyRequests"), ClientError, id="429"),
    pytest.param(raw(400, "RequestTimeout"), ClientError, id="RequestTimeout"),
    pytest.param(b"", BotoCoreError, id="connection closed"),
    pytest.param(
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nlogin", ClientError, id="another server"
    ),
    pytest.param(b"SSH-2.0\r\n\r\n", BotoCoreError, id="another protocol"),
]


@pytest.mark.parametrize(("response", "_error"), TRANSIENT)
def test_transient_failure_is_retried_with_backoff(
    server: HttpStub, client: BaseClient, no_backoff: list[float], response: bytes, _error: type[Exception]
) -> None:
    server.raw_responses = [response] * 2
    put(client)
    assert server.methods == ["PUT"] * 3
    is_throttling = response.startswith((b"HTTP/1.1 429", b"HTTP/1.1 503"))
    first, second = (1, 2) if is_throttling else (0.05, 0.1)
    assert 0 <= no_backoff[0] <= first
    assert 0 <= no_backoff[1] <= second


@pytest.mark.parametrize(("response", "error"), TRANSIENT)
def test_lasting_failure_raises_after_3_attempts(
    server: HttpStub, client: BaseClient, no_backoff: list[float], response: bytes, error: type[Exception]
) -> None:
    server.raw_responses = [response] * 4
    with pytest.raises(error):
        put(client)
    assert server.methods == ["PUT"] * 3
    assert [body for _, body in server.requests] == [b"hello"] * 3


def test_max_attempts_of_1_does_not_retry(server: HttpStub, no_backoff: list[float]) -> None:
    client = clients.create("s3", read_timeout_seconds=5, max_attempts=1, endpoint_url=server.url)
    server.raw_responses = [b""] * 2
    with pytest.raises(BotoCoreError):
        put(client)
    assert (server.methods, no_backoff) == (["PUT"], [])


@pytest.mark.parametrize(
    ("response", "code"),
    [
        (raw(403, "AccessDenied"), "AccessDenied"),
        (raw(400, "ExpiredToken"), "ExpiredToken"),
        (raw(403, "RequestTimeTooSkewed"), "RequestTimeTooSkewed"),
        (raw(400, "XAmzContentSHA256Mismatch"), "XAmzContentSHA256Mismatch"),
        (raw(409, "OperationAborted"), "OperationAborted"),
        (raw(301, "PermanentRedirect"), "PermanentRedirect"),
    ],
)
def test_refusal_is_not_retried_and_its_message_has_the_code(
    server: HttpStub, client: BaseClient, no_backoff: list[float], response: bytes, code: str
) -> None:
    server.raw_responses = [response]
    with pytest.raises(ClientError, match=rf"\({code}\) when calling the PutObject operation"):
        put(client)
    assert "secret-access-key" not in str(no_backoff)
    assert no_backoff == []


def test_unused_endpoint_raises_after_3_attempts(unused_endpoint: str, no_backoff: list[float]) -> None:
    client = clients.create("s3", read_timeout_seconds=5, endpoint_url=unused_endpoint)
    with pytest.raises(EndpointConnectionError, match=unused_endpoint):
        put(client)
    assert len(no_backoff) == 2


# --- Timeouts ---------------------------------------------------------------------------------------------------------


def test_silent_server_raises_read_timeout_after_3_attempts(silent_url: str, no_backoff: list[float]) -> None:
    client = clients.create("s3", read_timeout_seconds=0.2, endpoint_url=silent_url)
    started = time.monotonic()
    with pytest.raises(ReadTimeoutError):
        put(client)
    assert 0.6 <= time.monotonic() - started < 10
    assert len(no_backoff) == 2


def test_hanging_attempt_leaves_time_for_a_retry(
    server: HttpStub, silent_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(silent_url.rpartition(":")[2])
    hanging, answering = (socket.getaddrinfo(HOST, each, type=socket.SOCK_STREAM) for each in (port, server.port))
    addresses = [hanging, answering]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses.pop(0))
    put(clients.create("s3", read_timeout_seconds=1, endpoint_url="http://aws.example.com"))
    assert server.methods == ["PUT"]


def test_full_backlog_raises_connect_timeout(monkeypatch: pytest.MonkeyPatch, no_backoff: list[float]) -> None:
    monkeypatch.setattr(clients, "CONNECT_TIMEOUT_SECONDS", 0.1)
    with socket.socket() as busy, socket.socket() as first, socket.socket() as second:
        busy.bind((HOST, 0))
        busy.listen(0)
        for waiting in (first, second):  # they fill the queue of connections: a further one is not answered
            waiting.setblocking(False)
            waiting.connect_ex(busy.getsockname())
        endpoint = f"http://{HOST}:{busy.getsockname()[1]}"
        client = clients.create("s3", read_timeout_seconds=5, endpoint_url=endpoint)
        started = time.monotonic()
        with pytest.raises(ConnectTimeoutError):
            put(client)
    assert time.monotonic() - started < 10
    assert len(no_backoff) == 2


def test_next_address_is_tried_when_one_refuses(
    server: HttpStub, monkeypatch: pytest.MonkeyPatch, unused_endpoint: str
) -> None:
    ports = [int(unused_endpoint.rpartition(":")[2]), server.port]
    addresses = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (HOST, port)) for port in ports]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses)
    put(clients.create("s3", read_timeout_seconds=5, endpoint_url="http://aws.example.com"))
    assert server.methods == ["PUT"]


def test_longest_call_is_below_the_timeouts_of_the_functions() -> None:
    def longest(read_timeout_seconds: float) -> float:
        return clients.MAX_ATTEMPTS * (clients.CONNECT_TIMEOUT_SECONDS + read_timeout_seconds) + 0.15

    assert longest(1) < 5  # upload_status and current_avatar, components/upload_api.py
    assert longest(2) < 10


@pytest.mark.parametrize("service", ["s3", "sns", "sqs", "ssm", "cognito-idp", "rds"])
def test_client_has_the_standard_configuration(service: str) -> None:
    config = clients.create(service, read_timeout_seconds=1).meta.config
    assert config.retries == {"mode": "standard", "total_max_attempts": 3}
    assert (config.connect_timeout, config.read_timeout) == (0.5, 1)


def test_request_in_lambda_has_the_trace_of_the_invocation(
    server: HttpStub, client: BaseClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """botocore passes it on, without the X-Ray SDK: docs/decisions/0058-tracing-without-an-sdk.md."""
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "process-avatar")
    monkeypatch.setenv("_X_AMZN_TRACE_ID", trace)
    put(client)
    ((headers, _),) = server.requests
    assert headers["x-amzn-trace-id"] == trace
