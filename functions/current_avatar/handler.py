"""GET /avatars/me: the manifest of the caller's avatar."""

import os

from functions.shared import http_api, storage_keys
from functions.shared.aws import stored_json
from functions.shared.aws.object_store import Bucket

ASSETS = Bucket(os.environ["ASSETS_BUCKET"], patience_seconds=4)  # a browser is waiting


def handle(event: http_api.Event, _context: object) -> http_api.Response:
    manifest = stored_json.read(ASSETS, storage_keys.manifest_key(http_api.get_subject(event)))
    if manifest is None:
        return http_api.error_response(404, "not_found", "there is no avatar yet")
    return http_api.response(200, manifest)
