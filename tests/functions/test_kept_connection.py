import datetime
import ipaddress
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from functions.kept_connection import KeptConnection, trusting_the_system
from tests.functions.servers import HOST, HttpStub

HEADERS = {"Content-Type": "text/plain"}


@pytest.fixture
def server() -> Iterator[HttpStub]:
    with HttpStub(answer=b"hello") as stub:
        yield stub


def test_status_and_body_of_the_answer_are_given(server: HttpStub) -> None:
    server.status = 418
    assert KeptConnection(f"{server.url}/tea?pot=1", 5).post(HEADERS, b"milk") == (418, b"hello")
    ((headers, body),) = server.requests
    assert (headers["content-type"], headers["host"], body) == (
        "text/plain",
        server.url.removeprefix("http://"),
        b"milk",
    )


def test_requests_share_one_connection(server: HttpStub) -> None:
    connection = KeptConnection(server.url, 5)
    connection.post(HEADERS, b"1")
    connection.post(HEADERS, b"2")
    assert (len(server.requests), server.connections) == (2, 1)


def test_a_connection_that_was_closed_is_opened_again(server: HttpStub) -> None:
    connection = KeptConnection(server.url, 5)
    for _ in range(2):
        assert connection.post(HEADERS, b"")[0] == 200
        connection.close()
    assert server.connections == 2


def test_a_connection_that_was_closed_while_idle_is_opened_again(server: HttpStub) -> None:
    server.hangs_up_after_each = True
    connection = KeptConnection(server.url, 5)
    assert [connection.post(HEADERS, b"")[0] for _ in range(3)] == [200, 200, 200]
    assert server.connections == 3


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"SSH-2.0\r\n\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhal", id="a part"),
    ],
)
def test_what_is_no_whole_answer_is_an_os_error_and_not_taken_for_the_next_one(server: HttpStub, raw: bytes) -> None:
    server.raw_answer = raw
    connection = KeptConnection(server.url, 5)
    with pytest.raises(OSError, match=r"closed connection|not an HTTP answer"):
        connection.post(HEADERS, b"")
    assert server.connections == 1  # what was new when it failed is not tried again
    server.raw_answer = None
    assert connection.post(HEADERS, b"") == (200, b"hello")


def test_a_server_that_is_not_there_is_an_os_error(unused_endpoint: str) -> None:
    with pytest.raises(ConnectionRefusedError):
        KeptConnection(unused_endpoint, 5).post(HEADERS, b"")


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
            KeptConnection("http://aws.example.com", 0.3).post(HEADERS, b"")
    assert time.monotonic() - started < 0.6


def test_the_next_address_is_tried_when_one_refuses(monkeypatch: pytest.MonkeyPatch, server: HttpStub) -> None:
    good = int(server.url.rpartition(":")[2])
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        ports = [taken.getsockname()[1], good]
        addresses = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (HOST, port)) for port in ports]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses)
        assert KeptConnection("http://aws.example.com", 5).post(HEADERS, b"") == (200, b"hello")


def test_a_certificate_must_be_of_an_authority_that_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(trusting_the_system.cache_clear)
    certificate, key = _self_signed(tmp_path)
    with HttpStub(answer=b"hello", tls=(certificate, key)) as server:
        with pytest.raises(ssl.SSLCertVerificationError):
            KeptConnection(server.url, 5).post(HEADERS, b"")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        trusting_the_system.cache_clear()  # as in a process that starts with it
        with closing(KeptConnection(server.url, 5)) as connection:
            assert connection.post(HEADERS, b"") == (200, b"hello")
        found = socket.getaddrinfo(HOST, server.port, type=socket.SOCK_STREAM)
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        with pytest.raises(ssl.SSLCertVerificationError, match=r"example\.com"):
            KeptConnection(f"https://example.com:{server.port}", 5).post(HEADERS, b"")


def _self_signed(folder: Path) -> tuple[Path, Path]:
    """The files of a certificate for 127.0.0.1 and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))])
    certificate = builder.add_extension(names, critical=False).sign(key, SHA256())
    encoding = serialization.Encoding.PEM
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(encoding))
    (folder / "key.pem").write_bytes(
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "certificate.pem", folder / "key.pem"
