"""Validation rules for the stack's configuration and the components' arguments.

Both use the same rules, so a component in another program rejects the values that this stack rejects. Only plain values
are validated: an Output is not known before resources are created.
"""

import dataclasses
import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import pulumi

REDACTED = "set (and not shown)"
"""Replaces a value in error messages that may contain a secret."""


@dataclass(frozen=True)
class Rule:
    """A predicate and its description."""

    allowed: str
    """Completes the sentence "allowed is ..."."""
    accepts: Callable[[Any], bool]
    """Whether a plain value is valid."""
    is_confidential: bool = False
    """Whether a value, valid or not, may contain a secret, which error messages must not show."""


def get_rules(args_type: type[Any]) -> dict[str, Rule]:
    """Returns the rules in the metadata of a dataclass's fields, by field name."""
    return {field.name: field.metadata["rule"] for field in dataclasses.fields(args_type) if "rule" in field.metadata}


def require(args: object, **settings: Rule) -> None:
    """Validates fields of `args`.

    Raises:
        ValueError: Fields violate their rules; the message has one line for each.
    """
    errors = [
        f"{type(args).__name__}.{name} is {REDACTED if rule.is_confidential else repr(value)}; "
        f"allowed is {rule.allowed}"
        for name, rule in settings.items()
        if not _is_output(value := getattr(args, name)) and not rule.accepts(value)
    ]
    if errors:
        raise ValueError("\n".join(errors))


def optional(rule: Rule) -> Rule:
    """Also accepts None."""
    return Rule(f"{rule.allowed}, or None", lambda value: value is None or rule.accepts(value), rule.is_confidential)


def list_of(rule: Rule) -> Rule:
    """Accepts a list whose plain items `rule` accepts."""
    return Rule(
        f"a list, each item {rule.allowed}",
        lambda values: _is_list(values) and all(_is_output(v) or rule.accepts(v) for v in values),
    )


def map_of(names: Sequence[str], rule: Rule) -> Rule:
    """Accepts a map from some of `names` to values that `rule` accepts."""
    return Rule(
        f"a map from {', '.join(names[:-1])} or {names[-1]} to {rule.allowed}",
        lambda values: (
            isinstance(values, Mapping)
            and all(
                name in names and rule.accepts(value) for name, value in cast("Mapping[str, object]", values).items()
            )
        ),
    )


def integer_range(minimum: int, maximum: int) -> Rule:
    """Accepts an integer, bounds included."""
    return Rule(
        f"an integer from {minimum:,} to {maximum:,}",
        lambda value: _is_integer(value) and minimum <= value <= maximum,
    )


def _is_output(value: object) -> bool:
    return isinstance(value, pulumi.Output)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _matches(pattern: str) -> Callable[[Any], bool]:
    compiled = re.compile(pattern)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"({_LABEL}\.)+[a-z]([a-z0-9-]{{0,61}}[a-z0-9])?")
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
_DEFAULT_PORTS = {"http": 80, "https": 443}
# ACM's limit for the first domain name of a certificate: https://docs.aws.amazon.com/acm/latest/userguide/acm-limits.html
_MAX_CERTIFICATE_NAME = 64
_MAX_DOMAIN = _MAX_CERTIFICATE_NAME - len("assets.")


def _is_host(value: object, max_length: int) -> bool:
    return isinstance(value, str) and len(value) <= max_length and _HOST.fullmatch(value) is not None


def _is_origin(value: object) -> bool:
    """Whether browsers send exactly this value in an Origin header: scheme, host, and a port that is not the default.

    https://html.spec.whatwg.org/multipage/browsers.html#ascii-serialisation-of-an-origin
    """
    parts = _split_url(value)
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
    parts = _split_url(value)
    return (
        parts is not None
        and parts.scheme == "https"
        and bool(parts.hostname)
        and parts.username is None
        and not parts.fragment
    )


# The modes of libpq that never fall back to a connection without TLS:
# https://www.postgresql.org/docs/current/libpq-ssl.html
_TLS_MODES = ("require", "verify-ca", "verify-full")


def _is_database_url(value: object) -> bool:
    """A libpq connection URI with one host.

    https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
    """
    parts = _split_url(value)
    # After an @ that is not percent-encoded, the rest of the password would be part of the host.
    if parts is None or parts.scheme not in ("postgresql", "postgres") or parts.fragment or str(value).count("@") != 1:
        return False
    if not (parts.hostname and parts.username and re.fullmatch("/[^/]+", parts.path)):
        return False
    modes = parse_qs(parts.query, keep_blank_values=True).get("sslmode", [])
    return parts.hostname in _LOCAL_HOSTS or all(mode in _TLS_MODES for mode in modes)


