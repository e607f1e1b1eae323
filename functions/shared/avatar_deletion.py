"""The deletion of a user's avatar, with everything else that the user uploaded.

The request is recorded first, as an object whose event process_avatar gets: it deletes what is left, however the
invocation ends. Then the avatar is replaced by the record of its deletion, so that nobody is shown it any more. S3 is
the only service that this needs, also in a VPC without another way out.
"""

import time
from collections.abc import Iterator
from itertools import islice

from botocore.client import BaseClient

from functions.shared import storage_keys, stored_avatar, upload_id
from functions.shared.aws import s3

_ENOUGH = 10  # uploads of a user that are processed at once


class AvatarDeletion:
    def __init__(self, client: BaseClient, *, uploads_bucket: str, assets_bucket: str) -> None:
        self._s3 = client
        self._uploads_bucket = uploads_bucket
        self._assets_bucket = assets_bucket

    def delete(self, subject: str) -> None:
        """Delete the avatar of a user, and what the user has uploaded before. Idempotent.

        Raises:
            stored_avatar.ContentionError: an object changed at every attempt.
            ClientError: S3 refused a request.
            BotoCoreError: there was no response.
        """
        if existing := list(self._find_uploads(subject)):
            # Newer than what is there, even if the clock of another execution environment is ahead of this one's.
            now_ms = max(int(time.time() * 1000), *(upload_id.parse_time_ms(each) + 1 for each in existing))
            deletion_id = upload_id.create(subject, now_ms)
            self._s3.put_object(Bucket=self._uploads_bucket, Key=storage_keys.deletion_key(subject, deletion_id))
            stored_avatar.delete(self._s3, self._assets_bucket, subject, deletion_id)

    def _find_uploads(self, subject: str) -> Iterator[str]:
        """Yield the IDs of uploads that have left something; none if there is nothing to delete.

        In this order: an upload that is processed meanwhile is found as an original, as a rejection or as a manifest.
        """
        for prefix in (storage_keys.incoming_prefix(subject), storage_keys.rejected_prefix(subject)):
            for its in islice(s3.list_objects(self._s3, self._uploads_bucket, prefix), _ENOUGH):
                found = its.key.removeprefix(prefix).removesuffix(".json")
                if upload_id.is_owned_by(found, subject):
                    yield found
        manifest = stored_avatar.read_manifest(self._s3, self._assets_bucket, subject)
        if manifest and not manifest.is_deleted:
            yield manifest.upload_id
