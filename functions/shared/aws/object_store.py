"""S3, as far as the functions need it: whole objects, read and written over connections that are kept."""

import os
import random
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from functions.shared.aws.aws_service import error_code
from functions.shared.aws.bucket_url import bucket_url
from functions.shared.aws.kept_connection import Answer, KeptConnection
from functions.shared.aws.sigv4 import Credentials, signed_headers

_MAX_REPETITIONS = 3
# The longest pause before the first repetition; each further one may be twice as long. Any part of it is as likely:
# https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
_PAUSE_SECONDS = 0.1

# https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
_PASSING_STATUSES = {429, 500, 502, 503, 504}
_PASSING_CODES = {"RequestTimeout"}

_SUCCESS = {"GET": 200, "HEAD": 200, "PUT": 200, "DELETE": 204}
_METADATA = "x-amz-meta-"
_NOTHING: Mapping[str, str] = MappingProxyType({})


class S3Error(Exception):
    """S3 refused a request, or gave no answer. The message names the request, and S3's status and error code."""

    def __init__(self, message: str, status: int | None = None, code: str = "") -> None:
        """`status` is None without an answer of S3's."""
        super().__init__(message)
        self.status = status
        self.code = code

    @property
    def may_pass(self) -> bool:
        return self.status is None or self.status in _PASSING_STATUSES or self.code in _PASSING_CODES


class ChangedError(Exception):
    """An object is no longer what was to be replaced."""


class Content(NamedTuple):
    """What an object is to be."""

    data: bytes
    content_type: str
    cache_control: str
    metadata: Mapping[str, str] = _NOTHING
    """Names and values in ASCII."""

    def headers(self) -> dict[str, str]:
        metadata = {f"{_METADATA}{name}": value for name, value in self.metadata.items()}
        return {"Content-Type": self.content_type, "Cache-Control": self.cache_control, **metadata}


class StoredObject(NamedTuple):
    data: bytes
    """Empty if only the rest was asked for."""
    size: int
    etag: str
    """As S3 writes it, in quotes."""
    metadata: Mapping[str, str]
    """What was put in with it; names in lower case."""


class _Request(NamedTuple):
    method: str
    key: str
    headers: Mapping[str, str] = _NOTHING
    body: bytes = b""
    max_bytes: int | None = None


class Bucket:
    """A bucket of the function's own region. Threads may use it at the same time, each over a connection of its own.

    A request that fails in a way that may pass is repeated. All of them can be; but a conditional write that is may
    find what its own first attempt wrote, whose answer was lost, and raise ChangedError. S3Error of every method.
    """

    def __init__(self, name: str, *, patience_seconds: float) -> None:
        """`patience_seconds` is for a request with its repetitions, of which there are three at most."""
        self._name = name
        self._patience_seconds = patience_seconds
        self._region = os.environ["AWS_REGION"]
        self._url = bucket_url(name, self._region, os.environ.get("AWS_ENDPOINT_URL_S3")).rstrip("/")
        self._idle = [KeptConnection(self._url)]

    def get(self, key: str, *, max_bytes: int | None = None) -> StoredObject | None:
        """None if there is no such object. Needs s3:ListBucket: without it S3 answers 403, not 404.

        The data of an object that has more than `max_bytes` stays where it is.
        """
        return self._read(_Request("GET", key, max_bytes=max_bytes), missing="NoSuchKey")

    def head(self, key: str) -> StoredObject | None:
        """Like `get`, and the data always stays where it is."""
        return self._read(_Request("HEAD", key), missing="")  # no answer to HEAD has a body with a code in it

    def put(self, key: str, content: Content) -> None:
        """Write an object, whatever there is."""
        self._answer(_Request("PUT", key, content.headers(), content.data))

    def replace(self, key: str, etag: str | None, content: Content) -> None:
        """Write an object if what there is has that ETag; if that is None, if there is nothing. ChangedError if not.

        https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
        """
        condition = {"If-Match": etag} if etag else {"If-None-Match": "*"}
        try:
            self._answer(_Request("PUT", key, {**content.headers(), **condition}, content.data))
        except S3Error as error:
            if error.status == 412 or error.code in {"ConditionalRequestConflict", "NoSuchKey"}:
                raise ChangedError(str(error)) from error
            raise

    def delete(self, key: str) -> None:
        """An object that is not there is no error."""
        self._answer(_Request("DELETE", key))

    def _read(self, request: _Request, missing: str) -> StoredObject | None:
        try:
            answer = self._answer(request)
        except S3Error as error:
            if (error.status, error.code) == (404, missing):
                return None
            raise
        return StoredObject(
            data=answer.body,
            size=int(answer.headers.get("Content-Length", len(answer.body))),
            etag=answer.headers["ETag"],
            metadata={
                name.lower().removeprefix(_METADATA): value
                for name, value in answer.headers.items()
                if name.lower().startswith(_METADATA)
            },
        )

    def _answer(self, request: _Request) -> Answer:
        """The answer to a request that succeeds in the end."""
        deadline = time.monotonic() + self._patience_seconds
        longest_pause = _PAUSE_SECONDS
        for _ in range(_MAX_REPETITIONS):
            try:
                return self._attempt(request, deadline)
            except S3Error as error:
                pause = random.uniform(0, longest_pause)  # noqa: S311 - nothing is kept secret by it
                if not error.may_pass or time.monotonic() + pause >= deadline:
                    raise
            time.sleep(pause)
            longest_pause *= 2
        return self._attempt(request, deadline)

    def _attempt(self, request: _Request, deadline: float) -> Answer:
        name = f"{request.method} {self._name}/{request.key}"
        try:
            answer = self._send(request, deadline)
        except OSError as error:
            raise S3Error(f"{name}: no answer, {error!r}") from error
        if answer.status != _SUCCESS[request.method]:
            code = error_code(answer)
            region = answer.headers.get("x-amz-bucket-region", self._region)
            elsewhere = f"; the bucket is in {region}" if region != self._region else ""
            raise S3Error(f"{name}: {answer.status} {code}{elsewhere}", answer.status, code)
        if request.method != "DELETE" and "ETag" not in answer.headers:
            raise S3Error(f"{name}: {answer.status} without an ETag, which is no answer of S3's")
        return answer

    def _send(self, request: _Request, deadline: float) -> Answer:
        url = f"{self._url}/{quote(request.key)}"
        signed = signed_headers(
            request.method,
            url,
            request.headers,
            request.body,
            service="s3",
            region=self._region,
            credentials=Credentials.from_environment(),
            now=datetime.now(UTC),
        )
        with self._connection() as connection:
            return connection.request(
                request.method,
                urlsplit(url).path,
                signed,
                request.body,
                # Half of the patience at most: one attempt that hangs leaves time for another.
                timeout_seconds=min(self._patience_seconds / 2, deadline - time.monotonic()),
                max_bytes=request.max_bytes,
            )

    @contextmanager
    def _connection(self) -> Generator[KeptConnection]:
        try:
            connection = self._idle.pop()
        except IndexError:  # all of them are in use
            connection = KeptConnection(self._url)
        try:
            yield connection
        finally:
            self._idle.append(connection)
