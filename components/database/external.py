"""An existing PostgreSQL database, and the access to a database that functions need."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import ssm

from components.blocks import iam, validation
from components.blocks.python_function import VpcConfig


@dataclass(frozen=True, kw_only=True)
class DatabaseAccess:
    """What a function needs to connect to a database as one user."""

    environment: Mapping[str, pulumi.Input[str]]
    """Environment variables, which functions/shared/db/login.py reads."""
    statements: Sequence[iam.Statement]
    """Statements of the execution role's policy."""
    vpc_config: VpcConfig | None
    """None: the database is reached over the internet."""
    database_id: pulumi.Input[str]
    """Identifies the database: it changes when the database is, or may be, a new one without a schema."""


@dataclass(frozen=True, kw_only=True)
class ExternalDatabaseArgs:
    url: pulumi.Input[str]
    """postgresql://<user>:<password>@<host>/<database>, of PostgreSQL 14 or newer."""
    subnet_ids: Sequence[pulumi.Input[str]] = ()
    """Subnets with a route to the host, S3 and SSM; requires security_group_ids. Empty: over the internet."""
    security_group_ids: Sequence[pulumi.Input[str]] = ()
    """Security groups of the functions; requires subnet_ids."""

    def __post_init__(self) -> None:
        validation.require(
            self,
            url=validation.DATABASE_URL,
            subnet_ids=validation.SUBNET_IDS,
            security_group_ids=validation.SECURITY_GROUP_IDS,
        )
        if bool(self.subnet_ids) != bool(self.security_group_ids):
            raise ValueError("ExternalDatabaseArgs requires both of subnet_ids and security_group_ids, or neither")


class ExternalDatabase(pulumi.ComponentResource):
    """`avatars:index:ExternalDatabase`

    Creates the SSM parameter with the database's URL, encrypted with the AWS managed key.
    """

    parameter_name: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        args: ExternalDatabaseArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("avatars:index:ExternalDatabase", name, None, opts)
        self._args = args
        # Not an environment variable: lambda:GetFunctionConfiguration would show the password.
        self.parameter = ssm.Parameter(
            f"{name}-url",
            description="URL of the profiles database",
            type="SecureString",
            tier="Standard",
            value=args.url,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.parameter_name = self.parameter.name
        self.register_outputs({"parameter_name": self.parameter_name})

    @property
    def owner(self) -> DatabaseAccess:
        """Access to migrate the schema, as the URL's user."""
        return DatabaseAccess(
            environment={"DATABASE_URL_PARAMETER": self.parameter_name},
            statements=[iam.read_parameter(self.parameter.arn)],
            vpc_config=self._vpc_config(),
            # The version instead of the URL, which is secret: it changes whenever the URL does.
            database_id=pulumi.Output.concat(self.parameter.arn, ":", self.parameter.version.apply(str)),
        )

    @property
    def app(self) -> DatabaseAccess:
        """Access to read and write profiles, as the same user."""
        return self.owner

    @property
    def app_user(self) -> str | None:
        """None: the migrations create no user."""
        return None

    def _vpc_config(self) -> VpcConfig | None:
        if not self._args.subnet_ids:
            return None
        return VpcConfig(subnet_ids=self._args.subnet_ids, security_group_ids=self._args.security_group_ids)
