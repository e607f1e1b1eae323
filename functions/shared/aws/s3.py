"""What the functions need of S3 that boto3's client does not do by itself."""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, NamedTuple

from botocore.client import BaseClient
from botocore.exceptions import ClientError, FlexibleChecksumError, HTTPClientError, IncompleteReadError

from functions.shared.aws.clients import MAX_ATTEMPTS

_INCOMPLETE_BODY = (HTTPClientError, IncompleteReadError, FlexibleChecksumError)


class PreconditionFailedError(Exception):
    """The object is not the one that a conditional write was to replace."""


@dataclass(frozen=True)
class StoredObject:
    data: bytes
    """Empty if `size` is above the limit that was given."""
    size: int
    etag: str
    """In quotes, as S3 writes it."""
    metadata: Mapping[str, str]
    last_modified: datetime
    """UTC, in whole seconds."""


class ListedObject(NamedTuple):
    key: str
    size: int
    last_modified: datetime
    """UTC, in whole seconds."""


def list_objects(client: BaseClient, bucket: str, prefix: str, *, start_after: str = "") -> Iterator[ListedObject]:
    """List the objects whose keys have that prefix, in the order of their keys, from the first after `start_after`.

    Raises:
        ClientError: S3 refused a request.
        BotoCoreError: there was no response.
    """
    is_truncated = True
    while is_truncated:
        page = client.list_objects_v2(Bucket=bucket, Prefix=prefix, StartAfter=start_after)
        is_truncated = page["IsTruncated"]
        for entry in page.get("Contents", []):
            start_after = entry["Key"]
            yield ListedObject(entry["Key"], entry["Size"], entry["LastModified"])


def get_object(client: BaseClient, bucket: str, key: str, *, max_bytes: int | None = None) -> StoredObject | None:
    """The object, or None if there is none. The body of an object above `max_bytes` is not read.

    boto3 retries until it has the headers of a response; here the request is also retried when the body breaks off.
    Needs s3:ListBucket: without it, S3 answers 403 for a missing key.

    Raises:
        ClientError: S3 refused the request.
        BotoCoreError: there was no response, or not all of it.
    """
    attempt = 1
    while True:
        try:
            response = client.get_object(Bucket=bucket, Key=key)
        except client.exceptions.NoSuchKey:
            return None
        size: int = response["ContentLength"]
        is_too_large = max_bytes is not None and size > max_bytes
        try:
            with closing(response["Body"]) as body:
                data = b"" if is_too_large else body.read()
        except _INCOMPLETE_BODY:
            if attempt == MAX_ATTEMPTS:
                raise
            attempt += 1
        else:
            return StoredObject(data, size, response["ETag"], response["Metadata"], response["LastModified"])


def get_json(client: BaseClient, bucket: str, key: str) -> dict[str, Any] | None:
    """The JSON object in S3, or None if there is none.

    Raises:
        ClientError: S3 refused the request.
        BotoCoreError: there was no response, or not all of it.
        ValueError: the object is not JSON.
    """
    stored = get_object(client, bucket, key)
    return None if stored is None else json.loads(stored.data)


def head_object(client: BaseClient, bucket: str, key: str) -> Mapping[str, Any] | None:
    """The response to HeadObject, or None if there is no object. Needs s3:ListBucket, as `get_object` does.

    Raises:
        ClientError: S3 refused the request.
        BotoCoreError: there was no response.
    """
    try:
        return client.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if _status(error) == HTTPStatus.NOT_FOUND:  # a response to HEAD has no body and so no error code
            return None
        raise


def replace_object(client: BaseClient, etag: str | None, **request: Any) -> str:
    """PutObject if the object still has that ETag; if that is None, if there is no object. Returns the new ETag.

    A conditional write that is retried because its response was lost meets what it wrote itself, and raises
    PreconditionFailedError although it succeeded: look at the object before you conclude anything.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html

    Raises:
        PreconditionFailedError: the object has changed, is being changed, or was deleted.
        ClientError: S3 refused the request.
        BotoCoreError: there was no response.
    """
    condition = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
    try:
        return client.put_object(**request, **condition)["ETag"]
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if _status(error) == HTTPStatus.PRECONDITION_FAILED or code in ("ConditionalRequestConflict", "NoSuchKey"):
            raise PreconditionFailedError(str(error)) from error
        raise


def delete_unchanged_object(client: BaseClient, etag: str, *, bucket: str, key: str) -> bool:
    """DeleteObject if the object still has that ETag: one that has replaced it stays. Returns whether it was deleted.

    False also if the response to an attempt that deleted it was lost.

    Needs s3:GetObject in addition to s3:DeleteObject.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-deletes.html

    Raises:
        ClientError: S3 refused the request, or the object is being changed (409).
        BotoCoreError: there was no response.
    """
    try:
        client.delete_object(Bucket=bucket, Key=key, IfMatch=etag)
    except ClientError as error:
        if _status(error) not in (HTTPStatus.PRECONDITION_FAILED, HTTPStatus.NOT_FOUND):
            raise
        return False
    return True


def _status(error: ClientError) -> int:
    return error.response["ResponseMetadata"]["HTTPStatusCode"]
