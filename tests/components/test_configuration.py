"""StackConfig: reading and validating the stack's configuration."""

from __future__ import annotations

import json
import re
from dataclasses import MISSING, fields
from typing import Any

import pulumi
import pytest
import yaml

from components.assets_cdn import AssetsCdnArgs
from components.avatar_pipeline import AvatarPipelineArgs
from components.avatar_service import AvatarServiceArgs
from components.configuration import SETTINGS, ConfigurationError, StackConfig
from components.profile_api import ProfileApiArgs
from components.upload_api import UploadApiArgs
from lambda_packages import build
from local.recording.graph import Resource
from local.recording.recorder import run_program
from tests.components.conftest import ROOT, invoke, project_config, run_main, stack_config


def load(settings: dict[str, Any] | None = None, secret_keys: tuple[str, ...] = ()) -> StackConfig:
    loaded: list[StackConfig] = []

    def create_nothing(_resource: Resource) -> tuple[str, dict[str, Any]]:
        return "", {}

    run_program(
        lambda: loaded.append(StackConfig.load()),
        config=stack_config(settings or {}),
        secret_keys=secret_keys,
        create=create_nothing,
        invoke=invoke,
    )
    return loaded[0]


def load_errors(settings: dict[str, Any], secret_keys: tuple[str, ...] = ()) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(settings, secret_keys)
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def camel(name: str) -> str:
    return re.sub(r"_(.)", lambda match: match[1].upper(), name)


def test_load_region_only_returns_defaults() -> None:
    assert load() == StackConfig(
        region="eu-west-1",
        profile=None,
        allowed_account_ids=(),
        service=AvatarServiceArgs(
            tags={"Project": "avatars", "Stack": "test"},
            allowed_origins=(),
            domain=None,
            hosted_zone_id=None,
            user_pool_id=None,
            user_pool_client_id=None,
            issuer=None,
            audience=None,
            audience_claim="aud",
            uploads_bucket_name=None,
            assets_bucket_name=None,
            sizes=(256,),
            max_upload_bytes=10_485_760,
            max_pixels=50_000_000,
            uploads_per_hour=60,
            originals_days=14,
            webhook_url=None,
            self_sign_up=False,
            email_identity_arn=None,
            protect_data=True,
            log_retention_days=30,
            authorizer_cache_seconds=60,
            throttle_rate=50,
            throttle_burst=100,
            max_concurrency=20,
            reserved_concurrency={},
            web_acl_arn=None,
            alarm_topic_arn=None,
            database_url=None,
            database=None,
            database_subnet_ids=(),
            database_security_group_ids=(),
        ),
    )


def test_project_keys_equal_service_arguments_in_order() -> None:
    declared = [camel(field.name) for field in fields(AvatarServiceArgs) if field.name != "tags"]
    assert list(project_config()) == declared == list(SETTINGS)


@pytest.mark.parametrize("key", project_config())
def test_load_invalid_value_of_any_key_is_an_error(key: str) -> None:
    """A key whose invalid value is an error is read."""
    assert {line.split(" ")[0] for line in load_errors({key: "?"})} == {f"avatars:{key}"}


@pytest.mark.parametrize(("key", "schema"), project_config().items())
def test_project_key_has_type_default_and_description(key: str, schema: dict[str, Any]) -> None:
    python = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}[schema["type"]]
    assert type(schema["default"]) is python
    assert schema["description"].endswith(".")
    assert ("items" in schema) == (schema["type"] == "array")


@pytest.mark.parametrize("args", [AvatarServiceArgs, AssetsCdnArgs, AvatarPipelineArgs, UploadApiArgs, ProfileApiArgs])
def test_component_defaults_equal_project_defaults(args: Any) -> None:
    defaults = {
        field.name: list(field.default) if isinstance(field.default, tuple) else field.default
        for field in fields(args)
        if field.default is not MISSING
    }
    stack = {name: value["default"] for name, value in project_config().items() if value["default"] != ""}
    shared = {name: value for name, value in defaults.items() if camel(name) in stack}
    assert shared
    assert shared == {name: stack[camel(name)] for name in shared}


