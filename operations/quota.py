"""How much of the quota of uploads a user has used, and a new hour for the user."""

from __future__ import annotations

from datetime import UTC, datetime

from functions.shared import storage_keys
from operations.operated_stack import OperatedStack


def count_uploads(stack: OperatedStack, subject: str) -> int:
    """Returns how many files of a user were counted in this hour.

    Raises:
        ValueError: `subject` cannot be a user's ID.
    """
    table = stack.get_output("limitsTable")
    item = stack.dynamodb.get_item(TableName=table, Key=_key(subject), ConsistentRead=True).get("Item", {})
    return len(item["posts"]["BS"]) if "posts" in item else 0


def reset(stack: OperatedStack, subject: str) -> None:
    """Begins the hour of a user anew.

    Raises:
        ValueError: `subject` cannot be a user's ID.
    """
    stack.dynamodb.delete_item(TableName=stack.get_output("limitsTable"), Key=_key(subject))


def _key(subject: str) -> dict[str, dict[str, str]]:
    """Returns the key of the item in which functions/process_avatar/quota.py counts."""
    storage_keys.incoming_prefix(subject)
    return {"subject": {"S": subject}, "period": {"S": f"hour#{datetime.now(UTC):%Y-%m-%dT%H}"}}
