"""The FilterLogEvents operation of CloudWatch Logs, at the AWS endpoint, over the log files of the functions.

https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from local.emulators.lambda_functions import LambdaFunction

_TARGET = "Logs_20140328.FilterLogEvents"
# CloudWatch Logs returns at most 10,000 events, and often fewer.
_PAGE_EVENTS = 100


class LogsApi:
    """Filters the logs of functions, and forwards all other requests to `aws`."""

    def __init__(self, aws: WSGIApplication) -> None:
        self._aws = aws
        self.functions: Mapping[str, LambdaFunction] = {}
        """By ARN. None exists before they are deployed."""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("HTTP_X_AMZ_TARGET") != _TARGET:
            return self._aws(environ, start_response)
        request = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        status, response = self._filter(request)
        body = json.dumps(response).encode()
        headers = [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(len(body)))]
        start_response(status, headers)
        return [body]

    def _filter(self, request: Mapping[str, Any]) -> tuple[str, object]:
        group = request["logGroupName"]
        function = next((its for its in self.functions.values() if its.log_group == group), None)
        if function is None:
            return _fail("ResourceNotFoundException", f"The specified log group does not exist: {group}")
        pattern = request.get("filterPattern", "%%")
        if len(pattern) < 2 or not pattern.startswith("%") or not pattern.endswith("%"):
            return _fail("InvalidParameterException", "a local run supports only filter patterns in percent signs")
        expression, start = re.compile(pattern[1:-1]), request.get("startTime", 0)
        found = [
            event
            for event in _read_events(function.read_log(), int(function.deployed_at.timestamp() * 1000))
            if event["timestamp"] >= start and expression.search(event["message"])
        ]
        first = int(request.get("nextToken", 0))
        after = first + _PAGE_EVENTS
        more = {"nextToken": str(after)} if after < len(found) else {}
        return "200 OK", {"events": found[first:after], "searchedLogStreams": [], **more}


def _read_events(log: str, timestamp: int) -> Iterator[dict[str, Any]]:
    """Yields the lines of a log. One that has no time, such as of a traceback, has that of the line before.

    `timestamp` is that of a first line that has none.
    """
    for number, line in enumerate(log.splitlines()):
        timestamp = _parse_timestamp(line) or timestamp
        yield {"eventId": f"{timestamp}-{number}", "timestamp": timestamp, "message": line, "logStreamName": "local"}


def _parse_timestamp(line: str) -> int | None:
    """Returns milliseconds since 1970. Records with metrics have them as CloudWatch reads them."""
    try:
        record = json.loads(line)
        if "_aws" in record:
            return record["_aws"]["Timestamp"]
        return int(datetime.fromisoformat(record["timestamp"]).timestamp() * 1000)
    except (ValueError, KeyError, TypeError):
        return None


def _fail(code: str, message: str) -> tuple[str, object]:
    return "400 Bad Request", {"__type": code, "message": message}
