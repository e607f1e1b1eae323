"""Deletes all objects of one user, in every version, from the buckets of a stack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import boto3

from client.session import ClientError
from functions.shared import storage_keys


def erase(outputs: Mapping[str, Any], subject: str) -> int:
    """Deletes the originals, rejections, pictures and manifest of a subject. Returns the number of deleted versions.

    Uses the AWS credentials in `outputs["operator"]`, which only a local run has, or else those of the environment.
    Edge locations of the CDN keep their copies until Cache-Control expires.

    Raises:
        ClientError: S3 did not delete some of the objects.
    """
    s3 = boto3.client("s3", **outputs.get("operator", {}))
    return sum(
        _delete_prefix(s3, outputs[bucket], prefix)
        for bucket, prefixes in (
            (
                "uploadsBucket",
                [f"{its}{subject}/" for its in (storage_keys.INCOMING, storage_keys.REJECTED, storage_keys.DELETIONS)],
            ),
            # The pictures of each version, then the stable picture and the manifest.
            ("assetsBucket", (f"{storage_keys.AVATARS}{subject}/", f"{storage_keys.AVATARS}{subject}.")),
        )
        for prefix in prefixes
    )


def _delete_prefix(s3: Any, bucket: str, prefix: str) -> int:
    deleted = 0
    for versions in _list_versions(s3, bucket, prefix):
        response = s3.delete_objects(Bucket=bucket, Delete={"Objects": versions, "Quiet": True})
        if response.get("Errors"):
            raise ClientError(f"{bucket}: some objects were not deleted: {response['Errors'][0]}")
        deleted += len(versions)
    return deleted


def _list_versions(s3: Any, bucket: str, prefix: str) -> Iterator[list[dict[str, str]]]:
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        versions = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        if versions:
            yield [{"Key": version["Key"], "VersionId": version["VersionId"]} for version in versions]
