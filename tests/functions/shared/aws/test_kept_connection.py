import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from functions.shared.aws import amazon_roots
from functions.shared.aws.kept_connection import Answer, KeptConnection
from tests.functions.certificates import let_amazon_have_issued, self_signed
from tests.functions.servers import HOST, HttpStub

HEADERS = {"Content-Type": "text/plain"}


@pytest.fixture
def server() -> Iterator[HttpStub]:
    with HttpStub(answer=b"hello") as stub:
        yield stub


def post(connection: KeptConnection, body: bytes = b"", timeout_seconds: float = 5) -> Answer:
    return connection.request("POST", "/", HEADERS, body, timeout_seconds=timeout_seconds)


def test_a_request_is_sent_as_it_is_given(server: HttpStub) -> None:
    KeptConnection(server.url).request("PUT", "/tea%20pot?full=1", HEADERS, b"milk", timeout_seconds=5)
    ((headers, body),) = server.requests
    assert (server.methods, server.paths, body) == (["PUT"], ["/tea%20pot?full=1"], b"milk")
    assert (headers["content-type"], headers["host"]) == ("text/plain", server.url.removeprefix("http://"))


def test_a_request_without_a_body_announces_none(server: HttpStub) -> None:
    KeptConnection(server.url).request("GET", "/", {}, timeout_seconds=5)
    ((headers, _),) = server.requests
    assert "content-length" not in headers


def test_status_headers_and_body_of_the_answer_are_given(server: HttpStub) -> None:
    server.status, server.headers = 418, {"X-Tea": "green"}
    answer = post(KeptConnection(server.url))
    assert (answer.status, answer.headers["x-tea"], answer.body) == (418, "green", b"hello")


def test_a_body_over_the_limit_is_left_unread(server: HttpStub) -> None:
    connection = KeptConnection(server.url)

    def get(method: str, max_bytes: int) -> tuple[bytes, str]:
        answer = connection.request(method, "/", {}, timeout_seconds=5, max_bytes=max_bytes)
        return answer.body, answer.headers["Content-Length"]

    assert get("GET", 4) == (b"", "5")
    assert get("GET", 5) == (b"hello", "5")
    assert get("HEAD", 4) == (b"", "5")
    assert server.connections == 2  # what is unread must not come in the way of the next answer


def test_requests_share_one_connection(server: HttpStub) -> None:
    connection = KeptConnection(server.url)
    post(connection, b"1")
    post(connection, b"2")
    assert (len(server.requests), server.connections) == (2, 1)


def test_a_connection_that_was_closed_is_opened_again(server: HttpStub) -> None:
    connection = KeptConnection(server.url)
    for _ in range(2):
        assert post(connection).status == 200
        connection.close()
    assert server.connections == 2


@pytest.mark.parametrize("body", [b"", bytes(5_000_000)], ids=["small", "large"])
def test_a_connection_that_was_closed_while_idle_is_opened_again(server: HttpStub, body: bytes) -> None:
    server.hangs_up_after_each = True
    connection = KeptConnection(server.url)
    assert [post(connection, body).status for _ in range(3)] == [200, 200, 200]
    assert server.connections == 3


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"SSH-2.0\r\n\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhal", id="a part"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal", id="a part of a chunk"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\nhal", id="no length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\nhal", id="a length that is no number"),
    ],
)
def test_what_is_no_whole_answer_is_an_os_error_and_not_taken_for_the_next_one(server: HttpStub, raw: bytes) -> None:
    server.raw_answers = [raw]
    connection = KeptConnection(server.url)
    with pytest.raises(OSError, match=r"closed connection|not an HTTP answer"):
        post(connection)
    assert server.connections == 1  # what was new when it failed is not tried again
    assert post(connection).body == b"hello"


def test_an_answer_that_has_begun_is_not_asked_for_again(server: HttpStub) -> None:
    connection = KeptConnection(server.url)
    post(connection)
    server.raw_answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhal"]
    with pytest.raises(OSError, match="not an HTTP answer: IncompleteRead"):
        post(connection)
    assert len(server.requests) == 2


def test_a_server_that_is_not_there_is_an_os_error(unused_endpoint: str) -> None:
    with pytest.raises(ConnectionRefusedError):
        post(KeptConnection(unused_endpoint))


