"""POST /avatars/uploads/{upload_id}/finish: processes one of the caller's uploads without waiting for its event.

It does what process_avatar does when the event arrives, with less patience: the caller looks at the status instead when
this fails or takes long, and process_avatar repeats what is missing.
"""

import logging
from typing import Any

from functions.process_avatar.environment import create_uploads
from functions.process_avatar.imaging.formats import ImageRejectedError
from functions.process_avatar.imaging.render_process import RenderProcess
from functions.process_avatar.imaging.rendition import Rendition
from functions.shared import http_api, upload_id, upload_status
from functions.shared.metrics import Metric

# Together below the function's timeout (components/avatar_pipeline.py), unless several steps take as long as they may.
_READ_TIMEOUT_SECONDS = 1
_MAX_ATTEMPTS = 2
_RENDER_SECONDS = 3
_MODERATION_SECONDS = 4
# The function has less memory than process_avatar, for any photo of a phone. In addition to the address space after the
# start.
_RENDER_MEMORY_BYTES = 300_000_000

RENDER_PROCESS = RenderProcess(memory_bytes=_RENDER_MEMORY_BYTES, timeout_seconds=_RENDER_SECONDS)

logger = logging.getLogger(__name__)


class _TooLargeError(Exception):
    """The image needs more memory or time than there is here. Process_avatar decides whether it is too large."""


def _render(data: bytes, **options: Any) -> Rendition:
    try:
        return RENDER_PROCESS.render(data, **options)
    except ImageRejectedError as error:
        if error.reason == "too_many_pixels":
            raise _TooLargeError from error
        raise


UPLOADS = create_uploads(
    _render,
    read_timeout_seconds=_READ_TIMEOUT_SECONDS,
    moderation_timeout_seconds=_MODERATION_SECONDS,
    max_attempts=_MAX_ATTEMPTS,
)


def handle(event: http_api.Event, _context: object) -> http_api.Response:
    subject = http_api.get_subject(event)
    requested: str = event["pathParameters"]["upload_id"]
    status = _finish(subject, requested) if upload_id.is_owned_by(requested, subject) else None
    if status is None:
        return http_api.error_response(404, "not_found", "nothing was posted with the form of this upload")
    return http_api.response(202 if status is upload_status.PENDING else 200, {"upload_id": requested, **status})


def _finish(subject: str, requested: str) -> upload_status.Status | None:
    try:
        return UPLOADS.finish(subject, requested)
    except Exception:  # any failure: process_avatar gets the event of the upload
        counted = UPLOADS.metrics.embed(Metric("FailedFinishes", "Count", 1))
        details = {"subject": subject, "upload_id": requested, **counted}
        logger.warning("left to process_avatar", exc_info=True, extra=details)
        return upload_status.PENDING
