"""Blocks of users: as long as one lasts, nothing that the user uploads is published.

A block is an item of the limits table, where process_avatar also counts the user's uploads:

    subject     the user's `sub`
    period      "block"
    until       when it ends, in seconds since the epoch
    expires_at  the same: DynamoDB deletes the item some time after
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html
"""

from datetime import UTC, datetime
from typing import Any

from botocore.client import BaseClient

PERIOD = "block"


def read_end(dynamodb: BaseClient, table: str, subject: str) -> datetime | None:
    """Return when the block of a user ends; None if there is none or it has ended.

    Raises:
        ClientError: DynamoDB refused the request.
        BotoCoreError: there was no response.
    """
    # Consistent: what a user uploads after the response to `put` must find the block.
    response = dynamodb.get_item(TableName=table, Key=_key(subject), ConsistentRead=True)
    if "Item" not in response:
        return None
    end = datetime.fromtimestamp(int(response["Item"]["until"]["N"]), UTC)
    return end if end > datetime.now(UTC) else None


def put(dynamodb: BaseClient, table: str, subject: str, end: datetime) -> None:
    """Block a user, or change the end of the block.

    Raises:
        ClientError: DynamoDB refused the request.
        BotoCoreError: there was no response.
    """
    dynamodb.put_item(TableName=table, Item=_item(subject, end))


def extend(dynamodb: BaseClient, table: str, subject: str, end: datetime) -> datetime:
    """Block a user until `end`, or longer if an existing block ends later. Returns when the block ends.

    Raises:
        ClientError: DynamoDB refused the request.
        BotoCoreError: there was no response.
    """
    item = _item(subject, end)
    try:
        # A request of an earlier call, to which there was no response, can take effect after this one.
        dynamodb.put_item(
            TableName=table,
            Item=item,
            ConditionExpression="attribute_not_exists(expires_at) OR expires_at < :end",
            ExpressionAttributeValues={":end": item["expires_at"]},
        )
    except dynamodb.exceptions.ConditionalCheckFailedException:
        # None: somebody has ended the block meanwhile.
        return read_end(dynamodb, table, subject) or extend(dynamodb, table, subject, end)
    return end


def delete(dynamodb: BaseClient, table: str, subject: str) -> None:
    """End the block of a user. Idempotent.

    Raises:
        ClientError: DynamoDB refused the request.
        BotoCoreError: there was no response.
    """
    dynamodb.delete_item(TableName=table, Key=_key(subject))


def _item(subject: str, end: datetime) -> dict[str, Any]:
    seconds = {"N": str(int(end.timestamp()))}
    return {**_key(subject), "until": seconds, "expires_at": seconds}


def _key(subject: str) -> dict[str, Any]:
    return {"subject": {"S": subject}, "period": {"S": PERIOD}}
