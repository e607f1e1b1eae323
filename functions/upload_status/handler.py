"""GET /avatars/uploads/{upload_id}: the status of one of the caller's uploads."""

import os
import time

from functions.shared import http_api, storage_keys, upload_id, upload_status
from functions.shared.aws import clients, s3

S3 = clients.create("s3", read_timeout_seconds=1)
UPLOADS_BUCKET = os.environ["UPLOADS_BUCKET"]
ASSETS_BUCKET = os.environ["ASSETS_BUCKET"]
CDN_URL = os.environ["CDN_URL"]
IS_MODERATED = bool(os.environ["IS_MODERATED"])

# S3's clock decides when a form expires, and the event of an upload takes a while to arrive.
PENDING_MS = (upload_id.UPLOAD_WINDOW_SECONDS + 60) * 1000


def handle(event: http_api.Event, _context: object) -> http_api.Response:
    subject = http_api.get_subject(event)
    requested: str = event["pathParameters"]["upload_id"]
    status = _status(subject, requested) if upload_id.is_owned_by(requested, subject) else None
    if status is None:
        return http_api.error_response(404, "not_found", "there is no such upload")
    return http_api.response(200, {"upload_id": requested, **status})


def _status(subject: str, requested: str) -> upload_status.Status | None:
    """None if there is no trace of the upload and its form has expired."""
    if result := _find_result(subject, requested):
        return result
    if _is_recent(requested) or s3.head_object(S3, UPLOADS_BUCKET, storage_keys.incoming_key(subject, requested)):
        return upload_status.PENDING
    # The original is deleted after the result is written: it may have been processed since the result was looked for.
    return _find_result(subject, requested)


def _find_result(subject: str, requested: str) -> upload_status.Status | None:
    return upload_status.find_result(
        S3,
        uploads_bucket=UPLOADS_BUCKET,
        assets_bucket=ASSETS_BUCKET,
        cdn_url=CDN_URL,
        is_moderated=IS_MODERATED,
        subject=subject,
        upload_id=requested,
    )


def _is_recent(requested: str) -> bool:
    return time.time() * 1000 - upload_id.parse_time_ms(requested) < PENDING_MS
