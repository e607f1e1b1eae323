"""The whole service: CDN, image pipeline, identity, upload API, web assets, and with a database profiles."""

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pulumi

from components import avatar_pipeline, profile_api, upload_api
from components.alarms import Alarms, AlarmsArgs, AlarmTopic, Budget, Certificate
from components.assets_cdn import CLOUDFRONT_REGION, AssetsCdn, AssetsCdnArgs
from components.avatar_pipeline import AvatarPipeline, AvatarPipelineArgs
from components.blocks import validation
from components.blocks.alarm import Actions, AlarmActions
from components.blocks.custom_domain import find_zone
from components.blocks.python_function import PythonFunction
from components.dashboard import Dashboard, DashboardArgs
from components.database.aurora import AuroraDatabase, AuroraDatabaseArgs
from components.database.external import ExternalDatabase, ExternalDatabaseArgs
from components.identity import Identity, IdentityArgs
from components.profile_api import ProfileApi, ProfileApiArgs
from components.profile_page import ProfilePage, ProfilePageArgs
from components.saved_queries import SavedQueries, SavedQueriesArgs
from components.upload_api import UploadApi, UploadApiArgs
from components.web_assets import WebAssets, WebAssetsArgs
from lambda_packages import build


class Conflict(NamedTuple):
    """A field whose value is valid, but not together with that of another field."""

    field: str
    reason: str
    """Completed by the name of the other field."""
    other: str


