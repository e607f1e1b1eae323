"""The stack's configuration, read and validated as a whole."""

import difflib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import pulumi
from pulumi.runtime import config as engine_config

from components.blocks import validation
from components.blocks.validation import Rule

_KEYS = (
    *("allowedOrigins", "domain", "hostedZoneId", "userPoolId", "userPoolClientId", "selfSignUp"),
    *("uploadsBucketName", "assetsBucketName", "sizes", "maxUploadBytes", "maxPixels", "originalsDays"),
    *("webhookUrl", "protectData", "logRetentionDays", "authorizerCacheSeconds"),
    *("throttleRate", "throttleBurst", "maxConcurrency", "webAclArn", "alarmTopicArn"),
    *("databaseUrl", "database", "databaseSubnetIds", "databaseSecurityGroupIds"),
)
# The program creates its own AWS provider, for the default tags, and passes on these settings. Any other aws: setting
# would be ignored silently, and could deploy the stack to the wrong account.
_AWS_KEYS = ("region", "profile", "allowedAccountIds", "defaultTags")
# A URL with a password must not be printed under a misspelled key either.
_CREDENTIALS = re.compile(r"://.*@")


class ConfigurationError(pulumi.RunError):
    """Invalid configuration, one line per error: key, value, what is allowed.

    Pulumi prints a RunError without a stack trace.
    """


