"""Validation rules: accepted and rejected values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
import pytest

from components.blocks import validation
from components.blocks.validation import Rule
from tests.components.conftest import RunAlone


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        (validation.ORIGIN, "https://app.example.com"),
        (validation.ORIGIN, "https://app.example.com:8443"),
        (validation.ORIGIN, "https://192.0.2.7"),
        (validation.ORIGIN, "http://localhost:3000"),
        (validation.ORIGIN, "http://127.0.0.1:5173"),
        (validation.ORIGIN, "http://[::1]:8080"),
        (validation.DOMAIN, "example.com"),
        (validation.DOMAIN, "avatars.team.example.co.uk"),
        (validation.DOMAIN, f"{'a' * 53}.com"),
        (validation.BUCKET_NAME, "abc"),
        (validation.BUCKET_NAME, "a" * 63),
        (validation.SIZES, [512]),
        (validation.SIZES, (16, 1024)),
        (validation.HTTPS_URL, "https://hooks.example.com/a?b=c"),
        (validation.LOG_RETENTION_DAYS, 3653),
        (validation.USER_POOL_ID, "us-gov-west-1_AbC123"),
        (validation.TOPIC_ARN, "arn:aws-cn:sns:cn-north-1:123456789012:on-call_1"),
        (validation.MODERATION_FUNCTION, "arn:aws:lambda:eu-west-1:123456789012:function:moderate"),
        (validation.MODERATION_FUNCTION, "arn:aws-us-gov:lambda:us-gov-east-1:123456789012:function:moderate_1:7"),
        (validation.MODERATION_FUNCTION, "arn:aws:lambda:eu-west-1:123456789012:function:moderate:live-2"),
        (validation.MODERATION_FUNCTION, "arn:aws:lambda:eu-west-1:123456789012:function:moderate:$LATEST"),
        (validation.REGION, "ap-southeast-2"),
        (validation.DATABASE_URL, "postgresql://app:secret@db.example.com/app"),
        (validation.DATABASE_URL, "postgres://app@db.example.com:6543/app?sslmode=verify-full"),
        (validation.DATABASE_URL, "postgresql://app:p%40ss@db.example.com/app?application_name=x&sslmode=require"),
        (validation.DATABASE_URL, "postgresql://app@127.0.0.1:5432/app?sslmode=disable"),
        (validation.DATABASE_URL, "postgresql://app@localhost/app"),
        (validation.DATABASE, "aurora"),
        (validation.SUBNET_IDS, []),
        (validation.SUBNET_IDS, ["subnet-0123456789abcdef0", "subnet-01234567"]),
        (validation.SECURITY_GROUP_IDS, ["sg-0123456789abcdef0"]),
        (validation.SECURITY_GROUP_IDS, ["sg-0123456789abcdef0", "sg-01234567"]),
    ],
)
def test_rule_accepts_valid_value(rule: Rule, value: Any) -> None:
    assert rule.accepts(value)


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        (validation.ORIGIN, "*"),
        (validation.ORIGIN, "https://*.example.com"),
        (validation.ORIGIN, "*.example.com"),
        (validation.ORIGIN, "app.example.com"),
        (validation.ORIGIN, "https://app.example.com/"),
        (validation.ORIGIN, "https://app.example.com/path"),
        (validation.ORIGIN, "https://App.example.com"),
        (validation.ORIGIN, "https://app.example.com:443"),
        (validation.ORIGIN, "https://app.example.com:99999"),
        (validation.ORIGIN, "https://user@app.example.com"),
        (validation.ORIGIN, "http://app.example.com"),
        (validation.ORIGIN, "https://app"),
        (validation.ORIGIN, "ftp://localhost"),
        (validation.ORIGIN, "null"),
        (validation.ORIGIN, ""),
        (validation.ORIGIN, None),
        (validation.DOMAIN, "example"),
        (validation.DOMAIN, "Example.com"),
        (validation.DOMAIN, "*.example.com"),
        (validation.DOMAIN, "example.com."),
        (validation.DOMAIN, "-a.example.com"),
        (validation.DOMAIN, f"{'a' * 54}.com"),
        (validation.BUCKET_NAME, "ab"),
        (validation.BUCKET_NAME, "a" * 64),
        (validation.BUCKET_NAME, "with.dots"),
        (validation.BUCKET_NAME, "xn--bucket"),
        (validation.BUCKET_NAME, "bucket-s3alias"),
        (validation.BUCKET_NAME, "-bucket"),
        (validation.SIZES, []),
        (validation.SIZES, [15]),
        (validation.SIZES, [1025]),
        (validation.SIZES, [512, 512]),
        (validation.SIZES, [512.0]),
        (validation.SIZES, [True]),
        (validation.SIZES, [16, 17, 18, 19, 20, 21, 22]),
        (validation.SIZES, "512"),
        (validation.HTTPS_URL, "http://example.com"),
        (validation.HTTPS_URL, "https://"),
        (validation.HTTPS_URL, "https://user:pass@example.com"),
        (validation.HTTPS_URL, "https://example.com/ x"),
        (validation.LOG_RETENTION_DAYS, 31),
        (validation.LOG_RETENTION_DAYS, True),
        (validation.USER_POOL_ID, "AbC123"),
        (validation.HOSTED_ZONE_ID, "/hostedzone/Z1"),
        (validation.MODERATION_FUNCTION, "moderate"),
        (validation.MODERATION_FUNCTION, "arn:aws:lambda:eu-west-1:123456789012:function:moderate:"),
        (validation.MODERATION_FUNCTION, "arn:aws:lambda:eu-west-1:123456789012:function:moderate:*"),
        (validation.MODERATION_FUNCTION, "arn:aws:lambda:eu-west-1:123456789012:layer:moderate"),
        (validation.MAX_CONCURRENCY, 1),
        (validation.MAX_CONCURRENCY, 1001),
        (validation.MAX_UPLOAD_BYTES, 1023),
        (validation.AUTHORIZER_CACHE_SECONDS, -1),
        (validation.DATABASE_URL, "mysql://app:secret@db.example.com/app"),
        (validation.DATABASE_URL, "postgresql://db.example.com/app"),
        (validation.DATABASE_URL, "postgresql://app:secret@/app"),
        (validation.DATABASE_URL, "postgresql://app:secret@db.example.com"),
        (validation.DATABASE_URL, "postgresql://app:secret@db.example.com/"),
        (validation.DATABASE_URL, "postgresql://app:secret@db.example.com:port/app"),
        (validation.DATABASE_URL, "postgresql://app:se#cret@db.example.com/app"),
        (validation.DATABASE_URL, "postgresql://app:secret@db.example.com/app#x"),
        (validation.DATABASE_URL, "postgresql://app:secr@et@db.example.com/app"),
        (validation.DATABASE_URL, "postgresql://app:secret@db.example.com/app/other"),
        (validation.DATABASE_URL, "postgresql://app:secret@db.example.com/app?sslmode=disable"),
        (validation.DATABASE_URL, "postgresql://app:secret@db.example.com/app?sslmode=allow"),
        (validation.DATABASE_URL, "postgresql://app:secret@db.example.com/app?sslmode=prefer"),
        (validation.DATABASE_URL, "postgresql://app:secret@db.example.com/app?sslmode="),
        (validation.DATABASE_URL, "postgresql://app:secret@db.example.com/app?sslmode=require&sslmode=disable"),
        (validation.DATABASE_URL, "host=db.example.com user=app dbname=app"),
        (validation.DATABASE, "Aurora"),
        (validation.SUBNET_IDS, ["subnet-0123456789abcdef0"]),
        (validation.SUBNET_IDS, ["subnet-0123456789abcdef0", "subnet-0123456789abcdef0"]),
        (validation.SUBNET_IDS, ["subnet-0123456789abcdef0", "sg-0123456789abcdef0"]),
        (validation.SUBNET_IDS, "subnet-0123456789abcdef0"),
        (validation.SECURITY_GROUP_IDS, ["sg-012345678"]),
        (validation.SECURITY_GROUP_IDS, [7]),
    ],
)
def test_rule_rejects_invalid_value(rule: Rule, value: Any) -> None:
    assert not rule.accepts(value)


@dataclass(frozen=True)
class Args:
    memory: int
    origins: list[Any]


def test_require_raises_once_for_all_invalid_fields() -> None:
    with pytest.raises(ValueError, match="memory") as caught:
        validation.require(
            Args(0, ["*"]), memory=validation.integer_range(1, 2_000), origins=validation.list_of(validation.ORIGIN)
        )
    assert str(caught.value).splitlines()[0] == "Args.memory is 0; allowed is an integer from 1 to 2,000"
    assert str(caught.value).splitlines()[1].startswith("Args.origins is ['*']; allowed is a list, each item an orig")


def test_require_confidential_value_is_not_shown() -> None:
    @dataclass(frozen=True)
    class Database:
        url: str

    with pytest.raises(ValueError, match="is set") as caught:
        validation.require(
            Database("mysql://app:secret@db.example.com/app"), url=validation.optional(validation.DATABASE_URL)
        )
    assert str(caught.value).startswith("Database.url is set (and not shown); allowed is a postgresql:// URL with user")
    assert "secret" not in str(caught.value)


def test_rule_accepts_outputs(run_alone: RunAlone) -> None:
    def program() -> None:
        origins = validation.list_of(validation.ORIGIN)
        url = pulumi.Output.from_input("*")
        assert origins.accepts([url, "https://app.example.com"])
        assert not origins.accepts([url, "*"])
        assert validation.SUBNET_IDS.accepts([url, "subnet-01234567"])
        assert not validation.SUBNET_IDS.accepts([url, "01234567"])

    run_alone(program)
