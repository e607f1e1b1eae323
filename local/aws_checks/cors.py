"""CORS as the services apply it: S3 by a bucket's rules, Cognito for every origin.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/cors.html: the first rule that admits origin, method and every
requested header answers; without one a preflight is refused and a plain answer carries no CORS header.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any

Rule = Mapping[str, Any]
"""A `corsRules` entry as the program registered it: allowedOrigins, allowedMethods, allowedHeaders, ..."""


# Cognito's public operations are for apps on any page, and cannot be narrowed to some:
# https://github.com/aws-amplify/amplify-js/issues/2982
COGNITO: Sequence[Rule] = (
    {
        "allowedOrigins": ["*"],
        "allowedMethods": ["POST"],
        "allowedHeaders": ["*"],
        "exposeHeaders": ["x-amzn-RequestId", "x-amzn-ErrorType", "x-amzn-ErrorMessage", "Date"],
    },
)


def preflight_headers(rules: Sequence[Rule], origin: str, method: str, headers: str) -> dict[str, str] | None:
    """Headers of the answer to a preflight, or None when no rule admits the request."""
    wanted = [name.strip().lower() for name in headers.split(",") if name.strip()]
    rule = _admitting(rules, origin, method, wanted)
    if rule is None:
        return None
    answer = _common(rule, origin)
    answer["Access-Control-Allow-Methods"] = ", ".join(rule["allowedMethods"])
    if wanted:
        answer["Access-Control-Allow-Headers"] = ", ".join(wanted)
    if "maxAgeSeconds" in rule:
        answer["Access-Control-Max-Age"] = str(rule["maxAgeSeconds"])
    return answer


def response_headers(rules: Sequence[Rule], origin: str, method: str) -> dict[str, str]:
    """CORS headers of an answer to an actual request; none when no rule admits it."""
    rule = _admitting(rules, origin, method, [])
    if rule is None:
        return {}
    answer = _common(rule, origin)
    if rule.get("exposeHeaders"):
        answer["Access-Control-Expose-Headers"] = ", ".join(rule["exposeHeaders"])
    return answer


def _admitting(rules: Sequence[Rule], origin: str, method: str, headers: Sequence[str]) -> Rule | None:
    for rule in rules:
        allowed_headers = [pattern.lower() for pattern in rule.get("allowedHeaders") or []]
        if (
            any(fnmatch.fnmatchcase(origin, pattern) for pattern in rule["allowedOrigins"])
            and method in rule["allowedMethods"]
            and all(any(fnmatch.fnmatchcase(name, pattern) for pattern in allowed_headers) for name in headers)
        ):
            return rule
    return None


def _common(rule: Rule, origin: str) -> dict[str, str]:
    if "*" in rule["allowedOrigins"]:
        return {"Access-Control-Allow-Origin": "*"}
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Credentials": "true",
        "Vary": "Origin, Access-Control-Request-Headers, Access-Control-Request-Method",
    }
