"""The routes of profiles, and the migration of the database schema."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
from pulumi_aws import lambda_

from components.blocks import iam, validation
from components.blocks.python_function import PythonFunction, PythonFunctionArgs, publish_layers
from components.database.external import DatabaseAccess
from components.upload_api import ApiRoute
from lambda_packages import build

FUNCTIONS = ("profile", "erase_profile", "migrate_database")
"""The functions that a ProfileApi creates."""


@dataclass(frozen=True, kw_only=True)
class ProfileApiArgs:
    uploads_bucket_name: pulumi.Input[str]
    """The bucket in which the deletion of an avatar is requested."""
    uploads_bucket_arn: pulumi.Input[str]
    assets_bucket_name: pulumi.Input[str]
    """The bucket with the users' manifests."""
    assets_bucket_arn: pulumi.Input[str]
    cdn_url: pulumi.Input[str]
    """The base URL of the CDN, https://<host> without a slash at the end; URLs of avatars start with it."""
    database: DatabaseAccess
    """Access to read and write profiles."""
    migrations: DatabaseAccess
    """Access to migrate the schema of the same database."""
    issuer: pulumi.Input[str] | None = None
    """The `iss` claim of the callers' tokens, https://cognito-idp.<region>.amazonaws.com/<pool>: new profiles are named
    as their users in that pool. Default: generated names, without requests to Cognito."""
    app_user: str | None = None
    """The user of `database`, if the migrations are to create it."""
    handle_hold_days: int = 30
    """Days for which nobody else can take a handle that its user gave up, 0 to 365."""
    reserved_concurrency: Mapping[str, int] = field(default_factory=dict[str, int])
    """Reserved concurrency by function. Default: the functions share the unreserved concurrency of the account."""
    log_retention_days: int = 30
    """Days of log retention, one of the values that CloudWatch Logs supports."""
    tracing: bool = False
    """Whether Lambda sends traces to X-Ray."""

    def __post_init__(self) -> None:
        validation.require(
            self,
            cdn_url=validation.HTTPS_URL,
            issuer=validation.optional(validation.HTTPS_URL),
            handle_hold_days=validation.HANDLE_HOLD_DAYS,
            reserved_concurrency=validation.map_of(FUNCTIONS, validation.RESERVED_CONCURRENCY),
            log_retention_days=validation.LOG_RETENTION_DAYS,
            tracing=validation.BOOLEAN,
        )


