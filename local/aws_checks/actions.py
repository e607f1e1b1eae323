"""The IAM permissions that a request requires.

Actions and resources are named as in
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs, parse_qsl, unquote
from xml.etree import ElementTree

from moto.core.models import DEFAULT_ACCOUNT_ID

from local.aws_checks.signature import SignedRequest

_INVOKE_PATH = re.compile(
    r"/2015-03-31/functions/(?:arn:aws:lambda:([a-z0-9-]+):(\d{12}):function:|(\d{12}):function:)?"
    r"([\w-]+)(?::(\$LATEST|[\w-]+))?/invocations"
)
_CONFIGURATION_PATH = re.compile(r"/2015-03-31/functions/([\w-]+)/configuration")


class UnknownActionError(Exception):
    """The permission that a request requires is not known here. A local run denies such a request to a role."""


@dataclass(frozen=True)
class Permission:
    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict[str, str])
    """Condition keys of the request in lower case, and their values."""


@dataclass(frozen=True)
class S3Target:
    bucket: str
    key: str


def parse_s3_path(path: str) -> S3Target:
    """Returns the bucket and the key of a path-style request."""
    bucket, _, key = unquote(path).lstrip("/").partition("/")
    return S3Target(bucket, key)


@dataclass(frozen=True)
class InvokedFunction:
    arn: str
    """Without the qualifier."""
    qualifier: str | None
    """A version or an alias."""

    @property
    def qualified_arn(self) -> str:
        return f"{self.arn}:{self.qualifier}" if self.qualifier else self.arn


def parse_invoked_function(path: str, query: str, region: str) -> InvokedFunction | None:
    """Returns the function that a request invokes by its name, ARN or partial ARN; None for any other request.

    https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_RequestSyntax
    """
    match = _INVOKE_PATH.fullmatch(unquote(path))
    if match is None:
        return None
    given_region, account, partial_account, name, qualifier = match.groups()
    arn = f"arn:aws:lambda:{given_region or region}:{account or partial_account or DEFAULT_ACCOUNT_ID}:function:{name}"
    return InvokedFunction(arn, parse_qs(query).get("Qualifier", [qualifier])[0])


def parse_described_function(path: str) -> str | None:
    """Returns the name of the function whose configuration a GET request returns; None for any other request.

    https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionConfiguration.html#API_GetFunctionConfiguration_RequestSyntax
    """
    match = _CONFIGURATION_PATH.fullmatch(path)
    return None if match is None else match[1]


def find_required_permissions(request: SignedRequest, service: str) -> list[Permission]:
    """Returns every permission that the request requires.

    Raises:
        UnknownActionError: The service or the operation is not known here.
    """
    try:
        return _SERVICES[service](request)
    except KeyError:
        raise UnknownActionError(f"{service}: {request.method} {request.path}") from None


def list_bucket_permission(bucket: str) -> Permission:
    """Returns the permission that decides the status for a missing key: 404 with it, 403 without it.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html, "Permissions".
    """
    return Permission("s3:ListBucket", f"arn:aws:s3:::{bucket}")


def _s3(request: SignedRequest) -> list[Permission]:
    target = parse_s3_path(request.path)
    query = parse_qs(request.query, keep_blank_values=True)
    if request.method == "POST" and "delete" in query:
        return _find_delete_permissions(request, target.bucket)
    if request.method == "GET" and "versions" in query:
        return [Permission("s3:ListBucketVersions", f"arn:aws:s3:::{target.bucket}")]
    subresources = set(query) - {"list-type", "prefix", "delimiter", "max-keys", "continuation-token", "x-id"}
    if subresources & {"tagging", "acl", "policy", "uploads", "uploadId", "versions", "delete", "cors", "lifecycle"}:
        raise UnknownActionError(f"s3: {request.method} with {sorted(subresources)}")
    if not target.key:
        return [{"GET": list_bucket_permission, "HEAD": list_bucket_permission}[request.method](target.bucket)]
    resource = f"arn:aws:s3:::{target.bucket}/{target.key}"
    tags = {
        f"s3:requestobjecttag/{key.lower()}": value
        for key, value in parse_qsl(request.headers.get("x-amz-tagging", ""))
    }
    read = "s3:GetObjectVersion" if "versionId" in query else "s3:GetObject"
    required = [Permission({"GET": read, "HEAD": read, "PUT": "s3:PutObject",
                          "DELETE": "s3:DeleteObject"}[request.method], resource, tags)]  # fmt: skip
    if "x-amz-tagging" in request.headers:
        required.append(Permission("s3:PutObjectTagging", resource, tags))
    if request.method == "DELETE" and "if-match" in request.headers:
        required.append(Permission("s3:GetObject", resource))
    if "x-amz-copy-source" in request.headers:
        required.append(Permission("s3:GetObject", f"arn:aws:s3:::{unquote(request.headers['x-amz-copy-source'])}"))
    return required


def _find_delete_permissions(request: SignedRequest, bucket: str) -> list[Permission]:
    """Returns one for each key: S3 requires another for a version than for an object.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
    """
    document = ElementTree.fromstring(request.body)  # noqa: S314 - signed by a function of the program
    return [
        Permission(
            "s3:DeleteObject" if deleted.find("{*}VersionId") is None else "s3:DeleteObjectVersion",
            f"arn:aws:s3:::{bucket}/{deleted.findtext('{*}Key')}",
        )
        for deleted in document.iterfind("{*}Object")
    ]


def _sqs(request: SignedRequest) -> list[Permission]:
    """Supports both protocols of SQS: AWS JSON and AWS query."""
    if "x-amz-target" in request.headers:
        operation = request.headers["x-amz-target"].removeprefix("AmazonSQS.").removesuffix("Batch")
        queue_url = json.loads(request.body)["QueueUrl"]
    else:
        form = parse_qs(request.body.decode())
        operation, queue_url = form["Action"][0], form["QueueUrl"][0]
    account, name = queue_url.rsplit("/", 2)[1:]
    return [Permission(f"sqs:{operation}", f"arn:aws:sqs:{_region(request)}:{account}:{name}")]


def _sns(request: SignedRequest) -> list[Permission]:
    """https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsns.html"""
    form = parse_qs(request.body.decode())
    return [Permission(f"sns:{form['Action'][0].removesuffix('Batch')}", form["TopicArn"][0])]


def _ssm(request: SignedRequest) -> list[Permission]:
    operation = request.headers["x-amz-target"].removeprefix("AmazonSSM.")
    name = json.loads(request.body)["Name"].removeprefix("/")
    return [Permission(f"ssm:{operation}", f"arn:aws:ssm:{_region(request)}:{DEFAULT_ACCOUNT_ID}:parameter/{name}")]


def _dynamodb(request: SignedRequest) -> list[Permission]:
    operation = request.headers["x-amz-target"].removeprefix("DynamoDB_20120810.")
    table = json.loads(request.body)["TableName"]
    return [
        Permission(f"dynamodb:{operation}", f"arn:aws:dynamodb:{_region(request)}:{DEFAULT_ACCOUNT_ID}:table/{table}")
    ]


def _cloudfront(request: SignedRequest) -> list[Permission]:
    """https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_CreateInvalidation.html"""
    match = re.fullmatch(r"/2020-05-31/distribution/(\w+)/invalidation", request.path)
    if match is None or request.method != "POST":
        raise UnknownActionError(f"cloudfront: {request.method} {request.path}")
    arn = f"arn:aws:cloudfront::{DEFAULT_ACCOUNT_ID}:distribution/{match[1]}"
    return [Permission("cloudfront:CreateInvalidation", arn)]


def _lambda(request: SignedRequest) -> list[Permission]:
    """A policy for the function's ARN does not allow requests for a version or an alias, nor the other way round.

    https://docs.aws.amazon.com/lambda/latest/dg/lambda-api-permissions-ref.html
    """
    described = parse_described_function(request.path)
    if described and request.method == "GET":
        arn = f"arn:aws:lambda:{_region(request)}:{DEFAULT_ACCOUNT_ID}:function:{described}"
        return [Permission("lambda:GetFunctionConfiguration", arn)]
    invoked = parse_invoked_function(request.path, request.query, _region(request))
    if invoked is None or request.method != "POST":
        raise UnknownActionError(f"lambda: {request.method} {request.path}")
    return [Permission("lambda:InvokeFunction", invoked.qualified_arn)]


def _logs(request: SignedRequest) -> list[Permission]:
    operation = request.headers["x-amz-target"].removeprefix("Logs_20140328.")
    group = json.loads(request.body)["logGroupName"]
    return [Permission(f"logs:{operation}", f"arn:aws:logs:{_region(request)}:{DEFAULT_ACCOUNT_ID}:log-group:{group}")]


def _region(request: SignedRequest) -> str:
    return request.headers["authorization"].split("/")[2]


_SERVICES: dict[str, Callable[[SignedRequest], list[Permission]]] = {
    "s3": _s3,
    "sqs": _sqs,
    "sns": _sns,
    "ssm": _ssm,
    "dynamodb": _dynamodb,
    "cloudfront": _cloudfront,
    "lambda": _lambda,
    "logs": _logs,
}
