"""Fixtures that run the program and single components under the recorder.

Tests check the registered resources: inputs, parents, dependencies. They cannot check that AWS accepts the inputs, that
a policy is sufficient at run time, or what an update replaces.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import pytest
import yaml

from lambda_packages import build
from lambda_packages.build import Package
from local.recording.graph import Graph, Resource
from local.recording.recorder import Create, run_program

ROOT = Path(__file__).parents[2]
REGION = "eu-west-1"
ACCOUNT = "123456789012"
LAYERS = {
    "authorize": ["jwt"],
    "presign_upload": [],
    "upload_status": ["boto3"],
    "sweep_avatars": ["boto3"],
    "current_avatar": ["boto3"],
    "delete_avatar": ["boto3"],
    "erase_user": ["boto3"],
    "process_avatar": ["boto3", "heif", "imaging"],
    "finish_upload": ["boto3", "heif", "imaging"],
    "profile": ["boto3", "postgres"],
    "erase_profile": ["boto3", "postgres"],
    "migrate_database": ["alembic", "boto3", "postgres"],
}
SECRET_KEYS = ("avatars:databaseUrl",)
"""Secrets of the tests' configuration."""

Computed = Mapping[str, Any]


def arn(service: str, rest: str, region: str = REGION) -> str:
    return f"arn:aws:{service}:{region}:{ACCOUNT}:{rest}"


def get_physical_name(resource: Resource) -> str:
    """Returns the physical name: the given one, or an auto-name."""
    return resource.inputs.get("name") or f"{resource.name}-abc1234"


def _bucket(r: Resource) -> Computed:
    name = r.inputs.get("bucket") or get_physical_name(r)
    return {
        "id": name,
        "bucket": name,
        "arn": f"arn:aws:s3:::{name}",
        "bucketRegionalDomainName": f"{name}.s3.{REGION}.amazonaws.com",
    }


def _queue(r: Resource) -> Computed:
    name = get_physical_name(r)
    url = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}"
    return {"id": url, "url": url, "name": name, "arn": arn("sqs", name)}


def _function(r: Resource) -> Computed:
    function_arn = arn("lambda", f"function:{get_physical_name(r)}")
    path = f"lambda:path/2015-03-31/functions/{function_arn}/invocations"
    invoke_arn = f"arn:aws:apigateway:{REGION}:{path}"
    return {"name": get_physical_name(r), "arn": function_arn, "invokeArn": invoke_arn}


def _certificate(r: Resource) -> Computed:
    domain = r.inputs["domainName"]
    proof = {
        "domainName": domain,
        "resourceRecordName": f"_proof.{domain}.",
        "resourceRecordType": "CNAME",
        "resourceRecordValue": "_value.acm-validations.aws.",
    }
    certificate_arn = arn("acm", f"certificate/{r.name}", r.inputs.get("region", REGION))
    return {"arn": certificate_arn, "domainValidationOptions": [proof]}


def _domain_name(r: Resource) -> Computed:
    target = {"targetDomainName": f"d-abc.execute-api.{REGION}.amazonaws.com", "hostedZoneId": "ZAPIGATEWAY"}
    return {
        "id": r.inputs["domainName"],
        "domainNameConfiguration": {**r.inputs["domainNameConfiguration"], **target},
    }


def _named(service: str, resource: str) -> Callable[[Resource], Computed]:
    return lambda r: {"name": get_physical_name(r), "arn": arn(service, f"{resource}{get_physical_name(r)}")}


