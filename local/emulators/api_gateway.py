"""Emulates an HTTP API of API Gateway: routes, Lambda authorizers, Lambda integrations, CORS and stage settings.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api.html, with payload format version 2.0.
"""

from __future__ import annotations

import base64
import datetime
import json
import re
import threading
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from werkzeug.wrappers import Request, Response

from local.aws_checks.iam import matches_pattern
from local.emulators.lambda_functions import LambdaFunction, LambdaFunctions
from local.emulators.moto import ACCOUNT_ID
from local.recording.graph import Graph, ProgramError, Resource

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_MAX_PAYLOAD_BYTES = 10 * 2**20  # https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html


class HttpApiEmulator:
    """A WSGI application that emulates the only HTTP API of the program."""

    def __init__(self, graph: Graph, functions: LambdaFunctions, access_log: Path) -> None:
        """Creates the routes.

        Raises:
            ProgramError: API Gateway may not invoke the function of a route or an authorizer.
        """
        self._api = graph.one("aws:apigatewayv2/api:Api")
        mapped = {mapping.inputs["domainName"] for mapping in graph.of_type("aws:apigatewayv2/apiMapping:ApiMapping")}
        self._hosts = {urlsplit(self._api.outputs["apiEndpoint"]).netloc, *mapped}
        stage = graph.one("aws:apigatewayv2/stage:Stage")
        self._stage = stage.inputs["name"]
        self._log_format = stage.inputs.get("accessLogSettings", {}).get("format")
        self._access_log = access_log
        self._token_bucket = _TokenBucket(stage.inputs.get("defaultRouteSettings", {}))
        self._route_token_buckets = _create_route_token_buckets(graph, stage)
        permissions = _Permissions(graph)
        self._routes = [self._create_route(route, graph, functions, permissions) for route in _sort_routes(graph)]

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        call = _ApiRequest(str(uuid.uuid4()), request)
        response = self._handle(call)
        for name, value in self._build_cors_headers(request).items():
            response.headers[name] = value
        self._write_access_log(call, response)
        return response(environ, start_response)

    def _handle(self, call: _ApiRequest) -> Response:
        request = call.request
        if request.host not in self._hosts:
            return _build_error(403, "Forbidden")
        if request.method == "OPTIONS" and request.headers.get("Origin"):
            return self._respond_to_preflight(request)
        self._find_route(call)
        token_bucket = (
            self._route_token_buckets.get(call.route.key, self._token_bucket) if call.route else self._token_bucket
        )
        if not token_bucket.take():
            return _build_error(429, "Too Many Requests")
        if (request.content_length or 0) > _MAX_PAYLOAD_BYTES:
            return _build_error(413, "Request Entity Too Large")
        if call.route is None:
            return _build_error(404, "Not Found")
        return self._invoke_integration(call, call.route)

    def _find_route(self, call: _ApiRequest) -> None:
        for route in self._routes:
            parameters = route.match(call.request)
            if parameters is not None:
                call.route = route
                call.parameters = parameters
                return

    def _invoke_integration(self, call: _ApiRequest, route: _Route) -> Response:
        context: Mapping[str, Any] | None = None
        if route.authorizer is not None:
            authorized = route.authorizer.authorize(self._build_event(call, None))
            if isinstance(authorized, Response):
                return authorized
            context = call.authorized = authorized
        result = route.function.invoke(self._build_event(call, context))
        if result.error is not None:
            return _build_error(500, "Internal Server Error")
        return _build_response(result.payload)

    def _build_event(self, call: _ApiRequest, authorized: Mapping[str, Any] | None) -> dict[str, Any]:
        """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html"""
        request, route = call.request, call.route
        body = request.get_data()
        is_text = request.mimetype.startswith("text/") or request.mimetype in ("application/json", "")
        now = datetime.datetime.now(datetime.UTC)
        event: dict[str, Any] = {
            "version": "2.0",
            "routeKey": route.key if route else "$default",
            "rawPath": request.path,
            "rawQueryString": request.query_string.decode(),
            "headers": {name.lower(): value for name, value in request.headers.items()},
            "requestContext": {
                "accountId": ACCOUNT_ID,
                "apiId": self._api.id,
                "domainName": request.host,
                "http": {
                    "method": request.method,
                    "path": request.path,
                    "protocol": "HTTP/1.1",
                    "sourceIp": request.remote_addr,
                    "userAgent": request.headers.get("User-Agent", ""),
                },
                "requestId": call.id,
                "routeKey": route.key if route else "$default",
                "stage": self._stage,
                "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
                "timeEpoch": int(now.timestamp() * 1000),
            },
            "isBase64Encoded": not is_text,
        }
        if call.parameters:
            event["pathParameters"] = call.parameters
        if body:
            event["body"] = body.decode() if is_text else base64.b64encode(body).decode()
        if authorized is not None:
            event["requestContext"]["authorizer"] = {"lambda": dict(authorized)}
        return event

    def _respond_to_preflight(self, request: Request) -> Response:
        cors = self._api.inputs.get("corsConfiguration")
        if cors is None:
            return _build_error(404, "Not Found")
        response = Response(status=204)
        if self._build_cors_headers(request):
            response.headers["Access-Control-Allow-Methods"] = ",".join(cors.get("allowMethods", []))
            response.headers["Access-Control-Allow-Headers"] = ",".join(cors.get("allowHeaders", []))
            response.headers["Access-Control-Max-Age"] = str(cors.get("maxAge", 0))
        return response

    def _build_cors_headers(self, request: Request) -> dict[str, str]:
        cors = self._api.inputs.get("corsConfiguration")
        origin = request.headers.get("Origin")
        if cors is None or origin is None:
            return {}
        allowed = cors.get("allowOrigins", [])
        if "*" in allowed:
            return {"Access-Control-Allow-Origin": "*"}
        return {"Access-Control-Allow-Origin": origin, "Vary": "Origin"} if origin in allowed else {}

    def _write_access_log(self, call: _ApiRequest, response: Response) -> None:
        if self._log_format is None:
            return
        context = {
            "requestId": call.id,
            "httpMethod": call.request.method,
            "path": call.request.path,
            "routeKey": call.route.key if call.route else "$default",
            "status": str(response.status_code),
            "protocol": "HTTP/1.1",
            "identity.sourceIp": call.request.remote_addr or "",
            "requestTime": datetime.datetime.now(datetime.UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "responseLatency": str(int((time.monotonic() - call.started) * 1000)),
            **{f"authorizer.{name}": str(value) for name, value in (call.authorized or {}).items()},
        }
        line = re.sub(r"\$context\.([\w.]+)", lambda match: context.get(match[1], "-"), self._log_format)
        with self._access_log.open("a") as log:
            log.write(line + "\n")

    def _create_route(
        self, route: Resource, graph: Graph, functions: LambdaFunctions, permissions: _Permissions
    ) -> _Route:
        key = route.inputs["routeKey"]
        method, _, path = key.partition(" ")
        integration_id = route.inputs["target"].removeprefix("integrations/")
        integration = next(
            r for r in graph.of_type("aws:apigatewayv2/integration:Integration") if r.id == integration_id
        )
        function = _find_function(integration.inputs["integrationUri"], functions)
        execution_arn = self._api.outputs["executionArn"]
        permissions.require(function, f"{execution_arn}/{self._stage}/{method}{path}", f"route {key}")
        return _Route(
            key, method, _compile_path(path), function, self._create_authorizer(route, graph, functions, permissions)
        )

    def _create_authorizer(
        self, route: Resource, graph: Graph, functions: LambdaFunctions, permissions: _Permissions
    ) -> _Authorizer | None:
        if route.inputs.get("authorizationType", "NONE") == "NONE":
            return None
        id_ = route.inputs["authorizerId"]
        authorizer = next(r for r in graph.of_type("aws:apigatewayv2/authorizer:Authorizer") if r.id == id_)
        function = _find_function(authorizer.inputs["authorizerUri"], functions)
        permissions.require(
            function, f"{self._api.outputs['executionArn']}/authorizers/{id_}", f"authorizer {authorizer.name}"
        )
        return _Authorizer(authorizer.inputs, function, self._api.outputs["executionArn"])


@dataclass
class _ApiRequest:
    id: str
    request: Request
    started: float = field(default_factory=time.monotonic)
    route: _Route | None = None
    parameters: Mapping[str, str] | None = None
    authorized: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class _Route:
    key: str
    method: str
    path: re.Pattern[str]
    function: LambdaFunction
    authorizer: _Authorizer | None

    def match(self, request: Request) -> dict[str, str] | None:
        match = self.path.fullmatch(request.path)
        return match.groupdict() if match and self.method in ("ANY", request.method) else None


class _Authorizer:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html"""

    def __init__(self, inputs: Mapping[str, Any], function: LambdaFunction, execution_arn: str) -> None:
        if not inputs.get("enableSimpleResponses") or inputs.get("authorizerPayloadFormatVersion") != "2.0":
            raise ProgramError("a local run supports only Lambda authorizers with payload 2.0 and simple responses")
        self._sources = [source.removeprefix("$request.header.").lower() for source in inputs["identitySources"]]
        self._ttl = inputs.get("authorizerResultTtlInSeconds", 300)
        self._function = function
        self._execution_arn = execution_arn
        self._cache: dict[tuple[str, ...], tuple[float, Any]] = {}

    def authorize(self, event: dict[str, Any]) -> Mapping[str, Any] | Response:
        """Returns the context of the authorizer, or the response to an unauthorized request."""
        identity = tuple(event["headers"].get(source, "") for source in self._sources)
        if not all(identity):
            return _build_error(401, "Unauthorized")
        expires, result = self._cache.get(identity, (0.0, None))
        if time.monotonic() >= expires:
            method, path = event["requestContext"]["http"]["method"], event["rawPath"]
            invocation = self._function.invoke(
                {
                    **event,
                    "type": "REQUEST",
                    "routeArn": f"{self._execution_arn}/$default/{method}{path}",
                    "identitySource": list(identity),
                }
            )
            if invocation.error is not None or not isinstance(invocation.payload, dict):
                return _build_error(500, "Internal Server Error")
            result = invocation.payload
            self._cache[identity] = (time.monotonic() + self._ttl, result)
        if result.get("isAuthorized") is not True:
            return _build_error(403, "Forbidden")
        return result.get("context") or {}


class _Permissions:
    """The resource-based policies of the functions."""

    def __init__(self, graph: Graph) -> None:
        self._permissions = graph.of_type("aws:lambda/permission:Permission")

    def require(self, function: LambdaFunction, source_arn: str, caller: str) -> None:
        names = (function.arn, function.arn.rsplit(":", 1)[-1])
        for inputs in (permission.inputs for permission in self._permissions):
            if (
                inputs["function"] in names
                and inputs["action"] == "lambda:InvokeFunction"
                and inputs["principal"] == "apigateway.amazonaws.com"
                and matches_pattern(inputs.get("sourceArn", "*"), source_arn)
            ):
                return
        raise ProgramError(f"{caller} may not invoke {function.name}: no permission allows {source_arn}")


class _TokenBucket:
    """Throttles to `throttlingRateLimit` requests per second, in bursts of up to `throttlingBurstLimit`."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._rate = settings.get("throttlingRateLimit", 10_000)
        self._burst = settings.get("throttlingBurstLimit", 5_000)
        self._tokens = float(self._burst)
        self._filled = time.monotonic()
        self._lock = threading.Lock()

    def take(self) -> bool:
        with self._lock:
            now = time.monotonic()
            self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._rate)
            self._filled = now
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True


