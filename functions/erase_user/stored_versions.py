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

    def has_originals(self, subject: str) -> bool:
        return self._has_objects(storage_keys.incoming_prefix(subject))

    def has_requests(self, subject: str) -> bool:
        """Whether there is a request to delete the avatar."""
        return self._has_objects(storage_keys.deletions_prefix(subject))

    def count(self, subject: str) -> int:
        """Count the versions and delete markers."""
        return sum(len(self._list(*place)) for place in self._get_places(subject))

    def delete(self, subject: str) -> int:
        """Delete them, and return how many were deleted. What could not be deleted is in the log."""
        deleted = 0
        for place in self._get_places(subject):
            versions = self._list(*place)
            for first in range(0, len(versions), _MAX_DELETED):
                deleted += self._delete(place.bucket, versions[first : first + _MAX_DELETED])
        return deleted

    def _has_objects(self, prefix: str) -> bool:
        return any(s3.list_objects(self._s3, self._uploads_bucket, prefix))

    def _get_places(self, subject: str) -> list[_Place]:
        """Each prefix ends with a delimiter: no other subject has keys below it."""
        uploads = [storage_keys.incoming_prefix, storage_keys.rejected_prefix, storage_keys.held_prefix]
        assets = [storage_keys.versions_prefix, storage_keys.current_prefix]
        return [
            *(_Place(self._uploads_bucket, prefix(subject)) for prefix in uploads),
            *(_Place(self._assets_bucket, prefix(subject)) for prefix in assets),
        ]

    def _list(self, bucket: str, prefix: str) -> list[_Version]:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html"""
        versions: list[_Version] = []
        markers: dict[str, str] = {}
        while True:
            page = self._s3.list_object_versions(Bucket=bucket, Prefix=prefix, **markers)
            found = (*page.get("Versions", []), *page.get("DeleteMarkers", []))
            versions.extend({"Key": its["Key"], "VersionId": its["VersionId"]} for its in found)
            if not page["IsTruncated"]:
                return versions
            markers = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}

    def _delete(self, bucket: str, versions: Sequence[_Version]) -> int:
        response = self._s3.delete_objects(Bucket=bucket, Delete={"Objects": versions, "Quiet": True})
        errors = response.get("Errors", [])
        for error in errors:
            logger.error("version not deleted", extra={"bucket": bucket, **error})
        return len(versions) - len(errors)
