"""IAM policy statements, named after what they allow.

Every statement lists its actions without wildcards, and there are no managed policies. Functions named `allow_` and
`deny_` return statements of trust and resource-based policies.
"""

from collections.abc import Mapping, Sequence
from typing import TypedDict

import pulumi


class Statement(TypedDict, total=False):
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_statement.html"""

    Sid: str
    Effect: str
    Principal: str | Mapping[str, str]
    Action: str | Sequence[str]
    Resource: pulumi.Input[str] | Sequence[pulumi.Input[str]]
    Condition: Mapping[str, Mapping[str, pulumi.Input[str]]]


def policy_document(*statements: Statement) -> pulumi.Output[str]:
    """Returns a policy document as compact JSON.

    AWS returns policies in this form; any other whitespace or order shows as a change in every preview.
    """
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    return pulumi.Output.json_dumps(document, separators=(",", ":"))


def allow_assume_role(service: str, *, account_id: pulumi.Input[str] | None = None) -> Statement:
    """Returns the statement of a role's trust policy.

    With `account_id`, the service has to act for a resource of that account, as AWS recommends against the confused
    deputy: https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html
    """
    statement: Statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    if account_id is not None:
        statement["Condition"] = {"StringEquals": {"aws:SourceAccount": account_id}}
    return statement


def write_logs(log_group_arn: pulumi.Input[str]) -> Statement:
    """Without logs:CreateLogGroup: a log group that the function creates has no retention."""
    return _allow(["logs:CreateLogStream", "logs:PutLogEvents"], pulumi.Output.concat(log_group_arn, ":*"))


def write_traces() -> Statement:
    """The actions have no resources: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsx-ray.html"""
    return _allow(["xray:PutTraceSegments", "xray:PutTelemetryRecords"], "*")


def read_objects(bucket_arn: pulumi.Input[str], *patterns: str) -> list[Statement]:
    """Allows s3:GetObject on matching keys, and s3:ListBucket so that a missing key returns 404 instead of 403.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
    s3:ListBucket cannot have an s3:prefix condition: a GetObject request does not contain that condition key.
    """
    return [_allow("s3:GetObject", _keys(bucket_arn, patterns)), list_objects(bucket_arn)]


def list_objects(bucket_arn: pulumi.Input[str]) -> Statement:
    return _allow("s3:ListBucket", bucket_arn)


def list_object_versions(bucket_arn: pulumi.Input[str]) -> Statement:
    return _allow("s3:ListBucketVersions", bucket_arn)


def write_objects(bucket_arn: pulumi.Input[str], *patterns: str) -> Statement:
    return _allow("s3:PutObject", _keys(bucket_arn, patterns))


def delete_objects(bucket_arn: pulumi.Input[str], *patterns: str) -> Statement:
    return _allow("s3:DeleteObject", _keys(bucket_arn, patterns))


def delete_object_versions(bucket_arn: pulumi.Input[str], *patterns: str) -> Statement:
    """Allows requests to delete that name a version, also those of an unversioned bucket, which is `null`.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
    """
    return _allow("s3:DeleteObjectVersion", _keys(bucket_arn, patterns))


def tag_objects(bucket_arn: pulumi.Input[str], *patterns: str) -> Statement:
    """Required in addition to `write_objects` for a PutObject request with tags."""
    return _allow("s3:PutObjectTagging", _keys(bucket_arn, patterns))


def delete_avatars(uploads_bucket_arn: pulumi.Input[str], assets_bucket_arn: pulumi.Input[str]) -> list[Statement]:
    """Allows a function to request the deletion of an avatar, and to replace the avatar by the record of it.

    process_avatar deletes what is left: functions/shared/avatar_deletion.py.
    """
    avatars = ("avatars/*.json", "avatars/*.jpg")
    return [
        list_objects(uploads_bucket_arn),
        write_objects(uploads_bucket_arn, "deletions/*"),
        *read_objects(assets_bucket_arn, *avatars),
        _write_deletion_records(assets_bucket_arn, *avatars),
    ]


def _write_deletion_records(bucket_arn: pulumi.Input[str], *patterns: str) -> Statement:
    """Allows s3:PutObject only with the tag for which the bucket policy refuses objects to the CDN.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/tagging-and-policies.html
    """
    return {
        **_allow(["s3:PutObject", "s3:PutObjectTagging"], _keys(bucket_arn, patterns)),
        "Condition": {"StringEquals": {"s3:RequestObjectTag/deleted": "true"}},
    }


def create_invalidation(distribution_arn: pulumi.Input[str]) -> Statement:
    return _allow("cloudfront:CreateInvalidation", distribution_arn)


def consume_queue(queue_arn: pulumi.Input[str]) -> Statement:
    """Allows what an event source mapping needs in the function's execution role.

    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html#events-sqs-permissions
    """
    return _allow(["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"], queue_arn)


def change_visibility(queue_arn: pulumi.Input[str]) -> Statement:
    """Allows a consumer of a queue to decide when a message that it received becomes visible again."""
    return _allow("sqs:ChangeMessageVisibility", queue_arn)


def invoke_function(function_arn: pulumi.Input[str]) -> Statement:
    return _allow("lambda:InvokeFunction", function_arn)


def publish(topic_arn: pulumi.Input[str]) -> Statement:
    return _allow("sns:Publish", topic_arn)


def get_item(table_arn: pulumi.Input[str]) -> Statement:
    return _allow("dynamodb:GetItem", table_arn)


def erase_items(table_arn: pulumi.Input[str]) -> Statement:
    """Allows a function to delete the items of a user, and to read and write the user's block."""
    return _allow(["dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"], table_arn)


