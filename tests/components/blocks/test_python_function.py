"""PythonFunction and its layers, used alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi_aws import cloudwatch

from components.blocks import iam
from components.blocks.python_function import PythonFunction, PythonFunctionArgs, VpcConfig, publish_layers
from lambda_packages.build import Package
from local.recording.graph import Graph
from tests.components.conftest import ACCOUNT, RunAlone, get_statements

FUNCTION = "aws:lambda/function:Function"


def args(package: Package, **settings: Any) -> PythonFunctionArgs:
    given: dict[str, Any] = {
        "package": package,
        "description": "Does a thing",
        "memory": 256,
        "timeout": 3,
        "environment": {"A": "b"},
        "statements": [iam.publish("arn:aws:sns:eu-west-1:123456789012:topic")],
    }
    return PythonFunctionArgs(**{**given, **settings})


@pytest.fixture(scope="module")
def function(run_alone: RunAlone, packages: dict[str, Package]) -> Graph:
    return run_alone(lambda: PythonFunction("thing", args(packages["presign_upload"], log_retention_days=90)))


def test_log_group_has_retention_and_receives_logs(function: Graph) -> None:
    assert function.named("thing-logs").inputs == {"retentionInDays": 90}
    assert function.one(FUNCTION).inputs["loggingConfig"] == {
        "logFormat": "JSON",
        "logGroup": "thing-logs-abc1234",
        "applicationLogLevel": "INFO",
        "systemLogLevel": "WARN",
    }


@pytest.mark.parametrize("reserved", [None, 0, 20])
def test_function_has_reserved_concurrency_only_if_given(
    run_alone: RunAlone, packages: dict[str, Package], reserved: int | None
) -> None:
    graph = run_alone(lambda: PythonFunction("thing", args(packages["presign_upload"], reserved_concurrency=reserved)))
    assert graph.one(FUNCTION).inputs.get("reservedConcurrentExecutions") == reserved


def test_role_trusts_lambda_only(function: Graph) -> None:
    role = function.one("aws:iam/role:Role")
    assert role.inputs.keys() == {"description", "assumeRolePolicy"}
    assert get_statements(role.inputs["assumeRolePolicy"]) == [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ]


def test_role_policy_allows_logs_and_given_statements(function: Graph) -> None:
    assert get_statements(function.named("thing-policy").inputs["policy"]) == [
        {
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": f"arn:aws:logs:eu-west-1:{ACCOUNT}:log-group:thing-logs-abc1234:*",
        },
        {"Effect": "Allow", "Action": "sns:Publish", "Resource": "arn:aws:sns:eu-west-1:123456789012:topic"},
    ]


def test_function_depends_on_role_policy(function: Graph) -> None:
    assert function.named("thing-policy").urn in function.one(FUNCTION).dependencies


def test_vpc_policy_allows_lambda_and_denies_function_code(run_alone: RunAlone, packages: dict[str, Package]) -> None:
    vpc_config = VpcConfig(subnet_ids=["subnet-1", "subnet-2"], security_group_ids=["sg-1"])
    graph = run_alone(lambda: PythonFunction("thing", args(packages["presign_upload"], vpc_config=vpc_config)))
    assert graph.one(FUNCTION).inputs["vpcConfig"] == {
        "subnetIds": ["subnet-1", "subnet-2"],
        "securityGroupIds": ["sg-1"],
    }
    interfaces = {
        "Action": [
            "ec2:AssignPrivateIpAddresses",
            "ec2:CreateNetworkInterface",
            "ec2:DeleteNetworkInterface",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSubnets",
            "ec2:UnassignPrivateIpAddresses",
        ],
        "Resource": "*",
    }
    from_code = {"ArnLike": {"lambda:SourceFunctionArn": "arn:*:lambda:*:*:function:*"}}
    assert get_statements(graph.named("thing-policy").inputs["policy"])[2:] == [
        {"Effect": "Allow", **interfaces},
        {"Effect": "Deny", **interfaces, "Condition": from_code},
    ]


def test_function_without_vpc_has_no_vpc_config(function: Graph) -> None:
    assert "vpcConfig" not in function.one(FUNCTION).inputs


def test_depends_on_of_args_applies_to_function(run_alone: RunAlone, packages: dict[str, Package]) -> None:
    def program() -> None:
        first = cloudwatch.LogGroup("first")
        PythonFunction("thing", args(packages["presign_upload"], depends_on=[first]))

    graph = run_alone(program)
    function = graph.one(FUNCTION)
    assert {graph.named("first").urn, graph.named("thing-policy").urn} <= function.dependencies


def test_depends_on_of_component_does_not_apply_to_function(run_alone: RunAlone, packages: dict[str, Package]) -> None:
    """Why the args have `depends_on`: only a resource's own dependencies order updates and deletions."""

    def program() -> None:
        first = cloudwatch.LogGroup("first")
        opts = pulumi.ResourceOptions(depends_on=[first])
        PythonFunction("thing", args(packages["presign_upload"]), opts)

    graph = run_alone(program)
    assert graph.named("first").urn in graph.one("avatars:index:PythonFunction").dependencies
    assert graph.named("first").urn not in graph.one(FUNCTION).dependencies


