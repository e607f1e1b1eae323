"""Buckets of moto's, and of a small server that fails as S3 and networks do."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from functions.shared.aws.object_store import Bucket, ChangedError, Content, S3Error
from tests.functions.certificates import let_amazon_have_issued, self_signed
from tests.functions.conftest import PLATFORM_ENVIRONMENT
from tests.functions.servers import HOST, HttpStub

KEY = "avatars/it's é+~(1)/a b.json"
TEXT = Content(b"hello", "text/plain", "no-store", {"upload-id": "01KJ"})
ETAG = '"5d41402abc4b2a76b9719d911017c592"'  # MD5 of hello


@pytest.fixture(autouse=True)
def platform_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    for name, value in PLATFORM_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, s3_environment: dict[str, str], new_bucket: Callable[[], str]) -> Bucket:
    """An empty one of moto's."""
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    return Bucket(new_bucket(), patience_seconds=5)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpStub]:
    """An S3 that says yes to everything, unless it is told otherwise."""
    with HttpStub(answer=b"hello", headers={"ETag": ETAG}) as stub:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", stub.url)
        yield stub


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses before repetitions, which take no time."""
    made: list[float] = []
    monkeypatch.setattr(time, "sleep", made.append)
    return made


def raw(status: int, code: str = "", headers: str = "") -> bytes:
    """An answer as S3 gives it, in one chunk."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>No.</Message></Error>"
    head = f"HTTP/1.1 {status} No\r\n{headers}Transfer-Encoding: chunked\r\n\r\n"
    return f"{head}{len(body):x}\r\n{body}\r\n0\r\n\r\n".encode()


# --- Objects ----------------------------------------------------------------------------------------------------------


def test_what_is_put_is_what_is_got(bucket: Bucket) -> None:
    bucket.put(KEY, TEXT)
    stored = bucket.get(KEY)
    assert stored == (b"hello", 5, ETAG, {"upload-id": "01KJ"})


def test_a_look_gives_everything_but_the_data(bucket: Bucket) -> None:
    bucket.put(KEY, TEXT)
    assert bucket.head(KEY) == (b"", 5, ETAG, {"upload-id": "01KJ"})


def test_data_over_the_limit_stays_where_it_is(bucket: Bucket) -> None:
    bucket.put(KEY, TEXT)
    within, over = bucket.get(KEY, max_bytes=5), bucket.get(KEY, max_bytes=4)
    assert within
    assert over
    assert (within.data, over.data, over.size) == (b"hello", b"", 5)


def test_a_large_object_comes_whole(bucket: Bucket) -> None:
    data = bytes(range(256)) * 60_000
    bucket.put(KEY, Content(data, "image/jpeg", "no-store"))
    stored = bucket.get(KEY)
    assert stored
    assert stored.data == data


def test_what_is_not_there_is_none(bucket: Bucket) -> None:
    assert (bucket.get(KEY), bucket.head(KEY)) == (None, None)


def test_what_is_deleted_is_gone_and_may_be_deleted_again(bucket: Bucket) -> None:
    bucket.put(KEY, TEXT)
    bucket.delete(KEY)
    bucket.delete(KEY)
    assert bucket.get(KEY) is None


def test_an_object_is_replaced_only_if_it_is_what_was_looked_at(bucket: Bucket) -> None:
    bucket.replace(KEY, None, TEXT)
    with pytest.raises(ChangedError):
        bucket.replace(KEY, None, TEXT._replace(data=b"another"))
    bucket.replace(KEY, ETAG, TEXT._replace(data=b"newer"))
    with pytest.raises(ChangedError):
        bucket.replace(KEY, ETAG, TEXT._replace(data=b"another"))
    stored = bucket.get(KEY)
    assert stored
    assert stored.data == b"newer"


def test_an_object_that_was_deleted_is_not_replaced(bucket: Bucket) -> None:
    with pytest.raises(ChangedError):
        bucket.replace(KEY, ETAG, TEXT)


def test_a_bucket_that_is_not_there_is_an_error(bucket: Bucket) -> None:
    with pytest.raises(S3Error, match=r"^GET nowhere/k: 404 NoSuchBucket$"):
        Bucket("nowhere", patience_seconds=5).get("k")
    with pytest.raises(S3Error, match=r"^PUT nowhere/k: 404 NoSuchBucket$"):
        Bucket("nowhere", patience_seconds=5).replace("k", ETAG, TEXT)