def update_item(table_arn: pulumi.Input[str]) -> Statement:
    return _allow("dynamodb:UpdateItem", table_arn)


def read_parameter(parameter_arn: pulumi.Input[str]) -> Statement:
    """Sufficient for a SecureString under the AWS managed key, whose key policy allows callers in the account.

    https://docs.aws.amazon.com/systems-manager/latest/userguide/secure-string-parameter-kms-encryption.html
    """
    return _allow("ssm:GetParameter", parameter_arn)


def connect_to_database(user_arn: pulumi.Input[str]) -> Statement:
    """Allows IAM authentication as one database user.

    `user_arn` has the form arn:aws:rds-db:<region>:<account>:dbuser:<cluster resource id>/<user>.
    https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/UsingWithRDS.IAMDBAuth.IAMPolicy.html
    """
    return _allow("rds-db:connect", user_arn)


_NETWORK_INTERFACES = [
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
]


def manage_network_interfaces() -> list[Statement]:
    """Allows Lambda to manage a function's network interfaces in a VPC, and denies the same to the function's code.

    The resource is "*" because the interfaces do not exist yet and the Describe actions support no other. Only
    requests made with the function's credentials contain lambda:SourceFunctionArn, those of the Lambda service do not:
    https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions
    """
    return [
        _allow(_NETWORK_INTERFACES, "*"),
        {
            "Effect": "Deny",
            "Action": _NETWORK_INTERFACES,
            "Resource": "*",
            "Condition": {"ArnLike": {"lambda:SourceFunctionArn": "arn:*:lambda:*:*:function:*"}},
        },
    ]


