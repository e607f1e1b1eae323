"""The use case: what a user's deleted avatars have left is deleted, also from the CDN's caches, and that is announced.

delete_avatar has replaced the current avatar by the record of its deletion, unless it failed before. Every step can be
repeated. The request is deleted last: as long as it exists, the next delivery repeats what is missing. Without it, a
delivery does nothing: the record of the deletion may have been erased since.
"""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

from botocore.client import BaseClient

from functions.process_avatar.cdn import Cdn
from functions.process_avatar.topic import Topic
from functions.shared import storage_keys, stored_avatar, upload_id
from functions.shared.aws.s3 import head_object, list_objects

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DeletionProcessor:
    s3: BaseClient
    uploads_bucket: str
    assets_bucket: str
    topic: Topic
    cdn: Cdn | None
    """None: nothing has to be removed from its caches."""
    is_moderated: bool
    """Whether there may be held uploads."""

    def process(self, key: str) -> None:
        """Process the request with that key. What is newer than the deletion stays.

        Raises:
            Exception: any failure that the next delivery may not have.
        """
        try:
            subject, deletion_id = storage_keys.parse_deletion_key(key)
            time_ms = upload_id.parse_time_ms(deletion_id)
        except ValueError:
            logger.warning("not the key of a deletion, dropped", extra={"key": key})
            return
        if head_object(self.s3, self.uploads_bucket, key) is None:
            logger.info("request is gone, nothing to do", extra={"key": key})
            return
        stored_avatar.delete(self.s3, self.assets_bucket, subject, deletion_id)
        self._delete_objects(self.assets_bucket, self._find_versions(subject, deletion_id))
        self._delete_uploads(subject, deletion_id)
        if self.cdn:
            self.cdn.invalidate(f"/{storage_keys.AVATARS}{subject}*", deletion_id)
        at = datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        event = "avatar.deleted"
        self.topic.publish(event, {"event": event, "subject": subject, "upload_id": deletion_id, "at": at})
        logger.info(event, extra={"subject": subject, "upload_id": deletion_id})
        self.s3.delete_object(Bucket=self.uploads_bucket, Key=key)

    def _find_versions(self, subject: str, deletion_id: str) -> Iterator[str]:
        for its in list_objects(self.s3, self.assets_bucket, storage_keys.versions_prefix(subject)):
            version = storage_keys.parse_variant_key(its.key)
            if version and version < deletion_id:
                yield its.key

    def _delete_uploads(self, subject: str, deletion_id: str) -> None:
        """Delete originals, records of rejections, and then of held uploads: operators see held ones by the records."""
        prefixes = [storage_keys.incoming_prefix(subject), storage_keys.rejected_prefix(subject)]
        if self.is_moderated:
            prefixes.append(storage_keys.held_prefix(subject))
        for prefix in prefixes:
            listed = list_objects(self.s3, self.uploads_bucket, prefix)
            self._delete_objects(self.uploads_bucket, (its.key for its in listed if its.key < prefix + deletion_id))

    def _delete_objects(self, bucket: str, keys: Iterator[str]) -> None:
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda key: self.s3.delete_object(Bucket=bucket, Key=key), keys))
