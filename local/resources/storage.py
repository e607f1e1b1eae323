"""Handlers for S3 and DynamoDB."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pulumi

from local.emulators.queue_policies import can_send
from local.recording.graph import ProgramError, Resource
from local.resources.handlers import (
    CreatedResource,
    HandlerContext,
    ResourceHandler,
    record_only,
    resolve_physical_name,
)


def _bucket(resource: Resource, context: HandlerContext) -> CreatedResource:
    name = resolve_physical_name(resource, "bucket")
    region = context.aws.region
    location = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    context.aws.client("s3").create_bucket(Bucket=name, **location)
    return name, {
        "bucket": name,
        "arn": f"arn:aws:s3:::{name}",
        # The local endpoint supports only path-style requests.
        "bucketRegionalDomainName": f"{context.aws.authority}/{name}",
        "region": region,
    }


def _versioning(resource: Resource, context: HandlerContext) -> CreatedResource:
    bucket = resource.inputs["bucket"]
    status = resource.inputs["versioningConfiguration"]["status"]
    context.aws.client("s3").put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})
    return bucket, {}


def _cors(resource: Resource, context: HandlerContext) -> CreatedResource:
    bucket = resource.inputs["bucket"]
    context.aws.request_validator.cors_rules[bucket] = resource.inputs["corsRules"]
    return bucket, {}


def _object(resource: Resource, context: HandlerContext) -> CreatedResource:
    inputs = resource.inputs
    headers = {"ContentType": inputs.get("contentType"), "CacheControl": inputs.get("cacheControl")}
    response = context.aws.client("s3").put_object(
        Bucket=inputs["bucket"],
        Key=inputs["key"],
        Body=_read_content(resource),
        **{name: value for name, value in headers.items() if value},
    )
    return inputs["key"], {
        "etag": response["ETag"].strip('"'),
        "versionId": response.get("VersionId", ""),
        "arn": f"arn:aws:s3:::{inputs['bucket']}/{inputs['key']}",
    }


def _read_content(resource: Resource) -> bytes:
    asset, text = resource.inputs.get("source"), resource.inputs.get("content")
    if isinstance(asset, pulumi.FileAsset):
        return Path(asset.path).read_bytes()
    if isinstance(text, str):
        return text.encode()
    raise ProgramError(f"{resource.name}: a local run supports only a text or a FileAsset, not {asset or text!r}")


def _notification(resource: Resource, context: HandlerContext) -> CreatedResource:
    bucket = resource.inputs["bucket"]
    for other in context.graph.of_type(resource.type):
        if other.urn != resource.urn and other.inputs["bucket"] == bucket:
            raise ProgramError(
                f"{resource.name} would overwrite {other.name}: a bucket has one notification configuration"
            )
    unknown = {"lambdaFunctions", "topics", "eventbridge"} & set(resource.inputs)
    if unknown:
        raise ProgramError(f"{resource.name}: a local run supports only notifications of queues, not {sorted(unknown)}")
    configurations = [_build_queue_configuration(bucket, queue, context) for queue in resource.inputs["queues"]]
    context.aws.client("s3").put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"QueueConfigurations": configurations}
    )
    return bucket, {}


def _build_queue_configuration(bucket: str, queue: dict[str, Any], context: HandlerContext) -> dict[str, Any]:
    """Raises ProgramError if S3 may not send to the queue: S3 validates the destinations of a configuration."""
    arn = queue["queueArn"]
    if not can_send(context.graph, "s3.amazonaws.com", f"arn:aws:s3:::{bucket}", arn):
        raise ProgramError(
            f"Unable to validate the following destination configurations: {bucket} may not send to {arn} "
            "(the queue policy must exist before the notification and allow s3.amazonaws.com for this bucket)"
        )
    rules = [{"Name": name, "Value": queue[key]} for name, key in
             (("prefix", "filterPrefix"), ("suffix", "filterSuffix")) if queue.get(key)]  # fmt: skip
    return {"QueueArn": arn, "Events": queue["events"], "Filter": {"Key": {"FilterRules": rules}}}


def _table(resource: Resource, context: HandlerContext) -> CreatedResource:
    name, inputs = resolve_physical_name(resource, "name"), resource.inputs
    dynamodb = context.aws.client("dynamodb")
    dynamodb.create_table(
        TableName=name,
        BillingMode=inputs["billingMode"],
        KeySchema=[
            {"AttributeName": inputs["hashKey"], "KeyType": "HASH"},
            {"AttributeName": inputs["rangeKey"], "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": attribute["name"], "AttributeType": attribute["type"]}
            for attribute in inputs["attributes"]
        ],
    )
    ttl = inputs["ttl"]
    dynamodb.update_time_to_live(
        TableName=name,
        TimeToLiveSpecification={"AttributeName": ttl["attributeName"], "Enabled": ttl["enabled"]},
    )
    return name, {"name": name, "arn": context.aws.arn("dynamodb", f"table/{name}")}


HANDLERS: dict[str, ResourceHandler] = {
    "aws:dynamodb/table:Table": _table,
    "aws:s3/bucket:Bucket": _bucket,
    "aws:s3/bucketVersioning:BucketVersioning": _versioning,
    "aws:s3/bucketCorsConfiguration:BucketCorsConfiguration": _cors,
    "aws:s3/bucketObjectv2:BucketObjectv2": _object,
    "aws:s3/bucketNotification:BucketNotification": _notification,
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": record_only,
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": record_only,
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": record_only,
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": record_only,
    "aws:s3/bucketPolicy:BucketPolicy": record_only,
    "aws:s3/bucketLogging:BucketLogging": record_only,
}
