"""The form is the one that boto3's generate_presigned_post makes, for any input."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import boto3
import pytest
from botocore.auth import S3SigV4PostAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.presign_upload import upload_form
from functions.presign_upload.upload_form import Credentials

LASTING = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
TEMPORARY = LASTING._replace(session_token="FwoGZXIvYXdzEJr//example/token==")
REGIONS = ("us-east-1", "eu-west-1", "eu-central-2", "ap-southeast-5", "us-gov-west-1", "mx-central-1")

printable = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
keys = st.text(st.characters(codec="utf-8"), min_size=1, max_size=200).filter(
    lambda key: not key.endswith("${filename}")
)
header_values = st.text(printable, min_size=1, max_size=80)
metadata_names = st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True)
credentials = st.builds(
    Credentials,
    access_key_id=st.from_regex(r"A[SK]IA[A-Z0-9]{16}", fullmatch=True),
    secret_access_key=st.text(printable, min_size=1, max_size=60),
    session_token=st.none() | st.just("") | st.text(printable, min_size=1, max_size=400),
)
moments = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1)).map(lambda it: it.replace(tzinfo=UTC))
buckets = st.from_regex(r"[a-z0-9][a-z0-9-]{1,40}[a-z0-9]", fullmatch=True)


def boto3_client(form_credentials: Credentials, region: str) -> Any:
    return boto3.client(
        "s3",
        region_name=region,
        aws_access_key_id=form_credentials.access_key_id,
        aws_secret_access_key=form_credentials.secret_access_key,
        aws_session_token=form_credentials.session_token or None,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "virtual", "us_east_1_regional_endpoint": "regional"},  # the regional endpoint
        ),
    )


def boto3_signature(form_credentials: Credentials, region: str, now: datetime, policy: str) -> str:
    """What boto3 signs `policy` with: the same conditions in another order are another text."""
    signer = S3SigV4PostAuth(BotocoreCredentials(*form_credentials), "s3", region)
    request = AWSRequest("POST", "https://s3.amazonaws.com/")
    request.context["timestamp"] = f"{now:%Y%m%dT%H%M%SZ}"
    return str(signer.signature(policy, request))


def decode(policy: str) -> dict[str, Any]:
    return json.loads(base64.b64decode(policy))


def unsigned(fields: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in fields.items() if name not in ("policy", "x-amz-signature")}


def canonical(policy: dict[str, Any]) -> tuple[datetime, list[str]]:
    """Expiration to the second, and the conditions in no order: both mean the same to S3."""
    expiration = datetime.fromisoformat(policy["expiration"]).replace(microsecond=0)
    return expiration, sorted(json.dumps(condition, sort_keys=True) for condition in policy["conditions"])


@settings(deadline=None, max_examples=50)  # each creates a client
@given(
    bucket=buckets,
    key=keys,
    content_type=header_values,
    metadata=st.dictionaries(metadata_names, header_values, max_size=3),
    max_bytes=st.integers(1, 5 * 1024**3),
    lifetime_seconds=st.integers(1, 7 * 24 * 3600),
    region=st.sampled_from(REGIONS),
    form_credentials=credentials,
    now=moments,
)
def test_sign_makes_the_form_of_generate_presigned_post(
    bucket: str,
    key: str,
    content_type: str,
    metadata: dict[str, str],
    max_bytes: int,
    lifetime_seconds: int,
    region: str,
    form_credentials: Credentials,
    now: datetime,
) -> None:
    ours = upload_form.sign(
        bucket=bucket,
        key=key,
        content_type=content_type,
        metadata=metadata,
        max_bytes=max_bytes,
        expires_at=now + timedelta(seconds=lifetime_seconds),
        url=upload_form.bucket_url(bucket, region, None),
        region=region,
        credentials=form_credentials,
        now=now,
    )
    fields = {"Content-Type": content_type, **{f"x-amz-meta-{name}": value for name, value in metadata.items()}}
    conditions = [["content-length-range", 1, max_bytes], *({name: value} for name, value in fields.items())]
    client = boto3_client(form_credentials, region)
    with (
        patch("botocore.auth.get_current_datetime", lambda: now),
        patch("botocore.signers.get_current_datetime", lambda: now),
    ):
        theirs = client.generate_presigned_post(bucket, key, fields, conditions, lifetime_seconds)

    assert ours.url == theirs["url"]
    assert unsigned(ours.fields) == unsigned(theirs["fields"])
    assert canonical(decode(ours.fields["policy"])) == canonical(decode(theirs["fields"]["policy"]))
    assert ours.fields["x-amz-signature"] == boto3_signature(form_credentials, region, now, ours.fields["policy"])


@pytest.mark.parametrize(("microsecond", "fraction"), [(0, "000"), (5_000, "005"), (123_999, "123")])
def test_iso_has_three_decimals(microsecond: int, fraction: str) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html, "Expiration"."""
    moment = datetime(2015, 12, 30, 12, 0, 0, microsecond, UTC)
    assert upload_form.iso(moment) == f"2015-12-30T12:00:00.{fraction}Z"


def test_sign_policy_gives_the_signature_that_s3_documents() -> None:
    # https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-post-example.html; its lines end in CR LF
    lines = [
        '{ "expiration": "2015-12-30T12:00:00.000Z",',
        '  "conditions": [',
        '    {"bucket": "sigv4examplebucket"},',
        '    ["starts-with", "$key", "user/user1/"],',
        '    {"acl": "public-read"},',
        '    {"success_action_redirect": "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html"},',
        '    ["starts-with", "$Content-Type", "image/"],',
        '    {"x-amz-meta-uuid": "14365123651274"},',
        '    {"x-amz-server-side-encryption": "AES256"},',
        '    ["starts-with", "$x-amz-meta-tag", ""],',
        "",
        '    {"x-amz-credential": "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request"},',
        '    {"x-amz-algorithm": "AWS4-HMAC-SHA256"},',
        '    {"x-amz-date": "20151229T000000Z" }',
        "  ]",
        "}",
    ]
    policy = base64.b64encode("\r\n".join(lines).encode()).decode()
    signature = upload_form.sign_policy(policy, LASTING.secret_access_key, "20151229/us-east-1/s3/aws4_request")
    assert signature == "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e"


def test_credentials_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    assert Credentials.from_environment() == Credentials("id", "secret", "token")

    monkeypatch.delenv("AWS_SESSION_TOKEN")
    assert Credentials.from_environment() == Credentials("id", "secret", None)

    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(KeyError, match="AWS_SECRET_ACCESS_KEY"):
        Credentials.from_environment()


def test_credentials_repr_has_no_secret() -> None:
    assert repr(TEMPORARY) == "Credentials('AKIAIOSFODNN7EXAMPLE', ...)"
    shown = f"{TEMPORARY} {TEMPORARY!r} {json.dumps(str(TEMPORARY))}"
    assert TEMPORARY.secret_access_key not in shown
    assert "FwoGZXIvYXdz" not in shown
