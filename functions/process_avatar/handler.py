"""The SQS adapter of process_avatar: an event source's batch in, the messages that failed out.

A message is an S3 event about new originals, or a cleanup message. A message that fails is returned to the queue, and
the others of its batch are not.
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting
"""

import json
import logging
import os
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypedDict

from functions.process_avatar import cleanup, s3_events
from functions.process_avatar.process_upload import UploadProcessor
from functions.process_avatar.topic import Topic
from functions.shared.aws import clients

# S3's guideline for when to retry a request for a small object:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance-guidelines.html
_READ_TIMEOUT_SECONDS = 2

_TOPIC_ARN = os.environ["TOPIC_ARN"]

S3 = clients.create("s3", read_timeout_seconds=_READ_TIMEOUT_SECONDS)
SNS = clients.create(
    "sns",
    read_timeout_seconds=_READ_TIMEOUT_SECONDS,
    region=_TOPIC_ARN.split(":")[3],  # arn:partition:sns:region:account:name
)
SQS = clients.create("sqs", read_timeout_seconds=_READ_TIMEOUT_SECONDS)

PROCESSOR = UploadProcessor(
    s3=S3,
    uploads_bucket=os.environ["UPLOADS_BUCKET"],
    assets_bucket=os.environ["ASSETS_BUCKET"],
    topic=Topic(SNS, _TOPIC_ARN),
    cleanup_queue=cleanup.CleanupQueue(SQS, os.environ["QUEUE_URL"]),
    cdn_url=os.environ["CDN_URL"].rstrip("/"),
    sizes=tuple(int(size) for size in os.environ["SIZES"].split(",")),
    max_pixels=int(os.environ["MAX_PIXELS"]),
    max_upload_bytes=int(os.environ["MAX_UPLOAD_BYTES"]),
)

# The longest wait for a decoder (imaging/subprocess_decoder.py), with room for slow S3 requests. A message that has
# less time left is returned to SQS: at the function's timeout the whole batch would fail, with the messages that
# succeeded.
TIME_FOR_ONE_UPLOAD_MS = 25_000

# An event this old may come from the dead-letter queue. An earlier delivery may have published the manifest and failed
# to announce it, and a redriven message has a receive count of 1 again.
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
    batchItemFailures: list[_ItemFailure]


def handle(batch: Batch, context: Context) -> BatchResult:
    failed = [message["messageId"] for message in batch["Records"] if not _handle_message(message, context)]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def _handle_message(message: _Message, context: Context) -> bool:
    """Whether the message succeeded."""
    is_redelivery = int(message["attributes"]["ApproximateReceiveCount"]) > 1
    try:
        content = json.loads(message["body"])
        if superseded := cleanup.parse_message(content):
            return _clean_up(superseded)
        objects = s3_events.created_objects(content)
    except ValueError:
        logger.exception("neither an S3 event nor a cleanup message", extra={"message_id": message["messageId"]})
        return False
    # A list, not a generator: the objects after one that failed are processed too.
    results = [_process_upload(its.key, is_redelivery or _is_late(its.at), context) for its in objects]
    return all(results)


def _clean_up(superseded: cleanup.SupersededAvatar) -> bool:
    """Whether it succeeded."""
    try:
        cleanup.delete_variants(S3, PROCESSOR.assets_bucket, superseded)
    except Exception:  # as in _process_upload
        logger.exception("superseded avatar not deleted, given back", extra=asdict(superseded))
        return False
    return True


def _is_late(created_at: datetime) -> bool:
    return datetime.now(UTC) - created_at > LATE


def _process_upload(key: str, may_be_repeated: bool, context: Context) -> bool:
    """Whether it succeeded."""
    if context.get_remaining_time_in_millis() < TIME_FOR_ONE_UPLOAD_MS:
        logger.warning("too little time left, given back", extra={"key": key})
        return False
    try:
        PROCESSOR.process(key, may_be_repeated=may_be_repeated)
    except Exception:  # any failure: the other uploads of the batch are processed nevertheless
        logger.exception("upload failed, given back", extra={"key": key})
        return False
    return True
