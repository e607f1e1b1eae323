"""Uploads in, avatars out: what S3 told SQS about new originals becomes pictures, a manifest and a message.

Events come twice, late and out of order, so every step asks what is there before it changes it. A bad picture is an
answer, recorded and announced; a failure of ours is raised, and SQS brings the message back.
"""

import json
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypedDict

from functions.process_avatar import cleanup, publishing, s3_events
from functions.process_avatar.imaging import renderer
from functions.process_avatar.topic import Topic
from functions.shared import storage_keys
from functions.shared.aws.object_store import Bucket, ChangedError, Content, StoredObject
from functions.shared.square_crop import METADATA_KEY, SquareCrop

# SQS brings back what does not succeed, with more patience than this one
_PATIENCE_SECONDS = 10

UPLOADS = Bucket(os.environ["UPLOADS_BUCKET"], patience_seconds=_PATIENCE_SECONDS)
ASSETS = Bucket(os.environ["ASSETS_BUCKET"], patience_seconds=_PATIENCE_SECONDS)
TOPIC = Topic(os.environ["TOPIC_ARN"])
RETIREMENT = cleanup.Retirement(os.environ["QUEUE_URL"])
CDN_URL = os.environ["CDN_URL"].rstrip("/")
SIZES = tuple(int(size) for size in os.environ["SIZES"].split(","))
MAX_PIXELS = int(os.environ["MAX_PIXELS"])
MAX_UPLOAD_BYTES = int(os.environ["MAX_UPLOAD_BYTES"])

# The longest a decoder is waited for (confinement.py), with room for slow S3 requests. What does not get it is given
# back to SQS: running into the function's timeout would fail the whole batch, also what is done already.
TIME_FOR_ONE_UPLOAD_MS = 25_000

# An event this old may come out of the dead-letter queue. Its earlier deliveries may have got as far as the manifest
# and failed to announce it, and a redriven message is counted as received for the first time.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue-redrive.html
LATE = timedelta(minutes=15)

logger = logging.getLogger(__name__)


class Context(Protocol):
    def get_remaining_time_in_millis(self) -> int: ...


class _Message(TypedDict):
    messageId: str
    body: str
    attributes: dict[str, str]


class Batch(TypedDict):
    Records: list[_Message]


class _ItemFailure(TypedDict):
    itemIdentifier: str


class BatchResult(TypedDict):
    """https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting"""

    batchItemFailures: list[_ItemFailure]


def handle(batch: Batch, context: Context) -> BatchResult:
    failed = [message["messageId"] for message in batch["Records"] if not _is_done(message, context)]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def _is_done(message: _Message, context: Context) -> bool:
    is_redelivery = int(message["attributes"]["ApproximateReceiveCount"]) > 1
    try:
        content = json.loads(message["body"])
        if former := cleanup.read(content):
            return _is_retired(former)
        objects = s3_events.created_objects(content)
    except ValueError:
        logger.exception("message is neither an S3 event nor a retirement", extra={"message_id": message["messageId"]})
        return False
    # each of them, also after a failure
    results = [_is_processed(its.key, is_redelivery or _is_late(its.at), context) for its in objects]
    return all(results)


def _is_retired(former: cleanup.Former) -> bool:
    try:
        cleanup.remove(ASSETS, former)
    except Exception:  # as for an upload
        logger.exception("former avatar not removed, given back", extra=former._asdict())
        return False
    return True


def _is_late(created_at: datetime) -> bool:
    return datetime.now(UTC) - created_at > LATE


def _is_processed(key: str, may_be_repeated: bool, context: Context) -> bool:
    if context.get_remaining_time_in_millis() < TIME_FOR_ONE_UPLOAD_MS:
        logger.warning("too little time left, given back", extra={"key": key})
        return False
    try:
        _process(key, may_be_repeated)
    except Exception:  # whatever it is, the other uploads of the batch have no part in it
        logger.exception("upload failed, given back", extra={"key": key})
        return False
    return True


def _process(key: str, may_be_repeated: bool) -> None:
    try:
        subject, upload_id = storage_keys.parse_incoming_key(key)
    except ValueError:
        logger.warning("not the key of an upload, dropped", extra={"key": key})
        return

    seen, original = _fetch(subject, key)
    if seen and seen.upload_id >= upload_id:
        _leave(seen.manifest, upload_id, may_be_repeated)
    elif original:
        _answer(subject, upload_id, original, seen, may_be_repeated)
    else:
        logger.info("original is gone, nothing to do", extra={"key": key})


