"""Where each rule draws its line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
import pytest

from components import rules
from components.rules import Rule
from tests.infra.conftest import RunAlone


@pytest.mark.parametrize(
    ("rule", "good"),
    [
        (rules.ORIGIN, "https://app.example.com"),
        (rules.ORIGIN, "https://app.example.com:8443"),
        (rules.ORIGIN, "https://192.0.2.7"),
        (rules.ORIGIN, "http://localhost:3000"),
        (rules.ORIGIN, "http://127.0.0.1:5173"),
        (rules.ORIGIN, "http://[::1]:8080"),
        (rules.DOMAIN, "example.com"),
        (rules.DOMAIN, "avatars.team.example.co.uk"),
        (rules.DOMAIN, f"{'a' * 53}.com"),
        (rules.BUCKET_NAME, "abc"),
        (rules.BUCKET_NAME, "a" * 63),
        (rules.SIZES, [512]),
        (rules.SIZES, (16, 1024)),
        (rules.HTTPS_URL, "https://hooks.example.com/a?b=c"),
        (rules.LOG_RETENTION_DAYS, 3653),
        (rules.USER_POOL_ID, "us-gov-west-1_AbC123"),
        (rules.TOPIC_ARN, "arn:aws-cn:sns:cn-north-1:123456789012:on-call_1"),
        (rules.REGION, "us-gov-east-1"),
        (rules.DATABASE_URL, "postgresql://app:secret@db.example.com/app"),
        (rules.DATABASE_URL, "postgres://app@db.example.com:6543/app?sslmode=verify-full"),
        (rules.DATABASE_URL, "postgresql://app:p%40ss@db.example.com/app?application_name=x&sslmode=require"),
        (rules.DATABASE_URL, "postgresql://app@127.0.0.1:5432/app?sslmode=disable"),
        (rules.DATABASE_URL, "postgresql://app@localhost/app"),
        (rules.DATABASE, "aurora"),
        (rules.SUBNET_IDS, []),
        (rules.SUBNET_IDS, ["subnet-0123456789abcdef0", "subnet-01234567"]),
        (rules.SECURITY_GROUP_IDS, ["sg-0123456789abcdef0"]),
        (rules.SECURITY_GROUP_IDS, ["sg-0123456789abcdef0", "sg-01234567"]),
    ],
)
def test_accepts(rule: Rule, good: Any) -> None:
    assert rule.accepts(good)


@pytest.mark.parametrize(
    ("rule", "bad"),
    [
        (rules.ORIGIN, "*"),
        (rules.ORIGIN, "https://*.example.com"),
        (rules.ORIGIN, "*.example.com"),
        (rules.ORIGIN, "app.example.com"),
        (rules.ORIGIN, "https://app.example.com/"),
        (rules.ORIGIN, "https://app.example.com/path"),
        (rules.ORIGIN, "https://App.example.com"),
        (rules.ORIGIN, "https://app.example.com:443"),
        (rules.ORIGIN, "https://app.example.com:99999"),
        (rules.ORIGIN, "https://user@app.example.com"),
        (rules.ORIGIN, "http://app.example.com"),
        (rules.ORIGIN, "https://app"),
        (rules.ORIGIN, "ftp://localhost"),
        (rules.ORIGIN, "null"),
        (rules.ORIGIN, ""),
        (rules.ORIGIN, None),
        (rules.DOMAIN, "example"),
        (rules.DOMAIN, "Example.com"),
        (rules.DOMAIN, "*.example.com"),
        (rules.DOMAIN, "example.com."),
        (rules.DOMAIN, "-a.example.com"),
        (rules.DOMAIN, f"{'a' * 54}.com"),
        (rules.BUCKET_NAME, "ab"),
        (rules.BUCKET_NAME, "a" * 64),
        (rules.BUCKET_NAME, "with.dots"),
        (rules.BUCKET_NAME, "xn--bucket"),
        (rules.BUCKET_NAME, "bucket-s3alias"),
        (rules.BUCKET_NAME, "-bucket"),
        (rules.SIZES, []),
        (rules.SIZES, [15]),
        (rules.SIZES, [1025]),
        (rules.SIZES, [512, 512]),
        (rules.SIZES, [512.0]),
        (rules.SIZES, [True]),
        (rules.SIZES, [16, 17, 18, 19, 20, 21, 22]),
        (rules.SIZES, "512"),
        (rules.HTTPS_URL, "http://example.com"),
        (rules.HTTPS_URL, "https://"),
        (rules.HTTPS_URL, "https://user:pass@example.com"),
        (rules.HTTPS_URL, "https://example.com/ x"),
        (rules.LOG_RETENTION_DAYS, 31),
        (rules.LOG_RETENTION_DAYS, True),
        (rules.USER_POOL_ID, "AbC123"),
        (rules.HOSTED_ZONE_ID, "/hostedzone/Z1"),
        (rules.MAX_CONCURRENCY, 1),
        (rules.MAX_CONCURRENCY, 1001),
        (rules.MAX_UPLOAD_BYTES, 1023),
        (rules.AUTHORIZER_CACHE_SECONDS, -1),
        (rules.DATABASE_URL, "mysql://app:secret@db.example.com/app"),
        (rules.DATABASE_URL, "postgresql://db.example.com/app"),
        (rules.DATABASE_URL, "postgresql://app:secret@/app"),
        (rules.DATABASE_URL, "postgresql://app:secret@db.example.com"),
        (rules.DATABASE_URL, "postgresql://app:secret@db.example.com/"),
        (rules.DATABASE_URL, "postgresql://app:secret@db.example.com:port/app"),
        (rules.DATABASE_URL, "postgresql://app:se#cret@db.example.com/app"),
        (rules.DATABASE_URL, "postgresql://app:secret@db.example.com/app#x"),
        (rules.DATABASE_URL, "postgresql://app:secr@et@db.example.com/app"),
        (rules.DATABASE_URL, "postgresql://app:secret@db.example.com/app/other"),
        (rules.DATABASE_URL, "postgresql://app:secret@db.example.com/app?sslmode=disable"),
        (rules.DATABASE_URL, "postgresql://app:secret@db.example.com/app?sslmode=allow"),
        (rules.DATABASE_URL, "postgresql://app:secret@db.example.com/app?sslmode=prefer"),
        (rules.DATABASE_URL, "postgresql://app:secret@db.example.com/app?sslmode="),
        (rules.DATABASE_URL, "postgresql://app:secret@db.example.com/app?sslmode=require&sslmode=disable"),
        (rules.DATABASE_URL, "host=db.example.com user=app dbname=app"),
        (rules.DATABASE, "Aurora"),
        (rules.SUBNET_IDS, ["subnet-0123456789abcdef0"]),
        (rules.SUBNET_IDS, ["subnet-0123456789abcdef0", "subnet-0123456789abcdef0"]),
        (rules.SUBNET_IDS, ["subnet-0123456789abcdef0", "sg-0123456789abcdef0"]),
        (rules.SUBNET_IDS, "subnet-0123456789abcdef0"),
        (rules.SECURITY_GROUP_IDS, ["sg-012345678"]),
        (rules.SECURITY_GROUP_IDS, [7]),
    ],
)
def test_refuses(rule: Rule, bad: Any) -> None:
    assert not rule.accepts(bad)


@dataclass(frozen=True)
class Args:
    memory: int
    origins: list[Any]


def test_all_wrong_arguments_of_a_component_come_in_one_message() -> None:
    with pytest.raises(ValueError, match="memory") as caught:
        rules.require(Args(0, ["*"]), memory=rules.whole_number(1, 2_000), origins=rules.each(rules.ORIGIN))
    assert str(caught.value).splitlines()[0] == "Args.memory is 0; allowed is a whole number from 1 to 2,000"
    assert (
        str(caught.value)
        .splitlines()[1]
        .startswith("Args.origins is ['*']; allowed is a list of which each is an orig")
    )


def test_what_may_hold_a_password_is_not_shown() -> None:
    @dataclass(frozen=True)
    class Database:
        url: str

    with pytest.raises(ValueError, match="is set") as caught:
        rules.require(Database("mysql://app:secret@db.example.com/app"), url=rules.optional(rules.DATABASE_URL))
    assert str(caught.value).startswith(
        "Database.url is set (and not shown); allowed is a postgresql:// URL with a user"
    )
    assert "secret" not in str(caught.value)


def test_an_output_is_let_pass_because_it_is_known_too_late(run_alone: RunAlone) -> None:
    def program() -> None:
        origins = rules.each(rules.ORIGIN)
        url = pulumi.Output.from_input("*")
        assert origins.accepts([url, "https://app.example.com"])
        assert not origins.accepts([url, "*"])
        assert rules.SUBNET_IDS.accepts([url, "subnet-01234567"])
        assert not rules.SUBNET_IDS.accepts([url, "01234567"])

    run_alone(program)
