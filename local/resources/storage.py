"""S3: buckets with their objects, versioning, CORS and notifications."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pulumi

from local.emulators.queue_policies import may_send
from local.recording.recorder import ProgramError, Resource
from local.resources.handlers import Cloud, Made, Maker, physical_name, recorded


def _bucket(resource: Resource, cloud: Cloud) -> Made:
    name = physical_name(resource, "bucket")
    region = cloud.aws.region
    location = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    cloud.aws.client("s3").create_bucket(Bucket=name, **location)
    return name, {
        "bucket": name,
        "arn": f"arn:aws:s3:::{name}",
        # A real one has a host of its own; behind one address buckets are told apart by the path.
        "bucketRegionalDomainName": f"{cloud.aws.authority}/{name}",
        "region": region,
    }


def _versioning(resource: Resource, cloud: Cloud) -> Made:
    bucket = resource.inputs["bucket"]
    status = resource.inputs["versioningConfiguration"]["status"]
    cloud.aws.client("s3").put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})
    return bucket, {}


def _cors(resource: Resource, cloud: Cloud) -> Made:
    bucket = resource.inputs["bucket"]
    cloud.aws.guard.cors_rules[bucket] = resource.inputs["corsRules"]
    return bucket, {}


def _object(resource: Resource, cloud: Cloud) -> Made:
    inputs = resource.inputs
    headers = {"ContentType": inputs.get("contentType"), "CacheControl": inputs.get("cacheControl")}
    answer = cloud.aws.client("s3").put_object(
        Bucket=inputs["bucket"],
        Key=inputs["key"],
        Body=_content(resource),
        **{name: value for name, value in headers.items() if value},
    )
    return inputs["key"], {
        "etag": answer["ETag"].strip('"'),
        "versionId": answer.get("VersionId", ""),
        "arn": f"arn:aws:s3:::{inputs['bucket']}/{inputs['key']}",
    }


def _content(resource: Resource) -> bytes:
    asset, text = resource.inputs.get("source"), resource.inputs.get("content")
    if isinstance(asset, pulumi.FileAsset):
        return Path(asset.path).read_bytes()
    if isinstance(text, str):
        return text.encode()
    raise ProgramError(f"{resource.name}: a local run uploads a text or a FileAsset, not {asset or text!r}")


def _notification(resource: Resource, cloud: Cloud) -> Made:
    bucket = resource.inputs["bucket"]
    for other in cloud.graph.of_type(resource.type):
        if other.urn != resource.urn and other.inputs["bucket"] == bucket:
            raise ProgramError(f"{resource.name} would overwrite {other.name}: a bucket has one notification")
    unknown = {"lambdaFunctions", "topics", "eventbridge"} & set(resource.inputs)
    if unknown:
        raise ProgramError(f"{resource.name}: a local run notifies queues only, not {sorted(unknown)}")
    configurations = [_queue_configuration(bucket, queue, cloud) for queue in resource.inputs["queues"]]
    cloud.aws.client("s3").put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"QueueConfigurations": configurations}
    )
    return bucket, {}


def _queue_configuration(bucket: str, queue: dict[str, Any], cloud: Cloud) -> dict[str, Any]:
    """Raises ProgramError when S3 could not send to the queue: AWS tries that before it takes the notification."""
    arn = queue["queueArn"]
    if not may_send(cloud.graph, "s3.amazonaws.com", f"arn:aws:s3:::{bucket}", arn):
        raise ProgramError(
            f"Unable to validate the following destination configurations: {bucket} may not send to {arn} "
            "(the queue policy must exist before the notification and admit s3.amazonaws.com for this bucket)"
        )
    rules = [{"Name": name, "Value": queue[key]} for name, key in
             (("prefix", "filterPrefix"), ("suffix", "filterSuffix")) if queue.get(key)]  # fmt: skip
    return {"QueueArn": arn, "Events": queue["events"], "Filter": {"Key": {"FilterRules": rules}}}


MAKERS: dict[str, Maker] = {
    "aws:s3/bucket:Bucket": _bucket,
    "aws:s3/bucketVersioning:BucketVersioning": _versioning,
    "aws:s3/bucketCorsConfiguration:BucketCorsConfiguration": _cors,
    "aws:s3/bucketObjectv2:BucketObjectv2": _object,
    "aws:s3/bucketNotification:BucketNotification": _notification,
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": recorded,
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": recorded,
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": recorded,
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": recorded,
    "aws:s3/bucketPolicy:BucketPolicy": recorded,
    "aws:s3/bucketLogging:BucketLogging": recorded,
}
