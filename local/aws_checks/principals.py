"""The principals of a local run: their access keys and their IAM policies."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from local.aws_checks.iam import Statement, evaluate, parse_policy


@dataclass
class Principal:
    """The owner of an access key: the role of a function, or the operator, whose `statements` are None: all allowed."""

    name: str
    access_key_id: str
    secret_access_key: str
    session_token: str | None
    statements: Sequence[Statement] | None
    used: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    denied: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])

    def is_allowed(self, action: str, resource: str, context: Mapping[str, str]) -> bool:
        """Returns whether the policies allow `action` on `resource`. Records the request in `used` or `denied`."""
        if self.statements is None:
            return True
        allowed = evaluate(self.statements, action, resource, context)
        (self.used if allowed else self.denied).add((action, resource))
        return allowed

    def to_environment(self) -> dict[str, str]:
        """Returns the environment variables in which Lambda passes the credentials of the execution role."""
        credentials = {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
        }
        if self.session_token:
            credentials["AWS_SESSION_TOKEN"] = self.session_token
        return credentials


class Principals:
    """All principals of one local run, by access key ID."""

    def __init__(self) -> None:
        self._by_key: dict[str, Principal] = {}
        self.operator = self._add("operator", "AKIA", None, None)

    def add_role(self, name: str, policies: Sequence[Mapping[str, Any]]) -> Principal:
        """Creates temporary credentials for a role.

        Raises:
            UnsupportedPolicyError: A policy cannot be evaluated in a local run.
        """
        statements = [statement for policy in policies for statement in parse_policy(policy)]
        return self._add(name, "ASIA", secrets.token_urlsafe(48), statements)

    def find(self, access_key_id: str) -> Principal | None:
        return self._by_key.get(access_key_id)

    def _add(self, name: str, prefix: str, token: str | None, statements: Sequence[Statement] | None) -> Principal:
        key = prefix + secrets.token_hex(8).upper()
        principal = Principal(name, key, secrets.token_urlsafe(30), token, statements)
        self._by_key[key] = principal
        return principal
