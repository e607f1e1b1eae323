"""GET /avatars/me: the manifest of the caller's avatar."""

import os

from functions.shared import http_api, stored_avatar
from functions.shared.aws import clients

S3 = clients.create("s3", read_timeout_seconds=1)
ASSETS_BUCKET = os.environ["ASSETS_BUCKET"]
CDN_URL = os.environ["CDN_URL"]


def handle(event: http_api.Event, _context: object) -> http_api.Response:
    manifest = stored_avatar.read_avatar(S3, ASSETS_BUCKET, http_api.get_subject(event), CDN_URL)
    if manifest is None:
        return http_api.error_response(404, "not_found", "there is no avatar yet")
    return http_api.response(200, manifest)
