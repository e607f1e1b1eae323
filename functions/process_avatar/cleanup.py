"""Former avatars: their pictures are taken away when nobody should be looking at them any more.

Not at once: manifests are cached for a minute, and what they name must be there as long. So the queue that brings
uploads brings, with a delay, also what is to be taken away; what fails is tried again like everything in it.
"""

import json
import os
from typing import Any, NamedTuple

from functions.process_avatar import publishing
from functions.process_avatar.aws_query import QueryApi
from functions.shared.aws.object_store import Bucket
from functions.shared.storage_keys import variant_key

# Ten times what a manifest may be stale, and below the quarter of an hour after which a waiting message is an alarm.
DELAY_SECONDS = 600


class Former(NamedTuple):
    """The pictures of one version of an avatar."""

    subject: str
    version: str
    sizes: list[int]

    def message(self) -> str:
        return json.dumps({"retire": self._asdict()})


def read(message: object) -> Former | None:
    """What a decoded message asks to take away; None if it is of another kind. ValueError if it is broken."""
    if not isinstance(message, dict) or "retire" not in message:
        return None
    try:
        return Former(**message["retire"])
    except TypeError as error:
        raise ValueError(f"not what is to be retired: {error}") from error


def of(manifest: publishing.Manifest) -> Former:
    sizes: list[dict[str, Any]] = manifest["images"]
    return Former(manifest["subject"], manifest["version"], [image["size"] for image in sizes])


class Retirement:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html"""

    def __init__(self, queue_url: str) -> None:
        self._queue_url = queue_url
        self._sqs = QueryApi("sqs", os.environ["AWS_REGION"], "2012-11-05")

    def schedule(self, manifest: publishing.Manifest) -> None:
        """Have the pictures a manifest names taken away later. QueryError if SQS refuses it."""
        self._sqs.call(
            "SendMessage",
            {
                "QueueUrl": self._queue_url,
                "MessageBody": of(manifest).message(),
                "DelaySeconds": str(DELAY_SECONDS),
            },
        )


def remove(assets: Bucket, former: Former) -> None:
    """Delete the pictures, unless they are current still: the upload that was to replace them may have failed."""
    current = publishing.current(assets, former.subject)
    if current is None or current.manifest["version"] != former.version:
        for size in former.sizes:
            # One by one: this way deleting is free (https://aws.amazon.com/s3/pricing/), and nobody waits for it.
            assets.delete(variant_key(former.subject, former.version, size))
