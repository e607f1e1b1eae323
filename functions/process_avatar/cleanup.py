"""Cleanup of superseded avatars: their variants are deleted once no cached manifest names them.

The queue that delivers the uploads also delivers the cleanup messages, with a delay, and so retries those that fail.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

from botocore.client import BaseClient

from functions.process_avatar import publishing
from functions.shared.storage_keys import variant_key

# Ten times the max-age of a manifest, and below the 15 minutes after which the alarm for the oldest message goes off.
DELAY_SECONDS = 600


@dataclass(frozen=True)
class SupersededAvatar:
    """The variants of one version of an avatar."""

    subject: str
    version: str
    sizes: list[int]

    @classmethod
    def from_manifest(cls, manifest: publishing.Manifest) -> "SupersededAvatar":
        images: list[dict[str, Any]] = manifest["images"]
        return cls(manifest["subject"], manifest["version"], [image["size"] for image in images])

    def to_message(self) -> str:
        return json.dumps({"cleanup": asdict(self)})


def parse_message(message: object) -> SupersededAvatar | None:
    """What a decoded message asks to delete; None if it is not a cleanup message.

    Raises:
        ValueError: it is a malformed cleanup message.
    """
    if not isinstance(message, dict) or "cleanup" not in message:
        return None
    try:
        return SupersededAvatar(**message["cleanup"])
    except TypeError as error:
        raise ValueError(f"malformed cleanup message: {error}") from error


class CleanupQueue:
    def __init__(self, sqs: BaseClient, url: str) -> None:
        self._sqs = sqs
        self._url = url

    def schedule(self, manifest: publishing.Manifest) -> None:
        """Have the variants that `manifest` names deleted after DELAY_SECONDS.

        Raises:
            ClientError: SQS refused the message.
            BotoCoreError: there was no response.
        """
        body = SupersededAvatar.from_manifest(manifest).to_message()
        self._sqs.send_message(QueueUrl=self._url, MessageBody=body, DelaySeconds=DELAY_SECONDS)


def delete_variants(s3: BaseClient, assets_bucket: str, avatar: SupersededAvatar) -> None:
    """Delete the variants, unless they are still current: the upload that was to supersede them may have failed.

    Raises:
        ClientError: S3 refused a request.
        BotoCoreError: there was no response.
    """
    current = publishing.read_manifest(s3, assets_bucket, avatar.subject)
    if current is None or current.manifest["version"] != avatar.version:
        for size in avatar.sizes:
            # DeleteObject is free of charge (https://aws.amazon.com/s3/pricing/); DeleteObjects would save time only.
            s3.delete_object(Bucket=assets_bucket, Key=variant_key(avatar.subject, avatar.version, size))
