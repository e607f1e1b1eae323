"""DELETE /avatars/me: the caller has no avatar any more.

The request is recorded first, as an object whose event process_avatar gets: it deletes what is left, however this
invocation ends. Then the avatar is replaced by the record of its deletion, so that nobody is shown it any more.
"""

import os
import time
from collections.abc import Iterator
from itertools import islice

from functions.shared import http_api, storage_keys, stored_avatar, upload_id
from functions.shared.aws import clients, s3

S3 = clients.create("s3", read_timeout_seconds=1)
UPLOADS_BUCKET = os.environ["UPLOADS_BUCKET"]
ASSETS_BUCKET = os.environ["ASSETS_BUCKET"]

_ENOUGH = 10  # uploads of a user that are processed at once


def handle(event: http_api.Event, _context: object) -> http_api.Response:
    subject = http_api.get_subject(event)
    if existing := list(_find_uploads(subject)):
        # Newer than what is there, even if the clock of another execution environment is ahead of this one's.
        now_ms = max(int(time.time() * 1000), *(upload_id.parse_time_ms(each) + 1 for each in existing))
        deletion_id = upload_id.create(subject, now_ms)
        S3.put_object(Bucket=UPLOADS_BUCKET, Key=storage_keys.deletion_key(subject, deletion_id))
        stored_avatar.delete(S3, ASSETS_BUCKET, subject, deletion_id)
    return http_api.no_content()


def _find_uploads(subject: str) -> Iterator[str]:
    """Yield the IDs of uploads that have left something; none if there is nothing to delete.

    In this order: an upload that is processed meanwhile is found as an original, as a rejection or as a manifest.
    """
    for prefix in (storage_keys.incoming_prefix(subject), storage_keys.rejected_prefix(subject)):
        for its in islice(s3.list_objects(S3, UPLOADS_BUCKET, prefix), _ENOUGH):
            found = its.key.removeprefix(prefix).removesuffix(".json")
            if upload_id.is_owned_by(found, subject):
                yield found
    manifest = stored_avatar.read_manifest(S3, ASSETS_BUCKET, subject)
    if manifest and not manifest.is_deleted:
        yield manifest.upload_id
