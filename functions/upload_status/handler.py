"""GET /avatars/uploads/{upload_id}: the status of one of the caller's uploads."""

import os
import time
from collections.abc import Mapping
from typing import Any

from functions.shared import http_api, storage_keys, upload_id
from functions.shared.aws import clients, s3

S3 = clients.create("s3", read_timeout_seconds=1)
UPLOADS_BUCKET = os.environ["UPLOADS_BUCKET"]
ASSETS_BUCKET = os.environ["ASSETS_BUCKET"]

# S3's clock decides when a form expires, and the event of an upload takes a while to arrive.
PENDING_MS = (upload_id.UPLOAD_WINDOW_SECONDS + 60) * 1000


def handle(event: http_api.Event, _context: object) -> http_api.Reply:
    subject = http_api.subject(event)
    requested: str = event["pathParameters"]["upload_id"]
    status = _status(subject, requested) if upload_id.belongs_to(requested, subject) else None
    if status is None:
        return http_api.failure(404, "not_found", "there is no such upload")
    return http_api.reply(200, {"upload_id": requested, **status})


def _status(subject: str, requested: str) -> Mapping[str, Any] | None:
    """None if there is no trace of the upload and its form has expired."""
    manifest = s3.get_json(S3, ASSETS_BUCKET, storage_keys.manifest_key(subject))
    if manifest and manifest["upload_id"] == requested:
        return {"status": "ready", "avatar": manifest}

    rejection = s3.get_json(S3, UPLOADS_BUCKET, storage_keys.rejection_key(subject, requested))
    if rejection:
        return {"status": "rejected", "reason": rejection["reason"]}

    # Superseded by a newer upload: the client that waits has its avatar.
    if manifest and manifest["upload_id"] > requested:
        return {"status": "ready", "avatar": manifest}

    if _is_recent(requested) or s3.head_object(S3, UPLOADS_BUCKET, storage_keys.incoming_key(subject, requested)):
        return {"status": "pending"}
    return None


def _is_recent(requested: str) -> bool:
    return time.time() * 1000 - upload_id.issued_at_ms(requested) < PENDING_MS
