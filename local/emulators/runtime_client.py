"""Lambda's runtime client on machines for which AWS publishes none: awslambdaric is compiled, for Linux only.

Runs as a module of its own in the process of a function, so it imports only the standard library. Its responses, errors
and log records are those of awslambdaric, as far as this project uses them.
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import http.client
import importlib
import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_RUNTIME = "/2018-06-01/runtime"
_TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
_RECORD_ATTRIBUTES = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}


@dataclass(frozen=True)
class Context:
    """The attributes of Lambda's context object.

    https://docs.aws.amazon.com/lambda/latest/dg/python-context.html
    """

    aws_request_id: str
    invoked_function_arn: str
    deadline_ms: int

    def get_remaining_time_in_millis(self) -> int:
        return max(0, self.deadline_ms - int(time.time() * 1000))


class JsonFormatter(logging.Formatter):
    """https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html#python-logging-advanced"""

    converter = time.gmtime
    request_id: str | None = None

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "timestamp": self.formatTime(record, _TIME_FORMAT),
            "level": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
            "requestId": self.request_id,
        }
        if record.exc_info and record.exc_info[1]:
            fields |= _describe_exception(record.exc_info[1])
            fields["location"] = f"{record.pathname}:{record.funcName}:{record.lineno}"
        extra = {key: value for key, value in vars(record).items() if key not in _RECORD_ATTRIBUTES}
        given = {key: value for key, value in (extra | fields).items() if value is not None}
        return json.dumps(given, ensure_ascii=False, default=str)


def run(handler_name: str) -> None:
    """Imports `<module>.<function>` and handles invocations until the Runtime API closes the connection."""
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    formatter = _set_up_logging()
    try:
        handle = _import_handler(handler_name)
    except Exception as error:
        _report_error(connection, "/init/error", _describe_init_error(error, handler_name))
        sys.exit(1)
    while True:
        try:
            headers, event = _request(connection, "GET", "/invocation/next")
        except (ConnectionError, http.client.HTTPException):
            return
        context = Context(
            headers["Lambda-Runtime-Aws-Request-Id"],
            headers["Lambda-Runtime-Invoked-Function-Arn"],
            int(headers["Lambda-Runtime-Deadline-Ms"]),
        )
        formatter.request_id = context.aws_request_id
        path = f"/invocation/{context.aws_request_id}"
        try:
            response = json.dumps(handle(json.loads(event), context))
        except Exception as error:
            _report_error(
                connection, f"{path}/error", {**_describe_exception(error), "requestId": context.aws_request_id}
            )
        else:
            _request(connection, "POST", f"{path}/response", response)


def _set_up_logging() -> JsonFormatter:
    formatter, output = JsonFormatter(), logging.StreamHandler(sys.stdout)
    if os.environ.get("AWS_LAMBDA_LOG_FORMAT") == "JSON":
        output.setFormatter(formatter)
    logging.getLogger().addHandler(output)
    logging.getLogger().setLevel(os.environ.get("AWS_LAMBDA_LOG_LEVEL", "WARNING").replace("TRACE", "DEBUG"))
    return formatter


def _import_handler(name: str) -> Callable[[Any, Context], Any]:
    module, _, function = name.rpartition(".")
    return getattr(importlib.import_module(module), function)


def _describe_init_error(error: Exception, handler_name: str) -> dict[str, Any]:
    described = _describe_exception(error)
    if isinstance(error, ImportError):
        message = f"Unable to import module '{handler_name.rpartition('.')[0]}': {error}"
        described |= {"errorType": "Runtime.ImportModuleError", "errorMessage": message}
    return described


def _describe_exception(error: BaseException) -> dict[str, Any]:
    return {
        "errorType": type(error).__name__,
        "errorMessage": str(error),
        "stackTrace": traceback.format_tb(error.__traceback__),
    }


def _report_error(connection: http.client.HTTPConnection, path: str, error: dict[str, Any]) -> None:
    entry = {"timestamp": time.strftime(_TIME_FORMAT, time.gmtime()), "level": "ERROR", **error}
    print(json.dumps(entry, ensure_ascii=False), flush=True)
    _request(connection, "POST", path, json.dumps(error))


def _request(
    connection: http.client.HTTPConnection, method: str, path: str, body: str | None = None
) -> tuple[http.client.HTTPMessage, bytes]:
    connection.request(method, f"{_RUNTIME}{path}", body)
    response = connection.getresponse()
    return response.headers, response.read()