@dataclass(frozen=True, kw_only=True)
class AvatarServiceArgs:
    """The settings of the service.

    Each field with a rule is also a key of the stack's configuration, in camel case: `max_pixels` is `maxPixels`. Its
    docstring is the key's description in Pulumi.yaml and docs/configuration.md, which
    `python -m components.configuration_reference` updates.
    """

    allowed_origins: Sequence[pulumi.Input[str]] = field(
        default=(), metadata={"rule": validation.list_of(validation.ORIGIN)}
    )
    """Origins such as https://app.example.com whose pages can upload, call the API and read the CDN from scripts. The
    CDN's own origin is always allowed."""
    domain: str | None = field(default=None, metadata={"rule": validation.DOMAIN})
    """A domain for custom host names: assets.<domain> and api.<domain>, with certificates and DNS records. Default: the
    host names of AWS."""
    hosted_zone_id: pulumi.Input[str] | None = field(default=None, metadata={"rule": validation.HOSTED_ZONE_ID})
    """The ID of the domain's Route 53 hosted zone. Default: the account's public hosted zone with the domain's name."""
    user_pool_id: pulumi.Input[str] | None = field(default=None, metadata={"rule": validation.USER_POOL_ID})
    """The ID of the Cognito user pool whose users can upload; requires `user_pool_client_id`. Default: the stack
    creates one."""
    user_pool_client_id: pulumi.Input[str] | None = field(
        default=None, metadata={"rule": validation.USER_POOL_CLIENT_ID}
    )
    """The ID of the user pool's app client that your app uses. Tokens of other clients are rejected."""
    issuer: str | None = field(default=None, metadata={"rule": validation.ISSUER})
    """The OpenID Connect issuer whose users can upload, exactly as in the `iss` claim of its access tokens; requires
    `audience`. The stack has no user pool then. Default: Cognito."""
    audience: str | None = field(default=None, metadata={"rule": validation.AUDIENCE})
    """The audience that access tokens of `issuer` must have: what your API is called there."""
    audience_claim: str = field(default="aud", metadata={"rule": validation.AUDIENCE_CLAIM})
    """The claim that has the audience in tokens of `issuer`: aud, client_id or azp."""
    issuer_client_id: pulumi.Input[str] | None = field(default=None, metadata={"rule": validation.CLIENT_ID})
    """The ID of the profile page's client at `issuer`, a public client with PKCE (docs/openid-connect.md); requires a
    database. Default: with an issuer, there is no profile page."""
    issuer_parameters: Mapping[str, str] = field(
        default_factory=dict[str, str], metadata={"rule": validation.SIGN_IN_PARAMETERS}
    )
    """Parameters of the profile page's authorization request. Default: scope is openid offline_access; and audience is
    that of `audience`, if `audience_claim` is aud."""
    issuer_origins: Sequence[str] = field(default=(), metadata={"rule": validation.list_of(validation.ORIGIN)})
    """Origins of the endpoints that the profile page calls at `issuer`, if they are not at the issuer's own origin."""
    self_sign_up: bool = field(default=False, metadata={"rule": validation.BOOLEAN})
    """Whether users can sign themselves up in the user pool that the stack creates. If not, administrators create
    users. Cognito itself sends at most 50 messages a day: see `email_identity_arn`."""
    email_identity_arn: pulumi.Input[str] | None = field(default=None, metadata={"rule": validation.EMAIL_IDENTITY_ARN})
    """The ARN of a verified Amazon SES identity, an address or a domain, from which the user pool that the stack
    creates sends messages; those of a domain are from no-reply. Default: Cognito's own address."""
    uploads_bucket_name: str | None = field(default=None, metadata={"rule": validation.BUCKET_NAME})
    """The name of the bucket for uploaded originals. Default: Pulumi generates a unique name."""
    assets_bucket_name: str | None = field(default=None, metadata={"rule": validation.BUCKET_NAME})
    """The name of the bucket that the CDN serves. Default: Pulumi generates a unique name."""
    sizes: Sequence[int] = field(default=(256,), metadata={"rule": validation.SIZES})
    """Edge lengths of the square WebP variants in pixels, one to six values from 16 to 1024. The JPEG at the stable URL
    always has 512."""
    max_upload_bytes: int = field(default=10_485_760, metadata={"rule": validation.MAX_UPLOAD_BYTES})
    """Maximum size of an upload in bytes, 1 KiB to 50 MiB."""
    max_pixels: int = field(default=50_000_000, metadata={"rule": validation.MAX_PIXELS})
    """Maximum size of an image in pixels (width times height), 1 to 100 million."""
    uploads_per_hour: int = field(default=60, metadata={"rule": validation.UPLOADS_PER_HOUR})
    """Maximum number of uploads of one user in a clock hour, 0 to 1000. More are rejected without being decoded. 0: no
    maximum."""
    originals_days: int = field(default=14, metadata={"rule": validation.ORIGINALS_DAYS})
    """Days after which unprocessed originals and the records of rejected ones expire, 1 to 365."""
    webhook_url: pulumi.Input[str] | None = field(default=None, metadata={"rule": validation.HTTPS_URL})
    """An https:// endpoint for avatar.ready and avatar.rejected events from SNS. Can be a secret. Default: none."""
    protect_data: bool = field(default=True, metadata={"rule": validation.BOOLEAN})
    """Whether buckets, user pool and Aurora cluster are protected against deletion. Set it to false only for stacks
    without valuable data."""
    log_retention_days: int = field(default=30, metadata={"rule": validation.LOG_RETENTION_DAYS})
    """Days of log retention, one of the values that CloudWatch Logs supports (1, 3, 5, 7, 14, 30, 60, 90, ...)."""
    authorizer_cache_seconds: int = field(default=60, metadata={"rule": validation.AUTHORIZER_CACHE_SECONDS})
    """Seconds that API Gateway caches the authorizer's response for a token, 0 to 3600. A token that expires meanwhile
    is accepted until then."""
    throttle_rate: int = field(default=50, metadata={"rule": validation.THROTTLE_RATE})
    """Rate limit of the API in requests per second, for all users together, 1 to 10000. The public profile route has
    half of it for itself."""
    throttle_burst: int = field(default=100, metadata={"rule": validation.THROTTLE_BURST})
    """Burst limit of the API in requests, 1 to 5000. The public profile route has half of it for itself."""
    moderation_function: pulumi.Input[str] | None = field(
        default=None, metadata={"rule": validation.MODERATION_FUNCTION}
    )
    """The ARN of a Lambda function of yours, of any account, that approves, rejects or holds each image before it is
    published (docs/moderation.md). Default: none, every valid image is published."""
    max_concurrency: int = field(default=20, metadata={"rule": validation.MAX_CONCURRENCY})
    """Maximum number of uploads processed concurrently, 2 to 1000. More uploads wait in the queue."""
    reserved_concurrency: Mapping[str, int] = field(
        default_factory=dict[str, int],
        metadata={
            "rule": validation.map_of(
                (*avatar_pipeline.FUNCTIONS, *upload_api.FUNCTIONS, *profile_api.FUNCTIONS),
                validation.RESERVED_CONCURRENCY,
            )
        },
    )
    """Reserved concurrency by function, such as profile: 20. It is taken from the account's; 0 stops a function.
    Default: all functions share the unreserved concurrency of the account."""
    web_acl_arn: pulumi.Input[str] | None = field(default=None, metadata={"rule": validation.WEB_ACL_ARN})
    """The ARN of a WAF web ACL for the CDN (scope CLOUDFRONT, us-east-1). Default: none."""
    alarm_topic_arn: pulumi.Input[str] | None = field(default=None, metadata={"rule": validation.TOPIC_ARN})
    """The ARN of an SNS topic for alarms (docs/runbook.md), in the stack's region, unencrypted or with a key whose
    policy allows CloudWatch: not alias/aws/sns. Default: see `alarm_email`."""
    alarm_email: pulumi.Input[str] | None = field(default=None, metadata={"rule": validation.EMAIL})
    """An email address for alarms, instead of `alarm_topic_arn` or as well; AWS sends it a link to confirm. It is
    personal data: set it with --secret. Default: without both, only a few alarms, which notify nobody."""
    monthly_budget: int = field(default=0, metadata={"rule": validation.MONTHLY_BUDGET})
    """US dollars a month. If the stack costs more or will, `alarm_email` and `alarm_topic_arn` are notified. The tags
    Project and Stack must be active as cost allocation tags (docs/runbook.md). 0: no budget."""
    dashboard: bool = field(default=True, metadata={"rule": validation.BOOLEAN})
    """Whether there is a CloudWatch dashboard, $3 a month (docs/runbook.md)."""
    tracing: bool = field(default=False, metadata={"rule": validation.BOOLEAN})
    """Whether Lambda and SNS send traces to AWS X-Ray, $5 per million traces (docs/runbook.md)."""
    database_url: pulumi.Input[str] | None = field(default=None, metadata={"rule": validation.DATABASE_URL})
    """The URL of an existing PostgreSQL 14 or newer for users' profiles, postgresql://user:password@host/database. Set
    it with --secret. Default: see `database`."""
    database: str | None = field(default=None, metadata={"rule": validation.DATABASE})
    """Set it to aurora to create an Aurora PostgreSQL Serverless v2 cluster for users' profiles, which pauses while it
    is not used. Default: `database_url`, or without it no profiles."""
    database_subnet_ids: Sequence[pulumi.Input[str]] = field(default=(), metadata={"rule": validation.SUBNET_IDS})
    """Subnets for functions that connect to `database_url` in a VPC, with routes to S3 and SSM; requires
    `database_security_group_ids`. Default: over the internet."""
    database_security_group_ids: Sequence[pulumi.Input[str]] = field(
        default=(), metadata={"rule": validation.SECURITY_GROUP_IDS}
    )
    """Security groups that allow functions to connect to the host of `database_url`, S3 and SSM; requires
    `database_subnet_ids`."""
    profile_names: str = field(default="generated", metadata={"rule": validation.PROFILE_NAMES})
    """The name and handle of a new profile, which is public: generated (user_ and six random characters), or cognito
    (the user's name in the user pool)."""
    handle_hold_days: int = field(default=30, metadata={"rule": validation.HANDLE_HOLD_DAYS})
    """Days for which a handle that its user changed or deleted leads to the user's new one, if there is one, and nobody
    else can take it, 0 to 365."""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    """Tags of the Aurora cluster, to which the provider's default tags do not apply. Not a configuration key: a stack
    has aws:defaultTags."""

    def __post_init__(self) -> None:
        rules = validation.get_rules(AvatarServiceArgs)
        optional = {f.name for f in dataclasses.fields(self) if f.default is None}
        validation.require(
            self, **{name: validation.optional(rule) if name in optional else rule for name, rule in rules.items()}
        )
        values = {name: getattr(self, name) for name in rules}
        if conflicts := list(find_conflicts(values, {name for name in values if _is_given(values[name])})):
            raise ValueError(
                "\n".join(f"AvatarServiceArgs.{field}: {reason} {other}" for field, reason, other in conflicts)
            )

    @property
    def functions(self) -> tuple[str, ...]:
        """The functions that the service creates."""
        has_profiles = self.database is not None or self.database_url is not None
        return (*avatar_pipeline.FUNCTIONS, *upload_api.FUNCTIONS, *(profile_api.FUNCTIONS if has_profiles else ()))


