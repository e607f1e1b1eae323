"""PythonFunction and its layers, used alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi_aws import cloudwatch

from components.blocks import iam
from components.blocks.python_function import Network, PythonFunction, PythonFunctionArgs, publish_layers
from lambda_packages.build import Package
from local.recording.recorder import Graph
from tests.components.conftest import ACCOUNT, RunAlone, document

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


def test_its_logs_have_a_group_of_their_own_with_a_retention(function: Graph) -> None:
    assert function.named("thing-logs").inputs == {"retentionInDays": 90}
    assert function.one(FUNCTION).inputs["loggingConfig"] == {
        "logFormat": "JSON",
        "logGroup": "thing-logs-abc1234",
        "applicationLogLevel": "INFO",
        "systemLogLevel": "WARN",
    }


def test_its_role_is_for_lambda_alone(function: Graph) -> None:
    role = function.one("aws:iam/role:Role")
    assert role.inputs.keys() == {"description", "assumeRolePolicy"}
    assert document(role.inputs["assumeRolePolicy"]) == [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ]


def test_it_may_write_its_own_logs_and_what_it_is_given(function: Graph) -> None:
    assert document(function.named("thing-policy").inputs["policy"]) == [
        {
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": f"arn:aws:logs:eu-west-1:{ACCOUNT}:log-group:thing-logs-abc1234:*",
        },
        {"Effect": "Allow", "Action": "sns:Publish", "Resource": "arn:aws:sns:eu-west-1:123456789012:topic"},
    ]


def test_it_is_made_after_its_policy(function: Graph) -> None:
    assert function.named("thing-policy").urn in function.one(FUNCTION).dependencies


def test_in_a_vpc_lambda_may_give_it_addresses_and_its_own_code_may_not(
    run_alone: RunAlone, packages: dict[str, Package]
) -> None:
    network = Network(subnet_ids=["subnet-1", "subnet-2"], security_group_ids=["sg-1"])
    graph = run_alone(lambda: PythonFunction("thing", args(packages["presign_upload"], network=network)))
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
    assert document(graph.named("thing-policy").inputs["policy"])[2:] == [
        {"Effect": "Allow", **interfaces},
        {"Effect": "Deny", **interfaces, "Condition": from_code},
    ]


def test_outside_of_a_vpc_it_has_no_network(function: Graph) -> None:
    assert "vpcConfig" not in function.one(FUNCTION).inputs


def test_it_is_made_after_what_it_waits_for(run_alone: RunAlone, packages: dict[str, Package]) -> None:
    def program() -> None:
        first = cloudwatch.LogGroup("first")
        PythonFunction("thing", args(packages["presign_upload"], after=[first]))

    graph = run_alone(program)
    function = graph.one(FUNCTION)
    assert {graph.named("first").urn, graph.named("thing-policy").urn} <= function.dependencies


def test_what_a_component_depends_on_its_function_does_not(run_alone: RunAlone, packages: dict[str, Package]) -> None:
    """Why there is `after`: in the order of an update or a deletion only the edges of a resource itself count."""

    def program() -> None:
        first = cloudwatch.LogGroup("first")
        opts = pulumi.ResourceOptions(depends_on=[first])
        PythonFunction("thing", args(packages["presign_upload"]), opts)

    graph = run_alone(program)
    assert graph.named("first").urn in graph.one("avatars:index:PythonFunction").dependencies
    assert graph.named("first").urn not in graph.one(FUNCTION).dependencies


def test_without_settings_it_has_no_environment(run_alone: RunAlone, packages: dict[str, Package]) -> None:
    graph = run_alone(lambda: PythonFunction("thing", args(packages["presign_upload"], environment={})))
    assert "environment" not in graph.one(FUNCTION).inputs


def test_a_layer_that_two_functions_need_is_published_once(run_alone: RunAlone, packages: dict[str, Package]) -> None:
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
        "description": "What the functions of api import for two_words",
        "compatibleRuntimes": ["python3.14"],
        "compatibleArchitectures": ["arm64"],
    }


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL_S3", "AWS_REGION", "aws_endpoint_url"])
def test_variables_that_could_point_a_deployed_function_elsewhere_are_refused(
    packages: dict[str, Package], name: str
) -> None:
    with pytest.raises(ValueError, match=rf"may not be given \['{name}'\]: names beginning with AWS_ are reserved"):
        args(packages["presign_upload"], environment={"A": "b", name: "http://127.0.0.1"})


def test_an_archive_that_was_not_built_is_refused(packages: dict[str, Package]) -> None:
    package = replace(packages["presign_upload"], archive=Path("nowhere.zip"))
    with pytest.raises(
        ValueError, match=r"function presign_upload: nowhere\.zip does not exist; lambda_packages\.build"
    ):
        args(package)


def test_a_layer_that_was_not_built_is_refused(run_alone: RunAlone, packages: dict[str, Package]) -> None:
    package = replace(packages["authorize"], layers={"jwt": Path("nowhere.zip")})
    with pytest.raises(ValueError, match=r"no archive for the layers \['jwt \(nowhere\.zip\)'\]"):
        run_alone(lambda: publish_layers("api", [package], pulumi.ResourceOptions()))


def test_a_function_without_its_layers_is_refused(packages: dict[str, Package]) -> None:
    with pytest.raises(ValueError, match=r"function authorize needs the layers \['jwt'\], given are \[\]"):
        args(packages["authorize"])


def test_wrong_arguments_are_refused(packages: dict[str, Package]) -> None:
    with pytest.raises(ValueError, match=r"memory is 64; allowed is a whole number from 128[^\n]*\n.*timeout is 901"):
        args(packages["presign_upload"], memory=64, timeout=901)
