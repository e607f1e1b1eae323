"""The HTTP API: who may upload, where to, and what became of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import apigatewayv2, cloudwatch, lambda_

from components.blocks import iam, validation
from components.blocks.custom_domain import CustomDomain, ValidatedCertificate, alias_records
from components.blocks.python_function import PythonFunction, PythonFunctionArgs, publish_layers
from lambda_packages.build import Package

METHODS = ("DELETE", "GET", "POST", "PUT")
"""What browsers of the allowed origins may send; a route of another method could not be called from a page."""

_ROUTE_KEY = re.compile(rf"({'|'.join(METHODS)}) ((?:/(?:[a-z0-9_-]+|\{{[a-z_]+\}}))+)")
_FUNCTIONS = ("authorize", "presign_upload", "upload_status", "current_avatar")

# One line a request. Never $context.authorizer.* but the subject, and no header: a token must not get into a log.
_ACCESS_LOG = json.dumps(
    {
        "requestId": "$context.requestId",
        "time": "$context.requestTime",
        "sourceIp": "$context.identity.sourceIp",
        "routeKey": "$context.routeKey",
        "path": "$context.path",
        "status": "$context.status",
        "protocol": "$context.protocol",
        "responseLength": "$context.responseLength",
        "responseLatency": "$context.responseLatency",
        "integrationLatency": "$context.integrationLatency",
        "integrationError": "$context.integrationErrorMessage",
        "authorizerError": "$context.authorizer.error",
        "subject": "$context.authorizer.sub",
    },
    separators=(",", ":"),
)


@dataclass(frozen=True, kw_only=True)
class UploadApiArgs:
    packages: Mapping[str, Package]
    """As `lambda_packages.build.build_packages()` gives them."""
    uploads_bucket_name: pulumi.Input[str]
    uploads_bucket_arn: pulumi.Input[str]
    assets_bucket_name: pulumi.Input[str]
    assets_bucket_arn: pulumi.Input[str]
    issuer: pulumi.Input[str]
    """The `iss` a token must have, https://cognito-idp.<region>.amazonaws.com/<pool>."""
    client_id: pulumi.Input[str]
    """The app client a token must have been given to."""
    allowed_origins: Sequence[pulumi.Input[str]] = ()
    """Origins whose pages may call the API."""
    max_upload_bytes: int = 10_485_760
    authorizer_cache_seconds: int = 60
    """How long API Gateway goes on with what it was told about a token; 0 asks each time."""
    throttle_rate: int = 50
    """Requests a second, of all users together."""
    throttle_burst: int = 100
    domain: CustomDomain | None = None
    """None: the API's own host under amazonaws.com."""
    log_retention_days: int = 30

    def __post_init__(self) -> None:
        validation.require(
            self,
            packages=validation.having(*_FUNCTIONS),
            issuer=validation.HTTPS_URL,
            client_id=validation.USER_POOL_CLIENT_ID,
            allowed_origins=validation.each(validation.ORIGIN),
            max_upload_bytes=validation.MAX_UPLOAD_BYTES,
            authorizer_cache_seconds=validation.AUTHORIZER_CACHE_SECONDS,
            throttle_rate=validation.THROTTLE_RATE,
            throttle_burst=validation.THROTTLE_BURST,
            log_retention_days=validation.LOG_RETENTION_DAYS,
        )