@dataclass(frozen=True, kw_only=True)
class StackConfig:
    """All settings of a stack. Pulumi.yaml has their descriptions and defaults."""

    region: str
    profile: str | None
    allowed_account_ids: tuple[str, ...]
    tags: Mapping[str, str]
    allowed_origins: tuple[str, ...]
    domain: str | None
    hosted_zone_id: str | None
    user_pool_id: str | None
    user_pool_client_id: str | None
    uploads_bucket_name: str | None
    assets_bucket_name: str | None
    sizes: tuple[int, ...]
    max_upload_bytes: int
    max_pixels: int
    originals_days: int
    webhook_url: pulumi.Input[str] | None
    """A secret Output if it is a secret in the configuration."""
    self_sign_up: bool
    protect_data: bool
    log_retention_days: int
    authorizer_cache_seconds: int
    throttle_rate: int
    throttle_burst: int
    max_concurrency: int
    web_acl_arn: str | None
    alarm_topic_arn: str | None
    database_url: pulumi.Output[str] | None
    database: str | None
    database_subnet_ids: tuple[str, ...]
    database_security_group_ids: tuple[str, ...]

    @classmethod
    def load(cls) -> Self:
        """Reads the configuration of the running stack.

        Raises:
            ConfigurationError: Settings are missing or invalid; the message lists all of them.
        """
        errors: list[str] = []
        aws = _Namespace("aws", _AWS_KEYS, errors)
        own = _Namespace(pulumi.get_project(), _KEYS, errors)
        config = cls(
            region=aws.get_text("region", validation.REGION, required=True) or "",
            profile=aws.get_text("profile", _ANY_TEXT),
            allowed_account_ids=tuple(aws.get_json("allowedAccountIds", _ACCOUNT_IDS, unset=[])),
            tags={
                "Project": pulumi.get_project(),
                "Stack": pulumi.get_stack(),
                **aws.get_json("defaultTags", _TAGS, unset={"tags": {}})["tags"],
            },
            allowed_origins=tuple(own.get_json("allowedOrigins", validation.list_of(validation.ORIGIN))),
            domain=own.get_text("domain", validation.DOMAIN),
            hosted_zone_id=own.get_text("hostedZoneId", validation.HOSTED_ZONE_ID),
            user_pool_id=own.get_text("userPoolId", validation.USER_POOL_ID),
            user_pool_client_id=own.get_text("userPoolClientId", validation.USER_POOL_CLIENT_ID),
            uploads_bucket_name=own.get_text("uploadsBucketName", validation.BUCKET_NAME),
            assets_bucket_name=own.get_text("assetsBucketName", validation.BUCKET_NAME),
            sizes=tuple(own.get_json("sizes", validation.SIZES)),
            max_upload_bytes=own.get_integer("maxUploadBytes", validation.MAX_UPLOAD_BYTES),
            max_pixels=own.get_integer("maxPixels", validation.MAX_PIXELS),
            originals_days=own.get_integer("originalsDays", validation.ORIGINALS_DAYS),
            webhook_url=own.get_text_or_secret("webhookUrl", validation.HTTPS_URL),
            self_sign_up=own.get_boolean("selfSignUp"),
            protect_data=own.get_boolean("protectData"),
            log_retention_days=own.get_integer("logRetentionDays", validation.LOG_RETENTION_DAYS),
            authorizer_cache_seconds=own.get_integer("authorizerCacheSeconds", validation.AUTHORIZER_CACHE_SECONDS),
            throttle_rate=own.get_integer("throttleRate", validation.THROTTLE_RATE),
            throttle_burst=own.get_integer("throttleBurst", validation.THROTTLE_BURST),
            max_concurrency=own.get_integer("maxConcurrency", validation.MAX_CONCURRENCY),
            web_acl_arn=own.get_text("webAclArn", validation.WEB_ACL_ARN),
            alarm_topic_arn=own.get_text("alarmTopicArn", validation.TOPIC_ARN),
            database_url=own.get_secret("databaseUrl", validation.DATABASE_URL),
            database=own.get_text("database", validation.DATABASE),
            database_subnet_ids=tuple(own.get_json("databaseSubnetIds", validation.SUBNET_IDS)),
            database_security_group_ids=tuple(own.get_json("databaseSecurityGroupIds", validation.SECURITY_GROUP_IDS)),
        )
        config._validate_cross_fields(own)
        if errors:
            raise ConfigurationError(_format_errors(errors))
        return config

    def _validate_cross_fields(self, own: "_Namespace") -> None:
        pool, client = "userPoolId", "userPoolClientId"
        for key, other in ((pool, client), (client, pool)):
            if own.is_set(key):
                own.require_with(key, other)
        if self.self_sign_up and own.is_set(pool):
            own.add_error("selfSignUp", f"it applies to a pool that the stack creates, not to {own.name}:{pool}")
        if own.is_set("hostedZoneId"):
            own.require_with("hostedZoneId", "domain")
        self._validate_database(own)
        if self.uploads_bucket_name is not None and self.uploads_bucket_name == self.assets_bucket_name:
            own.add_error("assetsBucketName", f"it must differ from {own.name}:uploadsBucketName")

    def _validate_database(self, own: "_Namespace") -> None:
        url, subnets, groups = "databaseUrl", "databaseSubnetIds", "databaseSecurityGroupIds"
        if own.is_set("database") and own.is_set(url):
            own.add_error("database", f"it cannot be combined with {own.name}:{url}")
        for key, other in ((subnets, groups), (groups, subnets)):
            if own.has_items(key) and own.require_with(key, url):
                own.require_with(key, other)