def test_each_request_has_a_timeout_of_its_own(server: HttpStub) -> None:
    with socket.create_server((HOST, 0)) as silent:
        connection = KeptConnection(f"http://{HOST}:{silent.getsockname()[1]}")
        for timeout_seconds in (0.3, 0.1):
            started = time.monotonic()
            with pytest.raises(TimeoutError):
                post(connection, timeout_seconds=timeout_seconds)
            assert timeout_seconds <= time.monotonic() - started < 2


def test_all_addresses_of_a_host_together_get_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as busy, socket.socket() as first, socket.socket() as second:
        busy.bind((HOST, 0))
        busy.listen(0)
        for client in (first, second):  # they fill the queue of connections: a further one is not answered
            client.setblocking(False)
            client.connect_ex(busy.getsockname())
        address = (socket.AF_INET, socket.SOCK_STREAM, 6, "", busy.getsockname())
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [address] * 10)
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            post(KeptConnection("http://aws.example.com"), timeout_seconds=0.3)
    assert time.monotonic() - started < 0.6


def test_the_next_address_is_tried_when_one_refuses(monkeypatch: pytest.MonkeyPatch, server: HttpStub) -> None:
    good = int(server.url.rpartition(":")[2])
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        ports = [taken.getsockname()[1], good]
        addresses = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (HOST, port)) for port in ports]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses)
        assert post(KeptConnection("http://aws.example.com")).body == b"hello"


@pytest.fixture
def certified(tmp_path: Path, no_authorities_yet: None) -> Iterator[HttpStub]:
    """A server with a certificate that nobody has heard of."""
    with HttpStub(answer=b"hello", tls=self_signed(tmp_path, HOST)) as stub:
        yield stub


def _let_the_system_trust(stub: HttpStub, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stub.tls
    monkeypatch.setenv("SSL_CERT_FILE", str(stub.tls[0]))


def test_for_amazons_own_certificates_the_systems_authorities_are_not_loaded(
    certified: HttpStub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    let_amazon_have_issued(certified, monkeypatch)
    with closing(KeptConnection(certified.url)) as connection:
        assert post(connection).body == b"hello"
    assert certified.connections == 1
    assert amazon_roots.trusting_the_system.cache_info().currsize == 0
    assert caplog.records == []


def test_an_authority_that_only_the_system_trusts_will_do_with_a_warning_and_is_remembered(
    certified: HttpStub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _let_the_system_trust(certified, monkeypatch)
    with closing(KeptConnection(certified.url)) as first, closing(KeptConnection(certified.url)) as second:
        assert [post(first).body, post(second).body] == [b"hello"] * 2
    assert certified.connections == 3  # the first of them in vain
    (warning,) = caplog.records
    assert (warning.message, warning.__dict__["host"]) == ("not verified by Amazon's authorities", HOST)
    assert "self-signed certificate" in warning.__dict__["reason"]


def test_a_certificate_of_an_authority_that_nobody_trusts_is_refused_every_time(certified: HttpStub) -> None:
    for _ in range(2):
        with pytest.raises(ssl.SSLCertVerificationError, match="self-signed certificate"):
            post(KeptConnection(certified.url))
    assert certified.requests == []


@pytest.mark.parametrize("trusted_by", ["Amazon", "the system"])
def test_a_certificate_of_another_host_is_refused_whoever_issued_it(
    certified: HttpStub, monkeypatch: pytest.MonkeyPatch, trusted_by: str
) -> None:
    if trusted_by == "Amazon":
        let_amazon_have_issued(certified, monkeypatch)
    _let_the_system_trust(certified, monkeypatch)
    found = socket.getaddrinfo(HOST, certified.port, type=socket.SOCK_STREAM)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: list(found))
    with pytest.raises(ssl.SSLCertVerificationError, match=r"example\.com"):
        post(KeptConnection(f"https://example.com:{certified.port}"))
    assert certified.requests == []


@pytest.mark.parametrize("body", [b"", bytes(5_000_000)], ids=["small", "large"])
def test_an_encrypted_connection_that_was_closed_while_idle_is_opened_again(
    certified: HttpStub, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    let_amazon_have_issued(certified, monkeypatch)
    certified.hangs_up_after_each = True
    with closing(KeptConnection(certified.url)) as connection:
        assert [post(connection, body).status for _ in range(3)] == [200, 200, 200]
    assert certified.connections == 3