class ProfileApi(pulumi.ComponentResource):
    """`avatars:index:ProfileApi`

    Creates the functions `migrate_database`, `profile` and `erase_profile` with their layers, and an invocation of the
    first. The others depend on the invocation: if a migration fails, the update fails and does not change them. The
    attribute `routes` has the routes of `profile`, for an UploadApi, `functions` has `profile`, and `metrics_service`
    is the dimension `service` of its metrics.
    """

    migrate_function_name: pulumi.Output[str]
    erase_function_arn: pulumi.Output[str]
    """ARN of the function that erases a profile, for an AvatarPipeline."""

    def __init__(
        self,
        name: str,
        args: ProfileApiArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        self._packages = build.build_packages_once(FUNCTIONS)
        super().__init__("avatars:index:ProfileApi", name, None, opts)
        self._name = name
        self._args = args
        self.metrics_service = f"{name}-{pulumi.get_stack()}"
        self._child_options = pulumi.ResourceOptions(parent=self)
        self._layers = publish_layers(name, self._packages.values(), self._child_options)

        migrate = self._create_migrate_function()
        migration = self._invoke_migration(migrate)
        profile = self._create_profile_function(migration)
        self.functions = {"profile": profile}
        erase = self._create_erase_function(migration)
        self.routes = (
            ApiRoute("GET /profiles/{handle}", profile, public=True),
            ApiRoute("GET /profile", profile),
            ApiRoute("PUT /profile", profile),
            ApiRoute("DELETE /profile", profile),
        )

        self.migrate_function_name = migrate.function_name
        self.erase_function_arn = erase.function_arn
        self.register_outputs(
            {"migrate_function_name": self.migrate_function_name, "erase_function_arn": self.erase_function_arn}
        )

    def _create_migrate_function(self) -> PythonFunction:
        args = self._args
        app_user = {"APP_USER": args.app_user} if args.app_user else {}
        return PythonFunction(
            f"{self._name}-migrate-database",
            PythonFunctionArgs(
                package=self._packages["migrate_database"],
                description="Migrates the database schema",
                memory=512,
                # A statement may rewrite a large table.
                timeout=300,
                environment={**args.migrations.environment, **app_user},
                statements=args.migrations.statements,
                layers=self._layers,
                vpc_config=args.migrations.vpc_config,
                reserved_concurrency=args.reserved_concurrency.get("migrate_database"),
                log_retention_days=args.log_retention_days,
                tracing=args.tracing,
            ),
            self._child_options,
        )

    def _invoke_migration(self, migrate: PythonFunction) -> lambda_.Invocation:
        """Invokes the function again when its package, which contains the migrations, or the database changes."""
        archive = self._packages["migrate_database"].archive
        return lambda_.Invocation(
            f"{self._name}-migration",
            function_name=migrate.function_name,
            input=json.dumps({"target": "head"}),
            triggers={
                "package": hashlib.sha256(archive.read_bytes()).hexdigest(),
                "database": self._args.migrations.database_id,
            },
            # No invocation on delete: destroying the stack does not downgrade the schema.
            lifecycle_scope="CREATE_ONLY",
            opts=self._child_options,
        )

    def _create_profile_function(self, migration: lambda_.Invocation) -> PythonFunction:
        args = self._args
        return PythonFunction(
            f"{self._name}-profile",
            PythonFunctionArgs(
                package=self._packages["profile"],
                description="Returns, updates and deletes profiles",
                # Importing the database driver and the S3 client takes most of a cold start.
                memory=512,
                # Three seconds each for a connection and a statement, and some for Cognito, or for up to eight small S3
                # requests. A paused database needs longer to resume: the response is 503, and the client tries again.
                timeout=10,
                environment={
                    "UPLOADS_BUCKET": args.uploads_bucket_name,
                    "ASSETS_BUCKET": args.assets_bucket_name,
                    "CDN_URL": args.cdn_url,
                    "ISSUER": "" if args.issuer is None else args.issuer,
                    "HANDLE_HOLD_DAYS": str(args.handle_hold_days),
                    "METRICS_SERVICE": self.metrics_service,
                    **args.database.environment,
                },
                statements=[
                    *iam.delete_avatars(args.uploads_bucket_arn, args.assets_bucket_arn),  # includes reading manifests
                    *args.database.statements,
                ],
                layers=self._layers,
                vpc_config=args.database.vpc_config,
                # Each execution environment has one connection.
                reserved_concurrency=args.reserved_concurrency.get("profile"),
                depends_on=[migration],
                log_retention_days=args.log_retention_days,
                tracing=args.tracing,
            ),
            self._child_options,
        )

    def _create_erase_function(self, migration: lambda_.Invocation) -> PythonFunction:
        args = self._args
        return PythonFunction(
            f"{self._name}-erase-profile",
            PythonFunctionArgs(
                package=self._packages["erase_profile"],
                description="Erases a user's profile",
                memory=512,  # as profile
                timeout=90,  # a minute until a paused database has resumed, and the last attempt to connect
                environment=args.database.environment,
                statements=args.database.statements,
                layers=self._layers,
                vpc_config=args.database.vpc_config,
                reserved_concurrency=args.reserved_concurrency.get("erase_profile"),
                depends_on=[migration],
                log_retention_days=args.log_retention_days,
                tracing=args.tracing,
            ),
            self._child_options,
        )
