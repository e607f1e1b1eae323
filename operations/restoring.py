"""Restores a former avatar of a user, from the versions of objects that the assets bucket keeps.

It is published as a new version, with copies of its images. So versions stay in one order: whatever was uploaded or
deleted before is superseded, however late it is processed, and what the user does from then on supersedes it:
docs/decisions/0060-restored-avatars.md.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import NamedTuple

from functions.process_avatar import publishing
from functions.process_avatar.imaging.rendition import Rendition, Source, Variant
from functions.process_avatar.topic import Topic
from functions.shared import storage_keys, stored_avatar, upload_id
from functions.shared.aws import s3
from functions.shared.stored_avatar import Manifest, StoredManifest
from operations.operated_stack import OperatedStack, OperationError


class KeptAvatar(NamedTuple):
    manifest: Manifest
    jpeg: Mapping[str, str]
    """The parameters with which S3 gives its stable JPEG."""
    deleted_at: str | None
    """When the user's avatar was deleted since."""
    is_current: bool

    @property
    def version(self) -> str:
        return self.manifest["version"]


def run(stack: OperatedStack, options: argparse.Namespace) -> int:
    subject: str = options.subject
    if not options.version:
        if options.apply:
            raise OperationError("APPLY=1 needs VERSION: one of those that are listed without both")
        _print_kept(stack, subject, find_kept(stack, subject))
        return 0
    restoration = Restoration.prepare(stack, subject, options.version, is_deleted=options.deleted)
    if not options.apply:
        print(f"{subject} gets the avatar {options.version} again.")
        print("This was a dry run: nothing has changed. APPLY=1 restores it.")
        return 0
    manifest = restoration.apply()
    print(f"restored as {manifest['version']}; everybody sees it within a minute")
    return 0


def _print_kept(stack: OperatedStack, subject: str, kept: Sequence[KeptAvatar]) -> None:
    for avatar in kept:
        state = "current" if avatar.is_current else f"deleted at {avatar.deleted_at}" if avatar.deleted_at else "former"
        print(f"VERSION={avatar.version} of {avatar.manifest['updated_at']}, {state}\n  {stack.presign(**avatar.jpeg)}")
    if not kept:
        print(f"no avatar of {subject} is kept: there was none in the last seven days, or the user was erased")


def find_kept(stack: OperatedStack, subject: str) -> list[KeptAvatar]:
    """Finds the avatars of a user that are kept, the newest first.

    Raises:
        ValueError: `subject` cannot be a user's ID.
    """
    stored = list(_list_versions(stack, storage_keys.current_prefix(subject)))
    jpegs: dict[str, Mapping[str, str]] = {}
    for its in stored:
        if its.key == storage_keys.stable_key(subject):
            metadata = stack.s3.head_object(**its.request)["Metadata"]
            jpegs.setdefault(metadata.get(stored_avatar.VERSION, ""), its.request)
    found: dict[str, KeptAvatar] = {}
    deleted_at = None
    for its in stored:
        if its.key == storage_keys.manifest_key(subject):
            manifest: Manifest = json.loads(_read(stack, its.request))
            if stored_avatar.is_deletion(manifest):
                deleted_at = manifest["deleted_at"]
            elif manifest["version"] in jpegs:  # the newest manifest of a version counts
                avatar = KeptAvatar(manifest, jpegs[manifest["version"]], deleted_at, its.is_latest)
                found.setdefault(avatar.version, avatar)
    return list(found.values())


