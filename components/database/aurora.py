"""A PostgreSQL database of the stack's own, that sleeps while nobody uses it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi_aws import cloudcontrol, ec2, rds, vpc

from components.blocks import iam
from components.blocks.python_function import Network
from components.database.external import DatabaseAccess
from components.database.isolated_vpc import PrivateNetwork, PrivateNetworkArgs

DATABASE = "avatars"
OWNER = "avatars_owner"
"""The cluster's master user, whose the schema is."""
APP_USER = "profiles"
"""Made by migrate_database, which gives it the rows of profiles and nothing else."""

_PORT = 5432
# The newest release with long-term support. One of major version 17 can pause:
# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2.how-it-works.html
# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraPostgreSQLReleaseNotes/AuroraPostgreSQL.Updates.html
_ENGINE_VERSION = "17.7"
_PARAMETER_FAMILY = "aurora-postgresql17"
_PARAMETERS = {
    "rds.force_ssl": "1",
    # A function that sleeps keeps its connection open, and as long as one is open the cluster does not pause:
    # https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2-auto-pause.html
    "idle_session_timeout": "60000",  # milliseconds
    # What changed the schema and when. Not more: other statements hold what users wrote of themselves.
    "log_statement": "ddl",
}
# In Aurora capacity units, of some 2 GiB each. Two are plenty for rows that are looked up by their key.
_SCALING = {"MinCapacity": 0, "MaxCapacity": 2, "SecondsUntilAutoPause": 300}
_BACKUP_DAYS = 7
_FEWEST_BACKUP_DAYS = 1  # Aurora cannot do without


@dataclass(frozen=True, kw_only=True)
class AuroraDatabaseArgs:
    assets_bucket_arn: pulumi.Input[str]
    """Whose manifests functions may read from within the database's network."""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    """The cluster's own: a provider's default tags do not reach what is made through Cloud Control."""
    protect: bool = True
    """Whether Pulumi and RDS refuse to delete the cluster; if not, it also has backups of one day only."""


