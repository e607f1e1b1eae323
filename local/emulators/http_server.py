"""HTTP servers on 127.0.0.1, one thread a connection."""

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
CLOSING_SECONDS = 0.05
"""How often a server looks whether it has been closed."""


class PortTakenError(Exception):
    """Another program listens on a port that a server needs."""


class _QuietHandler(MotoRequestHandler):
    # Keep-alive: a new TCP connection for each request would be most of a small request's time.
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
        """What a front has to say it says itself; a line a request would drown it."""


class Server:
    """A listening socket that answers 503 until it is given its application.

    The port is known before the program runs, because the program puts the address into outputs and environments; what
    to answer is known only after.
    """

    def __init__(self, name: str, port: int = 0) -> None:
        """Raises PortTakenError when `port` is in use; 0 takes a free one."""
        self._app: WSGIApplication = _not_ready
        try:
            listener = socket.create_server((HOST, port), backlog=128)
        except OSError as error:
            raise PortTakenError(
                f"{name} needs port {port} on {HOST} and cannot have it ({error.strerror}): "
                "stop the program that listens there, or choose other ports with --port"
            ) from error
        with listener:  # the server works on its own copy of the descriptor
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
            target=self._server.serve_forever, args=(CLOSING_SECONDS,), name=name, daemon=True
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


def _not_ready(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("503 Service Unavailable", [("Content-Length", "0"), ("Retry-After", "1")])
    return []