class Restoration(NamedTuple):
    """A kept avatar, and what is published of it."""

    stack: OperatedStack
    subject: str
    kept: KeptAvatar
    rendition: Rendition
    existing: StoredManifest | None
    restoration_id: str
    """An upload ID, newer than the existing manifest."""

    @classmethod
    def prepare(cls, stack: OperatedStack, subject: str, version: str, *, is_deleted: bool) -> Restoration:
        """Reads a version, without changing anything.

        `is_deleted` is whether the operator knows that the avatar was deleted.

        Raises:
            OperationError: The version is not kept, is the current one, or was deleted without `is_deleted`.
            ValueError: `subject` cannot be a user's ID.
        """
        # In this order: a deletion that is requested from now on is newer, and one that was requested is found.
        now_ms = int(time.time() * 1000)
        requests = storage_keys.deletions_prefix(subject)
        if any(s3.list_objects(stack.s3, stack.get_output("uploadsBucket"), requests)):
            raise OperationError(f"a deletion of the avatar of {subject} is not complete: see make status")
        existing = stored_avatar.read_manifest(stack.s3, stack.get_output("assetsBucket"), subject)
        if existing:
            now_ms = max(now_ms, upload_id.parse_time_ms(existing.upload_id) + 1)
        kept = {avatar.version: avatar for avatar in find_kept(stack, subject)}
        avatar = kept.get(version)
        if avatar is None:
            raise OperationError(f"VERSION is {version}; kept of {subject} are: {', '.join(kept) or 'none'}")
        if avatar.is_current:
            raise OperationError(f"{version} is the current avatar of {subject}")
        if avatar.deleted_at and not is_deleted:
            raise OperationError(
                f"the avatar of {subject} was deleted at {avatar.deleted_at}, by the user or by an operator: "
                f"DELETED=1 restores {version} nevertheless"
            )
        restoration_id = upload_id.create(subject, now_ms)
        return cls(stack, subject, avatar, _read_rendition(stack, subject, avatar), existing, restoration_id)

    def apply(self) -> Manifest:
        """Publishes and announces the avatar. Returns its manifest.

        Raises:
            OperationError: The user has uploaded or deleted an avatar meanwhile, which prevails.
        """
        stack, bucket = self.stack, self.stack.get_output("assetsBucket")
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        # As that of an upload, with the digits of the original: functions/process_avatar/publishing.py.
        version = f"{self.restoration_id}-000-{self.kept.version.rpartition('-')[2]}"
        avatar = publishing.new_avatar(self.subject, version, self.rendition, at=at)
        current = publishing.publish(stack.s3, bucket, avatar, self.existing, is_announced=True, render_ms=0)
        if current.manifest["version"] != version:
            raise OperationError(f"{self.subject} has uploaded or deleted an avatar meanwhile, and keeps that")
        shown = stored_avatar.with_absolute_urls(avatar.manifest, stack.get_output("cdnUrl"))
        topic, event = Topic(stack.create_client("sns"), stack.get_output("topicArn")), "avatar.ready"
        details = {"subject": self.subject, "upload_id": self.restoration_id, "at": at, "avatar": shown}
        topic.publish(event, {"event": event, **details})
        return avatar.manifest


def _read_rendition(stack: OperatedStack, subject: str, avatar: KeptAvatar) -> Rendition:
    prefix = f"{storage_keys.versions_prefix(subject)}{avatar.version}/"
    images: dict[str, Mapping[str, str]] = {}
    for its in _list_versions(stack, prefix):
        images.setdefault(its.key, its.request)
    variants: list[Variant] = []
    for image in avatar.manifest["images"]:
        key = storage_keys.variant_key(subject, avatar.version, image["size"])
        if key not in images:
            raise OperationError(f"{key} is not kept any more, and {avatar.version} is incomplete without it")
        variants.append(Variant(image["size"], image["format"], _read(stack, images[key])))
    return Rendition(Source(**avatar.manifest["source"]), tuple(variants), _read(stack, avatar.jpeg))


class _Version(NamedTuple):
    key: str
    is_latest: bool
    request: Mapping[str, str]
    """The parameters with which S3 gives it."""


def _list_versions(stack: OperatedStack, prefix: str) -> Iterator[_Version]:
    """Lists the versions of objects in the assets bucket, those of a key with the newest first.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/list-obj-version-enabled-bucket.html
    """
    bucket = stack.get_output("assetsBucket")
    pages = stack.s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
    for page in pages:
        for its in page.get("Versions", []):
            request = {"Bucket": bucket, "Key": its["Key"], "VersionId": its["VersionId"]}
            yield _Version(its["Key"], its["IsLatest"], request)


def _read(stack: OperatedStack, request: Mapping[str, str]) -> bytes:
    with closing(stack.s3.get_object(**request)["Body"]) as body:
        return body.read()
