"""HTTP to one host over a connection that is kept from one request to the next.

https://docs.aws.amazon.com/lambda/latest/dg/best-practices.html#function-code
"""

import logging
import socket
import ssl
import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPResponse, HTTPSConnection
from typing import NamedTuple
from urllib.parse import urlsplit

from functions.shared.aws.amazon_roots import trusting_amazon, trusting_the_system

log = logging.getLogger()

# What is met on a connection that the other end has closed, plain or encrypted
_CLOSED = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)

# Hosts that had a certificate which only the system trusts: to try Amazon's authorities first again would be in vain.
_verified_by_the_system: set[str] = set()


class Answer(NamedTuple):
    status: int
    headers: HTTPMessage
    """A mapping; letter case makes no difference to its names."""
    body: bytes


class KeptConnection:
    """One request at a time; the connection is opened when it is needed.

    A server's certificate must be of an authority of Amazon's, or else of one that the system trusts.
    """

    def __init__(self, url: str) -> None:
        """`url` is the host's, such as https://sns.eu-west-1.amazonaws.com; its path is nothing to a connection."""
        address = urlsplit(url)
        self._is_encrypted = address.scheme == "https"
        self._connection = (
            HTTPSConnection(address.netloc, context=trusting_amazon())  # by default it would load all the system's
            if self._is_encrypted
            else HTTPConnection(address.netloc)
        )

    def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        timeout_seconds: float,
        max_bytes: int | None = None,
    ) -> Answer:
        """The answer to a request for `target`, path and query of a URL. OSError if there is none, or not all of it.

        `timeout_seconds` is for connecting, whatever number of addresses the host has, and then for each write and
        read. A body that is announced with more than `max_bytes` is left unread, and empty in the answer.
        """
        try:
            response = self._response(method, target, headers, body, timeout_seconds)
            return Answer(response.status, response.headers, self._body(response, max_bytes))
        except BaseException as error:
            self.close()  # what is left of a broken exchange must not be read as the next one's answer
            if isinstance(error, HTTPException) and not isinstance(error, OSError):
                raise OSError(f"not an HTTP answer: {error!r}") from error
            raise

    def close(self) -> None:
        """What is requested afterwards goes over a new connection."""
        self._connection.close()

    def _response(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, timeout_seconds: float
    ) -> HTTPResponse:
        """The head of the answer; the body is still to be read."""
        is_reused = self._connection.sock is not None
        try:
            return self._exchange(method, target, headers, body, timeout_seconds)
        except _CLOSED:
            # Servers close idle connections, and Lambda may have slept for minutes since the last request.
            if not is_reused:
                raise
            self.close()
            return self._exchange(method, target, headers, body, timeout_seconds)

    def _exchange(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, timeout_seconds: float
    ) -> HTTPResponse:
        if self._connection.sock is None:
            self._connection.sock = self._open(timeout_seconds)
        self._connection.sock.settimeout(timeout_seconds)
        self._connection.request(method, target, body or None, headers)
        return self._connection.getresponse()

    def _body(self, response: HTTPResponse, max_bytes: int | None) -> bytes:
        if response.length is None and not response.chunked:
            raise OSError("not an HTTP answer: nothing tells where it ends")
        if max_bytes is not None and response.length is not None and response.length > max_bytes:
            self.close()
            return b""
        return response.read()

    def _open(self, timeout_seconds: float) -> socket.socket:
        host, port = self._connection.host, self._connection.port
        if not self._is_encrypted:
            return _connect(host, port, timeout_seconds)
        if host not in _verified_by_the_system:
            try:
                return trusting_amazon().wrap_socket(_connect(host, port, timeout_seconds), server_hostname=host)
            except ssl.SSLCertVerificationError as error:
                log.warning("not verified by Amazon's authorities", extra={"host": host, "reason": str(error)})
        encrypted = trusting_the_system().wrap_socket(_connect(host, port, timeout_seconds), server_hostname=host)
        _verified_by_the_system.add(host)
        return encrypted


def _connect(host: str, port: int, timeout_seconds: float) -> socket.socket:
    """Like socket.create_connection, which gives each address of the host the whole timeout, and AWS's have several."""
    deadline = time.monotonic() + timeout_seconds
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    while True:
        family, kind, protocol, _, address = addresses.pop(0)
        attempt = socket.socket(family, kind, protocol)
        attempt.settimeout(timeout_seconds)
        try:
            attempt.connect(address)
        except OSError:
            attempt.close()
            if not addresses or time.monotonic() > deadline:
                raise
        else:
            attempt.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return attempt