# --- Requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "host", "path"),
    [
        ("uploads", "uploads.s3.eu-west-1.amazonaws.com", "/a%20b"),
        # The wildcard of S3's certificates covers no dots.
        ("up.loads", "s3.eu-west-1.amazonaws.com", "/up.loads/a%20b"),
    ],
)
def test_s3_is_asked_at_the_buckets_own_regional_host_over_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_authorities_yet: None, name: str, host: str, path: str
) -> None:
    looked_up: list[tuple[str, int]] = []
    with HttpStub(tls=self_signed(tmp_path, host), headers={"ETag": ETAG, "Connection": "close"}) as server:
        let_amazon_have_issued(server, monkeypatch)
        found = socket.getaddrinfo(HOST, server.port, type=socket.SOCK_STREAM)

        def getaddrinfo(host: str, port: int, **_: Any) -> Any:
            looked_up.append((host, port))
            return list(found)

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        Bucket(name, patience_seconds=5).get("a b")
    assert (looked_up, server.paths) == ([(host, 443)], [path])
    assert server.requests[0][0]["host"] == host


def test_requests_carry_the_credentials_of_the_moment(server: HttpStub, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = Bucket("uploads", patience_seconds=5)
    bucket.get("k")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ASIANEXT")
    bucket.get("k")
    users = [headers["authorization"].partition("Credential=")[2].split("/") for headers, _ in server.requests]
    assert [(user[0], *user[2:4]) for user in users] == [
        ("ASIAEXAMPLE", "eu-west-1", "s3"),
        ("ASIANEXT", "eu-west-1", "s3"),
    ]
    assert server.paths == ["/uploads/k"] * 2


def test_browsers_and_caches_are_told_what_an_object_is(server: HttpStub) -> None:
    Bucket("uploads", patience_seconds=5).put("k", TEXT)
    ((headers, body),) = server.requests
    told = {name: headers[name] for name in ("content-type", "cache-control", "x-amz-meta-upload-id", "content-length")}
    assert (body, told) == (
        b"hello",
        {
            "content-type": "text/plain",
            "cache-control": "no-store",
            "x-amz-meta-upload-id": "01KJ",
            "content-length": "5",
        },
    )


def test_threads_have_connections_of_their_own_and_leave_them_to_the_next(server: HttpStub) -> None:
    bucket = Bucket("uploads", patience_seconds=5)
    together = threading.Barrier(4)

    def use(_: int) -> None:
        together.wait()
        for _ in range(5):
            bucket.put("k", TEXT)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(use, range(4)))
    bucket.get("k")
    assert len(server.requests) == 21
    assert server.connections <= 4


def test_a_connection_that_s3_closed_meanwhile_is_no_failure(server: HttpStub, pauses: list[float]) -> None:
    server.hangs_up_after_each = True
    bucket = Bucket("uploads", patience_seconds=5)
    for _ in range(3):
        bucket.put("k", TEXT)
    assert (server.connections, pauses) == (3, [])


# --- Failures ---------------------------------------------------------------------------------------------------------

PASSING = [
    pytest.param(raw(500, "InternalError"), "500 InternalError", id="500"),
    pytest.param(raw(502), "502 ", id="502"),
    pytest.param(raw(503, "SlowDown"), "503 SlowDown", id="503"),
    pytest.param(raw(504), "504 ", id="504"),
    pytest.param(raw(429, "TooManyRequests"), "429 TooManyRequests", id="429"),
    pytest.param(raw(400, "RequestTimeout"), "400 RequestTimeout", id="a body that S3 waited for"),
    pytest.param(b"", "no answer, RemoteDisconnected", id="nothing"),
    pytest.param(b"SSH-2.0\r\n\r\n", r"no answer, OSError\(.not an HTTP answer", id="another protocol"),
    pytest.param(
        f"HTTP/1.1 200 OK\r\nETag: {ETAG}\r\nContent-Length: 9\r\n\r\nhell".encode(),
        r"no answer, OSError\(.not an HTTP answer: IncompleteRead",
        id="a part",
    ),
    pytest.param(
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nlogin",
        "200 without an ETag, which is no answer of S3's",
        id="another server",
    ),
]


