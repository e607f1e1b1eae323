"""`make revision`; tests/local/test_game_day.py has it in a whole stack."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from operations.migrating import run
from operations.operated_stack import OperatedStack, OperationError


@dataclass
class Stack:
    """A stack whose database has a revision, and whose function knows three migrations."""

    revision: str | None
    outputs: Mapping[str, str] = field(default_factory=lambda: {"migrateFunction": "migrate"})
    migrated: list[str] = field(default_factory=list[str])

    def get_output(self, name: str) -> str:
        return self.outputs[name]

    def invoke(self, function: str, event: Mapping[str, str], seconds: int) -> Any:
        assert (function, seconds) == ("migrate", 300)
        if not event:
            return {"revision": self.revision, "known": ["0001", "0002", "0003"]}
        self.migrated.append(event["target"])
        return {"from": self.revision, "to": None}


def run_on(stack: Stack, target: str | None = None, *, is_applied: bool = False) -> int:
    return run(cast("OperatedStack", stack), argparse.Namespace(target=target, apply=is_applied))


@pytest.mark.parametrize(
    ("revision", "target", "to"),
    [
        ("0002", "head", "0003"),
        ("0002", "-1", "0001"),
        ("0001", "-1", "none"),
        ("0003", "0001", "0001"),
        (None, "0002", "0002"),
    ],
)
def test_dry_run_says_what_is_migrated(
    capsys: pytest.CaptureFixture[str], revision: str | None, target: str, to: str
) -> None:
    stack = Stack(revision)
    assert run_on(stack, target) == 0
    assert stack.migrated == []
    assert capsys.readouterr().out.splitlines() == [
        f"revision {revision or 'none'}; deployed migrations: 0001, 0002, 0003",
        f"would migrate from {revision or 'none'} to {to}",
        "This was a dry run: nothing has changed. APPLY=1 migrates.",
    ]
    assert run_on(stack, target, is_applied=True) == 0
    assert stack.migrated == [target]


@pytest.mark.parametrize("target", ["head", "0003"])
def test_revision_that_is_there_is_not_migrated(capsys: pytest.CaptureFixture[str], target: str) -> None:
    stack = Stack("0003")
    assert run_on(stack, target, is_applied=True) == 0
    assert capsys.readouterr().out.endswith("\nnothing to do\n")
    assert stack.migrated == []


@pytest.mark.parametrize(
    ("revision", "target", "message"),
    [
        ("0002", "0009", "TARGET is 0009; allowed are head, -1, 0001, 0002, 0003"),
        ("0002", "-2", "TARGET is -2; allowed are head, -1, 0001, 0002, 0003"),
        (None, "-1", "TARGET is -1; allowed are head, 0001, 0002, 0003"),
        ("0009", "-1", "the database has revision 0009, which the deployed function does not know"),
        ("0002", None, "APPLY=1 needs TARGET: head, -1 or a revision"),
    ],
)
def test_impossible_target_is_an_error(revision: str | None, target: str | None, message: str) -> None:
    stack = Stack(revision)
    with pytest.raises(OperationError) as raised:
        run_on(stack, target, is_applied=True)
    assert (str(raised.value), stack.migrated) == (message, [])


def test_stack_without_database_is_an_error() -> None:
    with pytest.raises(OperationError, match="the outputs have no migrateFunction: the stack has no database"):
        run_on(Stack(None, outputs={}))
