"""Putting an avatar into the assets bucket, so that the newest upload wins whatever order they finish in.

Uploads of a subject are ordered by upload id. Two objects are overwritten, the stable JPEG and the manifest; each is
replaced only if it still is what was looked at, and only by a newer upload.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias

from functions.process_avatar.imaging.renderer import Rendition, Variant
from functions.shared.aws.object_store import Bucket, ChangedError, Content
from functions.shared.storage_keys import manifest_key, stable_key, variant_key

Manifest: TypeAlias = dict[str, Any]

# Every lost attempt means that another upload of the same subject has won one.
ATTEMPTS = 5

IMMUTABLE = "public, max-age=31536000, immutable"
MUTABLE = "public, max-age=60"
UPLOAD_ID = "upload-id"  # user metadata of the stable JPEG: whose pixels it has


class ContentionError(Exception):
    """An object changed at every attempt to replace it."""


class Avatar(NamedTuple):
    subject: str
    upload_id: str
    version: str
    rendition: Rendition
    manifest: Manifest


class Current(NamedTuple):
    """The manifest in the bucket, and the ETag by which to replace it."""

    manifest: Manifest
    etag: str

    @property
    def upload_id(self) -> str:
        return self.manifest["upload_id"]


def new_avatar(
    subject: str, upload_id: str, rendition: Rendition, *, original_etag: str, cdn_url: str, at: str
) -> Avatar:
    """`original_etag` makes the version: a form that is posted again with other bytes gets other addresses."""
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


def current(assets: Bucket, subject: str) -> Current | None:
    stored = assets.get(manifest_key(subject))
    return None if stored is None else Current(json.loads(stored.data), stored.etag)


def publish(
    assets: Bucket, avatar: Avatar, seen: Current | None, before_replacing: Callable[[Manifest], None]
) -> Manifest:
    """Make `avatar` the current one; `seen` is what was current before, an older upload's.

    Gives the manifest that is current now: the avatar's own, or another's that turned out not to be older.
    `before_replacing` is told each manifest that is about to be replaced: afterwards nobody would know of it.
    """
    # Everything before the manifest at once: Lambda's time is paid for while S3 takes its own.
    with ThreadPoolExecutor() as pool:
        others = [pool.submit(_put_variant, assets, avatar, variant) for variant in avatar.rendition.variants]
        if seen:
            others.append(pool.submit(before_replacing, seen.manifest))
        _advance_stable_jpeg(assets, avatar, is_first=seen is None)
    for other in others:
        other.result()  # raises what it raised
    for _ in range(ATTEMPTS):
        with suppress(ChangedError):
            content = Content(json.dumps(avatar.manifest).encode(), "application/json", MUTABLE)
            assets.replace(manifest_key(avatar.subject), seen.etag if seen else None, content)
            return avatar.manifest
        seen = current(assets, avatar.subject)
        # Ours may be in there: a write whose answer was lost is repeated, and the repetition finds the first.
        if seen and seen.upload_id >= avatar.upload_id:
            if seen.manifest["version"] != avatar.version:
                for variant in avatar.rendition.variants:
                    assets.delete(_variant_key(avatar, variant))  # no manifest ever named it
            return seen.manifest
        if seen:
            before_replacing(seen.manifest)
        _advance_stable_jpeg(assets, avatar, is_first=seen is None)
    raise ContentionError(f"{manifest_key(avatar.subject)} changed {ATTEMPTS} times while it was to be replaced")


def _variant_key(avatar: Avatar, variant: Variant) -> str:
    return variant_key(avatar.subject, avatar.version, variant.size)


def _put_variant(assets: Bucket, avatar: Avatar, variant: Variant) -> None:
    assets.put(_variant_key(avatar, variant), Content(variant.data, f"image/{variant.format}", IMMUTABLE))


def _advance_stable_jpeg(assets: Bucket, avatar: Avatar, *, is_first: bool) -> None:
    """Put the JPEG unless the one there is of this upload or of a newer one. Before a first avatar none is looked for:
    the write itself fails if there is one.
    """
    key = stable_key(avatar.subject)
    content = Content(avatar.rendition.stable_jpeg, "image/jpeg", MUTABLE, {UPLOAD_ID: avatar.upload_id})
    for attempt in range(ATTEMPTS):
        stored = None if is_first and not attempt else assets.head(key)
        if stored and stored.metadata.get(UPLOAD_ID, "") >= avatar.upload_id:
            return
        with suppress(ChangedError):
            assets.replace(key, stored.etag if stored else None, content)
            return
    raise ContentionError(f"{key} changed {ATTEMPTS} times while it was to be replaced")
