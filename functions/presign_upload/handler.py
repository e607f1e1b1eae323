"""POST /avatars/key_upload: a form that uploads one picture straight to S3."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from functions.presign_upload import content_types, upload_form
from functions.shared import http_api, storage_keys, upload_id
from functions.shared.output_sizes import STABLE_JPEG_SIZE
from functions.shared.square_crop import METADATA_KEY, SquareCrop

BUCKET = os.environ["UPLOADS_BUCKET"]
MAX_BYTES = int(os.environ["MAX_UPLOAD_BYTES"])
# More pixels do not make the outputs better, and with fewer they lose detail: docs/benchmarks.md.
USEFUL_EDGE = 3 * max(int(os.environ["LARGEST_SIZE"]), STABLE_JPEG_SIZE) // 2
REGION = os.environ["AWS_REGION"]
CREDENTIALS = upload_form.Credentials.from_environment()
URL = upload_form.bucket_url(BUCKET, REGION, os.environ.get("AWS_ENDPOINT_URL_S3"))


def handle(event: http_api.Event, _context: object) -> http_api.Response:
    try:
        request = http_api.parse_json_object(event)
        content_type = content_types.requested(request)
        _check_size(request)
        crop = _crop(request)
    except http_api.ClientError as error:
        return error.response
    return http_api.response(200, _upload(http_api.get_subject(event), content_type, crop))


def _check_size(request: Mapping[str, Any]) -> None:
    """Refuse a size now that S3 would refuse after the upload. A request may leave the size out."""
    if "size" not in request:
        return
    size = request["size"]
    if type(size) is not int or size < 1:  # not isinstance: a bool is an int
        raise http_api.ClientError(400, "invalid_size", f"size {size!r:.80} is not a whole number of bytes above 0")
    if size > MAX_BYTES:
        raise http_api.ClientError(413, "size_too_large", f"size {size!r:.80} is above the limit of {MAX_BYTES} bytes")


def _crop(request: Mapping[str, Any]) -> SquareCrop | None:
    """None if the request has no crop: the square is then cut from the center."""
    if request.get("crop") is None:
        return None
    try:
        return SquareCrop.from_request(request["crop"])
    except ValueError as error:
        raise http_api.ClientError(400, "invalid_crop", str(error)) from error


def _upload(subject: str, content_type: str, crop: SquareCrop | None) -> dict[str, object]:
    now = datetime.now(UTC)
    expires_at = now + timedelta(seconds=upload_id.UPLOAD_WINDOW_SECONDS)
    new_id = upload_id.create(subject, int(now.timestamp() * 1000))
    form = upload_form.sign(
        bucket=BUCKET,
        key=storage_keys.incoming_key(subject, new_id),
        content_type=content_type,
        metadata={METADATA_KEY: crop.text} if crop else {},
        max_bytes=MAX_BYTES,
        expires_at=expires_at,
        url=URL,
        region=REGION,
        credentials=CREDENTIALS,
        now=now,
    )
    return {
        "upload_id": new_id,
        "url": form.url,
        "fields": form.fields,
        "max_bytes": MAX_BYTES,
        "useful_edge": USEFUL_EDGE,
        "expires_at": upload_form.iso(expires_at),
    }
