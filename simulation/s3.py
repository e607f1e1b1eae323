"""Simulated S3: objects with ETags, versions, conditional writes, strong consistency, notifications.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/Welcome.html#ConsistencyModel
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from botocore.exceptions import ClientError, ReadTimeoutError
from botocore.response import StreamingBody

from simulation.clock import sleep
from simulation.network import BODY_LOST, PARTLY, Request, SimulatedClient

_EMPTY: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class StoredObject:
    data: bytes
    etag: str
    """In quotes, as S3 writes it."""
    metadata: Mapping[str, str]
    content_type: str
    cache_control: str
    modified_ms: int
    tagging: str = ""


Observer = Callable[[str, str, StoredObject | None, StoredObject | None], None]


class Version(NamedTuple):
    """A version of an object, or a delete marker."""

    key: str
    version_id: str
    stored: StoredObject | None
    """None: a delete marker."""
    modified_ms: int
    is_latest: bool


class SimulatedS3:
    """Buckets, each a mapping of keys to objects.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/versioning-workflows.html
    """

    def __init__(self, versioned: Collection[str] = ()) -> None:
        """`versioned`: the buckets with versioning."""
        self.buckets: dict[str, dict[str, StoredObject]] = {}
        self.observers: list[Observer] = []
        """Called after every write or deletion with bucket, key, the object before and the one after."""
        self.erased: list[tuple[int, Version]] = []
        """Versions that were deleted for good, and when."""
        self._versions: dict[str, dict[str, list[Version]]] = {bucket: {} for bucket in versioned}
        """By bucket and key, oldest first."""
        self._added = 0

    def put(self, bucket: str, key: str, stored: StoredObject) -> None:
        objects = self.buckets.setdefault(bucket, {})
        before = objects.get(key)
        objects[key] = stored
        self._add_version(bucket, key, stored, stored.modified_ms)
        self._observe(bucket, key, before)

    def delete(self, bucket: str, key: str, now_ms: int) -> None:
        before = self.buckets.setdefault(bucket, {}).pop(key, None)
        self._add_version(bucket, key, None, now_ms)
        self._observe(bucket, key, before)

    def _add_version(self, bucket: str, key: str, stored: StoredObject | None, now_ms: int) -> None:
        """A delete marker is added even if there is no object."""
        if bucket in self._versions:
            self._added += 1
            version = Version(key, f"version-{self._added}", stored, now_ms, is_latest=True)
            self._versions[bucket].setdefault(key, []).append(version)

    def delete_version(self, bucket: str, key: str, version_id: str, now_ms: int) -> None:
        """Delete a version or a delete marker. The latest one that is left becomes the object, if there is one."""
        objects = self.buckets.setdefault(bucket, {})
        versions = {its.version_id: its for its in self.list_versions(bucket, key) if its.key == key}
        if version_id not in versions:
            return
        before = objects.get(key)
        self.erased.append((now_ms, versions.pop(version_id)))
        left = [*reversed(versions.values())]
        if bucket in self._versions:
            self._versions[bucket][key] = left
        if left and (latest := left[-1].stored):
            objects[key] = latest
        else:
            objects.pop(key, None)
        self._observe(bucket, key, before)

    def list_versions(self, bucket: str, prefix: str) -> Iterator[Version]:
        """By key, and the newest first. An object of a bucket without versioning is its version "null"."""
        if bucket not in self._versions:
            for key, stored in sorted(self.buckets.get(bucket, {}).items()):
                if key.startswith(prefix):
                    yield Version(key, "null", stored, stored.modified_ms, is_latest=True)
            return
        for key, versions in sorted(self._versions[bucket].items()):
            if key.startswith(prefix):
                for version in reversed(versions):
                    yield version._replace(is_latest=version is versions[-1])

    def _observe(self, bucket: str, key: str, before: StoredObject | None) -> None:
        after = self.buckets[bucket].get(key)
        if after is not before:
            for observe in self.observers:
                observe(bucket, key, before, after)

    def find(self, bucket: str, key: str) -> StoredObject | None:
        return self.buckets.setdefault(bucket, {}).get(key)


@lru_cache(maxsize=4096)
def etag_of(data: bytes) -> str:
    """The MD5 of an object that was put whole, unencrypted or with SSE-S3.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
    """
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


def new_object(
    data: bytes,
    now_ms: int,
    metadata: Mapping[str, str] = _EMPTY,
    content_type: str = "binary/octet-stream",
    cache_control: str = "",
    tagging: str = "",
) -> StoredObject:
    lower = {name.lower(): value for name, value in metadata.items()} if metadata else _EMPTY
    return StoredObject(data, etag_of(data), lower, content_type, cache_control, now_ms, tagging)


class NoSuchKeyError(ClientError):
    """`client.exceptions.NoSuchKey`"""


class _Exceptions:
    """`client.exceptions`

    https://docs.aws.amazon.com/boto3/latest/guide/error-handling.html
    """

    ClientError = ClientError
    NoSuchKey = NoSuchKeyError


def s3_error(operation: str, status: int, code: str, message: str) -> ClientError:
    """An error as botocore raises it.

    https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList
    """
    response: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return (NoSuchKeyError if code == "NoSuchKey" else ClientError)(response, operation)


def check_conditions(
    operation: str, existing: StoredObject | None, if_match: str | None, if_none_match: str | None = None
) -> None:
    """Refuse a conditional PutObject or DeleteObject whose condition does not hold.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-deletes.html

    Raises:
        ClientError: 412 PreconditionFailed, or 404 NoSuchKey for If-Match without an object.
    """
    if if_none_match is not None and existing is not None:
        raise _precondition_failed(operation, "If-None-Match")
    if if_match is not None:
        if existing is None:
            raise s3_error(operation, 404, "NoSuchKey", "The specified key does not exist.")
        if if_match.strip('"') != existing.etag.strip('"'):
            raise _precondition_failed(operation, "If-Match")


def _precondition_failed(operation: str, condition: str) -> ClientError:
    message = "At least one of the pre-conditions you specified did not hold"
    error = s3_error(operation, 412, "PreconditionFailed", message)
    error.response["Error"]["Condition"] = condition  # type: ignore[typeddict-unknown-key]
    return error


class _BrokenBody(io.RawIOBase):
    """A response body that ends in a read timeout."""

    def __init__(self, timeout_seconds: float) -> None:
        super().__init__()
        self._timeout_seconds = timeout_seconds

    def read(self, _size: int | None = -1) -> bytes:  # type: ignore[override]
        sleep(self._timeout_seconds)
        raise ReadTimeoutError(endpoint_url="s3")


class SimulatedS3Client(SimulatedClient):
    """`boto3.client("s3")`, as far as the functions use it."""

    service = "s3"
    exceptions = _Exceptions

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html"""

        def effect(request: Request) -> dict[str, Any]:
            stored = request.simulation.s3.find(Bucket, Key)
            if stored is None:
                raise s3_error("GetObject", 404, "NoSuchKey", "The specified key does not exist.")
            raw = _BrokenBody(self.read_timeout_seconds) if request.fault == BODY_LOST else io.BytesIO(stored.data)
            return {**_head(stored), "Body": StreamingBody(raw, len(stored.data))}

        return self.call("GetObject", Key, effect, bucket=Bucket, is_read=True)

    def head_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html"""

        def effect(request: Request) -> dict[str, Any]:
            stored = request.simulation.s3.find(Bucket, Key)
            if stored is None:  # the response has no body, hence no code
                raise s3_error("HeadObject", 404, "404", "Not Found")
            return _head(stored)

        return self.call("HeadObject", Key, effect, bucket=Bucket, is_read=True)

    def put_object(
        self,
        *,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        Body: bytes = b"",  # noqa: N803
        ContentType: str = "binary/octet-stream",  # noqa: N803
        CacheControl: str = "",  # noqa: N803
        Metadata: Mapping[str, str] = _EMPTY,  # noqa: N803
        Tagging: str = "",  # noqa: N803
        IfMatch: str | None = None,  # noqa: N803
        IfNoneMatch: str | None = None,  # noqa: N803
    ) -> dict[str, Any]:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html"""

        def effect(request: Request) -> dict[str, Any]:
            simulation = request.simulation
            check_conditions("PutObject", simulation.s3.find(Bucket, Key), IfMatch, IfNoneMatch)
            stored = new_object(Body, simulation.scheduler.now_ms, Metadata, ContentType, CacheControl, Tagging)
            simulation.s3.put(Bucket, Key, stored)
            return {"ETag": stored.etag}

        is_conditional = IfMatch is not None or IfNoneMatch is not None
        return self.call("PutObject", Key, effect, bucket=Bucket, is_conditional=is_conditional)

    def copy_object(
        self,
        *,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        CopySource: Mapping[str, str],  # noqa: N803
        CopySourceIfMatch: str | None = None,  # noqa: N803
        MetadataDirective: str,  # noqa: N803
        Metadata: Mapping[str, str],  # noqa: N803
        ContentType: str,  # noqa: N803
    ) -> dict[str, Any]:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html (of an object onto itself)"""
        if CopySource != {"Bucket": Bucket, "Key": Key} or MetadataDirective != "REPLACE":
            raise NotImplementedError("an object is copied onto itself, with other metadata")

        def effect(request: Request) -> dict[str, Any]:
            simulation = request.simulation
            existing = simulation.s3.find(Bucket, Key)
            if existing is None:
                raise s3_error("CopyObject", 404, "NoSuchKey", "The specified key does not exist.")
            check_conditions("CopyObject", existing, CopySourceIfMatch)
            stored = new_object(existing.data, simulation.scheduler.now_ms, Metadata, ContentType)
            simulation.s3.put(Bucket, Key, stored)
            return {"CopyObjectResult": {"ETag": stored.etag}}

        is_conditional = CopySourceIfMatch is not None
        return self.call("CopyObject", Key, effect, bucket=Bucket, is_conditional=is_conditional)

    def delete_object(self, *, Bucket: str, Key: str, IfMatch: str | None = None) -> dict[str, Any]:  # noqa: N803
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html"""

        def effect(request: Request) -> dict[str, Any]:
            check_conditions("DeleteObject", request.simulation.s3.find(Bucket, Key), IfMatch)
            request.simulation.s3.delete(Bucket, Key, request.simulation.scheduler.now_ms)
            return {}

        return self.call("DeleteObject", Key, effect, bucket=Bucket, is_conditional=IfMatch is not None)

    def list_objects_v2(self, *, Bucket: str, Prefix: str = "", StartAfter: str = "") -> dict[str, Any]:  # noqa: N803
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html (one page holds everything)"""

        def effect(request: Request) -> dict[str, Any]:
            contents = [
                {"Key": key, "Size": len(stored.data), **_listed(stored)}
                for key, stored in sorted(request.simulation.s3.buckets.get(Bucket, {}).items())
                if key.startswith(Prefix) and key > StartAfter
            ]
            page = {"KeyCount": len(contents), "IsTruncated": False}
            return {**page, "Contents": contents} if contents else page

        return self.call("ListObjectsV2", Prefix, effect, bucket=Bucket, is_read=True, is_list=True)

    def list_object_versions(self, *, Bucket: str, Prefix: str) -> dict[str, Any]:  # noqa: N803
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html (one page holds everything)"""

        def effect(request: Request) -> dict[str, Any]:
            page: dict[str, Any] = {"IsTruncated": False}
            for key, version_id, stored, _, is_latest in request.simulation.s3.list_versions(Bucket, Prefix):
                listed = page.setdefault("Versions" if stored else "DeleteMarkers", [])
                listed.append({"Key": key, "VersionId": version_id, "IsLatest": is_latest})
            return page

        return self.call("ListObjectVersions", Prefix, effect, bucket=Bucket, is_read=True, is_list=True)

    def delete_objects(self, *, Bucket: str, Delete: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N803
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html (of versions, in the given order)"""
        versions = [(its["Key"], its["VersionId"]) for its in Delete["Objects"]]
        if not Delete["Quiet"]:
            raise NotImplementedError("only errors are in the response")

        def effect(request: Request) -> dict[str, Any]:
            failed = versions[:1] if request.fault == PARTLY else []
            for key, version_id in versions[len(failed) :]:
                request.simulation.s3.delete_version(Bucket, key, version_id, request.simulation.scheduler.now_ms)
            error = {"Code": "InternalError", "Message": "We encountered an internal error. Please try again."}
            errors = [{"Key": key, "VersionId": version_id, **error} for key, version_id in failed]
            return {"Errors": errors} if errors else {}

        keys = tuple(key for key, _ in versions)
        return self.call("DeleteObjects", keys[0], effect, bucket=Bucket, keys=keys)


def _head(stored: StoredObject) -> dict[str, Any]:
    return {
        "ContentLength": len(stored.data),
        "ContentType": stored.content_type,
        "CacheControl": stored.cache_control,
        "Metadata": dict(stored.metadata),
        **_listed(stored),
    }


def _listed(stored: StoredObject) -> dict[str, Any]:
    return {"ETag": stored.etag, "LastModified": datetime.fromtimestamp(stored.modified_ms // 1000, UTC)}