class UploadApi(pulumi.ComponentResource):
    """`avatars:index:UploadApi`

    Makes: the HTTP API with its stage, access log and authorizer, the functions `authorize`, `presign_upload`,
    `upload_status` and `current_avatar` with their layers and routes; with a domain also the certificate, the domain
    name, its mapping and the A and AAAA records.
    """

    url: pulumi.Output[str]
    """https://<host>, without a slash at the end."""

    def __init__(
        self,
        name: str,
        args: UploadApiArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("avatars:index:UploadApi", name, None, opts)
        self._name = name
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        self._layers = publish_layers(name, [args.packages[f] for f in _FUNCTIONS], self._child)

        self._api = apigatewayv2.Api(
            name,
            protocol_type="HTTP",
            description="Uploads of avatars",
            # API Gateway answers preflights itself: no route needs to be open to everybody for them.
            cors_configuration=_callable_from(args.allowed_origins) if args.allowed_origins else None,
            opts=self._child,
        )
        self._authorizer = self._token_authorizer()
        self.add_route("POST /avatars/key_upload", self._presign_upload())
        self.add_route("GET /avatars/uploads/{upload_id}", self._upload_status())
        self.add_route("GET /avatars/me", self._current_avatar())
        stage = self._stage()
        if args.domain:
            self._serve_at(args.domain, stage)

        self.url = pulumi.Output.from_input(f"https://{args.domain.host}") if args.domain else self._api.api_endpoint
        self.register_outputs({"url": self.url})

    def add_route(self, route_key: str, function: PythonFunction, *, public: bool = False) -> apigatewayv2.Route:
        """Sends a method and path, such as `GET /avatars/me`, to a function, behind the authorizer unless it is public.

        The function gets API Gateway's payload format 2.0, with the caller at requestContext.authorizer.lambda.sub;
        on a public route there is no caller, whatever the request's headers say.
        Raises ValueError for a route key that is not one method and one path.
        """
        match = _ROUTE_KEY.fullmatch(route_key)
        if match is None:
            raise ValueError(
                f"{route_key!r} is not a route: one of {', '.join(METHODS)}, a space, and a path such as "
                "/avatars/{upload_id}; routes for any method or any path would be open to what nobody thought of"
            )
        method, path = match.groups()
        role = "-".join(re.findall(r"[a-z0-9]+", route_key.lower()))
        integration = apigatewayv2.Integration(
            f"{self._name}-{role}-integration",
            api_id=self._api.id,
            integration_type="AWS_PROXY",
            integration_uri=function.invoke_arn,
            payload_format_version="2.0",
            opts=self._child,
        )
        lambda_.Permission(
            f"{self._name}-{role}-permission",
            action="lambda:InvokeFunction",
            function=function.function_name,
            principal="apigateway.amazonaws.com",
            # API Gateway is told apart by what fills a parameter, not by its name: only a wildcard fits either way.
            source_arn=pulumi.Output.concat(self._api.execution_arn, f"/*/{method}", re.sub(r"{[a-z_]+}", "*", path)),
            opts=self._child,
        )
        return apigatewayv2.Route(
            f"{self._name}-{role}-route",
            api_id=self._api.id,
            route_key=route_key,
            target=pulumi.Output.concat("integrations/", integration.id),
            authorization_type="NONE" if public else "CUSTOM",
            authorizer_id=None if public else self._authorizer.id,
            opts=self._child,
        )

    def _token_authorizer(self) -> apigatewayv2.Authorizer:
        function = self._function(
            "authorize",
            description="Verifies access tokens",
            # One whole vCPU: a user waits while it starts, which loads a cryptography library and fetches keys. The
            # millisecond that it is billed for afterwards costs a cent a million more.
            memory=1769,
            # A key set that has to be fetched first, with some air. API Gateway itself waits ten seconds.
            timeout=5,
            environment={"ISSUER": self._args.issuer, "CLIENT_ID": self._args.client_id},
            statements=[],
        )
        authorizer = apigatewayv2.Authorizer(
            f"{self._name}-authorizer",
            api_id=self._api.id,
            authorizer_type="REQUEST",
            authorizer_uri=function.invoke_arn,
            authorizer_payload_format_version="2.0",
            enable_simple_responses=True,
            # A request without the header is answered 401 before the function is asked.
            identity_sources=["$request.header.Authorization"],
            authorizer_result_ttl_in_seconds=self._args.authorizer_cache_seconds,
            opts=self._child,
        )
        lambda_.Permission(
            f"{self._name}-authorizer-permission",
            action="lambda:InvokeFunction",
            function=function.function_name,
            principal="apigateway.amazonaws.com",
            source_arn=pulumi.Output.concat(self._api.execution_arn, "/authorizers/", authorizer.id),
            opts=self._child,
        )
        return authorizer

    def _presign_upload(self) -> PythonFunction:
        return self._function(
            "presign_upload",
            description="Signs the form an upload is posted with",
            # Standard library only: little to load, and a few HMACs to compute.
            memory=256,
            timeout=3,
            environment={
                "UPLOADS_BUCKET": self._args.uploads_bucket_name,
                "MAX_UPLOAD_BYTES": str(self._args.max_upload_bytes),
            },
            # It puts nothing itself: a signed form can do what its signer may do.
            statements=[iam.write_objects(self._args.uploads_bucket_arn, "incoming/*")],
        )

    def _upload_status(self) -> PythonFunction:
        return self._function(
            "upload_status",
            description="Says what became of an upload",
            # Standard library only, and waiting for up to three small requests to S3.
            memory=256,
            timeout=5,
            environment={
                "UPLOADS_BUCKET": self._args.uploads_bucket_name,
                "ASSETS_BUCKET": self._args.assets_bucket_name,
            },
            statements=[
                *iam.read_objects(self._args.uploads_bucket_arn, "incoming/*", "rejected/*"),
                *iam.read_objects(self._args.assets_bucket_arn, "avatars/*.json"),
            ],
        )

    def _current_avatar(self) -> PythonFunction:
        return self._function(
            "current_avatar",
            description="Gives the caller's manifest",
            memory=256,  # as upload_status
            timeout=5,
            environment={"ASSETS_BUCKET": self._args.assets_bucket_name},
            statements=iam.read_objects(self._args.assets_bucket_arn, "avatars/*.json"),
        )

    def _function(
        self,
        function: str,
        *,
        description: str,
        memory: int,
        timeout: int,
        environment: Mapping[str, pulumi.Input[str]],
        statements: Sequence[iam.Statement],
    ) -> PythonFunction:
        return PythonFunction(
            f"{self._name}-{function.replace('_', '-')}",
            PythonFunctionArgs(
                package=self._args.packages[function],
                description=description,
                memory=memory,
                timeout=timeout,
                environment=environment,
                statements=statements,
                layers=self._layers,
                log_retention_days=self._args.log_retention_days,
            ),
            self._child,
        )

    def _stage(self) -> apigatewayv2.Stage:
        log_group = cloudwatch.LogGroup(
            f"{self._name}-access-logs",
            # Each log group of another name adds to one resource policy of the account, which has a limit of 5,120
            # characters: https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/AWS-logs-and-resource-policy.html
            name=pulumi.Output.concat("/aws/vendedlogs/", self._name, "-", self._api.id),
            retention_in_days=self._args.log_retention_days,
            opts=self._child,
        )
        return apigatewayv2.Stage(
            f"{self._name}-stage",
            api_id=self._api.id,
            name="$default",
            auto_deploy=True,
            access_log_settings=apigatewayv2.StageAccessLogSettingsArgs(
                destination_arn=log_group.arn, format=_ACCESS_LOG
            ),
            default_route_settings=apigatewayv2.StageDefaultRouteSettingsArgs(
                throttling_rate_limit=self._args.throttle_rate,
                throttling_burst_limit=self._args.throttle_burst,
            ),
            opts=self._child,
        )

    def _serve_at(self, domain: CustomDomain, stage: apigatewayv2.Stage) -> None:
        # In the API's own region, unlike CloudFront's.
        certificate = ValidatedCertificate(f"{self._name}-tls", domain, opts=self._child)
        domain_name = apigatewayv2.DomainName(
            f"{self._name}-domain",
            domain_name=domain.host,
            domain_name_configuration=apigatewayv2.DomainNameDomainNameConfigurationArgs(
                certificate_arn=certificate.certificate_arn,
                endpoint_type="REGIONAL",
                security_policy="TLS_1_2",
            ),
            opts=self._child,
        )
        apigatewayv2.ApiMapping(
            f"{self._name}-mapping",
            api_id=self._api.id,
            domain_name=domain_name.id,
            stage=stage.id,
            opts=self._child,
        )
        alias_records(
            f"{self._name}-alias",
            domain,
            domain_name.domain_name_configuration.target_domain_name,
            domain_name.domain_name_configuration.hosted_zone_id,
            self._child,
        )


def _callable_from(
    origins: Sequence[pulumi.Input[str]],
) -> apigatewayv2.ApiCorsConfigurationArgs:
    return apigatewayv2.ApiCorsConfigurationArgs(
        allow_origins=origins,
        allow_methods=METHODS,
        allow_headers=["authorization", "content-type"],
        allow_credentials=False,
        max_age=3600,
    )
