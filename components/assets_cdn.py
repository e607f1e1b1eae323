"""The assets bucket and the CDN in front of it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_aws as aws
from pulumi_aws import cloudfront, cloudwatch

from components.blocks import iam, validation
from components.blocks.bucket_object import BucketObject, put_object
from components.blocks.custom_domain import CustomDomain, ValidatedCertificate, create_alias_records
from components.blocks.private_bucket import PrivateBucket, PrivateBucketArgs

# The region of CloudFront's certificates and log delivery, whatever the region of the stack:
# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cnames-and-https-requirements.html
CLOUDFRONT_REGION = "us-east-1"

DEFAULT_AVATAR_KEY = "defaults/avatar.jpg"
BANNER_KEY = "banners/banner.jpg"
PAGE_KEY = "profile"
"""The profile page."""
WEB_PREFIX = "web/"
"""Scripts and styles of the profile page, and the upload widget for other sites."""
_PAGE_PATHS = (PAGE_KEY, f"{WEB_PREFIX}*")
_ERROR_PATHS = "defaults/*"
_BANNER_PATHS = "banners/*"
SERVED_PATHS = ("avatars/*", _ERROR_PATHS, _BANNER_PATHS, *_PAGE_PATHS)
"""The keys that CloudFront can read by default."""
DEFAULT_ASSETS_DIR = Path(__file__).parents[1] / "assets"

# TTL of a 404: a user's first avatar must show soon after the upload.
_MISSING_SECONDS = 10
_OLD_VERSIONS_DAYS = 7
_YEAR_SECONDS = 31_536_000

_IMAGE_CSP = "default-src 'none'; frame-ancestors 'none'; sandbox"
# Without connect-src, which the page sets in a <meta> element because the API is created after the CDN. Browsers
# enforce both policies: https://www.w3.org/TR/CSP3/#multiple-policies
_PAGE_CSP = "; ".join(
    [
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        *(f"{kind}-src 'none'" for kind in ("font", "object", "frame", "worker", "media", "manifest")),
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
)


@dataclass(frozen=True, kw_only=True)
class ExistingBucket:
    """An S3 bucket that the component does not create, in any region."""

    bucket_name: pulumi.Input[str]
    """The bucket's physical name."""
    bucket_arn: pulumi.Input[str]
    """The bucket's ARN."""
    regional_domain_name: pulumi.Input[str]
    """<bucket>.s3.<region>.amazonaws.com"""


@dataclass(frozen=True, kw_only=True)
class AssetsCdnArgs:
    allowed_origins: Sequence[pulumi.Input[str]] = ()
    """Origins whose scripts may read responses (CORS). `<img>` elements need no permission."""
    domain: CustomDomain | None = None
    """None: the distribution's domain name under cloudfront.net."""
    bucket_name: str | None = None
    """The assets bucket's physical name. None: auto-named by Pulumi."""
    existing_bucket: ExistingBucket | None = None
    """A bucket to serve instead of a new one. Attach the output `bucket_policy` to it: a bucket has one policy, which
    the component must not replace."""
    served_paths: Sequence[str] = SERVED_PATHS
    """The keys that CloudFront can read: a key, or a prefix followed by `*`. The keys of the default avatar are always
    served. Without the paths of the banner, the profile page or the web assets, nothing is created for these."""
    web_acl_arn: pulumi.Input[str] | None = None
    """A WAF web ACL of scope CLOUDFRONT. Blocked requests get the same response as a missing image."""
    protect: bool = True
    """Sets `protect` and `retain_on_delete` on both buckets."""
    access_log_days: int = 30
    """Days after which access logs expire, 1 to 3,653."""
    default_avatar: str = str(DEFAULT_ASSETS_DIR / "defaults" / "avatar.jpg")
    """The path of the JPEG for users without an avatar, and the body of a 404."""
    banner: str = str(DEFAULT_ASSETS_DIR / "banners" / "banner.jpg")
    """The path of the JPEG at banners/banner.jpg."""

    def __post_init__(self) -> None:
        validation.require(
            self,
            allowed_origins=validation.list_of(validation.ORIGIN),
            bucket_name=validation.optional(validation.BUCKET_NAME),
            served_paths=validation.list_of(_SERVED_PATH),
            web_acl_arn=validation.optional(validation.WEB_ACL_ARN),
            access_log_days=validation.integer_range(1, 3653),
            default_avatar=_JPEG_FILE,
            banner=_JPEG_FILE,
        )
        if self.existing_bucket is not None and self.bucket_name is not None:
            raise ValueError("AssetsCdnArgs.bucket_name is the name of a new bucket; existing_bucket has its own")


