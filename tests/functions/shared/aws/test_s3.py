"""The S3 module against moto's buckets, and against a server that fails as S3 and networks do."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any
from unittest.mock import ANY

import pytest
from botocore.client import BaseClient
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    FlexibleChecksumError,
    HTTPClientError,
    ReadTimeoutError,
)

from functions.shared.aws import clients, s3
from functions.shared.aws.s3 import PreconditionFailedError
from tests.functions.conftest import PLATFORM_ENVIRONMENT
from tests.functions.servers import HttpStub

KEY = "avatars/it's é+~(1)/a b.json"
ETAG = '"5d41402abc4b2a76b9719d911017c592"'  # MD5 of hello
HTTP_DATE, LAST_MODIFIED = "Fri, 20 Nov 2026 12:00:01 GMT", datetime(2026, 11, 20, 12, 0, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def platform_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    for name, value in PLATFORM_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def client(moto_endpoint: str) -> BaseClient:
    """Of moto's S3."""
    return clients.create("s3", read_timeout_seconds=5, endpoint_url=moto_endpoint)


@pytest.fixture
def bucket(new_bucket: Callable[[], str]) -> str:
    return new_bucket()


@pytest.fixture
def server() -> Iterator[HttpStub]:
    """An S3 that accepts every request, unless it is configured otherwise."""
    with HttpStub(body=b"hello", headers={"ETag": ETAG, "Last-Modified": HTTP_DATE}) as stub:
        yield stub


@pytest.fixture
def stub_client(server: HttpStub) -> BaseClient:
    return clients.create("s3", read_timeout_seconds=10, endpoint_url=server.url)


