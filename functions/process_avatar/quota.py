"""The quota of uploads: how many files of one user are decoded in an hour.

An hour of a user is one item of the limits table, with sets of hashes:

    posts     the posts that were counted
    events    the S3 events of these posts
    finished  the posts that `claim` has counted, and whose event has not been counted yet
    leases    until when `claim` stands, in seconds since the epoch, each with the hash of the upload
    ended     the posts whose event has ended without an avatar, which can no longer be claimed

One conditional update counts a post: it is atomic, and repeating it changes nothing. A post is identified by its key
and ETag, which both finish_upload and the event know. Only an event tells apart several posts of the same file. Its
hour is the same in every delivery of its message.

The hour is a clock hour in UTC. Around its end, a user can upload up to twice the quota within minutes, but never more
than the quota in one clock hour.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from botocore.client import BaseClient

from functions.process_avatar.s3_events import Created

_HOUR = timedelta(hours=1)
# A message must find the item that an earlier delivery wrote. 14 days are SQS's maximum retention:
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
_KEPT = timedelta(days=14)
# An item with 60 posts has some 850 bytes, 600 more if finish_upload has processed them all, and 7 for each post that
# has ended without an avatar. A write is billed for each KB:
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
_HASH_BYTES, _TIME_BYTES = 6, 4
# finish_upload ends within its timeout of ten seconds after a claim (components/avatar_pipeline.py). The other five are
# for its last request, and for clocks that differ.
LEASE = timedelta(seconds=15)
# Between the posts of one form, which expires after five minutes.
_FORM_LIFE = timedelta(minutes=6)
# Rejected uploads of a blocked user are not counted and would let the item grow to its limit of 400 KB.
_MAX_ENDED = 100
_IS_NEW = "attribute_not_exists(posts) OR NOT contains(posts, :post) AND size(posts) < :limit"
_HAS_NOT_ENDED = "attribute_not_exists(ended) OR NOT contains(ended, :post)"
_IS_CLAIMABLE = f"({_HAS_NOT_ENDED}) AND ({_IS_NEW})"


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
    """0: unlimited, and not counted."""

    def count(self, subject: str, created: Created) -> None:
        """Count a posted file, unless it has been counted.

        Raises:
            QuotaExceededError: It was not counted, because the quota of its hour is used up.
            ClientError: DynamoDB refused the request.
            BotoCoreError: there was no response.
        """
        if not self.uploads_per_hour:
            return
        # Sequencers are comparable for the same key only.
        event, post = _hash(created.key, created.sequencer), _hash(created.key, created.etag)
        is_counted = self._update(
            subject,
            created.at,
            "ADD posts :posts, events :events DELETE finished :posts",
            f"contains(events, :event) OR contains(finished, :post) OR {_IS_NEW}",
            {**self._post(post), ":event": {"B": event}, ":events": {"BS": [event]}},
        ) or self._update(  # a post of the same file with the same form was counted
            subject,
            created.at,
            "ADD posts :posts, events :posts",
            f"contains(posts, :post) OR {_IS_NEW}",
            self._post(event),
        )
        if not is_counted:
            raise QuotaExceededError(f"{self.uploads_per_hour} uploads in the hour of {created.at}")

    def claim(self, subject: str, key: str, etag: str, posted_at: datetime, *, until: datetime) -> None:
        """Count a posted file before its event, or another request, has. The claim ends with `release`, or `until`.

        Raises:
            NotClaimedError: It was not counted.
            ClientError: DynamoDB refused the request.
            BotoCoreError: there was no response.
        """
        lease, post = _lease(key, until), _hash(key, etag)
        if self.uploads_per_hour:
            expression, condition = "ADD posts :posts, finished :posts, leases :leases", _IS_CLAIMABLE
            values = {**lease, **self._post(post)}
        else:
            expression, condition, values = "ADD leases :leases", _HAS_NOT_ENDED, {**lease, ":post": {"B": post}}
        if not self._update(subject, posted_at, expression, condition, values):
            raise NotClaimedError(key)

    def release(self, subject: str, key: str, posted_at: datetime, *, until: datetime) -> None:
        """End a claim: nothing of the upload is going to be published by it.

        Raises:
            ClientError: DynamoDB refused the request.
            BotoCoreError: there was no response.
        """
        self._update(subject, posted_at, "DELETE leases :leases", None, _lease(key, until))

    def refuse_claims(self, subject: str, created: Created) -> None:
        """Note that an event ends without an avatar: from now on its post cannot be claimed.

        Raises:
            ClientError: DynamoDB refused the request.
            BotoCoreError: there was no response.
        """
        post = {":ended": {"BS": [_hash(created.key, created.etag)]}, ":limit": {"N": str(_MAX_ENDED)}}
        has_room = "attribute_not_exists(ended) OR size(ended) < :limit"
        for hour in _list_hours(created):
            self._update(subject, hour, "ADD ended :ended", has_room, post)

    def is_claimed(self, subject: str, created: Created) -> bool:
        """Whether finish_upload may still process a file that was posted with the same form.

        Raises:
            ClientError: DynamoDB refused the request.
            BotoCoreError: there was no response.
        """
        now, upload = int(datetime.now(UTC).timestamp()), _hash(created.key)
        for hour in _list_hours(created):
            key = _key(subject, hour)
            item = self.dynamodb.get_item(TableName=self.table, Key=key, ConsistentRead=True).get("Item", {})
            for lease in item["leases"]["BS"] if "leases" in item else ():
                if lease[_TIME_BYTES:] == upload and int.from_bytes(lease[:_TIME_BYTES]) >= now:
                    return True
        return False

    def _post(self, post: bytes) -> dict[str, Any]:
        return {":post": {"B": post}, ":posts": {"BS": [post]}, ":limit": {"N": str(self.uploads_per_hour)}}

    def _update(
        self, subject: str, at: datetime, expression: str, condition: str | None, values: Mapping[str, Any]
    ) -> bool:
        """Update the item of an hour. Returns whether it met the condition."""
        expires_at = int((_begin(at) + _HOUR + _KEPT).timestamp())
        try:
            self.dynamodb.update_item(
                TableName=self.table,
                Key=_key(subject, at),
                UpdateExpression=f"{expression} SET expires_at = :expires_at",
                ExpressionAttributeValues={**values, ":expires_at": {"N": str(expires_at)}},
                **({"ConditionExpression": condition} if condition else {}),
            )
        except self.dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        return True


def _begin(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _list_hours(created: Created) -> list[datetime]:
    """The hours in which a file can have been posted with the form of an event."""
    return sorted({_begin(created.at - _FORM_LIFE), _begin(created.at + _FORM_LIFE)})


def _key(subject: str, at: datetime) -> dict[str, Any]:
    return {"subject": {"S": subject}, "period": {"S": f"hour#{_begin(at):%Y-%m-%dT%H}"}}


def _lease(key: str, until: datetime) -> dict[str, Any]:
    return {":leases": {"BS": [int(until.timestamp()).to_bytes(_TIME_BYTES) + _hash(key)]}}


def _hash(key: str, name: str = "") -> bytes:
    return hashlib.sha256(f"{key}#{name}".encode()).digest()[:_HASH_BYTES]
