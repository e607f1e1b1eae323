"""HTTP to one host over a connection that is kept from one request to the next.

https://docs.aws.amazon.com/lambda/latest/dg/best-practices.html#function-code
"""

import logging
import socket
import ssl
import time
from collections.abc import Mapping
from io import BufferedReader
from urllib.parse import urlsplit

from functions import http1
from functions.amazon_roots import trusting_amazon, trusting_the_system

log = logging.getLogger()

# What is met on a connection that the other end has closed, plain or encrypted
_CLOSED = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)

# Hosts that had a certificate which only the system trusts: to try Amazon's authorities first again would be in vain.
_verified_by_the_system: set[str] = set()


class KeptConnection:
    """One request at a time; the connection is opened when it is needed.

    A server's certificate must be of an authority of Amazon's, or else of one that the system trusts.
    """

    def __init__(self, url: str) -> None:
        """`url` is the host's, such as https://sns.eu-west-1.amazonaws.com; its path is nothing to a connection."""
        self._address = urlsplit(url)
        # Loaded when the function starts, not when it is first asked for something.
        self._trusting_amazon = trusting_amazon() if self._address.scheme == "https" else None
        self._socket: socket.socket | None = None
        self._reader: BufferedReader | None = None

    def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        timeout_seconds: float,
        max_bytes: int | None = None,
    ) -> http1.Answer:
        """The answer to a request for `target`, path and query of a URL. OSError if there is none, or not all of it.

        `timeout_seconds` is for connecting, whatever number of addresses the host has, and then for each write and
        read. A body that is announced with more than `max_bytes` is left unread, and empty in the answer.
        """
        message = http1.request(method, target, {"Host": self._address.netloc, **headers}, body)
        try:
            answer = http1.read_answer(self._send(message, timeout_seconds), method, max_bytes)
        except BaseException:
            self.close()  # what is left of a broken exchange must not be read as the next one's answer
            raise
        if answer.is_last:
            self.close()
        return answer

    def close(self) -> None:
        """What is requested afterwards goes over a new connection."""
        for its in (self._reader, self._socket):
            if its is not None:
                its.close()
        self._reader = self._socket = None

    def _send(self, message: bytes, timeout_seconds: float) -> BufferedReader:
        """What the answer, which has begun, is to be read from."""
        is_reused = self._socket is not None
        try:
            return self._send_once(message, timeout_seconds)
        except _CLOSED:
            # Servers close idle connections, and Lambda may have slept for minutes since the last request.
            if not is_reused:
                raise
            self.close()
            return self._send_once(message, timeout_seconds)

    def _send_once(self, message: bytes, timeout_seconds: float) -> BufferedReader:
        if self._socket is None or self._reader is None:
            self._socket = self._open(timeout_seconds)
            self._reader = self._socket.makefile("rb")
        self._socket.settimeout(timeout_seconds)
        self._socket.sendall(message)
        if not self._reader.peek(1):
            raise ConnectionResetError("the connection was closed before an answer")
        return self._reader

    def _open(self, timeout_seconds: float) -> socket.socket:
        host = self._address.hostname or ""
        if self._trusting_amazon is None:
            return _connect(host, self._address.port or 80, timeout_seconds)
        port = self._address.port or 443
        if host not in _verified_by_the_system:
            try:
                return self._trusting_amazon.wrap_socket(_connect(host, port, timeout_seconds), server_hostname=host)
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
