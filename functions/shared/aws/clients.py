"""The boto3 clients of the functions, all with one configuration of timeouts and retries.

The retry mode is `standard`: botocore retries what is transient (a connection error, a timeout, 429, 500, 502, 503,
504, throttling) with a jittered exponential backoff. `adaptive` is experimental and also throttles the client itself,
which would delay users after S3 has slowed down another request of the same execution environment.
https://docs.aws.amazon.com/boto3/latest/guide/retries.html

One call takes at most

    MAX_ATTEMPTS × (CONNECT_TIMEOUT_SECONDS + read timeout) + 0.15 seconds of backoff

as long as the service is not throttling: then the pauses are up to 1 and 2 seconds, and longer if the response asks
for it. With a read timeout of 1 second that is 4.65 seconds, below the 5 seconds of the functions behind the API and
API Gateway's 30; with 2 seconds it is 7.65, for which the 14 seconds of process_avatar have room.
The connect timeout applies to each address of a host that does not answer, and the read timeout to each read.
"""

import logging
import os

import boto3
from botocore.client import BaseClient
from botocore.config import Config

MAX_ATTEMPTS = 3

# At INFO botocore logs in each cold start where it found the credentials.
logging.getLogger("botocore").setLevel(logging.WARNING)

# A lost SYN is sent again after 1 second (RFC 6298, section 2): a new attempt is faster.
CONNECT_TIMEOUT_SECONDS = 0.5


def create(
    service: str,
    *,
    read_timeout_seconds: float,
    max_attempts: int = MAX_ATTEMPTS,
    region: str | None = None,
    endpoint_url: str | None = None,
) -> BaseClient:
    """A client of `service`, in the function's own region unless `region` is given.

    It is thread-safe and keeps its connections: create it once, when the module is imported.

    Raises:
        KeyError: AWS_REGION is not set.
    """
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        read_timeout=read_timeout_seconds,
        retries={"mode": "standard", "total_max_attempts": max_attempts},
        # The default in us-east-1 is the global endpoint, which redirects requests for new buckets.
        s3={"us_east_1_regional_endpoint": "regional"},
    )
    return boto3.client(  # pyright: ignore[reportUnknownVariableType, reportCallIssue]
        service,  # pyright: ignore[reportArgumentType]
        region_name=region or os.environ["AWS_REGION"],
        endpoint_url=endpoint_url,
        config=config,
    )
