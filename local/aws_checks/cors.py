"""CORS of S3 (the rules of a bucket) and of Cognito (every origin).

The first rule that allows the origin, the method and every requested header applies. Without such a rule, a preflight
request is denied and the response to an actual request has no CORS headers:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/cors.html.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any

Rule = Mapping[str, Any]
"""An entry of `corsRules` as registered by the program: allowedOrigins, allowedMethods, allowedHeaders, ..."""

# Cognito allows its public operations from every origin, and has no setting to restrict them:
# https://github.com/aws-amplify/amplify-js/issues/2982
COGNITO_RULES: Sequence[Rule] = (
    {
        "allowedOrigins": ["*"],
        "allowedMethods": ["POST"],
        "allowedHeaders": ["*"],
        "exposeHeaders": ["x-amzn-RequestId", "x-amzn-ErrorType", "x-amzn-ErrorMessage", "Date"],
    },
)


def build_preflight_headers(rules: Sequence[Rule], origin: str, method: str, headers: str) -> dict[str, str] | None:
    """Returns the headers of the response to a preflight request, or None if no rule allows the request."""
    requested = [name.strip().lower() for name in headers.split(",") if name.strip()]
    rule = _find_rule(rules, origin, method, requested)
    if rule is None:
        return None
    answer = _build_origin_headers(rule, origin)
    answer["Access-Control-Allow-Methods"] = ", ".join(rule["allowedMethods"])
    if requested:
        answer["Access-Control-Allow-Headers"] = ", ".join(requested)
    if "maxAgeSeconds" in rule:
        answer["Access-Control-Max-Age"] = str(rule["maxAgeSeconds"])
    return answer


def build_response_headers(rules: Sequence[Rule], origin: str, method: str) -> dict[str, str]:
    """Returns the CORS headers of the response to an actual request, empty if no rule allows the request."""
    rule = _find_rule(rules, origin, method, [])
    if rule is None:
        return {}
    answer = _build_origin_headers(rule, origin)
    if rule.get("exposeHeaders"):
        answer["Access-Control-Expose-Headers"] = ", ".join(rule["exposeHeaders"])
    return answer


def _find_rule(rules: Sequence[Rule], origin: str, method: str, headers: Sequence[str]) -> Rule | None:
    for rule in rules:
        allowed_headers = [pattern.lower() for pattern in rule.get("allowedHeaders") or []]
        if (
            any(fnmatch.fnmatchcase(origin, pattern) for pattern in rule["allowedOrigins"])
            and method in rule["allowedMethods"]
            and all(any(fnmatch.fnmatchcase(name, pattern) for pattern in allowed_headers) for name in headers)
        ):
            return rule
    return None


def _build_origin_headers(rule: Rule, origin: str) -> dict[str, str]:
    if "*" in rule["allowedOrigins"]:
        return {"Access-Control-Allow-Origin": "*"}
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Credentials": "true",
        "Vary": "Origin, Access-Control-Request-Headers, Access-Control-Request-Method",
    }
