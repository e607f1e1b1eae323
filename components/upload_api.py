"""The HTTP API for uploads: signed forms, upload status, current avatar."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field

import pulumi
from pulumi_aws import apigatewayv2, cloudwatch, lambda_

from components.blocks import iam, validation
from components.blocks.custom_domain import CustomDomain, ValidatedCertificate, create_alias_records
from components.blocks.python_function import PythonFunction, PythonFunctionArgs, publish_layers
from lambda_packages import build

METHODS = ("DELETE", "GET", "POST", "PUT")
"""The methods of the CORS configuration, and therefore of routes."""

FUNCTIONS = ("authorize", "presign_upload", "upload_status", "current_avatar", "delete_avatar")
"""The functions that an UploadApi creates."""

_ROUTE_KEY = re.compile(rf"({'|'.join(METHODS)}) ((?:/(?:[a-z0-9_-]+|\{{[a-z_]+\}}))+)")

# One line per request, whose event in CloudWatch has the time. Without headers and authorizer context except the
# subject, so that no token is logged.
_ACCESS_LOG = json.dumps(
    {
        "requestId": "$context.requestId",
        "sourceIp": "$context.identity.sourceIp",
        "routeKey": "$context.routeKey",
        "path": "$context.path",
        "status": "$context.status",
        "responseLatency": "$context.responseLatency",
        "integrationLatency": "$context.integrationLatency",
        "integrationError": "$context.integrationErrorMessage",
        "authorizerError": "$context.authorizer.error",
        "subject": "$context.authorizer.sub",
    },
    separators=(",", ":"),
)


@dataclass(frozen=True)
class ApiRoute:
    """A route of the API to a function."""

    key: str
    """One method and one path, such as `GET /avatars/me`."""
    function: PythonFunction
    _: KW_ONLY
    public: bool = False
    """Whether the route has no authorizer, and a throttle of its own."""


@dataclass(frozen=True, kw_only=True)
class UploadApiArgs:
    uploads_bucket_name: pulumi.Input[str]
    """The bucket that uploads go to."""
    uploads_bucket_arn: pulumi.Input[str]
    """The ARN of that bucket."""
    assets_bucket_name: pulumi.Input[str]
    """The bucket that the CDN serves."""
    assets_bucket_arn: pulumi.Input[str]
    """The ARN of that bucket."""
    cdn_url: pulumi.Input[str]
    """The base URL of the CDN, https://<host> without a slash at the end; URLs of avatars start with it."""
    issuer: pulumi.Input[str]
    """The required `iss` claim of tokens: an OpenID Connect issuer, or https://cognito-idp.<region>.amazonaws.com/<pool>.
    """
    audience: pulumi.Input[str]
    """The required audience of tokens; for a user pool, the ID of an app client."""
    audience_claim: str = "aud"
    """The claim that must be the audience: aud, which may also be a list with it, client_id or azp. For a user pool:
    client_id."""
    allowed_origins: Sequence[pulumi.Input[str]] = ()
    """Origins whose pages may call the API (CORS)."""
    sizes: Sequence[int] = (256,)
    """The `sizes` of the AvatarPipeline: browsers shrink photos to what these need."""
    max_upload_bytes: int = 10_485_760
    """The maximum size of an upload in bytes."""
    is_moderated: bool = False
    """Whether a moderation function may hold uploads."""
    authorizer_cache_seconds: int = 60
    """Seconds that API Gateway caches the authorizer's response for a token; 0 disables caching."""
    throttle_rate: int = 50
    """Requests per second, of all users together; a public route has half of it for itself."""
    throttle_burst: int = 100
    """The burst limit of requests; a public route has half of it for itself."""
    domain: CustomDomain | None = None
    """None: the API's default endpoint under amazonaws.com."""
    reserved_concurrency: Mapping[str, int] = field(default_factory=dict[str, int])
    """Reserved concurrency by function. Default: the functions share the unreserved concurrency of the account."""
    log_retention_days: int = 30
    """Days of log retention, one of the values that CloudWatch Logs supports."""
    tracing: bool = False
    """Whether Lambda sends traces to X-Ray. HTTP APIs cannot."""

    def __post_init__(self) -> None:
        validation.require(
            self,
            cdn_url=validation.HTTPS_URL,
            issuer=validation.ISSUER,
            audience=validation.AUDIENCE,
            audience_claim=validation.AUDIENCE_CLAIM,
            allowed_origins=validation.list_of(validation.ORIGIN),
            sizes=validation.SIZES,
            max_upload_bytes=validation.MAX_UPLOAD_BYTES,
            is_moderated=validation.BOOLEAN,
            authorizer_cache_seconds=validation.AUTHORIZER_CACHE_SECONDS,
            throttle_rate=validation.THROTTLE_RATE,
            throttle_burst=validation.THROTTLE_BURST,
            reserved_concurrency=validation.map_of(FUNCTIONS, validation.RESERVED_CONCURRENCY),
            log_retention_days=validation.LOG_RETENTION_DAYS,
            tracing=validation.BOOLEAN,
        )


