"""Small JSON objects in S3, read by functions a user waits for."""

import json
import os
from datetime import timedelta
from typing import Any

import obstore
from obstore.store import S3Store


def open_bucket(bucket: str) -> S3Store:
    """A bucket; region, credentials and endpoint come from the AWS_ variables of the environment.

    A request fails within 8 seconds: obstore's own patience, three minutes, is longer than API Gateway waits.
    """
    return S3Store(
        bucket,
        client_options={
            "connect_timeout": "2s",
            "timeout": "4s",
            # Options given here replace what obstore reads of them in the environment.
            "allow_http": os.environ.get("AWS_ALLOW_HTTP") == "true",
        },
        retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=4)},
    )


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
