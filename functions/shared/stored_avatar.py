"""The two objects of a subject's current avatar, the stable JPEG and the manifest, or the record of its deletion.

A deletion has an upload ID too, made when it is requested, and so a place in the order of the uploads. It replaces both
objects by records with that ID as their version: whatever is older is superseded by the deletion, however late it is
processed, and whatever is newer replaces the records. They have the tag `deleted=true`, for which the bucket policy
refuses them to the CDN.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/tagging-and-policies.html

The URLs of a stored manifest are paths, which are valid at every host that the CDN has or will have.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar
from urllib.parse import urlsplit

from botocore.client import BaseClient

from functions.shared import upload_id as upload_ids
from functions.shared.aws import s3
from functions.shared.storage_keys import manifest_key, stable_key

Manifest: TypeAlias = dict[str, Any]

# An attempt fails only if another version of the same subject was published meanwhile.
ATTEMPTS = 5

DELETED_TAG = "deleted=true"
DELETION_BYTES = upload_ids.LENGTH  # the record in place of a stable JPEG; no JPEG is so short
VERSION, FACTS = "version", "facts"  # user metadata of the stable JPEG: what its manifest consists of, but for URLs
UNANNOUNCED = {"announced": "later"}  # user metadata of a manifest
# User metadata of a manifest, in milliseconds: when it was put, since 1970, and how long the original was rendered.
PUBLISHED_MS, RENDER_MS = "published-ms", "render-ms"
# User metadata of a manifest: the ETag of the stable JPEG, if that is of the same version.
JPEG_ETAG = "jpeg-etag"


class ContentionError(Exception):
    """An object changed at every attempt to replace it."""


class StoredJpeg(NamedTuple):
    """What the metadata of the stable JPEG says, or of the record of a deletion in its place."""

    version: str
    facts: Mapping[str, Any]
    """Empty for a deletion."""
    etag: str


class StoredManifest(NamedTuple):
    """The manifest in the bucket, or the record of a deletion in its place, and the ETag to replace it by."""

    content: Manifest
    etag: str
    last_modified: datetime
    """UTC, in whole seconds."""
    metadata: Mapping[str, str]

    @property
    def is_unannounced(self) -> bool:
        """Whether finish_upload has published it, and left the announcement to the event of the upload. It stays so."""
        return UNANNOUNCED.items() <= self.metadata.items()

    @property
    def upload_id(self) -> str:
        return self.content["upload_id"]

    @property
    def version(self) -> str:
        return self.content["version"]

    @property
    def stable_jpeg(self) -> StoredJpeg | None:
        """That of this version, as it was when the manifest was put. None if there was another one, or a deletion."""
        etag = self.metadata.get(JPEG_ETAG)
        return StoredJpeg(self.version, self.content, etag) if etag else None

    @property
    def is_deleted(self) -> bool:
        return is_deletion(self.content)


class _Stored(Protocol):
    @property
    def version(self) -> str: ...

    @property
    def etag(self) -> str: ...


_S = TypeVar("_S", bound=_Stored)


def read_manifest(client: BaseClient, bucket: str, subject: str) -> StoredManifest | None:
    """Raises ClientError if S3 refused the request, and BotoCoreError if there was no response."""
    stored = s3.get_object(client, bucket, manifest_key(subject))
    if stored is None:
        return None
    return StoredManifest(json.loads(stored.data), stored.etag, stored.last_modified, stored.metadata)


def read_avatar(client: BaseClient, bucket: str, subject: str, cdn_url: str) -> Manifest | None:
    """The manifest of the current avatar with absolute URLs, None if there is none.

    Raises what `read_manifest` raises.
    """
    stored = read_manifest(client, bucket, subject)
    return None if stored is None or stored.is_deleted else with_absolute_urls(stored.content, cdn_url)


def is_deletion(manifest: Manifest) -> bool:
    return "deleted_at" in manifest


def with_absolute_urls(manifest: Manifest, cdn_url: str) -> Manifest:
    """The manifest with URLs at `cdn_url`, which has no slash at the end.

    Manifests of versions before 0.2 have absolute URLs, maybe of another host that the CDN had then.
    """

    def at_cdn(url: str) -> str:
        return cdn_url + urlsplit(url).path

    images = [{**image, "url": at_cdn(image["url"])} for image in manifest["images"]]
    return {**manifest, "images": images, "url": at_cdn(manifest["url"])}


def read_stable_jpeg(client: BaseClient, bucket: str, subject: str) -> StoredJpeg | None:
    """Raises ClientError if S3 refused the request, and BotoCoreError if there was no response."""
    response = s3.head_object(client, bucket, stable_key(subject))
    if response is None:
        return None
    metadata = response["Metadata"]
    return StoredJpeg(metadata.get(VERSION, ""), json.loads(metadata.get(FACTS, "{}")), response["ETag"])


def put_newer(
    client: BaseClient, version: str, existing: _S | None, read: Callable[[], _S | None], **request: Any
) -> _S | str:
    """Put an object, unless the existing one is of `version` or a newer one.

    Args:
        client: S3 client.
        version: Of the object to put.
        existing: The object that is assumed to exist.
        read: Reads it again, after another one was found.
        request: The parameters of PutObject.

    Returns:
        The existing object if it stays, which is the one just put if the response to an attempt was lost. The ETag of
        the new object if it was replaced.

    Raises:
        ContentionError: The object changed at every attempt.
        ClientError: S3 refused a request.
        BotoCoreError: there was no response.
    """
    for _ in range(ATTEMPTS):
        if existing and existing.version >= version:
            return existing
        with suppress(s3.PreconditionFailedError):
            return s3.replace_object(client, existing.etag if existing else None, **request)
        existing = read()
    raise ContentionError(f"{request['Key']} changed {ATTEMPTS} times while it was to be replaced")


def delete(client: BaseClient, bucket: str, subject: str, deletion_id: str) -> None:
    """Replace the stable JPEG and the manifest by records of a deletion, unless they are newer. Idempotent.

    Raises:
        ContentionError: an object changed at every attempt.
        ClientError: S3 refused a request.
        BotoCoreError: there was no response.
    """
    record = {"Bucket": bucket, "CacheControl": "no-store", "Tagging": DELETED_TAG}

    def read_jpeg() -> StoredJpeg | None:
        return read_stable_jpeg(client, bucket, subject)

    jpeg = put_newer(
        client,
        deletion_id,
        read_jpeg(),
        read_jpeg,
        **record,
        Key=stable_key(subject),
        Body=deletion_id.encode(),  # not empty: records of different deletions must have different ETags
        ContentType="image/jpeg",
        Metadata={VERSION: deletion_id},
    )
    deleted_at = datetime.fromtimestamp(upload_ids.parse_time_ms(deletion_id) / 1000, UTC)
    content = {
        "subject": subject,
        "upload_id": deletion_id,
        "version": deletion_id,
        "deleted_at": deleted_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }

    etag = jpeg if isinstance(jpeg, str) else jpeg.etag if jpeg.version == deletion_id else None

    def read() -> StoredManifest | None:
        return read_manifest(client, bucket, subject)

    put_newer(
        client,
        deletion_id,
        read(),
        read,
        **record,
        Key=manifest_key(subject),
        Body=json.dumps(content).encode(),
        ContentType="application/json",
        Metadata={JPEG_ETAG: etag} if etag else {},
    )
