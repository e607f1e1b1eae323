"""Who a user is: the routes of profiles, and the schema behind them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_aws import lambda_

from components.blocks import iam, validation
from components.blocks.python_function import PythonFunction, PythonFunctionArgs, publish_layers
from components.database.external import DatabaseAccess
from components.upload_api import UploadApi
from lambda_packages.build import Package

_FUNCTIONS = ("profile", "migrate_database")


@dataclass(frozen=True, kw_only=True)
class ProfileApiArgs:
    packages: Mapping[str, Package]
    """As `lambda_packages.build.build_packages()` gives them."""
    api: UploadApi
    """Gets the routes."""
    assets_bucket_name: pulumi.Input[str]
    assets_bucket_arn: pulumi.Input[str]
    issuer: pulumi.Input[str]
    """The `iss` of the callers' tokens, https://cognito-idp.<region>.amazonaws.com/<pool>."""
    database: DatabaseAccess
    """To read and write profiles."""
    migrations: DatabaseAccess
    """To change the schema of the same database."""
    app_user: str | None = None
    """The user of `database`, if the migrations have to make it."""
    log_retention_days: int = 30

    def __post_init__(self) -> None:
        validation.require(
            self,
            packages=validation.having(*_FUNCTIONS),
            issuer=validation.HTTPS_URL,
            log_retention_days=validation.LOG_RETENTION_DAYS,
        )


class ProfileApi(pulumi.ComponentResource):
    """`avatars:index:ProfileApi`

    The schema is migrated as part of the deployment, which fails with a migration and leaves `profile` as it was.

    Makes: the functions `migrate_database` and `profile` with their layers, an invocation of the first, and the
    second's routes.
    """

    migrate_function_name: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        args: ProfileApiArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("avatars:index:ProfileApi", name, None, opts)
        self._name = name
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        self._layers = publish_layers(name, [args.packages[function] for function in _FUNCTIONS], self._child)

        migrate = self._migrate_database()
        profile = self._profile(self._migrated(migrate))
        args.api.add_route("GET /profiles/{handle}", profile, public=True)
        args.api.add_route("GET /profile", profile)
        args.api.add_route("PUT /profile", profile)

        self.migrate_function_name = migrate.function_name
        self.register_outputs({"migrate_function_name": self.migrate_function_name})

    def _migrate_database(self) -> PythonFunction:
        args = self._args
        app_user = {"APP_USER": args.app_user} if args.app_user else {}
        return PythonFunction(
            f"{self._name}-migrate-database",
            PythonFunctionArgs(
                package=args.packages["migrate_database"],
                description="Brings the database's schema up to date",
                memory=512,
                # A statement may have a large table to go through.
                timeout=300,
                environment={**args.migrations.environment, **app_user},
                statements=args.migrations.statements,
                layers=self._layers,
                network=args.migrations.network,
                log_retention_days=args.log_retention_days,
            ),
            self._child,
        )

    def _migrated(self, migrate: PythonFunction) -> lambda_.Invocation:
        """Invoked when it is made anew: for another package, which new migrations make, and for another database."""
        archive = self._args.packages["migrate_database"].archive
        return lambda_.Invocation(
            f"{self._name}-migrated",
            function_name=migrate.function_name,
            input=json.dumps({"target": "head"}),
            triggers={
                "package": hashlib.sha256(archive.read_bytes()).hexdigest(),
                "database": self._args.migrations.database_id,
            },
            # Nothing is taken back when the stack is destroyed.
            lifecycle_scope="CREATE_ONLY",
            opts=self._child,
        )

    def _profile(self, migrated: lambda_.Invocation) -> PythonFunction:
        args = self._args
        return PythonFunction(
            f"{self._name}-profile",
            PythonFunctionArgs(
                package=args.packages["profile"],
                description="Gives and changes profiles",
                # Loading the database driver and the S3 client takes most of a first request.
                memory=512,
                # A database that sleeps takes some fifteen seconds to wake, and API Gateway waits thirty.
                timeout=29,
                environment={
                    "ASSETS_BUCKET": args.assets_bucket_name,
                    "ISSUER": args.issuer,
                    **args.database.environment,
                },
                statements=[
                    *iam.read_objects(args.assets_bucket_arn, "avatars/*.json"),
                    *args.database.statements,
                ],
                layers=self._layers,
                network=args.database.network,
                after=[migrated],
                log_retention_days=args.log_retention_days,
            ),
            self._child,
        )
