"""The quota of uploads: how many files of one user are decoded in an hour.

An hour of a user is one item of the limits table, with sets of hashes:

    posts     the posts that were counted
    events    the S3 events of these posts
    finished  the posts that `claim` has counted, and whose event has not been counted yet

One conditional update counts a post: it is atomic, and repeating it changes nothing. A post is identified by its key
and ETag, which both finish_upload and the event know. Only an event tells apart several posts of the same file. Its
hour is the same in every delivery of its message.

The hour is a clock hour in UTC. Around its end, a user can upload up to twice the quota within minutes, but never more
than the quota in one clock hour.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from botocore.client import BaseClient

from functions.process_avatar.s3_events import Created

_HOUR = timedelta(hours=1)
# A message must find the item that an earlier delivery wrote. 14 days are SQS's maximum retention:
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
_KEPT = timedelta(days=14)
# An item with 60 posts has some 850 bytes. A write is billed for each KB:
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
_HASH_BYTES = 6
_IS_NEW = "attribute_not_exists(posts) OR NOT contains(posts, :post) AND size(posts) < :limit"


class QuotaExceededError(Exception):
    """The user has used up the quota of this hour."""

    reason: Literal["too_many_uploads"] = "too_many_uploads"


class NotClaimedError(Exception):
    """The file has been counted before, or the quota is used up."""


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
        # Sequencers are comparable for the same key only.
        event, post = _hash(created.key, created.sequencer), _hash(created.key, created.etag)
        is_counted = self._update(
            subject,
            created.at,
            "ADD posts :posts, events :events DELETE finished :posts",
            f"contains(events, :event) OR contains(finished, :post) OR {_IS_NEW}",
            post=post,
            event=event,
        ) or self._update(  # a post of the same file with the same form was counted
            subject,
            created.at,
            "ADD posts :posts, events :posts",
            f"contains(posts, :post) OR {_IS_NEW}",
            post=event,
        )
        if not is_counted:
            raise QuotaExceededError(f"{self.uploads_per_hour} uploads in the hour of {created.at}")

    def claim(self, subject: str, key: str, etag: str, posted_at: datetime) -> None:
        """Count a posted file before its event, or another request, has.

        Raises:
            NotClaimedError: It was not counted.
            ClientError: DynamoDB refused the request.
            BotoCoreError: there was no response.
        """
        if not self._update(subject, posted_at, "ADD posts :posts, finished :posts", _IS_NEW, post=_hash(key, etag)):
            raise NotClaimedError(key)

    def _update(
        self, subject: str, at: datetime, expression: str, condition: str, *, post: bytes, event: bytes | None = None
    ) -> bool:
        """Update the item of an hour. Returns whether it met the condition."""
        begin = at.replace(minute=0, second=0, microsecond=0)
        events = {":event": {"B": event}, ":events": {"BS": [event]}} if event else {}
        try:
            self.dynamodb.update_item(
                TableName=self.table,
                Key={"subject": {"S": subject}, "period": {"S": f"hour#{begin:%Y-%m-%dT%H}"}},
                UpdateExpression=f"{expression} SET expires_at = :expires_at",
                ConditionExpression=condition,
                ExpressionAttributeValues={
                    ":post": {"B": post},
                    ":posts": {"BS": [post]},
                    **events,
                    ":limit": {"N": str(self.uploads_per_hour)},
                    ":expires_at": {"N": str(int((begin + _HOUR + _KEPT).timestamp()))},
                },
            )
        except self.dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        return True


def _hash(key: str, name: str) -> bytes:
    return hashlib.sha256(f"{key}#{name}".encode()).digest()[:_HASH_BYTES]
