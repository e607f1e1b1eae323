"""Takes down the avatar of a user, and blocks the user's uploads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from functions.shared import storage_keys, user_block
from functions.shared.avatar_deletion import AvatarDeletion
from operations.operated_stack import OperatedStack, OperationError

MAX_DAYS = 3650


def block(stack: OperatedStack, subject: str, days: int) -> datetime:
    """Rejects what the user uploads from now on, also with a form from before. Returns the end of the block.

    An existing block is replaced, also by a shorter one. The current avatar stays.

    Raises:
        OperationError: `days` is not 1 to 3650.
        ValueError: `subject` cannot be a user's ID.
    """
    if not 1 <= days <= MAX_DAYS:
        raise OperationError(f"BLOCK is {days} days; allowed is 1 to {MAX_DAYS}")
    storage_keys.incoming_prefix(subject)
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)
    user_block.put(stack.dynamodb, stack.get_output("limitsTable"), subject, end)
    return end


def unblock(stack: OperatedStack, subject: str) -> datetime | None:
    """Ends the block of a user. Returns when it would have ended, None if there was none."""
    table = stack.get_output("limitsTable")
    end = user_block.read_end(stack.dynamodb, table, subject)
    user_block.delete(stack.dynamodb, table, subject)
    return end


def take_down(stack: OperatedStack, subject: str, block_days: int | None) -> datetime | None:
    """Deletes the avatar of a user as DELETE /avatars/me does. Returns the end of the block, None without `block_days`.

    The block comes first: an upload that did not find it has an older form than the deletion, and is superseded by it.

    Raises:
        OperationError: `block_days` is not 1 to 3650.
        ValueError: `subject` cannot be a user's ID.
    """
    end = None if block_days is None else block(stack, subject, block_days)
    avatars = AvatarDeletion(
        stack.s3, uploads_bucket=stack.get_output("uploadsBucket"), assets_bucket=stack.get_output("assetsBucket")
    )
    avatars.delete(subject)
    return end