def _fetch(subject: str, key: str) -> tuple[publishing.Current | None, StoredObject | None]:
    """What is current, and the original; of one that is too large all but its data."""
    with ThreadPoolExecutor() as pool:
        current = pool.submit(publishing.current, ASSETS, subject)
        original = UPLOADS.get(key, max_bytes=MAX_UPLOAD_BYTES)
    return current.result(), original


def _answer(
    subject: str, upload_id: str, original: StoredObject, seen: publishing.Current | None, may_be_repeated: bool
) -> None:
    """Make the avatar or record why there is none, tell the topic, and delete the original."""
    try:
        rendition = _render(original)
    except renderer.ImageRejectedError as rejected:
        _reject(subject, upload_id, original.etag, rejected.reason, may_be_repeated)
        return

    avatar = publishing.new_avatar(
        subject, upload_id, rendition, original_etag=original.etag, cdn_url=CDN_URL, at=_now()
    )
    manifest = publishing.publish(ASSETS, avatar, seen, RETIREMENT.schedule)
    if manifest == avatar.manifest:
        _finish(manifest)
    else:
        _leave(manifest, upload_id, may_be_repeated)


def _render(original: StoredObject) -> renderer.Rendition:
    if original.size > MAX_UPLOAD_BYTES:
        raise renderer.ImageRejectedError("too_large")
    # A text that is no crop was not made by presign_upload, whose policy S3 holds every form to: an error of ours.
    crop = SquareCrop.parse(text) if (text := original.metadata.get(METADATA_KEY)) else None
    return renderer.render(original.data, sizes=SIZES, max_pixels=MAX_PIXELS, crop=crop)


def _leave(manifest: publishing.Manifest, upload_id: str, may_be_repeated: bool) -> None:
    """What is current stays: it is of a newer upload, or of this one by an earlier delivery."""
    is_this = manifest["upload_id"] == upload_id
    if is_this and may_be_repeated:
        # The earlier delivery may have ended between the manifest and the announcement.
        _finish(manifest)
        return
    details = {"subject": manifest["subject"], "upload_id": upload_id, "current_upload_id": manifest["upload_id"]}
    logger.info("duplicate event" if is_this else "superseded by a newer upload", extra=details)
    _delete_original(manifest["subject"], upload_id)


def _reject(subject: str, upload_id: str, etag: str, reason: renderer.RejectionReason, may_be_repeated: bool) -> None:
    """`etag` is the original's."""
    at = _now()
    content = {"status": "rejected", "reason": reason, "at": at, "upload_id": upload_id, "etag": etag}
    record = json.dumps(content).encode()
    key = storage_keys.rejection_key(subject, upload_id)
    try:
        UPLOADS.replace(key, None, Content(record, "application/json", "no-store"))
    except ChangedError:
        found = UPLOADS.get(key)
        if found is None:  # another delivery is about to write it: whoever comes next will know more
            raise
        # The record may be ours: a write whose answer was lost is repeated, and the repetition finds the first.
        if not may_be_repeated and found.data != record:
            logger.info("duplicate event of a rejected upload", extra={"key": key})
            # Who recorded it still has to announce it, maybe when its message comes back, and needs the photo for that:
            # unless this is another one, posted again with the same form.
            if json.loads(found.data)["etag"] != etag:
                _delete_original(subject, upload_id)
            return
    _announce("avatar.rejected", subject, upload_id, at=at, reason=reason)
    # Last: until everybody has been told, a redelivery must find the photo.
    _delete_original(subject, upload_id)


def _finish(manifest: publishing.Manifest) -> None:
    """Announce an avatar and delete its original, at once: a redelivery makes up for either by the manifest."""
    subject, upload_id = manifest["subject"], manifest["upload_id"]
    with ThreadPoolExecutor() as pool:
        deletion = pool.submit(_delete_original, subject, upload_id)
        _announce("avatar.ready", subject, upload_id, at=_now(), avatar=manifest)
    deletion.result()  # raises what it raised


def _delete_original(subject: str, upload_id: str) -> None:
    """Nobody needs it any more, and it says where it was taken."""
    UPLOADS.delete(storage_keys.incoming_key(subject, upload_id))


def _announce(event: str, subject: str, upload_id: str, **details: Any) -> None:
    TOPIC.publish(event, {"event": event, "subject": subject, "upload_id": upload_id, **details})
    logger.info(event, extra={"subject": subject, "upload_id": upload_id, "reason": details.get("reason")})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
