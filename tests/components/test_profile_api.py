"""ProfileApi, with an UploadApi for its routes."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from components.blocks import iam
from components.blocks.python_function import VpcConfig
from components.database.external import DatabaseAccess
from components.profile_api import ProfileApi, ProfileApiArgs
from components.upload_api import UploadApi
from lambda_packages.build import Package
from local.recording.graph import Graph
from tests.components import test_upload_api as upload_api
from tests.components.conftest import RunAlone, arn, get_statements, use_packages

UPLOADS_ARN = "arn:aws:s3:::their-uploads"
ASSETS_ARN = "arn:aws:s3:::their-assets"
FUNCTION = "aws:lambda/function:Function"
INVOCATION = "aws:lambda/invocation:Invocation"
VPC_CONFIG = VpcConfig(subnet_ids=["subnet-1", "subnet-2"], security_group_ids=["sg-1"])


def access(user: str, vpc_config: VpcConfig | None = None) -> DatabaseAccess:
    return DatabaseAccess(
        environment={"PGHOST": "db", "PGUSER": user},
        statements=[iam.connect_to_database(arn("rds-db", f"dbuser:cluster-1/{user}"))],
        vpc_config=vpc_config,
        database_id="cluster-1",
    )


def make(**settings: Any) -> ProfileApi:
    given: dict[str, Any] = {
        "uploads_bucket_name": "their-uploads",
        "uploads_bucket_arn": UPLOADS_ARN,
        "assets_bucket_name": "their-assets",
        "assets_bucket_arn": ASSETS_ARN,
        "cdn_url": upload_api.CDN_URL,
        "issuer": upload_api.ISSUER,
        "database": access("reader"),
        "migrations": access("owner"),
    }
    profiles = ProfileApi("profiles", ProfileApiArgs(**{**given, **settings}))
    UploadApi("api", upload_api.args(throttle_rate=20, throttle_burst=31), routes=profiles.routes)
    return profiles


@pytest.fixture(scope="module")
def profiles(run_alone: RunAlone) -> Graph:
    return run_alone(lambda: make())


def test_routes_require_authorizer_except_public_profile(profiles: Graph) -> None:
    routes = {r.inputs["routeKey"]: r for r in profiles.of_type("aws:apigatewayv2/route:Route")}
    invoked = profiles.one(FUNCTION, "profiles-profile").outputs["invokeArn"]
    for key, role, authorization in (
        ("GET /profiles/{handle}", "api-get-profiles-handle", {"authorizationType": "NONE"}),
        ("GET /profile", "api-get-profile", {"authorizationType": "CUSTOM", "authorizerId": "auth01"}),
        ("PUT /profile", "api-put-profile", {"authorizationType": "CUSTOM", "authorizerId": "auth01"}),
        ("DELETE /profile", "api-delete-profile", {"authorizationType": "CUSTOM", "authorizerId": "auth01"}),
    ):
        assert routes.pop(key).inputs == {
            "apiId": "a1b2c3d4e5",
            "routeKey": key,
            "target": f"integrations/{role}-integration-id",
            **authorization,
        }
        assert profiles.named(f"{role}-integration").inputs["integrationUri"] == invoked
        method, path = key.replace("{handle}", "*").split(" ")
        assert profiles.named(f"{role}-permission").inputs == {
            "action": "lambda:InvokeFunction",
            "function": "profiles-profile-abc1234",
            "principal": "apigateway.amazonaws.com",
            "sourceArn": f"{upload_api.EXECUTION_ARN}/*/{method}{path}",
        }
    assert [key.split(" ")[1].split("/")[1] for key in routes] == ["avatars"] * 4


def test_public_route_has_half_of_the_limits_for_itself(profiles: Graph) -> None:
    stage = profiles.one("aws:apigatewayv2/stage:Stage")
    assert stage.inputs["routeSettings"] == [
        {"routeKey": "GET /profiles/{handle}", "throttlingRateLimit": 10, "throttlingBurstLimit": 15}
    ]
    assert stage.inputs["defaultRouteSettings"] == {"throttlingRateLimit": 20, "throttlingBurstLimit": 31}


def test_stage_depends_on_the_route_that_it_throttles(profiles: Graph) -> None:
    """API Gateway rejects a stage with settings of a route that does not exist."""
    assert (
        profiles.named("api-get-profiles-handle-route").urn in profiles.one("aws:apigatewayv2/stage:Stage").dependencies
    )


@pytest.mark.parametrize(
    ("function", "timeout", "layers", "environment"),
    [
        ("erase_profile", 90, ["boto3", "postgres"], {"PGHOST": "db", "PGUSER": "reader"}),
        (
            "profile",
            10,
            ["boto3", "postgres"],
            {
                "UPLOADS_BUCKET": "their-uploads",
                "ASSETS_BUCKET": "their-assets",
                "CDN_URL": upload_api.CDN_URL,
                "ISSUER": upload_api.ISSUER,
                "HANDLE_HOLD_DAYS": "30",
                "METRICS_SERVICE": "profiles-test",
                "PGHOST": "db",
                "PGUSER": "reader",
            },
        ),
        ("migrate_database", 300, ["alembic", "boto3", "postgres"], {"PGHOST": "db", "PGUSER": "owner"}),
    ],
)
def test_function_has_memory_timeout_layers_and_environment(
    profiles: Graph, function: str, timeout: int, layers: list[str], environment: dict[str, str]
) -> None:
    inputs = profiles.one(FUNCTION, f"profiles-{function.replace('_', '-')}").inputs
    assert inputs["handler"] == f"functions.{function}.handler.handle"
    assert (inputs["memorySize"], inputs["timeout"]) == (512, timeout)
    assert inputs["layers"] == [arn("lambda", f"layer:profiles-{layer}-test:1") for layer in layers]
    assert inputs["environment"] == {"variables": environment}
    assert "vpcConfig" not in inputs


@pytest.mark.parametrize(
    ("function", "statements"),
    [
        (
            "profile",
            [
                *upload_api.DELETE_AVATARS,
                {
                    "Effect": "Allow",
                    "Action": "rds-db:connect",
                    "Resource": arn("rds-db", "dbuser:cluster-1/reader"),
                },
            ],
        ),
        (
            "erase-profile",
            [{"Effect": "Allow", "Action": "rds-db:connect", "Resource": arn("rds-db", "dbuser:cluster-1/reader")}],
        ),
        (
            "migrate-database",
            [{"Effect": "Allow", "Action": "rds-db:connect", "Resource": arn("rds-db", "dbuser:cluster-1/owner")}],
        ),
    ],
)
def test_function_policy_has_exactly_these_statements(
    profiles: Graph, function: str, statements: list[dict[str, Any]]
) -> None:
    logs, *rest = get_statements(profiles.named(f"profiles-{function}-policy").inputs["policy"])
    assert logs["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert rest == statements


def test_function_has_vpc_config_of_its_database_access(run_alone: RunAlone) -> None:
    graph = run_alone(lambda: make(database=access("reader", VPC_CONFIG), migrations=access("owner", VPC_CONFIG)))
    for function in ("profiles-profile", "profiles-erase-profile", "profiles-migrate-database"):
        assert graph.one(FUNCTION, function).inputs["vpcConfig"] == {
            "subnetIds": ["subnet-1", "subnet-2"],
            "securityGroupIds": ["sg-1"],
        }


def test_app_user_is_set_for_migrations_only(run_alone: RunAlone) -> None:
    graph = run_alone(lambda: make(app_user="reader"))
    variables = {f.name: f.inputs.get("environment", {}).get("variables", {}) for f in graph.of_type(FUNCTION)}
    assert {name: v["APP_USER"] for name, v in variables.items() if "APP_USER" in v} == {
        "profiles-migrate-database": "reader"
    }


def test_migration_is_invoked_by_the_deployment(profiles: Graph, packages: dict[str, Package]) -> None:
    invocation = profiles.one(INVOCATION)
    assert invocation.inputs == {
        "functionName": "profiles-migrate-database-abc1234",
        "input": '{"target": "head"}',
        "triggers": {
            "package": sha256(packages["migrate_database"].archive.read_bytes()).hexdigest(),
            "database": "cluster-1",
        },
        "lifecycleScope": "CREATE_ONLY",
    }
    assert profiles.one(FUNCTION, "profiles-migrate-database").urn in invocation.property_dependencies["functionName"]


@pytest.mark.parametrize("function", ["profiles-profile", "profiles-erase-profile"])
def test_function_depends_on_migration(profiles: Graph, function: str) -> None:
    """A dependency of the function itself, so that a failed migration also prevents its update."""
    assert profiles.one(INVOCATION).urn in profiles.one(FUNCTION, function).dependencies


@pytest.mark.parametrize("change", ["another package", "another database"])
def test_migration_runs_again_for(
    run_alone: RunAlone, packages: dict[str, Package], profiles: Graph, tmp_path: Path, change: str
) -> None:
    if change == "another package":
        archive = tmp_path / "migrate_database.zip"
        archive.write_bytes(packages["migrate_database"].archive.read_bytes() + b"another")
        others = {**packages, "migrate_database": replace(packages["migrate_database"], archive=archive)}
        with_others = use_packages(others)(make)
        graph = run_alone(with_others)
    else:
        graph = run_alone(lambda: make(migrations=replace(access("owner"), database_id="cluster-2")))
    before, after = profiles.one(INVOCATION).inputs["triggers"], graph.one(INVOCATION).inputs["triggers"]
    assert len({name for name in before if before[name] != after[name]}) == 1


def test_migration_targets_head(profiles: Graph) -> None:
    assert json.loads(profiles.one(INVOCATION).inputs["input"]) == {"target": "head"}


def test_outputs(profiles: Graph) -> None:
    assert profiles.one("avatars:index:ProfileApi").component_outputs == {
        "migrate_function_name": "profiles-migrate-database-abc1234",
        "erase_function_arn": arn("lambda", "function:profiles-erase-profile-abc1234"),
    }


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"issuer": "http://issuer"}, "issuer is 'http://issuer'; allowed is an https:// URL"),
        ({"handle_hold_days": 366}, "handle_hold_days is 366; allowed is an integer from 0 to 365"),
        ({"log_retention_days": 2}, "log_retention_days is 2; allowed is a number of days that CloudWatch Logs"),
    ],
)
def test_args_invalid_raises_value_error(run_alone: RunAlone, settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        run_alone(lambda: make(**settings))