class _Namespace:
    """The settings of one namespace, such as `avatars:`; validation errors are added to `errors`."""

    def __init__(self, name: str, keys: tuple[str, ...], errors: list[str]) -> None:
        self.name = name
        self._errors = errors
        for key in sorted(self._given_keys() - set(keys)):
            self.add_error(key, _suggest_key(key, keys, name))

    def is_set(self, key: str) -> bool:
        return bool(self._raw(key))

    def has_items(self, key: str) -> bool:
        """Whether a list is set and not empty."""
        return self.is_set(key) and self._raw(key) != "[]"

    def require_with(self, key: str, other: str) -> bool:
        """Returns whether `other` has a value; adds an error to `key` if not."""
        if self.has_items(other):
            return True
        self.add_error(key, f"it requires {self._full_key(other)}")
        return False

    def add_error(self, key: str, reason: str, *, is_confidential: bool = False) -> None:
        given = f"is {self._format_value(key, is_confidential)}" if self.is_set(key) else "has no value"
        self._errors.append(f"{self._full_key(key)} {given}; {reason}")

    def get_text(self, key: str, rule: Rule, *, required: bool = False) -> str | None:
        if not self.is_set(key) and not required:
            return None
        return self._get(key, str, rule, default=None)

    def get_text_or_secret(self, key: str, rule: Rule) -> pulumi.Input[str] | None:
        value = self.get_text(key, rule)
        if value is not None and self._is_secret(key):
            return pulumi.Output.secret(value)
        return value

    def get_secret(self, key: str, rule: Rule) -> pulumi.Output[str] | None:
        """Rejects a value, even a valid one, that is not stored as a secret."""
        value = self.get_text(key, rule)
        if self.is_set(key) and not self._is_secret(key):
            reason = f"it must be stored as a secret: pulumi config set --secret {key}"
            self.add_error(key, reason, is_confidential=rule.is_confidential)
        return None if value is None else pulumi.Output.secret(value)

    def get_integer(self, key: str, rule: Rule) -> int:
        return self._get(key, _parse_integer, rule, default=0)

    def get_boolean(self, key: str) -> bool:
        return self._get(key, _parse_boolean, _BOOLEAN, default=True)

    def get_json(self, key: str, rule: Rule, unset: Any = None) -> Any:
        """`unset` is the value of a key that is not set; if it is None, the key is required."""
        if not self.is_set(key) and unset is not None:
            return unset
        return self._get(key, json.loads, rule, default=unset or [])

    def _get(self, key: str, parse: Callable[[str], Any], rule: Rule, default: Any) -> Any:
        """Returns the valid value, or `default` after adding an error, so that all errors are found."""
        try:
            value = parse(self._raw(key) or "")
        except ValueError:
            value = None
        if value is None or not rule.accepts(value):
            self.add_error(key, f"allowed is {rule.allowed}", is_confidential=rule.is_confidential)
            return default
        return value

    def _format_value(self, key: str, is_confidential: bool) -> str:
        value = self._raw(key) or ""
        if self._is_secret(key):
            return "set (and secret)"
        return validation.REDACTED if is_confidential or _CREDENTIALS.search(value) else repr(value)

    def _is_secret(self, key: str) -> bool:
        return engine_config.is_config_secret(self._full_key(key))

    def _given_keys(self) -> set[str]:
        """From the SDK's internal configuration, because pulumi.Config cannot list its keys."""
        given = {**engine_config.get_config_env(), **engine_config.CONFIG.get()}
        prefix = self._full_key("")
        return {key.removeprefix(prefix) for key in given if key.startswith(prefix)}

    def _raw(self, key: str) -> str | None:
        return engine_config.get_config(self._full_key(key))

    def _full_key(self, key: str) -> str:
        return f"{self.name}:{key}"


def _suggest_key(key: str, keys: tuple[str, ...], namespace: str) -> str:
    by_lower_case = {known.lower(): known for known in keys}
    matches = difflib.get_close_matches(key.lower(), by_lower_case, n=1)
    if matches:
        return f"unknown key, did you mean {namespace}:{by_lower_case[matches[0]]}?"
    return f"unknown key, allowed are {', '.join(keys)}"


def _format_errors(errors: list[str]) -> str:
    count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
    lines = "\n".join(f"  {error}" for error in errors)
    return f"The configuration of stack {pulumi.get_stack()} has {count}; no resources were created:\n{lines}"


def _parse_integer(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]+", text):
        raise ValueError(text)
    return int(text)


def _parse_boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(text)
    return text == "true"


def _is_tags(value: object) -> bool:
    if not isinstance(value, dict) or set(value) != {"tags"}:
        return False
    tags = value["tags"]
    return isinstance(tags, dict) and all(isinstance(tag, str) for tag in tags.values())


_ANY_TEXT = Rule("a string", lambda value: isinstance(value, str))
_BOOLEAN = Rule("true or false", lambda value: isinstance(value, bool))
_ACCOUNT_IDS = validation.list_of(validation.ACCOUNT_ID)
_TAGS = Rule('tags such as {"tags": {"Team": "profiles"}}', _is_tags)