def find_conflicts(values: Mapping[str, Any], given: Collection[str]) -> Iterator[Conflict]:
    """Yields the conflicts between the fields of AvatarServiceArgs.

    Args:
        values: The value of each field with a rule.
        given: The fields that have a value other than None, False and an empty list, even if it is invalid.
    """

    def require(key: str, other: str) -> Iterator[Conflict]:
        if key in given and other not in given:
            yield Conflict(key, "it requires", other)

    yield from require("user_pool_id", "user_pool_client_id")
    yield from require("user_pool_client_id", "user_pool_id")
    if "self_sign_up" in given and "user_pool_id" in given:
        yield Conflict("self_sign_up", "it applies to a pool that the stack creates, not to", "user_pool_id")
    if "email_identity_arn" in given and "user_pool_id" in given:
        yield Conflict("email_identity_arn", "it applies to a pool that the stack creates, not to", "user_pool_id")
    yield from require("issuer", "audience")
    yield from require("audience", "issuer")
    if values["audience_claim"] != "aud":
        yield from require("audience_claim", "issuer")
    yield from require("issuer_client_id", "issuer")
    for key in ("issuer_parameters", "issuer_origins"):
        yield from require(key, "issuer_client_id")
    if "issuer_client_id" in given and not {"database", "database_url"} & set(given):
        yield Conflict("issuer_client_id", "the profile page requires", "database")
    if "issuer" in given:
        for key in ("user_pool_id", "user_pool_client_id", "self_sign_up", "email_identity_arn"):
            if key in given:
                yield Conflict(key, "it applies to Cognito, and cannot be combined with", "issuer")
        if values["profile_names"] == "cognito":
            yield Conflict("profile_names", "users have no name in a Cognito user pool with", "issuer")
    yield from require("hosted_zone_id", "domain")
    if values["monthly_budget"] and "alarm_topic_arn" not in given:
        yield from require("monthly_budget", "alarm_email")
    if "database" in given and "database_url" in given:
        yield Conflict("database", "it cannot be combined with", "database_url")
    if "database" in given and values["profile_names"] == "cognito":
        yield Conflict("profile_names", "functions have no route to Cognito with", "database")
    subnets, groups = "database_subnet_ids", "database_security_group_ids"
    for key, other in ((subnets, groups), (groups, subnets)):
        yield from require(key, other if "database_url" in given else "database_url")
    if not avatar_pipeline.allows_concurrency(values["reserved_concurrency"], values["max_concurrency"]):
        yield Conflict("reserved_concurrency", "process_avatar must not be below", "max_concurrency")
    if not {"database", "database_url"} & set(given) and set(profile_api.FUNCTIONS) & set(
        values["reserved_concurrency"]
    ):
        yield Conflict("reserved_concurrency", f"{', '.join(profile_api.FUNCTIONS)} require", "database")
    if values["uploads_bucket_name"] is not None and values["uploads_bucket_name"] == values["assets_bucket_name"]:
        yield Conflict("assets_bucket_name", "it must differ from", "uploads_bucket_name")


