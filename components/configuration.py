"""The stack's configuration, read and validated as a whole."""

import dataclasses
import difflib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, cast

import pulumi
from pulumi.runtime import config as engine_config

from components.avatar_service import AvatarServiceArgs, find_conflicts
from components.blocks import validation
from components.blocks.validation import Rule

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
    """All settings of a stack."""

    region: str
    profile: str | None
    allowed_account_ids: tuple[str, ...]
    service: AvatarServiceArgs

    @classmethod
    def load(cls) -> Self:
        """Reads the configuration of the running stack.

        Raises:
            ConfigurationError: Settings are missing or invalid; the message lists all of them.
        """
        errors: list[str] = []
        aws = _Namespace("aws", _AWS_KEYS, errors)
        own = _Namespace(pulumi.get_project(), tuple(SETTINGS), errors)
        region = aws.get_text("region", validation.REGION, required=True) or ""
        profile = aws.get_text("profile", _ANY_TEXT)
        allowed_account_ids = tuple(aws.get_json("allowedAccountIds", _ACCOUNT_IDS, unset=[]))
        tags = {
            "Project": pulumi.get_project(),
            "Stack": pulumi.get_stack(),
            **aws.get_json("defaultTags", _TAGS, unset={"tags": {}})["tags"],
        }
        values = {setting.field: own.get_setting(setting) for setting in SETTINGS.values()}
        given = {
            setting.field
            for setting in SETTINGS.values()
            if own.has_items(setting.key) and values[setting.field] is not False
        }
        for field, reason, other in find_conflicts(values, given):
            own.add_error(to_key(field), f"{reason} {own.name}:{to_key(other)}")
        if errors:
            raise ConfigurationError(_format_errors(errors))
        service = AvatarServiceArgs(**values, tags=tags)
        return cls(region=region, profile=profile, allowed_account_ids=allowed_account_ids, service=service)


@dataclass(frozen=True)
class Setting:
    """A key of the stack's configuration, as a field of AvatarServiceArgs declares it."""

    key: str
    field: str
    rule: Rule
    default: Any
    """A tuple for a list, a dict for a map, None for a text without a default."""
    accepts_output: bool
    """Whether the field accepts an Output, and therefore a secret."""


def to_key(field: str) -> str:
    """Returns the configuration key of a field: max_pixels is maxPixels."""
    first, *words = field.split("_")
    return first + "".join(map(str.capitalize, words))


def _list_settings() -> dict[str, Setting]:
    rules = validation.get_rules(AvatarServiceArgs)
    settings = [
        Setting(to_key(f.name), f.name, rules[f.name], _default_of(f), f.type == pulumi.Input[str] | None)
        for f in dataclasses.fields(AvatarServiceArgs)
        if f.name in rules
    ]
    return {setting.key: setting for setting in settings}


def _default_of(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


SETTINGS = _list_settings()
"""All settings by key, in the order of their declaration."""


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
        """Whether a list or map is set and not empty."""
        return self.is_set(key) and self._raw(key) not in ("[]", "{}")

    def add_error(self, key: str, reason: str, *, is_confidential: bool = False) -> None:
        given = f"is {self._format_value(key, is_confidential)}" if self.is_set(key) else "has no value"
        self._errors.append(f"{self._full_key(key)} {given}; {reason}")

    def get_text(self, key: str, rule: Rule, *, required: bool = False) -> str | None:
        if not self.is_set(key) and not required:
            return None
        return self._get(key, str, rule, default=None)

    def get_setting(self, setting: Setting) -> Any:
        key, rule, default = setting.key, setting.rule, setting.default
        if isinstance(default, bool):
            return self._get(key, _parse_boolean, rule, default)
        if isinstance(default, int):
            return self._get(key, _parse_integer, rule, default)
        if isinstance(default, tuple):
            return tuple(self.get_json(key, rule))
        if isinstance(default, dict):
            return self._get(key, json.loads, rule, default=cast("dict[str, Any]", default))
        if isinstance(default, str):
            return self._get(key, str, rule, default)
        value = self.get_text(key, rule)
        if rule.is_confidential and self.is_set(key) and not self._is_secret(key):
            reason = f"it must be stored as a secret: pulumi config set --secret {key}"
            self.add_error(key, reason, is_confidential=True)
        is_secret = setting.accepts_output and self._is_secret(key)
        return pulumi.Output.secret(value) if value is not None and is_secret else value

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
_ACCOUNT_IDS = validation.list_of(validation.ACCOUNT_ID)
_TAGS = Rule('tags such as {"tags": {"Team": "profiles"}}', _is_tags)
