"""What a setting of the stack or of a component may be.

One rule a setting, used by the stack's configuration and by the components' arguments alike, so that a component in
somebody else's stack refuses what this stack would refuse. Only plain values are judged: what is an Output is known too
late to be refused before a resource exists.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import pulumi

NOT_SHOWN = "set (and not shown)"
"""Stands in messages for a value that may hold a secret."""


@dataclass(frozen=True)
class Rule:
    """`allowed` completes the sentence "allowed is ..."."""

    allowed: str
    accepts: Callable[[Any], bool]
    confidential: bool = False
    """Whether even a wrong value may hold what no message must show."""


def require(args: object, **settings: Rule) -> None:
    """Raises ValueError with a line for each of the settings (fields of `args`) that is not as its rule says."""
    mistakes = [
        f"{type(args).__name__}.{name} is {NOT_SHOWN if rule.confidential else repr(value)}; allowed is {rule.allowed}"
        for name, rule in settings.items()
        if not _is_output(value := getattr(args, name)) and not rule.accepts(value)
    ]
    if mistakes:
        raise ValueError("\n".join(mistakes))


def optional(rule: Rule) -> Rule:
    return Rule(f"{rule.allowed}, or nothing", lambda value: value is None or rule.accepts(value), rule.confidential)


def each(rule: Rule) -> Rule:
    """A list, of which every plain item is as the rule says."""
    return Rule(
        f"a list of which each is {rule.allowed}",
        lambda values: _is_list(values) and all(_is_output(v) or rule.accepts(v) for v in values),
    )


def having(*names: str) -> Rule:
    """A mapping with at least these names."""
    return Rule(
        f"a mapping with {', '.join(names)}",
        lambda value: isinstance(value, Mapping) and all(name in value for name in names),
    )


def whole_number(lowest: int, highest: int) -> Rule:
    return Rule(
        f"a whole number from {lowest:,} to {highest:,}",
        lambda value: _is_whole(value) and lowest <= value <= highest,
    )


def _is_output(value: object) -> bool:
    return isinstance(value, pulumi.Output)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _matching(pattern: str) -> Callable[[Any], bool]:
    compiled = re.compile(pattern)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"({_LABEL}\.)+[a-z]([a-z0-9-]{{0,61}}[a-z0-9])?")
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
_DEFAULT_PORTS = {"http": 80, "https": 443}
# ACM refuses a first name of more than 64 characters: https://docs.aws.amazon.com/acm/latest/userguide/acm-limits.html
_LONGEST_CERTIFICATE_NAME = 64
_LONGEST_DOMAIN = _LONGEST_CERTIFICATE_NAME - len("assets.")


def _is_host(value: object, longest: int) -> bool:
    return isinstance(value, str) and len(value) <= longest and _HOST.fullmatch(value) is not None


def _is_origin(value: object) -> bool:
    """A scheme, a host, perhaps a port, and nothing after it, spelt as browsers spell it in the Origin header.

    https://html.spec.whatwg.org/multipage/browsers.html#ascii-serialisation-of-an-origin
    """
    parts = _split(value)
    if parts is None or not parts.hostname:
        return False
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = "" if parts.port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f":{parts.port}"
    if value != f"{parts.scheme}://{host}{port}":
        return False
    if parts.hostname in _LOCAL_HOSTS:
        return parts.scheme in _DEFAULT_PORTS
    return parts.scheme == "https" and (_is_host(host, 253) or _is_address(parts.hostname))


def _is_https_url(value: object) -> bool:
    parts = _split(value)
    return (
        parts is not None
        and parts.scheme == "https"
        and bool(parts.hostname)
        and parts.username is None
        and not parts.fragment
    )


# What libpq calls TLS that cannot be left out: https://www.postgresql.org/docs/current/libpq-ssl.html
_TLS = ("require", "verify-ca", "verify-full")


def _is_database_url(value: object) -> bool:
    """https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS, of which hosts are one."""
    parts = _split(value)
    # An @ in a password that is not percent-encoded would make part of the password a part of the host.
    if parts is None or parts.scheme not in ("postgresql", "postgres") or parts.fragment or str(value).count("@") != 1:
        return False
    if not (parts.hostname and parts.username and re.fullmatch("/[^/]+", parts.path)):
        return False
    modes = parse_qs(parts.query, keep_blank_values=True).get("sslmode", [])
    return parts.hostname in _LOCAL_HOSTS or all(mode in _TLS for mode in modes)


def _are_ids(kind: str, at_least: int) -> Callable[[Any], bool]:
    """Ids of EC2, of 8 or 17 digits: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/resource-ids.html"""
    pattern = re.compile(rf"{kind}-([0-9a-f]{{8}}|[0-9a-f]{{17}})")

    def accepts(value: Any) -> bool:
        if not _is_list(value) or 0 < len(value) < at_least:
            return False
        plain = [item for item in value if not _is_output(item)]
        return len(set(map(str, plain))) == len(plain) and all(pattern.fullmatch(str(item)) for item in plain)

    return accepts


def _split(value: object) -> Any:
    if not isinstance(value, str) or re.search(r"\s", value):
        return None
    try:
        parts = urlsplit(value)
        _ = parts.port  # raises for a port that is none
    except ValueError:
        return None
    return parts


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _are_sizes(value: object) -> bool:
    if not _is_list(value):
        return False
    sizes = cast("Sequence[object]", value)
    return 1 <= len(sizes) <= 6 and all(map(_SIZE.accepts, sizes)) and len(set(sizes)) == len(sizes)


_SIZE = whole_number(16, 1024)

ORIGIN = Rule(
    "an origin such as https://app.example.com: https (http for localhost only), no wildcard, nothing after the port",
    _is_origin,
)
DOMAIN = Rule(
    f"a domain name in lower case such as example.com, at most {_LONGEST_DOMAIN} characters, without https:// or *",
    lambda value: _is_host(value, _LONGEST_DOMAIN),
)
HOST = Rule(
    f"a host name in lower case such as assets.example.com, at most {_LONGEST_CERTIFICATE_NAME} characters",
    lambda value: _is_host(value, _LONGEST_CERTIFICATE_NAME),
)
HOSTED_ZONE_ID = Rule("the id of a Route 53 hosted zone such as Z0123456789ABCDEFGHIJ", _matching(r"Z[A-Z0-9]{1,31}"))
USER_POOL_ID = Rule(
    "the id of a Cognito user pool such as eu-west-1_AbCdEfGhI", _matching(r"[a-z]{2}(-[a-z]+)+-\d_[A-Za-z0-9]{1,47}")
)
USER_POOL_CLIENT_ID = Rule("the id of an app client of the user pool", _matching(r"[A-Za-z0-9+_]{1,128}"))
# Dots are legal but break TLS to the bucket's own host name:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
BUCKET_NAME = Rule(
    "3 to 63 of a-z, 0-9 and -, beginning and ending with a letter or digit",
    _matching(r"(?!xn--|sthree-)[a-z0-9][a-z0-9-]{1,61}[a-z0-9](?<!-s3alias)(?<!--ol-s3)"),
)
# The stable JPEG is 512 pixels whatever is said here, so 512 need not be among them. Every size is one more object to
# put, for $5 a million: hence at most six.
SIZES = Rule("a list of one to six different whole numbers from 16 to 1,024 (pixels)", _are_sizes)
MAX_UPLOAD_BYTES = whole_number(1024, 50 * 1024 * 1024)
MAX_PIXELS = whole_number(1_000_000, 100_000_000)
ORIGINALS_DAYS = whole_number(1, 365)
HTTPS_URL = Rule("an https:// URL", _is_https_url)
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
_RETENTIONS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)
LOG_RETENTION_DAYS = Rule(
    f"one of the numbers of days CloudWatch knows: {', '.join(map(str, _RETENTIONS))}",
    lambda value: _is_whole(value) and value in _RETENTIONS,
)
# https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-authorizers.html
AUTHORIZER_CACHE_SECONDS = whole_number(0, 3600)
# An account's own limits are 10,000 requests a second and bursts of 5,000; more cannot be given to one API:
# https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-protect-throttling.html
THROTTLE_RATE = whole_number(1, 10_000)
THROTTLE_BURST = whole_number(1, 5_000)
# https://docs.aws.amazon.com/lambda/latest/api/API_ScalingConfig.html
MAX_CONCURRENCY = whole_number(2, 1000)
WEB_ACL_ARN = Rule(
    "the ARN of a web ACL for CloudFront, arn:aws:wafv2:us-east-1:<account>:global/webacl/<name>/<id>",
    _matching(r"arn:aws[a-z-]*:wafv2:us-east-1:\d{12}:global/webacl/[\w-]+/[\w-]+"),
)
TOPIC_ARN = Rule("the ARN of an SNS topic", _matching(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[\w-]+"))
REGION = Rule("an AWS region such as eu-west-1", _matching(r"[a-z]{2}(-[a-z]+)+-\d"))
ACCOUNT_ID = Rule("an AWS account id of twelve digits", _matching(r"\d{12}"))
DATABASE_URL = Rule(
    "a postgresql:// URL with a user, a host and a database, percent-encoded, and an sslmode that is none of disable, "
    "allow and prefer unless the host is this machine",
    _is_database_url,
    confidential=True,
)
DATABASE = Rule("aurora, or nothing", lambda value: value == "aurora")
# Subnets of one availability zone alone would be down with it.
SUBNET_IDS = Rule(
    "a list of two or more different ids of subnets such as subnet-0123456789abcdef0, or an empty one",
    _are_ids("subnet", at_least=2),
)
SECURITY_GROUP_IDS = Rule(
    "a list of different ids of security groups such as sg-0123456789abcdef0, or an empty one",
    _are_ids("sg", at_least=1),
)
