"""Aurora PostgreSQL Serverless v2, which pauses while it is not used."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi_aws import cloudcontrol, ec2, rds, vpc

from components.blocks import iam
from components.blocks.dependencies import after
from components.blocks.python_function import VpcConfig
from components.database.external import DatabaseAccess
from components.database.isolated_vpc import IsolatedVpc, IsolatedVpcArgs

DATABASE = "avatars"
OWNER = "avatars_owner"
"""The cluster's master user, which owns the schema."""
APP_USER = "profiles"
"""Created by migrate_database, with access to the rows of profiles only."""

_PORT = 5432
# The newest release with long-term support, which gets critical fixes as patches for three years, and which automatic
# upgrades would leave; version 17 supports automatic pause:
# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.VersionPolicy.html
# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2.how-it-works.html
# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraPostgreSQLReleaseNotes/AuroraPostgreSQL.Updates.html
_ENGINE_VERSION = "17.7"
_PARAMETER_FAMILY = "aurora-postgresql17"
_PARAMETERS = {
    "rds.force_ssl": "1",
    # Frozen execution environments keep their connections open, and the cluster pauses only without connections:
    # https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2-auto-pause.html
    "idle_session_timeout": "60000",  # milliseconds
    # Schema changes only: other statements contain users' data.
    "log_statement": "ddl",
}
# In Aurora capacity units of about 2 GiB. Two are enough for lookups by key.
_SCALING = {"MinCapacity": 0, "MaxCapacity": 2, "SecondsUntilAutoPause": 300}
_BACKUP_DAYS = 7
_MIN_BACKUP_DAYS = 1  # Aurora's minimum


@dataclass(frozen=True, kw_only=True)
class AuroraDatabaseArgs:
    uploads_bucket_arn: pulumi.Input[str]
    """The bucket in which functions in the VPC can request the deletion of an avatar."""
    assets_bucket_arn: pulumi.Input[str]
    """The bucket whose manifests functions in the VPC can read, and replace by the record of a deletion."""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    """Tags of the cluster: the provider's default tags do not apply to Cloud Control resources."""
    protect: bool = True
    """Sets `protect`, `retain_on_delete` and RDS deletion protection on the cluster, and 7 days of backups, else 1."""