def _is_given(value: object) -> bool:
    if isinstance(value, pulumi.Output):
        return True  # the truth value of an Output is not defined
    return bool(value)


class AvatarService(pulumi.ComponentResource):
    """`avatars:index:AvatarService`

    Creates an AssetsCdn, an AvatarPipeline, an UploadApi, the WebAssets, the SavedQueries and, unless it is off, a
    Dashboard; without an issuer also an Identity; with a database also that, a ProfileApi and, unless there is an
    issuer without a client ID, a ProfilePage; with somebody to notify also Alarms. They are the attributes `cdn`,
    `pipeline`, `api`, `web`, `identity`, `database`, `profiles`, `page` and `alarms`; the last five are None otherwise.
    """

    api_url: pulumi.Output[str]
    """Base URL of the HTTP API, https://<host>."""
    cdn_url: pulumi.Output[str]
    """Base URL of the CDN, https://<host>."""
    distribution_id: pulumi.Output[str]
    """ID of the CloudFront distribution."""
    avatar_url: pulumi.Output[str]
    """URL of a user's avatar; replace {subject} with the user's `sub`."""
    avatar_upload_url: pulumi.Output[str]
    """URL of the upload element's script."""
    uploads_bucket: pulumi.Output[str]
    """Name of the bucket of originals."""
    assets_bucket: pulumi.Output[str]
    """Name of the bucket that the CDN serves."""
    topic_arn: pulumi.Output[str]
    """ARN of the SNS topic of avatar.ready and avatar.rejected events."""
    queue_url: pulumi.Output[str]
    """URL of the queue of uploads to process."""
    dead_letter_queue_url: pulumi.Output[str]
    """URL of the queue of uploads that failed."""
    undelivered_queue_url: pulumi.Output[str] | None
    """URL of the queue of events that the webhook did not accept; only with a webhook."""
    limits_table: pulumi.Output[str]
    """Name of the table of the users' limits: counted uploads and blocks."""
    erase_function: pulumi.Output[str]
    """Name of the function that erases a user."""
    functions: pulumi.Output[Mapping[str, str]]
    """Names of all functions, such as that of `process_avatar`."""
    user_pool_id: pulumi.Output[str] | None
    """ID of the Cognito user pool; not with an issuer."""
    user_pool_client_id: pulumi.Output[str] | None
    """ID of the app client; not with an issuer."""
    profile_url: pulumi.Output[str] | None
    """URL of the profile page; only with a database, and not with an issuer without `issuer_client_id`."""
    migrate_function: pulumi.Output[str] | None
    """Name of the function that migrates the database schema; only with a database."""

    def __init__(
        self,
        name: str,
        args: AvatarServiceArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        build.build_packages_once(args.functions)  # all, before the first resource is registered
        super().__init__("avatars:index:AvatarService", name, None, opts)
        self._name = name
        self._args = args
        self._child_options = pulumi.ResourceOptions(parent=self)
        zone = find_zone(args.domain, args.hosted_zone_id, pulumi.InvokeOptions(parent=self))

        self.cdn = AssetsCdn(
            f"{name}-cdn",
            AssetsCdnArgs(
                allowed_origins=args.allowed_origins,
                domain=zone and zone.subdomain("assets"),
                bucket_name=args.assets_bucket_name,
                web_acl_arn=args.web_acl_arn,
                protect=args.protect_data,
                access_log_days=args.log_retention_days,
            ),
            self._child_options,
        )
        origins = [*args.allowed_origins, self.cdn.base_url]
        if zone:  # the profile page is still at the distribution's own host, too
            origins.append(pulumi.Output.concat("https://", self.cdn.distribution.domain_name))
        if args.issuer is not None and args.audience is not None:
            self.identity = None
            issuer, audience, audience_claim = args.issuer, args.audience, args.audience_claim
        else:
            self.identity = self._create_identity()
            issuer, audience, audience_claim = self.identity.issuer, self.identity.client_id, "client_id"
        alarm_topics = self._list_alarm_topics()
        self.pipeline = AvatarPipeline(
            f"{name}-pipeline",
            AvatarPipelineArgs(
                assets_bucket_name=self.cdn.bucket_name,
                assets_bucket_arn=self.cdn.bucket_arn,
                cdn_url=self.cdn.base_url,
                distribution_arn=self.cdn.distribution.arn,
                allowed_origins=origins,
                bucket_name=args.uploads_bucket_name,
                sizes=args.sizes,
                max_upload_bytes=args.max_upload_bytes,
                max_pixels=args.max_pixels,
                uploads_per_hour=args.uploads_per_hour,
                originals_days=args.originals_days,
                webhook_url=args.webhook_url,
                moderation_function_arn=args.moderation_function,
                max_concurrency=args.max_concurrency,
                alarm_topic_arn=args.alarm_topic_arn,
                reserved_concurrency=self._reserve_concurrency(avatar_pipeline.FUNCTIONS),
                protect=args.protect_data,
                log_retention_days=args.log_retention_days,
                tracing=args.tracing,
            ),
            self._child_options,
            create_profiles=self._create_profiles,
            alarm_actions=AlarmActions(separate=alarm_topics, joined=None) if alarm_topics else None,
        )
        self.api = UploadApi(
            f"{name}-api",
            UploadApiArgs(
                uploads_bucket_name=self.pipeline.uploads_bucket_name,
                uploads_bucket_arn=self.pipeline.uploads_bucket_arn,
                assets_bucket_name=self.cdn.bucket_name,
                assets_bucket_arn=self.cdn.bucket_arn,
                cdn_url=self.cdn.base_url,
                issuer=issuer,
                audience=audience,
                audience_claim=audience_claim,
                allowed_origins=origins,
                sizes=args.sizes,
                max_upload_bytes=args.max_upload_bytes,
                is_moderated=args.moderation_function is not None,
                authorizer_cache_seconds=args.authorizer_cache_seconds,
                throttle_rate=args.throttle_rate,
                throttle_burst=args.throttle_burst,
                domain=zone and zone.subdomain("api"),
                reserved_concurrency=self._reserve_concurrency(upload_api.FUNCTIONS),
                log_retention_days=args.log_retention_days,
                tracing=args.tracing,
            ),
            self._child_options,
            routes=(*self.pipeline.routes, *(self.profiles.routes if self.profiles else ())),
        )
        self.web = WebAssets(
            f"{name}-web",
            WebAssetsArgs(bucket_name=self.cdn.bucket_name, cdn_url=self.cdn.base_url, protect=args.protect_data),
            self._child_options,
        )
        self.page = self._create_page() if self.database else None
        functions = {
            **self.api.functions,
            **self.pipeline.functions,
            **(self.profiles.functions if self.profiles else {}),
        }
        SavedQueries(
            f"{name}-queries",
            SavedQueriesArgs(functions=list(functions.values()), access_log_group_name=self.api.access_log_group_name),
            self._child_options,
        )
        if args.dashboard:
            self._create_dashboard(functions)
        self.alarms = self._create_alarms(alarm_topics, functions) if alarm_topics else None
        self._set_outputs()

    def _create_identity(self) -> Identity:
        return Identity(
            f"{self._name}-identity",
            IdentityArgs(
                user_pool_id=self._args.user_pool_id,
                client_id=self._args.user_pool_client_id,
                self_sign_up=self._args.self_sign_up,
                email_identity_arn=self._args.email_identity_arn,
                protect=self._args.protect_data,
            ),
            self._child_options,
        )

    def _reserve_concurrency(self, functions: Collection[str]) -> dict[str, int]:
        return {name: count for name, count in self._args.reserved_concurrency.items() if name in functions}

    def _create_profiles(self, pipeline: AvatarPipeline) -> pulumi.Output[str] | None:
        """Creates the database and the functions of profiles, and returns the ARN of erase_profile, if any.

        The pipeline calls this when it has its bucket, which they need, before it creates the function that invokes one
        of them.
        """
        self.database = self._create_database(pipeline)
        self.profiles = self._create_profile_api(pipeline, self.database) if self.database else None
        return self.profiles.erase_function_arn if self.profiles else None

    def _create_database(self, pipeline: AvatarPipeline) -> AuroraDatabase | ExternalDatabase | None:
        args = self._args
        if args.database == "aurora":
            return AuroraDatabase(
                f"{self._name}-database",
                AuroraDatabaseArgs(
                    uploads_bucket_arn=pipeline.uploads_bucket_arn,
                    assets_bucket_arn=self.cdn.bucket_arn,
                    tags=args.tags,
                    protect=args.protect_data,
                ),
                self._child_options,
            )
        if args.database_url is not None:
            return ExternalDatabase(
                f"{self._name}-database",
                ExternalDatabaseArgs(
                    url=pulumi.Output.secret(args.database_url),
                    subnet_ids=args.database_subnet_ids,
                    security_group_ids=args.database_security_group_ids,
                ),
                self._child_options,
            )
        return None

    def _create_profile_api(self, pipeline: AvatarPipeline, database: AuroraDatabase | ExternalDatabase) -> ProfileApi:
        return ProfileApi(
            f"{self._name}-profiles",
            ProfileApiArgs(
                uploads_bucket_name=pipeline.uploads_bucket_name,
                uploads_bucket_arn=pipeline.uploads_bucket_arn,
                assets_bucket_name=self.cdn.bucket_name,
                assets_bucket_arn=self.cdn.bucket_arn,
                cdn_url=self.cdn.base_url,
                issuer=self.identity.issuer if self.identity and self._args.profile_names == "cognito" else None,
                database=database.app,
                migrations=database.owner,
                app_user=database.app_user,
                handle_hold_days=self._args.handle_hold_days,
                reserved_concurrency=self._reserve_concurrency(profile_api.FUNCTIONS),
                log_retention_days=self._args.log_retention_days,
                tracing=self._args.tracing,
            ),
            self._child_options,
        )

    def _create_page(self) -> ProfilePage | None:
        args = self._args
        client_id = self.identity.client_id if self.identity else args.issuer_client_id
        if client_id is None:
            return None
        # Issuers that do not know `audience` ignore it: https://www.rfc-editor.org/rfc/rfc6749#section-3.1
        audience = {"audience": args.audience} if args.audience and args.audience_claim == "aud" else {}
        parameters = {"scope": "openid offline_access", **audience, **args.issuer_parameters} if args.issuer else {}
        return ProfilePage(
            f"{self._name}-page",
            ProfilePageArgs(
                bucket_name=self.cdn.bucket_name,
                cdn_url=self.cdn.base_url,
                base_path=self.web.base_path,
                api_url=self.api.url,
                uploads_url=self.pipeline.uploads_url,
                client_id=client_id,
                sign_in_url=self.identity and self.identity.sign_in_url,
                issuer=args.issuer,
                issuer_origins=args.issuer_origins,
                issuer_parameters=parameters,
            ),
            self._child_options,
        )

    def _list_alarm_topics(self) -> Actions:
        topics = [] if self._args.alarm_topic_arn is None else [self._args.alarm_topic_arn]
        if self._args.alarm_email is not None:
            topics.append(
                AlarmTopic(f"{self._name}-on-call", self._args.alarm_email, opts=self._child_options).topic_arn
            )
        return topics

    def _create_alarms(self, topics: Actions, functions: Mapping[str, PythonFunction]) -> Alarms:
        args = self._args
        return Alarms(
            f"{self._name}-alarms",
            AlarmsArgs(
                actions=topics,
                metrics_service=self.pipeline.metrics_service,
                api_id=self.api.api.id,
                functions={package: function.function_name for package, function in functions.items()},
                late_uploads=self.pipeline.late_uploads,
                database_metrics_service=self.profiles.metrics_service if self.profiles else None,
                certificates=self._list_certificates(topics),
                budget=Budget(
                    usd=args.monthly_budget, email=args.alarm_email, topic_arn=args.alarm_topic_arn, tags=args.tags
                )
                if args.monthly_budget
                else None,
            ),
            self._child_options,
        )

    def _create_dashboard(self, functions: Mapping[str, PythonFunction]) -> None:
        pipeline = self.pipeline
        Dashboard(
            f"{self._name}-dashboard",
            DashboardArgs(
                metrics_service=pipeline.metrics_service,
                functions=functions,
                api_id=self.api.api.id,
                access_log_group_name=self.api.access_log_group_name,
                queue_name=pipeline.queue.name,
                dead_letter_queue_names=[
                    queue.name for queue in (pipeline.dead_letter_queue, pipeline.undelivered_queue) if queue
                ],
                topic_arn=pipeline.topic_arn,
                limits_table_name=pipeline.limits_table_name,
                distribution_id=self.cdn.distribution_id,
                database_metrics_service=self.profiles.metrics_service if self.profiles else None,
                database_cluster_id=self.database.cluster_id if isinstance(self.database, AuroraDatabase) else None,
                image_count=len(self._args.sizes) + 1,
            ),
            self._child_options,
        )

    def _list_certificates(self, topics: Actions) -> dict[str, Certificate]:
        """CloudFront's is in us-east-1, where only a topic of that region can be notified."""
        if self.api.certificate_arn is None or self.cdn.certificate_arn is None:
            return {}
        cdn_topics: list[pulumi.Input[str]] = list(topics)
        if self._args.alarm_email is not None:
            name = f"{self._name}-on-call-{CLOUDFRONT_REGION}"
            topic = AlarmTopic(name, self._args.alarm_email, CLOUDFRONT_REGION, self._child_options)
            cdn_topics[-1] = topic.topic_arn
        in_region = pulumi.Output.all(*cdn_topics).apply(
            lambda arns: [arn for arn in arns if arn.split(":")[3] == CLOUDFRONT_REGION]
        )
        return {
            "api": Certificate(arn=self.api.certificate_arn, region=None, actions=topics),
            "cdn": Certificate(arn=self.cdn.certificate_arn, region=CLOUDFRONT_REGION, actions=in_region),
        }

    def _set_outputs(self) -> None:
        self.api_url = self.api.url
        self.cdn_url = self.cdn.base_url
        self.distribution_id = self.cdn.distribution_id
        self.avatar_url = pulumi.Output.concat(self.cdn.base_url, "/avatars/{subject}.jpg")
        self.avatar_upload_url = self.web.element_url
        self.uploads_bucket = self.pipeline.uploads_bucket_name
        self.assets_bucket = self.cdn.bucket_name
        self.topic_arn = self.pipeline.topic_arn
        self.queue_url = self.pipeline.queue_url
        self.dead_letter_queue_url = self.pipeline.dead_letter_queue_url
        self.undelivered_queue_url = self.pipeline.undelivered_queue_url
        self.limits_table = self.pipeline.limits_table_name
        self.erase_function = self.pipeline.erase_function_name
        owners = (self.pipeline, self.api, *([self.profiles] if self.profiles else []))
        self.functions = pulumi.Output.all(
            **{name: its for owner in owners for name, its in owner.function_names.items()}
        )
        self.user_pool_id = self.identity.user_pool_id if self.identity else None
        self.user_pool_client_id = self.identity.client_id if self.identity else None
        self.profile_url = self.page.url if self.page else None
        self.migrate_function = self.profiles.migrate_function_name if self.profiles else None
        self.register_outputs({name: getattr(self, name) for name in AvatarService.__annotations__})
