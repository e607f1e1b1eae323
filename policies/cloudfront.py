"""Amazon CloudFront, certificates and DNS records."""

from collections.abc import Iterator

from policies.rule import Props, Rule, get, is_given, is_one_of, is_true

DISTRIBUTION = "aws:cloudfront/distribution:Distribution"
CERTIFICATE = "aws:acm/certificate:Certificate"
_ACL = "arn:aws:wafv2:us-east-1:123456789012:global/webacl/a/b"
_BUCKET = {"domainName": "data.s3.eu-west-1.amazonaws.com"}
_SERVER = {"domainName": "www.example.com"}
_DOMAIN = "Met with `domain`. Certificate and TLS versions of a host name under cloudfront.net are those of CloudFront."


def _list_behaviors(distribution: Props) -> Iterator[Props]:
    yield distribution["defaultCacheBehavior"]
    yield from distribution.get("orderedCacheBehaviors") or ()


def _list_custom_origins(distribution: Props) -> Iterator[Props]:
    for origin in distribution["origins"]:
        if config := origin.get("customOriginConfig"):
            yield config


def _is_modern(distribution: Props) -> bool:
    certificate = distribution.get("viewerCertificate", {})
    version = certificate.get("minimumProtocolVersion", "")
    return certificate.get("sslSupportMethod") == "sni-only" and version.startswith(("TLSv1.1", "TLSv1.2", "TLSv1.3"))


def _custom_origin(**settings: object) -> Props:
    return {"origins": [{**_SERVER, "customOriginConfig": settings}]}


