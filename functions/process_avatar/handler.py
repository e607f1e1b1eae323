"""The SQS adapter of process_avatar: an event source's batch in, the messages that failed out.

A message is an S3 event about a new original, or about a request to delete an avatar. One that fails is returned to the
queue and becomes visible again within seconds, not after the queue's visibility timeout: that is for sandboxes that end
before they could return anything.
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting
"""

import json
import logging
import os
import random
from datetime import UTC, datetime, timedelta
from typing import Any, TypedDict

from botocore.exceptions import BotoCoreError, ClientError

from functions.process_avatar import moderation, s3_events
from functions.process_avatar.cdn import Cdn
from functions.process_avatar.environment import create_uploads
from functions.process_avatar.imaging.render_process import RenderProcess
from functions.process_avatar.process_deletion import DeletionProcessor
from functions.process_avatar.process_upload import UploadClaimedError
from functions.process_avatar.s3_events import Created
from functions.shared import storage_keys
from functions.shared.aws import clients
from functions.shared.metrics import Metric

# S3's guideline for when to retry a request for a small object:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance-guidelines.html
_READ_TIMEOUT_SECONDS = 2

RENDER_PROCESS = RenderProcess()  # before the clients: it imports the decoders while they are created

UPLOADS = create_uploads(
    RENDER_PROCESS.render,
    read_timeout_seconds=_READ_TIMEOUT_SECONDS,
    moderation_timeout_seconds=moderation.READ_TIMEOUT_SECONDS,
)
S3 = UPLOADS.s3
MODERATION = UPLOADS.moderation
METRICS = UPLOADS.metrics
SQS = clients.create("sqs", read_timeout_seconds=_READ_TIMEOUT_SECONDS)

QUEUE_URL = os.environ["QUEUE_URL"]

DELETIONS = DeletionProcessor(
    s3=S3,
    uploads_bucket=UPLOADS.uploads_bucket,
    assets_bucket=UPLOADS.assets_bucket,
    topic=UPLOADS.topic,
    cdn=Cdn(distribution_id) if (distribution_id := os.environ["DISTRIBUTION_ID"]) else None,
    is_moderated=bool(MODERATION.function_arn),
)

# The pause before a message is delivered again: this to the power of its receive count, in seconds, and up to half of
# that more, so that messages that failed together do not return together. With seven pauses before the eighth and last
# delivery (maxReceiveCount in components/avatar_pipeline.py), a message survives an outage of at least 254 seconds.
RETRY_BASE_SECONDS = 2
MAX_JITTER = 0.5
MAX_RETRY_SECONDS = 256

# An event this old may come from the dead-letter queue, which it reaches after 254 seconds at the earliest. An earlier
# delivery may have published the manifest and failed to announce it, and a redriven message has a receive count of 1
# again.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue-redrive.html
LATE = timedelta(minutes=4)

logger = logging.getLogger(__name__)


class _Message(TypedDict):
    messageId: str
    receiptHandle: str
    body: str
    attributes: dict[str, str]


class Batch(TypedDict):
    Records: list[_Message]


class _ItemFailure(TypedDict):
    itemIdentifier: str


class BatchResult(TypedDict):
    batchItemFailures: list[_ItemFailure]


def handle(batch: Batch, _context: object) -> BatchResult:
    failed = [message for message in batch["Records"] if not _handle_message(message)]
    for message in failed:
        _schedule_retry(message)
    return {"batchItemFailures": [{"itemIdentifier": message["messageId"]} for message in failed]}


def _receive_count(message: _Message) -> int:
    return int(message["attributes"]["ApproximateReceiveCount"])


def _handle_message(message: _Message) -> bool:
    """Whether the message succeeded."""
    is_redelivery = _receive_count(message) > 1
    try:
        objects = s3_events.created_objects(json.loads(message["body"]))
    except ValueError:
        logger.exception("not an S3 event", extra={"message_id": message["messageId"], **_count_failure()})
        return False
    # A list, not a generator: the objects after one that failed are processed too.
    results = [_process(its, is_redelivery or _is_late(its.at)) for its in objects]
    return all(results)


def _schedule_retry(message: _Message) -> None:
    """Make a failed message visible again after a pause that grows with every delivery.

    Without it, the message becomes visible after the queue's visibility timeout.
    """
    pause = min(RETRY_BASE_SECONDS ** _receive_count(message), MAX_RETRY_SECONDS)
    seconds = round(pause * random.uniform(1, 1 + MAX_JITTER))  # noqa: S311 - nothing secret depends on it
    extra = {"message_id": message["messageId"], "retry_seconds": seconds}
    try:
        SQS.change_message_visibility(
            QueueUrl=QUEUE_URL, ReceiptHandle=message["receiptHandle"], VisibilityTimeout=seconds
        )
    except (BotoCoreError, ClientError):
        logger.warning("message waits for the visibility timeout", extra=extra, exc_info=True)
    else:
        logger.info("message is retried", extra=extra)


def _is_late(created_at: datetime) -> bool:
    return datetime.now(UTC) - created_at > LATE


def _process(created: Created, may_be_repeated: bool) -> bool:
    """Whether it succeeded."""
    try:
        if created.key.startswith(storage_keys.DELETIONS):
            DELETIONS.process(created.key)
        else:
            UPLOADS.process(created, may_be_repeated=may_be_repeated)
    except UploadClaimedError:
        logger.info("waits for finish_upload", extra={"key": created.key})
        return False
    except Exception:  # any failure: the other objects of the batch are processed nevertheless
        logger.exception("failed, given back", extra={"key": created.key, **_count_failure()})
        return False
    return True


def _count_failure() -> dict[str, Any]:
    return METRICS.embed(Metric("FailedAttempts", "Count", 1))
