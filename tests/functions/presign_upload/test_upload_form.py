"""The form is the one that boto3's generate_presigned_post makes, for any input."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import boto3
import pytest
from botocore.config import Config
from hypothesis import given
from hypothesis import strategies as st

from functions.presign_upload import upload_form
from functions.presign_upload.upload_form import Credentials

NOW = datetime(2026, 3, 1, 9, 5, 7, tzinfo=UTC)
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
REGIONS = ("us-east-1", "eu-west-1", "eu-central-2", "ap-southeast-5", "us-gov-west-1", "mx-central-1")

printable = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
keys = st.text(min_size=1, max_size=200)
header_values = st.text(printable, min_size=1, max_size=80)
metadata_names = st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True)
credentials = st.builds(
    Credentials,
    access_key_id=st.from_regex(r"A[SK]IA[A-Z0-9]{16}", fullmatch=True),
    secret_access_key=st.text(printable, min_size=1, max_size=60),
    session_token=st.none() | st.just("") | st.text(printable, min_size=1, max_size=400),
)
moments = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1)).map(lambda it: it.replace(tzinfo=UTC))  # noqa: DTZ001
buckets = st.from_regex(r"[a-z0-9][a-z0-9-]{1,40}[a-z0-9]", fullmatch=True)


def boto3_form(form_credentials: Credentials, region: str, now: datetime, expires_in: int, **post: Any) -> Any:
    """What boto3 makes of the same input at the time `now`."""
    client: Any = boto3.client(
        "s3",
        region_name=region,
        aws_access_key_id=form_credentials.access_key_id,
        aws_secret_access_key=form_credentials.secret_access_key,
        aws_session_token=form_credentials.session_token or None,
        config=Config(signature_version="s3v4", s3={"us_east_1_regional_endpoint": "regional"}),
    )

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return now.astimezone(tz) if tz else now.replace(tzinfo=None)

        @classmethod
        def utcnow(cls) -> datetime:
            return now.replace(tzinfo=None)

    with (
        patch("botocore.auth.get_current_datetime", lambda *_, **__: now),
        patch("botocore.signers.get_current_datetime", lambda *_, **__: now.replace(tzinfo=None)),
    ):
        return client.generate_presigned_post(ExpiresIn=expires_in, **post)


def decode(policy: str) -> dict[str, Any]:
    return json.loads(base64.b64decode(policy))


def canonical(policy: dict[str, Any]) -> tuple[datetime, list[str]]:
    """Expiration to the second, and the conditions in no order: both mean the same to S3."""
    expiration = datetime.fromisoformat(policy["expiration"]).replace(microsecond=0)
    return expiration, sorted(json.dumps(condition, sort_keys=True) for condition in policy["conditions"])
