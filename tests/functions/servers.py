"""Small servers that do what AWS and networks do: answer, hang up, be away."""

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
    """An HTTP server that gives one answer to every request, and remembers what it was sent. A context manager."""

    status: int = 200
    answer: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict[str, str])
    hangs_up_after_each: bool = False
    raw_answers: list[bytes] = field(default_factory=list[bytes])
    """Sent first, one for each request: as they are, instead of an HTTP answer, before hanging up."""
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


class Gate:
    """A way to a server, on a port of its own, that can be shut and opened again. A context manager."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._lock = threading.Lock()
        self._cut: list[Callable[[], None]] = []
        self._stack = ExitStack()
        self.port = 0

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.shut()

    def open(self) -> None:
        server = _PassingServer((HOST, self.port), _passage_of(self))
        self.port = server.server_address[1]
        self._stack.enter_context(_serving(server))

    def shut(self) -> None:
        """Connections there are end, new ones are refused."""
        self._stack.close()
        with self._lock:
            for cut in self._cut:
                cut()
            self._cut.clear()

    def passage(self, client: socket.socket) -> socket.socket:
        server = socket.create_connection((HOST, self._target))
        with self._lock:
            self._cut += [lambda: _end(client), lambda: _end(server)]
        return server


class _HttpServer(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that end a connection are the tests' own doing."""


class _PassingServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def _passage_of(gate: Gate) -> type[socketserver.BaseRequestHandler]:
    class Passage(socketserver.BaseRequestHandler):
        request: socket.socket

        def handle(self) -> None:
            server = gate.passage(self.request)
            back = threading.Thread(target=_pass, args=(server, self.request), daemon=True)
            back.start()
            _pass(self.request, server)
            back.join()
            server.close()

    return Passage


def _pass(source: socket.socket, target: socket.socket) -> None:
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

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            stub.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
            stub.methods.append(self.command)
            stub.paths.append(self.path)
            if stub.raw_answers:
                self.wfile.write(stub.raw_answers.pop(0))
                self.close_connection = True
                return
            self.send_response(stub.status)
            for name, value in {"Content-Length": str(len(stub.answer)), **stub.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else stub.answer)
            self.close_connection = stub.hangs_up_after_each  # without a word to the client, as an idle timeout does

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer  # noqa: N815 - the base class's names

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            """Keep the test's output clean."""

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
