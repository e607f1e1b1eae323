"""A file put into a bucket, to be served."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pulumi
from pulumi_aws import s3


@dataclass(frozen=True, kw_only=True)
class BucketFile:
    """An object: where it lies, what it is, how long it may be cached."""

    key: str
    content_type: str
    cache_control: str
    body: Path | pulumi.Input[str]
    """A file on disk, or the text itself."""


def put_file(
    name: str, bucket_name: pulumi.Input[str], file: BucketFile, opts: pulumi.ResourceOptions
) -> s3.BucketObjectv2:
    source, content = (pulumi.FileAsset(str(file.body)), None) if isinstance(file.body, Path) else (None, file.body)
    return s3.BucketObjectv2(
        name,
        bucket=bucket_name,
        key=file.key,
        source=source,
        content=content,
        content_type=file.content_type,
        cache_control=file.cache_control,
        # An object takes ten tags; a company's default tags may be more.
        override_provider=s3.BucketObjectv2OverrideProviderArgs(
            default_tags=s3.BucketObjectv2OverrideProviderDefaultTagsArgs(tags={})
        ),
        opts=opts,
    )
