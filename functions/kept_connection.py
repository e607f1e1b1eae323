"""HTTP to one host over a connection that is kept from one request to the next.

https://docs.aws.amazon.com/lambda/latest/dg/best-practices.html#function-code
"""

import socket
import ssl
import time
from collections.abc import Mapping
from functools import cache
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit


@cache  # some twenty milliseconds of the processor's time: the system trusts 140 authorities
def trusting_the_system() -> ssl.SSLContext:
    return ssl.create_default_context()


class KeptConnection:
    """One request at a time; the connection is opened when it is needed."""

    def __init__(self, url: str, timeout_seconds: float) -> None:
        """`timeout_seconds` is for connecting, whatever number of addresses the host has, and then for each read."""
        address = urlsplit(url)
        self._path = address.path or "/"
        self._timeout_seconds = timeout_seconds
        if address.scheme == "https":
            self._context = trusting_the_system()
            self._connection = HTTPSConnection(address.netloc, timeout=timeout_seconds, context=self._context)
        else:
            self._context = None
            self._connection = HTTPConnection(address.netloc, timeout=timeout_seconds)

    def post(self, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """The answer's status and body. OSError if there is none, or not all of it."""
        is_reused = self._connection.sock is not None
        try:
            return self._exchange(headers, body)
        except ConnectionError:
            # Servers close idle connections, and Lambda may have slept for minutes since the last request.
            if not is_reused:
                raise
            return self._exchange(headers, body)

    def close(self) -> None:
        """What is posted afterwards goes over a new connection."""
        self._connection.close()

    def _exchange(self, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        try:
            if self._connection.sock is None:
                self._connection.sock = self._open()
            self._connection.request("POST", self._path, body, headers)
            response = self._connection.getresponse()
            return response.status, response.read()
        except BaseException as error:
            self._connection.close()  # what is left of a broken exchange must not be read as the next one's answer
            if isinstance(error, HTTPException) and not isinstance(error, OSError):
                raise OSError(f"not an HTTP answer: {error!r}") from error
            raise

    def _open(self) -> socket.socket:
        host, port = self._connection.host, self._connection.port
        opened = _connect(host, port, self._timeout_seconds)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._context.wrap_socket(opened, server_hostname=host) if self._context else opened


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
            return attempt
