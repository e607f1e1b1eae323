"""Erases a user."""

from __future__ import annotations

from typing import Any

from operations.operated_stack import OperatedStack

_FUNCTION_SECONDS = 300  # the timeout of erase_user


def erase(stack: OperatedStack, subject: str) -> dict[str, Any]:
    """Invokes erase_user, which takes up to five minutes. Returns its report.

    Raises:
        OperationError: The function failed, for example because `subject` cannot be a user's ID.
    """
    return stack.invoke(stack.get_output("eraseFunction"), {"subject": subject}, _FUNCTION_SECONDS)
