"""ProfileApi, with an UploadApi to put its routes into."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from components.blocks import iam
from components.blocks.python_function import Network
from components.database.external import DatabaseAccess
from components.profile_api import ProfileApi, ProfileApiArgs
from components.upload_api import UploadApi
from lambda_packages.build import Package
from local.recording.recorder import Graph
from tests.components import test_upload_api as upload_api
from tests.components.conftest import RunAlone, arn, document

ASSETS_ARN = "arn:aws:s3:::their-assets"
FUNCTION = "aws:lambda/function:Function"
INVOCATION = "aws:lambda/invocation:Invocation"
NETWORK = Network(subnet_ids=["subnet-1", "subnet-2"], security_group_ids=["sg-1"])


def access(user: str, network: Network | None = None) -> DatabaseAccess:
    return DatabaseAccess(
        environment={"PGHOST": "db", "PGUSER": user},
        statements=[iam.connect_to_database(arn("rds-db", f"dbuser:cluster-1/{user}"))],
        network=network,
        database_id="cluster-1",
    )


def make(built: Mapping[str, Package], **settings: Any) -> ProfileApi:
    given: dict[str, Any] = {
        "packages": built,
        "api": UploadApi("api", upload_api.args(built)),
        "assets_bucket_name": "their-assets",
        "assets_bucket_arn": ASSETS_ARN,
        "issuer": upload_api.ISSUER,
        "database": access("reader"),
        "migrations": access("owner"),
    }
    return ProfileApi("profiles", ProfileApiArgs(**{**given, **settings}))


@pytest.fixture(scope="module")
def profiles(run_alone: RunAlone, packages: dict[str, Package]) -> Graph:
    return run_alone(lambda: make(packages))


def test_its_routes_are_the_apis_and_only_another_users_profile_is_open_to_everybody(profiles: Graph) -> None:
    routes = {r.inputs["routeKey"]: r for r in profiles.of_type("aws:apigatewayv2/route:Route")}
    invoked = profiles.one(FUNCTION, "profiles-profile").outputs["invokeArn"]
    for key, role, authorization in (
        ("GET /profiles/{handle}", "api-get-profiles-handle", {"authorizationType": "NONE"}),
        ("GET /profile", "api-get-profile", {"authorizationType": "CUSTOM", "authorizerId": "auth01"}),
        ("PUT /profile", "api-put-profile", {"authorizationType": "CUSTOM", "authorizerId": "auth01"}),
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
    assert [key.split(" ")[1].split("/")[1] for key in routes] == ["avatars"] * 3


@pytest.mark.parametrize(
    ("function", "timeout", "layers", "environment"),
    [
        (
            "profile",
            29,
            ["boto3", "postgres"],
            {"ASSETS_BUCKET": "their-assets", "ISSUER": upload_api.ISSUER, "PGHOST": "db", "PGUSER": "reader"},
        ),
        ("migrate_database", 300, ["alembic", "boto3", "postgres"], {"PGHOST": "db", "PGUSER": "owner"}),
    ],
)
def test_each_function_has_its_size_its_layers_and_its_settings(
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
                {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"{ASSETS_ARN}/avatars/*.json"},
                {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": ASSETS_ARN},
                {
                    "Effect": "Allow",
                    "Action": "rds-db:connect",
                    "Resource": arn("rds-db", "dbuser:cluster-1/reader"),
                },
            ],
        ),
        (
            "migrate-database",
            [{"Effect": "Allow", "Action": "rds-db:connect", "Resource": arn("rds-db", "dbuser:cluster-1/owner")}],
        ),
    ],
)
def test_each_function_may_do_this_and_write_its_own_logs(
    profiles: Graph, function: str, statements: list[dict[str, Any]]
) -> None:
    logs, *rest = document(profiles.named(f"profiles-{function}-policy").inputs["policy"])
    assert logs["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert rest == statements


def test_each_function_is_in_the_network_of_its_access(run_alone: RunAlone, packages: dict[str, Package]) -> None:
    graph = run_alone(lambda: make(packages, database=access("reader", NETWORK), migrations=access("owner", NETWORK)))
    for function in ("profiles-profile", "profiles-migrate-database"):
        assert graph.one(FUNCTION, function).inputs["vpcConfig"] == {
            "subnetIds": ["subnet-1", "subnet-2"],
            "securityGroupIds": ["sg-1"],
        }


def test_the_user_that_migrations_have_to_make_is_named_to_them_alone(
    run_alone: RunAlone, packages: dict[str, Package]
) -> None:
    graph = run_alone(lambda: make(packages, app_user="reader"))
    variables = {f.name: f.inputs.get("environment", {}).get("variables", {}) for f in graph.of_type(FUNCTION)}
    assert {name: v["APP_USER"] for name, v in variables.items() if "APP_USER" in v} == {
        "profiles-migrate-database": "reader"
    }


def test_the_schema_is_migrated_as_part_of_the_deployment(profiles: Graph, packages: dict[str, Package]) -> None:
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


def test_the_code_that_expects_the_schema_comes_after_it(profiles: Graph) -> None:
    """An edge of the function itself: an update of it too waits, and does not happen when a migration fails."""
    assert profiles.one(INVOCATION).urn in profiles.one(FUNCTION, "profiles-profile").dependencies


@pytest.mark.parametrize("change", ["another package", "another database"])
def test_it_is_migrated_again_for(
    run_alone: RunAlone, packages: dict[str, Package], profiles: Graph, tmp_path: Path, change: str
) -> None:
    if change == "another package":
        archive = tmp_path / "migrate_database.zip"
        archive.write_bytes(packages["migrate_database"].archive.read_bytes() + b"another")
        others = {**packages, "migrate_database": replace(packages["migrate_database"], archive=archive)}
        graph = run_alone(lambda: make(others))
    else:
        graph = run_alone(lambda: make(packages, migrations=replace(access("owner"), database_id="cluster-2")))
    before, after = profiles.one(INVOCATION).inputs["triggers"], graph.one(INVOCATION).inputs["triggers"]
    assert len({name for name in before if before[name] != after[name]}) == 1


def test_what_is_migrated_to_is_the_newest(profiles: Graph) -> None:
    assert json.loads(profiles.one(INVOCATION).inputs["input"]) == {"target": "head"}


def test_what_it_gives(profiles: Graph) -> None:
    assert profiles.one("avatars:index:ProfileApi").component_outputs == {
        "migrate_function_name": "profiles-migrate-database-abc1234"
    }


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"packages": {}}, r"packages is \{\}; allowed is a mapping with profile, migrate_database"),
        ({"issuer": "http://issuer"}, "issuer is 'http://issuer'; allowed is an https:// URL"),
        ({"log_retention_days": 2}, "log_retention_days is 2; allowed is one of the numbers of days CloudWatch knows"),
    ],
)
def test_wrong_arguments_are_refused(
    run_alone: RunAlone, packages: dict[str, Package], settings: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        run_alone(lambda: make(packages, **settings))