def deny_insecure_transport(actions: str, *resources: pulumi.Input[str]) -> Statement:
    """Denies every principal, including the account's administrators, requests that do not use TLS."""
    return {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": actions,
        "Resource": _one_or_many(resources),
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def allow_cloudfront_read(
    bucket_arn: pulumi.Input[str], distribution_arn: pulumi.Input[str], *patterns: str
) -> Statement:
    """Allows one CloudFront distribution to read matching keys.

    Without s3:ListBucket: a request for `/` would return a list of the bucket, with every user's subject. S3 therefore
    returns 403 for a missing key, which the distribution turns into a 404.

    An object with the tag `deleted=true` records that an avatar was deleted (functions/shared/stored_avatar.py). For an
    object without the tag, the condition is met:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
    """
    return {
        "Sid": "Cdn",
        "Effect": "Allow",
        "Principal": {"Service": "cloudfront.amazonaws.com"},
        "Action": "s3:GetObject",
        "Resource": _keys(bucket_arn, patterns),
        "Condition": {
            "StringEquals": {"aws:SourceArn": distribution_arn},
            "StringNotEquals": {"s3:ExistingObjectTag/deleted": "true"},
        },
    }


def allow_log_delivery_write(
    bucket_arn: pulumi.Input[str],
    source_arn: pulumi.Input[str],
    account_id: pulumi.Input[str],
) -> Statement:
    """Allows one log delivery source to write under the path of CloudFront's standard logs.

    https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logging.html#standard-logs-v2-permissions
    """
    return {
        "Sid": "LogDelivery",
        "Effect": "Allow",
        "Principal": {"Service": "delivery.logs.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": pulumi.Output.concat(bucket_arn, "/AWSLogs/", account_id, "/CloudFront/*"),
        "Condition": {
            "StringEquals": {
                "aws:SourceAccount": account_id,
                "s3:x-amz-acl": "bucket-owner-full-control",
            },
            "ArnEquals": {"aws:SourceArn": source_arn},
        },
    }


def endpoint_policy(statements: Sequence[Statement]) -> list[Statement]:
    """Returns the statements of a VPC endpoint policy that allows any principal what `statements` allow a role.

    The caller's role and the bucket policy still apply.
    """
    return [{**statement, "Principal": "*"} for statement in statements]


def allow_s3_send(
    queue_arn: pulumi.Input[str],
    bucket_arn: pulumi.Input[str],
    account_id: pulumi.Input[str],
) -> Statement:
    """Allows S3 to send the event notifications of one bucket to a queue.

    The condition includes the account: the name of a deleted bucket can be taken by another account.
    """
    return {
        "Sid": "BucketEvents",
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {
            "ArnEquals": {"aws:SourceArn": bucket_arn},
            "StringEquals": {"aws:SourceAccount": account_id},
        },
    }


def allow_alarms_publish(topic_arn: pulumi.Output[str]) -> Statement:
    """Allows CloudWatch to publish to a topic for the alarms of the topic's account and region.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html
    """
    return {
        "Sid": "Alarms",
        "Effect": "Allow",
        "Principal": {"Service": "cloudwatch.amazonaws.com"},
        "Action": "sns:Publish",
        "Resource": topic_arn,
        "Condition": {"ArnLike": {"aws:SourceArn": topic_arn.apply(_get_alarm_arns)}},
    }


def _get_alarm_arns(topic_arn: str) -> str:
    partition, _, region, account = topic_arn.split(":")[1:5]
    return f"arn:{partition}:cloudwatch:{region}:{account}:alarm:*"


def allow_sns_traces(topic_arn: pulumi.Input[str], account_id: pulumi.Input[str]) -> Statement:
    """Allows SNS to send traces of one topic to X-Ray.

    https://docs.aws.amazon.com/sns/latest/dg/sns-active-tracing.html
    """
    return {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": ["xray:PutTraceSegments", "xray:GetSamplingRules", "xray:GetSamplingTargets"],
        "Resource": "*",
        "Condition": {
            "ArnEquals": {"aws:SourceArn": topic_arn},
            "StringEquals": {"aws:SourceAccount": account_id},
        },
    }


def allow_sns_send(queue_arn: pulumi.Input[str], topic_arn: pulumi.Input[str]) -> Statement:
    """Allows SNS to send undelivered messages of one topic to a dead-letter queue."""
    return {
        "Sid": "Undelivered",
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic_arn}},
    }


def _allow(actions: str | Sequence[str], resources: pulumi.Input[str] | Sequence[pulumi.Input[str]]) -> Statement:
    return {"Effect": "Allow", "Action": actions, "Resource": resources}


def _keys(bucket_arn: pulumi.Input[str], patterns: Sequence[str]) -> pulumi.Input[str] | Sequence[pulumi.Input[str]]:
    return _one_or_many([pulumi.Output.concat(bucket_arn, "/", pattern) for pattern in patterns])


def _one_or_many(
    values: Sequence[pulumi.Input[str]],
) -> pulumi.Input[str] | Sequence[pulumi.Input[str]]:
    """AWS returns a list with one element as the element."""
    return values[0] if len(values) == 1 else values
