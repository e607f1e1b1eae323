"""Everything that the two buckets have of a subject, in all versions.

But for the requests to delete the avatar: process_avatar deletes each when it has completed it.
"""

import logging
from collections.abc import Sequence
from typing import NamedTuple, TypedDict

from botocore.client import BaseClient

from functions.shared import storage_keys
from functions.shared.aws import s3

logger = logging.getLogger(__name__)


# https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
_MAX_DELETED = 1_000


class _Place(NamedTuple):
    bucket: str
    prefix: str


class _Version(TypedDict):
    """A version of an object, or a delete marker."""

    Key: str
    VersionId: str


class StoredVersions:
    """All methods raise ClientError if S3 refused a request, and BotoCoreError if there was no response."""

    def __init__(self, client: BaseClient, *, uploads_bucket: str, assets_bucket: str) -> None:
        self._s3 = client
        self._uploads_bucket = uploads_bucket
        self._assets_bucket = assets_bucket

    def has_requests(self, subject: str) -> bool:
        """Whether there is a request to delete the avatar."""
        return any(s3.list_objects(self._s3, self._uploads_bucket, storage_keys.deletions_prefix(subject)))

    def count(self, subject: str) -> int:
        """Count the versions and delete markers."""
        return sum(len(versions) for place in self._get_places(subject) for versions in self._list(*place))

    def delete(self, subject: str) -> int:
        """Delete them, and return how many were deleted. What could not be deleted is in the log.

        The latest ones last, and only if nothing is left below them: a version becomes current when those above it are
        gone, and what the user had deleted would be public again.
        """
        deleted = 0
        for place in self._get_places(subject):
            old, latest = self._list(*place)
            deleted_old = self._delete(place.bucket, old)
            deleted += deleted_old
            if deleted_old == len(old):
                deleted += self._delete(place.bucket, latest)
        return deleted

    def _get_places(self, subject: str) -> list[_Place]:
        """Each prefix ends with a delimiter: no other subject has keys below it."""
        uploads = [storage_keys.incoming_prefix, storage_keys.rejected_prefix, storage_keys.held_prefix]
        assets = [storage_keys.versions_prefix, storage_keys.current_prefix]
        return [
            *(_Place(self._uploads_bucket, prefix(subject)) for prefix in uploads),
            *(_Place(self._assets_bucket, prefix(subject)) for prefix in assets),
        ]

    def _list(self, bucket: str, prefix: str) -> tuple[list[_Version], list[_Version]]:
        """List the versions that are not the latest of their key, and those that are.

        https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html
        """
        old: list[_Version] = []
        latest: list[_Version] = []
        markers: dict[str, str] = {}
        while True:
            page = self._s3.list_object_versions(Bucket=bucket, Prefix=prefix, **markers)
            for its in (*page.get("Versions", []), *page.get("DeleteMarkers", [])):
                (latest if its["IsLatest"] else old).append({"Key": its["Key"], "VersionId": its["VersionId"]})
            if not page["IsTruncated"]:
                return old, latest
            markers = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}

    def _delete(self, bucket: str, versions: Sequence[_Version]) -> int:
        """Delete versions, in no particular order, and return how many were deleted."""
        deleted = len(versions)
        for first in range(0, len(versions), _MAX_DELETED):
            objects = versions[first : first + _MAX_DELETED]
            response = self._s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
            for error in response.get("Errors", []):
                logger.error("version not deleted", extra={"bucket": bucket, **error})
                deleted -= 1
        return deleted