def _cloud_control(r: Resource) -> Computed:
    """Returns the properties of a cluster."""
    assert r.inputs["typeName"] == "AWS::RDS::DBCluster"
    desired = json.loads(r.inputs["desiredState"])
    # The default port of the type's handler, whatever the engine:
    # https://github.com/aws-cloudformation/aws-cloudformation-resource-providers-rds/blob/master/aws-rds-dbcluster/src/main/java/software/amazon/rds/dbcluster/ModelAdapter.java
    port = str(desired.get("Port", 3306))
    facts = {
        "DBClusterIdentifier": f"rds-{r.name}",
        "DBClusterArn": arn("rds", f"cluster:rds-{r.name}"),
        "DBClusterResourceId": "cluster-ABCDEFGHIJKL01234",
        "Endpoint": {"Address": f"rds-{r.name}.cluster-abc.{REGION}.rds.amazonaws.com", "Port": port},
    }
    # Cloud Control's identifier is the value of the type's primary identifier.
    return {"id": f"rds-{r.name}", "properties": json.dumps({**desired, **facts})}


# Computed outputs of each resource type of the program. Reading another output or creating another type is an error.
COMPUTED: dict[str, Callable[[Resource], Computed]] = {
    "pulumi:providers:aws": lambda r: {},
    "aws:s3/bucket:Bucket": _bucket,
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": lambda r: {},
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": lambda r: {},
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": lambda r: {},
    "aws:s3/bucketVersioning:BucketVersioning": lambda r: {},
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": lambda r: {},
    "aws:s3/bucketCorsConfiguration:BucketCorsConfiguration": lambda r: {},
    "aws:s3/bucketPolicy:BucketPolicy": lambda r: {},
    "aws:s3/bucketNotification:BucketNotification": lambda r: {},
    "aws:s3/bucketObjectv2:BucketObjectv2": lambda r: {},
    "aws:cloudfront/originAccessControl:OriginAccessControl": lambda r: {},
    "aws:cloudfront/cachePolicy:CachePolicy": lambda r: {},
    "aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy": lambda r: {},
    "aws:cloudfront/distribution:Distribution": lambda r: {
        "arn": f"arn:aws:cloudfront::{ACCOUNT}:distribution/{r.name}",
        "domainName": "d111111abcdef8.cloudfront.net",
        "hostedZoneId": "ZCLOUDFRONT",
    },
    "aws:cloudwatch/logDeliverySource:LogDeliverySource": lambda r: {
        "name": get_physical_name(r),
        "arn": arn("logs", f"delivery-source:{get_physical_name(r)}", "us-east-1"),
    },
    "aws:cloudwatch/logDeliveryDestination:LogDeliveryDestination": lambda r: {
        "arn": arn("logs", f"delivery-destination:{get_physical_name(r)}", "us-east-1")
    },
    "aws:cloudwatch/logDelivery:LogDelivery": lambda r: {},
    "aws:cloudwatch/logGroup:LogGroup": lambda r: {
        "name": get_physical_name(r),
        "arn": arn("logs", f"log-group:{get_physical_name(r)}"),
    },
    "aws:cloudwatch/metricAlarm:MetricAlarm": _named("cloudwatch", "alarm:"),
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": lambda r: {},
    "aws:budgets/budget:Budget": lambda r: {},
    "aws:cloudwatch/dashboard:Dashboard": lambda r: {},
    "aws:cloudwatch/queryDefinition:QueryDefinition": lambda r: {},
    "aws:xray/resourcePolicy:ResourcePolicy": lambda r: {},
    "aws:acm/certificate:Certificate": _certificate,
    "aws:acm/certificateValidation:CertificateValidation": lambda r: {},
    "aws:route53/record:Record": lambda r: {"fqdn": r.inputs["name"].rstrip(".")},
    "aws:dynamodb/table:Table": _named("dynamodb", "table/"),
    "aws:sqs/queue:Queue": _queue,
    "aws:sqs/queuePolicy:QueuePolicy": lambda r: {},
    "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy": lambda r: {},
    "aws:sns/topic:Topic": lambda r: {"arn": arn("sns", get_physical_name(r), r.inputs.get("region", REGION))},
    "aws:sns/topicPolicy:TopicPolicy": lambda r: {},
    "aws:sns/topicSubscription:TopicSubscription": lambda r: {},
    "aws:iam/role:Role": lambda r: {
        "name": get_physical_name(r),
        "arn": f"arn:aws:iam::{ACCOUNT}:role/{get_physical_name(r)}",
    },
    "aws:iam/rolePolicy:RolePolicy": lambda r: {},
    "aws:lambda/function:Function": _function,
    "aws:lambda/layerVersion:LayerVersion": lambda r: {"arn": arn("lambda", f"layer:{r.inputs['layerName']}:1")},
    "aws:lambda/permission:Permission": lambda r: {},
    "aws:lambda/eventSourceMapping:EventSourceMapping": lambda r: {},
    "aws:lambda/invocation:Invocation": lambda r: {},
    "aws:scheduler/schedule:Schedule": lambda r: {},
    "aws:ssm/parameter:Parameter": lambda r: {**_named("ssm", "parameter/")(r), "version": 1},
    "aws:ec2/vpc:Vpc": lambda r: {"region": REGION},
    "aws:ec2/subnet:Subnet": lambda r: {},
    "aws:ec2/routeTable:RouteTable": lambda r: {},
    "aws:ec2/routeTableAssociation:RouteTableAssociation": lambda r: {},
    "aws:ec2/vpcEndpoint:VpcEndpoint": lambda r: {"prefixListId": "pl-6da54004"},
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": lambda r: {},
    "aws:ec2/securityGroup:SecurityGroup": lambda r: {},
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": lambda r: {},
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": lambda r: {},
    "aws:rds/subnetGroup:SubnetGroup": _named("rds", "subgrp:"),
    "aws:rds/clusterParameterGroup:ClusterParameterGroup": _named("rds", "cluster-pg:"),
    "aws:rds/clusterInstance:ClusterInstance": lambda r: {},
    "aws:cloudcontrol/resource:Resource": _cloud_control,
    "aws:cognito/userPool:UserPool": lambda r: {
        "id": f"{REGION}_AbCdEfGhI",
        "endpoint": f"cognito-idp.{REGION}.amazonaws.com/{REGION}_AbCdEfGhI",
    },
    "aws:cognito/userPoolClient:UserPoolClient": lambda r: {"id": "1example23456789"},
    "aws:apigatewayv2/api:Api": lambda r: {
        "id": "a1b2c3d4e5",
        "apiEndpoint": f"https://a1b2c3d4e5.execute-api.{REGION}.amazonaws.com",
        "executionArn": arn("execute-api", "a1b2c3d4e5"),
    },
    "aws:apigatewayv2/authorizer:Authorizer": lambda r: {"id": "auth01"},
    "aws:apigatewayv2/integration:Integration": lambda r: {},
    "aws:apigatewayv2/route:Route": lambda r: {},
    "aws:apigatewayv2/stage:Stage": lambda r: {},
    "aws:apigatewayv2/domainName:DomainName": _domain_name,
    "aws:apigatewayv2/apiMapping:ApiMapping": lambda r: {},
}


