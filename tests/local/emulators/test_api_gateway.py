"""The HTTP API emulator, with recorded resources and fake functions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest
from werkzeug.test import Client, TestResponse

from local.emulators.api_gateway import HttpApiEmulator
from local.emulators.lambda_functions import LambdaFunctions
from local.emulators.lambda_sandbox import InvocationResult
from local.recording.graph import Graph, ProgramError, Resource

EXECUTION_ARN = "arn:aws:execute-api:eu-west-1:123456789012:api"


@dataclass
class FakeFunction:
    """Replaces a deployed function and records the events of its invocations."""

    name: str
    handler: Callable[[Any], Any]
    events: list[Any] = field(default_factory=list[Any])

    @property
    def arn(self) -> str:
        return f"arn:aws:lambda:eu-west-1:123456789012:function:{self.name}"

    def invoke(self, event: Any) -> InvocationResult:
        self.events.append(event)
        try:
            return InvocationResult(self.handler(event), None, is_cold_start=False)
        except ZeroDivisionError as error:
            return InvocationResult(
                None, {"errorType": "ZeroDivisionError", "errorMessage": str(error)}, is_cold_start=False
            )


@dataclass
class ApiBuilder:
    """Builds an HTTP API resource by resource."""

    folder: Path
    graph: Graph = field(default_factory=Graph)
    functions: dict[str, FakeFunction] = field(default_factory=dict[str, FakeFunction])
    stage: dict[str, Any] = field(default_factory=dict[str, Any])

    def add(self, type_: str, id_: str, inputs: dict[str, Any], **outputs: Any) -> None:
        self.graph.resources[f"{type_}::{id_}"] = Resource(
            urn=id_, type=type_, name=id_, custom=True, parent="", id=id_, inputs=inputs, outputs=outputs
        )

    def add_function(self, name: str, handler: Callable[[Any], Any], source: str | None) -> FakeFunction:
        function = FakeFunction(name, handler)
        self.functions[function.arn] = function
        if source is not None:
            permission = {
                "action": "lambda:InvokeFunction",
                "principal": "apigateway.amazonaws.com",
                "function": name,
                "sourceArn": f"{EXECUTION_ARN}{source}",
            }
            self.add("aws:lambda/permission:Permission", name, permission)
        return function

    def add_route(
        self, key: str, handler: Callable[[Any], Any], *, source: str = "/*", authorizer: bool = False
    ) -> Any:
        name = f"f{len(self.functions)}"
        function = self.add_function(name, handler, source)
        integration = {"integrationUri": f"lambda:path/{function.arn}/invocations"}
        self.add("aws:apigatewayv2/integration:Integration", name, integration)
        protection = {"authorizationType": "CUSTOM", "authorizerId": "auth"} if authorizer else {}
        self.add(
            "aws:apigatewayv2/route:Route", name, {"routeKey": key, "target": f"integrations/{name}", **protection}
        )
        return function

    def add_authorizer(
        self, handler: Callable[[Any], Any], *, ttl: int = 60, source: str | None = "/authorizers/auth"
    ) -> Any:
        function = self.add_function("authorize", handler, source)
        self.add(
            "aws:apigatewayv2/authorizer:Authorizer",
            "auth",
            {
                "authorizerUri": f"lambda:path/{function.arn}/invocations",
                "enableSimpleResponses": True,
                "authorizerPayloadFormatVersion": "2.0",
                "identitySources": ["$request.header.Authorization"],
                "authorizerResultTtlInSeconds": ttl,
            },
        )
        return function

    def create_client(self, stage_dependencies: Iterable[str] = ()) -> Client:
        self.add("aws:apigatewayv2/api:Api", "api", {}, executionArn=EXECUTION_ARN, apiEndpoint="http://localhost")
        stage = "aws:apigatewayv2/stage:Stage"
        self.add(stage, "$default", {"name": "$default", **self.stage})
        key = f"{stage}::$default"
        self.graph.resources[key] = replace(self.graph.resources[key], dependencies=frozenset(stage_dependencies))
        functions = cast(LambdaFunctions, type("Deployed", (), {"by_arn": self.functions}))
        return Client(HttpApiEmulator(self.graph, functions, self.folder / "access.log"))


@pytest.fixture
def builder(tmp_path: Path) -> ApiBuilder:
    return ApiBuilder(tmp_path)


def return_ok(_event: Any) -> dict[str, Any]:
    return {"statusCode": 200, "body": "fine"}


def raise_error(_event: Any) -> Any:
    return 1 / 0


def get_me(client: Client, token: str) -> TestResponse:
    return client.get("/me", headers={"Authorization": f"Bearer {token}"})


def test_function_receives_payload_format_2_0(builder: ApiBuilder) -> None:
    function = builder.add_route("POST /things/{thing}", return_ok)
    client = builder.create_client()
    assert client.post("/things/a%20b?x=1", json={"n": 1}, headers={"X-Odd": "Yes"}).text == "fine"
    (event,) = function.events
    assert event["version"] == "2.0"
    assert (event["routeKey"], event["rawPath"], event["rawQueryString"]) == (
        "POST /things/{thing}",
        "/things/a b",
        "x=1",
    )
    assert (event["pathParameters"], event["headers"]["x-odd"]) == ({"thing": "a b"}, "Yes")
    assert (json.loads(event["body"]), event["isBase64Encoded"]) == ({"n": 1}, False)
    assert event["requestContext"]["http"]["method"] == "POST"
    assert "authorizer" not in event["requestContext"]


def test_binary_body_is_base64_encoded(builder: ApiBuilder) -> None:
    function = builder.add_route("POST /things", return_ok)
    builder.create_client().post("/things", data=b"\xff\xd8", content_type="image/jpeg")
    assert (function.events[0]["body"], function.events[0]["isBase64Encoded"]) == ("/9g=", True)


def test_result_without_status_code_becomes_response_body(builder: ApiBuilder) -> None:
    builder.add_route("GET /things", lambda _event: {"plain": True})
    response = builder.create_client().get("/things")
    assert (response.status_code, response.json) == (200, {"plain": True})


def test_route_without_path_variable_takes_precedence(builder: ApiBuilder) -> None:
    general, special = builder.add_route("GET /{any}", return_ok), builder.add_route("GET /special", return_ok)
    builder.create_client().get("/special")
    assert (len(general.events), len(special.events)) == (0, 1)


def test_failed_function_returns_500_without_details(builder: ApiBuilder) -> None:
    builder.add_route("GET /things", raise_error)
    response = builder.create_client().get("/things")
    assert (response.status_code, response.json) == (500, {"message": "Internal Server Error"})


def test_request_over_the_rate_limit_returns_429(builder: ApiBuilder) -> None:
    builder.stage = {"defaultRouteSettings": {"throttlingRateLimit": 0.001, "throttlingBurstLimit": 2}}
    builder.add_route("GET /things", return_ok)
    client = builder.create_client()
    assert [client.get("/things").status_code for _ in range(3)] == [200, 200, 429]


def test_route_with_settings_has_a_rate_limit_of_its_own(builder: ApiBuilder) -> None:
    limits = {"throttlingRateLimit": 0.001, "throttlingBurstLimit": 1}
    builder.stage = {"defaultRouteSettings": limits, "routeSettings": [{"routeKey": "GET /things/{thing}", **limits}]}
    builder.add_route("GET /things/{thing}", return_ok)
    builder.add_route("GET /others", return_ok)
    client = builder.create_client(stage_dependencies=["f0"])
    assert [client.get(f"/things/{number}").status_code for number in range(2)] == [200, 429]
    assert [client.get("/others").status_code for _ in range(2)] == [200, 429]


@pytest.mark.parametrize(("key", "dependencies"), [("GET /others", ["f0"]), ("GET /things", [])])
def test_stage_with_settings_of_unknown_route_is_rejected(
    builder: ApiBuilder, key: str, dependencies: list[str]
) -> None:
    builder.stage = {"routeSettings": [{"routeKey": key, "throttlingRateLimit": 1, "throttlingBurstLimit": 1}]}
    builder.add_route("GET /things", return_ok)
    with pytest.raises(ProgramError, match=f"has settings of {key}, but does not depend on such a route"):
        builder.create_client(stage_dependencies=dependencies)


def test_body_over_10_mib_returns_413(builder: ApiBuilder) -> None:
    function = builder.add_route("POST /things", return_ok)
    assert builder.create_client().post("/things", data=b"x" * (10 * 2**20 + 1)).status_code == 413
    assert function.events == []


def test_authorizer_context_is_passed_to_the_function(builder: ApiBuilder) -> None:
    authorize = builder.add_authorizer(lambda _event: {"isAuthorized": True, "context": {"sub": "alice"}})
    function = builder.add_route("GET /me", return_ok, authorizer=True)
    assert get_me(builder.create_client(), "t").status_code == 200
    assert authorize.events[0]["identitySource"] == ["Bearer t"]
    assert function.events[0]["requestContext"]["authorizer"] == {"lambda": {"sub": "alice"}}


@pytest.mark.parametrize(("ttl", "invocations"), [(60, 2), (0, 3)])
def test_authorizer_result_is_cached_per_token_for_its_ttl(builder: ApiBuilder, ttl: int, invocations: int) -> None:
    authorize = builder.add_authorizer(lambda _event: {"isAuthorized": True}, ttl=ttl)
    builder.add_route("GET /me", return_ok, authorizer=True)
    client = builder.create_client()
    for token in ("one", "one", "two"):
        get_me(client, token)
    assert len(authorize.events) == invocations


def test_failed_authorizer_returns_500_and_denial_returns_403(builder: ApiBuilder) -> None:
    builder.add_authorizer(
        lambda event: {"isAuthorized": bool(1 / (event["identitySource"][0] != "Bearer broken")) and None}
    )
    function = builder.add_route("GET /me", return_ok, authorizer=True)
    client = builder.create_client()
    assert (get_me(client, "broken").status_code, get_me(client, "bad").status_code) == (500, 403)
    assert function.events == []


def test_denial_is_cached_and_failed_authorizer_is_not(builder: ApiBuilder) -> None:
    authorize = builder.add_authorizer(
        lambda event: {"isAuthorized": bool(1 / (event["identitySource"][0] != "Bearer broken")) and None}
    )
    builder.add_route("GET /me", return_ok, authorizer=True)
    client = builder.create_client()
    for token in ("broken", "broken", "bad", "bad"):
        get_me(client, token)
    assert [event["identitySource"][0] for event in authorize.events] == [
        "Bearer broken",
        "Bearer broken",
        "Bearer bad",
    ]


@pytest.mark.parametrize("source", ["/*/POST/me", "/other/*"])
def test_route_without_invoke_permission_raises(builder: ApiBuilder, source: str) -> None:
    builder.add_route("GET /me", return_ok, source=source)
    with pytest.raises(ProgramError, match="route GET /me may not invoke f0"):
        builder.create_client()


def test_authorizer_without_invoke_permission_raises(builder: ApiBuilder) -> None:
    builder.add_authorizer(return_ok, source=None)
    builder.add_route("GET /me", return_ok, authorizer=True)
    with pytest.raises(ProgramError, match="authorizer auth may not invoke authorize"):
        builder.create_client()


def test_access_log_has_the_format_of_the_stage(builder: ApiBuilder) -> None:
    builder.stage = {
        "accessLogSettings": {"format": "$context.routeKey $context.status $context.authorizer.sub $context.x"}
    }
    builder.add_authorizer(lambda _event: {"isAuthorized": True, "context": {"sub": "alice"}})
    builder.add_route("GET /me", return_ok, authorizer=True)
    client = builder.create_client()
    get_me(client, "t")
    client.get("/nowhere")
    assert (builder.folder / "access.log").read_text() == "GET /me 200 alice -\n$default 404 - -\n"
