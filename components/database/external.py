"""How functions reach PostgreSQL, and a database that is there already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import ssm

from components.blocks import iam, validation
from components.blocks.python_function import Network


@dataclass(frozen=True, kw_only=True)
class DatabaseAccess:
    """What one function needs to reach a database as one user."""

    environment: Mapping[str, pulumi.Input[str]]
    """As functions/shared/db/login.py reads it."""
    statements: Sequence[iam.Statement]
    network: Network | None
    database_id: pulumi.Input[str]
    """Another one when it is, or may be, another database, in which nothing has been made yet."""


@dataclass(frozen=True, kw_only=True)
class GivenDatabaseArgs:
    url: pulumi.Input[str]
    """postgresql://<user>:<password>@<host>/<database>, of PostgreSQL 14 or newer."""
    subnet_ids: Sequence[pulumi.Input[str]] = ()
    """Subnets from which the host, S3 and SSM can be reached, with security_group_ids. None: over the internet."""
    security_group_ids: Sequence[pulumi.Input[str]] = ()

    def __post_init__(self) -> None:
        validation.require(
            self,
            url=validation.DATABASE_URL,
            subnet_ids=validation.SUBNET_IDS,
            security_group_ids=validation.SECURITY_GROUP_IDS,
        )
        if bool(self.subnet_ids) != bool(self.security_group_ids):
            raise ValueError("GivenDatabaseArgs needs both of subnet_ids and security_group_ids, or neither")


class GivenDatabase(pulumi.ComponentResource):
    """`avatars:index:GivenDatabase`

    Makes: the parameter that holds the URL, encrypted with the key AWS manages for SSM.
    """

    parameter_name: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        args: GivenDatabaseArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("avatars:index:GivenDatabase", name, None, opts)
        self._args = args
        # Not in the functions' environment: whoever may look at a function would read the password.
        self._parameter = ssm.Parameter(
            f"{name}-url",
            description="The database of the users' profiles",
            type="SecureString",
            tier="Standard",
            value=args.url,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.parameter_name = self._parameter.name
        self.register_outputs({"parameter_name": self.parameter_name})

    @property
    def owner(self) -> DatabaseAccess:
        """To migrate the schema: as the URL's user, the only one that is known."""
        return DatabaseAccess(
            environment={"DATABASE_URL_PARAMETER": self.parameter_name},
            statements=[iam.read_parameter(self._parameter.arn)],
            network=self._network(),
            # The URL itself must not show, and its version changes with it.
            database_id=pulumi.Output.concat(self._parameter.arn, ":", self._parameter.version.apply(str)),
        )

    @property
    def app(self) -> DatabaseAccess:
        """To read and write profiles: the same."""
        return self.owner

    @property
    def app_user(self) -> str | None:
        """None: there is no user to be made."""
        return None

    def _network(self) -> Network | None:
        if not self._args.subnet_ids:
            return None
        return Network(subnet_ids=self._args.subnet_ids, security_group_ids=self._args.security_group_ids)
