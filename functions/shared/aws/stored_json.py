"""Small JSON objects in S3."""

import json
from typing import Any

from functions.shared.aws.object_store import Bucket


def read(bucket: Bucket, key: str) -> dict[str, Any] | None:
    """The object under `key`, None if there is none."""
    stored = bucket.get(key)
    return None if stored is None else json.loads(stored.data)
