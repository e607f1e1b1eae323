"""Emulates a CloudFront distribution: cache behaviors, cache policies, response headers policies and S3 origins.

It serves plain HTTP. The viewer certificate, TLS settings and HTTP versions of the distribution have no effect.
"""

from __future__ import annotations

import fnmatch
import json
import re
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from moto.backends import get_backend
from werkzeug.wrappers import Request, Response

from local.aws_checks.iam import Statement, evaluate, parse_policy
from local.emulators.moto import ACCOUNT_ID, MotoServer
from local.recording.graph import Graph, ProgramError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_NO_TAGS: Mapping[str, str] = {}
_SERVICE = "Service:cloudfront.amazonaws.com"


@dataclass(frozen=True)
class _CacheEntry:
    """A response of the origin. `stored` and `expires` are values of `time.monotonic()`."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    stored: float
    expires: float


@dataclass(frozen=True)
class _Origin:
    """A bucket and its bucket policy."""

    bucket: str
    policy: list[Statement] = field(default_factory=list[Statement])


class CloudFrontEmulator:
    """A WSGI application that emulates the only distribution of the program."""

    def __init__(self, graph: Graph, aws: MotoServer) -> None:
        """Creates the origins and cache behaviors.

        Raises:
            ProgramError: The distribution uses a feature that is not emulated.
        """
        self._distribution = graph.one("aws:cloudfront/distribution:Distribution")
        inputs = self._distribution.inputs
        self._hosts = {self._distribution.outputs["domainName"], *(inputs.get("aliases") or [])}
        self._s3 = aws.client("s3")
        self._origins = {origin["originId"]: _create_origin(origin, graph) for origin in inputs["origins"]}
        self._behaviors = [
            *inputs.get("orderedCacheBehaviors", []),
            {**inputs["defaultCacheBehavior"], "pathPattern": "*"},
        ]
        for behavior in self._behaviors:
            if behavior.get("functionAssociations") or behavior.get("lambdaFunctionAssociations"):
                raise ProgramError(f"{self._distribution.name}: a local run does not support edge functions")
        self._cache_policies = {r.id: r.inputs for r in graph.of_type("aws:cloudfront/cachePolicy:CachePolicy")}
        self._header_policies = {
            r.id: r.inputs for r in graph.of_type("aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy")
        }
        self._error_pages = {page["errorCode"]: page for page in inputs.get("customErrorResponses", [])}
        self._cache: dict[tuple[str, str], _CacheEntry] = {}
        self._backend = get_backend("cloudfront")[ACCOUNT_ID]["aws"]
        self._invalidated = 0
        self._lock = threading.Lock()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        if request.host not in self._hosts:
            return Response("The request could not be satisfied", status=403)(environ, start_response)
        behavior = next(b for b in self._behaviors if fnmatch.fnmatchcase(request.path.lstrip("/"), _path_pattern(b)))
        response = self._respond(request, behavior)
        policy = self._header_policies.get(behavior.get("responseHeadersPolicyId", ""), {})
        _apply_headers_policy(policy, request, response)
        return response(environ, start_response)

    def _respond(self, request: Request, behavior: Mapping[str, Any]) -> Response:
        if request.method not in behavior["allowedMethods"]:
            return Response("Method not allowed for this distribution", status=403)
        if request.method == "OPTIONS":
            return Response(status=200)
        entry, hit = self._fetch(request.path, behavior)
        page = self._error_pages.get(entry.status)
        if page and page.get("responsePagePath"):
            error_page, _ = self._fetch(page["responsePagePath"], self._behaviors[-1])
            response = Response(error_page.body, status=page["responseCode"], headers=dict(error_page.headers))
            response.headers["Cache-Control"] = f"max-age={page.get('errorCachingMinTtl', 10)}"
            response.headers["X-Cache"] = "Error from cloudfront"
            return response
        response = Response(entry.body, status=entry.status, headers=dict(entry.headers))
        response.headers["X-Cache"] = f"{'Hit' if hit else 'Miss'} from cloudfront"
        if hit:
            response.headers["Age"] = str(int(time.monotonic() - entry.stored))
        return response.make_conditional(request)

    def _fetch(self, path: str, behavior: Mapping[str, Any]) -> tuple[_CacheEntry, bool]:
        key = (behavior["targetOriginId"], path)
        now = time.monotonic()
        with self._lock:
            self._apply_invalidations()
            entry = self._cache.get(key)
        if entry and now < entry.expires:
            return entry, True
        status, headers, body = self._fetch_from_origin(self._origins[behavior["targetOriginId"]], path.lstrip("/"))
        if status == 200:
            ttl = _compute_ttl(headers.get("Cache-Control", ""), self._cache_policies[behavior["cachePolicyId"]])
        else:
            ttl = self._error_pages.get(status, {}).get("errorCachingMinTtl", 10)
        entry = _CacheEntry(status, headers, body, now, now + ttl)
        with self._lock:
            self._cache[key] = entry
        return entry, False

    def _apply_invalidations(self) -> None:
        """https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/invalidation-specifying-objects.html"""
        invalidations = self._backend.invalidations.get(self._distribution.id, [])
        for pattern in (path for its in invalidations[self._invalidated :] for path in its.paths):
            prefix = pattern.removesuffix("*")
            is_removed = str.startswith if prefix != pattern else str.__eq__
            self._cache = {key: entry for key, entry in self._cache.items() if not is_removed(key[1], prefix)}
        self._invalidated = len(invalidations)

    def _fetch_from_origin(self, origin: _Origin, key: str) -> tuple[int, dict[str, str], bytes]:
        if not self._is_allowed(
            origin, "s3:GetObject", f"arn:aws:s3:::{origin.bucket}/{key}", self._read_tags(origin, key)
        ):
            return 403, {"Content-Type": "application/xml"}, b"<Error><Code>AccessDenied</Code></Error>"
        try:
            response = self._s3.get_object(Bucket=origin.bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchKey":
                raise
            # Without s3:ListBucket, S3 responds with 403 for a missing key.
            status = 404 if self._is_allowed(origin, "s3:ListBucket", f"arn:aws:s3:::{origin.bucket}") else 403
            return status, {"Content-Type": "application/xml"}, b"<Error><Code>NoSuchKey</Code></Error>"
        headers = {
            "Content-Type": response["ContentType"],
            "ETag": response["ETag"],
            "Last-Modified": response["ResponseMetadata"]["HTTPHeaders"]["last-modified"],
        }
        if "CacheControl" in response:
            headers["Cache-Control"] = response["CacheControl"]
        return 200, headers, response["Body"].read()

    def _read_tags(self, origin: _Origin, key: str) -> dict[str, str]:
        """The condition keys for the tags of an object; none if it does not exist."""
        try:
            tags = self._s3.get_object_tagging(Bucket=origin.bucket, Key=key)["TagSet"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchKey":
                raise
            return {}
        return {f"s3:existingobjecttag/{tag['Key'].lower()}": tag["Value"] for tag in tags}

    def _is_allowed(self, origin: _Origin, action: str, resource: str, tags: Mapping[str, str] = _NO_TAGS) -> bool:
        context = {
            **tags,
            "aws:sourcearn": self._distribution.outputs["arn"],
            "aws:sourceaccount": ACCOUNT_ID,
            "aws:securetransport": "true",
        }
        return evaluate(origin.policy, action, resource, context, principal=_SERVICE)


def _create_origin(origin: Mapping[str, Any], graph: Graph) -> _Origin:
    bucket = graph.with_output("aws:s3/bucket:Bucket", "bucketRegionalDomainName", origin["domainName"])
    if not origin.get("originAccessControlId"):
        return _Origin(bucket.id)  # CloudFront sends unsigned requests, which no bucket policy allows
    policies = [
        statement
        for policy in graph.of_type("aws:s3/bucketPolicy:BucketPolicy")
        if policy.inputs["bucket"] == bucket.id
        for statement in parse_policy(json.loads(policy.inputs["policy"]))
    ]
    return _Origin(bucket.id, policies)


def _path_pattern(behavior: Mapping[str, Any]) -> str:
    return behavior["pathPattern"].lstrip("/")


def _compute_ttl(cache_control: str, policy: Mapping[str, Any]) -> float:
    """https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/Expiration.html"""
    if re.search(r"\b(no-store|no-cache|private)\b", cache_control):
        return policy.get("minTtl", 0)
    age = re.search(r"s-maxage=(\d+)", cache_control) or re.search(r"max-age=(\d+)", cache_control)
    ttl = int(age[1]) if age else policy.get("defaultTtl", 86_400)
    return max(policy.get("minTtl", 0), min(ttl, policy.get("maxTtl", 31_536_000)))


def _apply_headers_policy(policy: Mapping[str, Any], request: Request, response: Response) -> None:
    security = policy.get("securityHeadersConfig", {})
    if "strictTransportSecurity" in security:
        hsts = security["strictTransportSecurity"]
        value = f"max-age={hsts['accessControlMaxAgeSec']}"
        value += "; includeSubDomains" if hsts.get("includeSubdomains") else ""
        response.headers["Strict-Transport-Security"] = value + ("; preload" if hsts.get("preload") else "")
    if "contentTypeOptions" in security:
        response.headers["X-Content-Type-Options"] = "nosniff"
    for setting, value_name, header in (
        ("frameOptions", "frameOption", "X-Frame-Options"),
        ("referrerPolicy", "referrerPolicy", "Referrer-Policy"),
        ("contentSecurityPolicy", "contentSecurityPolicy", "Content-Security-Policy"),
    ):
        if setting in security:
            response.headers[header] = security[setting][value_name]
    for custom in policy.get("customHeadersConfig", {}).get("items", []):
        response.headers[custom["header"]] = custom["value"]
    _apply_cors(policy.get("corsConfig"), request, response)


def _apply_cors(cors: Mapping[str, Any] | None, request: Request, response: Response) -> None:
    origin = request.headers.get("Origin")
    if cors is None or origin is None:
        return
    allowed = cors["accessControlAllowOrigins"]["items"]
    if not any(fnmatch.fnmatchcase(origin, pattern) for pattern in allowed):
        return
    response.headers["Access-Control-Allow-Origin"] = "*" if "*" in allowed else origin
    response.headers["Vary"] = "Origin"
    if request.method == "OPTIONS":
        response.headers["Access-Control-Allow-Methods"] = ", ".join(cors["accessControlAllowMethods"]["items"])
        response.headers["Access-Control-Allow-Headers"] = ", ".join(cors["accessControlAllowHeaders"]["items"])