def raw(status: int, code: str = "") -> bytes:
    """A response of S3 in one chunk."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>No.</Message></Error>"
    head = f"HTTP/1.1 {status} No\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    return f"{head}{len(body):x}\r\n{body}\r\n0\r\n\r\n".encode()


def put(client: BaseClient, bucket: str, data: bytes = b"hello") -> None:
    client.put_object(Bucket=bucket, Key=KEY, Body=data, Metadata={"upload-id": "01KJ"})


def replace(client: BaseClient, bucket: str, etag: str | None, data: bytes = b"hello") -> None:
    s3.replace_object(client, etag, Bucket=bucket, Key=KEY, Body=data)


# --- Objects ----------------------------------------------------------------------------------------------------------


def test_get_object_returns_data_size_etag_and_metadata(client: BaseClient, bucket: str) -> None:
    put(client, bucket)
    assert s3.get_object(client, bucket, KEY) == s3.StoredObject(b"hello", 5, ETAG, {"upload-id": "01KJ"}, ANY)


def test_head_object_returns_etag_and_metadata(client: BaseClient, bucket: str) -> None:
    put(client, bucket)
    found = s3.head_object(client, bucket, KEY)
    assert found
    assert (found["ContentLength"], found["ETag"], found["Metadata"]) == (5, ETAG, {"upload-id": "01KJ"})


def test_get_object_above_max_bytes_returns_no_data(client: BaseClient, bucket: str) -> None:
    put(client, bucket)
    within = s3.get_object(client, bucket, KEY, max_bytes=5)
    above = s3.get_object(client, bucket, KEY, max_bytes=4)
    assert within
    assert above
    assert (within.data, above.data, above.size) == (b"hello", b"", 5)


def test_get_object_above_max_bytes_leaves_the_body_unread(server: HttpStub, stub_client: BaseClient) -> None:
    head = f"HTTP/1.1 200 OK\r\nETag: {ETAG}\r\nLast-Modified: {HTTP_DATE}\r\nContent-Length: 999999999\r\n\r\n"
    server.raw_responses = [head.encode()]
    above = s3.get_object(stub_client, "uploads", KEY, max_bytes=999_999_998)
    assert above == s3.StoredObject(b"", 999_999_999, ETAG, {}, LAST_MODIFIED)
    assert s3.get_object(stub_client, "uploads", KEY) == s3.StoredObject(b"hello", 5, ETAG, {}, LAST_MODIFIED)
    assert len(server.requests) == 2


def test_get_large_object_returns_all_of_it(client: BaseClient, bucket: str) -> None:
    data = bytes(range(256)) * 60_000
    put(client, bucket, data)
    stored = s3.get_object(client, bucket, KEY)
    assert stored
    assert stored.data == data


def test_list_objects_reads_all_pages_in_order(
    client: BaseClient, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("a/3", "a/1", "b/1", "a/2"):
        client.put_object(Bucket=bucket, Key=key, Body=key.encode())
    monkeypatch.setattr(client, "list_objects_v2", partial(client.list_objects_v2, MaxKeys=2))
    assert list(s3.list_objects(client, bucket, "a/")) == [(f"a/{number}", 3, ANY) for number in (1, 2, 3)]
    assert [its.key for its in s3.list_objects(client, bucket, "", start_after="a/2")] == ["a/3", "b/1"]
    assert list(s3.list_objects(client, bucket, "c/")) == []


def test_get_json_returns_the_object(client: BaseClient, bucket: str) -> None:
    put(client, bucket, b'{"a": 1}')
    assert s3.get_json(client, bucket, KEY) == {"a": 1}


def test_read_missing_key_returns_none(client: BaseClient, bucket: str) -> None:
    assert s3.get_object(client, bucket, KEY) is None
    assert s3.get_json(client, bucket, KEY) is None
    assert s3.head_object(client, bucket, KEY) is None


def test_replace_object_requires_the_object_that_was_read(client: BaseClient, bucket: str) -> None:
    replace(client, bucket, None)
    with pytest.raises(PreconditionFailedError):
        replace(client, bucket, None, b"another")
    replace(client, bucket, ETAG, b"newer")
    with pytest.raises(PreconditionFailedError):
        replace(client, bucket, ETAG, b"another")
    stored = s3.get_object(client, bucket, KEY)
    assert stored
    assert stored.data == b"newer"


def test_replace_deleted_object_raises_precondition_failed(client: BaseClient, bucket: str) -> None:
    with pytest.raises(PreconditionFailedError):
        replace(client, bucket, ETAG)


def test_missing_bucket_raises_client_error(client: BaseClient) -> None:
    with pytest.raises(ClientError, match=r"\(NoSuchBucket\) when calling the GetObject"):
        s3.get_object(client, "nowhere", KEY)
    with pytest.raises(ClientError, match=r"\(NoSuchBucket\) when calling the PutObject"):
        replace(client, "nowhere", ETAG)


def test_delete_unchanged_object_deletes_it(client: BaseClient, bucket: str) -> None:
    put(client, bucket)
    assert s3.delete_unchanged_object(client, ETAG, bucket=bucket, key=KEY)
    assert s3.head_object(client, bucket, KEY) is None
    assert not s3.delete_unchanged_object(client, ETAG, bucket=bucket, key=KEY)


def test_delete_unchanged_object_keeps_another_one(client: BaseClient, bucket: str) -> None:
    put(client, bucket)
    assert not s3.delete_unchanged_object(client, '"0123456789abcdef0123456789abcdef"', bucket=bucket, key=KEY)
    assert s3.head_object(client, bucket, KEY)


def test_delete_unchanged_object_being_changed_raises(server: HttpStub, stub_client: BaseClient) -> None:
    server.raw_responses = [b"HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n"]
    with pytest.raises(ClientError):
        s3.delete_unchanged_object(stub_client, ETAG, bucket="uploads", key=KEY)


def test_threads_share_the_connections_of_a_client(server: HttpStub, stub_client: BaseClient) -> None:
    together = threading.Barrier(4)

    def use(_: int) -> None:
        together.wait()
        for _ in range(5):
            s3.get_object(stub_client, "uploads", KEY)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(use, range(4)))
    s3.get_object(stub_client, "uploads", KEY)
    assert len(server.requests) == 21
    assert server.connections <= 4


# --- Failures ---------------------------------------------------------------------------------------------------------

BODIES = [
    pytest.param("Content-Length: 9\r\n\r\nhell", HTTPClientError, id="incomplete"),
    pytest.param("Transfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n9\r\nhell", HTTPClientError, id="chunk"),
    pytest.param(
        "x-amz-checksum-crc32: AAAAAA==\r\nContent-Length: 5\r\n\r\nhello", FlexibleChecksumError, id="damaged"
    ),
]


def body(rest: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nETag: {ETAG}\r\nLast-Modified: {HTTP_DATE}\r\n{rest}".encode()


@pytest.mark.parametrize(("rest", "_error"), BODIES)
def test_get_object_with_broken_body_is_retried(
    server: HttpStub, stub_client: BaseClient, rest: str, _error: type[Exception]
) -> None:
    server.raw_responses = [body(rest)] * 2
    stored = s3.get_object(stub_client, "uploads", KEY)
    assert stored
    assert stored.data == b"hello"
    assert server.methods == ["GET"] * 3


@pytest.mark.parametrize(("rest", "error"), BODIES)
def test_get_object_with_broken_bodies_raises_after_3_attempts(
    server: HttpStub, stub_client: BaseClient, rest: str, error: type[Exception]
) -> None:
    server.raw_responses = [body(rest)] * 4
    with pytest.raises(error):
        s3.get_object(stub_client, "uploads", KEY)
    assert server.methods == ["GET"] * 3


def test_get_object_with_stalled_body_raises_read_timeout(server: HttpStub) -> None:
    client = clients.create("s3", read_timeout_seconds=0.5, endpoint_url=server.url)
    server.headers["Content-Length"] = "9"  # more than it sends, on a connection that it keeps open
    with pytest.raises(ReadTimeoutError):
        s3.get_object(client, "uploads", KEY)
    assert server.methods == ["GET"] * 3


@pytest.mark.parametrize("missing", ["ETag", "Content-Length"])
def test_get_object_from_another_server_raises_key_error(
    server: HttpStub, stub_client: BaseClient, missing: str
) -> None:
    headers = {"ETag": ETAG, "Content-Length": "5"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if name != missing)
    server.raw_responses = [f"HTTP/1.1 200 OK\r\n{lines}\r\nlogin".encode()]
    with pytest.raises(KeyError, match=missing.replace("-", "")):
        s3.get_object(stub_client, "uploads", KEY)


@pytest.mark.parametrize(
    "response",
    [raw(412, "PreconditionFailed"), raw(409, "ConditionalRequestConflict"), raw(404, "NoSuchKey")],
    ids=["changed", "being changed", "deleted"],
)
def test_failed_precondition_is_not_retried(
    server: HttpStub, stub_client: BaseClient, no_backoff: list[float], response: bytes
) -> None:
    server.raw_responses = [response]
    with pytest.raises(PreconditionFailedError):
        replace(stub_client, "uploads", ETAG)
    assert (len(server.requests), no_backoff) == (1, [])
    assert server.requests[0][0]["if-match"] == ETAG


def test_retried_conditional_write_meets_its_own_first_attempt(
    server: HttpStub, stub_client: BaseClient, no_backoff: list[float]
) -> None:
    server.raw_responses = [b"", raw(412, "PreconditionFailed")]
    with pytest.raises(PreconditionFailedError):
        replace(stub_client, "uploads", None)
    assert [headers["if-none-match"] for headers, _ in server.requests] == ["*", "*"]


@pytest.mark.parametrize("read", [s3.get_object, s3.head_object], ids=["get", "head"])
def test_read_refused_raises_client_error(
    server: HttpStub, stub_client: BaseClient, read: Callable[[BaseClient, str, str], Any]
) -> None:
    server.raw_responses = [b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"]
    with pytest.raises(ClientError, match=r"\(403\)"):
        read(stub_client, "uploads", KEY)
    assert len(server.requests) == 1


def test_head_object_without_response_raises_botocore_error(
    server: HttpStub, stub_client: BaseClient, no_backoff: list[float]
) -> None:
    server.raw_responses = [b""] * 4
    with pytest.raises(ConnectionClosedError):
        s3.head_object(stub_client, "uploads", KEY)
    assert server.methods == ["HEAD"] * 3
