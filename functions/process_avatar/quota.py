"""The quota of uploads: how many files of one user are decoded in an hour.

An hour of a user is one item of the limits table, with the set of the posts that were counted. One conditional update
counts a post: it is atomic, and repeating it changes nothing. The hour and the post are those of the S3 event, which
are the same in every delivery of its message.

The hour is a clock hour in UTC. Around its end, a user can upload up to twice the quota within minutes, but never more
than the quota in one clock hour.
"""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from botocore.client import BaseClient

from functions.process_avatar.s3_events import Created

_HOUR = timedelta(hours=1)
# A message must find the item that an earlier delivery wrote. 14 days are SQS's maximum retention:
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
_KEPT = timedelta(days=14)
# An item with 60 posts has some 600 bytes. A write is billed for each KB:
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
_POST_BYTES = 8


class QuotaExceededError(Exception):
    """The user has used up the quota of this hour."""

    reason: Literal["too_many_uploads"] = "too_many_uploads"


@dataclass(frozen=True)
class Quota:
    dynamodb: BaseClient
    table: str
    uploads_per_hour: int

    def count(self, subject: str, created: Created) -> None:
        """Count a posted file, unless it has been counted.

        Raises:
            QuotaExceededError: It was not counted, because the quota of its hour is used up.
            ClientError: DynamoDB refused the request.
            BotoCoreError: there was no response.
        """
        begin = created.at.replace(minute=0, second=0, microsecond=0)
        # Sequencers are comparable for the same key only.
        post = hashlib.sha256(f"{created.key}#{created.sequencer}".encode()).digest()[:_POST_BYTES]
        try:
            self.dynamodb.update_item(
                TableName=self.table,
                Key={"subject": {"S": subject}, "period": {"S": f"hour#{begin:%Y-%m-%dT%H}"}},
                UpdateExpression="ADD posts :posts SET expires_at = :expires_at",
                ConditionExpression="attribute_not_exists(posts) OR contains(posts, :post) OR size(posts) < :limit",
                ExpressionAttributeValues={
                    ":posts": {"BS": [post]},
                    ":post": {"B": post},
                    ":limit": {"N": str(self.uploads_per_hour)},
                    ":expires_at": {"N": str(int((begin + _HOUR + _KEPT).timestamp()))},
                },
            )
        except self.dynamodb.exceptions.ConditionalCheckFailedException as error:
            raise QuotaExceededError(f"{self.uploads_per_hour} uploads in the hour of {begin}") from error
