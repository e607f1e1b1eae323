"""Has an original processed again whose event was lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import boto3
from botocore.exceptions import ClientError as AwsError

from client.session import ClientError
from functions.shared import storage_keys


def reprocess(outputs: Mapping[str, Any], subject: str, upload_id: str) -> None:
    """Copies an original onto itself, which makes S3 send a new event.

    S3 requires that such a copy replaces the metadata, which contain the user's crop: the same are given again.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
    Uses the AWS credentials in `outputs["operator"]`, which only a local run has, or else those of the environment.

    Raises:
        ClientError: There is no such original.
    """
    s3 = boto3.client("s3", **outputs.get("operator", {}))
    original = {"Bucket": outputs["uploadsBucket"], "Key": storage_keys.incoming_key(subject, upload_id)}
    try:
        existing = s3.head_object(**original)
    except AwsError as error:
        if error.response["Error"]["Code"] == "404":
            raise ClientError(
                f"there is no original {original['Key']}: it was processed, or never uploaded, or has expired"
            ) from error
        raise
    s3.copy_object(
        **original,
        CopySource=original,
        MetadataDirective="REPLACE",
        Metadata=existing["Metadata"],
        ContentType=existing["ContentType"],
    )