def _create_route_token_buckets(graph: Graph, stage: Resource) -> dict[str, _TokenBucket]:
    """Returns a bucket for each route with settings of its own, which replace the stage's.

    Raises:
        ProgramError: There is no such route, or the stage can be created before it.
    """
    routes = {route.inputs["routeKey"]: route for route in graph.of_type("aws:apigatewayv2/route:Route")}
    buckets: dict[str, _TokenBucket] = {}
    for settings in stage.inputs.get("routeSettings", []):
        key = settings["routeKey"]
        if key not in routes or routes[key].urn not in stage.dependencies:
            raise ProgramError(f"the stage {stage.name} has settings of {key}, but does not depend on such a route")
        buckets[key] = _TokenBucket(settings)
    return buckets


def _sort_routes(graph: Graph) -> list[Resource]:
    """Returns the routes in order of priority: a full match precedes a match with path variables."""
    return sorted(graph.of_type("aws:apigatewayv2/route:Route"), key=lambda route: route.inputs["routeKey"].count("{"))


def _compile_path(path: str) -> re.Pattern[str]:
    parts = re.split(r"(\{\w+\+?\})", path)
    return re.compile("".join(_compile_path_part(part) if part.startswith("{") else re.escape(part) for part in parts))


def _compile_path_part(part: str) -> str:
    name = part.strip("{}")
    return f"(?P<{name[:-1]}>.+)" if name.endswith("+") else f"(?P<{name}>[^/]+)"


def _find_function(invoke_uri: str, functions: LambdaFunctions) -> LambdaFunction:
    for arn, function in functions.by_arn.items():
        if arn in invoke_uri:
            return function
    raise ProgramError(f"no function has the invocation URI {invoke_uri}")


def _build_response(payload: Any) -> Response:
    if not isinstance(payload, dict) or "statusCode" not in payload:
        return Response(json.dumps(payload), content_type="application/json")
    body = payload.get("body") or ""
    data = base64.b64decode(body) if payload.get("isBase64Encoded") else body.encode()
    return Response(data, status=payload["statusCode"], headers=payload.get("headers") or {})


def _build_error(status: int, message: str) -> Response:
    return Response(json.dumps({"message": message}), status=status, content_type="application/json")
