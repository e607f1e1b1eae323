"""Publishes an avatar in the assets bucket so that the newest version wins, in whatever order versions are finished.

The versions of a subject, as text, are in the order in which their originals were posted. Two objects are overwritten,
the stable JPEG and then the manifest: each is replaced only if it is unchanged since it was read, and only by a newer
version. The JPEG is put when the variants are there, and its metadata is sufficient to make the manifest: once it is
put, every later delivery can complete the version. Nothing is deleted: sweep_avatars deletes the versions that no
manifest names. A deletion is a version too (functions/shared/stored_avatar.py).
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, NamedTuple

from botocore.client import BaseClient

from functions.process_avatar.imaging.rendition import Rendition, Variant
from functions.shared import stored_avatar
from functions.shared import upload_id as upload_ids
from functions.shared.aws import s3
from functions.shared.storage_keys import manifest_key, stable_key, variant_key
from functions.shared.stored_avatar import Manifest, StoredJpeg, StoredManifest

IMMUTABLE = "public, max-age=31536000, immutable"
MUTABLE = "public, max-age=60"

_MAX_POST_SECONDS = 0xFFF


class Current(NamedTuple):
    """The manifest that is current after an attempt to publish another one."""

    manifest: Manifest
    is_unannounced: bool
    """Whether it has to be announced: it was put now, or by finish_upload."""
    metadata: Mapping[str, str]
    """Its user metadata."""

    @classmethod
    def of(cls, stored: StoredManifest) -> "Current":
        return cls(stored.content, stored.is_unannounced, stored.metadata)


class Avatar(NamedTuple):
    subject: str
    version: str
    rendition: Rendition
    facts: Mapping[str, Any]
    """What the manifest says of the images."""
    manifest: Manifest


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


def is_version_of(version: str, upload_id: str, etag: str) -> bool:
    """Whether it is a version of an upload, of a file with that ETag, whenever that was posted."""
    return version.startswith(f"{upload_id}-") and version.endswith("-" + etag.strip('"')[:8])


def new_avatar(subject: str, version: str, rendition: Rendition, *, at: str) -> Avatar:
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
    return Avatar(subject, version, rendition, facts, _build_manifest(subject, version, facts))


def _build_manifest(subject: str, version: str, facts: Mapping[str, Any]) -> Manifest:
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
                "url": f"/{variant_key(subject, version, image['size'])}",
                "bytes": image["bytes"],
            }
            for image in facts["images"]
        ],
        "url": f"/{stable_key(subject)}",
    }


def publish(
    client: BaseClient,
    bucket: str,
    avatar: Avatar,
    existing: StoredManifest | None,
    *,
    is_announced: bool,
    render_ms: int,
) -> Current:
    """Make `avatar` the current one. `existing` is the manifest of an older version.

    Without `is_announced`, the manifest is marked for the event of the upload, which announces it. `render_ms` is how
    long the original was rendered, which only this delivery knows.

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
    jpeg = _advance_stable_jpeg(client, bucket, avatar, existing.stable_jpeg if existing else None)
    manifest, metadata = avatar.manifest, {stored_avatar.RENDER_MS: str(render_ms)}
    if jpeg.version.startswith(f"{manifest['upload_id']}-"):
        # Another file may have been posted with the same form, whose delivery has ended before its manifest.
        manifest = _build_manifest(avatar.subject, jpeg.version, jpeg.facts)
        metadata[stored_avatar.JPEG_ETAG] = jpeg.etag
    return _advance_manifest(client, bucket, manifest, existing, metadata, is_announced=is_announced)


def resume(
    client: BaseClient,
    bucket: str,
    subject: str,
    upload_id: str,
    existing: StoredManifest | None,
    *,
    is_announced: bool,
) -> Current | None:
    """Complete what an earlier delivery of the upload began, without the original.

    A delivery may have ended between the stable JPEG and the manifest, and the original may have been replaced by
    another file since, or be gone. Without the manifest, the JPEG would show an avatar that no manifest names.

    Returns the manifest that is current afterwards, as `publish` does; None if there is nothing to complete.

    Raises:
        ContentionError: the manifest changed at every attempt.
        ClientError: S3 refused a request.
        BotoCoreError: there was no response.
    """
    jpeg = stored_avatar.read_stable_jpeg(client, bucket, subject)
    if not jpeg or not jpeg.version.startswith(f"{upload_id}-") or (existing and existing.version >= jpeg.version):
        return None
    manifest = _build_manifest(subject, jpeg.version, jpeg.facts)
    metadata = {stored_avatar.JPEG_ETAG: jpeg.etag}
    return _advance_manifest(client, bucket, manifest, existing, metadata, is_announced=is_announced)


def _put_variant(client: BaseClient, bucket: str, avatar: Avatar, variant: Variant) -> None:
    client.put_object(
        Bucket=bucket,
        Key=variant_key(avatar.subject, avatar.version, variant.size),
        Body=variant.data,
        ContentType=f"image/{variant.format}",
        CacheControl=IMMUTABLE,
    )


def _advance_stable_jpeg(client: BaseClient, bucket: str, avatar: Avatar, existing: StoredJpeg | None) -> StoredJpeg:
    """Put the stable JPEG, unless the existing one is of this version or a newer one. Returns the one that is there."""
    result = stored_avatar.put_newer(
        client,
        avatar.version,
        existing,
        lambda: stored_avatar.read_stable_jpeg(client, bucket, avatar.subject),
        Bucket=bucket,
        Key=stable_key(avatar.subject),
        Body=_add_comment(avatar.rendition.stable_jpeg, avatar.version),
        ContentType="image/jpeg",
        CacheControl=MUTABLE,
        Metadata={stored_avatar.VERSION: avatar.version, stored_avatar.FACTS: json.dumps(avatar.facts)},
    )
    return StoredJpeg(avatar.version, avatar.facts, result) if isinstance(result, str) else result


def _add_comment(jpeg: bytes, comment: str) -> bytes:
    """Add a comment segment after the JFIF segment, which comes first: ITU-T T.81, B.2.4.5, and T.871, 10.1.

    Two versions of the same image differ by it, and so by their ETags: otherwise a delivery could replace a newer
    version of the image by which it read an older one.
    """
    end_of_jfif = 4 + int.from_bytes(jpeg[4:6])
    data = comment.encode()
    segment = b"\xff\xfe" + (2 + len(data)).to_bytes(2) + data
    return jpeg[:end_of_jfif] + segment + jpeg[end_of_jfif:]


def _advance_manifest(
    client: BaseClient,
    bucket: str,
    manifest: Manifest,
    existing: StoredManifest | None,
    metadata: Mapping[str, str],
    *,
    is_announced: bool,
) -> Current:
    """Put the manifest, unless the existing one is of its version or a newer one. Returns the one that is current."""
    published_ms = int(datetime.now(UTC).timestamp() * 1000)
    mark = {} if is_announced else stored_avatar.UNANNOUNCED
    metadata = {**metadata, **mark, stored_avatar.PUBLISHED_MS: str(published_ms)}
    result = stored_avatar.put_newer(
        client,
        manifest["version"],
        existing,
        lambda: stored_avatar.read_manifest(client, bucket, manifest["subject"]),
        Bucket=bucket,
        Key=manifest_key(manifest["subject"]),
        Body=json.dumps(manifest).encode(),
        ContentType="application/json",
        CacheControl=MUTABLE,
        Metadata=metadata,
    )
    # boto3 retries a write whose response was lost: the manifest that is there may be this one.
    if isinstance(result, str) or result.content == manifest:
        return Current(manifest, is_unannounced=True, metadata=metadata)
    return Current.of(result)
