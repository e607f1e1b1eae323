"""GET /avatars/me: the manifest of the caller's avatar."""

import os

from functions.shared import http_api, storage_keys
from functions.shared.aws import clients, s3

S3 = clients.create("s3", read_timeout_seconds=1)
ASSETS_BUCKET = os.environ["ASSETS_BUCKET"]


def handle(event: http_api.Event, _context: object) -> http_api.Reply:
    manifest = s3.get_json(S3, ASSETS_BUCKET, storage_keys.manifest_key(http_api.subject(event)))
    if manifest is None:
        return http_api.failure(404, "not_found", "there is no avatar yet")
    return http_api.reply(200, manifest)
