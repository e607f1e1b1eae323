"""A web site that embeds `<avatar-upload>`, on an origin of its own."""

from __future__ import annotations

import http.server
import threading
from pathlib import Path
from typing import Any

from local.stack import LocalStack

WEB = Path(__file__).parents[2] / "web"

_PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>A page that embeds the widget</title>
  <link rel="stylesheet" href="/page.css">
  <script type="module" src="{script}"></script>
</head>
<body><main><h1>Account</h1><div id="here">{body}</div><div id="there"></div></main></body>
</html>
"""
_STYLE = ":root { color-scheme: light dark; font-family: sans-serif; } body { margin: 0; } main { padding: 16px; }"


class EmbeddingSite:
    """Serves pages that embed the element, and the files of web/."""

    def __init__(self) -> None:
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = site.find(self.path)
                self.send_response(200 if content else 204)
                if content:
                    self.send_header("Content-Type", content[0])
                    self.send_header("Content-Security-Policy", site.policy)
                self.end_headers()
                self.wfile.write(content[1] if content else b"")

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                """Disables the access log."""

        self._server = http.server.ThreadingHTTPServer(("localhost", 0), Handler)
        self.origin = f"http://localhost:{self._server.server_port}"
        self.pages: dict[str, str] = {}
        """HTML inside the page's main element, by path."""
        self.scripts: dict[str, str] = {}
        """Scripts besides those of web/, by path."""
        self.policy = ""
        self.script = "/avatar-upload.js"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def find(self, path: str) -> tuple[str, bytes] | None:
        """Content type and body of a path."""
        if path in self.pages:
            return "text/html", _PAGE.format(body=self.pages[path], script=self.script).encode()
        if path in self.scripts:
            return "text/javascript", self.scripts[path].encode()
        if path == "/page.css":
            return "text/css", _STYLE.encode()
        file = WEB / path.removeprefix("/")
        return ("text/javascript", file.read_bytes()) if file.is_file() else None

    def allow(self, stack: LocalStack, *, load_from_cdn: bool = True) -> None:
        """Sets the content security policy that docs/widget.md asks for, and nothing else."""
        self.policy = (
            f"default-src 'none'; script-src 'self' {stack.cdn_url}; style-src 'self'; base-uri 'none'; "
            "form-action 'none'; "
            f"img-src {stack.cdn_url}; connect-src {stack.api_url} {stack.aws_url}; "
            "require-trusted-types-for 'script'; trusted-types 'none'"
        )
        if load_from_cdn:
            self.script = stack.exports["avatarUploadUrl"]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
