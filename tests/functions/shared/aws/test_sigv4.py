"""Signatures are compared with botocore's and with the ones AWS publishes."""

import base64
import json
from datetime import UTC, datetime
from hashlib import sha256

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4PostAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials

from functions.shared.aws import sigv4

NOW = datetime(2026, 3, 1, 9, 5, 7, tzinfo=UTC)
LASTING = sigv4.Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
TEMPORARY = LASTING._replace(session_token="FwoGZXIvYXdzEJr//example/token==")


@pytest.fixture(autouse=True)
def botocore_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: NOW)


@pytest.mark.parametrize("credentials", [LASTING, TEMPORARY], ids=["lasting", "temporary"])
@pytest.mark.parametrize(
    ("method", "url", "headers", "body"),
    [
        pytest.param(
            "POST",
            "https://sns.eu-west-1.amazonaws.com/",
            {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
            b"Action=Publish&Message=caf%C3%A9",
            id="a form",
        ),
        pytest.param("GET", "https://sns.eu-west-1.amazonaws.com", {}, b"", id="no path"),
        pytest.param("POST", "http://127.0.0.1:5000/", {"Accept": "*/*"}, b"x", id="a port of its own"),
        pytest.param("POST", "https://sns.example.com:443/", {}, b"x", id="the scheme's port"),
        pytest.param("POST", "http://[::1]:5000/", {}, b"x", id="an IPv6 host"),
        pytest.param("GET", "https://a.example/?b=2&a=1&a=0&empty=&p=%2F~%20x", {}, b"", id="a query"),
        pytest.param("GET", "https://a.example/2020-05-31/d%20x/~y", {}, b"", id="an escaped path"),
        pytest.param("GET", "https://a.example/", {"X-Spaced": "  a   b "}, b"", id="spaces in a header"),
    ],
)
def test_signed_headers_carry_the_signature_botocore_makes(
    method: str, url: str, headers: dict[str, str], body: bytes, credentials: sigv4.Credentials
) -> None:
    request = AWSRequest(method=method, url=url, headers=headers, data=body)
    SigV4Auth(BotocoreCredentials(*credentials), "sns", "eu-west-1").add_auth(request)

    signed = sigv4.signed_headers(
        method, url, headers, body, service="sns", region="eu-west-1", credentials=credentials, now=NOW
    )

    assert signed["Authorization"] == request.headers["Authorization"]
    assert signed["X-Amz-Date"] == request.headers["X-Amz-Date"]
    assert signed.get("X-Amz-Security-Token") == credentials.session_token
    assert headers.items() <= signed.items()


@pytest.mark.parametrize("credentials", [LASTING, TEMPORARY], ids=["lasting", "temporary"])
@pytest.mark.parametrize(
    ("method", "path", "headers", "body"),
    [
        pytest.param("GET", "avatars/a.json", {}, b"", id="a read"),
        pytest.param("GET", "it%27s%20%C3%A9%2B~%28/../1%29//x", {}, b"", id="an escaped path"),
        pytest.param("HEAD", "avatars/a.jpg", {}, b"", id="a look"),
        pytest.param("DELETE", "incoming/a/b", {}, b"", id="a deletion"),
        pytest.param(
            "PUT",
            "avatars/a.jpg",
            {
                "Content-Type": "image/jpeg",
                "Cache-Control": "public, max-age=60",
                "If-Match": '"9b2cf535f27731c974343645a3985328"',
                "x-amz-meta-upload-id": "01KJM8QZ5K3V7N2R9T4W6X8Y0Z",
            },
            bytes(range(256)),
            id="a replacement with metadata",
        ),
        pytest.param("PUT", "new.json", {"If-None-Match": "*"}, b"{}", id="a first write"),
    ],
)
def test_for_s3_the_signature_is_the_one_botocore_makes(
    method: str, path: str, headers: dict[str, str], body: bytes, credentials: sigv4.Credentials
) -> None:
    url = f"https://bucket.s3.eu-west-1.amazonaws.com/{path}"
    request = AWSRequest(method=method, url=url, headers=headers, data=body)
    S3SigV4Auth(BotocoreCredentials(*credentials), "s3", "eu-west-1").add_auth(request)

    signed = sigv4.signed_headers(
        method, url, headers, body, service="s3", region="eu-west-1", credentials=credentials, now=NOW
    )

    assert signed["Authorization"] == request.headers["Authorization"]
    assert signed["X-Amz-Content-Sha256"] == request.headers["X-Amz-Content-SHA256"] == sha256(body).hexdigest()


@pytest.mark.parametrize("credentials", [LASTING, TEMPORARY], ids=["lasting", "temporary"])
@pytest.mark.parametrize(
    "url", ["https://host.example:5432/?Action=connect&DBUser=%C3%A9%20b", "https://host.example/"]
)
def test_a_presigned_url_is_the_one_botocore_makes(url: str, credentials: sigv4.Credentials) -> None:
    request = AWSRequest(method="GET", url=url)
    SigV4QueryAuth(BotocoreCredentials(*credentials), "rds-db", "eu-west-1", expires=60).add_auth(request)

    signed = sigv4.presigned_url(
        url, service="rds-db", region="eu-west-1", credentials=credentials, now=NOW, expires_seconds=60
    )

    assert signed == request.url


def test_a_post_policy_gets_the_signature_botocore_makes() -> None:
    request = AWSRequest(method="POST", url="https://bucket.s3.eu-west-1.amazonaws.com/")
    request.context["s3-presign-post-policy"] = {"expiration": "2026-03-01T09:10:07.000Z"}
    S3SigV4PostAuth(BotocoreCredentials(*TEMPORARY), "s3", "eu-west-1").add_auth(request)
    fields = request.context["s3-presign-post-fields"]

    key = sigv4.signing_key(TEMPORARY.secret_access_key, "20260301", "eu-west-1", "s3")

    assert sigv4.signature(key, fields["policy"]) == fields["x-amz-signature"]
    assert f"AKIAIOSFODNN7EXAMPLE/{sigv4.credential_scope(NOW, 'eu-west-1', 's3')}" == fields["x-amz-credential"]
    assert sigv4.timestamp(NOW) == fields["x-amz-date"]


def test_the_post_policy_of_the_s3_documentation_gets_the_signature_published_there() -> None:
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

    key = sigv4.signing_key(LASTING.secret_access_key, "20151229", "us-east-1", "s3")

    published = "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e"
    assert sigv4.signature(key, policy) == published


def test_credentials_come_from_the_variables_lambda_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    assert sigv4.Credentials.from_environment() == sigv4.Credentials("id", "secret", "token")

    monkeypatch.delenv("AWS_SESSION_TOKEN")
    assert sigv4.Credentials.from_environment() == sigv4.Credentials("id", "secret", None)

    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(KeyError, match="AWS_SECRET_ACCESS_KEY"):
        sigv4.Credentials.from_environment()


def test_printing_credentials_shows_no_secret() -> None:
    shown = f"{TEMPORARY} {TEMPORARY!r} {json.dumps(str(TEMPORARY))}"
    assert TEMPORARY.secret_access_key not in shown
    assert "FwoGZXIvYXdz" not in shown
