"""Has an original processed again: one whose event was lost, or about which an operator has decided."""

from __future__ import annotations

from collections.abc import Mapping

from botocore.exceptions import ClientError

from functions.shared import storage_keys
from operations.operated_stack import OperatedStack, OperationError


def reprocess(stack: OperatedStack, subject: str, upload_id: str) -> None:
    """Makes S3 send the event of an original again.

    Raises:
        OperationError: There is no such original, or it is replaced at the moment.
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
    copy_onto_itself(stack, original, existing["ETag"], existing["Metadata"], existing["ContentType"])


def copy_onto_itself(
    stack: OperatedStack, original: Mapping[str, str], etag: str, metadata: Mapping[str, str], content_type: str
) -> None:
    """Copies an original with that ETag onto itself, which makes S3 send a new event.

    S3 requires that such a copy replaces the metadata, which contain the user's crop.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html

    Raises:
        OperationError: The user has posted another file with the same form, which stays as it is.
    """
    try:
        stack.s3.copy_object(
            **original,
            CopySource=original,
            CopySourceIfMatch=etag,
            MetadataDirective="REPLACE",
            Metadata=metadata,
            ContentType=content_type,
        )
    except ClientError as error:
        if error.response["Error"]["Code"] == "PreconditionFailed":
            raise OperationError(f"{original['Key']} is another file now: it was posted with the same form") from error
        raise
