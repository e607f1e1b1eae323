"""Evaluates IAM policy statements, limited to the policy elements that this project uses.

An explicit Deny overrides an Allow, and the default is Deny:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html. An unsupported element is an
error when the policy is parsed and is never ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class UnsupportedPolicyError(Exception):
    """A policy uses an element or a condition operator that a local run cannot evaluate."""


@dataclass(frozen=True)
class Condition:
    operator: str
    key: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Statement:
    effect: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    principals: tuple[str, ...]
    """`Service:<host name>`, `AWS:<arn>` or `*`; empty in an identity policy."""
    conditions: tuple[Condition, ...]


def parse_policy(policy: Mapping[str, Any]) -> list[Statement]:
    """Parses a policy document.

    Raises:
        UnsupportedPolicyError: The policy has an unsupported element or condition operator, named in the message.
    """
    return [_parse_statement(statement) for statement in _as_list(policy["Statement"])]


def evaluate(
    statements: Sequence[Statement],
    action: str,
    resource: str,
    context: Mapping[str, str],
    principal: str | None = None,
) -> bool:
    """Returns whether the statements allow `action` on `resource`.

    `context` maps condition keys in lower case to values. `principal` is required for a resource-based policy.
    """
    applicable = [s for s in statements if _applies(s, action, resource, context, principal)]
    return any(s.effect == "Allow" for s in applicable) and not any(s.effect == "Deny" for s in applicable)


def _parse_statement(statement: Mapping[str, Any]) -> Statement:
    unknown = set(statement) - {"Sid", "Effect", "Action", "Resource", "Principal", "Condition"}
    if unknown:
        raise UnsupportedPolicyError(f"a local run cannot evaluate {sorted(unknown)} in {statement}")
    conditions = [
        Condition(operator, key.lower(), tuple(_as_list(values)))
        for operator, tests in statement.get("Condition", {}).items()
        for key, values in tests.items()
    ]
    for condition in conditions:
        if condition.operator not in (supported := {*_OPERATORS, *_NEGATED_OPERATORS}):
            raise UnsupportedPolicyError(
                f"a local run cannot evaluate the condition operator {condition.operator}, only {sorted(supported)}"
            )
    return Statement(
        effect=statement["Effect"],
        actions=tuple(_as_list(statement["Action"])),
        resources=tuple(_as_list(statement["Resource"])),
        principals=_parse_principals(statement.get("Principal", {})),
        conditions=tuple(conditions),
    )


def _parse_principals(principal: Any) -> tuple[str, ...]:
    if principal == "*":
        return ("*",)
    return tuple(
        "*" if name == "*" else f"{kind}:{name}" for kind, names in principal.items() for name in _as_list(names)
    )


def _applies(
    statement: Statement, action: str, resource: str, context: Mapping[str, str], principal: str | None
) -> bool:
    if principal is not None and not {"*", principal} & set(statement.principals):
        return False
    return (
        any(matches_pattern(pattern.lower(), action.lower()) for pattern in statement.actions)
        and any(matches_pattern(pattern, resource) for pattern in statement.resources)
        and all(_is_met(condition, context) for condition in statement.conditions)
    )


def _is_met(condition: Condition, context: Mapping[str, str]) -> bool:
    value = context.get(condition.key)
    # A condition key that is not in the request context does not match, unless the operator is negated:
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
    operator = _NEGATED_OPERATORS.get(condition.operator, condition.operator)
    is_match = value is not None and any(_OPERATORS[operator](expected, value) for expected in condition.values)
    return is_match == (operator == condition.operator)


def matches_pattern(pattern: str, value: str) -> bool:
    """Returns whether a value matches a pattern with the wildcards `*` (any text) and `?` (any character)."""
    expression = "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern)
    return re.fullmatch(expression, value, re.DOTALL) is not None


def _equals(expected: str, value: str) -> bool:
    return expected == value


def _equals_ignoring_case(expected: str, value: str) -> bool:
    return str(expected).lower() == value.lower()


_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": _equals,
    "StringLike": matches_pattern,
    "ArnEquals": matches_pattern,  # ArnEquals and ArnLike behave identically
    "ArnLike": matches_pattern,
    "Bool": _equals_ignoring_case,
}
_NEGATED_OPERATORS = {"StringNotEquals": "StringEquals"}


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
