"""Lambda's operations Invoke and GetFunctionConfiguration, at the AWS endpoint.

https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionConfiguration.html
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from local.aws_checks.actions import parse_described_function, parse_invoked_function
from local.emulators.lambda_sandbox import THROTTLED

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from local.emulators.lambda_functions import LambdaFunction


class LambdaApi:
    """Invokes and describes functions, and forwards all other requests to `aws`."""

    def __init__(self, aws: WSGIApplication, region: str) -> None:
        self._aws = aws
        self._region = region
        self.functions: Mapping[str, LambdaFunction] = {}
        """By ARN. None exists before they are deployed."""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path, _, query = environ["REQUEST_URI"].partition("?")
        if environ["REQUEST_METHOD"] == "GET" and (described := parse_described_function(path)):
            return self._describe(described, start_response)
        invoked = parse_invoked_function(path, query, self._region)
        if invoked is None or environ["REQUEST_METHOD"] != "POST":
            return self._aws(environ, start_response)
        function = self.functions.get(invoked.arn)
        if function is None or invoked.qualifier not in (None, "$LATEST"):
            message = f"Function not found: {invoked.qualified_arn}"
            return _respond_with_error(start_response, "404 Not Found", "ResourceNotFoundException", message)
        if environ.get("HTTP_X_AMZ_INVOCATION_TYPE", "RequestResponse") != "RequestResponse":
            message = "a local run supports only the invocation type RequestResponse"
            return _respond_with_error(start_response, "400 Bad Request", "InvalidParameterValueException", message)
        try:
            event = json.loads(environ["wsgi.input"].read() or b"{}")
        except ValueError as error:
            message = f"Could not parse request body into json: {error}"
            return _respond_with_error(start_response, "400 Bad Request", "InvalidRequestContentException", message)
        result = function.invoke(event)
        if result.error is THROTTLED:
            message = THROTTLED["errorMessage"]
            return _respond_with_error(start_response, "429 Too Many Requests", THROTTLED["errorType"], message)
        headers = [("X-Amz-Executed-Version", "$LATEST")]
        if result.error is not None:
            headers.append(("X-Amz-Function-Error", "Unhandled"))
        return _respond(start_response, "200 OK", headers, result.payload if result.error is None else result.error)

    def _describe(self, name: str, start_response: StartResponse) -> Iterable[bytes]:
        function = next((its for arn, its in self.functions.items() if arn.endswith(f":function:{name}")), None)
        if function is None:
            message = f"Function not found: {name}"
            return _respond_with_error(start_response, "404 Not Found", "ResourceNotFoundException", message)
        configuration = {
            "FunctionName": name,
            "FunctionArn": function.arn,
            "CodeSha256": function.hash_code(),
            "LastModified": function.deployed_at.strftime("%Y-%m-%dT%H:%M:%S.000+0000"),
            "LoggingConfig": {"LogFormat": "JSON", "LogGroup": function.log_group},
        }
        return _respond(start_response, "200 OK", [], configuration)


def _respond_with_error(start_response: StartResponse, status: str, code: str, message: str) -> Iterable[bytes]:
    return _respond(start_response, status, [("X-Amzn-ErrorType", code)], {"Type": "User", "Message": message})


def _respond(
    start_response: StartResponse, status: str, headers: list[tuple[str, str]], document: object
) -> Iterable[bytes]:
    body = json.dumps(document).encode()
    start_response(status, [*headers, ("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
