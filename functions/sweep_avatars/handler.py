"""The sweep of the assets bucket, which EventBridge Scheduler invokes once a day."""

import logging
import os
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from itertools import chain, takewhile
from typing import Any, Protocol

from functions.shared.aws import clients
from functions.shared.storage_keys import AVATARS
from functions.sweep_avatars.sweep import Sweep, list_subjects

S3 = clients.create("s3", read_timeout_seconds=2)
ASSETS_BUCKET = os.environ["ASSETS_BUCKET"]
ORIGINALS_LIFETIME = timedelta(days=int(os.environ["ORIGINALS_DAYS"]))

# For a chunk of subjects that has begun: its requests to S3, some slow ones included.
RESERVED_MS = 60_000

logger = logging.getLogger(__name__)


class SweepError(Exception):
    """Requests for some subjects failed."""


class Context(Protocol):
    def get_remaining_time_in_millis(self) -> int: ...


def handle(_event: object, context: Context) -> dict[str, Any]:
    """Sweep the whole bucket if the time suffices.

    Subjects are random UUIDs. Each day starts at another first digit: if the time never suffices, every subject is
    swept within 16 days nevertheless, and no state has to be kept.

    Raises:
        ClientError: S3 refused to list the bucket.
        BotoCoreError: there was no response.
        SweepError: requests for some subjects failed. The others were swept.
    """
    now = datetime.now(UTC)
    first = f"{now.toordinal() % 16:x}"
    subjects = chain(
        list_subjects(S3, ASSETS_BUCKET, start_after=AVATARS + first),
        takewhile(lambda subject: subject.name < first, list_subjects(S3, ASSETS_BUCKET)),
    )
    sweep = Sweep(S3, ASSETS_BUCKET, ORIGINALS_LIFETIME, now)
    result = sweep.run(subjects, lambda: context.get_remaining_time_in_millis() > RESERVED_MS)
    logger.info("swept", extra={"first": first, **asdict(result)})
    if result.failed:
        raise SweepError(f"{result.failed} subjects were not swept")
    return asdict(result)
