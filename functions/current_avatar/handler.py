"""GET /avatars/me: the manifest of the caller's avatar."""

import os

from functions.shared import http_api, storage_keys, stored_avatar
from functions.shared.aws import clients

S3 = clients.create("s3", read_timeout_seconds=1)
ASSETS_BUCKET = os.environ["ASSETS_BUCKET"]
CDN_URL = os.environ["CDN_URL"]


def handle(event: http_api.Event, _context: object) -> http_api.Response:
    subject = http_api.get_subject(event)
    manifest = stored_avatar.read_avatar(S3, ASSETS_BUCKET, subject, CDN_URL)
    if manifest is None:
        error = {"code": "not_found", "message": "there is no avatar yet"}
        # Where the avatar will be, and until then the default image.
        url = f"{CDN_URL}/{storage_keys.stable_key(subject)}"
        return http_api.response(404, {"error": error, "subject": subject, "url": url})
    return http_api.response(200, manifest)
