"""Validates browser uploads against the POST policy in the form.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html
"""

from __future__ import annotations

import base64
import datetime
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.aws_checks.principals import Principal, Principals
from local.aws_checks.signature import SignatureError, parse_timestamp, sign

# Form fields that need no condition in the policy.
_EXEMPT = frozenset({"x-amz-signature", "file", "policy"})


class PolicyError(SignatureError):
    """The form does not meet its policy. `status` is the HTTP status of S3's response."""

    def __init__(self, code: str, message: str, status: int = 403) -> None:
        super().__init__(code, message)
        self.status = status


@dataclass(frozen=True)
class Form:
    """A decoded multipart form. Field names are in lower case; `size` is the size of the file in bytes."""

    bucket: str
    fields: Mapping[str, str]
    size: int | None


def verify_form(form: Form, principals: Principals, now: datetime.datetime) -> Principal:
    """Returns the principal that signed the policy of the form.

    Raises:
        PolicyError: The signature is invalid, the policy has expired or a condition is not met.
    """
    if form.size is None:
        raise PolicyError("InvalidArgument", "POST requires exactly one file upload per request.", 400)
    missing = [name for name in ("key", "policy", "x-amz-credential", "x-amz-date", "x-amz-signature")
               if name not in form.fields]  # fmt: skip
    if missing:
        raise PolicyError("AccessDenied", f"the form has no fields {missing}")
    principal = _authenticate_signer(form.fields, principals)
    policy = _decode_policy(form.fields["policy"])
    if now >= _parse_expiration(policy):
        raise PolicyError("AccessDenied", "Invalid according to Policy: Policy expired.")
    _check_conditions(policy.get("conditions", []), form, form.size)
    return principal


def _authenticate_signer(fields: Mapping[str, str], principals: Principals) -> Principal:
    access_key, _, scope = fields["x-amz-credential"].partition("/")
    principal = principals.find(access_key)
    if principal is None:
        raise PolicyError("InvalidAccessKeyId", f"no such access key: {access_key}")
    if principal.session_token != fields.get("x-amz-security-token"):
        raise PolicyError("InvalidToken", "the session token does not belong to the access key", 400)
    if fields.get("x-amz-algorithm") != "AWS4-HMAC-SHA256" or not scope.endswith("/s3/aws4_request"):
        raise PolicyError("InvalidArgument", "the form is not signed with AWS4-HMAC-SHA256 for s3", 400)
    parse_timestamp(fields["x-amz-date"])
    if not hmac.compare_digest(sign(principal.secret_access_key, scope, fields["policy"]), fields["x-amz-signature"]):
        raise PolicyError("SignatureDoesNotMatch", "the signature does not match the policy")
    return principal


def _decode_policy(policy: str) -> dict[str, Any]:
    try:
        document = json.loads(base64.b64decode(policy, validate=True))
    except ValueError as error:
        raise PolicyError("InvalidPolicyDocument", f"Invalid Policy: {error}", 400) from error
    return document


def _parse_expiration(policy: Mapping[str, Any]) -> datetime.datetime:
    try:
        return datetime.datetime.fromisoformat(policy["expiration"])
    except (KeyError, ValueError) as error:
        raise PolicyError("InvalidPolicyDocument", f"Invalid Policy: expiration: {error}", 400) from error


def _check_conditions(conditions: list[Any], form: Form, size: int) -> None:
    values = {**form.fields, "bucket": form.bucket}
    covered: set[str] = set()
    for condition in conditions:
        operator, name, *rest = _normalize_condition(condition)
        if operator == "content-length-range":
            _check_size(size, int(name), int(rest[0]))
            continue
        field = name.removeprefix("$").lower()
        covered.add(field)
        is_met = {"eq": str.__eq__, "starts-with": str.startswith}.get(operator)
        if is_met is None:
            raise PolicyError("InvalidPolicyDocument", f"Invalid Policy: operation {operator}", 400)
        if not is_met(values.get(field, ""), str(rest[0])):
            raise PolicyError(
                "AccessDenied", f"Invalid according to Policy: Policy Condition failed: {json.dumps(condition)}"
            )
    extra = [name for name in form.fields if name not in covered | _EXEMPT and not name.startswith("x-ignore-")]
    if extra:
        raise PolicyError("AccessDenied", f"Invalid according to Policy: Extra input fields: {', '.join(extra)}")


def _normalize_condition(condition: Any) -> list[Any]:
    if isinstance(condition, dict):
        ((name, value),) = condition.items()
        return ["eq", f"${name}", value]
    return [str(condition[0]).lower(), *condition[1:]]


def _check_size(size: int, smallest: int, largest: int) -> None:
    if size > largest:
        raise PolicyError("EntityTooLarge", f"{size} bytes exceed the maximum allowed size of {largest}", 400)
    if size < smallest:
        raise PolicyError("EntityTooSmall", f"{size} bytes are below the minimum allowed size of {smallest}", 400)
