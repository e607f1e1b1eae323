"""Signed requests to an AWS service, without boto3 and its quarter of a second of cold start."""

import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

from functions.shared.aws.kept_connection import Answer, KeptConnection
from functions.shared.aws.sigv4 import Credentials, signed_headers

_TIMEOUT_SECONDS = 5
_ERROR_CODE = re.compile(rb"<Code>([^<]+)</Code>")


class AwsService:
    """One service in one region, over one kept connection."""

    def __init__(self, service: str, region: str) -> None:
        """`service` is its short name, such as sns."""
        self.name = service
        self._region = region
        endpoint = os.environ.get(f"AWS_ENDPOINT_URL_{service.upper()}", f"https://{service}.{region}.amazonaws.com")
        self.url = endpoint.rstrip("/") + "/"
        self._connection = KeptConnection(self.url)

    def post(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """OSError if there is none."""
        signed = signed_headers(
            "POST",
            self.url,
            headers,
            body,
            service=self.name,
            region=self._region,
            credentials=Credentials.from_environment(),
            now=datetime.now(UTC),
        )
        return self._connection.request("POST", urlsplit(self.url).path, signed, body, timeout_seconds=_TIMEOUT_SECONDS)

    def close(self) -> None:
        self._connection.close()


def error_code(answer: Answer) -> str:
    """What went wrong, by an answer in XML; empty if it does not say.

    https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
    """
    found = _ERROR_CODE.search(answer.body)
    return found.group(1).decode(errors="replace") if found else ""
