"""Threaded HTTP servers on 127.0.0.1."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import BaseWSGIServer, make_server

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

HOST = "127.0.0.1"
SHUTDOWN_POLL_SECONDS = 0.05
"""Interval at which a server checks whether it has been shut down."""


class PortInUseError(Exception):
    """Another process listens on the port that a server needs."""


def listen(name: str, port: int) -> socket.socket:
    """Listens on `port` for the server with this name, or on a free port if it is 0.

    Raises:
        PortInUseError: Another process listens on `port`.
    """
    try:
        return socket.create_server((HOST, port), backlog=128)
    except OSError as error:
        raise PortInUseError(
            f"{name} needs port {port} on {HOST}, which is not available ({error.strerror}): "
            "stop the process that listens on it, or choose other ports with --port"
        ) from error


class _QuietHandler(MotoRequestHandler):
    protocol_version = "HTTP/1.1"  # as AWS responds; Werkzeug still closes the connection after each response

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
        """Disables the access log of werkzeug."""


class HttpServer:
    """An HTTP server that responds with 503 until `serve` sets its application.

    The address is needed before the program runs, because stack outputs and environment variables contain it. The
    application is created from the recorded resources, after the program has run.
    """

    def __init__(self, name: str, port: int = 0) -> None:
        """Listens on `port`, or on a free port if it is 0.

        Raises:
            PortInUseError: Another process listens on `port`.
        """
        self._app: WSGIApplication = _respond_unavailable
        with listen(name, port) as listener:  # the server duplicates the file descriptor
            self._server: BaseWSGIServer = make_server(
                HOST,
                listener.getsockname()[1],
                self._dispatch,
                threaded=True,
                request_handler=_QuietHandler,
                fd=listener.fileno(),
            )
        self.port: int = self._server.port
        self.authority = f"{HOST}:{self.port}"
        self.url = f"http://{self.authority}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(SHUTDOWN_POLL_SECONDS,), name=name, daemon=True
        )
        self._thread.start()

    def serve(self, app: WSGIApplication) -> None:
        self._app = app

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)

    def _dispatch(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return self._app(environ, start_response)


def _respond_unavailable(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("503 Service Unavailable", [("Content-Length", "0"), ("Retry-After", "1")])
    return []
