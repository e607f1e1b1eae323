"""The items of a subject in the limits table: the uploads that were counted, and the block."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from botocore.client import BaseClient

from functions.shared import user_block


class Limits:
    """All methods raise ClientError if DynamoDB refused a request, and BotoCoreError if there was no response."""

    def __init__(self, client: BaseClient, table: str) -> None:
        self._dynamodb = client
        self._table = table

    def block(self, subject: str, end: datetime) -> datetime:
        """Block the subject's uploads until `end`, or longer if they are blocked longer; gives when the block ends."""
        return user_block.extend(self._dynamodb, self._table, subject, end)

    def count(self, subject: str) -> int:
        """Count the items but the block."""
        return len(list(self._list(subject)))

    def delete(self, subject: str) -> int:
        """Delete the items but the block, and return how many there were."""
        periods = list(self._list(subject))
        for period in periods:
            key = {"subject": {"S": subject}, "period": {"S": period}}
            self._dynamodb.delete_item(TableName=self._table, Key=key)
        return len(periods)

    def _list(self, subject: str) -> Iterator[str]:
        """Yield the periods of the items but the block."""
        start: dict[str, Any] = {}
        while True:
            page = self._dynamodb.query(
                TableName=self._table,
                KeyConditionExpression="subject = :subject",
                ExpressionAttributeValues={":subject": {"S": subject}},
                ConsistentRead=True,
                **start,
            )
            for item in page["Items"]:
                if item["period"]["S"] != user_block.PERIOD:
                    yield item["period"]["S"]
            if "LastEvaluatedKey" not in page:
                return
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
