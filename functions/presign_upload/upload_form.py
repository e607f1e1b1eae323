"""The form for one upload: an S3 POST policy that lets a browser put one object of one type and a bounded size.

A presigned PUT could not bound the size. The policy matches every field exactly, so the form is good for nothing else.
It is the form that boto3's generate_presigned_post gives, made here because a user waits for it and importing boto3
takes longer than the rest of a cold start.
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html
"""

import base64
import hmac
import json
import os
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

_ALGORITHM = "AWS4-HMAC-SHA256"


class Credentials(NamedTuple):
    access_key_id: str
    secret_access_key: str
    session_token: str | None = None

    @classmethod
    def from_environment(cls) -> "Credentials":
        """The credentials in the variables that Lambda sets.

        Raises:
            KeyError: a variable is missing.
        """
        return cls(
            os.environ["AWS_ACCESS_KEY_ID"],
            os.environ["AWS_SECRET_ACCESS_KEY"],
            os.environ.get("AWS_SESSION_TOKEN"),
        )

    def __repr__(self) -> str:
        return f"Credentials({self.access_key_id!r}, ...)"  # secrets must not reach a log or a traceback


class UploadForm(NamedTuple):
    url: str
    fields: dict[str, str]  # to be sent unchanged, before the file


def sign(
    *,
    bucket: str,
    key: str,
    content_type: str,
    metadata: Mapping[str, str],
    max_bytes: int,
    expires_at: datetime,
    url: str,
    region: str,
    credentials: Credentials,
    now: datetime,
) -> UploadForm:
    """The form for `key`, valid until `expires_at` for 1 to `max_bytes` bytes. Both times are in UTC.

    `metadata` becomes the object's. https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html
    """
    scope = f"{now:%Y%m%d}/{region}/s3/aws4_request"
    fields = {
        "key": key,
        "Content-Type": content_type,
        **{f"x-amz-meta-{name}": value for name, value in metadata.items()},
        "x-amz-algorithm": _ALGORITHM,
        "x-amz-credential": f"{credentials.access_key_id}/{scope}",
        "x-amz-date": f"{now:%Y%m%dT%H%M%SZ}",
    }
    if credentials.session_token:
        fields["x-amz-security-token"] = credentials.session_token

    conditions: list[object] = [{"bucket": bucket}, ["content-length-range", 1, max_bytes]]
    conditions += ({name: value} for name, value in fields.items())
    document = {"expiration": iso(expires_at), "conditions": conditions}
    policy = base64.b64encode(json.dumps(document).encode()).decode()
    signature = sign_policy(policy, credentials.secret_access_key, scope)
    return UploadForm(url, {**fields, "policy": policy, "x-amz-signature": signature})


def sign_policy(policy: str, secret_access_key: str, scope: str) -> str:
    """The Signature Version 4 of a policy in base64, in lower-case hexadecimal.

    `scope` is <YYYYMMDD>/<region>/s3/aws4_request.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
    """
    key = f"AWS4{secret_access_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, policy.encode(), "sha256").hex()


def bucket_url(bucket: str, region: str, endpoint: str | None) -> str:
    """The URL that forms for `bucket` are posted to; below `endpoint` if that is given.

    It is the bucket's regional host: the global one redirects requests for a new bucket, and browsers do not follow
    redirects across origins. The wildcard certificate of those hosts does not cover a bucket name with a dot.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
    """
    if endpoint:
        return f"{endpoint.rstrip('/')}/{bucket}"
    if "." in bucket:
        return f"https://s3.{region}.amazonaws.com/{bucket}"
    return f"https://{bucket}.s3.{region}.amazonaws.com/"


def iso(moment: datetime) -> str:
    """`moment`, which must be in UTC, as policies and browsers read it: 2015-12-30T12:00:00.000Z."""
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