def test_load_dev_stack_is_valid() -> None:
    config = load(yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())["config"])
    assert config.service.protect_data is False
    assert config.service.allowed_origins == ("http://localhost:3000", "http://localhost:5173")


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"aws:region": None}, "aws:region has no value; allowed is an AWS region such as eu-west-1"),
        ({"aws:region": "Ireland"}, "aws:region is 'Ireland'; allowed is an AWS region"),
        (
            {"aws:region": "cn-north-1"},
            "aws:region is 'cn-north-1'; allowed is an AWS region such as eu-west-1, outside",
        ),
        ({"aws:region": "us-gov-west-1"}, "aws:region is 'us-gov-west-1'; allowed is an AWS region"),
        ({"aws:assumeRoles": "[]"}, "aws:assumeRoles is '[]'; unknown key, allowed are region, profile, "),
        ({"aws:allowedAccountIds": ["123"]}, "aws:allowedAccountIds is '[\"123\"]'; allowed is a list, each item"),
        ({"aws:defaultTags": {"Team": "x"}}, 'aws:defaultTags is \'{"Team": "x"}\'; allowed is tags such as'),
        ({"allowedOrigins": "https://a.example"}, "avatars:allowedOrigins is 'https://a.example'; allowed is a list"),
        (
            {"allowedOrigins": ["*"]},
            "avatars:allowedOrigins is '[\"*\"]'; allowed is a list, each item an origin",
        ),
        ({"domain": "https://example.com"}, "avatars:domain is 'https://example.com'; allowed is a domain name"),
        (
            {"hostedZoneId": "Z012"},
            "avatars:hostedZoneId is 'Z012'; it requires avatars:domain",
        ),
        (
            {"userPoolId": "eu-west-1_Abc"},
            "avatars:userPoolId is 'eu-west-1_Abc'; it requires avatars:userPoolClientId",
        ),
        (
            {"userPoolClientId": "abc"},
            "avatars:userPoolClientId is 'abc'; it requires avatars:userPoolId",
        ),
        (
            {"issuer": "https://issuer.example.com"},
            "avatars:issuer is 'https://issuer.example.com'; it requires avatars:audience",
        ),
        ({"audience": "api"}, "avatars:audience is 'api'; it requires avatars:issuer"),
        ({"audienceClaim": "azp"}, "avatars:audienceClaim is 'azp'; it requires avatars:issuer"),
        (
            {"issuer": "http://issuer.example.com", "audience": "api"},
            "avatars:issuer is 'http://issuer.example.com'; allowed is the https:// URL of an OpenID Connect issuer",
        ),
        (
            {"issuer": "https://issuer.example.com?a=b", "audience": "api"},
            "avatars:issuer is 'https://issuer.example.com?a=b'; allowed is the https:// URL of an OpenID Connect",
        ),
        (
            {"issuer": "https://issuer.example.com", "audience": "a b"},
            "avatars:audience is 'a b'; allowed is 1 to 255 characters without spaces",
        ),
        (
            {"issuer": "https://issuer.example.com", "audience": "api", "audienceClaim": "scope"},
            "avatars:audienceClaim is 'scope'; allowed is aud, client_id or azp",
        ),
        (
            {"issuer": "https://issuer.example.com", "audience": "api", "selfSignUp": True},
            "avatars:selfSignUp is 'true'; it applies to Cognito, and cannot be combined with avatars:issuer",
        ),
        (
            {"issuer": "https://issuer.example.com", "audience": "api", "profileNames": "cognito"},
            "avatars:profileNames is 'cognito'; users have no name in a Cognito user pool with avatars:issuer",
        ),
        ({"uploadsBucketName": "My_Bucket"}, "avatars:uploadsBucketName is 'My_Bucket'; allowed is 3 to 63 of"),
        (
            {"uploadsBucketName": "same-name", "assetsBucketName": "same-name"},
            "avatars:assetsBucketName is 'same-name'; it must differ from avatars:uploadsBucketName",
        ),
        ({"sizes": [512, 8]}, "avatars:sizes is '[512, 8]'; allowed is a list of one to six different integers"),
        ({"sizes": []}, "avatars:sizes is '[]'; allowed is a list of one to six"),
        (
            {"maxUploadBytes": "10MB"},
            "avatars:maxUploadBytes is '10MB'; allowed is an integer from 1,024 to 52,428,800",
        ),
        (
            {"maxPixels": 100_000_001},
            "avatars:maxPixels is '100000001'; allowed is an integer from 1,000,000 to 100,0",
        ),
        ({"originalsDays": 0}, "avatars:originalsDays is '0'; allowed is an integer from 1 to 365"),
        (
            {"webhookUrl": "http://example.com"},
            "avatars:webhookUrl is 'http://example.com'; allowed is an https:// URL",
        ),
        ({"protectData": "yes"}, "avatars:protectData is 'yes'; allowed is true or false"),
        (
            {"emailIdentityArn": "no-reply@example.com"},
            "avatars:emailIdentityArn is 'no-reply@example.com'; allowed is the ARN of an SES identity",
        ),
        (
            {"selfSignUp": True, "userPoolId": "eu-west-1_AbCdEfGhI", "userPoolClientId": "1h57kf5cpq17m0eml12EXAMPLE"},
            "avatars:selfSignUp is 'true'; it applies to a pool that the stack creates, not to avatars:userPoolId",
        ),
        (
            {"logRetentionDays": 31},
            "avatars:logRetentionDays is '31'; allowed is a number of days that CloudWatch",
        ),
        (
            {"authorizerCacheSeconds": 3601},
            "avatars:authorizerCacheSeconds is '3601'; allowed is an integer from 0",
        ),
        ({"throttleRate": "1.5"}, "avatars:throttleRate is '1.5'; allowed is an integer from 1 to 10,000"),
        ({"throttleBurst": 0}, "avatars:throttleBurst is '0'; allowed is an integer from 1 to 5,000"),
        ({"uploadsPerHour": -1}, "avatars:uploadsPerHour is '-1'; allowed is an integer from 0 to 1,000"),
        ({"maxConcurrency": 1}, "avatars:maxConcurrency is '1'; allowed is an integer from 2 to 1,000"),
        (
            {"reservedConcurrency": {"resize": 5}},
            "avatars:reservedConcurrency is '{\"resize\": 5}'; allowed is a map from process_avatar, finish_upload, ",
        ),
        (
            {"reservedConcurrency": {"authorize": -1}},
            "avatars:reservedConcurrency is '{\"authorize\": -1}'; allowed is a map from",
        ),
        (
            {"reservedConcurrency": ["authorize"]},
            "avatars:reservedConcurrency is '[\"authorize\"]'; allowed is a map from",
        ),
        (
            {"reservedConcurrency": {"process_avatar": 19}},
            "avatars:reservedConcurrency is '{\"process_avatar\": 19}'; process_avatar must not be below "
            "avatars:maxConcurrency",
        ),
        (
            {"reservedConcurrency": {"profile": 5}},
            "avatars:reservedConcurrency is '{\"profile\": 5}'; "
            "profile, erase_profile, migrate_database require avatars:database",
        ),
        (
            {"webAclArn": "arn:aws:wafv2:eu-west-1:123456789012:regional/webacl/a/b"},
            "avatars:webAclArn is 'arn:aws:wafv2:eu",
        ),
        ({"alarmTopicArn": "on-call"}, "avatars:alarmTopicArn is 'on-call'; allowed is the ARN of an SNS topic"),
        (
            {"databaseUrl": "postgresql://app:secret@db.example.com/app"},
            "avatars:databaseUrl is set (and not shown); it must be stored as a secret: pulumi config set --secret",
        ),
        (
            {"databaseurl": "postgresql://app:secret@db.example.com/app"},
            "avatars:databaseurl is set (and not shown); unknown key, did you mean avatars:databaseUrl?",
        ),
        ({"database": "postgres"}, "avatars:database is 'postgres'; allowed is aurora, or empty"),
        ({"profileNames": "email"}, "avatars:profileNames is 'email'; allowed is generated or cognito"),
        ({"profileNames": ""}, "avatars:profileNames has no value; allowed is generated or cognito"),
        ({"handleHoldDays": 366}, "avatars:handleHoldDays is '366'; allowed is an integer from 0 to 365"),
        ({"maxpixel": 5}, "avatars:maxpixel is '5'; unknown key, did you mean avatars:maxPixels?"),
        ({"colour": "red"}, "avatars:colour is 'red'; unknown key, allowed are allowedOrigins, domain,"),
        ({"sizes": None}, "avatars:sizes has no value; allowed is a list of one to six"),
    ],
)
def test_error_names_key_value_and_what_is_allowed(settings: dict[str, Any], error: str) -> None:
    (line,) = load_errors(settings)
    assert line.startswith(error)