class AuroraDatabase(pulumi.ComponentResource):
    """`avatars:index:AuroraDatabase`

    Nobody has a password: users sign in with tokens that IAM lets them make.

    Makes: a private network, two security groups and their three rules, the subnet group, the parameter group, the
    cluster and its one instance.
    """

    host: pulumi.Output[str]
    """Known when the cluster has an instance that answers."""
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
        self._child = pulumi.ResourceOptions(parent=self)

        network = PrivateNetwork(
            f"{name}-network",
            PrivateNetworkArgs(s3_statements=iam.pass_reads(args.assets_bucket_arn, "avatars/*.json")),
            self._child,
        )
        database_group = self._security_group("database", "The database", network)
        functions_group = self._security_group("functions", "Functions that use the database", network)
        self._functions = Network(
            subnet_ids=network.subnet_ids,
            security_group_ids=[self._connected(functions_group, database_group, network)],
        )
        cluster = self._cluster(args, network, database_group)
        self._facts: pulumi.Output[Any] = cluster.properties.apply(json.loads)
        instance = self._instance()

        self.host = pulumi.Output.all(self._facts["Endpoint"]["Address"], instance.id).apply(lambda known: known[0])
        self.port = self._facts["Endpoint"]["Port"]
        self.cluster_id = self._facts["DBClusterIdentifier"]
        self.register_outputs({"host": self.host, "port": self.port, "cluster_id": self.cluster_id})

    @property
    def owner(self) -> DatabaseAccess:
        """To migrate the schema."""
        return self._access(OWNER)

    @property
    def app(self) -> DatabaseAccess:
        """To read and write profiles, once the schema has been migrated."""
        return self._access(APP_USER)

    @property
    def app_user(self) -> str | None:
        return APP_USER

    def _access(self, user: str) -> DatabaseAccess:
        return DatabaseAccess(
            environment={
                "PGHOST": self.host,
                "PGPORT": self.port,
                "PGDATABASE": DATABASE,
                "PGUSER": user,
                "PGSSLMODE": "require",
            },
            statements=[iam.connect_to_database(self._facts.apply(lambda facts: _user_arn(facts, user)))],
            network=self._functions,
            database_id=self._facts["DBClusterResourceId"],
        )

    def _security_group(self, role: str, description: str, network: PrivateNetwork) -> ec2.SecurityGroup:
        return ec2.SecurityGroup(
            f"{self._name}-{role}", description=description, vpc_id=network.vpc_id, opts=self._child
        )

    def _connected(
        self, functions: ec2.SecurityGroup, database: ec2.SecurityGroup, network: PrivateNetwork
    ) -> pulumi.Output[str]:
        """Lets functions reach the database and S3, and nobody reach anything else. Gives the functions' group.

        Rules are resources of their own: each of the groups is named in a rule of the other.
        """
        rules = [
            vpc.SecurityGroupIngressRule(
                f"{self._name}-from-functions",
                security_group_id=database.id,
                description="PostgreSQL, from the functions",
                ip_protocol="tcp",
                from_port=_PORT,
                to_port=_PORT,
                referenced_security_group_id=functions.id,
                opts=self._child,
            ),
            vpc.SecurityGroupEgressRule(
                f"{self._name}-to-database",
                security_group_id=functions.id,
                description="PostgreSQL, to the database",
                ip_protocol="tcp",
                from_port=_PORT,
                to_port=_PORT,
                referenced_security_group_id=database.id,
                opts=self._child,
            ),
            vpc.SecurityGroupEgressRule(
                f"{self._name}-to-s3",
                security_group_id=functions.id,
                description="HTTPS, to S3",
                ip_protocol="tcp",
                from_port=443,
                to_port=443,
                prefix_list_id=network.s3_prefix_list_id,
                opts=self._child,
            ),
        ]
        return pulumi.Output.all(functions.id, *(rule.id for rule in rules)).apply(lambda known: known[0])

    def _cluster(
        self, args: AuroraDatabaseArgs, network: PrivateNetwork, group: ec2.SecurityGroup
    ) -> cloudcontrol.Resource:
        """Through Cloud Control, since rds.Cluster cannot make a master user without a password.

        It lacks MasterUserAuthenticationType (https://github.com/hashicorp/terraform-provider-aws/pull/49670), which
        CloudFormation's resource type has (https://github.com/aws/aws-cdk/issues/37658).
        """
        subnets = rds.SubnetGroup(
            f"{self._name}-subnets",
            description="Where the cluster's instances are",
            subnet_ids=network.subnet_ids,
            opts=self._child,
        )
        parameters = rds.ClusterParameterGroup(
            f"{self._name}-parameters",
            description="TLS only, and no connection that idles",
            family=_PARAMETER_FAMILY,
            parameters=[
                rds.ClusterParameterGroupParameterArgs(name=name, value=value) for name, value in _PARAMETERS.items()
            ],
            opts=self._child,
        )
        desired_state = {
            "Engine": "aurora-postgresql",
            "EngineVersion": _ENGINE_VERSION,
            "ServerlessV2ScalingConfiguration": _SCALING,
            "DatabaseName": DATABASE,
            "MasterUsername": OWNER,
            "MasterUserAuthenticationType": "iam-db-auth",
            "EnableIAMDatabaseAuthentication": True,
            "DBSubnetGroupName": subnets.name,
            "VpcSecurityGroupIds": [group.id],
            "DBClusterParameterGroupName": parameters.name,
            "StorageEncrypted": True,
            "BackupRetentionPeriod": _BACKUP_DAYS if args.protect else _FEWEST_BACKUP_DAYS,
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

    def _instance(self) -> rds.ClusterInstance:
        return rds.ClusterInstance(
            f"{self._name}-instance",
            cluster_identifier=self._facts["DBClusterIdentifier"],
            engine=rds.EngineType.AURORA_POSTGRESQL,
            instance_class="db.serverless",
            publicly_accessible=False,
            auto_minor_version_upgrade=True,
            # Both would keep it busy, and the second costs by the metric: CloudWatch's own, which are free, have to do.
            performance_insights_enabled=False,
            monitoring_interval=0,
            opts=self._child,
        )


def _user_arn(facts: Mapping[str, Any], user: str) -> str:
    """The database user as IAM names it; partition, region and account are the cluster's."""
    _arn, partition, _rds, region, account, _rest = facts["DBClusterArn"].split(":", 5)
    return f"arn:{partition}:rds-db:{region}:{account}:dbuser:{facts['DBClusterResourceId']}/{user}"
