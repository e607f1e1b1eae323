"""SNS Publish over one kept-alive connection, without boto3 and its quarter of a second of cold start.

https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
"""

import json
import os
import re
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPSConnection
from urllib.parse import urlencode, urlsplit

from functions.sigv4 import Credentials, signed_headers

_TIMEOUT_SECONDS = 5
_ERROR_CODE = re.compile(rb"<Code>([^<]+)</Code>")


class PublishError(Exception):
    """SNS did not take the message."""


class Topic:
    def __init__(self, arn: str) -> None:
        self._arn = arn
        self._region = arn.split(":")[3]  # arn:partition:sns:region:account:name
        endpoint = os.environ.get("AWS_ENDPOINT_URL_SNS", f"https://sns.{self._region}.amazonaws.com")
        self.url = endpoint.rstrip("/") + "/"
        address = urlsplit(self.url)
        if address.scheme == "https":
            context = ssl.create_default_context()
            self._connection = HTTPSConnection(address.netloc, timeout=_TIMEOUT_SECONDS, context=context)
        else:
            self._connection = HTTPConnection(address.netloc, timeout=_TIMEOUT_SECONDS)

    def publish(self, event: str, message: Mapping[str, object]) -> None:
        """Send `message` as JSON; subscribers filter by the attribute `event`. PublishError if SNS refuses it."""
        form = {
            "Action": "Publish",
            "Version": "2010-03-31",
            "TopicArn": self._arn,
            "Message": json.dumps(message),
            "MessageAttributes.entry.1.Name": "event",
            "MessageAttributes.entry.1.Value.DataType": "String",
            "MessageAttributes.entry.1.Value.StringValue": event,
        }
        status, answer = self._post(urlencode(form).encode())
        if status != 200:
            code = _ERROR_CODE.search(answer)
            raise PublishError(
                f"SNS answered {status} {code.group(1).decode() if code else ''} to a Publish to {self._arn}"
            )

    def _post(self, body: bytes) -> tuple[int, bytes]:
        headers = signed_headers(
            "POST",
            self.url,
            {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
            body,
            service="sns",
            region=self._region,
            credentials=Credentials.from_environment(),
            now=datetime.now(UTC),
        )
        is_reused = self._connection.sock is not None
        try:
            return self._exchange(body, headers)
        except ConnectionError:
            # SNS closes idle connections, and Lambda may have slept for minutes since the last message.
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
