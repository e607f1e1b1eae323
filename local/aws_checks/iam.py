"""Judges IAM policy statements, as far as this project's policies use the language.

The rules are those of
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html: an explicit Deny wins, then
an Allow, and nothing said is a refusal. What is not understood here is refused when the policy is read, never skipped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class UnsupportedPolicyError(Exception):
    """A policy uses a part of the language that a local run cannot judge."""


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
    """Reads a policy document. Raises UnsupportedPolicyError naming what is not understood."""
    return [_parse_statement(statement) for statement in _listed(policy["Statement"])]


def evaluate(
    statements: Sequence[Statement],
    action: str,
    resource: str,
    context: Mapping[str, str],
    principal: str | None = None,
) -> bool:
    """Whether `action` on `resource` is allowed.

    `context` holds condition keys in lower case. `principal` is given for a resource policy, whose statements name
    whom they speak of.
    """
    applying = [s for s in statements if _applies(s, action, resource, context, principal)]
    return any(s.effect == "Allow" for s in applying) and not any(s.effect == "Deny" for s in applying)


def _parse_statement(statement: Mapping[str, Any]) -> Statement:
    unknown = set(statement) - {"Sid", "Effect", "Action", "Resource", "Principal", "Condition"}
    if unknown:
        raise UnsupportedPolicyError(f"a local run cannot judge {sorted(unknown)} in {statement}")
    conditions = [
        Condition(operator, key.lower(), tuple(_listed(values)))
        for operator, tests in statement.get("Condition", {}).items()
        for key, values in tests.items()
    ]
    for condition in conditions:
        if condition.operator not in _OPERATORS:
            raise UnsupportedPolicyError(
                f"a local run cannot judge the condition operator {condition.operator}; it knows {sorted(_OPERATORS)}"
            )
    return Statement(
        effect=statement["Effect"],
        actions=tuple(_listed(statement["Action"])),
        resources=tuple(_listed(statement["Resource"])),
        principals=_parse_principals(statement.get("Principal", {})),
        conditions=tuple(conditions),
    )


def _parse_principals(principal: Any) -> tuple[str, ...]:
    if principal == "*":
        return ("*",)
    return tuple(
        "*" if name == "*" else f"{kind}:{name}" for kind, names in principal.items() for name in _listed(names)
    )


def _applies(
    statement: Statement, action: str, resource: str, context: Mapping[str, str], principal: str | None
) -> bool:
    if principal is not None and not {"*", principal} & set(statement.principals):
        return False
    return (
        any(matches(pattern.lower(), action.lower()) for pattern in statement.actions)
        and any(matches(pattern, resource) for pattern in statement.resources)
        and all(_holds(condition, context) for condition in statement.conditions)
    )


def _holds(condition: Condition, context: Mapping[str, str]) -> bool:
    value = context.get(condition.key)
    # A key that the request lacks never matches: "Condition keys" in the IAM reference.
    return value is not None and any(_OPERATORS[condition.operator](wanted, value) for wanted in condition.values)


def matches(pattern: str, value: str) -> bool:
    """Whether a value fits a pattern with the wildcards of policies: `*` any text, `?` any character."""
    expression = "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern)
    return re.fullmatch(expression, value, re.DOTALL) is not None


def _equals(wanted: str, value: str) -> bool:
    return wanted == value


def _same_truth(wanted: str, value: str) -> bool:
    return str(wanted).lower() == value.lower()


_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": _equals,
    "StringLike": matches,
    "ArnEquals": matches,  # the two ARN operators behave the same, wildcards included
    "ArnLike": matches,
    "Bool": _same_truth,
}


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