_JPEG_FILE = validation.Rule(
    "the path of a JPEG file", lambda path: Path(path).suffix == ".jpg" and Path(path).is_file()
)
_SERVED_PATH = validation.Rule(
    "a key such as profile, or a prefix such as avatars/*",
    lambda path: isinstance(path, str) and re.fullmatch(r"[\w.-]+(/[\w.-]+)*(/\*)?", path) is not None,
)


class AssetsCdn(pulumi.ComponentResource):
    """`avatars:index:AssetsCdn`

    Creates the assets bucket, unless there is one, with a default avatar and a banner; a CloudFront distribution with
    origin access control, cache policy and response headers policies (images under a CSP that allows nothing, pages at
    `PAGE_KEY` and `WEB_PREFIX` under their own); and a bucket for access logs with their delivery; with a domain also a
    certificate and the A and AAAA records. The attributes `bucket` (None for an existing one) and `distribution` are
    the resources, and `certificate_arn` is that of the certificate, or None.
    """

    bucket_name: pulumi.Output[str]
    """Name of the assets bucket."""
    bucket_arn: pulumi.Output[str]
    """ARN of the assets bucket."""
    bucket_policy: pulumi.Output[str]
    """The bucket policy that allows the distribution to read, as JSON. An existing bucket needs its statements."""
    distribution_id: pulumi.Output[str]
    """ID of the CloudFront distribution."""
    base_url: pulumi.Output[str]
    """https://<host>, without a trailing slash."""

    def __init__(
        self,
        name: str,
        args: AssetsCdnArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("avatars:index:AssetsCdn", name, None, opts)
        self._name = name
        self._child_options = pulumi.ResourceOptions(parent=self)

        bucket = args.existing_bucket or PrivateBucket(
            f"{name}-assets",
            PrivateBucketArgs(
                protect=args.protect,
                bucket_name=args.bucket_name,
                old_versions_days=_OLD_VERSIONS_DAYS,
            ),
            self._child_options,
        )
        # As the body of a 404 it keeps its Cache-Control, which must not be longer than the 404's TTL.
        self._put_image("default-avatar", bucket, DEFAULT_AVATAR_KEY, args.default_avatar, _MISSING_SECONDS)
        if _BANNER_PATHS in args.served_paths:
            self._put_image("banner", bucket, BANNER_KEY, args.banner, 24 * 60 * 60)

        certificate = (
            ValidatedCertificate(f"{name}-tls", args.domain, CLOUDFRONT_REGION, self._child_options)
            if args.domain
            else None
        )
        self.certificate_arn = certificate and certificate.certificate_arn
        self.distribution = self._create_distribution(args, bucket)
        served_paths = dict.fromkeys([*args.served_paths, _ERROR_PATHS])
        read = iam.allow_cloudfront_read(bucket.bucket_arn, self.distribution.arn, *served_paths)
        if isinstance(bucket, PrivateBucket):
            bucket.attach_policy(read)
        self._deliver_access_logs(args, self.distribution)
        if args.domain:
            create_alias_records(
                f"{name}-alias",
                args.domain,
                self.distribution.domain_name,
                self.distribution.hosted_zone_id,
                self._child_options,
            )

        host = args.domain.host if args.domain else self.distribution.domain_name
        self.bucket = bucket.bucket if isinstance(bucket, PrivateBucket) else None
        self.bucket_name = pulumi.Output.from_input(bucket.bucket_name)
        self.bucket_arn = pulumi.Output.from_input(bucket.bucket_arn)
        self.bucket_policy = iam.policy_document(read)
        self.distribution_id = self.distribution.id
        self.base_url = pulumi.Output.concat("https://", host)
        self.register_outputs(
            {
                "bucket_name": self.bucket_name,
                "bucket_arn": self.bucket_arn,
                "bucket_policy": self.bucket_policy,
                "distribution_id": self.distribution_id,
                "base_url": self.base_url,
            }
        )

    def _put_image(self, role: str, bucket: PrivateBucket | ExistingBucket, key: str, image: str, max_age: int) -> None:
        object_ = BucketObject(
            key=key, content_type="image/jpeg", cache_control=f"public, max-age={max_age}", body=Path(image)
        )
        put_object(f"{self._name}-{role}", bucket.bucket_name, object_, self._child_options)

    def _create_distribution(
        self, args: AssetsCdnArgs, bucket: PrivateBucket | ExistingBucket
    ) -> cloudfront.Distribution:
        access = cloudfront.OriginAccessControl(
            f"{self._name}-access",
            origin_access_control_origin_type="s3",
            signing_behavior="always",
            signing_protocol="sigv4",
            opts=self._child_options,
        )
        cache_policy = self._create_cache_policy()
        return cloudfront.Distribution(
            f"{self._name}-distribution",
            comment=f"{self._name}: avatars and banners",
            enabled=True,
            is_ipv6_enabled=True,
            http_version="http2and3",
            aliases=[args.domain.host] if args.domain else None,
            web_acl_id=args.web_acl_arn,
            origins=[
                # Without s3_origin_config: an empty one shows as a change in every preview
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
                response_headers_policy_id=self._create_image_headers(args).id,
            ),
            ordered_cache_behaviors=self._create_page_behaviors(args, cache_policy) or None,
            # S3 returns 403 for a missing key, because CloudFront has no s3:ListBucket. Status 404 with the default
            # avatar as body shows in an `<img>`, and programs can still tell that a manifest does not exist.
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
            viewer_certificate=self._build_viewer_certificate(),
            opts=self._child_options,
        )

    def _create_page_behaviors(
        self, args: AssetsCdnArgs, cache_policy: cloudfront.CachePolicy
    ) -> list[cloudfront.DistributionOrderedCacheBehaviorArgs]:
        patterns = [pattern for pattern in _PAGE_PATHS if pattern in args.served_paths]
        headers = self._create_page_headers(args) if patterns else None
        return [
            cloudfront.DistributionOrderedCacheBehaviorArgs(
                path_pattern=pattern,
                target_origin_id="assets",
                viewer_protocol_policy="redirect-to-https",
                allowed_methods=["GET", "HEAD"],
                cached_methods=["GET", "HEAD"],
                compress=True,
                cache_policy_id=cache_policy.id,
                response_headers_policy_id=headers and headers.id,
            )
            for pattern in patterns
        ]

    def _build_viewer_certificate(self) -> cloudfront.DistributionViewerCertificateArgs:
        if self.certificate_arn is None:
            # The minimum TLS version cannot be set with the default certificate.
            return cloudfront.DistributionViewerCertificateArgs(cloudfront_default_certificate=True)
        return cloudfront.DistributionViewerCertificateArgs(
            acm_certificate_arn=self.certificate_arn,
            minimum_protocol_version="TLSv1.2_2021",
            ssl_support_method="sni-only",
        )

    def _create_cache_policy(self) -> cloudfront.CachePolicy:
        """Uses the object's Cache-Control, up to a year; an object without one is cached for a minute."""
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
            comment="Cache-Control of the object, up to a year",
            min_ttl=0,
            default_ttl=60,
            max_ttl=_YEAR_SECONDS,
            parameters_in_cache_key_and_forwarded_to_origin=parameters,
            opts=self._child_options,
        )

    def _create_image_headers(self, args: AssetsCdnArgs) -> cloudfront.ResponseHeadersPolicy:
        return cloudfront.ResponseHeadersPolicy(
            f"{self._name}-headers",
            comment="Images and JSON: no scripts, no frames",
            cors_config=_build_cors_config(args.allowed_origins) if args.allowed_origins else None,
            security_headers_config=_build_security_headers(_IMAGE_CSP),
            custom_headers_config=_build_custom_headers(_CROSS_SITE_HEADERS),
            opts=self._child_options,
        )

    def _create_page_headers(self, args: AssetsCdnArgs) -> cloudfront.ResponseHeadersPolicy:
        return cloudfront.ResponseHeadersPolicy(
            f"{self._name}-page-headers",
            comment="Profile page and web assets: own scripts and styles only",
            # Browsers load modules of another origin with CORS.
            cors_config=_build_cors_config(args.allowed_origins) if args.allowed_origins else None,
            security_headers_config=_build_security_headers(_PAGE_CSP),
            custom_headers_config=_build_custom_headers({**_CROSS_SITE_HEADERS, **_PAGE_HEADERS}),
            opts=self._child_options,
        )

    def _deliver_access_logs(self, args: AssetsCdnArgs, distribution: cloudfront.Distribution) -> None:
        """Creates standard logging v2, which does not require a bucket with ACLs.

        https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logging.html
        """
        account = aws.get_caller_identity_output(opts=pulumi.InvokeOptions(parent=self))
        bucket = PrivateBucket(
            f"{self._name}-logs",
            PrivateBucketArgs(protect=args.protect, expire_days=[("", args.access_log_days)]),
            self._child_options,
        )
        source = cloudwatch.LogDeliverySource(
            f"{self._name}-log-source",
            log_type="ACCESS_LOGS",
            resource_arn=distribution.arn,
            region=CLOUDFRONT_REGION,
            opts=self._child_options,
        )
        policy = bucket.attach_policy(iam.allow_log_delivery_write(bucket.bucket_arn, source.arn, account.account_id))
        destination = cloudwatch.LogDeliveryDestination(
            f"{self._name}-log-destination",
            output_format="json",
            delivery_destination_configuration=cloudwatch.LogDeliveryDestinationDeliveryDestinationConfigurationArgs(
                destination_resource_arn=bucket.bucket_arn
            ),
            region=CLOUDFRONT_REGION,
            opts=self._child_options,
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
            # Without it, creating the delivery adds its own statement to the bucket policy.
            opts=pulumi.ResourceOptions(parent=self, depends_on=policy),
        )


