"""The assets bucket and the CDN in front of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_aws as aws
from pulumi_aws import cloudfront, cloudwatch

from components.blocks import iam, validation
from components.blocks.bucket_object import BucketFile, put_file
from components.blocks.custom_domain import CustomDomain, ValidatedCertificate, alias_records
from components.blocks.private_bucket import PrivateBucket, PrivateBucketArgs

# Where CloudFront looks for certificates and is itself managed, whatever region the stack is in:
# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cnames-and-https-requirements.html
CLOUDFRONT_REGION = "us-east-1"

DEFAULT_AVATAR_KEY = "defaults/avatar.jpg"
BANNER_KEY = "banners/banner.jpg"
PAGE_KEY = "profile"
"""The profile page."""
WEB_PREFIX = "web/"
"""Scripts and styles: the page's, and the upload widget for pages of other sites."""
_PAGES = (PAGE_KEY, f"{WEB_PREFIX}*")
_SERVED = ("avatars/*", "defaults/*", "banners/*", *_PAGES)
_SHIPPED = Path(__file__).parents[1] / "assets"

# How long the edge takes a picture for missing: a user's first avatar must show soon after the upload.
_MISSING_SECONDS = 10
_OLD_VERSIONS_DAYS = 7
_YEAR_SECONDS = 31_536_000