def create(resource: Resource) -> tuple[str, Computed]:
    computed = {**COMPUTED[resource.type](resource)}
    return computed.pop("id", f"{resource.name}-id"), computed


def invoke(token: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
    if token == "aws:index/getCallerIdentity:getCallerIdentity":
        return {"accountId": ACCOUNT, "arn": "", "userId": "", "id": ACCOUNT}
    if token == "aws:route53/getZone:getZone":
        assert args["privateZone"] is False
        if args["name"] != "example.com":
            # https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/route53/zone_data_source.go
            raise RuntimeError(f"invocation of {token} returned an error: no matching Route 53 Hosted Zone found")
        return {"zoneId": "ZLOOKEDUP", "name": "example.com", "id": "ZLOOKEDUP"}
    if token == "aws:index/getAvailabilityZones:getAvailabilityZones":
        filters = [{"name": "opt-in-status", "values": ["opt-in-not-required"]}]
        assert args == {"state": "available", "filters": filters, "excludeZoneIds": ["use1-az3"]}
        return {"names": [f"{REGION}{letter}" for letter in "abc"], "id": REGION, "zoneIds": [], "groupNames": []}
    raise AssertionError(f"unexpected invoke of {token}")


@cache
def project_config() -> dict[str, dict[str, Any]]:
    return yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]


