"""Lists held uploads, and decides about them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from functions.shared import storage_keys
from functions.shared.aws import s3
from functions.shared.moderation_decision import MAX_REASON_CHARACTERS, Decision
from functions.shared.stored_avatar import read_manifest
from operations.operated_stack import OperatedStack, OperationError
from operations.reprocessing import copy_onto_itself

# Of the SHA-256 in hexadecimal: enough that a user cannot make two files that have them in common.
_FILE_DIGITS = 32


class HeldUpload(NamedTuple):
    subject: str
    name: str
    """<upload_id>-<digits of the SHA-256 of the file>"""
    since: str
    reason: str | None
    is_superseded: bool
    """Whether a newer upload is published: nothing is to be decided any more."""
    url: str
    """Of the original, valid for ten minutes."""


def list_held(stack: OperatedStack) -> Iterator[HeldUpload]:
    """Yields held uploads whose originals exist, in the order of their subjects."""
    bucket = stack.get_output("uploadsBucket")
    for listed in s3.list_objects(stack.s3, bucket, storage_keys.HELD):
        subject, upload_id = storage_keys.parse_held_key(listed.key)
        record = s3.get_json(stack.s3, bucket, listed.key)
        original = {"Bucket": bucket, "Key": storage_keys.incoming_key(subject, upload_id)}
        existing = s3.head_object(stack.s3, bucket, original["Key"])
        if record and existing and existing["ETag"] == record["etag"]:
            yield HeldUpload(
                subject,
                f"{upload_id}-{record['sha256'][:_FILE_DIGITS]}",
                record["at"],
                record["reason"],
                _is_superseded(stack, subject, upload_id),
                stack.presign(**original),
            )


def decide(stack: OperatedStack, subject: str, name: str, decision: Decision) -> bool:
    """Copies a held original onto itself with the decision as metadata, which makes S3 send a new event.

    `name` is that of the HeldUpload: the user may have posted another file since it was listed.

    Returns:
        Whether the decision has no effect, because a newer upload is published.

    Raises:
        OperationError: The upload is not held, or is not the file that is held, or the reason is too long.
    """
    if len(decision.reason or "") > MAX_REASON_CHARACTERS:
        raise OperationError(f"a reason has at most {MAX_REASON_CHARACTERS} characters")
    upload_id, _, digits = name.partition("-")
    bucket, key = stack.get_output("uploadsBucket"), storage_keys.incoming_key(subject, upload_id)
    record = s3.get_json(stack.s3, bucket, storage_keys.held_key(subject, upload_id))
    existing = s3.head_object(stack.s3, bucket, key)
    if record is None or existing is None:
        raise OperationError(
            f"{upload_id} of {subject} is not held: it was decided, deleted, superseded, or has expired"
        )
    if len(digits) != _FILE_DIGITS or not record["sha256"].startswith(digits):
        raise OperationError(f"{name} is not the file that is held: name it as it is listed, with its digits")
    is_superseded = _is_superseded(stack, subject, upload_id)
    metadata = {**existing["Metadata"], **decision.to_metadata(record["sha256"])}
    copy_onto_itself(stack, {"Bucket": bucket, "Key": key}, record["etag"], metadata, existing["ContentType"])
    return is_superseded


def _is_superseded(stack: OperatedStack, subject: str, upload_id: str) -> bool:
    manifest = read_manifest(stack.s3, stack.get_output("assetsBucket"), subject)
    return manifest is not None and manifest.upload_id > upload_id
