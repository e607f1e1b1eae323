"""Calls to an AWS service that takes forms.

https://docs.aws.amazon.com/sns/latest/api/CommonParameters.html
"""

from collections.abc import Mapping
from urllib.parse import urlencode

from functions.shared.aws.aws_service import AwsService, error_code

_HEADERS = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}


class QueryError(Exception):
    """The service refused what it was asked; the message has its status and error code."""


class QueryApi:
    def __init__(self, service: str, region: str, version: str) -> None:
        """`service` is its short name, such as sns; `version` the date of its API."""
        self._service = AwsService(service, region)
        self._version = version

    def call(self, action: str, parameters: Mapping[str, str]) -> None:
        """QueryError if the answer is not 200, OSError if there is none."""
        form = {"Action": action, "Version": self._version, **parameters}
        answer = self._service.post(_HEADERS, urlencode(form).encode())
        if answer.status != 200:
            raise QueryError(f"{self._service.name} answered {answer.status} {error_code(answer)} to {action}")
