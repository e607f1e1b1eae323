"""AssetsCdn, used alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components.assets_cdn import AssetsCdn, AssetsCdnArgs, ExistingBucket
from components.blocks.custom_domain import CustomDomain
from local.recording.graph import Graph
from tests.components.conftest import ACCOUNT, REGION, ROOT, RunAlone, get_statements

BUCKET = "cdn-assets-abc1234"
BUCKET_ARN = f"arn:aws:s3:::{BUCKET}"
DISTRIBUTION_ARN = f"arn:aws:cloudfront::{ACCOUNT}:distribution/cdn-distribution"
READ_CONDITION = {
    "StringEquals": {"aws:SourceArn": DISTRIBUTION_ARN},
    "StringNotEquals": {"s3:ExistingObjectTag/deleted": "true"},
}
DISTRIBUTION = "aws:cloudfront/distribution:Distribution"
HEADERS_POLICY = "aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy"

HSTS = {"accessControlMaxAgeSec": 31_536_000, "includeSubdomains": True, "preload": True, "override": True}


@pytest.fixture(scope="module")
def cdn(run_alone: RunAlone) -> Graph:
    return run_alone(lambda: AssetsCdn("cdn", AssetsCdnArgs()))


@pytest.fixture(scope="module")
def cdn_with_domain(run_alone: RunAlone) -> Graph:
    domain = CustomDomain(host="assets.example.com", zone_id="Z1")
    return run_alone(lambda: AssetsCdn("cdn", AssetsCdnArgs(domain=domain)))


def test_distribution_inputs(cdn: Graph) -> None:
    cached = {
        "targetOriginId": "assets",
        "viewerProtocolPolicy": "redirect-to-https",
        "allowedMethods": ["GET", "HEAD"],
        "cachedMethods": ["GET", "HEAD"],
        "compress": True,
        "cachePolicyId": "cdn-cache-id",
    }
    missing = {"responseCode": 404, "responsePagePath": "/defaults/avatar.jpg", "errorCachingMinTtl": 10}
    assert cdn.one(DISTRIBUTION).inputs == {
        "comment": "cdn: avatars and banners",
        "enabled": True,
        "isIpv6Enabled": True,
        "httpVersion": "http2and3",
        "origins": [
            {
                "originId": "assets",
                "domainName": f"{BUCKET}.s3.{REGION}.amazonaws.com",
                "originAccessControlId": "cdn-access-id",
            }
        ],
        "defaultCacheBehavior": {**cached, "responseHeadersPolicyId": "cdn-headers-id"},
        "orderedCacheBehaviors": [
            {"pathPattern": pattern, **cached, "responseHeadersPolicyId": "cdn-page-headers-id"}
            for pattern in ("profile", "web/*")
        ],
        "customErrorResponses": [{"errorCode": 403, **missing}, {"errorCode": 404, **missing}],
        "restrictions": {"geoRestriction": {"restrictionType": "none"}},
        "viewerCertificate": {"cloudfrontDefaultCertificate": True},
    }


def test_origin_access_control_signs_every_request(cdn: Graph) -> None:
    assert cdn.named("cdn-access").inputs == {
        "originAccessControlOriginType": "s3",
        "signingBehavior": "always",
        "signingProtocol": "sigv4",
    }


def test_bucket_policy_allows_distribution_to_read_served_paths_only(cdn: Graph) -> None:
    _tls_only, statement = get_statements(cdn.named("cdn-assets-policy").inputs["policy"])
    assert statement == {
        "Sid": "Cdn",
        "Effect": "Allow",
        "Principal": {"Service": "cloudfront.amazonaws.com"},
        "Action": "s3:GetObject",
        "Resource": [f"{BUCKET_ARN}/{keys}" for keys in ("avatars/*", "defaults/*", "banners/*", "profile", "web/*")],
        "Condition": READ_CONDITION,
    }


def test_cache_policy_uses_cache_control_of_the_object(cdn: Graph) -> None:
    """CloudFront's default TTL of a day would delay a new avatar."""
    assert cdn.named("cdn-cache").inputs == {
        "comment": "Cache-Control of the object, up to a year",
        "minTtl": 0,
        "defaultTtl": 60,
        "maxTtl": 31_536_000,
        "parametersInCacheKeyAndForwardedToOrigin": {
            "cookiesConfig": {"cookieBehavior": "none"},
            "headersConfig": {"headerBehavior": "none"},
            "queryStringsConfig": {"queryStringBehavior": "none"},
            "enableAcceptEncodingGzip": True,
            "enableAcceptEncodingBrotli": True,
        },
    }