def to_config_value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def stack_config(settings: Mapping[str, object]) -> dict[str, str]:
    """Returns the configuration of a stack with the project's defaults. None removes a key."""
    defaults = {f"avatars:{key}": schema["default"] for key, schema in project_config().items()}
    named = {key if ":" in key else f"avatars:{key}": value for key, value in settings.items()}
    merged = {**defaults, "aws:region": REGION, **named}
    return {key: to_config_value(value) for key, value in merged.items() if value is not None}


def run_main(
    config: Mapping[str, str],
    *,
    preview: bool = False,
    secret_keys: tuple[str, ...] = SECRET_KEYS,
    create: Create = create,
) -> Graph:
    return run_program(
        ROOT / "__main__.py", config=config, secret_keys=secret_keys, create=create, invoke=invoke, preview=preview
    )


class RunStack(Protocol):
    def __call__(
        self, settings: Mapping[str, object] = ..., *, preview: bool = ..., secret_keys: tuple[str, ...] = ...
    ) -> Graph: ...


RunAlone = Callable[[Callable[[], object]], Graph]


@pytest.fixture(scope="session", autouse=True)
def _outputs_in_strings_are_errors() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PULUMI_ERROR_OUTPUT_STRING", "true")
        yield


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Package]:
    return stand_in_packages(tmp_path_factory.mktemp("packages"))


def stand_in_packages(folder: Path) -> dict[str, Package]:
    """Returns placeholders for all packages; the content of packages has its own tests."""

    def archive(name: str) -> Path:
        path = folder / f"{name}.zip"
        with zipfile.ZipFile(path, "w") as content:
            content.writestr("empty", "")
        return path

    return {
        name: Package(
            name=name,
            archive=archive(name),
            handler=f"functions.{name}.handler.handle",
            layers={layer: archive(layer) for layer in layers},
        )
        for name, layers in LAYERS.items()
    }


@contextmanager
def use_packages(packages: Mapping[str, Package]) -> Generator[list[str]]:
    """Replaces the build of packages, and yields the names of the functions that are asked for."""
    requested: list[str] = []

    def get(functions: Sequence[str]) -> dict[str, Package]:
        requested.extend(functions)
        return {function: packages[function] for function in functions}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "build_packages_once", get)
        yield requested


@pytest.fixture(scope="session")
def graphs() -> dict[str, Graph]:
    """Recorded graphs by configuration: a run takes seconds, and many tests use the same graph."""
    return {}


@pytest.fixture
def run_stack(packages: dict[str, Package], graphs: dict[str, Graph]) -> RunStack:
    """Runs __main__.py with the project's defaults and the given settings, once per configuration."""

    def run(
        settings: Mapping[str, object] | None = None,
        *,
        preview: bool = False,
        secret_keys: tuple[str, ...] = SECRET_KEYS,
    ) -> Graph:
        config = stack_config(settings or {})
        key = repr((sorted(config.items()), preview, secret_keys))
        if key not in graphs:
            with use_packages(packages):
                graphs[key] = run_main(config, preview=preview, secret_keys=secret_keys)
        return graphs[key]

    return run


@pytest.fixture(scope="session")
def run_alone(packages: dict[str, Package]) -> RunAlone:
    """Runs a function as a program without configuration."""

    def run(program: Callable[[], object]) -> Graph:
        with use_packages(packages):
            return run_program(program, config={}, create=create, invoke=invoke)

    return run


def get_statements(policy: str) -> list[dict[str, Any]]:
    """Returns the statements of a policy document."""
    return json.loads(policy)["Statement"]
