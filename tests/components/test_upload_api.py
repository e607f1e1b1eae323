"""UploadApi, used alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from components.blocks import iam
from components.blocks.custom_domain import CustomDomain
from components.blocks.python_function import PythonFunction, PythonFunctionArgs
from components.upload_api import ApiRoute, UploadApi, UploadApiArgs
from lambda_packages.build import Package
from local.recording.graph import Graph
from tests.components.conftest import ACCOUNT, REGION, RunAlone, arn, get_statements

ISSUER = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Theirs"
UPLOADS_ARN = "arn:aws:s3:::their-uploads"
ASSETS_ARN = "arn:aws:s3:::their-assets"
CDN_URL = "https://cdn.example.com"
CURRENT_AVATARS = [f"{ASSETS_ARN}/avatars/*.json", f"{ASSETS_ARN}/avatars/*.jpg"]
EXECUTION_ARN = arn("execute-api", "a1b2c3d4e5")
API = "aws:apigatewayv2/api:Api"
FUNCTION = "aws:lambda/function:Function"
ROUTE = "aws:apigatewayv2/route:Route"
STAGE = "aws:apigatewayv2/stage:Stage"

DELETE_AVATARS = [
    {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": UPLOADS_ARN},
    {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"{UPLOADS_ARN}/deletions/*"},
    {"Effect": "Allow", "Action": "s3:GetObject", "Resource": CURRENT_AVATARS},
    {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": ASSETS_ARN},
    {
        "Effect": "Allow",
        "Action": ["s3:PutObject", "s3:PutObjectTagging"],
        "Resource": CURRENT_AVATARS,
        "Condition": {"StringEquals": {"s3:RequestObjectTag/deleted": "true"}},
    },
]


def args(**settings: Any) -> UploadApiArgs:
    given: dict[str, Any] = {
        "uploads_bucket_name": "their-uploads",
        "uploads_bucket_arn": UPLOADS_ARN,
        "assets_bucket_name": "their-assets",
        "assets_bucket_arn": ASSETS_ARN,
        "cdn_url": CDN_URL,
        "issuer": ISSUER,
        "audience": "theirclient",
        "audience_claim": "client_id",
        "sizes": (32, 64),
    }
    return UploadApiArgs(**{**given, **settings})


def create_foreign_function(packages: Mapping[str, Package]) -> PythonFunction:
    return PythonFunction(
        "theirs",
        PythonFunctionArgs(
            package=packages["presign_upload"],
            description="A function of another component",
            memory=256,
            timeout=3,
            environment={},
            statements=[iam.publish("arn:aws:sns:eu-west-1:123456789012:theirs")],
        ),
    )


@pytest.fixture(scope="module")
def api(run_alone: RunAlone) -> Graph:
    return run_alone(lambda: UploadApi("api", args()))


@pytest.fixture(scope="module")
def api_with_domain(run_alone: RunAlone) -> Graph:
    domain = CustomDomain(host="api.example.com", zone_id="Z1")
    return run_alone(lambda: UploadApi("api", args(domain=domain)))


def test_routes_are_exactly_these_with_authorizer(api: Graph) -> None:
    routes = {route.inputs["routeKey"]: route.inputs for route in api.of_type(ROUTE)}
    assert routes == {
        key: {
            "apiId": "a1b2c3d4e5",
            "routeKey": key,
            "target": f"integrations/api-{role}-integration-id",
            "authorizationType": "CUSTOM",
            "authorizerId": "auth01",
        }
        for key, role in {
            "POST /avatars/key_upload": "post-avatars-key-upload",
            "GET /avatars/uploads/{upload_id}": "get-avatars-uploads-upload-id",
            "GET /avatars/me": "get-avatars-me",
            "DELETE /avatars/me": "delete-avatars-me",
        }.items()
    }


@pytest.mark.parametrize(
    ("role", "function", "route"),
    [
        ("post-avatars-key-upload", "api-presign-upload", "POST/avatars/key_upload"),
        ("get-avatars-uploads-upload-id", "api-upload-status", "GET/avatars/uploads/*"),
        ("get-avatars-me", "api-current-avatar", "GET/avatars/me"),
        ("delete-avatars-me", "api-delete-avatar", "DELETE/avatars/me"),
    ],
)
def test_route_permission_allows_its_function_only(api: Graph, role: str, function: str, route: str) -> None:
    invoke_arn = api.one(FUNCTION, function).outputs["invokeArn"]
    assert api.named(f"api-{role}-integration").inputs == {
        "apiId": "a1b2c3d4e5",
        "integrationType": "AWS_PROXY",
        "integrationUri": invoke_arn,
        "payloadFormatVersion": "2.0",
    }
    assert api.named(f"api-{role}-permission").inputs == {
        "action": "lambda:InvokeFunction",
        "function": f"{function}-abc1234",
        "principal": "apigateway.amazonaws.com",
        "sourceArn": f"{EXECUTION_ARN}/*/{route}",
    }


def test_authorizer_uses_authorization_header_and_cache(run_alone: RunAlone) -> None:
    graph = run_alone(lambda: UploadApi("api", args(authorizer_cache_seconds=5)))
    assert graph.one("aws:apigatewayv2/authorizer:Authorizer").inputs == {
        "apiId": "a1b2c3d4e5",
        "authorizerType": "REQUEST",
        "authorizerUri": graph.one(FUNCTION, "api-authorize").outputs["invokeArn"],
        "authorizerPayloadFormatVersion": "2.0",
        "enableSimpleResponses": True,
        "identitySources": ["$request.header.Authorization"],
        "authorizerResultTtlInSeconds": 5,
    }
    assert graph.named("api-authorizer-permission").inputs == {
        "action": "lambda:InvokeFunction",
        "function": "api-authorize-abc1234",
        "principal": "apigateway.amazonaws.com",
        "sourceArn": f"{EXECUTION_ARN}/authorizers/auth01",
    }


def test_authorizer_cache_zero_is_not_the_default(run_alone: RunAlone) -> None:
    graph = run_alone(lambda: UploadApi("api", args(authorizer_cache_seconds=0)))
    assert graph.one("aws:apigatewayv2/authorizer:Authorizer").inputs["authorizerResultTtlInSeconds"] == 0


@pytest.mark.parametrize(
    ("function", "memory", "timeout", "layers", "environment"),
    [
        ("authorize", 1769, 8, ["jwt"], {"ISSUER": ISSUER, "AUDIENCE": "theirclient", "AUDIENCE_CLAIM": "client_id"}),
        (
            "presign_upload",
            256,
            3,
            [],
            {"UPLOADS_BUCKET": "their-uploads", "MAX_UPLOAD_BYTES": "10485760", "LARGEST_SIZE": "64"},
        ),
        (
            "upload_status",
            256,
            5,
            ["boto3"],
            {
                "UPLOADS_BUCKET": "their-uploads",
                "ASSETS_BUCKET": "their-assets",
                "CDN_URL": CDN_URL,
                "IS_MODERATED": "",
            },
        ),
        ("current_avatar", 256, 5, ["boto3"], {"ASSETS_BUCKET": "their-assets", "CDN_URL": CDN_URL}),
        (
            "delete_avatar",
            256,
            10,
            ["boto3"],
            {"UPLOADS_BUCKET": "their-uploads", "ASSETS_BUCKET": "their-assets"},
        ),
    ],
)
def test_function_has_memory_timeout_layers_and_environment(
    api: Graph, function: str, memory: int, timeout: int, layers: list[str], environment: dict[str, str]
) -> None:
    inputs = api.one(FUNCTION, f"api-{function.replace('_', '-')}").inputs
    assert inputs["handler"] == f"functions.{function}.handler.handle"
    assert (inputs["memorySize"], inputs["timeout"]) == (memory, timeout)
    assert inputs["layers"] == [arn("lambda", f"layer:api-{layer}-test:1") for layer in layers]
    assert inputs["environment"] == {"variables": environment}


def test_moderated_upload_status_reads_held_uploads(run_alone: RunAlone) -> None:
    graph = run_alone(lambda: UploadApi("api", args(is_moderated=True)))
    variables = graph.one(FUNCTION, "api-upload-status").inputs["environment"]["variables"]
    assert variables["IS_MODERATED"] == "true"
    statement = get_statements(graph.named("api-upload-status-policy").inputs["policy"])[1]
    assert statement["Resource"] == [f"{UPLOADS_ARN}/{prefix}/*" for prefix in ("incoming", "rejected", "held")]


@pytest.mark.parametrize(
    ("function", "statements"),
    [
        ("authorize", []),
        (
            "presign-upload",
            [{"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"{UPLOADS_ARN}/incoming/*"}],
        ),
        (
            "upload-status",
            [
                {
                    "Effect": "Allow",
                    "Action": "s3:GetObject",
                    "Resource": [f"{UPLOADS_ARN}/incoming/*", f"{UPLOADS_ARN}/rejected/*"],
                },
                {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": UPLOADS_ARN},
                {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"{ASSETS_ARN}/avatars/*.json"},
                {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": ASSETS_ARN},
            ],
        ),
        (
            "current-avatar",
            [
                {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"{ASSETS_ARN}/avatars/*.json"},
                {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": ASSETS_ARN},
            ],
        ),
        ("delete-avatar", DELETE_AVATARS),
    ],
)
def test_function_policy_has_exactly_these_statements(
    api: Graph, function: str, statements: list[dict[str, Any]]
) -> None:
    logs, *rest = get_statements(api.named(f"api-{function}-policy").inputs["policy"])
    assert logs == {
        "Effect": "Allow",
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "Resource": f"{arn('logs', f'log-group:api-{function}-logs-abc1234')}:*",
    }
    assert rest == statements


def test_stage_throttles_and_auto_deploys(run_alone: RunAlone) -> None:
    graph = run_alone(lambda: UploadApi("api", args(throttle_rate=5, throttle_burst=9)))
    inputs = graph.one(STAGE).inputs
    assert inputs["name"] == "$default"
    assert inputs["autoDeploy"] is True
    assert inputs["defaultRouteSettings"] == {"throttlingRateLimit": 5, "throttlingBurstLimit": 9}
    assert "routeSettings" not in inputs


def test_public_route_has_limits_of_at_least_one(run_alone: RunAlone, packages: dict[str, Package]) -> None:
    def program() -> None:
        route = ApiRoute("GET /avatars/{name}", create_foreign_function(packages), public=True)
        UploadApi("api", args(throttle_rate=1, throttle_burst=1), routes=[route])

    (settings,) = run_alone(program).one(STAGE).inputs["routeSettings"]
    assert (settings["throttlingRateLimit"], settings["throttlingBurstLimit"]) == (1, 1)


def test_access_log_is_json_without_tokens(api: Graph) -> None:
    settings = api.one(STAGE).inputs["accessLogSettings"]
    group = api.named("api-access-logs")
    assert group.inputs == {"name": "/aws/vendedlogs/api-a1b2c3d4e5", "retentionInDays": 30}
    assert settings["destinationArn"] == group.outputs["arn"]
    line = json.loads(settings["format"])
    assert {name: line[name] for name in ("path", "routeKey", "status", "subject")} == {
        "path": "$context.path",
        "routeKey": "$context.routeKey",
        "status": "$context.status",
        "subject": "$context.authorizer.sub",
    }
    assert {"requestId", "integrationLatency", "authorizerError"} <= set(line)
    assert not [value for value in line.values() if "header" in value.lower() or "identitySource" in value]


def test_cors_configuration_allows_given_origins(run_alone: RunAlone) -> None:
    origins = ["https://app.example.com"]
    graph = run_alone(lambda: UploadApi("api", args(allowed_origins=origins)))
    assert graph.one(API).inputs == {
        "protocolType": "HTTP",
        "description": "Avatar uploads",
        "ipAddressType": "dualstack",
        "disableExecuteApiEndpoint": False,
        "corsConfiguration": {
            "allowOrigins": origins,
            "allowMethods": ["DELETE", "GET", "POST", "PUT"],
            "allowHeaders": ["authorization", "content-type"],
            "allowCredentials": False,
            "maxAge": 3600,
        },
    }


def test_cors_configuration_is_absent_without_origins(api: Graph) -> None:
    assert "corsConfiguration" not in api.one(API).inputs


def test_domain_uses_validated_regional_certificate_and_tls_1_2(
    api_with_domain: Graph,
) -> None:
    certificate = api_with_domain.one("aws:acm/certificate:Certificate")
    assert certificate.inputs == {"domainName": "api.example.com", "validationMethod": "DNS"}
    domain = api_with_domain.one("aws:apigatewayv2/domainName:DomainName")
    assert domain.inputs == {
        "domainName": "api.example.com",
        "domainNameConfiguration": {
            "certificateArn": arn("acm", "certificate/api-tls"),
            "endpointType": "REGIONAL",
            "securityPolicy": "TLS_1_2",
            "ipAddressType": "dualstack",
        },
    }
    assert api_with_domain.one(API).inputs["disableExecuteApiEndpoint"] is True
    validation = api_with_domain.named("api-tls-validation")
    assert validation.urn in domain.property_dependencies["domainNameConfiguration"]
    assert api_with_domain.one("aws:apigatewayv2/apiMapping:ApiMapping").inputs == {
        "apiId": "a1b2c3d4e5",
        "domainName": "api.example.com",
        "stage": "api-stage-id",
    }


@pytest.mark.parametrize("type_", ["A", "AAAA"])
def test_domain_records_are_aliases_of_the_gateway(api_with_domain: Graph, type_: str) -> None:
    target = f"d-abc.execute-api.{REGION}.amazonaws.com"
    assert api_with_domain.named(f"api-alias-{type_.lower()}").inputs == {
        "zoneId": "Z1",
        "name": "api.example.com",
        "type": type_,
        "aliases": [{"name": target, "zoneId": "ZAPIGATEWAY", "evaluateTargetHealth": False}],
    }


def test_outputs_with_and_without_domain(api: Graph, api_with_domain: Graph) -> None:
    component = "avatars:index:UploadApi"
    url = f"https://a1b2c3d4e5.execute-api.{REGION}.amazonaws.com"
    assert api.one(component).component_outputs == {"url": url}
    assert api_with_domain.one(component).component_outputs == {"url": "https://api.example.com"}


def test_add_route_from_outside_uses_the_authorizer(run_alone: RunAlone, packages: dict[str, Package]) -> None:
    def program() -> None:
        api = UploadApi("api", args())
        api.add_route("DELETE /avatars/old", create_foreign_function(packages))

    graph = run_alone(program)
    route = graph.named("api-delete-avatars-me-route").inputs
    assert (route["authorizationType"], route["authorizerId"]) == ("CUSTOM", "auth01")
    assert (
        graph.named("api-delete-avatars-old-permission").inputs["sourceArn"] == f"{EXECUTION_ARN}/*/DELETE/avatars/old"
    )
    assert graph.one(FUNCTION, "theirs").inputs["role"] == f"arn:aws:iam::{ACCOUNT}:role/theirs-role-abc1234"


def test_add_route_public_has_no_authorizer(run_alone: RunAlone, packages: dict[str, Package]) -> None:
    def program() -> None:
        api = UploadApi("api", args())
        api.add_route("GET /avatars/{name}", create_foreign_function(packages), public=True)

    assert run_alone(program).named("api-get-avatars-name-route").inputs == {
        "apiId": "a1b2c3d4e5",
        "routeKey": "GET /avatars/{name}",
        "target": "integrations/api-get-avatars-name-integration-id",
        "authorizationType": "NONE",
    }


CATCH_ALL = ("$default", "ANY /avatars", "OPTIONS /{proxy+}", "GET /{proxy+}")
INVALID = ("/avatars", "GET avatars", "GET /", "PATCH /a")


@pytest.fixture(scope="module")
def route_key_errors(run_alone: RunAlone, packages: dict[str, Package]) -> dict[str, ValueError]:
    """The errors of `add_route`, by route key."""
    errors: dict[str, ValueError] = {}

    def program() -> None:
        api = UploadApi("api", args())
        function = create_foreign_function(packages)
        for route_key in (*CATCH_ALL, *INVALID):
            with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is checked by the test
                api.add_route(route_key, function)
            errors[route_key] = caught.value

    graph = run_alone(program)
    assert len(graph.of_type(ROUTE)) == 4
    return errors


@pytest.mark.parametrize("route_key", [*CATCH_ALL, *INVALID])
def test_add_route_catch_all_raises_value_error(route_key_errors: dict[str, ValueError], route_key: str) -> None:
    message = str(route_key_errors[route_key])
    assert message.startswith(f"{route_key!r} is not a valid route key; allowed is one of DELETE, GET, POST, PUT")


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"issuer": "http://issuer"}, "issuer is 'http://issuer'; allowed is the https:// URL of an OpenID"),
        ({"allowed_origins": ["https://*.example.com"]}, r"allowed_origins is \['https://\*\.example\.com'\]"),
        ({"max_upload_bytes": 1023}, "max_upload_bytes is 1023; allowed is an integer from 1,024 to"),
        ({"throttle_rate": 0}, "throttle_rate is 0; allowed is an integer from 1 to 10,000"),
        ({"log_retention_days": 2}, "log_retention_days is 2; allowed is a number of days that CloudWatch Logs"),
    ],
)
def test_args_invalid_raises_value_error(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        args(**settings)
