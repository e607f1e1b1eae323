"""The stack's configuration, read once and judged whole."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

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
# The program makes its AWS provider itself, so that every resource carries the stack's tags. A setting under aws: that
# it does not hand on would be ignored in silence, and the stack go to another account than the one meant.
_AWS_KEYS = ("region", "profile", "allowedAccountIds", "defaultTags")
# A password in a URL: under a key with a slip in its name, too, it must not get into a log.
_CREDENTIALS = re.compile(r"://.*@")


class ConfigurationError(pulumi.RunError):
    """One line for each mistake: the key, the value given, what is allowed. Pulumi prints it without a stack trace."""


@dataclass(frozen=True, kw_only=True)
class StackConfig:
    """Every setting of a stack; Pulumi.yaml says what each is for and holds the defaults."""

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
    """An Output, and kept secret in the state, if the configuration keeps it secret."""
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
    def load(cls) -> StackConfig:
        """Reads the configuration of the running stack. Raises ConfigurationError with all mistakes at once."""
        mistakes: list[str] = []
        aws = _Namespace("aws", _AWS_KEYS, mistakes)
        own = _Namespace(pulumi.get_project(), _KEYS, mistakes)
        config = cls(
            region=aws.text("region", validation.REGION, required=True) or "",
            profile=aws.text("profile", _ANY_TEXT),
            allowed_account_ids=tuple(aws.json("allowedAccountIds", _ACCOUNT_IDS, unset=[])),
            tags={
                "Project": pulumi.get_project(),
                "Stack": pulumi.get_stack(),
                **aws.json("defaultTags", _TAGS, unset={"tags": {}})["tags"],
            },
            allowed_origins=tuple(own.json("allowedOrigins", validation.each(validation.ORIGIN))),
            domain=own.text("domain", validation.DOMAIN),
            hosted_zone_id=own.text("hostedZoneId", validation.HOSTED_ZONE_ID),
            user_pool_id=own.text("userPoolId", validation.USER_POOL_ID),
            user_pool_client_id=own.text("userPoolClientId", validation.USER_POOL_CLIENT_ID),
            uploads_bucket_name=own.text("uploadsBucketName", validation.BUCKET_NAME),
            assets_bucket_name=own.text("assetsBucketName", validation.BUCKET_NAME),
            sizes=tuple(own.json("sizes", validation.SIZES)),
            max_upload_bytes=own.number("maxUploadBytes", validation.MAX_UPLOAD_BYTES),
            max_pixels=own.number("maxPixels", validation.MAX_PIXELS),
            originals_days=own.number("originalsDays", validation.ORIGINALS_DAYS),
            webhook_url=own.perhaps_secret_text("webhookUrl", validation.HTTPS_URL),
            self_sign_up=own.flag("selfSignUp"),
            protect_data=own.flag("protectData"),
            log_retention_days=own.number("logRetentionDays", validation.LOG_RETENTION_DAYS),
            authorizer_cache_seconds=own.number("authorizerCacheSeconds", validation.AUTHORIZER_CACHE_SECONDS),
            throttle_rate=own.number("throttleRate", validation.THROTTLE_RATE),
            throttle_burst=own.number("throttleBurst", validation.THROTTLE_BURST),
            max_concurrency=own.number("maxConcurrency", validation.MAX_CONCURRENCY),
            web_acl_arn=own.text("webAclArn", validation.WEB_ACL_ARN),
            alarm_topic_arn=own.text("alarmTopicArn", validation.TOPIC_ARN),
            database_url=own.secret_text("databaseUrl", validation.DATABASE_URL),
            database=own.text("database", validation.DATABASE),
            database_subnet_ids=tuple(own.json("databaseSubnetIds", validation.SUBNET_IDS)),
            database_security_group_ids=tuple(own.json("databaseSecurityGroupIds", validation.SECURITY_GROUP_IDS)),
        )
        config._judge_together(own)
        if mistakes:
            raise ConfigurationError(_summary(mistakes))
        return config

    def _judge_together(self, own: _Namespace) -> None:
        pool, client = "userPoolId", "userPoolClientId"
        for given, other in ((pool, client), (client, pool)):
            if own.is_set(given) and not own.is_set(other):
                own.refuse(given, f"it needs {own.name}:{other} beside it")
        if self.self_sign_up and own.is_set(pool):
            own.refuse("selfSignUp", f"{own.name}:{pool} names a pool that decides this itself")
        if own.is_set("hostedZoneId") and not own.is_set("domain"):
            own.refuse("hostedZoneId", f"it needs {own.name}:domain beside it")
        self._judge_database(own)
        if self.uploads_bucket_name is not None and self.uploads_bucket_name == self.assets_bucket_name:
            own.refuse("assetsBucketName", f"that is {own.name}:uploadsBucketName, and these are two buckets")

    def _judge_database(self, own: _Namespace) -> None:
        url, subnets, groups = "databaseUrl", "databaseSubnetIds", "databaseSecurityGroupIds"
        if own.is_set("database") and own.is_set(url):
            own.refuse("database", f"{own.name}:{url} names one already")
        for key, other in ((subnets, groups), (groups, subnets)):
            if own.has_items(key) and not own.is_set(url):
                own.refuse(key, f"it needs {own.name}:{url} beside it")
            elif own.has_items(key) and not own.has_items(other):
                own.refuse(key, f"it needs {own.name}:{other} beside it")


class _Namespace:
    """The settings under one name, such as `avatars:`. What is wrong with them goes to `mistakes`."""

    def __init__(self, name: str, keys: tuple[str, ...], mistakes: list[str]) -> None:
        self.name = name
        self._mistakes = mistakes
        for key in sorted(self._given_keys() - set(keys)):
            self.refuse(key, _nearest(key, keys, name))

    def is_set(self, key: str) -> bool:
        return bool(self._raw(key))

    def has_items(self, key: str) -> bool:
        """Whether a list is set and not empty."""
        return self.is_set(key) and self._raw(key) != "[]"

    def refuse(self, key: str, why: str, *, confidential: bool = False) -> None:
        given = f"is {self._shown(key, confidential)}" if self.is_set(key) else "has no value"
        self._mistakes.append(f"{self._full(key)} {given}; {why}")

    def text(self, key: str, rule: Rule, *, required: bool = False) -> str | None:
        if not self.is_set(key) and not required:
            return None
        return self._read(key, str, rule, default=None)

    def perhaps_secret_text(self, key: str, rule: Rule) -> pulumi.Input[str] | None:
        value = self.text(key, rule)
        if value is not None and self._is_secret(key):
            return pulumi.Output.secret(value)
        return value

    def secret_text(self, key: str, rule: Rule) -> pulumi.Output[str] | None:
        """Refused, however good it is, when it is not stored as a secret."""
        value = self.text(key, rule)
        if self.is_set(key) and not self._is_secret(key):
            why = f"it has to be stored as a secret: pulumi config set --secret {key}"
            self.refuse(key, why, confidential=rule.confidential)
        return None if value is None else pulumi.Output.secret(value)

    def number(self, key: str, rule: Rule) -> int:
        return self._read(key, _whole_number, rule, default=0)

    def flag(self, key: str) -> bool:
        return self._read(key, _true_or_false, _FLAG, default=True)

    def json(self, key: str, rule: Rule, unset: Any = None) -> Any:
        """`unset` stands for a key without a value; without it a value is required."""
        if not self.is_set(key) and unset is not None:
            return unset
        return self._read(key, json.loads, rule, default=unset or [])

    def _read(self, key: str, parse: Callable[[str], Any], rule: Rule, default: Any) -> Any:
        """The value as the rule wants it; `default` where it is refused, only to go on and find the next mistake."""
        try:
            value = parse(self._raw(key) or "")
        except ValueError:
            value = None
        if value is None or not rule.accepts(value):
            self.refuse(key, f"allowed is {rule.allowed}", confidential=rule.confidential)
            return default
        return value

    def _shown(self, key: str, confidential: bool) -> str:
        value = self._raw(key) or ""
        if self._is_secret(key):
            return "set (and secret)"
        return validation.NOT_SHOWN if confidential or _CREDENTIALS.search(value) else repr(value)

    def _is_secret(self, key: str) -> bool:
        return engine_config.is_config_secret(self._full(key))

    def _given_keys(self) -> set[str]:
        """Pulumi's own Config answers for one key at a time and cannot say which there are."""
        given = {**engine_config.get_config_env(), **engine_config.CONFIG.get()}
        prefix = self._full("")
        return {key.removeprefix(prefix) for key in given if key.startswith(prefix)}

    def _raw(self, key: str) -> str | None:
        return engine_config.get_config(self._full(key))

    def _full(self, key: str) -> str:
        return f"{self.name}:{key}"


def _nearest(key: str, keys: tuple[str, ...], namespace: str) -> str:
    by_lower_case = {known.lower(): known for known in keys}
    near = difflib.get_close_matches(key.lower(), by_lower_case, n=1)
    if near:
        return f"there is no such key, did you mean {namespace}:{by_lower_case[near[0]]}?"
    return f"there is no such key, only {', '.join(keys)}"


def _summary(mistakes: list[str]) -> str:
    count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
    lines = "\n".join(f"  {mistake}" for mistake in mistakes)
    return f"The configuration of stack {pulumi.get_stack()} has {count}, and nothing was made:\n{lines}"


def _whole_number(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]+", text):
        raise ValueError(text)
    return int(text)


def _true_or_false(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(text)
    return text == "true"


def _is_tags(value: object) -> bool:
    return isinstance(value, dict) and set(value) == {"tags"} and _is_text_map(value["tags"])


def _is_text_map(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())


_ANY_TEXT = Rule("a text", lambda value: isinstance(value, str))
_FLAG = Rule("true or false", lambda value: isinstance(value, bool))
_ACCOUNT_IDS = validation.each(validation.ACCOUNT_ID)
_TAGS = Rule('tags such as {"tags": {"Team": "profiles"}}', _is_tags)
