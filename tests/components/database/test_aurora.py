"""AuroraDatabase and its network, used alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.blocks.python_function import PythonFunction, PythonFunctionArgs
from components.database.aurora import AuroraDatabase, AuroraDatabaseArgs
from lambda_packages.build import Package
from local.recording.recorder import Graph
from tests.components.conftest import REGION, RunAlone, arn, document

ASSETS_ARN = "arn:aws:s3:::their-assets"
CLUSTER = "aws:cloudcontrol/resource:Resource"
HOST = f"rds-db-cluster.cluster-abc.{REGION}.rds.amazonaws.com"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
FUNCTIONS, DATABASE = "db-functions-id", "db-database-id"
RULES = ("db-from-functions", "db-to-database", "db-to-s3")


def make(**settings: Any) -> AuroraDatabase:
    tags = {"Stack": "test", "Project": "avatars"}
    return AuroraDatabase("db", AuroraDatabaseArgs(assets_bucket_arn=ASSETS_ARN, tags=tags, **settings))


@pytest.fixture(scope="module")
def aurora(run_alone: RunAlone) -> Graph:
    return run_alone(make)


def desired(graph: Graph) -> dict[str, Any]:
    return json.loads(graph.one(CLUSTER).inputs["desiredState"])


def test_the_cluster_is_postgresql_that_pauses_and_that_nobody_has_a_password_of(aurora: Graph) -> None:
    assert aurora.one(CLUSTER).inputs["typeName"] == "AWS::RDS::DBCluster"
    assert desired(aurora) == {
        "Engine": "aurora-postgresql",
        "EngineVersion": "17.7",
        "ServerlessV2ScalingConfiguration": {"MinCapacity": 0, "MaxCapacity": 2, "SecondsUntilAutoPause": 300},
        "DatabaseName": "avatars",
        "MasterUsername": "avatars_owner",
        "MasterUserAuthenticationType": "iam-db-auth",
        "EnableIAMDatabaseAuthentication": True,
        "DBSubnetGroupName": "db-subnets-abc1234",
        "VpcSecurityGroupIds": [DATABASE],
        "DBClusterParameterGroupName": "db-parameters-abc1234",
        "StorageEncrypted": True,
        "BackupRetentionPeriod": 7,
        "CopyTagsToSnapshot": True,
        "DeletionProtection": True,
        "Tags": [{"Key": "Project", "Value": "avatars"}, {"Key": "Stack", "Value": "test"}],
    }


def test_it_is_protected(aurora: Graph) -> None:
    cluster = aurora.one(CLUSTER)
    assert (cluster.protect, cluster.retain_on_delete) == (True, True)


def test_without_protection_it_can_be_deleted_and_keeps_one_day_of_backups(run_alone: RunAlone) -> None:
    graph = run_alone(lambda: make(protect=False))
    cluster = graph.one(CLUSTER)
    assert (cluster.protect, cluster.retain_on_delete) == (False, False)
    assert (desired(graph)["DeletionProtection"], desired(graph)["BackupRetentionPeriod"]) == (False, 1)


def test_connections_are_encrypted_and_those_of_sleeping_functions_end(aurora: Graph) -> None:
    assert aurora.one("aws:rds/clusterParameterGroup:ClusterParameterGroup").inputs == {
        "description": "TLS only, and no connection that idles",
        "family": "aurora-postgresql17",
        "parameters": [
            {"name": "rds.force_ssl", "value": "1"},
            {"name": "idle_session_timeout", "value": "60000"},
            {"name": "log_statement", "value": "ddl"},
        ],
    }


def test_its_one_instance_is_out_of_the_internets_reach(aurora: Graph) -> None:
    assert aurora.one("aws:rds/clusterInstance:ClusterInstance").inputs == {
        "clusterIdentifier": "rds-db-cluster",
        "engine": "aurora-postgresql",
        "instanceClass": "db.serverless",
        "publiclyAccessible": False,
        "autoMinorVersionUpgrade": True,
        "performanceInsightsEnabled": False,
        "monitoringInterval": 0,
    }
    assert aurora.one("aws:rds/subnetGroup:SubnetGroup").inputs == {
        "description": "Where the cluster's instances are",
        "subnetIds": ["db-network-subnet-1-id", "db-network-subnet-2-id"],
    }


def test_its_network_has_two_subnets_in_two_zones_and_no_way_out(aurora: Graph) -> None:
    assert aurora.one("aws:ec2/vpc:Vpc").inputs == {"cidrBlock": "10.0.0.0/24", "enableDnsSupport": True}
    assert {subnet.name: subnet.inputs for subnet in aurora.of_type("aws:ec2/subnet:Subnet")} == {
        f"db-network-subnet-{number}": {
            "vpcId": "db-network-id",
            "cidrBlock": addresses,
            "availabilityZone": zone,
            "mapPublicIpOnLaunch": False,
        }
        for number, addresses, zone in ((1, "10.0.0.0/26", f"{REGION}a"), (2, "10.0.0.64/26", f"{REGION}b"))
    }
    assert aurora.one("aws:ec2/routeTable:RouteTable").inputs == {"vpcId": "db-network-id"}
    assert {r.name: r.inputs for r in aurora.of_type("aws:ec2/routeTableAssociation:RouteTableAssociation")} == {
        f"db-network-subnet-{number}-routes": {
            "subnetId": f"db-network-subnet-{number}-id",
            "routeTableId": "db-network-routes-id",
        }
        for number in (1, 2)
    }
    assert {resource.type for resource in aurora if resource.type.startswith("aws:ec2/")} == {
        "aws:ec2/vpc:Vpc",
        "aws:ec2/subnet:Subnet",
        "aws:ec2/routeTable:RouteTable",
        "aws:ec2/routeTableAssociation:RouteTableAssociation",
        "aws:ec2/vpcEndpoint:VpcEndpoint",
        "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
        "aws:ec2/securityGroup:SecurityGroup",
    }


def test_what_names_no_security_group_reaches_nothing(aurora: Graph) -> None:
    assert aurora.one("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup").inputs == {
        "vpcId": "db-network-id",
        "ingress": [],
        "egress": [],
    }


def test_through_the_endpoint_only_manifests_can_be_read(aurora: Graph) -> None:
    inputs = dict(aurora.one("aws:ec2/vpcEndpoint:VpcEndpoint").inputs)
    assert document(inputs.pop("policy")) == [
        {
            "Effect": "Allow",
            "Action": "s3:GetObject",
            "Resource": f"{ASSETS_ARN}/avatars/*.json",
            "Principal": "*",
        },
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": ASSETS_ARN, "Principal": "*"},
    ]
    assert inputs == {
        "vpcId": "db-network-id",
        "serviceName": f"com.amazonaws.{REGION}.s3",
        "vpcEndpointType": "Gateway",
        "routeTableIds": ["db-network-routes-id"],
    }


def test_functions_reach_the_database_and_s3_and_nobody_reaches_anything_else(aurora: Graph) -> None:
    postgres = {"ipProtocol": "tcp", "fromPort": 5432, "toPort": 5432}
    assert {rule.name: rule.inputs for rule in aurora.of_type(INGRESS)} == {
        "db-from-functions": {
            "description": "PostgreSQL, from the functions",
            "securityGroupId": DATABASE,
            "referencedSecurityGroupId": FUNCTIONS,
            **postgres,
        }
    }
    assert {rule.name: rule.inputs for rule in aurora.of_type(EGRESS)} == {
        "db-to-database": {
            "description": "PostgreSQL, to the database",
            "securityGroupId": FUNCTIONS,
            "referencedSecurityGroupId": DATABASE,
            **postgres,
        },
        "db-to-s3": {
            "description": "HTTPS, to S3",
            "securityGroupId": FUNCTIONS,
            "prefixListId": "pl-6da54004",
            "ipProtocol": "tcp",
            "fromPort": 443,
            "toPort": 443,
        },
    }


@pytest.mark.parametrize(("access", "user"), [("owner", "avatars_owner"), ("app", "profiles")])
def test_a_function_signs_in_as_one_user_of_this_cluster(
    run_alone: RunAlone, packages: dict[str, Package], access: str, user: str
) -> None:
    graph = run_alone(lambda: reader(packages, access))
    function = graph.one("aws:lambda/function:Function")
    assert function.inputs["environment"]["variables"] == {
        "PGHOST": HOST,
        "PGPORT": "5432",
        "PGDATABASE": "avatars",
        "PGUSER": user,
        "PGSSLMODE": "require",
        "ID": "cluster-ABCDEFGHIJKL01234",
    }
    assert function.inputs["vpcConfig"] == {
        "subnetIds": ["db-network-subnet-1-id", "db-network-subnet-2-id"],
        "securityGroupIds": [FUNCTIONS],
    }
    assert document(graph.named("reader-policy").inputs["policy"])[1] == {
        "Effect": "Allow",
        "Action": "rds-db:connect",
        "Resource": arn("rds-db", f"dbuser:cluster-ABCDEFGHIJKL01234/{user}"),
    }


def test_a_function_is_made_when_all_that_is_between_it_and_the_database_is_there(
    run_alone: RunAlone, packages: dict[str, Package]
) -> None:
    graph = run_alone(lambda: reader(packages, "app"))
    function = graph.one("aws:lambda/function:Function")
    assert graph.named("db-instance").urn in function.property_dependencies["environment"]
    needed = {graph.named(name).urn for name in (*RULES, "db-network-subnet-1-routes", "db-network-subnet-2-routes")}
    assert needed <= function.property_dependencies["vpcConfig"]
    assert graph.named("db-network-s3").urn in graph.named("db-to-s3").property_dependencies["prefixListId"]


def reader(packages: dict[str, Package], user: str) -> None:
    access = getattr(make(), user)
    PythonFunction(
        "reader",
        PythonFunctionArgs(
            package=packages["presign_upload"],
            description="Reads",
            memory=256,
            timeout=3,
            environment={**access.environment, "ID": access.database_id},
            statements=access.statements,
            network=access.network,
        ),
    )


def test_the_functions_user_is_yet_to_be_made(run_alone: RunAlone) -> None:
    users: list[str | None] = []
    run_alone(lambda: users.append(make().app_user))
    assert users == ["profiles"]


def test_what_they_give(aurora: Graph) -> None:
    assert aurora.one("avatars:index:AuroraDatabase").component_outputs == {
        "host": HOST,
        "port": "5432",
        "cluster_id": "rds-db-cluster",
    }
    assert aurora.one("avatars:index:IsolatedVpc").component_outputs == {
        "vpc_id": "db-network-id",
        "subnet_ids": ["db-network-subnet-1-id", "db-network-subnet-2-id"],
        "s3_prefix_list_id": "pl-6da54004",
    }
