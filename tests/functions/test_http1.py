"""Answers are read as the standard library reads them, and what is broken is an error."""

import io
import socket
from http.client import HTTPResponse

import pytest

from functions.http1 import BrokenAnswerError, read_answer, request

S3_OBJECT = (
    b"HTTP/1.1 200 OK\r\nx-amz-id-2: abc=\r\nx-amz-request-id: 0A\r\nDate: Sat, 21 Nov 2026 12:00:00 GMT\r\n"
    b'ETag: "5d41402abc4b2a76b9719d911017c592"\r\nx-amz-meta-upload-id: 01KJ\r\nAccept-Ranges: bytes\r\n'
    b"Content-Type: image/jpeg\r\nContent-Length: 5\r\nServer: AmazonS3\r\n\r\nhello"
)
S3_ERROR = (
    b"HTTP/1.1 404 Not Found\r\nContent-Type: application/xml\r\nTransfer-Encoding: chunked\r\nServer: AmazonS3\r\n\r\n"
    b"1d\r\n<Error><Code>NoSuchKey</Code>\r\n8;note=1\r\n</Error>\r\n0\r\n\r\n"
)
DELETED = b"HTTP/1.1 204 No Content\r\nServer: AmazonS3\r\n\r\n"
ANSWERS = [
    pytest.param("GET", S3_OBJECT, id="an object"),
    pytest.param("GET", S3_ERROR, id="an error in chunks"),
    pytest.param("HEAD", S3_OBJECT.removesuffix(b"hello"), id="no body to HEAD"),
    pytest.param("DELETE", DELETED, id="no content"),
    pytest.param("PUT", b"HTTP/1.1 200 OK\r\nETag: e\r\nContent-Length: 0\r\n\r\n", id="an empty body"),
    pytest.param("GET", b"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx", id="no reason"),
    pytest.param("GET", b"HTTP/1.1 200 OK\nContent-Length:1\n\nx", id="line feeds only"),
    pytest.param(
        "GET", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", id="provisional"
    ),
    pytest.param("GET", b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 1\r\n\r\nx", id="the last"),
    pytest.param("GET", b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", id="an older protocol"),
    pytest.param("GET", b"HTTP/1.1 200 OK\r\nVia: a\r\nVia: b\r\nContent-Length: 1\r\n\r\nx", id="a name twice"),
    pytest.param(
        "GET",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\n0\r\nX-Trailer: t\r\n\r\n",
        id="trailers",
    ),
]


def by_the_standard_library(method: str, raw: bytes) -> tuple[int, dict[str, str], bytes, bool]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(raw)
        theirs.shutdown(socket.SHUT_WR)
        response = HTTPResponse(ours, method=method)
        response.begin()
        headers = {name.lower(): ", ".join(response.headers.get_all(name, [])) for name in response.headers}
        body = response.read()
        will_close = response.will_close
        response.close()
        return response.status, headers, body, will_close


@pytest.mark.parametrize(("method", "raw"), ANSWERS)
def test_an_answer_is_what_the_standard_library_reads(method: str, raw: bytes) -> None:
    connection = io.BytesIO(raw + b"HTTP/1.1 of the next")
    assert read_answer(connection, method, None) == by_the_standard_library(method, raw)
    assert connection.read() == b"HTTP/1.1 of the next"


@pytest.mark.parametrize(("method", "raw"), ANSWERS)
def test_an_answer_that_is_cut_short_anywhere_is_none(method: str, raw: bytes) -> None:
    for length in range(len(raw)):
        with pytest.raises(BrokenAnswerError):
            read_answer(io.BytesIO(raw[:length]), method, None)


@pytest.mark.parametrize(
    "raw",
    [
        b"\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"SSH-2.0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nno length",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1_0\r\n\r\n0123456789",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n01",
        b"HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\n0",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n folded: 1\r\n\r\n0",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 101 + b"Content-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n",
    ],
)
def test_what_breaks_the_protocol_is_no_answer(raw: bytes) -> None:
    with pytest.raises(BrokenAnswerError):
        read_answer(io.BytesIO(raw), "GET", None)


def test_a_body_over_the_limit_is_left_unread_on_a_connection_that_is_of_no_use_any_more() -> None:
    connection = io.BytesIO(S3_OBJECT)
    answer = read_answer(connection, "GET", 4)
    assert (answer.status, answer.headers["content-length"], answer.body, answer.is_last) == (200, "5", b"", True)
    assert connection.read() == b"hello"
    assert read_answer(io.BytesIO(S3_OBJECT), "GET", 5).body == b"hello"


def test_a_request_has_its_headers_and_the_length_of_its_body() -> None:
    headers = {"Host": "s3", "If-Match": '"e"'}
    assert request("PUT", "/a%20b?c", headers, b"hello") == (
        b'PUT /a%20b?c HTTP/1.1\r\nHost: s3\r\nIf-Match: "e"\r\nContent-Length: 5\r\n\r\nhello'
    )
    assert request("PUT", "/", {}, b"") == b"PUT / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
    assert request("GET", "/", {}, b"") == b"GET / HTTP/1.1\r\n\r\n"


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("/\r\nX: y", {}),
        ("/", {"X": "y\nZ: z"}),
        ("/", {"X\r": "y"}),
        ("/\u00e9", {}),
        ("/", {"X": "\u0130"}),
    ],
)
def test_what_would_be_another_header_is_refused(target: str, headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"line ends|ascii"):
        request("GET", target, headers, b"")
