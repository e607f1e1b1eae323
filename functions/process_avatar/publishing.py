"""Publishes an avatar in the assets bucket so that the newest upload wins, in whatever order uploads finish.

The upload ids of a subject are in order of time. Two objects are overwritten, the stable JPEG and the manifest: each
is replaced only if it is unchanged since it was read, and only by a newer upload.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias

from botocore.client import BaseClient

from functions.process_avatar.imaging.renderer import Rendition, Variant
from functions.shared.aws import s3
from functions.shared.storage_keys import manifest_key, stable_key, variant_key

Manifest: TypeAlias = dict[str, Any]

# An attempt fails only if another upload of the same subject succeeded meanwhile.
ATTEMPTS = 5

IMMUTABLE = "public, max-age=31536000, immutable"
MUTABLE = "public, max-age=60"
UPLOAD_ID = "upload-id"  # user metadata of the stable JPEG: the upload it was rendered from


class ContentionError(Exception):
    """An object changed at every attempt to replace it."""


class Avatar(NamedTuple):
    subject: str
    upload_id: str
    version: str
    rendition: Rendition
    manifest: Manifest


class CurrentManifest(NamedTuple):
    """The manifest in the bucket, and the ETag to replace it by."""

    manifest: Manifest
    etag: str

    @property
    def upload_id(self) -> str:
        return self.manifest["upload_id"]


def new_avatar(
    subject: str, upload_id: str, rendition: Rendition, *, original_etag: str, cdn_url: str, at: str
) -> Avatar:
    """`original_etag` is part of the version: the same form posted again with other bytes gets other URLs."""
    version = upload_id + "-" + original_etag.strip('"')[:8]
    source = rendition.source
    manifest: Manifest = {
        "subject": subject,
        "upload_id": upload_id,
        "version": version,
        "updated_at": at,
        "source": {
            "format": source.format,
            "width": source.width,
            "height": source.height,
            "bytes": source.bytes,
        },
        "images": [
            {
                "size": variant.size,
                "format": variant.format,
                "url": f"{cdn_url}/{variant_key(subject, version, variant.size)}",
                "bytes": len(variant.data),
            }
            for variant in rendition.variants
        ],
        "url": f"{cdn_url}/{stable_key(subject)}",
    }
    return Avatar(subject, upload_id, version, rendition, manifest)


def read_manifest(client: BaseClient, bucket: str, subject: str) -> CurrentManifest | None:
    stored = s3.get_object(client, bucket, manifest_key(subject))
    return None if stored is None else CurrentManifest(json.loads(stored.data), stored.etag)


def publish(
    client: BaseClient,
    bucket: str,
    avatar: Avatar,
    existing: CurrentManifest | None,
    before_replacing: Callable[[Manifest], None],
) -> Manifest:
    """Make `avatar` the current one. `existing` is the manifest of an older upload.

    Returns the manifest that is current afterwards: the avatar's own, or one of an upload that is not older.
    `before_replacing` is called with each manifest that is about to be replaced: afterwards nothing names its variants.

    Raises:
        ContentionError: the stable JPEG or the manifest changed at every attempt.
        ClientError: S3 refused a request.
        BotoCoreError: there was no response.
    """
    # All requests before the manifest's in parallel: Lambda is billed while it waits for S3.
    with ThreadPoolExecutor() as pool:
        pending = [pool.submit(_put_variant, client, bucket, avatar, variant) for variant in avatar.rendition.variants]
        if existing:
            pending.append(pool.submit(before_replacing, existing.manifest))
        _advance_stable_jpeg(client, bucket, avatar, is_first=existing is None)
    for future in pending:
        future.result()  # raises what it raised
    key = manifest_key(avatar.subject)
    for _ in range(ATTEMPTS):
        with suppress(s3.PreconditionFailedError):
            s3.replace_object(
                client,
                existing.etag if existing else None,
                Bucket=bucket,
                Key=key,
                Body=json.dumps(avatar.manifest).encode(),
                ContentType="application/json",
                CacheControl=MUTABLE,
            )
            return avatar.manifest
        existing = read_manifest(client, bucket, avatar.subject)
        # It may be this avatar's own: boto3 retries a write whose response was lost, and the retry fails.
        if existing and existing.upload_id >= avatar.upload_id:
            if existing.manifest["version"] != avatar.version:
                for variant in avatar.rendition.variants:
                    client.delete_object(Bucket=bucket, Key=_variant_key(avatar, variant))  # no manifest names it
            return existing.manifest
        if existing:
            before_replacing(existing.manifest)
        _advance_stable_jpeg(client, bucket, avatar, is_first=existing is None)
    raise ContentionError(f"{key} changed {ATTEMPTS} times while it was to be replaced")


def _variant_key(avatar: Avatar, variant: Variant) -> str:
    return variant_key(avatar.subject, avatar.version, variant.size)


def _put_variant(client: BaseClient, bucket: str, avatar: Avatar, variant: Variant) -> None:
    client.put_object(
        Bucket=bucket,
        Key=_variant_key(avatar, variant),
        Body=variant.data,
        ContentType=f"image/{variant.format}",
        CacheControl=IMMUTABLE,
    )


def _advance_stable_jpeg(client: BaseClient, bucket: str, avatar: Avatar, *, is_first: bool) -> None:
    """Put the stable JPEG, unless the existing one is from this upload or a newer one.

    Before the first avatar of a subject there is no request for the existing one: the write fails if there is one.
    """
    key = stable_key(avatar.subject)
    for attempt in range(ATTEMPTS):
        existing = None if is_first and not attempt else s3.head_object(client, bucket, key)
        if existing and existing["Metadata"].get(UPLOAD_ID, "") >= avatar.upload_id:
            return
        with suppress(s3.PreconditionFailedError):
            s3.replace_object(
                client,
                existing["ETag"] if existing else None,
                Bucket=bucket,
                Key=key,
                Body=avatar.rendition.stable_jpeg,
                ContentType="image/jpeg",
                CacheControl=MUTABLE,
                Metadata={UPLOAD_ID: avatar.upload_id},
            )
            return
    raise ContentionError(f"{key} changed {ATTEMPTS} times while it was to be replaced")
