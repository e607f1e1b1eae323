"""Servers that respond, close connections or are unreachable, as AWS and networks do."""

import socket
import socketserver
import ssl
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

HOST = "127.0.0.1"


@dataclass
class HttpStub:
    """An HTTP server that sends one response to every request and records the requests. A context manager."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict[str, str])
    closes_connections: bool = False
    raw_responses: list[bytes] = field(default_factory=list[bytes])
    """Bytes that are sent to the first requests in place of the response; the connection is then closed."""
    connections: int = 0
    methods: list[str] = field(default_factory=list[str])
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list[tuple[dict[str, str], bytes]])
    paths: list[str] = field(default_factory=list[str])
    tls: tuple[Path, Path] | None = None
    """Certificate and key."""
    url: str = ""
    port: int = 0
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        server = _HttpServer((HOST, 0), _handler_of(self))
        if self.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.tls)
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = server.server_port
        self.url = f"{'https' if self.tls else 'http'}://{HOST}:{self.port}"
        self._stack.enter_context(_serving(server))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


class TcpProxy:
    """A proxy on a port of its own that can be stopped and started again. A context manager."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._lock = threading.Lock()
        self._close_connections: list[Callable[[], None]] = []
        self._stack = ExitStack()
        self.port = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        server = _ProxyServer((HOST, self.port), _proxy_handler_of(self))
        self.port = server.server_address[1]
        self._stack.enter_context(_serving(server))

    def stop(self) -> None:
        """Closes its connections and refuses new ones."""
        self._stack.close()
        with self._lock:
            for close in self._close_connections:
                close()
            self._close_connections.clear()

    def connect(self, client: socket.socket) -> socket.socket:
        server = socket.create_connection((HOST, self._target))
        with self._lock:
            self._close_connections += [lambda: _end(client), lambda: _end(server)]
        return server


class _HttpServer(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignores connections that a test closes."""


class _ProxyServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def _proxy_handler_of(proxy: TcpProxy) -> type[socketserver.BaseRequestHandler]:
    class ProxyHandler(socketserver.BaseRequestHandler):
        request: socket.socket

        def handle(self) -> None:
            server = proxy.connect(self.request)
            back = threading.Thread(target=_forward, args=(server, self.request), daemon=True)
            back.start()
            _forward(self.request, server)
            back.join()
            server.close()

    return ProxyHandler


def _forward(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    _end(target)


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _handler_of(stub: HttpStub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            stub.connections += 1
            super().setup()

        def respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            stub.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
            stub.methods.append(self.command)
            stub.paths.append(self.path)
            if stub.raw_responses:
                self.wfile.write(stub.raw_responses.pop(0))
                self.close_connection = True
                return
            self.send_response(stub.status)
            for name, value in {"Content-Length": str(len(stub.body)), **stub.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else stub.body)
            self.close_connection = stub.closes_connections  # as an idle timeout does: without a header

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = respond  # noqa: N815 - the base class's names

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            """Disables the access log."""

    return Handler


def _serving(server: socketserver.BaseServer) -> ExitStack:
    """Runs the server until the stack is closed."""
    stack = ExitStack()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    stack.callback(thread.join)
    stack.callback(server.server_close)
    stack.callback(server.shutdown)
    return stack
