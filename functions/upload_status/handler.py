"""GET /avatars/uploads/{upload_id}: what became of one of the caller's uploads."""

import os
import time
from collections.abc import Mapping
from typing import Any

from functions.shared import http_api, storage_keys, upload_id
from functions.shared.aws import stored_json
from functions.shared.aws.object_store import Bucket

_PATIENCE_SECONDS = 4  # a browser is waiting, and asks again anyhow

UPLOADS = Bucket(os.environ["UPLOADS_BUCKET"], patience_seconds=_PATIENCE_SECONDS)
ASSETS = Bucket(os.environ["ASSETS_BUCKET"], patience_seconds=_PATIENCE_SECONDS)

# A form may be used until its window closes by S3's clock, and the event of it may still be on its way.
STILL_COMING_MS = (upload_id.UPLOAD_WINDOW_SECONDS + 60) * 1000


def handle(event: http_api.Event, _context: object) -> http_api.Response:
    subject = http_api.get_subject(event)
    asked: str = event["pathParameters"]["upload_id"]
    status = _status(subject, asked) if upload_id.is_owned_by(asked, subject) else None
    if status is None:
        return http_api.error_response(404, "not_found", "there is no such upload")
    return http_api.response(200, {"upload_id": asked, **status})


def _status(subject: str, asked: str) -> Mapping[str, Any] | None:
    """None if nothing is known of the upload and nothing can come of it any more."""
    manifest = stored_json.read(ASSETS, storage_keys.manifest_key(subject))
    if manifest and manifest["upload_id"] == asked:
        return {"status": "ready", "avatar": manifest}

    rejection = stored_json.read(UPLOADS, storage_keys.rejection_key(subject, asked))
    if rejection:
        return {"status": "rejected", "reason": rejection["reason"]}

    # A newer upload has taken its place: for whoever waits, the avatar is there.
    if manifest and manifest["upload_id"] > asked:
        return {"status": "ready", "avatar": manifest}

    if _is_young(asked) or UPLOADS.head(storage_keys.incoming_key(subject, asked)) is not None:
        return {"status": "pending"}
    return None


def _is_young(asked: str) -> bool:
    return time.time() * 1000 - upload_id.parse_time_ms(asked) < STILL_COMING_MS