def test_load_many_errors_raises_once_and_creates_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    created: list[str] = []

    def create(resource: Resource) -> tuple[str, dict[str, Any]]:
        created.append(resource.name)
        return resource.name, {}

    def fail(_functions: object) -> None:
        raise AssertionError("built packages for an invalid configuration")

    monkeypatch.setattr(build, "build_packages_once", fail)
    wrong = {"aws:region": None, "maxPixels": "many", "webhookUrl": "ftp://x", "sizes": [512, 512], "typo": "1"}
    with pytest.raises(ConfigurationError) as caught:
        run_main(stack_config(wrong), create=create)
    first, *lines = str(caught.value).splitlines()
    assert first == "The configuration of stack test has 5 errors; no resources were created:"
    assert [line.split()[0] for line in lines] == [
        "avatars:typo",
        "aws:region",
        "avatars:sizes",
        "avatars:maxPixels",
        "avatars:webhookUrl",
    ]
    assert created == []


def test_dev_configuration_is_as_pulumi_writes_it() -> None:
    """The CLI rewrites the file and quotes values that are not strings, for example in `pulumi stack init`."""
    values = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())["config"]
    assert {type(value) for value in values.values()} == {str, list}


def test_configuration_error_is_a_run_error() -> None:
    assert issubclass(ConfigurationError, pulumi.RunError)


