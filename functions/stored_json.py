"""Small JSON objects in S3, read by functions a user waits for."""

import json
from typing import Any

import obstore
from obstore.store import S3Store


def read(store: S3Store, key: str) -> dict[str, Any] | None:
    """The object under `key`, None if there is none. Needs s3:ListBucket: without it S3 answers 403, not 404."""
    try:
        return json.loads(bytes(obstore.get(store, key).bytes()))
    except FileNotFoundError:
        return None


def exists(store: S3Store, key: str) -> bool:
    try:
        obstore.head(store, key)
    except FileNotFoundError:
        return False
    return True
