"""Deletes the versions of avatars that no manifest names, and never will.

Versions are left behind when a newer one replaces them, and when an upload fails for good after it has written its
variants. The sweep looks at what is there, and so needs no message from whoever left it: it can be repeated, stopped,
and started anywhere.

A version is deleted

- if the manifest is of a newer version and has been for RETENTION: pages that hold an older manifest, mails, and
  webhook receivers can still show the version for that long. As versions are in order and the manifest only ever goes
  forward, no delivery can publish it any more.
- if the manifest is of an older version, or there is none, and the variants are older than RETENTION and the lifetime
  of an original together: without its original, no delivery can publish it any more.
- if it is older than the deletion of the avatar: a delivery that was under way may have left it.

The record of a deletion is deleted when no original can be older than it any more, and with it a stable JPEG whose
delivery has ended before it put the manifest.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby, islice

from botocore.client import BaseClient
from botocore.exceptions import BotoCoreError, ClientError

from functions.shared import stored_avatar
from functions.shared.aws.s3 import ListedObject, delete_unchanged_object, head_object, list_objects
from functions.shared.storage_keys import AVATARS, manifest_key, parse_variant_key, stable_key
from functions.shared.stored_avatar import DELETION_BYTES, StoredManifest

RETENTION = timedelta(days=7)
_LAST_MODIFIED_PRECISION = timedelta(seconds=1)  # S3 cuts off the fraction

_WORKERS = 16
_CHUNK = 1_000  # subjects between two looks at the clock

logger = logging.getLogger(__name__)


@dataclass
class Subject:
    """The objects of one subject, as listed."""

    name: str
    manifest: ListedObject | None = None
    stable_jpeg: ListedObject | None = None
    versions: dict[str, list[ListedObject]] = field(default_factory=dict[str, list[ListedObject]])

    @property
    def current(self) -> list[ListedObject]:
        """Manifest and stable JPEG, as far as they exist."""
        return [its for its in (self.manifest, self.stable_jpeg) if its]

    @property
    def is_deleted(self) -> bool:
        """Whether the current objects are, or were when they were listed, the record of a deletion.

        A manifest without a stable JPEG is what is left of one: that of an avatar comes after the JPEG.
        """
        return bool(self.current) and (self.stable_jpeg is None or self.stable_jpeg.size == DELETION_BYTES)

    @property
    def has_newer_jpeg(self) -> bool:
        """Whether the manifest was not put after the stable JPEG: it may be the record of a deletion."""
        return bool(self.manifest and self.stable_jpeg and self.manifest.last_modified < self.stable_jpeg.last_modified)


@dataclass
class Result:
    """What a sweep has done."""

    subjects: int = 0
    deleted: int = 0
    """Objects."""
    failed: int = 0
    """Subjects."""
    is_complete: bool = False


def list_subjects(client: BaseClient, bucket: str, *, start_after: str = "") -> Iterator[Subject]:
    """List the subjects in the order of their keys, from the first key after `start_after`.

    The keys of one subject follow each other: no other key lies between `<subject>.jpg` and `<subject>/`, as subjects
    contain no dots.

    Raises:
        ClientError: S3 refused a request.
        BotoCoreError: there was no response.
    """
    for name, objects in groupby(
        list_objects(client, bucket, AVATARS, start_after=start_after), lambda its: _subject_of(its.key)
    ):
        subject = Subject(name)
        for its in objects:
            if its.key == manifest_key(name):
                subject.manifest = its
            elif its.key == stable_key(name):
                subject.stable_jpeg = its
            elif version := parse_variant_key(its.key):
                subject.versions.setdefault(version, []).append(its)
        yield subject


def _subject_of(key: str) -> str:
    return key.removeprefix(AVATARS).partition("/")[0].partition(".")[0]


@dataclass(frozen=True)
class Sweep:
    """One sweep of a bucket, at the time `now`."""

    s3: BaseClient
    bucket: str
    originals_lifetime: timedelta
    """How long an original exists at most, if it is not processed."""
    now: datetime

    def run(self, subjects: Iterator[Subject], has_time: Callable[[], bool]) -> Result:
        """Delete what can be deleted, until the subjects or the time run out.

        A subject whose requests fail is left to the next sweep.
        """
        result = Result()
        with ThreadPoolExecutor(_WORKERS) as pool:
            while chunk := list(islice(subjects, _CHUNK)):
                result.subjects += len(chunk)
                candidates = [subject for subject in chunk if self._may_have_unnamed(subject)]
                for deleted in pool.map(self._clean, candidates):
                    if deleted is None:
                        result.failed += 1
                    else:
                        result.deleted += deleted
                if not has_time():
                    return result
        result.is_complete = True
        return result

    def _may_have_unnamed(self, subject: Subject) -> bool:
        """Whether to read the manifest: in most cases the listing shows that there is nothing to delete."""
        if subject.is_deleted:
            return bool(subject.versions) or self._is_abandoned(subject.current)
        if subject.has_newer_jpeg and self._is_abandoned(subject.current):
            return True
        if subject.manifest:
            return len(subject.versions) > 1 and self._is_settled(subject.manifest.last_modified)
        return any(self._is_abandoned(objects) for objects in (*subject.versions.values(), subject.current) if objects)

    def _clean(self, subject: Subject) -> int | None:
        """How many objects were deleted; None if a request failed."""
        try:
            # Not the listed manifest: another one may have replaced it since.
            manifest = stored_avatar.read_manifest(self.s3, self.bucket, subject.name)
            keys = self._find_unnamed(subject, manifest)
            for key in keys:
                self.s3.delete_object(Bucket=self.bucket, Key=key)
            deleted = len(keys) + self._delete_current(subject, manifest)
        except (BotoCoreError, ClientError):
            logger.exception("subject not swept", extra={"subject": subject.name})
            return None
        return deleted

    def _find_unnamed(self, subject: Subject, manifest: StoredManifest | None) -> list[str]:
        """The keys of the versions that can be deleted."""
        current = manifest.version if manifest else ""
        is_unnamed = manifest is not None and (manifest.is_deleted or self._is_settled(manifest.last_modified))
        unnamed: list[str] = []
        for version, objects in subject.versions.items():
            if (version < current and is_unnamed) or (version > current and self._is_abandoned(objects)):
                unnamed += [its.key for its in objects]
        return unnamed

    def _delete_current(self, subject: Subject, manifest: StoredManifest | None) -> int:
        """Delete the record of a deletion, and a stable JPEG that no manifest names, if they are abandoned.

        Returns how many objects were deleted. One that was replaced meanwhile stays.
        """
        if not subject.current or not self._is_abandoned(subject.current) or (manifest and not manifest.is_deleted):
            return 0
        # Not the listed objects: an upload may have begun since to replace them.
        existing: dict[str, tuple[str, datetime]] = {}
        if jpeg := head_object(self.s3, self.bucket, stable_key(subject.name)):
            existing[stable_key(subject.name)] = jpeg["ETag"], jpeg["LastModified"]
        if manifest:
            existing[manifest_key(subject.name)] = manifest.etag, manifest.last_modified
        if not self._are_abandoned(at for _, at in existing.values()):
            return 0
        return sum(
            delete_unchanged_object(self.s3, etag, bucket=self.bucket, key=key) for key, (etag, _) in existing.items()
        )

    def _is_settled(self, replaced_at: datetime) -> bool:
        """Whether what a manifest of that time has replaced was to be reached for long enough."""
        return self.now - replaced_at > RETENTION + _LAST_MODIFIED_PRECISION

    def _is_abandoned(self, objects: Sequence[ListedObject]) -> bool:
        return self._are_abandoned(its.last_modified for its in objects)

    def _are_abandoned(self, last_modified: Iterable[datetime]) -> bool:
        """Whether the original is gone from which objects with these times were made."""
        return all(self.now - at > RETENTION + self.originals_lifetime for at in last_modified)
