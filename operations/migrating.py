"""Says the revision of a stack's database, and changes it with the migrations that are deployed."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from operations.operated_stack import OperatedStack, OperationError

_FUNCTION_SECONDS = 300  # the timeout of migrate_database


def run(stack: OperatedStack, options: argparse.Namespace) -> int:
    if "migrateFunction" not in stack.outputs:
        raise OperationError("the outputs have no migrateFunction: the stack has no database")
    if options.apply and not options.target:
        raise OperationError("APPLY=1 needs TARGET: head, -1 or a revision")
    function = stack.get_output("migrateFunction")
    state = stack.invoke(function, {}, _FUNCTION_SECONDS)
    revision, known = state["revision"], state["known"]
    print(f"revision {revision or 'none'}; deployed migrations: {', '.join(known)}")
    if not options.target:
        return 0
    target = _find_target(options.target, revision, known)
    if target == revision:
        print("nothing to do")
    elif options.apply:
        result = stack.invoke(function, {"target": options.target}, _FUNCTION_SECONDS)
        print(f"migrated from {result['from'] or 'none'} to {result['to'] or 'none'}")
    else:
        print(f"would migrate from {revision or 'none'} to {target or 'none'}")
        print("This was a dry run: nothing has changed. APPLY=1 migrates.")
    return 0


def _find_target(target: str, revision: str | None, known: Sequence[str]) -> str | None:
    """Returns the revision to which the function migrates; None if that rolls back all migrations."""
    revisions = [None, *known]
    if revision not in revisions:
        raise OperationError(f"the database has revision {revision}, which the deployed function does not know")
    if target == "head":
        return known[-1]
    if target in known:
        return target
    if target == "-1" and revision:
        return revisions[revisions.index(revision) - 1]
    allowed = ["head", *(["-1"] if revision else []), *known]
    raise OperationError(f"TARGET is {target}; allowed are {', '.join(allowed)}")
