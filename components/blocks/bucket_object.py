"""An S3 object that the CDN serves."""

from dataclasses import dataclass
from pathlib import Path

import pulumi
from pulumi_aws import s3


@dataclass(frozen=True, kw_only=True)
class BucketObject:
    """An object's key, metadata and content."""

    key: str
    content_type: str
    cache_control: str
    body: Path | pulumi.Input[str]
    """The path of a local file, or the content itself."""


def put_object(
    name: str, bucket_name: pulumi.Input[str], object_: BucketObject, opts: pulumi.ResourceOptions
) -> s3.BucketObjectv2:
    """Uploads an object under the logical name `name`."""
    body = object_.body
    source, content = (pulumi.FileAsset(str(body)), None) if isinstance(body, Path) else (None, body)
    return s3.BucketObjectv2(
        name,
        bucket=bucket_name,
        key=object_.key,
        source=source,
        content=content,
        content_type=object_.content_type,
        cache_control=object_.cache_control,
        # S3 allows ten tags on an object; the provider's default tags may be more.
        override_provider=s3.BucketObjectv2OverrideProviderArgs(
            default_tags=s3.BucketObjectv2OverrideProviderDefaultTagsArgs(tags={})
        ),
        opts=opts,
    )
