"""Erases a user."""

from __future__ import annotations

import json
from typing import Any

from botocore.config import Config

from operations.operated_stack import OperatedStack, OperationError

_FUNCTION_SECONDS = 300  # the timeout of erase_user


def erase(stack: OperatedStack, subject: str) -> dict[str, Any]:
    """Invokes erase_user, which takes up to five minutes. Returns its report.

    Raises:
        OperationError: The function failed, for example because `subject` cannot be a user's ID.
    """
    # One attempt: a repeated request would wait for the same as the first one.
    config = Config(read_timeout=_FUNCTION_SECONDS + 10, retries={"total_max_attempts": 1})
    response = stack.create_client("lambda", config=config).invoke(
        FunctionName=stack.get_output("eraseFunction"), Payload=json.dumps({"subject": subject})
    )
    result = json.load(response["Payload"])
    if "FunctionError" in response:
        raise OperationError(f"{stack.get_output('eraseFunction')} failed: {result['errorMessage']}")
    return result
