"""Removes what one user's uploads left in a stack's buckets, every version, with the operator's credentials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import boto3

from client.session import ClientError
from functions.shared import storage_keys


def erase(outputs: Mapping[str, Any], subject: str) -> int:
    """Deletes the subject's originals, rejections, pictures and manifest; gives how many object versions went.

    Uses the AWS credentials of the environment, or those of a local run when the outputs carry them (`operator`).
    Copies at CDN edges live on for as long as their Cache-Control says.
    """
    s3 = boto3.client("s3", **outputs.get("operator", {}))
    return sum(
        _delete(s3, outputs[bucket], prefix)
        for bucket, prefixes in (
            ("uploadsBucket", (f"{storage_keys.INCOMING}{subject}/", f"{storage_keys.REJECTED}{subject}/")),
            # The folder of versions; then the stable picture and the manifest, which differ in their extension only.
            ("assetsBucket", (f"{storage_keys.AVATARS}{subject}/", f"{storage_keys.AVATARS}{subject}.")),
        )
        for prefix in prefixes
    )


def _delete(s3: Any, bucket: str, prefix: str) -> int:
    deleted = 0
    for versions in _pages(s3, bucket, prefix):
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": versions, "Quiet": True})
        if answer.get("Errors"):
            raise ClientError(f"{bucket} kept some objects: {answer['Errors'][0]}")
        deleted += len(versions)
    return deleted


def _pages(s3: Any, bucket: str, prefix: str) -> Iterator[list[dict[str, str]]]:
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        versions = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        if versions:
            yield [{"Key": version["Key"], "VersionId": version["VersionId"]} for version in versions]
