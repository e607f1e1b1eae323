"""Minimal S3, SNS, SQS, DynamoDB and JWKS services over TLS, with objects in memory.

They check no signatures, so that their own duration, which is the same for both sides, is small.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import re
import ssl
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

HOST = "127.0.0.1"
_KEY = re.compile(rb"<Key>[^<]*</Key>")
_PUBLISHED = b"<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>"
_LAST_MODIFIED = "Fri, 20 Nov 2026 12:00:00 GMT"


@dataclass(frozen=True)
class Services:
    url: str  # https://127.0.0.1:<port>
    authority: Path  # the certificate to trust, as PEM


@contextmanager
def serve(objects: Mapping[str, bytes], core: int) -> Generator[Services]:
    """Run the services in a process on a core that is not measured.

    `objects` are the responses to GET by path, for example /uploads/incoming/a/1. Writes and deletions do not change
    them.
    """
    with tempfile.TemporaryDirectory() as folder:
        authority, identity = _create_certificates(Path(folder))
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("fork").Process(
            target=_serve, args=(dict(objects), identity, core, theirs), daemon=True
        )
        process.start()
        try:
            yield Services(f"https://{HOST}:{ours.recv()}", authority)
        finally:
            process.terminate()
            process.join()


def _serve(objects: dict[str, bytes], identity: Path, core: int, ready: Connection) -> None:
    os.sched_setaffinity(0, {core})
    server = ThreadingHTTPServer((HOST, 0), _make_handler(objects))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity)
    # Each connection's thread performs its handshake: in the accept loop it would block other connections.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    ready.send(server.server_port)
    server.serve_forever()


def _make_handler(objects: Mapping[str, bytes]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1  # head and body leave in one piece

        def handle_expect_100(self) -> bool:
            """boto3 waits up to a second for this response before it sends a body with a checksum behind it."""
            is_accepted = super().handle_expect_100()
            self.wfile.flush()
            return is_accepted

        def do_GET(self) -> None:
            body = objects.get(urlsplit(self.path).path)
            if body is None:
                self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            else:
                self._answer(200, body, {"Last-Modified": _LAST_MODIFIED})

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_PUT(self) -> None:
            self._answer(200, b"", body=self._body())

        def do_DELETE(self) -> None:
            self._answer(204, b"")

        def do_POST(self) -> None:
            body = self._body()
            if b"Action=Publish" in body:
                self._answer(200, _PUBLISHED)
                return
            if "X-Amz-Target" in self.headers:  # of DynamoDB, as no message fails and SQS is not called
                self._answer(200, b"{}")
                return
            deleted = _KEY.findall(body)
            self._answer(200, b"<DeleteResult><Deleted>%s</Deleted></DeleteResult>" % b"".join(deleted))

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            # boto3 sends a checksum after the body: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
            chunks = b""
            while size := int(self.rfile.readline(), 16):
                chunks += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return chunks

        def _answer(
            self, status: int, content: bytes, headers: Mapping[str, str] | None = None, body: bytes = b""
        ) -> None:
            self.send_response_only(status)
            self.send_header("ETag", f'"{hashlib.md5(body or content, usedforsecurity=False).hexdigest()}"')
            self.send_header("Content-Type", "application/json" if self.path.endswith(".json") else "application/xml")
            self.send_header("Content-Length", str(len(content)))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)
            self.wfile.flush()

    return Handler


def _create_certificates(folder: Path) -> tuple[Path, Path]:
    """PEM files: the authority to trust, and the server's key with its certificate."""
    authority_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = _build_certificate("bench", "bench", authority_key.public_key(), is_authority=True).sign(
        authority_key, SHA256()
    )
    server = _build_certificate(HOST, "bench", server_key.public_key(), is_authority=False).sign(
        authority_key, SHA256()
    )
    trusted, identity = folder / "authority.pem", folder / "server.pem"
    trusted.write_bytes(authority.public_bytes(Encoding.PEM))
    key = server_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    identity.write_bytes(key + server.public_bytes(Encoding.PEM))
    return trusted, identity


def _build_certificate(
    subject: str, issuer: str, key: ec.EllipticCurvePublicKey, *, is_authority: bool
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]),
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]),
            key,
            x509.random_serial_number(),
            now - timedelta(hours=1),
            now + timedelta(days=1),
        )
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(IPv4Address(HOST))]), critical=False
        )
    )