_NOTHING_RUNS = "default-src 'none'; frame-ancestors 'none'; sandbox"
# All that holds for every page. What a page may connect to it says itself, in a <meta>: the API is made after the CDN,
# and a page's two policies are both kept (https://www.w3.org/TR/CSP3/#multiple-policies).
_PAGE_POLICY = "; ".join(
    [
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",  # blob: a picture that was chosen and is not uploaded yet
        *(f"{kind}-src 'none'" for kind in ("font", "object", "frame", "worker", "media", "manifest")),
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
)


@dataclass(frozen=True, kw_only=True)
class AssetsCdnArgs:
    allowed_origins: Sequence[pulumi.Input[str]] = ()
    """Origins whose scripts may read what the CDN serves; `<img>` works from everywhere."""
    domain: CustomDomain | None = None
    """None: the distribution's own host under cloudfront.net."""
    bucket_name: str | None = None
    web_acl_arn: pulumi.Input[str] | None = None
    """A WAF for CloudFront. What it blocks is answered as a missing picture is."""
    protect: bool = True
    access_log_days: int = 30
    default_avatar: Path = _SHIPPED / "defaults" / "avatar.jpg"
    banner: Path = _SHIPPED / "banners" / "banner.jpg"

    def __post_init__(self) -> None:
        validation.require(
            self,
            allowed_origins=validation.each(validation.ORIGIN),
            bucket_name=validation.optional(validation.BUCKET_NAME),
            web_acl_arn=validation.optional(validation.WEB_ACL_ARN),
            access_log_days=validation.whole_number(1, 3653),
            default_avatar=_JPEG_FILE,
            banner=_JPEG_FILE,
        )


_JPEG_FILE = validation.Rule("the path of a JPEG file", lambda path: path.suffix == ".jpg" and path.is_file())


class AssetsCdn(pulumi.ComponentResource):
    """`avatars:index:AssetsCdn`

    Serves pictures, under a policy by which nothing runs, and at `PAGE_KEY` and below `WEB_PREFIX` web pages.

    Makes: the assets bucket with its default avatar and banner, the distribution with its origin access control, cache
    policy and two sets of response headers, a bucket of access logs and their delivery; with a domain also the
    certificate and the A and AAAA records.
    """

    bucket_name: pulumi.Output[str]
    bucket_arn: pulumi.Output[str]
    distribution_id: pulumi.Output[str]
    base_url: pulumi.Output[str]
    """https://<host>, without a slash at the end."""

    def __init__(
        self,
        name: str,
        args: AssetsCdnArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("avatars:index:AssetsCdn", name, None, opts)
        self._name = name
        self._child = pulumi.ResourceOptions(parent=self)

        bucket = PrivateBucket(
            f"{name}-assets",
            PrivateBucketArgs(
                protect=args.protect,
                bucket_name=args.bucket_name,
                old_versions_days=_OLD_VERSIONS_DAYS,
            ),
            self._child,
        )
        # Its picture is the body of a 404, and a browser keeps that for as long as the header of the picture says.
        self._ship("default-avatar", bucket, DEFAULT_AVATAR_KEY, args.default_avatar, _MISSING_SECONDS)
        self._ship("banner", bucket, BANNER_KEY, args.banner, 24 * 60 * 60)

        distribution = self._distribution(args, bucket)
        bucket.attach_policy(iam.admit_cdn(bucket.bucket_arn, distribution.arn, *_SERVED))
        self._deliver_access_logs(args, distribution)
        if args.domain:
            alias_records(
                f"{name}-alias",
                args.domain,
                distribution.domain_name,
                distribution.hosted_zone_id,
                self._child,
            )

        host = args.domain.host if args.domain else distribution.domain_name
        self.bucket_name = bucket.bucket_name
        self.bucket_arn = bucket.bucket_arn
        self.distribution_id = distribution.id
        self.base_url = pulumi.Output.concat("https://", host)
        self.register_outputs(
            {
                "bucket_name": self.bucket_name,
                "bucket_arn": self.bucket_arn,
                "distribution_id": self.distribution_id,
                "base_url": self.base_url,
            }
        )

    def _ship(self, role: str, bucket: PrivateBucket, key: str, picture: Path, max_age: int) -> None:
        file = BucketFile(key=key, content_type="image/jpeg", cache_control=f"public, max-age={max_age}", body=picture)
        put_file(f"{self._name}-{role}", bucket.bucket_name, file, self._child)

    def _distribution(self, args: AssetsCdnArgs, bucket: PrivateBucket) -> cloudfront.Distribution:
        access = cloudfront.OriginAccessControl(
            f"{self._name}-access",
            origin_access_control_origin_type="s3",
            signing_behavior="always",
            signing_protocol="sigv4",
            opts=self._child,
        )
        cache_policy = self._cache_policy()
        return cloudfront.Distribution(
            f"{self._name}-distribution",
            comment=f"{self._name}: avatars and banners",
            enabled=True,
            is_ipv6_enabled=True,
            http_version="http2and3",
            aliases=[args.domain.host] if args.domain else None,
            web_acl_id=args.web_acl_arn,
            origins=[
                # Without s3_origin_config: an empty one shows as a change at every preview
                # (https://github.com/pulumi/pulumi-aws/issues/6623).
                cloudfront.DistributionOriginArgs(
                    origin_id="assets",
                    domain_name=bucket.regional_domain_name,
                    origin_access_control_id=access.id,
                )
            ],
            default_cache_behavior=cloudfront.DistributionDefaultCacheBehaviorArgs(
                target_origin_id="assets",
                viewer_protocol_policy="redirect-to-https",
                allowed_methods=["GET", "HEAD"],
                cached_methods=["GET", "HEAD"],
                compress=True,
                cache_policy_id=cache_policy.id,
                response_headers_policy_id=self._picture_headers(args).id,
            ),
            ordered_cache_behaviors=self._serving_pages(args, cache_policy),
            # S3 answers 403 for what does not exist, since the CDN may not list the bucket. `<img>` shows the body of a
            # 404, and a program that asks for a manifest still sees that there is none.
            custom_error_responses=[
                cloudfront.DistributionCustomErrorResponseArgs(
                    error_code=code,
                    response_code=404,
                    response_page_path=f"/{DEFAULT_AVATAR_KEY}",
                    error_caching_min_ttl=_MISSING_SECONDS,
                )
                for code in (403, 404)
            ],
            restrictions=cloudfront.DistributionRestrictionsArgs(
                geo_restriction=cloudfront.DistributionRestrictionsGeoRestrictionArgs(restriction_type="none")
            ),
            viewer_certificate=self._viewer_certificate(args.domain),
            opts=self._child,
        )

    def _serving_pages(
        self, args: AssetsCdnArgs, cache_policy: cloudfront.CachePolicy
    ) -> list[cloudfront.DistributionOrderedCacheBehaviorArgs]:
        headers = self._page_headers(args)
        return [
            cloudfront.DistributionOrderedCacheBehaviorArgs(
                path_pattern=pattern,
                target_origin_id="assets",
                viewer_protocol_policy="redirect-to-https",
                allowed_methods=["GET", "HEAD"],
                cached_methods=["GET", "HEAD"],
                compress=True,
                cache_policy_id=cache_policy.id,
                response_headers_policy_id=headers.id,
            )
            for pattern in _PAGES
        ]

    def _viewer_certificate(self, domain: CustomDomain | None) -> cloudfront.DistributionViewerCertificateArgs:
        if domain is None:
            # CloudFront fixes the protocols of its own host; at least TLS 1.2 can be had with a certificate only.
            return cloudfront.DistributionViewerCertificateArgs(cloudfront_default_certificate=True)
        certificate = ValidatedCertificate(f"{self._name}-tls", domain, CLOUDFRONT_REGION, self._child)
        return cloudfront.DistributionViewerCertificateArgs(
            acm_certificate_arn=certificate.certificate_arn,
            minimum_protocol_version="TLSv1.2_2021",
            ssl_support_method="sni-only",
        )

    def _cache_policy(self) -> cloudfront.CachePolicy:
        """The object's own Cache-Control rules, from nothing to a year; what has none stays a minute."""
        parameters = cloudfront.CachePolicyParametersInCacheKeyAndForwardedToOriginArgs(
            cookies_config=cloudfront.CachePolicyParametersInCacheKeyAndForwardedToOriginCookiesConfigArgs(
                cookie_behavior="none"
            ),
            headers_config=cloudfront.CachePolicyParametersInCacheKeyAndForwardedToOriginHeadersConfigArgs(
                header_behavior="none"
            ),
            query_strings_config=cloudfront.CachePolicyParametersInCacheKeyAndForwardedToOriginQueryStringsConfigArgs(
                query_string_behavior="none"
            ),
            enable_accept_encoding_gzip=True,
            enable_accept_encoding_brotli=True,
        )
        return cloudfront.CachePolicy(
            f"{self._name}-cache",
            comment="What the object's Cache-Control says, at most a year",
            min_ttl=0,
            default_ttl=60,
            max_ttl=_YEAR_SECONDS,
            parameters_in_cache_key_and_forwarded_to_origin=parameters,
            opts=self._child,
        )

    def _picture_headers(self, args: AssetsCdnArgs) -> cloudfront.ResponseHeadersPolicy:
        return cloudfront.ResponseHeadersPolicy(
            f"{self._name}-headers",
            comment="Pictures and JSON: nothing here is a page, and nothing runs",
            cors_config=_readable_from(args.allowed_origins) if args.allowed_origins else None,
            security_headers_config=_security_headers(_NOTHING_RUNS),
            custom_headers_config=_custom_headers(_FOR_OTHER_SITES),
            opts=self._child,
        )

    def _page_headers(self, args: AssetsCdnArgs) -> cloudfront.ResponseHeadersPolicy:
        return cloudfront.ResponseHeadersPolicy(
            f"{self._name}-page-headers",
            comment="The profile page, and scripts for pages: only our own files run",
            # A module that another site loads is a request with CORS.
            cors_config=_readable_from(args.allowed_origins) if args.allowed_origins else None,
            security_headers_config=_security_headers(_PAGE_POLICY),
            custom_headers_config=_custom_headers({**_FOR_OTHER_SITES, **_FOR_PAGES}),
            opts=self._child,
        )

    def _deliver_access_logs(self, args: AssetsCdnArgs, distribution: cloudfront.Distribution) -> None:
        """CloudFront's standard logging v2, which needs no bucket with ACLs.

        https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logging.html
        """
        account = aws.get_caller_identity_output(opts=pulumi.InvokeOptions(parent=self))
        bucket = PrivateBucket(
            f"{self._name}-logs",
            PrivateBucketArgs(protect=args.protect, expire_days=[("", args.access_log_days)]),
            self._child,
        )
        source = cloudwatch.LogDeliverySource(
            f"{self._name}-log-source",
            log_type="ACCESS_LOGS",
            resource_arn=distribution.arn,
            region=CLOUDFRONT_REGION,
            opts=self._child,
        )
        policy = bucket.attach_policy(iam.admit_log_delivery(bucket.bucket_arn, source.arn, account.account_id))
        destination = cloudwatch.LogDeliveryDestination(
            f"{self._name}-log-destination",
            output_format="json",
            delivery_destination_configuration=cloudwatch.LogDeliveryDestinationDeliveryDestinationConfigurationArgs(
                destination_resource_arn=bucket.bucket_arn
            ),
            region=CLOUDFRONT_REGION,
            opts=self._child,
        )
        cloudwatch.LogDelivery(
            f"{self._name}-log-delivery",
            delivery_source_name=source.name,
            delivery_destination_arn=destination.arn,
            s3_delivery_configurations=[
                cloudwatch.LogDeliveryS3DeliveryConfigurationArgs(
                    suffix_path="{DistributionId}/{yyyy}/{MM}/{dd}", enable_hive_compatible_path=False
                )
            ],
            region=CLOUDFRONT_REGION,
            # A delivery that finds the bucket closed opens it with a statement of its own.
            opts=pulumi.ResourceOptions(parent=self, depends_on=policy),
        )


def _readable_from(
    origins: Sequence[pulumi.Input[str]],
) -> cloudfront.ResponseHeadersPolicyCorsConfigArgs:
    return cloudfront.ResponseHeadersPolicyCorsConfigArgs(
        access_control_allow_credentials=False,
        access_control_allow_headers=cloudfront.ResponseHeadersPolicyCorsConfigAccessControlAllowHeadersArgs(
            items=["range"]
        ),
        access_control_allow_methods=cloudfront.ResponseHeadersPolicyCorsConfigAccessControlAllowMethodsArgs(
            items=["GET", "HEAD"]
        ),
        access_control_allow_origins=cloudfront.ResponseHeadersPolicyCorsConfigAccessControlAllowOriginsArgs(
            items=origins
        ),
        access_control_max_age_sec=3600,
        origin_override=True,
    )


# Avatars are shown on other sites, also on those that isolate themselves (COEP: require-corp).
_FOR_OTHER_SITES = {"Cross-Origin-Resource-Policy": "cross-origin"}
_FOR_PAGES = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


def _custom_headers(headers: Mapping[str, str]) -> cloudfront.ResponseHeadersPolicyCustomHeadersConfigArgs:
    return cloudfront.ResponseHeadersPolicyCustomHeadersConfigArgs(
        items=[
            cloudfront.ResponseHeadersPolicyCustomHeadersConfigItemArgs(header=header, value=value, override=True)
            for header, value in headers.items()
        ]
    )


def _security_headers(policy: str) -> cloudfront.ResponseHeadersPolicySecurityHeadersConfigArgs:
    return cloudfront.ResponseHeadersPolicySecurityHeadersConfigArgs(
        strict_transport_security=cloudfront.ResponseHeadersPolicySecurityHeadersConfigStrictTransportSecurityArgs(
            access_control_max_age_sec=_YEAR_SECONDS, override=True
        ),
        content_type_options=cloudfront.ResponseHeadersPolicySecurityHeadersConfigContentTypeOptionsArgs(override=True),
        frame_options=cloudfront.ResponseHeadersPolicySecurityHeadersConfigFrameOptionsArgs(
            frame_option="DENY", override=True
        ),
        referrer_policy=cloudfront.ResponseHeadersPolicySecurityHeadersConfigReferrerPolicyArgs(
            referrer_policy="no-referrer", override=True
        ),
        content_security_policy=cloudfront.ResponseHeadersPolicySecurityHeadersConfigContentSecurityPolicyArgs(
            content_security_policy=policy, override=True
        ),
    )