def _build_cors_config(origins: Sequence[pulumi.Input[str]]) -> cloudfront.ResponseHeadersPolicyCorsConfigArgs:
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


# Cross-origin isolated sites (COEP: require-corp) load only responses with this header.
_CROSS_SITE_HEADERS = {"Cross-Origin-Resource-Policy": "cross-origin"}
_PAGE_HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


def _build_custom_headers(headers: Mapping[str, str]) -> cloudfront.ResponseHeadersPolicyCustomHeadersConfigArgs:
    return cloudfront.ResponseHeadersPolicyCustomHeadersConfigArgs(
        items=[
            cloudfront.ResponseHeadersPolicyCustomHeadersConfigItemArgs(header=header, value=value, override=True)
            for header, value in headers.items()
        ]
    )


def _build_security_headers(csp: str) -> cloudfront.ResponseHeadersPolicySecurityHeadersConfigArgs:
    return cloudfront.ResponseHeadersPolicySecurityHeadersConfigArgs(
        strict_transport_security=cloudfront.ResponseHeadersPolicySecurityHeadersConfigStrictTransportSecurityArgs(
            access_control_max_age_sec=_YEAR_SECONDS, include_subdomains=True, preload=True, override=True
        ),
        content_type_options=cloudfront.ResponseHeadersPolicySecurityHeadersConfigContentTypeOptionsArgs(override=True),
        frame_options=cloudfront.ResponseHeadersPolicySecurityHeadersConfigFrameOptionsArgs(
            frame_option="DENY", override=True
        ),
        referrer_policy=cloudfront.ResponseHeadersPolicySecurityHeadersConfigReferrerPolicyArgs(
            referrer_policy="no-referrer", override=True
        ),
        content_security_policy=cloudfront.ResponseHeadersPolicySecurityHeadersConfigContentSecurityPolicyArgs(
            content_security_policy=csp, override=True
        ),
    )