def test_function_without_variables_has_no_environment(run_alone: RunAlone, packages: dict[str, Package]) -> None:
    graph = run_alone(lambda: PythonFunction("thing", args(packages["presign_upload"], environment={})))
    assert "environment" not in graph.one(FUNCTION).inputs


def test_publish_layers_shared_layer_is_published_once(run_alone: RunAlone, packages: dict[str, Package]) -> None:
    shared = packages["profile"].layers["postgres"]
    both = [
        replace(packages["profile"], layers={"two_words": shared}),
        replace(packages["migrate_database"], layers={**packages["migrate_database"].layers, "two_words": shared}),
    ]
    graph = run_alone(lambda: publish_layers("api", both, pulumi.ResourceOptions()))
    layers = graph.of_type("aws:lambda/layerVersion:LayerVersion")
    assert sorted(layer.name for layer in layers) == [
        "api-layer-alembic",
        "api-layer-boto3",
        "api-layer-postgres",
        "api-layer-two-words",
    ]
    inputs = graph.named("api-layer-two-words").inputs
    assert inputs.pop("code").path == str(shared)
    assert inputs == {
        "layerName": "api-two-words-test",
        "description": "Dependencies of the functions of api: two_words",
        "compatibleRuntimes": ["python3.14"],
        "compatibleArchitectures": ["arm64"],
    }


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL_S3", "AWS_REGION", "aws_endpoint_url"])
def test_environment_reserved_name_raises_value_error(packages: dict[str, Package], name: str) -> None:
    with pytest.raises(
        ValueError, match=rf"cannot have the environment variables \['{name}'\]: names that start with AWS_ are"
    ):
        args(packages["presign_upload"], environment={"A": "b", name: "http://127.0.0.1"})


def test_args_missing_archive_raises_value_error(packages: dict[str, Package]) -> None:
    package = replace(packages["presign_upload"], archive=Path("nowhere.zip"))
    with pytest.raises(
        ValueError, match=r"function presign_upload: nowhere\.zip does not exist; lambda_packages\.build"
    ):
        args(package)


def test_publish_layers_missing_archive_raises_value_error(run_alone: RunAlone, packages: dict[str, Package]) -> None:
    package = replace(packages["authorize"], layers={"jwt": Path("nowhere.zip")})
    with pytest.raises(ValueError, match=r"no archive for the layers \['jwt \(nowhere\.zip\)'\]"):
        run_alone(lambda: publish_layers("api", [package], pulumi.ResourceOptions()))


def test_args_missing_layers_raises_value_error(packages: dict[str, Package]) -> None:
    with pytest.raises(ValueError, match=r"function authorize needs the layers \['jwt'\], given are \[\]"):
        args(packages["authorize"])


def test_args_invalid_raises_value_error(packages: dict[str, Package]) -> None:
    with pytest.raises(ValueError, match=r"memory is 64; allowed is an integer from 128[^\n]*\n.*timeout is 901"):
        args(packages["presign_upload"], memory=64, timeout=901)
