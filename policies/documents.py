"""Statements of IAM policies.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html
"""

import fnmatch
import json
from collections.abc import Iterator, Mapping
from typing import Any

from policies.rule import Props, get

Statement = Mapping[str, Any]


def get_statements(props: Props, path: str = "policy") -> list[Statement]:
    document = get(props, path) or {}
    if isinstance(document, str):
        document = json.loads(document)
    return list_of(document.get("Statement", []))


def list_of(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def list_allowed(props: Props, path: str = "policy") -> list[Statement]:
    return [statement for statement in get_statements(props, path) if statement["Effect"] == "Allow"]


def list_actions(statement: Statement) -> list[str]:
    return list_of(statement.get("Action", []))


def list_resources(statement: Statement) -> list[str]:
    return list_of(statement.get("Resource", []))


def list_principals(statement: Statement) -> list[str]:
    """Without the kind of principal: `*`, an ARN, or the name of a service."""
    principal = statement.get("Principal", [])
    if isinstance(principal, Mapping):
        return [each for value in principal.values() for each in list_of(value)]
    return list_of(principal)


def is_public(statement: Statement) -> bool:
    """Whether everyone is allowed, without a condition."""
    return statement["Effect"] == "Allow" and "*" in list_principals(statement) and not statement.get("Condition")


def requires_tls(props: Props) -> bool:
    """Whether everyone is denied requests without TLS."""
    return any(
        statement["Effect"] == "Deny"
        and "*" in list_principals(statement)
        and get(statement, "Condition.Bool.aws:SecureTransport") in (False, "false")
        for statement in get_statements(props)
    )


def list_unrestricted(props: Props) -> Iterator[str]:
    """Yields the actions, in lower case, that are allowed for every resource and without a condition."""
    for statement in list_allowed(props):
        if "*" in list_resources(statement) and not statement.get("Condition"):
            yield from (action.lower() for action in list_actions(statement))


def list_denied(props: Props) -> set[str]:
    denying = (statement for statement in get_statements(props) if statement["Effect"] == "Deny")
    return {action.lower() for statement in denying for action in list_actions(statement)}


def allows_any(props: Props, *actions: str) -> bool:
    """Whether one of `actions`, which can be patterns, is allowed without restriction."""
    return any(
        fnmatch.fnmatchcase(action, allowed) or fnmatch.fnmatchcase(allowed, action)
        for allowed in list_unrestricted(props)
        for action in actions
    )
