"""Requests and answers of HTTP/1.1 as they go over a connection, as far as AWS's services need it.

http.client does more, and has the email package imported: 7 milliseconds of the processor's time in every cold start.
https://www.rfc-editor.org/rfc/rfc9112
"""

import re
from collections.abc import Iterator, Mapping
from typing import BinaryIO, NamedTuple

_STATUS_LINE = re.compile(r"HTTP/1\.([01]) ([1-5]\d\d)( .*)?")
_LENGTH = re.compile(r"[0-9]{1,15}")
_CHUNK = re.compile(r"([0-9A-Fa-f]{1,12})[ \t]*(;.*)?")
_MAX_LINE_BYTES = 65536
_MAX_HEADERS = 100


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    """Names in lower case; values of the same name in one, with commas between."""
    body: bytes
    is_last: bool
    """Whether the connection cannot be used for another request."""


class BrokenAnswerError(OSError):
    """Not HTTP, or not all of an answer."""


def request(method: str, target: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """The bytes of a request. ValueError for what is not ASCII or would be more than a line."""
    length = {"Content-Length": str(len(body))} if body or method in ("POST", "PUT") else {}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in {**headers, **length}.items())]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("neither target nor headers may have line ends in them")
    return "\r\n".join((*lines, "", "")).encode("ascii") + body


def read_answer(connection: BinaryIO, method: str, max_bytes: int | None) -> Answer:
    """The answer to a request with that method.

    A body that is announced with more than `max_bytes` is left unread, and empty in the answer, which is the last one
    then. BrokenAnswerError for what is no answer, or is cut short.
    """
    version, status, headers = _head(connection)
    while status < 200:  # a provisional one
        version, status, headers = _head(connection)
    is_last = version == "0" or "close" in headers.get("connection", "").lower()
    if method == "HEAD" or status in (204, 304):
        return Answer(status, headers, b"", is_last)
    if "transfer-encoding" in headers:
        return Answer(status, headers, b"".join(_chunks(connection, headers["transfer-encoding"])), is_last)
    length = _parsed(_LENGTH, headers.get("content-length", ""), "a length")
    if max_bytes is not None and int(length[0]) > max_bytes:
        return Answer(status, headers, b"", is_last=True)
    return Answer(status, headers, _exactly(connection, int(length[0])), is_last)


def _head(connection: BinaryIO) -> tuple[str, int, Mapping[str, str]]:
    """The minor version, the status, and the headers."""
    version, status = _parsed(_STATUS_LINE, _line(connection), "a status line").group(1, 2)
    headers: dict[str, str] = {}
    for _ in range(_MAX_HEADERS):
        line = _line(connection)
        if not line:
            return version, int(status), headers
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise BrokenAnswerError(f"not a header: {line!r:.80}")
        name, value = name.lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    raise BrokenAnswerError(f"more than {_MAX_HEADERS} headers")


def _chunks(connection: BinaryIO, coding: str) -> Iterator[bytes]:
    if coding.lower() != "chunked":
        raise BrokenAnswerError(f"not a transfer coding that was asked for: {coding!r:.80}")
    while size := int(_parsed(_CHUNK, _line(connection), "the length of a chunk")[1], 16):
        yield _exactly(connection, size)
        if _line(connection):
            raise BrokenAnswerError("a chunk that does not end where it should")
    while _line(connection):  # trailers
        pass


def _exactly(connection: BinaryIO, length: int) -> bytes:
    data = connection.read(length)
    if len(data) < length:
        raise BrokenAnswerError(f"an answer that ends after {len(data)} of {length} bytes")
    return data


def _line(connection: BinaryIO) -> str:
    line = connection.readline(_MAX_LINE_BYTES)
    if not line.endswith(b"\n"):
        raise BrokenAnswerError(f"a line that does not end: {line!r:.80}")
    return line.rstrip(b"\r\n").decode("latin-1")


def _parsed(pattern: re.Pattern[str], text: str, what: str) -> re.Match[str]:
    match = pattern.fullmatch(text)
    if match is None:
        raise BrokenAnswerError(f"not {what}: {text!r:.80}")
    return match