@pytest.mark.parametrize(("failure", "_message"), PASSING)
def test_what_may_pass_is_tried_again(server: HttpStub, pauses: list[float], failure: bytes, _message: str) -> None:
    server.raw_answers = [failure] * 3
    stored = Bucket("uploads", patience_seconds=5).get("k")
    assert stored
    assert stored.data == b"hello"
    assert server.methods == ["GET"] * 4
    assert all(0 <= pause <= longest for pause, longest in zip(pauses, [0.1, 0.2, 0.4], strict=True))


@pytest.mark.parametrize(("failure", "message"), PASSING)
def test_what_does_not_pass_is_an_error_after_three_repetitions(
    server: HttpStub, pauses: list[float], failure: bytes, message: str
) -> None:
    server.raw_answers = [failure] * 5
    with pytest.raises(S3Error, match=rf"^PUT uploads/k: {message}"):
        Bucket("uploads", patience_seconds=5).put("k", TEXT)
    assert server.methods == ["PUT"] * 4
    assert [body for _, body in server.requests] == [b"hello"] * 4


def test_an_s3_that_is_not_there_is_an_error(
    unused_endpoint: str, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", unused_endpoint)
    with pytest.raises(S3Error, match=r"^DELETE uploads/k: no answer, ConnectionRefusedError"):
        Bucket("uploads", patience_seconds=5).delete("k")
    assert len(pauses) == 3


def test_an_s3_that_hangs_is_an_error_when_the_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server((HOST, 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://{HOST}:{silent.getsockname()[1]}")
        started = time.monotonic()
        with pytest.raises(S3Error, match=r"^GET uploads/k: no answer, TimeoutError"):
            Bucket("uploads", patience_seconds=0.6).get("k")
    assert 0.3 <= time.monotonic() - started < 2


def test_a_hanging_attempt_leaves_time_for_another(server: HttpStub, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server((HOST, 0)) as silent:
        hanging, answering = (
            socket.getaddrinfo(HOST, port, type=socket.SOCK_STREAM) for port in (silent.getsockname()[1], server.port)
        )
        addresses = [hanging, answering]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses.pop(0))
        assert Bucket("uploads", patience_seconds=4).get("k")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (raw(403, "AccessDenied"), "403 AccessDenied"),
        (raw(400, "ExpiredToken"), "400 ExpiredToken"),
        (raw(403, "RequestTimeTooSkewed"), "403 RequestTimeTooSkewed"),
        (raw(400, "XAmzContentSHA256Mismatch"), "400 XAmzContentSHA256Mismatch"),
        (raw(409, "OperationAborted"), "409 OperationAborted"),
        (raw(206), "206 "),
        (
            raw(301, "PermanentRedirect", "x-amz-bucket-region: eu-north-1\r\n"),
            "301 PermanentRedirect; the bucket is in eu-north-1",
        ),
    ],
)
def test_a_refusal_is_an_error_at_once_that_says_what_was_asked_and_no_secret(
    server: HttpStub, pauses: list[float], answer: bytes, message: str
) -> None:
    server.raw_answers = [answer]
    with pytest.raises(S3Error) as caught:
        Bucket("uploads", patience_seconds=5).get("a/k")
    assert str(caught.value) == f"GET uploads/a/k: {message}"
    assert pauses == []


@pytest.mark.parametrize(
    "answer",
    [raw(412, "PreconditionFailed"), raw(409, "ConditionalRequestConflict"), raw(404, "NoSuchKey")],
    ids=["changed", "being changed", "deleted"],
)
def test_a_condition_that_does_not_hold_is_told_at_once(server: HttpStub, pauses: list[float], answer: bytes) -> None:
    server.raw_answers = [answer]
    with pytest.raises(ChangedError):
        Bucket("uploads", patience_seconds=5).replace("k", ETAG, TEXT)
    assert (len(server.requests), pauses) == (1, [])
    assert server.requests[0][0]["if-match"] == ETAG


def test_a_repeated_conditional_write_may_find_what_it_wrote_itself(server: HttpStub, pauses: list[float]) -> None:
    server.raw_answers = [b"", raw(412, "PreconditionFailed")]
    with pytest.raises(ChangedError):
        Bucket("uploads", patience_seconds=5).replace("k", None, TEXT)
    assert [headers["if-none-match"] for headers, _ in server.requests] == ["*", "*"]
