"""Verifies AWS Signature Version 4 in the Authorization header or the query string of a request.

https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html; for presigned URLs,
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote

from local.aws_checks.principals import Principal, Principals

CLOCK_SKEW = datetime.timedelta(minutes=15)


class SignatureError(Exception):
    """AWS rejects the request. `code` is the AWS error code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class SignedRequest:
    method: str
    path: str
    """As sent: percent-encoded."""
    query: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


@dataclass(frozen=True)
class _SignatureElements:
    """The elements of a signature, from the Authorization header or from the query string."""

    credential: str
    signed_headers: Sequence[str]
    signature: str
    timestamp: str
    token: str | None
    payload_hash: str


def is_signed(request: SignedRequest) -> bool:
    return "authorization" in request.headers or "X-Amz-Signature=" in request.query


def verify_signature(request: SignedRequest, principals: Principals, now: datetime.datetime) -> tuple[Principal, str]:
    """Returns the principal that signed the request and the service of the credential scope.

    Raises:
        SignatureError: The signature is missing an element, is invalid, or has expired.
    """
    presigned = "X-Amz-Signature=" in request.query
    elements = _parse_presigned_query(request, now) if presigned else _parse_authorization_header(request, now)
    access_key, date, region, service, terminator = (elements.credential.split("/") + [""] * 5)[:5]
    principal = principals.find(access_key)
    if principal is None:
        raise SignatureError("InvalidAccessKeyId", f"no such access key: {access_key}")
    if principal.session_token != elements.token:
        raise SignatureError("InvalidToken", "the session token does not belong to the access key")
    if terminator != "aws4_request" or not elements.timestamp.startswith(date):
        raise SignatureError("AuthorizationHeaderMalformed", f"malformed credential scope {elements.credential}")
    if "host" not in elements.signed_headers:
        raise SignatureError("SignatureDoesNotMatch", "the host header must be signed")
    canonical = hash_canonical_request(
        request, elements.signed_headers, elements.payload_hash, encode_path_once=service == "s3"
    )
    scope = f"{date}/{region}/{service}/aws4_request"
    expected = sign(principal.secret_access_key, scope, f"AWS4-HMAC-SHA256\n{elements.timestamp}\n{scope}\n{canonical}")
    if not hmac.compare_digest(expected, elements.signature):
        raise SignatureError("SignatureDoesNotMatch", "the signature does not match the request")
    return principal, service


def sign(secret: str, scope: str, text: str) -> str:
    """Signs `text` with the key derived for a scope (`<date>/<region>/<service>/aws4_request`). Returns hex."""
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def hash_canonical_request(
    request: SignedRequest, signed_headers: Sequence[str], payload_hash: str, *, encode_path_once: bool
) -> str:
    """Returns the SHA-256 hash of the canonical request. S3 encodes the path once, every other service twice."""
    path = quote(unquote(request.path), safe="/-_.~")
    if not encode_path_once:
        path = quote(path, safe="/-_.~")
    pairs = [
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, value in parse_qsl(request.query, keep_blank_values=True)
        if name != "X-Amz-Signature"
    ]
    headers = [f"{name}:{re.sub(' +', ' ', request.headers.get(name, '').strip())}\n" for name in signed_headers]
    text = "\n".join(
        [
            request.method,
            path,
            "&".join(f"{name}={value}" for name, value in sorted(pairs)),
            "".join(headers),
            ";".join(signed_headers),
            payload_hash,
        ]
    )
    return hashlib.sha256(text.encode()).hexdigest()


def parse_timestamp(text: str) -> datetime.datetime:
    """Parses an `X-Amz-Date`, such as 20260131T235959Z.

    Raises:
        SignatureError: The text has another format.
    """
    try:
        return datetime.datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
    except ValueError:
        raise SignatureError("AccessDenied", f"X-Amz-Date {text!r} is not of the form 20260131T235959Z") from None


def _parse_authorization_header(request: SignedRequest, now: datetime.datetime) -> _SignatureElements:
    match = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=([^,]+),\s*SignedHeaders=([^,]+),\s*Signature=([0-9a-f]+)",
        request.headers["authorization"],
    )
    if match is None:
        raise SignatureError("AuthorizationHeaderMalformed", "the Authorization header is not an AWS4 signature")
    timestamp = request.headers.get("x-amz-date", "")
    if abs(parse_timestamp(timestamp) - now) > CLOCK_SKEW:
        raise SignatureError("RequestTimeTooSkewed", f"signed at {timestamp}, more than 15 minutes from now")
    body_hash = hashlib.sha256(request.body).hexdigest()
    declared = request.headers.get("x-amz-content-sha256", body_hash)
    if re.fullmatch("[0-9a-f]{64}", declared) and declared != body_hash:
        raise SignatureError("XAmzContentSHA256Mismatch", "x-amz-content-sha256 is not the body's hash")
    return _SignatureElements(
        credential=match[1],
        signed_headers=match[2].split(";"),
        signature=match[3],
        timestamp=timestamp,
        token=request.headers.get("x-amz-security-token"),
        payload_hash=declared,
    )


def _parse_presigned_query(request: SignedRequest, now: datetime.datetime) -> _SignatureElements:
    query = dict(parse_qsl(request.query, keep_blank_values=True))
    timestamp = query.get("X-Amz-Date", "")
    signed_at = parse_timestamp(timestamp)
    if now > signed_at + datetime.timedelta(seconds=int(query.get("X-Amz-Expires", "0"))):
        raise SignatureError("AccessDenied", "Request has expired")
    if signed_at - now > CLOCK_SKEW:
        raise SignatureError("AccessDenied", "Request is not valid yet")
    return _SignatureElements(
        credential=query.get("X-Amz-Credential", ""),
        signed_headers=query.get("X-Amz-SignedHeaders", "").split(";"),
        signature=query["X-Amz-Signature"],
        timestamp=timestamp,
        token=query.get("X-Amz-Security-Token"),
        payload_hash="UNSIGNED-PAYLOAD",
    )
