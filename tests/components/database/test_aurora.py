"""AuroraDatabase and its isolated VPC, used alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.blocks.python_function import PythonFunction, PythonFunctionArgs
from components.database.aurora import AuroraDatabase, AuroraDatabaseArgs
from lambda_packages.build import Package
from local.recording.graph import Graph
from tests.components import test_upload_api as upload_api
from tests.components.conftest import REGION, RunAlone, RunStack, arn, get_statements

UPLOADS_ARN = "arn:aws:s3:::their-uploads"
ASSETS_ARN = "arn:aws:s3:::their-assets"
CLUSTER = "aws:cloudcontrol/resource:Resource"
HOST = f"rds-db-cluster.cluster-abc.{REGION}.rds.amazonaws.com"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
FUNCTIONS, DATABASE = "db-functions-id", "db-database-id"
RULES = ("db-database-from-functions", "db-functions-to-database", "db-functions-to-s3")


def make(**settings: Any) -> AuroraDatabase:
    tags = {"Stack": "test", "Project": "avatars"}
    return AuroraDatabase(
        "db",
        AuroraDatabaseArgs(uploads_bucket_arn=UPLOADS_ARN, assets_bucket_arn=ASSETS_ARN, tags=tags, **settings),
    )


@pytest.fixture(scope="module")
def aurora(run_alone: RunAlone) -> Graph:
    return run_alone(make)


def desired(graph: Graph) -> dict[str, Any]:
    return json.loads(graph.one(CLUSTER).inputs["desiredState"])


def test_cluster_is_serverless_postgresql_with_iam_authentication(aurora: Graph) -> None:
    assert aurora.one(CLUSTER).inputs["typeName"] == "AWS::RDS::DBCluster"
    assert desired(aurora) == {
        "Engine": "aurora-postgresql",
        "EngineVersion": "17.7",
        "ServerlessV2ScalingConfiguration": {"MinCapacity": 0, "MaxCapacity": 2, "SecondsUntilAutoPause": 300},
        "Port": 5432,
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


def test_instance_and_migration_do_not_use_properties(run_stack: RunStack) -> None:
    """They are unknown in a preview that changes the cluster, which would announce that both are replaced."""
    graph = run_stack({"database": "aurora"})
    instance = graph.one("aws:rds/clusterInstance:ClusterInstance")
    migration = graph.one("aws:lambda/invocation:Invocation")
    assert instance.inputs["clusterIdentifier"] == "rds-avatars-database-cluster"
    assert migration.inputs["triggers"]["database"] == "rds-avatars-database-cluster"
    facts = json.loads(graph.one(CLUSTER).outputs["properties"])
    for resource in (instance, migration):
        assert facts["DBClusterResourceId"] not in json.dumps(resource.inputs)


def test_cluster_is_protected_by_default(aurora: Graph) -> None:
    cluster = aurora.one(CLUSTER)
    assert (cluster.protect, cluster.retain_on_delete) == (True, True)


def test_cluster_unprotected_is_deletable_with_one_day_of_backups(run_alone: RunAlone) -> None:
    graph = run_alone(lambda: make(protect=False))
    cluster = graph.one(CLUSTER)
    assert (cluster.protect, cluster.retain_on_delete) == (False, False)
    assert (desired(graph)["DeletionProtection"], desired(graph)["BackupRetentionPeriod"]) == (False, 1)


def test_parameters_require_tls_and_close_idle_sessions(aurora: Graph) -> None:
    assert aurora.one("aws:rds/clusterParameterGroup:ClusterParameterGroup").inputs == {
        "description": "Requires TLS and closes idle connections",
        "family": "aurora-postgresql17",
        "parameters": [
            {"name": "rds.force_ssl", "value": "1"},
            {"name": "idle_session_timeout", "value": "60000"},
            {"name": "log_statement", "value": "ddl"},
        ],
    }


def test_instance_is_not_publicly_accessible(aurora: Graph) -> None:
    assert aurora.one("aws:rds/clusterInstance:ClusterInstance").inputs == {
        "clusterIdentifier": "rds-db-cluster",
        "engine": "aurora-postgresql",
        "instanceClass": "db.serverless",
        "publiclyAccessible": False,
        "autoMinorVersionUpgrade": False,
        "performanceInsightsEnabled": False,
        "monitoringInterval": 0,
    }
    assert aurora.one("aws:rds/subnetGroup:SubnetGroup").inputs == {
        "description": "Subnets of the isolated VPC",
        "subnetIds": ["db-network-subnet-1-id", "db-network-subnet-2-id"],
    }


def test_vpc_has_two_subnets_in_two_zones_and_no_internet_access(aurora: Graph) -> None:
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


def test_default_security_group_has_no_rules(aurora: Graph) -> None:
    assert aurora.one("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup").inputs == {
        "vpcId": "db-network-id",
        "ingress": [],
        "egress": [],
    }


def test_endpoint_policy_allows_reading_and_deleting_avatars_only(aurora: Graph) -> None:
    inputs = dict(aurora.one("aws:ec2/vpcEndpoint:VpcEndpoint").inputs)
    assert get_statements(inputs.pop("policy")) == [
        {**statement, "Principal": "*"} for statement in upload_api.DELETE_AVATARS
    ]
    assert inputs == {
        "vpcId": "db-network-id",
        "serviceName": f"com.amazonaws.{REGION}.s3",
        "vpcEndpointType": "Gateway",
        "routeTableIds": ["db-network-routes-id"],
    }


def test_security_groups_allow_functions_to_database_and_s3_only(aurora: Graph) -> None:
    postgres = {"ipProtocol": "tcp", "fromPort": 5432, "toPort": 5432}
    assert {rule.name: rule.inputs for rule in aurora.of_type(INGRESS)} == {
        "db-database-from-functions": {
            "description": "PostgreSQL from functions",
            "securityGroupId": DATABASE,
            "referencedSecurityGroupId": FUNCTIONS,
            **postgres,
        }
    }
    assert {rule.name: rule.inputs for rule in aurora.of_type(EGRESS)} == {
        "db-functions-to-database": {
            "description": "PostgreSQL to the database",
            "securityGroupId": FUNCTIONS,
            "referencedSecurityGroupId": DATABASE,
            **postgres,
        },
        "db-functions-to-s3": {
            "description": "HTTPS to S3",
            "securityGroupId": FUNCTIONS,
            "prefixListId": "pl-6da54004",
            "ipProtocol": "tcp",
            "fromPort": 443,
            "toPort": 443,
        },
    }


@pytest.mark.parametrize(("access", "user"), [("owner", "avatars_owner"), ("app", "profiles")])
def test_access_allows_one_user_of_the_cluster(
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
        "ID": "rds-db-cluster",
    }
    assert function.inputs["vpcConfig"] == {
        "subnetIds": ["db-network-subnet-1-id", "db-network-subnet-2-id"],
        "securityGroupIds": [FUNCTIONS],
    }
    assert get_statements(graph.named("reader-policy").inputs["policy"])[1] == {
        "Effect": "Allow",
        "Action": "rds-db:connect",
        "Resource": arn("rds-db", f"dbuser:cluster-ABCDEFGHIJKL01234/{user}"),
    }


def test_access_depends_on_instance_rules_and_routes(run_alone: RunAlone, packages: dict[str, Package]) -> None:
    graph = run_alone(lambda: reader(packages, "app"))
    function = graph.one("aws:lambda/function:Function")
    assert graph.named("db-instance").urn in function.property_dependencies["environment"]
    needed = {graph.named(name).urn for name in (*RULES, "db-network-subnet-1-routes", "db-network-subnet-2-routes")}
    assert needed <= function.property_dependencies["vpcConfig"]
    assert graph.named("db-network-s3").urn in graph.named("db-functions-to-s3").property_dependencies["prefixListId"]


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
            vpc_config=access.vpc_config,
        ),
    )


def test_app_user_is_created_by_migrations(run_alone: RunAlone) -> None:
    users: list[str | None] = []
    run_alone(lambda: users.append(make().app_user))
    assert users == ["profiles"]


def test_outputs_of_database_and_vpc(aurora: Graph) -> None:
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