class AuroraDatabase(pulumi.ComponentResource):
    """`avatars:index:AuroraDatabase`

    Creates an isolated VPC, security groups for the database and its functions with their rules, a subnet group, a
    cluster parameter group, and a cluster with one instance. Users have no password: they authenticate with IAM tokens.
    """

    host: pulumi.Output[str]
    """The cluster endpoint; depends on the instance."""
    port: pulumi.Output[str]
    cluster_id: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        args: AuroraDatabaseArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("avatars:index:AuroraDatabase", name, None, opts)
        self._name = name
        self._child_options = pulumi.ResourceOptions(parent=self)

        isolated_vpc = IsolatedVpc(
            f"{name}-network",
            IsolatedVpcArgs(
                s3_statements=iam.endpoint_policy(
                    iam.delete_avatars(args.uploads_bucket_arn, args.assets_bucket_arn)  # includes reading manifests
                )
            ),
            self._child_options,
        )
        database_group = self._create_security_group("database", "Aurora cluster", isolated_vpc)
        functions_group = self._create_security_group("functions", "Functions that use the database", isolated_vpc)
        rules = self._create_rules(functions_group, database_group, isolated_vpc)
        self._vpc_config = VpcConfig(
            subnet_ids=isolated_vpc.subnet_ids, security_group_ids=[after(functions_group.id, *rules)]
        )
        cluster = self._create_cluster(args, isolated_vpc, database_group)
        # Unknown in a preview that changes the cluster, unlike the ID, which is the type's primary identifier: a
        # preview would announce that what depends on it is replaced.
        self._properties: pulumi.Output[Any] = cluster.properties.apply(json.loads)
        self.cluster_id = cluster.id  # DBClusterIdentifier
        instance = self._create_instance()

        self.host = after(self._properties["Endpoint"]["Address"], instance)
        self.port = pulumi.Output.from_input(str(_PORT))
        self.register_outputs({"host": self.host, "port": self.port, "cluster_id": self.cluster_id})

    @property
    def owner(self) -> DatabaseAccess:
        """Access to migrate the schema."""
        return self._access_as(OWNER)

    @property
    def app(self) -> DatabaseAccess:
        """Access to read and write profiles, after the first migration."""
        return self._access_as(APP_USER)

    @property
    def app_user(self) -> str | None:
        """The user that the migrations create."""
        return APP_USER

    def _access_as(self, user: str) -> DatabaseAccess:
        return DatabaseAccess(
            environment={
                "PGHOST": self.host,
                "PGPORT": self.port,
                "PGDATABASE": DATABASE,
                "PGUSER": user,
                "PGSSLMODE": "require",
            },
            statements=[iam.connect_to_database(self._properties.apply(lambda cluster: _user_arn(cluster, user)))],
            vpc_config=self._vpc_config,
            database_id=self.cluster_id,
        )

    def _create_security_group(self, role: str, description: str, isolated_vpc: IsolatedVpc) -> ec2.SecurityGroup:
        return ec2.SecurityGroup(
            f"{self._name}-{role}", description=description, vpc_id=isolated_vpc.vpc_id, opts=self._child_options
        )

    def _create_rules(
        self, functions: ec2.SecurityGroup, database: ec2.SecurityGroup, isolated_vpc: IsolatedVpc
    ) -> list[pulumi.CustomResource]:
        """Allows connections from functions to the database and to S3, and no others.

        The rules are separate resources because each group's rules refer to the other group.
        """
        return [
            vpc.SecurityGroupIngressRule(
                f"{self._name}-database-from-functions",
                security_group_id=database.id,
                description="PostgreSQL from functions",
                ip_protocol="tcp",
                from_port=_PORT,
                to_port=_PORT,
                referenced_security_group_id=functions.id,
                opts=self._child_options,
            ),
            vpc.SecurityGroupEgressRule(
                f"{self._name}-functions-to-database",
                security_group_id=functions.id,
                description="PostgreSQL to the database",
                ip_protocol="tcp",
                from_port=_PORT,
                to_port=_PORT,
                referenced_security_group_id=database.id,
                opts=self._child_options,
            ),
            vpc.SecurityGroupEgressRule(
                f"{self._name}-functions-to-s3",
                security_group_id=functions.id,
                description="HTTPS to S3",
                ip_protocol="tcp",
                from_port=443,
                to_port=443,
                prefix_list_id=isolated_vpc.s3_prefix_list_id,
                opts=self._child_options,
            ),
        ]

    def _create_cluster(
        self, args: AuroraDatabaseArgs, isolated_vpc: IsolatedVpc, group: ec2.SecurityGroup
    ) -> cloudcontrol.Resource:
        """Creates the cluster through Cloud Control, because rds.Cluster requires a password for the master user.

        It lacks MasterUserAuthenticationType (https://github.com/hashicorp/terraform-provider-aws/pull/49670), which
        the CloudFormation resource type has (https://github.com/aws/aws-cdk/issues/37658).
        """
        subnets = rds.SubnetGroup(
            f"{self._name}-subnets",
            description="Subnets of the isolated VPC",
            subnet_ids=isolated_vpc.subnet_ids,
            opts=self._child_options,
        )
        parameters = rds.ClusterParameterGroup(
            f"{self._name}-parameters",
            description="Requires TLS and closes idle connections",
            family=_PARAMETER_FAMILY,
            parameters=[
                rds.ClusterParameterGroupParameterArgs(name=name, value=value) for name, value in _PARAMETERS.items()
            ],
            opts=self._child_options,
        )
        desired_state = {
            "Engine": "aurora-postgresql",
            "EngineVersion": _ENGINE_VERSION,
            "ServerlessV2ScalingConfiguration": _SCALING,
            # Without it the type's handler creates the cluster with 3306, the port of MySQL:
            # https://github.com/aws-cloudformation/aws-cloudformation-resource-providers-rds/blob/master/aws-rds-dbcluster/src/main/java/software/amazon/rds/dbcluster/ModelAdapter.java
            "Port": _PORT,
            "DatabaseName": DATABASE,
            "MasterUsername": OWNER,
            "MasterUserAuthenticationType": "iam-db-auth",
            "EnableIAMDatabaseAuthentication": True,
            "DBSubnetGroupName": subnets.name,
            "VpcSecurityGroupIds": [group.id],
            "DBClusterParameterGroupName": parameters.name,
            "StorageEncrypted": True,
            "BackupRetentionPeriod": _BACKUP_DAYS if args.protect else _MIN_BACKUP_DAYS,
            "CopyTagsToSnapshot": True,
            "DeletionProtection": args.protect,
            "Tags": [{"Key": key, "Value": value} for key, value in sorted(args.tags.items())],
        }
        return cloudcontrol.Resource(
            f"{self._name}-cluster",
            type_name="AWS::RDS::DBCluster",
            desired_state=pulumi.Output.json_dumps(desired_state, separators=(",", ":")),
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect, retain_on_delete=args.protect),
        )

    def _create_instance(self) -> rds.ClusterInstance:
        return rds.ClusterInstance(
            f"{self._name}-instance",
            cluster_identifier=self.cluster_id,
            engine=rds.EngineType.AURORA_POSTGRESQL,
            instance_class="db.serverless",
            publicly_accessible=False,
            auto_minor_version_upgrade=False,  # see _ENGINE_VERSION
            # Both cost capacity, and enhanced monitoring is billed per metric; the basic CloudWatch metrics are free.
            performance_insights_enabled=False,
            monitoring_interval=0,
            opts=self._child_options,
        )


def _user_arn(cluster: Mapping[str, Any], user: str) -> str:
    """Returns the ARN of a database user for IAM policies."""
    _arn, partition, _rds, region, account, _rest = cluster["DBClusterArn"].split(":", 5)
    return f"arn:{partition}:rds-db:{region}:{account}:dbuser:{cluster['DBClusterResourceId']}/{user}"