def test_webhook_secret_is_loaded_and_not_shown() -> None:
    url = "https://hooks.example.com/t0ken"
    assert isinstance(load({"webhookUrl": url}, ("avatars:webhookUrl",)).service.webhook_url, pulumi.Output)
    (line,) = load_errors({"webhookUrl": "http://hooks.example.com/t0ken"}, ("avatars:webhookUrl",))
    assert line == "avatars:webhookUrl is set (and secret); allowed is an https:// URL"


DATABASE_URL = "postgresql://app:s3cret@db.example.com/app"
SUBNETS = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
GROUPS = ["sg-0123456789abcdef0"]
SECRET_KEYS = ("avatars:databaseUrl",)


def test_load_reserved_concurrency() -> None:
    reserved = {"authorize": 0, "process_avatar": 20, "profile": 10}
    config = load({"reservedConcurrency": reserved, "databaseUrl": DATABASE_URL}, SECRET_KEYS)
    assert config.service.reserved_concurrency == reserved


def test_load_database_url_with_vpc() -> None:
    network = {"databaseSubnetIds": SUBNETS, "databaseSecurityGroupIds": GROUPS}
    config = load({"databaseUrl": DATABASE_URL, **network}, SECRET_KEYS)
    assert isinstance(config.service.database_url, pulumi.Output)
    assert config.service.database_subnet_ids == tuple(SUBNETS)
    assert config.service.database_security_group_ids == tuple(GROUPS)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {"database": "aurora", "databaseUrl": DATABASE_URL},
            ["avatars:database is 'aurora'; it cannot be combined with avatars:databaseUrl"],
        ),
        (
            {"databaseUrl": f"{DATABASE_URL}?sslmode=disable"},
            ["avatars:databaseUrl is set (and secret); allowed is a postgresql:// URL with"],
        ),
        (
            {"databaseUrl": DATABASE_URL, "databaseSubnetIds": SUBNETS},
            [f"avatars:databaseSubnetIds is '{json.dumps(SUBNETS)}'; it requires avatars:databaseSecurityGroupIds"],
        ),
        (
            {"databaseUrl": DATABASE_URL, "databaseSecurityGroupIds": GROUPS},
            [f"avatars:databaseSecurityGroupIds is '{json.dumps(GROUPS)}'; it requires avatars:databaseSubnetIds"],
        ),
        (
            {"databaseUrl": DATABASE_URL, "databaseSubnetIds": SUBNETS[:1], "databaseSecurityGroupIds": GROUPS},
            [f"avatars:databaseSubnetIds is '{json.dumps(SUBNETS[:1])}'; allowed is an empty list, or two or more"],
        ),
        (
            {"databaseUrl": DATABASE_URL, "databaseSubnetIds": SUBNETS, "databaseSecurityGroupIds": ["default"]},
            ["avatars:databaseSecurityGroupIds is '[\"default\"]'; allowed is an empty list, or different security"],
        ),
        (
            {"database": "aurora", "databaseSubnetIds": SUBNETS, "databaseSecurityGroupIds": GROUPS},
            [
                f"avatars:databaseSubnetIds is '{json.dumps(SUBNETS)}'; it requires avatars:databaseUrl",
                f"avatars:databaseSecurityGroupIds is '{json.dumps(GROUPS)}'; it requires avatars:databaseUrl",
            ],
        ),
    ],
)
def test_load_conflicting_keys_is_an_error(settings: dict[str, Any], expected: list[str]) -> None:
    lines = load_errors(settings, SECRET_KEYS)
    assert len(lines) == len(expected)
    assert all(line.startswith(start) for line, start in zip(lines, expected, strict=True))


@pytest.mark.parametrize("key", ["databaseUrl", "databaseURL", "database", "webhookUrl", "domain"])
@pytest.mark.parametrize(
    "value",
    [
        DATABASE_URL,
        f"{DATABASE_URL}?sslmode=disable",
        "mysql://app:s3cret@db.example.com",
        "postgresql://app:s3cret/x@db.example.com/app",
    ],
)
@pytest.mark.parametrize("secret_keys", [(), SECRET_KEYS])
def test_error_never_shows_a_password(key: str, value: str, secret_keys: tuple[str, ...]) -> None:
    if key == "databaseUrl" and value == DATABASE_URL and secret_keys:
        assert load({key: value}, secret_keys).service.database_url is not None
    else:
        assert "s3cret" not in "\n".join(load_errors({key: value}, secret_keys))


def test_database_url_invalid_and_not_secret_gives_two_errors() -> None:
    first, second = load_errors({"databaseUrl": "app:s3cret@db.example.com/app"})
    assert first.startswith("avatars:databaseUrl is set (and not shown); allowed is a postgresql:// URL")
    assert second.startswith("avatars:databaseUrl is set (and not shown); it must be stored as a secret")


def test_load_ignores_other_namespaces() -> None:
    assert load({"pulumi:tags": "{}", "other:key": "x"}) == load()
