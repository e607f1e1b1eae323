"""The use case: everything of a user is deleted, and what is left is reported.

What is under way must not come after what was deleted. Therefore uploads are blocked first, then the avatar is deleted
as by its user, which supersedes every older upload, and only then the records of that deletion can be deleted too. All
steps can be repeated, and need no user pool: the user may be gone from it.
"""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NotRequired, TypedDict

from functions.erase_user.limits import Limits
from functions.erase_user.profile_eraser import ProfileEraser, ProfileError
from functions.erase_user.stored_versions import StoredVersions
from functions.shared import storage_keys
from functions.shared.avatar_deletion import AvatarDeletion

# The longest lifetime of a Cognito access token, which the user may still have:
# https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html
# Other issuers can have longer ones (docs/runbook.md). A form that was given with it is valid for five minutes.
BLOCKED = timedelta(hours=24)
# process_avatar completes a deletion within a second, unless it fails or the queue is long.
QUEUE_SECONDS = 60
_POLL_SECONDS = 1
_AGAIN = "run the erasure again"

logger = logging.getLogger(__name__)


class Removed(TypedDict):
    objects: int
    """Versions and delete markers."""
    limits: int
    profile: bool
    handles: int
    """Former handles, which anybody can take from now on, as that of the profile."""


class Remaining(TypedDict):
    """What ends by itself has `until`; what must not remain has `why`."""

    what: str
    until: NotRequired[str]
    """A time in UTC (ISO 8601), or an event."""
    why: NotRequired[str]


class Report(TypedDict):
    subject: str
    removed: Removed
    remaining: list[Remaining]


@dataclass(frozen=True)
class Erasure:
    versions: StoredVersions
    avatars: AvatarDeletion
    limits: Limits
    profiles: ProfileEraser | None
    processing_seconds: float
    """How long after its start a delivery to process_avatar can change something."""
    log_retention_days: int

    def erase(self, subject: str) -> Report:
        """Erase the user.

        Raises:
            ValueError: `subject` cannot be part of a key.
            ClientError: AWS refused a request.
            BotoCoreError: There was no response.
        """
        storage_keys.incoming_prefix(subject)  # raises ValueError before anything is changed
        blocked_until = self.limits.block(subject, datetime.now(UTC) + BLOCKED)
        self.avatars.delete(subject)
        self._wait_for_deletion(subject)
        # A delivery may be under way that has looked for a block before there was one, or for the request to delete
        # before it was gone. Nothing in the buckets tells: another delivery may have deleted the original.
        time.sleep(self.processing_seconds)
        removed: Removed = {
            "objects": self.versions.delete(subject),
            "limits": self.limits.delete(subject),
            "profile": False,
            "handles": 0,
        }
        remaining: list[Remaining] = [{"what": "a block of uploads", "until": _format(blocked_until)}]
        if self.profiles:
            try:
                removed["profile"], removed["handles"] = self.profiles.erase(subject)
            except ProfileError as error:
                remaining.append({"what": "profile and handles", "why": f"{error}; {_AGAIN}"})
        remaining += self._look_again(subject)
        if removed["objects"]:
            until = "the invalidation is complete"
            remaining.append({"what": "copies at edge locations of the CDN", "until": until})
        logs_end = datetime.now(UTC) + timedelta(days=self.log_retention_days)
        remaining.append({"what": "access logs of the CDN, logs of the API and functions", "until": _format(logs_end)})
        logger.info("user erased", extra={"subject": subject, **removed, "remaining": remaining})
        return {"subject": subject, "removed": removed, "remaining": remaining}

    def _wait_for_deletion(self, subject: str) -> None:
        """Wait until process_avatar has completed every request to delete the avatar, but no longer than QUEUE_SECONDS.

        It then has deleted everything else, removed the avatar from the CDN's caches and announced that.
        """
        deadline = time.monotonic() + QUEUE_SECONDS
        while self.versions.has_requests(subject) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)

    def _look_again(self, subject: str) -> Iterator[Remaining]:
        if self.versions.has_requests(subject):
            why = f"it waits in the queue or the dead-letter queue; when it is processed, {_AGAIN}"
            yield {"what": "the deletion of the avatar", "why": why}
        if count := self.versions.count(subject):
            yield {"what": f"{count} object versions", "why": f"stored meanwhile, or not deleted: {_AGAIN}"}
        if count := self.limits.count(subject):
            yield {"what": f"{count} counted hours of uploads", "why": f"counted meanwhile: {_AGAIN}"}


def _format(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