class UploadApi(pulumi.ComponentResource):
    """`avatars:index:UploadApi`

    Creates an HTTP API with a stage, access logs and a Lambda authorizer, and the functions `authorize`,
    `presign_upload`, `upload_status`, `current_avatar` and `delete_avatar` with their layers and routes; with a domain
    also a certificate, the custom domain name, its API mapping, and the A and AAAA records. The attribute `api` is the
    API resource, `functions` are the functions by package, and `certificate_arn` is that of the certificate, or None.
    """

    url: pulumi.Output[str]
    """https://<host>, without a trailing slash."""

    def __init__(
        self,
        name: str,
        args: UploadApiArgs,
        opts: pulumi.ResourceOptions | None = None,
        *,
        routes: Sequence[ApiRoute] = (),
    ) -> None:
        """`routes` are those of functions of other components."""
        self._packages = build.build_packages_once(FUNCTIONS)
        super().__init__("avatars:index:UploadApi", name, None, opts)
        self._name = name
        self._args = args
        self._child_options = pulumi.ResourceOptions(parent=self)
        self.functions: dict[str, PythonFunction] = {}
        self._layers = publish_layers(name, self._packages.values(), self._child_options)

        self.api = apigatewayv2.Api(
            name,
            protocol_type="HTTP",
            description="Avatar uploads",
            ip_address_type="dualstack",
            # Otherwise the default endpoint would stay open beside the domain.
            disable_execute_api_endpoint=args.domain is not None,
            # API Gateway answers preflight requests itself, so they need no route without an authorizer.
            cors_configuration=_build_cors_configuration(args.allowed_origins) if args.allowed_origins else None,
            opts=self._child_options,
        )
        self._authorizer = self._create_authorizer()
        routes = (
            ApiRoute("POST /avatars/key_upload", self._create_presign_upload()),
            ApiRoute("GET /avatars/uploads/{upload_id}", self._create_upload_status()),
            ApiRoute("GET /avatars/me", self._create_current_avatar()),
            ApiRoute("DELETE /avatars/me", self._create_delete_avatar()),
            *routes,
        )
        created = [self.add_route(route.key, route.function, public=route.public) for route in routes]
        stage = self._create_stage([route for route, given in zip(created, routes, strict=True) if given.public])
        self.certificate_arn = self._create_custom_domain(args.domain, stage) if args.domain else None

        self.url = pulumi.Output.from_input(f"https://{args.domain.host}") if args.domain else self.api.api_endpoint
        self.register_outputs({"url": self.url})

    def add_route(self, route_key: str, function: PythonFunction, *, public: bool = False) -> apigatewayv2.Route:
        """Adds a route, such as `GET /avatars/me`, with a Lambda proxy integration and, unless public, the authorizer.

        The function gets events of payload format 2.0, with the caller's subject at
        requestContext.authorizer.lambda.sub. A public route has no caller, even if the request has a token. One that is
        added here, after the stage was created, has no throttle of its own.

        Raises:
            ValueError: The route key is not one method and one path.
        """
        match = _ROUTE_KEY.fullmatch(route_key)
        if match is None:
            raise ValueError(
                f"{route_key!r} is not a valid route key; allowed is one of {', '.join(METHODS)}, a space, and a path "
                "such as /avatars/{upload_id}, without ANY, $default or {proxy+}"
            )
        method, path = match.groups()
        role = "-".join(re.findall(r"[a-z0-9]+", route_key.lower()))
        integration = apigatewayv2.Integration(
            f"{self._name}-{role}-integration",
            api_id=self.api.id,
            integration_type="AWS_PROXY",
            integration_uri=function.invoke_arn,
            payload_format_version="2.0",
            opts=self._child_options,
        )
        lambda_.Permission(
            f"{self._name}-{role}-permission",
            action="lambda:InvokeFunction",
            function=function.function_name,
            principal="apigateway.amazonaws.com",
            # The source ARN of a request has the value of a path parameter, so it must be matched by a wildcard.
            source_arn=pulumi.Output.concat(self.api.execution_arn, f"/*/{method}", re.sub(r"{[a-z_]+}", "*", path)),
            opts=self._child_options,
        )
        return apigatewayv2.Route(
            f"{self._name}-{role}-route",
            api_id=self.api.id,
            route_key=route_key,
            target=pulumi.Output.concat("integrations/", integration.id),
            authorization_type="NONE" if public else "CUSTOM",
            authorizer_id=None if public else self._authorizer.id,
            opts=self._child_options,
        )

    def _create_authorizer(self) -> apigatewayv2.Authorizer:
        function = self._create_function(
            "authorize",
            description="Verifies access tokens",
            # One vCPU: a user waits for a cold start, which imports a cryptography library and fetches the JWKS.
            # Warm requests are billed for a millisecond, which costs a cent more per million.
            memory=1769,
            # Includes fetching the issuer's metadata and keys. API Gateway's own timeout is ten seconds.
            timeout=8,
            environment={
                "ISSUER": self._args.issuer,
                "AUDIENCE": self._args.audience,
                "AUDIENCE_CLAIM": self._args.audience_claim,
            },
            statements=[],
        )
        authorizer = apigatewayv2.Authorizer(
            f"{self._name}-authorizer",
            api_id=self.api.id,
            authorizer_type="REQUEST",
            authorizer_uri=function.invoke_arn,
            authorizer_payload_format_version="2.0",
            enable_simple_responses=True,
            # API Gateway answers 401 to a request without the header and does not invoke the function.
            identity_sources=["$request.header.Authorization"],
            authorizer_result_ttl_in_seconds=self._args.authorizer_cache_seconds,
            opts=self._child_options,
        )
        lambda_.Permission(
            f"{self._name}-authorizer-permission",
            action="lambda:InvokeFunction",
            function=function.function_name,
            principal="apigateway.amazonaws.com",
            source_arn=pulumi.Output.concat(self.api.execution_arn, "/authorizers/", authorizer.id),
            opts=self._child_options,
        )
        return authorizer

    def _create_presign_upload(self) -> PythonFunction:
        return self._create_function(
            "presign_upload",
            description="Signs upload forms",
            # Standard library only, and a few HMACs.
            memory=256,
            timeout=3,
            environment={
                "UPLOADS_BUCKET": self._args.uploads_bucket_name,
                "MAX_UPLOAD_BYTES": str(self._args.max_upload_bytes),
                "LARGEST_SIZE": str(max(self._args.sizes)),
            },
            # A signed form has the permissions of its signer.
            statements=[iam.write_objects(self._args.uploads_bucket_arn, "incoming/*")],
        )

    def _create_upload_status(self) -> PythonFunction:
        return self._create_function(
            "upload_status",
            description="Returns the status of an upload",
            # Standard library only, and a few small S3 requests.
            memory=256,
            timeout=5,
            environment={
                "UPLOADS_BUCKET": self._args.uploads_bucket_name,
                "ASSETS_BUCKET": self._args.assets_bucket_name,
                "CDN_URL": self._args.cdn_url,
                "IS_MODERATED": "true" if self._args.is_moderated else "",
            },
            statements=[
                *iam.read_objects(
                    self._args.uploads_bucket_arn,
                    *("incoming/*", "rejected/*"),
                    *(["held/*"] if self._args.is_moderated else []),
                ),
                *iam.read_objects(self._args.assets_bucket_arn, "avatars/*.json"),
            ],
        )

    def _create_current_avatar(self) -> PythonFunction:
        return self._create_function(
            "current_avatar",
            description="Returns the caller's manifest",
            memory=256,  # as upload_status
            timeout=5,
            environment={"ASSETS_BUCKET": self._args.assets_bucket_name, "CDN_URL": self._args.cdn_url},
            statements=iam.read_objects(self._args.assets_bucket_arn, "avatars/*.json"),
        )

    def _create_delete_avatar(self) -> PythonFunction:
        return self._create_function(
            "delete_avatar",
            description="Deletes the caller's avatar",
            memory=256,  # as upload_status
            timeout=10,  # up to eight small S3 requests
            environment={
                "UPLOADS_BUCKET": self._args.uploads_bucket_name,
                "ASSETS_BUCKET": self._args.assets_bucket_name,
            },
            statements=iam.delete_avatars(self._args.uploads_bucket_arn, self._args.assets_bucket_arn),
        )

    def _create_function(
        self,
        function: str,
        *,
        description: str,
        memory: int,
        timeout: int,
        environment: Mapping[str, pulumi.Input[str]],
        statements: Sequence[iam.Statement],
    ) -> PythonFunction:
        self.functions[function] = created = PythonFunction(
            f"{self._name}-{function.replace('_', '-')}",
            PythonFunctionArgs(
                package=self._packages[function],
                description=description,
                memory=memory,
                timeout=timeout,
                environment=environment,
                statements=statements,
                layers=self._layers,
                reserved_concurrency=self._args.reserved_concurrency.get(function),
                log_retention_days=self._args.log_retention_days,
                tracing=self._args.tracing,
            ),
            self._child_options,
        )
        return created

    def _create_stage(self, public_routes: Sequence[apigatewayv2.Route]) -> apigatewayv2.Stage:
        log_group = cloudwatch.LogGroup(
            f"{self._name}-access-logs",
            # Without this prefix, each log group is added to a resource policy that is limited to 5,120 characters:
            # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/AWS-logs-and-resource-policy.html
            name=pulumi.Output.concat("/aws/vendedlogs/", self._name, "-", self.api.id),
            retention_in_days=self._args.log_retention_days,
            opts=self._child_options,
        )
        self.access_log_group_name = log_group.name
        return apigatewayv2.Stage(
            f"{self._name}-stage",
            api_id=self.api.id,
            name="$default",
            auto_deploy=True,
            access_log_settings=apigatewayv2.StageAccessLogSettingsArgs(
                destination_arn=log_group.arn, format=_ACCESS_LOG
            ),
            default_route_settings=apigatewayv2.StageDefaultRouteSettingsArgs(
                throttling_rate_limit=self._args.throttle_rate,
                throttling_burst_limit=self._args.throttle_burst,
            ),
            # Anybody can send requests to these, and must not use up the limits of the other routes.
            route_settings=[
                apigatewayv2.StageRouteSettingArgs(
                    route_key=route.route_key,
                    throttling_rate_limit=max(1, self._args.throttle_rate // 2),
                    throttling_burst_limit=max(1, self._args.throttle_burst // 2),
                )
                for route in public_routes
            ]
            or None,
            # API Gateway rejects settings of a route that does not exist.
            opts=pulumi.ResourceOptions(parent=self, depends_on=public_routes),
        )

    def _create_custom_domain(self, domain: CustomDomain, stage: apigatewayv2.Stage) -> pulumi.Output[str]:
        """Returns the ARN of the certificate."""
        # In the API's region, unlike CloudFront's.
        certificate = ValidatedCertificate(f"{self._name}-tls", domain, opts=self._child_options)
        domain_name = apigatewayv2.DomainName(
            f"{self._name}-domain",
            domain_name=domain.host,
            domain_name_configuration=apigatewayv2.DomainNameDomainNameConfigurationArgs(
                certificate_arn=certificate.certificate_arn,
                endpoint_type="REGIONAL",
                security_policy="TLS_1_2",
                ip_address_type="dualstack",  # for the AAAA record
            ),
            opts=self._child_options,
        )
        apigatewayv2.ApiMapping(
            f"{self._name}-mapping",
            api_id=self.api.id,
            domain_name=domain_name.id,
            stage=stage.id,
            opts=self._child_options,
        )
        create_alias_records(
            f"{self._name}-alias",
            domain,
            domain_name.domain_name_configuration.target_domain_name,
            domain_name.domain_name_configuration.hosted_zone_id,
            self._child_options,
        )
        return certificate.certificate_arn


def _build_cors_configuration(origins: Sequence[pulumi.Input[str]]) -> apigatewayv2.ApiCorsConfigurationArgs:
    return apigatewayv2.ApiCorsConfigurationArgs(
        allow_origins=origins,
        allow_methods=METHODS,
        allow_headers=["authorization", "content-type"],
        allow_credentials=False,
        max_age=3600,
    )