def _are_ids(prefix: str, min_count: int) -> Callable[[Any], bool]:
    """EC2 resource IDs of 8 or 17 digits: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/resource-ids.html"""
    pattern = re.compile(rf"{prefix}-([0-9a-f]{{8}}|[0-9a-f]{{17}})")

    def accepts(value: Any) -> bool:
        if not _is_list(value) or 0 < len(value) < min_count:
            return False
        plain = [item for item in value if not _is_output(item)]
        return len(set(map(str, plain))) == len(plain) and all(pattern.fullmatch(str(item)) for item in plain)

    return accepts


def _split_url(value: object) -> Any:
    if not isinstance(value, str) or re.search(r"\s", value):
        return None
    try:
        parts = urlsplit(value)
        _ = parts.port  # raises ValueError for an invalid port
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


def _are_sign_in_parameters(value: object) -> bool:
    if not isinstance(value, Mapping):
        return False
    parameters = cast("Mapping[object, object]", value)
    return (
        all(isinstance(item, str) and item for pair in parameters.items() for item in pair)
        and not set(_FLOW_PARAMETERS) & set(parameters)
        and "openid" in str(parameters.get("scope", "openid")).split(" ")
    )


_SIZE = integer_range(16, 1024)

BOOLEAN = Rule("true or false", lambda value: isinstance(value, bool))
ORIGIN = Rule(
    "an origin such as https://app.example.com: https (http for localhost only), no wildcard, no path",
    _is_origin,
)
DOMAIN = Rule(
    f"a domain name in lower case such as example.com, at most {_MAX_DOMAIN} characters, without scheme or wildcard",
    lambda value: _is_host(value, _MAX_DOMAIN),
)
HOST = Rule(
    f"a host name in lower case such as assets.example.com, at most {_MAX_CERTIFICATE_NAME} characters",
    lambda value: _is_host(value, _MAX_CERTIFICATE_NAME),
)
# What the page sets itself, or what would change the flow: https://www.iana.org/assignments/oauth-parameters
_FLOW_PARAMETERS = (
    *("client_id", "redirect_uri", "response_type", "response_mode", "state", "nonce"),
    *("code_challenge", "code_challenge_method", "request", "request_uri", "client_secret"),
)
SIGN_IN_PARAMETERS = Rule(
    "a map from names to texts; scope has openid; without " + ", ".join(_FLOW_PARAMETERS),
    _are_sign_in_parameters,
)
HOSTED_ZONE_ID = Rule("the ID of a Route 53 hosted zone such as Z0123456789ABCDEFGHIJ", _matches(r"Z[A-Z0-9]{1,31}"))
USER_POOL_ID = Rule(
    "the ID of a Cognito user pool such as eu-west-1_AbCdEfGhI", _matches(r"[a-z]{2}(-[a-z]+)+-\d_[A-Za-z0-9]{1,47}")
)
# https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata
ISSUER = Rule(
    "the https:// URL of an OpenID Connect issuer, exactly as in the `iss` claim of its tokens, without a query",
    lambda value: _is_https_url(value) and "?" not in value,
)
AUDIENCE = Rule("1 to 255 characters without spaces", _matches(r"[!-~]{1,255}"))
CLIENT_ID = Rule("the client's ID at the issuer: 1 to 255 characters without spaces", _matches(r"[!-~]{1,255}"))
AUDIENCE_CLAIM = Rule("aud, client_id or azp", lambda value: value in ("aud", "client_id", "azp"))
USER_POOL_CLIENT_ID = Rule("the ID of an app client of the user pool", _matches(r"[A-Za-z0-9+_]{1,128}"))
# Without dots: S3's wildcard certificate does not match a bucket's host name with dots.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
BUCKET_NAME = Rule(
    "3 to 63 of a-z, 0-9 and -, starting and ending with a letter or digit",
    _matches(r"(?!xn--|sthree-)[a-z0-9][a-z0-9-]{1,61}[a-z0-9](?<!-s3alias)(?<!--ol-s3)"),
)
# At most six, because each size is one more PUT request, at $5 per million.
SIZES = Rule("a list of one to six different integers from 16 to 1,024 (pixels)", _are_sizes)
MAX_UPLOAD_BYTES = integer_range(1024, 50 * 1024 * 1024)
# At most what an item of 8 bytes for each upload has room for in 8 KB, because each KB is billed at each upload
# (functions/process_avatar/quota.py).
UPLOADS_PER_HOUR = integer_range(0, 1000)
MAX_PIXELS = integer_range(1_000_000, 100_000_000)
ORIGINALS_DAYS = integer_range(1, 365)
HANDLE_HOLD_DAYS = integer_range(0, 365)
PROFILE_NAMES = Rule("generated or cognito", lambda value: value in ("generated", "cognito"))
HTTPS_URL = Rule("an https:// URL", _is_https_url)
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
_RETENTIONS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)
LOG_RETENTION_DAYS = Rule(
    f"a number of days that CloudWatch Logs supports: {', '.join(map(str, _RETENTIONS))}",
    lambda value: _is_integer(value) and value in _RETENTIONS,
)
# https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-authorizers.html
AUTHORIZER_CACHE_SECONDS = integer_range(0, 3600)
# An account's quotas are 10,000 requests per second with bursts of 5,000, for all APIs together:
# https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-protect-throttling.html
THROTTLE_RATE = integer_range(1, 10_000)
THROTTLE_BURST = integer_range(1, 5_000)
# https://docs.aws.amazon.com/lambda/latest/api/API_ScalingConfig.html
MAX_CONCURRENCY = integer_range(2, 1000)
# AWS has no upper limit other than the account's concurrency, which a quota increase raises to tens of thousands:
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
RESERVED_CONCURRENCY = integer_range(0, 100_000)
WEB_ACL_ARN = Rule(
    "the ARN of a web ACL for CloudFront, arn:aws:wafv2:us-east-1:<account>:global/webacl/<name>/<id>",
    _matches(r"arn:aws[a-z-]*:wafv2:us-east-1:\d{12}:global/webacl/[\w-]+/[\w-]+"),
)
DISTRIBUTION_ARN = Rule(
    "the ARN of a CloudFront distribution", _matches(r"arn:aws[a-z-]*:cloudfront::\d{12}:distribution/[A-Z0-9]+")
)
# Deliberately wide: whether an address exists shows when it is confirmed.
EMAIL = Rule("an email address such as on-call@example.com", _matches(r"[^@\s,;<>]+@[\w-]+(\.[\w-]+)+"))
# https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_budgets_Spend.html
MONTHLY_BUDGET = integer_range(0, 1_000_000)
TOPIC_ARN = Rule("the ARN of an SNS topic", _matches(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[\w-]+"))
EMAIL_IDENTITY_ARN = Rule(
    "the ARN of an SES identity, arn:aws:ses:<region>:<account>:identity/<address or domain>",
    _matches(r"arn:aws:ses:[a-z0-9-]+:\d{12}:identity/[\w.+-]+(@[\w.-]+)?"),
)
MODERATION_FUNCTION = Rule(
    "the ARN of a Lambda function, also with a version or an alias, "
    "arn:aws:lambda:<region>:<account>:function:<name>[:<qualifier>]",
    _matches(r"arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:function:[\w-]{1,64}(:(\$LATEST|[\w-]{1,128}))?"),
)
# Host names and CloudFront's region are those of the partition `aws`.
REGION = Rule(
    "an AWS region such as eu-west-1, outside of China and GovCloud",
    _matches(r"(?!cn-|[a-z]{2}-(gov|iso))[a-z]{2}(-[a-z]+)+-\d"),
)
ACCOUNT_ID = Rule("an AWS account ID of twelve digits", _matches(r"\d{12}"))
DATABASE_URL = Rule(
    "a postgresql:// URL with user, host and database, percent-encoded; sslmode, if given, is one of "
    f"{', '.join(_TLS_MODES)}, except for localhost",
    _is_database_url,
    is_confidential=True,
)
DATABASE = Rule("aurora, or empty", lambda value: value == "aurora")
# At least two, to be in two Availability Zones.
SUBNET_IDS = Rule(
    "an empty list, or two or more different subnet IDs such as subnet-0123456789abcdef0",
    _are_ids("subnet", min_count=2),
)
SECURITY_GROUP_IDS = Rule(
    "an empty list, or different security group IDs such as sg-0123456789abcdef0",
    _are_ids("sg", min_count=1),
)
