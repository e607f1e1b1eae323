"""The use case: an original becomes variants, a stable JPEG, a manifest and an announcement.

Events arrive more than once, late and out of order, and a form can be posted several times: every step reads what
exists before it changes it. A rejected upload is a result, which is recorded and announced. Failures of the system are
raised, and SQS delivers the event again.

The original is deleted last, and only if it is still the file that was processed. As long as it exists, the next
delivery repeats what is missing. The original of a held upload stays until an operator has decided, whose decision S3
reports as a new original.

A client that waits can have the result before the event arrives: `finish` publishes the avatar, or records that it is
held, and leaves everything else to the event, which announces it and deletes the original. Whatever fails in `finish`,
the event makes good.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, TypeAlias

from botocore.client import BaseClient

from functions.process_avatar import publishing
from functions.process_avatar.imaging import formats
from functions.process_avatar.imaging.formats import ImageRejectedError
from functions.process_avatar.imaging.rendition import Rendition
from functions.process_avatar.moderation import HeldError, HeldRecord, Moderation, NotAllowedError, require_approval
from functions.process_avatar.publishing import Current
from functions.process_avatar.quota import LEASE, NotClaimedError, Quota, QuotaExceededError
from functions.process_avatar.s3_events import Created
from functions.process_avatar.topic import Topic
from functions.shared import storage_keys, upload_id, upload_status
from functions.shared.aws.s3 import (
    PreconditionFailedError,
    StoredObject,
    delete_unchanged_object,
    get_object,
    replace_object,
)
from functions.shared.metrics import Metric, Metrics
from functions.shared.moderation_decision import hash_file, read_decision
from functions.shared.square_crop import METADATA_KEY, SquareCrop
from functions.shared.stored_avatar import PUBLISHED_MS, RENDER_MS, StoredManifest, read_manifest, with_absolute_urls
from functions.shared.upload_status import Status

logger = logging.getLogger(__name__)

# The service level objective: an upload is an avatar within five seconds.
_OBJECTIVE_MS = 5000

RejectionReason: TypeAlias = Literal[formats.RejectionReason, "too_many_uploads", "blocked", "not_allowed"]


class UploadClaimedError(Exception):
    """`finish` may still publish the upload, from what it has read before, and an event has to complete that."""


class UserBlockedError(Exception):
    """The operator has blocked the user."""

    reason: Literal["blocked"] = "blocked"


class Upload(NamedTuple):
    """An upload, and the file that was posted."""

    subject: str
    id: str
    etag: str
    """Of the file, in quotes."""
    event: Created | None
    """None: a client asks for the result."""
    may_be_repeated: bool = False
    """Whether an earlier delivery of the event may have failed before its announcement."""
    claimed_until: datetime = datetime.min
    """When the claim of `finish` ends."""

    @property
    def key(self) -> str:
        return storage_keys.incoming_key(self.subject, self.id)


@dataclass(frozen=True)
class UploadProcessor:
    s3: BaseClient
    uploads_bucket: str
    assets_bucket: str
    topic: Topic
    render: Callable[..., Rendition]
    """`RenderProcess.render`"""
    cdn_url: str
    """Without a slash at the end."""
    sizes: tuple[int, ...]
    max_pixels: int
    max_upload_bytes: int
    quota: Quota
    read_block_end: Callable[[str], datetime | None]
    """When the block of a subject ends."""
    moderation: Moderation
    metrics: Metrics

    def process(self, created: Created, *, may_be_repeated: bool) -> None:
        """Process the original that an event tells of.

        With `may_be_repeated`, an earlier delivery may have failed before its announcement: a published avatar is
        announced once more.

        Raises:
            UploadClaimedError: The event has to be delivered again.
            Exception: any failure that the next delivery may not have.
        """
        key = created.key
        try:
            subject, its_id = storage_keys.parse_incoming_key(key)
            upload_id.parse_time_ms(its_id)
        except ValueError:
            logger.warning("not the key of an upload, dropped", extra={"key": key})
            return

        upload = Upload(subject, its_id, created.etag, created, may_be_repeated)
        # First, and alone: nothing else is read of an upload that `finish` has published.
        existing = read_manifest(self.s3, self.assets_bucket, subject)
        if existing and (
            existing.upload_id > its_id or publishing.is_version_of(existing.version, its_id, created.etag)
        ):
            self._end(upload, Current.of(existing))
            return
        original, is_blocked = self._fetch(subject, key)
        if original and created.is_copy and original.etag != created.etag:
            original = None  # another file was posted since, which has an event of its own, and is counted by that
        if original:
            upload = upload._replace(etag=original.etag)
            status = self._process_original(upload, original, existing, is_blocked=is_blocked)
        else:
            status = self._end_published(upload, existing)
            if not status:
                logger.info("original is gone, nothing to do", extra={"key": key})
        is_shown = status is not None and status["status"] == "ready"
        if not is_shown and self.quota.is_claimed(subject, created):
            raise UploadClaimedError(key)

    def finish(self, subject: str, its_id: str) -> Status | None:
        """Process the original of an upload before its event arrives, except for what the event completes.

        Returns the status of the upload, `pending` if the file is being processed already; None if nothing was posted.

        Raises:
            Exception: any failure. The event makes it good.
        """
        key = storage_keys.incoming_key(subject, its_id)
        with ThreadPoolExecutor() as pool:
            manifest = pool.submit(read_manifest, self.s3, self.assets_bucket, subject)
            original, is_blocked = self._fetch(subject, key)
        existing = manifest.result()
        if existing and existing.upload_id > its_id:
            return upload_status.of_manifest(existing.content, self.cdn_url)
        if original is None:  # it was deleted after the result was written
            return upload_status.find_result(
                self.s3,
                uploads_bucket=self.uploads_bucket,
                assets_bucket=self.assets_bucket,
                cdn_url=self.cdn_url,
                is_moderated=bool(self.moderation.lambda_client),
                subject=subject,
                upload_id=its_id,
            )
        try:
            until = datetime.now(UTC) + LEASE
            upload = Upload(subject, its_id, original.etag, event=None, claimed_until=until)
            status = self._process_original(upload, original, existing, is_blocked=is_blocked)
            if status["status"] != "ready":
                self.quota.release(subject, key, original.last_modified, until=until)
            return status
        except NotClaimedError:
            if existing and existing.upload_id == its_id:
                return upload_status.of_manifest(existing.content, self.cdn_url)
            return upload_status.PENDING

    def _fetch(self, subject: str, key: str) -> tuple[StoredObject | None, bool]:
        """The original, without the data of one that is too large, and whether the user is blocked."""
        with ThreadPoolExecutor() as pool:
            block_end = pool.submit(self.read_block_end, subject)
            original = get_object(self.s3, self.uploads_bucket, key, max_bytes=self.max_upload_bytes)
        return original, block_end.result() is not None

    def _process_original(
        self, upload: Upload, original: StoredObject, existing: StoredManifest | None, *, is_blocked: bool
    ) -> Status:
        """Publish the avatar, hold it, or record the rejection; announce it, and delete the original."""
        version = publishing.version_of(upload.id, original)
        if existing and existing.version >= version:
            return self._end(upload, Current.of(existing))
        decision = read_decision(original.metadata, original.data)
        if not decision and (held := self._find_held(upload, original)):
            self._refuse_claims(upload)
            return self._end_published(upload, existing) or self._repeat_hold(upload, held)
        try:
            if is_blocked:
                raise UserBlockedError(upload.subject)
            if not decision:  # a file about which an operator has decided was counted before
                self._count(upload, original)
            elif not upload.event:  # the copy with the decision has an event of its own
                raise NotClaimedError(upload.key)
            started = time.monotonic()
            rendition = self._render(original)
            render_ms = round(1000 * (time.monotonic() - started))
            require_approval(decision or self.moderation.ask(upload.subject, upload.id, rendition.stable_jpeg))
        except (ImageRejectedError, QuotaExceededError, UserBlockedError, NotAllowedError, HeldError) as refused:
            self._refuse_claims(upload)
            # Another file may have been posted before with the same form, or this one published by a delivery that
            # failed afterwards, whatever the moderation function says now.
            if status := self._end_published(upload, existing):
                return status
            if isinstance(refused, HeldError):
                return self._hold(upload, original, refused.moderation_reason)
            moderation_reason = refused.moderation_reason if isinstance(refused, NotAllowedError) else None
            return self._reject(upload, refused.reason, moderation_reason)

        avatar = publishing.new_avatar(upload.subject, version, rendition, at=_now())
        is_announced = upload.event is not None
        current = publishing.publish(
            self.s3, self.assets_bucket, avatar, existing, is_announced=is_announced, render_ms=render_ms
        )
        return self._end(upload, current)

    def _refuse_claims(self, upload: Upload) -> None:
        """Before the original is deleted: a later delivery that does not find it relies on this."""
        if upload.event:
            self.quota.refuse_claims(upload.subject, upload.event)

    def _count(self, upload: Upload, original: StoredObject) -> None:
        if upload.event:
            self.quota.count(upload.subject, upload.event)
        else:
            self.quota.claim(
                upload.subject, upload.key, upload.etag, original.last_modified, until=upload.claimed_until
            )

    def _end_published(self, upload: Upload, existing: StoredManifest | None) -> Status | None:
        """End an upload of which an earlier delivery has published an avatar. None if there is none."""
        is_announced = upload.event is not None
        current = publishing.resume(
            self.s3, self.assets_bucket, upload.subject, upload.id, existing, is_announced=is_announced
        )
        if current is None and existing and existing.upload_id == upload.id:
            current = Current.of(existing)
        return self._end(upload, current) if current else None

    def _render(self, original: StoredObject) -> Rendition:
        if original.size > self.max_upload_bytes:
            raise ImageRejectedError("too_large")
        # A malformed crop is a failure, not a rejection: S3 takes only what presign_upload has signed.
        crop = SquareCrop.parse(text) if (text := original.metadata.get(METADATA_KEY)) else None
        return self.render(original.data, sizes=self.sizes, max_pixels=self.max_pixels, crop=crop)

    def _find_held(self, upload: Upload, original: StoredObject) -> HeldRecord | None:
        """The record of this file, if it is held already."""
        held = self.moderation.find_held(upload.subject, upload.id)
        return held if held and held["sha256"] == hash_file(original.data) else None

    def _repeat_hold(self, upload: Upload, held: HeldRecord) -> Status:
        """Announce a held upload, if that may not have been done."""
        if upload.event:
            if upload.may_be_repeated or held.get("is_unannounced"):
                self._announce_held(upload, held)
            else:
                logger.info("upload is already held", extra={"subject": upload.subject, "upload_id": upload.id})
        return upload_status.HELD

    def _hold(self, upload: Upload, original: StoredObject, reason: str | None) -> Status:
        record: HeldRecord = {
            "reason": reason,
            "at": _now(),
            "etag": original.etag,
            "sha256": hash_file(original.data),
            "is_unannounced": upload.event is None,
        }
        held = self.moderation.hold(upload.subject, upload.id, record)
        details = {"subject": upload.subject, "upload_id": upload.id, "moderation_reason": held["reason"]}
        logger.info("upload is held", extra={**details, **self.metrics.embed(Metric("UploadsHeld", "Count", 1))})
        # A deletion that has not found the record has replaced the manifest before.
        current = read_manifest(self.s3, self.assets_bucket, upload.subject)
        if current and current.upload_id > upload.id:
            return self._end(upload, Current.of(current))
        if upload.event:
            self._announce_held(upload, held)
        return upload_status.HELD

    def _announce_held(self, upload: Upload, held: HeldRecord) -> None:
        self._announce("avatar.held", upload, at=held["at"], moderation_reason=held["reason"])
        logger.info("avatar.held", extra={"subject": upload.subject, "upload_id": upload.id})

    def _end(self, upload: Upload, current: Current) -> Status:
        """End an upload whose user has that manifest now, of the upload itself or a newer one."""
        manifest = current.manifest
        is_own = manifest["upload_id"] == upload.id
        if is_own and upload.event and (current.is_unannounced or upload.may_be_repeated):
            self._complete(upload, upload.event, current)
        elif upload.event:
            details = {"subject": upload.subject, "upload_id": upload.id, "current_upload_id": manifest["upload_id"]}
            logger.info("duplicate event" if is_own else "superseded by a newer upload", extra=details)
            self._delete_original(upload)
        return upload_status.of_manifest(manifest, self.cdn_url)

    def _reject(self, upload: Upload, reason: RejectionReason, moderation_reason: str | None) -> Status:
        """Record and announce a rejection.

        A delivery that finds a record announces it, too: whoever wrote it may have failed since, and the original would
        not exist if it had been announced and not posted again.
        """
        content = {"status": "rejected", "reason": reason, "at": _now(), "upload_id": upload.id, "etag": upload.etag}
        if moderation_reason:
            content["moderation_reason"] = moderation_reason
        key = storage_keys.rejection_key(upload.subject, upload.id)
        try:
            replace_object(
                self.s3,
                None,
                Bucket=self.uploads_bucket,
                Key=key,
                Body=json.dumps(content).encode(),
                ContentType="application/json",
            )
        except PreconditionFailedError:
            # boto3 retries a write whose response was lost: the record may be this delivery's own.
            existing = get_object(self.s3, self.uploads_bucket, key)
            if existing is None:  # another delivery is about to write it: the next delivery will find it
                raise
            content = json.loads(existing.data)
            logger.info("rejection is already recorded", extra={"key": key})
        details = {name: content[name] for name in ("at", "reason", "moderation_reason") if name in content}
        self._announce("avatar.rejected", upload, **details)
        # Deleted once, by one delivery, which counts it.
        counted = [Metric("UploadsRejected", "Count", 1, "reason")] if self._delete_original(upload) else []
        extra = {"subject": upload.subject, "upload_id": upload.id, **details, **self.metrics.embed(*counted)}
        logger.info("avatar.rejected", extra=extra)
        return upload_status.rejected(content["reason"])

    def _complete(self, upload: Upload, event: Created, current: Current) -> None:
        """Announce an avatar and delete its original, in parallel: a redelivery finds the manifest and does both."""
        avatar = with_absolute_urls(current.manifest, self.cdn_url)
        with ThreadPoolExecutor() as pool:
            deletion = pool.submit(self._delete_original, upload)
            announcement = pool.submit(self._announce, "avatar.ready", upload, at=_now(), avatar=avatar)
        # The original is deleted once, by one delivery, which counts the avatar, announced or not.
        is_counted = not deletion.exception() and deletion.result()
        self.metrics.log(
            "avatar.ready" if not announcement.exception() else "published, not announced",
            *(_measure(event, current) if is_counted else ()),
            subject=upload.subject,
            upload_id=upload.id,
            format=avatar["source"]["format"],
        )
        announcement.result()  # raises what it raised
        deletion.result()

    def _delete_original(self, upload: Upload) -> bool:
        """Nothing needs it any more, and its metadata may tell where it was taken. Returns whether it was deleted.

        A file that was posted meanwhile with the same form stays: its own event is still to come, or a delivery that
        has read it may have to be repeated.
        """
        self.moderation.release(upload.subject, upload.id, upload.etag)
        return delete_unchanged_object(self.s3, upload.etag, bucket=self.uploads_bucket, key=upload.key)

    def _announce(self, event: str, upload: Upload, **details: Any) -> None:
        self.topic.publish(event, {"event": event, "subject": upload.subject, "upload_id": upload.id, **details})


def _measure(event: Created, current: Current) -> Iterator[Metric]:
    """Yield the metrics of a published avatar."""
    if PUBLISHED_MS not in current.metadata:  # an earlier version has published it
        return
    time_ms = max(0, int(current.metadata[PUBLISHED_MS]) - int(1000 * event.at.timestamp()))
    yield Metric("TimeToAvatar", "Milliseconds", time_ms)
    yield Metric("AvatarWithin5Seconds", "Count", int(time_ms <= _OBJECTIVE_MS))
    if RENDER_MS in current.metadata:  # unknown if a redelivery has completed it
        yield Metric("RenderTime", "Milliseconds", int(current.metadata[RENDER_MS]))
    yield Metric("OriginalSize", "Bytes", current.manifest["source"]["bytes"], "format")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
