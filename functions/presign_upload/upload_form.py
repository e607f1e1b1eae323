"""An S3 POST policy: leave for one browser to put one object of one type and a bounded size, for five minutes.

A presigned PUT could not bound the size. Every field below is matched exactly, so the form is good for nothing else.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html
"""

import base64
import json
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from functions.shared.aws import sigv4


class UploadForm(NamedTuple):
    url: str
    fields: dict[str, str]  # to be sent as they are, before the file


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
    credentials: sigv4.Credentials,
    now: datetime,
) -> UploadForm:
    """The form for `key`, valid until `expires_at` for 1 to `max_bytes` bytes. Both times are in UTC.

    S3 keeps `metadata` with the object. https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html
    """
    scope = sigv4.credential_scope(now, region, "s3")
    fields = {
        "key": key,
        "Content-Type": content_type,
        **{f"x-amz-meta-{name}": value for name, value in metadata.items()},
        "x-amz-algorithm": sigv4.ALGORITHM,
        "x-amz-credential": f"{credentials.access_key_id}/{scope}",
        "x-amz-date": sigv4.timestamp(now),
    }
    if credentials.session_token:
        fields["x-amz-security-token"] = credentials.session_token

    conditions: list[object] = [{"bucket": bucket}, ["content-length-range", 1, max_bytes]]
    conditions += ({name: value} for name, value in fields.items())
    document = {"expiration": iso(expires_at), "conditions": conditions}
    policy = base64.b64encode(json.dumps(document).encode()).decode()

    signing_key = sigv4.signing_key(credentials.secret_access_key, f"{now:%Y%m%d}", region, "s3")
    signature = sigv4.signature(signing_key, policy)
    return UploadForm(url, {**fields, "policy": policy, "x-amz-signature": signature})


def iso(moment: datetime) -> str:
    """`moment`, which must be in UTC, as policies and browsers read it: 2015-12-30T12:00:00.000Z."""
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
