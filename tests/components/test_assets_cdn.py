"""AssetsCdn, used alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pulumi
import pytest

from components.assets_cdn import AssetsCdn, AssetsCdnArgs
from components.blocks.custom_domain import CustomDomain
from local.recording.graph import Graph
from tests.components.conftest import ACCOUNT, REGION, ROOT, RunAlone, document

BUCKET = "cdn-assets-abc1234"
BUCKET_ARN = f"arn:aws:s3:::{BUCKET}"
DISTRIBUTION_ARN = f"arn:aws:cloudfront::{ACCOUNT}:distribution/cdn-distribution"
DISTRIBUTION = "aws:cloudfront/distribution:Distribution"


@pytest.fixture(scope="module")
def cdn(run_alone: RunAlone) -> Graph:
    return run_alone(lambda: AssetsCdn("cdn", AssetsCdnArgs()))


@pytest.fixture(scope="module")
def cdn_with_domain(run_alone: RunAlone) -> Graph:
    domain = CustomDomain(host="assets.example.com", zone_id="Z1")
    return run_alone(lambda: AssetsCdn("cdn", AssetsCdnArgs(domain=domain)))


def test_the_distribution(cdn: Graph) -> None:
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


def test_cloudfront_signs_every_request_to_the_bucket(cdn: Graph) -> None:
    assert cdn.named("cdn-access").inputs == {
        "originAccessControlOriginType": "s3",
        "signingBehavior": "always",
        "signingProtocol": "sigv4",
    }


def test_only_this_distribution_may_read_the_bucket_and_only_what_is_meant_to_be_served(cdn: Graph) -> None:
    _tls_only, statement = document(cdn.named("cdn-assets-policy").inputs["policy"])
    assert statement == {
        "Sid": "Cdn",
        "Effect": "Allow",
        "Principal": {"Service": "cloudfront.amazonaws.com"},
        "Action": "s3:GetObject",
        "Resource": [f"{BUCKET_ARN}/{keys}" for keys in ("avatars/*", "defaults/*", "banners/*", "profile", "web/*")],
        "Condition": {"StringEquals": {"aws:SourceArn": DISTRIBUTION_ARN}},
    }


def test_how_long_something_is_cached_is_said_by_the_object_alone(cdn: Graph) -> None:
    """A new picture must not wait for an edge's own idea of a day."""
    assert cdn.named("cdn-cache").inputs == {
        "comment": "What the object's Cache-Control says, at most a year",
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


def test_security_headers_are_on_every_answer(cdn: Graph) -> None:
    assert cdn.named("cdn-headers").inputs == {
        "comment": "Pictures and JSON: nothing here is a page, and nothing runs",
        "securityHeadersConfig": {
            "strictTransportSecurity": {"accessControlMaxAgeSec": 31_536_000, "override": True},
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


def test_a_page_runs_its_own_files_and_nothing_else(cdn: Graph) -> None:
    policy = (
        "script-src 'self'; style-src 'self'; img-src 'self' blob:; font-src 'none'; object-src 'none'; "
        "frame-src 'none'; worker-src 'none'; media-src 'none'; manifest-src 'none'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    headers = {
        "Cross-Origin-Resource-Policy": "cross-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    }
    assert cdn.named("cdn-page-headers").inputs == {
        "comment": "The profile page, and scripts for pages: only our own files run",
        "securityHeadersConfig": {
            "strictTransportSecurity": {"accessControlMaxAgeSec": 31_536_000, "override": True},
            "contentTypeOptions": {"override": True},
            "frameOptions": {"frameOption": "DENY", "override": True},
            "referrerPolicy": {"referrerPolicy": "no-referrer", "override": True},
            "contentSecurityPolicy": {"contentSecurityPolicy": policy, "override": True},
        },
        "customHeadersConfig": {
            "items": [{"header": header, "value": value, "override": True} for header, value in headers.items()]
        },
    }


@pytest.mark.parametrize("headers", ["cdn-headers", "cdn-page-headers"])
def test_scripts_of_the_allowed_origins_may_read_and_no_others(run_alone: RunAlone, headers: str) -> None:
    graph = run_alone(lambda: AssetsCdn("cdn", AssetsCdnArgs(allowed_origins=["https://app.example.com"])))
    assert graph.named(headers).inputs["corsConfig"] == {
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
def test_the_default_avatar_and_the_banner_are_shipped(
    cdn: Graph, name: str, key: str, file: str, cache_control: str
) -> None:
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


def test_a_missing_avatar_is_forgotten_as_fast_by_browsers_as_by_the_edge(cdn: Graph) -> None:
    """The default picture comes with its own Cache-Control, also as the body of a 404."""
    errors = cdn.one(DISTRIBUTION).inputs["customErrorResponses"]
    assert {error["errorCachingMinTtl"] for error in errors} == {10}
    assert cdn.named("cdn-default-avatar").inputs["cacheControl"] == "public, max-age=10"


def test_overwritten_pictures_are_kept_for_a_week(cdn: Graph) -> None:
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


def test_access_logs_go_to_a_bucket_of_their_own(cdn: Graph) -> None:
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
    assert document(policy.inputs["policy"])[1:] == [
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


def test_access_logs_expire(run_alone: RunAlone) -> None:
    graph = run_alone(lambda: AssetsCdn("cdn", AssetsCdnArgs(access_log_days=90)))
    assert graph.named("cdn-logs-lifecycle").inputs["rules"][1] == {
        "id": "expire-all",
        "status": "Enabled",
        "filter": {"prefix": ""},
        "expiration": {"days": 90},
    }


def test_with_a_domain_it_is_served_there_over_tls_1_2_with_the_validated_certificate(cdn_with_domain: Graph) -> None:
    distribution = cdn_with_domain.one(DISTRIBUTION)
    assert distribution.inputs["aliases"] == ["assets.example.com"]
    assert distribution.inputs["viewerCertificate"] == {
        "acmCertificateArn": f"arn:aws:acm:us-east-1:{ACCOUNT}:certificate/cdn-tls",
        "minimumProtocolVersion": "TLSv1.2_2021",
        "sslSupportMethod": "sni-only",
    }
    validation = cdn_with_domain.named("cdn-tls-validation")
    assert validation.urn in distribution.property_dependencies["viewerCertificate"]


def test_the_certificate_is_where_cloudfront_looks_for_it_and_is_validated_through_dns(cdn_with_domain: Graph) -> None:
    certificate = cdn_with_domain.one("aws:acm/certificate:Certificate")
    assert certificate.inputs == {
        "domainName": "assets.example.com",
        "validationMethod": "DNS",
        "region": "us-east-1",
    }
    assert cdn_with_domain.named("cdn-tls-proof").inputs == {
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
def test_the_host_is_an_alias_of_the_distribution(cdn_with_domain: Graph, type_: str) -> None:
    assert cdn_with_domain.named(f"cdn-alias-{type_.lower()}").inputs == {
        "zoneId": "Z1",
        "name": "assets.example.com",
        "type": type_,
        "aliases": [{"name": "d111111abcdef8.cloudfront.net", "zoneId": "ZCLOUDFRONT", "evaluateTargetHealth": False}],
    }


def test_what_it_gives(run_alone: RunAlone, cdn: Graph, cdn_with_domain: Graph) -> None:
    outputs = {
        "bucket_name": BUCKET,
        "bucket_arn": BUCKET_ARN,
        "distribution_id": "cdn-distribution-id",
        "base_url": "https://d111111abcdef8.cloudfront.net",
    }
    assert cdn.one("avatars:index:AssetsCdn").component_outputs == outputs
    with_domain = cdn_with_domain.one("avatars:index:AssetsCdn").component_outputs
    assert with_domain == {**outputs, "base_url": "https://assets.example.com"}


def test_a_firewall_is_put_in_front_when_one_is_given(run_alone: RunAlone) -> None:
    acl = f"arn:aws:wafv2:us-east-1:{ACCOUNT}:global/webacl/cdn/1b2c"
    graph = run_alone(lambda: AssetsCdn("cdn", AssetsCdnArgs(web_acl_arn=acl)))
    assert graph.one(DISTRIBUTION).inputs["webAclId"] == acl


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        ({"allowed_origins": ["*"]}, r"AssetsCdnArgs\.allowed_origins is \['\*'\]"),
        ({"bucket_name": "No"}, r"AssetsCdnArgs\.bucket_name is 'No'"),
        ({"access_log_days": 0}, r"AssetsCdnArgs\.access_log_days is 0"),
        ({"banner": Path("nowhere.jpg")}, r"AssetsCdnArgs\.banner is .*nowhere\.jpg.*; allowed is the path of a JPEG"),
    ],
)
def test_wrong_arguments_are_refused(args: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        AssetsCdnArgs(**args)


def test_a_host_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"CustomDomain\.host is 'assets'; allowed is a host name"):
        CustomDomain(host="assets", zone_id="Z1")