def test_image_responses_have_security_headers(cdn: Graph) -> None:
    assert cdn.named("cdn-headers").inputs == {
        "comment": "Images and JSON: no scripts, no frames",
        "securityHeadersConfig": {
            "strictTransportSecurity": HSTS,
            "contentTypeOptions": {"override": True},
            "frameOptions": {"frameOption": "DENY", "override": True},
            "referrerPolicy": {"referrerPolicy": "no-referrer", "override": True},
            "contentSecurityPolicy": {
                "contentSecurityPolicy": "default-src 'none'; frame-ancestors 'none'; sandbox",
                "override": True,
            },
        },
        "customHeadersConfig": {
            "items": [{"header": "Cross-Origin-Resource-Policy", "value": "cross-origin", "override": True}]
        },
    }


def test_page_responses_allow_own_files_only(cdn: Graph) -> None:
    policy = (
        "script-src 'self'; style-src 'self'; img-src 'self'; font-src 'none'; object-src 'none'; "
        "frame-src 'none'; worker-src 'none'; media-src 'none'; manifest-src 'none'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    headers = {
        "Cross-Origin-Resource-Policy": "cross-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    }
    assert cdn.named("cdn-page-headers").inputs == {
        "comment": "Profile page and web assets: own scripts and styles only",
        "securityHeadersConfig": {
            "strictTransportSecurity": HSTS,
            "contentTypeOptions": {"override": True},
            "frameOptions": {"frameOption": "DENY", "override": True},
            "referrerPolicy": {"referrerPolicy": "no-referrer", "override": True},
            "contentSecurityPolicy": {"contentSecurityPolicy": policy, "override": True},
        },
        "customHeadersConfig": {
            "items": [{"header": header, "value": value, "override": True} for header, value in headers.items()]
        },
    }


@pytest.fixture(scope="module")
def cdn_with_origins(run_alone: RunAlone) -> Graph:
    return run_alone(lambda: AssetsCdn("cdn", AssetsCdnArgs(allowed_origins=["https://app.example.com"])))


@pytest.mark.parametrize("headers", ["cdn-headers", "cdn-page-headers"])
def test_cors_allows_configured_origins_only(cdn_with_origins: Graph, headers: str) -> None:
    assert cdn_with_origins.named(headers).inputs["corsConfig"] == {
        "accessControlAllowCredentials": False,
        "accessControlAllowHeaders": {"items": ["range"]},
        "accessControlAllowMethods": {"items": ["GET", "HEAD"]},
        "accessControlAllowOrigins": {"items": ["https://app.example.com"]},
        "accessControlMaxAgeSec": 3600,
        "originOverride": True,
    }


@pytest.mark.parametrize(
    ("name", "key", "file", "cache_control"),
    [
        ("cdn-default-avatar", "defaults/avatar.jpg", "assets/defaults/avatar.jpg", "public, max-age=10"),
        ("cdn-banner", "banners/banner.jpg", "assets/banners/banner.jpg", "public, max-age=86400"),
    ],
)
def test_default_images_are_uploaded(cdn: Graph, name: str, key: str, file: str, cache_control: str) -> None:
    inputs = dict(cdn.named(name).inputs)
    source = inputs.pop("source")
    assert isinstance(source, pulumi.FileAsset)
    assert Path(source.path) == ROOT / file
    assert Path(source.path).read_bytes()[:3] == b"\xff\xd8\xff"
    assert inputs == {
        "bucket": BUCKET,
        "key": key,
        "contentType": "image/jpeg",
        "cacheControl": cache_control,
        "overrideProvider": {"defaultTags": {"tags": {}}},
    }


def test_missing_avatar_has_same_ttl_in_browser_and_edge(cdn: Graph) -> None:
    """As the body of a 404, the default avatar keeps its own Cache-Control."""
    errors = cdn.one(DISTRIBUTION).inputs["customErrorResponses"]
    assert {error["errorCachingMinTtl"] for error in errors} == {10}
    assert cdn.named("cdn-default-avatar").inputs["cacheControl"] == "public, max-age=10"


def test_assets_bucket_keeps_old_versions_for_a_week(cdn: Graph) -> None:
    assert cdn.named("cdn-assets-versioning").inputs["versioningConfiguration"] == {"status": "Enabled"}
    assert cdn.named("cdn-assets-lifecycle").inputs["rules"] == [
        {
            "id": "abort-incomplete-multipart-uploads",
            "status": "Enabled",
            "filter": {"prefix": ""},
            "abortIncompleteMultipartUpload": {"daysAfterInitiation": 1},
        },
        {
            "id": "expire-old-versions",
            "status": "Enabled",
            "filter": {"prefix": ""},
            "noncurrentVersionExpiration": {"noncurrentDays": 7},
            "expiration": {"expiredObjectDeleteMarker": True},
        },
    ]


def test_access_logs_are_delivered_to_their_own_bucket(cdn: Graph) -> None:
    logs = "arn:aws:s3:::cdn-logs-abc1234"
    source = f"arn:aws:logs:us-east-1:{ACCOUNT}:delivery-source:cdn-log-source-abc1234"
    assert cdn.named("cdn-log-source").inputs == {
        "logType": "ACCESS_LOGS",
        "resourceArn": DISTRIBUTION_ARN,
        "region": "us-east-1",
    }
    assert cdn.named("cdn-log-destination").inputs == {
        "outputFormat": "json",
        "deliveryDestinationConfiguration": {"destinationResourceArn": logs},
        "region": "us-east-1",
    }
    delivery = cdn.named("cdn-log-delivery")
    assert delivery.inputs == {
        "deliverySourceName": "cdn-log-source-abc1234",
        "deliveryDestinationArn": f"arn:aws:logs:us-east-1:{ACCOUNT}:delivery-destination:cdn-log-destination-abc1234",
        "s3DeliveryConfigurations": [
            {"suffixPath": "{DistributionId}/{yyyy}/{MM}/{dd}", "enableHiveCompatiblePath": False}
        ],
        "region": "us-east-1",
    }
    policy = cdn.named("cdn-logs-policy")
    assert policy.urn in delivery.dependencies
    assert get_statements(policy.inputs["policy"])[1:] == [
        {
            "Sid": "LogDelivery",
            "Effect": "Allow",
            "Principal": {"Service": "delivery.logs.amazonaws.com"},
            "Action": "s3:PutObject",
            "Resource": f"{logs}/AWSLogs/{ACCOUNT}/CloudFront/*",
            "Condition": {
                "StringEquals": {"aws:SourceAccount": ACCOUNT, "s3:x-amz-acl": "bucket-owner-full-control"},
                "ArnEquals": {"aws:SourceArn": source},
            },
        }
    ]


def test_access_logs_expire_after_given_days(run_alone: RunAlone) -> None:
    graph = run_alone(lambda: AssetsCdn("cdn", AssetsCdnArgs(access_log_days=90)))
    assert graph.named("cdn-logs-lifecycle").inputs["rules"][1] == {
        "id": "expire-all",
        "status": "Enabled",
        "filter": {"prefix": ""},
        "expiration": {"days": 90},
    }


def test_domain_uses_validated_certificate_and_tls_1_2(cdn_with_domain: Graph) -> None:
    distribution = cdn_with_domain.one(DISTRIBUTION)
    assert distribution.inputs["aliases"] == ["assets.example.com"]
    assert distribution.inputs["viewerCertificate"] == {
        "acmCertificateArn": f"arn:aws:acm:us-east-1:{ACCOUNT}:certificate/cdn-tls",
        "minimumProtocolVersion": "TLSv1.2_2021",
        "sslSupportMethod": "sni-only",
    }
    validation = cdn_with_domain.named("cdn-tls-validation")
    assert validation.urn in distribution.property_dependencies["viewerCertificate"]


def test_certificate_is_in_us_east_1_and_validated_by_dns(cdn_with_domain: Graph) -> None:
    certificate = cdn_with_domain.one("aws:acm/certificate:Certificate")
    assert certificate.inputs == {
        "domainName": "assets.example.com",
        "validationMethod": "DNS",
        "region": "us-east-1",
    }
    assert cdn_with_domain.named("cdn-tls-validation-record").inputs == {
        "zoneId": "Z1",
        "name": "_proof.assets.example.com.",
        "type": "CNAME",
        "records": ["_value.acm-validations.aws."],
        "ttl": 300,
    }
    assert cdn_with_domain.named("cdn-tls-validation").inputs == {
        "certificateArn": certificate.outputs["arn"],
        "validationRecordFqdns": ["_proof.assets.example.com"],
        "region": "us-east-1",
    }


@pytest.mark.parametrize("type_", ["A", "AAAA"])
def test_domain_records_are_aliases_of_the_distribution(cdn_with_domain: Graph, type_: str) -> None:
    assert cdn_with_domain.named(f"cdn-alias-{type_.lower()}").inputs == {
        "zoneId": "Z1",
        "name": "assets.example.com",
        "type": type_,
        "aliases": [{"name": "d111111abcdef8.cloudfront.net", "zoneId": "ZCLOUDFRONT", "evaluateTargetHealth": False}],
    }


def test_outputs_with_and_without_domain(run_alone: RunAlone, cdn: Graph, cdn_with_domain: Graph) -> None:
    outputs = {
        "bucket_name": BUCKET,
        "bucket_arn": BUCKET_ARN,
        "bucket_policy": read_policy(BUCKET_ARN, "avatars/*", "defaults/*", "banners/*", "profile", "web/*"),
        "distribution_id": "cdn-distribution-id",
        "base_url": "https://d111111abcdef8.cloudfront.net",
    }
    assert cdn.one("avatars:index:AssetsCdn").component_outputs == outputs
    with_domain = cdn_with_domain.one("avatars:index:AssetsCdn").component_outputs
    assert with_domain == {**outputs, "base_url": "https://assets.example.com"}


def read_policy(bucket_arn: str, *paths: str) -> str:
    statement = {
        "Sid": "Cdn",
        "Effect": "Allow",
        "Principal": {"Service": "cloudfront.amazonaws.com"},
        "Action": "s3:GetObject",
        "Resource": [f"{bucket_arn}/{path}" for path in paths],
        "Condition": READ_CONDITION,
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, separators=(",", ":"))


EXISTING = ExistingBucket(
    bucket_name="theirs", bucket_arn="arn:aws:s3:::theirs", regional_domain_name="theirs.s3.us-east-2.amazonaws.com"
)


def test_existing_bucket_is_served_and_keeps_its_policy(run_alone: RunAlone) -> None:
    graph = run_alone(lambda: AssetsCdn("cdn", AssetsCdnArgs(existing_bucket=EXISTING)))
    assert [bucket.name for bucket in graph.of_type("aws:s3/bucket:Bucket")] == ["cdn-logs"]
    assert [policy.name for policy in graph.of_type("aws:s3/bucketPolicy:BucketPolicy")] == ["cdn-logs-policy"]
    (origin,) = graph.one(DISTRIBUTION).inputs["origins"]
    assert origin["domainName"] == "theirs.s3.us-east-2.amazonaws.com"
    assert {image.inputs["bucket"] for image in graph.of_type("aws:s3/bucketObjectv2:BucketObjectv2")} == {"theirs"}
    outputs = graph.one("avatars:index:AssetsCdn").component_outputs or {}
    assert (outputs["bucket_name"], outputs["bucket_arn"]) == ("theirs", "arn:aws:s3:::theirs")
    paths = ("avatars/*", "defaults/*", "banners/*", "profile", "web/*")
    assert outputs["bucket_policy"] == read_policy("arn:aws:s3:::theirs", *paths)


def test_served_paths_limit_policy_behaviors_and_objects(run_alone: RunAlone) -> None:
    graph = run_alone(lambda: AssetsCdn("cdn", AssetsCdnArgs(served_paths=["faces/*", "logo.svg"])))
    _tls_only, statement = get_statements(graph.named("cdn-assets-policy").inputs["policy"])
    assert statement["Resource"] == [f"{BUCKET_ARN}/{path}" for path in ("faces/*", "logo.svg", "defaults/*")]
    assert "orderedCacheBehaviors" not in graph.one(DISTRIBUTION).inputs
    assert [policy.name for policy in graph.of_type(HEADERS_POLICY)] == ["cdn-headers"]
    assert graph.one("aws:s3/bucketObjectv2:BucketObjectv2").name == "cdn-default-avatar"


def test_existing_bucket_with_bucket_name_raises_value_error() -> None:
    with pytest.raises(ValueError, match=r"bucket_name is the name of a new bucket; existing_bucket has its own"):
        AssetsCdnArgs(existing_bucket=EXISTING, bucket_name="ours")


def test_web_acl_is_attached_when_given(run_alone: RunAlone) -> None:
    acl = f"arn:aws:wafv2:us-east-1:{ACCOUNT}:global/webacl/cdn/1b2c"
    graph = run_alone(lambda: AssetsCdn("cdn", AssetsCdnArgs(web_acl_arn=acl)))
    assert graph.one(DISTRIBUTION).inputs["webAclId"] == acl


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        ({"allowed_origins": ["*"]}, r"AssetsCdnArgs\.allowed_origins is \['\*'\]"),
        ({"bucket_name": "No"}, r"AssetsCdnArgs\.bucket_name is 'No'"),
        (
            {"served_paths": ["*"]},
            r"AssetsCdnArgs\.served_paths is \['\*'\]; allowed is a list, each item a key such as",
        ),
        ({"served_paths": ["avatars/*/x"]}, r"AssetsCdnArgs\.served_paths is"),
        ({"access_log_days": 0}, r"AssetsCdnArgs\.access_log_days is 0"),
        ({"banner": Path("nowhere.jpg")}, r"AssetsCdnArgs\.banner is .*nowhere\.jpg.*; allowed is the path of a JPEG"),
    ],
)
def test_args_invalid_raises_value_error(args: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        AssetsCdnArgs(**args)


def test_custom_domain_invalid_host_raises_value_error() -> None:
    with pytest.raises(ValueError, match=r"CustomDomain\.host is 'assets'; allowed is a host name"):
        CustomDomain(host="assets", zone_id="Z1")