RULES = (
    Rule(
        "AwsSolutions-CFR1 CKV_AWS_374",
        "Only some countries are served.",
        DISTRIBUTION,
        is_one_of("restrictions.geoRestriction.restrictionType", "whitelist", "blacklist"),
        passes={"restrictions": {"geoRestriction": {"restrictionType": "whitelist", "locations": ["DE"]}}},
        fails={"restrictions": {"geoRestriction": {"restrictionType": "none"}}},
        why_not="Users travel, and avatars are shown wherever an application is.",
    ),
    Rule(
        "AwsSolutions-CFR2 CKV_AWS_68",
        "A web ACL is attached.",
        DISTRIBUTION,
        is_given("webAclId"),
        passes={"webAclId": _ACL},
        fails={},
        why_not="Met with `webAclArn`. A web ACL is $5 a month, and more for each rule and request; the origin is a "
        "private bucket, which runs no code.",
    ),
    Rule(
        "AwsSolutions-CFR3 CKV_AWS_86",
        "Access logs are on: those of the distribution, or standard logging v2, which the tools do not know.",
        DISTRIBUTION,
        lambda distribution, sources: bool(get(distribution, "loggingConfig.bucket") or sources),
        beside=(("aws:cloudwatch/logDeliverySource:LogDeliverySource", "resourceArn"),),
        passes={},
        passes_beside=({"logType": "ACCESS_LOGS"},),
        fails={},
    ),
    Rule(
        "AwsSolutions-CFR4 CKV_AWS_174",
        "Viewers cannot use SSL 3 or TLS 1.0.",
        DISTRIBUTION,
        _is_modern,
        passes={"viewerCertificate": {"minimumProtocolVersion": "TLSv1.2_2021", "sslSupportMethod": "sni-only"}},
        fails={"viewerCertificate": {"cloudfrontDefaultCertificate": True}},
        why_not=_DOMAIN,
    ),
    Rule(
        "CKV2_AWS_42",
        "The certificate is one's own.",
        DISTRIBUTION,
        is_given("viewerCertificate.acmCertificateArn"),
        passes={"viewerCertificate": {"acmCertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/a"}},
        fails={"viewerCertificate": {"cloudfrontDefaultCertificate": True}},
        why_not=_DOMAIN,
    ),
    Rule(
        "AwsSolutions-CFR5 CKV2_AWS_54",
        "Origins cannot use SSL 3 or TLS 1.0.",
        DISTRIBUTION,
        lambda distribution: (
            not any(
                {"SSLv3", "TLSv1"} & set(config["originSslProtocols"]) for config in _list_custom_origins(distribution)
            )
        ),
        passes=_custom_origin(originSslProtocols=["TLSv1.2"]),
        fails=_custom_origin(originSslProtocols=["TLSv1", "TLSv1.2"]),
    ),
    Rule(
        "CKV2_AWS_72",
        "Origins are only requested with HTTPS.",
        DISTRIBUTION,
        lambda distribution: all(
            config["originProtocolPolicy"] == "https-only" for config in _list_custom_origins(distribution)
        ),
        passes=_custom_origin(originProtocolPolicy="https-only"),
        fails=_custom_origin(originProtocolPolicy="match-viewer"),
    ),
    Rule(
        "AwsSolutions-CFR7 CKV2_AWS_46",
        "Buckets are read with origin access control.",
        DISTRIBUTION,
        lambda distribution: all(
            ".s3." not in origin["domainName"] or origin.get("originAccessControlId")
            for origin in distribution["origins"]
        ),
        passes={"origins": [{**_BUCKET, "originAccessControlId": "E1"}]},
        fails={"origins": [_BUCKET]},
    ),
    Rule(
        "CKV_AWS_34",
        "Viewers are redirected to HTTPS, or HTTP is refused.",
        DISTRIBUTION,
        lambda distribution: all(
            behavior["viewerProtocolPolicy"] in ("redirect-to-https", "https-only")
            for behavior in _list_behaviors(distribution)
        ),
        passes={"defaultCacheBehavior": {"viewerProtocolPolicy": "redirect-to-https"}},
        fails={
            "defaultCacheBehavior": {"viewerProtocolPolicy": "https-only"},
            "orderedCacheBehaviors": [{"viewerProtocolPolicy": "allow-all"}],
        },
    ),
    Rule(
        "CKV_AWS_216",
        "The distribution is enabled.",
        DISTRIBUTION,
        is_true("enabled"),
        passes={"enabled": True},
        fails={"enabled": False},
    ),
    Rule(
        "CKV_AWS_305",
        "There is a default root object.",
        DISTRIBUTION,
        is_given("defaultRootObject"),
        passes={"defaultRootObject": "index.html"},
        fails={},
        why_not="CloudFront cannot list the bucket: the response of / is 404 with the default avatar, as that of any "
        "other path without an object.",
    ),
    Rule(
        "CKV_AWS_310",
        "Another origin answers if the first one fails.",
        DISTRIBUTION,
        is_given("originGroups"),
        passes={"originGroups": [{"originId": "both"}]},
        fails={},
        why_not="S3 stores objects in at least three Availability Zones. A second origin needs a replica: see "
        "CKV_AWS_144.",
    ),
    Rule(
        "CKV2_AWS_32",
        "A response headers policy is attached.",
        DISTRIBUTION,
        lambda distribution: all(behavior.get("responseHeadersPolicyId") for behavior in _list_behaviors(distribution)),
        passes={"defaultCacheBehavior": {"responseHeadersPolicyId": "a"}},
        fails={"defaultCacheBehavior": {"responseHeadersPolicyId": "a"}, "orderedCacheBehaviors": [{}]},
    ),
    Rule(
        "CKV_AWS_259",
        "Browsers only use HTTPS for a year, also for subdomains (HSTS).",
        "aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy",
        lambda policy: (
            (hsts := get(policy, "securityHeadersConfig.strictTransportSecurity")) is not None
            and hsts["accessControlMaxAgeSec"] >= 31_536_000
            and all(hsts.get(key) for key in ("includeSubdomains", "preload", "override"))
        ),
        passes={
            "securityHeadersConfig": {
                "strictTransportSecurity": {
                    "accessControlMaxAgeSec": 31_536_000,
                    "includeSubdomains": True,
                    "preload": True,
                    "override": True,
                }
            }
        },
        fails={
            "securityHeadersConfig": {
                "strictTransportSecurity": {"accessControlMaxAgeSec": 31_536_000, "override": True}
            }
        },
    ),
    Rule(
        "CKV_AWS_234",
        "The certificate is recorded in the certificate transparency logs.",
        CERTIFICATE,
        lambda certificate: get(certificate, "options.certificateTransparencyLoggingPreference") in (None, "ENABLED"),
        passes={},
        fails={"options": {"certificateTransparencyLoggingPreference": "DISABLED"}},
    ),
    Rule(
        "CKV2_AWS_71",
        "The certificate is not for every host of a domain.",
        CERTIFICATE,
        lambda certificate: "*" not in certificate["domainName"],
        passes={"domainName": "assets.example.com"},
        fails={"domainName": "*.example.com"},
    ),
    Rule(
        "CKV2_AWS_23",
        "An A record leads to a resource of AWS.",
        "aws:route53/record:Record",
        lambda record: record["type"] != "A" or bool(record.get("aliases")),
        passes={"type": "A", "aliases": [{"name": "d1.cloudfront.net"}]},
        fails={"type": "A", "records": ["192.0.2.1"]},
    ),
)
