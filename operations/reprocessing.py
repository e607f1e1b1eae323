"""Has an original processed again whose event was lost."""

from __future__ import annotations

from botocore.exceptions import ClientError

from functions.shared import storage_keys
from operations.operated_stack import OperatedStack, OperationError


def reprocess(stack: OperatedStack, subject: str, upload_id: str) -> None:
    """Copies an original onto itself, which makes S3 send a new event.

    S3 requires that such a copy replaces the metadata, which contain the user's crop: the same are given again.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html

    Raises:
        OperationError: There is no such original.
    """
    original = {"Bucket": stack.get_output("uploadsBucket"), "Key": storage_keys.incoming_key(subject, upload_id)}
    try:
        existing = stack.s3.head_object(**original)
    except ClientError as error:
        if error.response["Error"]["Code"] == "404":
            raise OperationError(
                f"there is no original {original['Key']}: it was processed, or never uploaded, or has expired"
            ) from error
        raise
    stack.s3.copy_object(
        **original,
        CopySource=original,
        MetadataDirective="REPLACE",
        Metadata=existing["Metadata"],
        ContentType=existing["ContentType"],
    )
