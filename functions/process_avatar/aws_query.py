"""Calls to an AWS service that takes signed forms, without boto3 and its quarter of a second of cold start.

https://docs.aws.amazon.com/sns/latest/api/CommonParameters.html
"""

import os
import re
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from http.client import HTTPConnection, HTTPSConnection
from urllib.parse import urlencode, urlsplit

from functions.sigv4 import Credentials, signed_headers

_TIMEOUT_SECONDS = 5
_ERROR_CODE = re.compile(rb"<Code>([^<]+)</Code>")


class QueryError(Exception):
    """The service refused what it was asked; the message has its status and error code."""


@cache  # some twenty milliseconds of the processor's time: the system trusts 140 authorities
def _trusting_the_system() -> ssl.SSLContext:
    return ssl.create_default_context()


class QueryApi:
    """One service in one region, over one kept-alive connection."""

    def __init__(self, service: str, region: str, version: str) -> None:
        """`service` is its short name, such as sns; `version` the date of its API."""
        self._service = service
        self._region = region
        self._version = version
        endpoint = os.environ.get(f"AWS_ENDPOINT_URL_{service.upper()}", f"https://{service}.{region}.amazonaws.com")
        self.url = endpoint.rstrip("/") + "/"
        address = urlsplit(self.url)
        if address.scheme == "https":
            self._connection = HTTPSConnection(address.netloc, timeout=_TIMEOUT_SECONDS, context=_trusting_the_system())
        else:
            self._connection = HTTPConnection(address.netloc, timeout=_TIMEOUT_SECONDS)

    def call(self, action: str, parameters: Mapping[str, str]) -> None:
        """QueryError if the answer is not 200, OSError if there is none."""
        form = {"Action": action, "Version": self._version, **parameters}
        status, answer = self._post(urlencode(form).encode())
        if status != 200:
            code = _ERROR_CODE.search(answer)
            raise QueryError(f"{self._service} answered {status} {code.group(1).decode() if code else ''} to {action}")

    def _post(self, body: bytes) -> tuple[int, bytes]:
        headers = signed_headers(
            "POST",
            self.url,
            {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
            body,
            service=self._service,
            region=self._region,
            credentials=Credentials.from_environment(),
            now=datetime.now(UTC),
        )
        is_reused = self._connection.sock is not None
        try:
            return self._exchange(body, headers)
        except ConnectionError:
            # AWS closes idle connections, and Lambda may have slept for minutes since the last call.
            if not is_reused:
                raise
            return self._exchange(body, headers)

    def _exchange(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        try:
            self._connection.request("POST", urlsplit(self.url).path, body, headers)
            response = self._connection.getresponse()
            return response.status, response.read()
        except BaseException:
            self._connection.close()  # what is left of a broken exchange must not be read as the next one's answer
            raise
