"""AWS Signature Version 4 for what the functions sign themselves: an S3 POST policy, requests to S3, SNS, SQS and SSM,
and the URL that signs in to a database.

boto3 does the same and costs a quarter of a second at every cold start; this needs the standard library only.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
import os
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qsl, quote, urlsplit

ALGORITHM = "AWS4-HMAC-SHA256"
DEFAULT_PORTS = {"http": 80, "https": 443}


class Credentials(NamedTuple):  # not a dataclass: importing those adds several milliseconds to a cold start
    access_key_id: str
    secret_access_key: str
    session_token: str | None = None

    @classmethod
    def from_environment(cls) -> "Credentials":
        """The credentials Lambda puts into the environment; KeyError names the variable that is missing."""
        return cls(
            os.environ["AWS_ACCESS_KEY_ID"],
            os.environ["AWS_SECRET_ACCESS_KEY"],
            os.environ.get("AWS_SESSION_TOKEN"),
        )

    def __repr__(self) -> str:
        return f"Credentials({self.access_key_id!r}, ...)"  # the secrets must not reach a log or a traceback


def timestamp(now: datetime) -> str:
    """`now`, which must be in UTC, as AWS writes it: 20151229T000000Z."""
    return now.strftime("%Y%m%dT%H%M%SZ")


def credential_scope(now: datetime, region: str, service: str) -> str:
    """What a signature is good for: 20151229/us-east-1/s3/aws4_request."""
    return f"{now:%Y%m%d}/{region}/{service}/aws4_request"


def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """The key of one day (`date` is YYYYMMDD), region and service."""
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def signature(key: bytes, text: str) -> str:
    """The signature in lower-case hexadecimal; for a POST policy, `text` is the policy in base64."""
    return hmac.digest(key, text.encode(), "sha256").hex()


def signed_headers(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    service: str,
    region: str,
    credentials: Credentials,
    now: datetime,
) -> dict[str, str]:
    """`headers` and the ones that authenticate the request: Host, X-Amz-Date, Authorization, X-Amz-Security-Token if
    the credentials are temporary, and for s3 X-Amz-Content-Sha256, by which S3 refuses a body that was damaged.

    Every header given is signed, so the request must be sent with exactly these values. `now` is in UTC.
    """
    payload_hash = hashlib.sha256(body).hexdigest()
    signed = {**headers, "Host": _host(urlsplit(url)), "X-Amz-Date": timestamp(now)}
    if credentials.session_token:
        signed["X-Amz-Security-Token"] = credentials.session_token
    if service == "s3":
        signed["X-Amz-Content-Sha256"] = payload_hash

    names, signed_by_key = _sign(
        method, url, signed, payload_hash, service=service, region=region, credentials=credentials, now=now
    )
    signed["Authorization"] = (
        f"{ALGORITHM} Credential={credentials.access_key_id}/{credential_scope(now, region, service)}, "
        f"SignedHeaders={names}, Signature={signed_by_key}"
    )
    return signed


def presigned_url(
    url: str, *, service: str, region: str, credentials: Credentials, now: datetime, expires_seconds: int
) -> str:
    """`url` with a signature in its query: whoever has it may GET it once or often until it expires. `now` is in UTC.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-authentication-methods.html
    """
    address = urlsplit(url)
    parameters = {
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{credentials.access_key_id}/{credential_scope(now, region, service)}",
        "X-Amz-Date": timestamp(now),
        "X-Amz-Expires": str(expires_seconds),
        "X-Amz-SignedHeaders": "host",
    }
    if credentials.session_token:
        parameters["X-Amz-Security-Token"] = credentials.session_token
    query = "&".join([*filter(None, [address.query]), *(f"{n}={_encode(v)}" for n, v in parameters.items())])
    unsigned = address._replace(query=query).geturl()
    _, signed_by_key = _sign(
        "GET",
        unsigned,
        {"Host": _host(address)},
        hashlib.sha256().hexdigest(),
        service=service,
        region=region,
        credentials=credentials,
        now=now,
    )
    return f"{unsigned}&X-Amz-Signature={signed_by_key}"


def _sign(
    method: str,
    url: str,
    headers: Mapping[str, str],
    payload_hash: str,
    *,
    service: str,
    region: str,
    credentials: Credentials,
    now: datetime,
) -> tuple[str, str]:
    """The names of the headers as they are signed, and the signature over the whole request."""
    address = urlsplit(url)
    canonical_headers = sorted((name.lower(), " ".join(value.split())) for name, value in headers.items())
    names = ";".join(name for name, _ in canonical_headers)
    canonical_request = "\n".join(
        (
            method,
            _canonical_path(address.path or "/", service),
            _canonical_query(address.query),
            *(f"{name}:{value}" for name, value in canonical_headers),
            "",
            names,
            payload_hash,
        )
    )
    scope = credential_scope(now, region, service)
    text = "\n".join((ALGORITHM, timestamp(now), scope, hashlib.sha256(canonical_request.encode()).hexdigest()))
    key = signing_key(credentials.secret_access_key, f"{now:%Y%m%d}", region, service)
    return names, signature(key, text)


def _host(address: SplitResult) -> str:
    """The Host header as HTTP clients send it: the port only where it is not the scheme's own."""
    host = address.hostname or ""
    host = f"[{host}]" if ":" in host else host
    default = DEFAULT_PORTS.get(address.scheme)
    return host if address.port in (None, default) else f"{host}:{address.port}"


def _canonical_path(path: str, service: str) -> str:
    """`path` is encoded as in the URL. S3 signs it as it is, every other service encodes it once more.

    https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
    """
    return path if service == "s3" else quote(path, safe="/~")


def _canonical_query(query: str) -> str:
    pairs = parse_qsl(query, keep_blank_values=True)
    return "&".join(f"{name}={value}" for name, value in sorted((_encode(n), _encode(v)) for n, v in pairs))


def _encode(text: str) -> str:
    return quote(text, safe="~")
