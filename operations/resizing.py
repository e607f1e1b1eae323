"""Brings existing avatars to other sizes.

The originals are gone: the images are made from the stable JPEG, with the settings of process_avatar. Images that the
manifest does not name yet are put first. Then the manifest is replaced, if it is still the one that was read. So the
avatar is complete at every moment, and whatever the user does meanwhile wins. What is right already is left alone: a
run that was interrupted is continued by the next.

The facts in the stable JPEG's metadata are not changed. They are used only to complete a manifest of an older version
(functions/process_avatar/publishing.py), and the manifest is of the JPEG's own version.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from itertools import islice
from operator import itemgetter
from typing import Any, TypeVar

from botocore.client import BaseClient
from PIL import Image

from bench.cost import load_prices
from functions.process_avatar.imaging.cropping import resize
from functions.process_avatar.imaging.renderer import encode_webp
from functions.process_avatar.publishing import IMMUTABLE, MUTABLE
from functions.shared import stored_avatar
from functions.shared.aws import s3
from functions.shared.output_sizes import STABLE_JPEG_SIZE
from functions.shared.storage_keys import manifest_key, stable_key, variant_key
from functions.shared.stored_avatar import Manifest, StoredManifest
from functions.sweep_avatars.sweep import list_subjects

_WORKERS = 8
_CHUNK = 1_000  # avatars that wait for a worker at most
_LIST_PAGE = 1_000  # https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html

_R = TypeVar("_R")


@dataclass(frozen=True)
class _Comparison:
    """A manifest beside the wanted sizes."""

    kept: Sequence[Mapping[str, Any]]
    """Its images of wanted sizes."""
    missing: Sequence[int]
    """Sizes to be made, largest first."""
    too_large: int
    """How many sizes are missing that cannot be made."""
    is_different: bool


@dataclass
class Survey:
    """What a run would do."""

    avatars: int = 0
    to_change: list[str] = field(default_factory=list[str])
    """Subjects."""
    to_render: int = 0
    """Those of them that need new images."""
    images: int = 0
    """To be made."""
    too_large: int = 0
    """Images that are not made because no stable JPEG is large enough."""
    failed: int = 0
    listed: int = 0
    """Objects."""

    @property
    def past_requests(self) -> Mapping[str, int]:
        """Requests to S3 that the survey has made, by the name of their price."""
        return {"s3_put": self.listed // _LIST_PAGE + 1, "s3_get": self.avatars + self.failed}

    @property
    def future_requests(self) -> Mapping[str, int]:
        """Requests to S3 that the changes will make: manifests are read again, and stable JPEGs."""
        return {"s3_put": self.images + len(self.to_change), "s3_get": len(self.to_change) + self.to_render}


def price(requests: Mapping[str, int]) -> float:
    """List price in US dollars."""
    prices = load_prices()
    return sum(prices[name].of(count) for name, count in requests.items())


class Pace:
    """Lets a number of callers pass in each second."""

    def __init__(self, rate: float) -> None:
        self._interval = 1 / rate
        self._next = time.monotonic()
        self._lock = threading.Lock()

    def wait(self) -> None:
        with self._lock:
            now = time.monotonic()
            turn = max(self._next, now)
            self._next = turn + self._interval
        time.sleep(turn - now)


@dataclass(frozen=True)
class Resizing:
    client: BaseClient
    bucket: str
    """The assets bucket."""
    sizes: Sequence[int]
    """In pixels."""

    def survey(self, on_read: Callable[[str, Exception | None], None]) -> Survey:
        """Read all manifests. `on_read` is called with each subject, and with why its manifest could not be read.

        Raises:
            ClientError: S3 refused to list the bucket.
            BotoCoreError: there was no response.
        """
        survey = Survey()

        def read(subject: str) -> _Comparison | None:
            stored = stored_avatar.read_manifest(self.client, self.bucket, subject)
            return None if stored is None or stored.is_deleted else self._compare(stored.content)

        for subject, result in _run_in_threads(read, self._list_avatars(survey)):
            on_read(subject, result if isinstance(result, Exception) else None)
            if isinstance(result, Exception):
                survey.failed += 1
            elif result:
                survey.avatars += 1
                survey.images += len(result.missing)
                survey.too_large += result.too_large
                survey.to_render += bool(result.missing)
                if result.is_different:
                    survey.to_change.append(subject)
        return survey

    def apply(self, subjects: Iterable[str], pace: Pace) -> Generator[tuple[str, Exception | None]]:
        """Change avatars at a pace. Yields each subject, with the reason if it failed."""

        def change(subject: str) -> None:
            pace.wait()
            self.change(subject)

        return _run_in_threads(change, subjects)

    def change(self, subject: str) -> None:
        """Bring one avatar to the wanted sizes, if there is one.

        Raises:
            ContentionError: the avatar changed at every attempt, or its upload has not been completed.
            ClientError: S3 refused a request.
            BotoCoreError: there was no response.
            OSError: the stable JPEG cannot be decoded.
        """
        put: list[str] = []
        version = None
        for _ in range(stored_avatar.ATTEMPTS):
            stored = stored_avatar.read_manifest(self.client, self.bucket, subject)
            if put and (stored is None or stored.version != version):
                # They belong to a version that was replaced or deleted before a manifest named them.
                for key in put:
                    self.client.delete_object(Bucket=self.bucket, Key=key)
                put = []
            if stored is None or stored.is_deleted:
                return
            version = stored.version
            comparison = self._compare(stored.content)
            if not comparison.is_different:
                return
            with suppress(s3.PreconditionFailedError):
                made = self._make_images(subject, version, comparison.missing, put)
                self._replace_manifest(subject, stored, [*comparison.kept, *made])
                return
        raise stored_avatar.ContentionError(f"{subject} changed {stored_avatar.ATTEMPTS} times meanwhile")

    def _list_avatars(self, survey: Survey) -> Iterator[str]:
        for subject in list_subjects(self.client, self.bucket):
            survey.listed += len(subject.current) + sum(map(len, subject.versions.values()))
            if subject.manifest and not subject.is_deleted:
                yield subject.name

    def _compare(self, manifest: Manifest) -> _Comparison:
        images: Sequence[Mapping[str, Any]] = manifest["images"]
        absent = set(self.sizes) - {image["size"] for image in images}
        missing = sorted((size for size in absent if size <= STABLE_JPEG_SIZE), reverse=True)
        kept = [image for image in images if image["size"] in self.sizes]
        if not kept and not missing:  # an avatar has at least one image
            kept = images
        is_different = bool(missing) or len(kept) < len(images)
        return _Comparison(kept, missing, len(absent) - len(missing), is_different)

    def _make_images(
        self, subject: str, version: str, sizes: Sequence[int], put: list[str]
    ) -> Iterator[Mapping[str, Any]]:
        """Yield what the manifest says of images of those sizes, largest first. Adds the keys of new ones to `put`.

        Raises:
            PreconditionFailedError: the avatar is being replaced.
        """
        if not sizes:
            return
        jpeg = s3.get_object(self.client, self.bucket, stable_key(subject))
        # Without a version: put by functions of before 0.2, and so not by an upload that is under way.
        if jpeg is None or jpeg.metadata.get(stored_avatar.VERSION, version) != version:
            raise s3.PreconditionFailedError(f"the stable JPEG of {subject} is not of version {version}")
        for size, data in _render(jpeg.data, sizes):
            key = variant_key(subject, version, size)
            yield {"size": size, "format": "webp", "url": f"/{key}", "bytes": self._put_image(key, data, put)}

    def _put_image(self, key: str, data: bytes, put: list[str]) -> int:
        """Put an image, unless the version has had one of its size: the content of a URL never changes.

        Returns how many bytes the image has.
        """
        try:
            s3.replace_object(
                self.client,
                None,
                Bucket=self.bucket,
                Key=key,
                Body=data,
                ContentType="image/webp",
                CacheControl=IMMUTABLE,
            )
        except s3.PreconditionFailedError:
            existing = s3.head_object(self.client, self.bucket, key)
            if existing is None:
                raise
            return existing["ContentLength"]
        put.append(key)
        return len(data)

    def _replace_manifest(self, subject: str, stored: StoredManifest, images: Iterable[Mapping[str, Any]]) -> None:
        manifest = stored_avatar.with_absolute_urls({**stored.content, "images": images}, "")
        manifest["images"].sort(key=itemgetter("size"), reverse=True)
        s3.replace_object(
            self.client,
            stored.etag,
            Bucket=self.bucket,
            Key=manifest_key(subject),
            Body=json.dumps(manifest).encode(),
            ContentType="application/json",
            CacheControl=MUTABLE,
            Metadata=stored.metadata,
        )


def _render(jpeg: bytes, sizes: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """Render as process_avatar does: each size from the next larger one, and never larger than the image is.

    The JPEG is the functions' own work, so it needs no process with limits.
    """
    with Image.open(BytesIO(jpeg), formats=("JPEG",)) as image:
        scaled = image.convert("RGB")
    for size in sizes:
        scaled = resize(scaled, size)
        yield size, encode_webp(scaled)


def _run_in_threads(work: Callable[[str], _R], subjects: Iterable[str]) -> Generator[tuple[str, _R | Exception]]:
    """Yield each subject with the result of `work`, or with why it failed.

    Whatever ends this early, for example Ctrl-C, waits only for the subjects whose work has begun.
    """

    def run(subject: str) -> _R | Exception:
        try:
            return work(subject)
        except Exception as error:  # whatever it is: the other avatars are changed nevertheless
            return error

    iterator = iter(subjects)
    with ThreadPoolExecutor(_WORKERS) as pool:
        try:
            while chunk := list(islice(iterator, _CHUNK)):
                yield from zip(chunk, pool.map(run, chunk), strict=True)
        finally:
            pool.shutdown(cancel_futures=True)
