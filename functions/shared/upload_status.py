"""The status of an upload, as the API returns it: docs/api.md, GET /avatars/uploads/{upload_id}."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from botocore.client import BaseClient

from functions.shared import storage_keys, stored_avatar
from functions.shared.aws import s3

Status: TypeAlias = Mapping[str, Any]
"""`status`, and `reason` or `avatar`."""

PENDING: Status = {"status": "pending"}
HELD: Status = {"status": "held"}


def rejected(reason: str) -> Status:
    return {"status": "rejected", "reason": reason}


def of_manifest(manifest: stored_avatar.Manifest, cdn_url: str) -> Status:
    """The status of an upload whose user has this manifest, of that upload or a newer one, or of a deletion."""
    if stored_avatar.is_deletion(manifest):
        return rejected("deleted")
    return {"status": "ready", "avatar": stored_avatar.with_absolute_urls(manifest, cdn_url)}


def find_result(
    client: BaseClient,
    *,
    uploads_bucket: str,
    assets_bucket: str,
    cdn_url: str,
    is_moderated: bool,
    subject: str,
    upload_id: str,
) -> Status | None:
    """The result of an upload, None if there is none yet.

    A manifest comes first, of this upload or a newer one, which the waiting client has now: it never goes back to an
    older one, so that what was ready stays ready whenever a rejection is recorded, until the user deletes the avatar.

    Raises:
        ClientError: S3 refused a request.
        BotoCoreError: there was no response.
    """
    manifest = stored_avatar.read_manifest(client, assets_bucket, subject)
    if manifest and manifest.upload_id >= upload_id:
        return of_manifest(manifest.content, cdn_url)
    if rejection := s3.get_json(client, uploads_bucket, storage_keys.rejection_key(subject, upload_id)):
        return rejected(rejection["reason"])
    if is_moderated and s3.head_object(client, uploads_bucket, storage_keys.held_key(subject, upload_id)):
        return HELD
    return None
