"""Publishes an avatar in the assets bucket so that the newest version wins, in whatever order versions are finished.

The versions of a subject, as text, are in the order in which their originals were posted. Two objects are overwritten,
the stable JPEG and then the manifest: each is replaced only if it is unchanged since it was read, and only by a newer
version. The JPEG is put when the variants are there, and its metadata is sufficient to make the manifest: once it is
put, every later delivery can complete the version. Nothing is deleted: sweep_avatars deletes the versions that no
manifest names.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias

from botocore.client import BaseClient

from functions.process_avatar.imaging.rendition import Rendition, Variant
from functions.shared import upload_id as upload_ids
from functions.shared.aws import s3
from functions.shared.storage_keys import manifest_key, stable_key, variant_key

Manifest: TypeAlias = dict[str, Any]

# An attempt fails only if another version of the same subject was published meanwhile.
ATTEMPTS = 5

IMMUTABLE = "public, max-age=31536000, immutable"
MUTABLE = "public, max-age=60"
VERSION, FACTS = "version", "facts"  # user metadata of the stable JPEG: what its manifest consists of, but for URLs

_MAX_POST_SECONDS = 0xFFF


class ContentionError(Exception):
    """An object changed at every attempt to replace it."""


class Avatar(NamedTuple):
    subject: str
    version: str
    rendition: Rendition
    facts: Mapping[str, Any]
    """What the manifest says of the images."""
    manifest: Manifest


class CurrentManifest(NamedTuple):
    """The manifest in the bucket, and the ETag to replace it by."""

    manifest: Manifest
    etag: str

    @property
    def upload_id(self) -> str:
        return self.manifest["upload_id"]

    @property
    def version(self) -> str:
        return self.manifest["version"]


def version_of(upload_id: str, original: s3.StoredObject) -> str:
    """Return the version of the avatar that `original` becomes: <upload_id>-<seconds>-<hash>.

    Compared as text, versions of one subject are ordered by their uploads, and within an upload by when the original
    was posted: `seconds` are three hexadecimal digits, from the time of the form to the object's LastModified. A form
    can be posted several times until it expires, well before 4,095 seconds. `hash` has eight digits of the ETag: other
    bytes get other URLs even within the same second.

    Raises:
        ValueError: `upload_id` is not an upload ID.
    """
    elapsed = int(original.last_modified.timestamp()) - upload_ids.parse_time_ms(upload_id) // 1000
    seconds = min(max(elapsed, 0), _MAX_POST_SECONDS)
    return f"{upload_id}-{seconds:03x}-" + original.etag.strip('"')[:8]


def new_avatar(subject: str, version: str, rendition: Rendition, *, cdn_url: str, at: str) -> Avatar:
    source = rendition.source
    facts = {
        "updated_at": at,
        "source": {
            "format": source.format,
            "width": source.width,
            "height": source.height,
            "bytes": source.bytes,
        },
        "images": [
            {"size": variant.size, "format": variant.format, "bytes": len(variant.data)}
            for variant in rendition.variants
        ],
    }
    return Avatar(subject, version, rendition, facts, _build_manifest(subject, version, facts, cdn_url))


def _build_manifest(subject: str, version: str, facts: Mapping[str, Any], cdn_url: str) -> Manifest:
    return {
        "subject": subject,
        "upload_id": version.partition("-")[0],
        "version": version,
        "updated_at": facts["updated_at"],
        "source": facts["source"],
        "images": [
            {
                "size": image["size"],
                "format": image["format"],
                "url": f"{cdn_url}/{variant_key(subject, version, image['size'])}",
                "bytes": image["bytes"],
            }
            for image in facts["images"]
        ],
        "url": f"{cdn_url}/{stable_key(subject)}",
    }


def read_manifest(client: BaseClient, bucket: str, subject: str) -> CurrentManifest | None:
    stored = s3.get_object(client, bucket, manifest_key(subject))
    return None if stored is None else CurrentManifest(json.loads(stored.data), stored.etag)


def publish(client: BaseClient, bucket: str, avatar: Avatar, existing: CurrentManifest | None) -> Manifest:
    """Make `avatar` the current one. `existing` is the manifest of an older version.

    Returns the manifest that is current afterwards: the avatar's own, or one of a version that is not older.

    Raises:
        ContentionError: the stable JPEG or the manifest changed at every attempt.
        ClientError: S3 refused a request.
        BotoCoreError: there was no response.
    """
    # In parallel: Lambda is billed while it waits for S3.
    with ThreadPoolExecutor() as pool:
        pending = [pool.submit(_put_variant, client, bucket, avatar, variant) for variant in avatar.rendition.variants]
    for future in pending:
        future.result()  # raises what it raised
    _advance_stable_jpeg(client, bucket, avatar, is_first=existing is None)
    return _advance_manifest(client, bucket, avatar.manifest, existing)


def resume(
    client: BaseClient, bucket: str, subject: str, upload_id: str, existing: CurrentManifest | None, *, cdn_url: str
) -> Manifest | None:
    """Complete what an earlier delivery of the upload began, without the original.

    A delivery may have ended between the stable JPEG and the manifest, and the original may have been replaced by
    another file since, or be gone. Without the manifest, the JPEG would show an avatar that no manifest names.

    Returns the manifest that is current afterwards, as `publish` does; None if there is nothing to complete.

    Raises:
        ContentionError: the manifest changed at every attempt.
        ClientError: S3 refused a request.
        BotoCoreError: there was no response.
    """
    jpeg = s3.head_object(client, bucket, stable_key(subject))
    version = jpeg["Metadata"].get(VERSION, "") if jpeg else ""
    if not jpeg or not version.startswith(f"{upload_id}-") or (existing and existing.version >= version):
        return None
    manifest = _build_manifest(subject, version, json.loads(jpeg["Metadata"][FACTS]), cdn_url)
    return _advance_manifest(client, bucket, manifest, existing)


def _put_variant(client: BaseClient, bucket: str, avatar: Avatar, variant: Variant) -> None:
    client.put_object(
        Bucket=bucket,
        Key=variant_key(avatar.subject, avatar.version, variant.size),
        Body=variant.data,
        ContentType=f"image/{variant.format}",
        CacheControl=IMMUTABLE,
    )


def _advance_stable_jpeg(client: BaseClient, bucket: str, avatar: Avatar, *, is_first: bool) -> None:
    """Put the stable JPEG, unless the existing one is of this version or a newer one.

    Before the first avatar of a subject there is no request for the existing one: the write fails if there is one.
    """
    key = stable_key(avatar.subject)
    for attempt in range(ATTEMPTS):
        existing = None if is_first and not attempt else s3.head_object(client, bucket, key)
        if existing and existing["Metadata"].get(VERSION, "") >= avatar.version:
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
                Metadata={VERSION: avatar.version, FACTS: json.dumps(avatar.facts)},
            )
            return
    raise ContentionError(f"{key} changed {ATTEMPTS} times while it was to be replaced")


def _advance_manifest(
    client: BaseClient, bucket: str, manifest: Manifest, existing: CurrentManifest | None
) -> Manifest:
    """Put the manifest, unless the existing one is of its version or a newer one. Returns the one that is current."""
    key = manifest_key(manifest["subject"])
    for _ in range(ATTEMPTS):
        with suppress(s3.PreconditionFailedError):
            s3.replace_object(
                client,
                existing.etag if existing else None,
                Bucket=bucket,
                Key=key,
                Body=json.dumps(manifest).encode(),
                ContentType="application/json",
                CacheControl=MUTABLE,
            )
            return manifest
        existing = read_manifest(client, bucket, manifest["subject"])
        # It may be this very manifest: boto3 retries a write whose response was lost, and the retry fails.
        if existing and existing.version >= manifest["version"]:
            return existing.manifest
    raise ContentionError(f"{key} changed {ATTEMPTS} times while it was to be replaced")
