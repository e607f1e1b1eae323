"""The use case: an original becomes variants, a stable JPEG, a manifest and an announcement.

Events arrive more than once, late and out of order, so every step reads what exists before it changes it. A rejected
picture is a result, which is recorded and announced. Failures of the system are raised, and SQS delivers the event
again.
"""

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.client import BaseClient

from functions.process_avatar import publishing
from functions.process_avatar.cleanup import CleanupQueue
from functions.process_avatar.imaging import renderer
from functions.process_avatar.topic import Topic
from functions.shared import storage_keys
from functions.shared.aws.s3 import PreconditionFailedError, StoredObject, get_object, replace_object
from functions.shared.square_crop import METADATA_KEY, SquareCrop

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class UploadProcessor:
    s3: BaseClient
    uploads_bucket: str
    assets_bucket: str
    topic: Topic
    cleanup_queue: CleanupQueue
    cdn_url: str
    """Without a slash at the end."""
    sizes: tuple[int, ...]
    max_pixels: int
    max_upload_bytes: int

    def process(self, key: str, *, may_be_repeated: bool) -> None:
        """Process the original under `key`.

        With `may_be_repeated`, an earlier delivery may have failed before its announcement: what it did is announced
        once more.

        Raises:
            Exception: any failure that the next delivery may not have.
        """
        try:
            subject, upload_id = storage_keys.parse_incoming_key(key)
        except ValueError:
            logger.warning("not the key of an upload, dropped", extra={"key": key})
            return

        existing, original = self._fetch(subject, key)
        if existing and existing.upload_id >= upload_id:
            self._handle_superseded(existing.manifest, upload_id, may_be_repeated)
        elif original:
            self._process_original(subject, upload_id, original, existing, may_be_repeated)
        else:
            logger.info("original is gone, nothing to do", extra={"key": key})

    def _fetch(self, subject: str, key: str) -> tuple[publishing.CurrentManifest | None, StoredObject | None]:
        """The manifest and the original, without the data of one that is too large."""
        with ThreadPoolExecutor() as pool:
            manifest = pool.submit(publishing.read_manifest, self.s3, self.assets_bucket, subject)
            original = get_object(self.s3, self.uploads_bucket, key, max_bytes=self.max_upload_bytes)
        return manifest.result(), original

    def _process_original(
        self,
        subject: str,
        upload_id: str,
        original: StoredObject,
        existing: publishing.CurrentManifest | None,
        may_be_repeated: bool,
    ) -> None:
        """Publish the avatar or record the rejection, announce it, and delete the original."""
        try:
            rendition = self._render(original)
        except renderer.Rejected as rejected:
            self._reject(subject, upload_id, original.etag, rejected.reason, may_be_repeated)
            return

        avatar = publishing.new_avatar(
            subject, upload_id, rendition, original_etag=original.etag, cdn_url=self.cdn_url, at=_now()
        )
        manifest = publishing.publish(self.s3, self.assets_bucket, avatar, existing, self.cleanup_queue.schedule)
        if manifest == avatar.manifest:
            self._complete(manifest)
        else:
            self._handle_superseded(manifest, upload_id, may_be_repeated)

    def _render(self, original: StoredObject) -> renderer.Rendition:
        if original.size > self.max_upload_bytes:
            raise renderer.Rejected("too_large")
        # A malformed crop is a failure, not a rejection: S3 takes only what presign_upload has signed.
        crop = SquareCrop.parse(text) if (text := original.metadata.get(METADATA_KEY)) else None
        return renderer.render(original.data, sizes=self.sizes, max_pixels=self.max_pixels, crop=crop)

    def _handle_superseded(self, manifest: publishing.Manifest, upload_id: str, may_be_repeated: bool) -> None:
        """Keep the current manifest: it is of a newer upload, or of an earlier delivery of this one."""
        is_duplicate = manifest["upload_id"] == upload_id
        if is_duplicate and may_be_repeated:
            # The earlier delivery may have failed between the manifest and the announcement.
            self._complete(manifest)
            return
        details = {"subject": manifest["subject"], "upload_id": upload_id, "current_upload_id": manifest["upload_id"]}
        logger.info("duplicate event" if is_duplicate else "superseded by a newer upload", extra=details)
        self._delete_original(manifest["subject"], upload_id)

    def _reject(self, subject: str, upload_id: str, etag: str, reason: renderer.Reason, may_be_repeated: bool) -> None:
        """`etag` is the original's."""
        at = _now()
        content = {"status": "rejected", "reason": reason, "at": at, "upload_id": upload_id, "etag": etag}
        record = json.dumps(content).encode()
        key = storage_keys.rejection_key(subject, upload_id)
        try:
            replace_object(
                self.s3,
                None,
                Bucket=self.uploads_bucket,
                Key=key,
                Body=record,
                ContentType="application/json",
                CacheControl="no-store",
            )
        except PreconditionFailedError:
            existing = get_object(self.s3, self.uploads_bucket, key)
            if existing is None:  # another delivery is about to write it: the next delivery will find it
                raise
            # The record may be this delivery's own: boto3 retries a write whose response was lost, and the retry fails.
            if not may_be_repeated and existing.data != record:
                logger.info("duplicate event of a rejected upload", extra={"key": key})
                # The delivery that wrote the record may still have to announce it after a retry, and needs the original
                # for that, unless this is another original, posted with the same form.
                if json.loads(existing.data)["etag"] != etag:
                    self._delete_original(subject, upload_id)
                return
        self._announce("avatar.rejected", subject, upload_id, at=at, reason=reason)
        # Last: a redelivery must find the original until the rejection has been announced.
        self._delete_original(subject, upload_id)

    def _complete(self, manifest: publishing.Manifest) -> None:
        """Announce an avatar and delete its original, in parallel: a redelivery finds the manifest and does both."""
        subject, upload_id = manifest["subject"], manifest["upload_id"]
        with ThreadPoolExecutor() as pool:
            deletion = pool.submit(self._delete_original, subject, upload_id)
            self._announce("avatar.ready", subject, upload_id, at=_now(), avatar=manifest)
        deletion.result()  # raises what it raised

    def _delete_original(self, subject: str, upload_id: str) -> None:
        """Nothing needs it any more, and its metadata may tell where it was taken."""
        self.s3.delete_object(Bucket=self.uploads_bucket, Key=storage_keys.incoming_key(subject, upload_id))

    def _announce(self, event: str, subject: str, upload_id: str, **details: Any) -> None:
        self.topic.publish(event, {"event": event, "subject": subject, "upload_id": upload_id, **details})
        logger.info(event, extra={"subject": subject, "upload_id": upload_id, "reason": details.get("reason")})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
