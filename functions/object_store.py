"""S3 through obstore, which is ready to work in a tenth of the time boto3 takes to be imported."""

import os
from datetime import timedelta

from obstore.store import S3Store


def open_bucket(name: str, *, patience_seconds: int) -> S3Store:
    """A bucket; region, credentials and endpoint come from the AWS_ variables of the environment.

    A request is repeated while less than `patience_seconds` have passed, and each attempt takes that long at most.
    obstore's own patience is three minutes: longer than API Gateway waits, and than SQS keeps a message hidden.
    """
    return S3Store(
        name,
        client_options={
            "connect_timeout": "2s",
            "timeout": f"{patience_seconds}s",
            # Options given here replace what obstore reads of them in the environment.
            "allow_http": os.environ.get("AWS_ALLOW_HTTP") == "true",
        },
        retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=patience_seconds)},
    )
