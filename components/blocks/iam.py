"""IAM policy statements, named after what they are for.

No resources and no managed policies: a role or a resource gets exactly the statements its owner composes, and every
action is spelt out.
"""

from __future__ import annotations

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


def policy(*statements: Statement) -> pulumi.Output[str]:
    """A policy document.

    Compact and in a fixed order, as AWS gives it back: another spelling shows as a difference at every preview.
    """
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    return pulumi.Output.json_dumps(document, separators=(",", ":"))


def assumed_by(service: str) -> Statement:
    return {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}


def write_logs(log_group_arn: pulumi.Input[str]) -> Statement:
    """Not CreateLogGroup: a group made by the function itself would have no retention."""
    return _allow(["logs:CreateLogStream", "logs:PutLogEvents"], pulumi.Output.concat(log_group_arn, ":*"))


def read_objects(bucket_arn: pulumi.Input[str], *patterns: str) -> list[Statement]:
    """GetObject on the keys that match, and to be told when a key does not exist.

    Without s3:ListBucket S3 answers 403 for a missing key, which looks like a broken role
    (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html). It cannot be narrowed by s3:prefix:
    a GetObject request has no such key, so the condition would never hold.
    """
    return [_allow("s3:GetObject", _keys(bucket_arn, patterns)), _allow("s3:ListBucket", bucket_arn)]


def write_objects(bucket_arn: pulumi.Input[str], *patterns: str) -> Statement:
    return _allow("s3:PutObject", _keys(bucket_arn, patterns))


def delete_objects(bucket_arn: pulumi.Input[str], *patterns: str) -> Statement:
    return _allow("s3:DeleteObject", _keys(bucket_arn, patterns))


def send_to_queue(queue_arn: pulumi.Input[str]) -> Statement:
    return _allow("sqs:SendMessage", queue_arn)


def consume_queue(queue_arn: pulumi.Input[str]) -> Statement:
    """What an event source mapping does in the function's name.

    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html#events-sqs-permissions
    """
    return _allow(["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"], queue_arn)


def publish(topic_arn: pulumi.Input[str]) -> Statement:
    return _allow("sns:Publish", topic_arn)


def read_parameter(parameter_arn: pulumi.Input[str]) -> Statement:
    """A SecureString too: the key AWS manages for SSM lets in whoever may read the parameter.

    https://docs.aws.amazon.com/systems-manager/latest/userguide/secure-string-parameter-kms-encryption.html
    """
    return _allow("ssm:GetParameter", parameter_arn)


def connect_to_database(user_arn: pulumi.Input[str]) -> Statement:
    """`user_arn` is one user of one cluster, arn:aws:rds-db:<region>:<account>:dbuser:<resource id>/<user>.

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


def join_network() -> list[Statement]:
    """What Lambda does in a function's name to give it addresses in a VPC, and the function's own code may not.

    On any resource: the interfaces are not there yet, and what only describes knows no other. Credentials that are
    handed to a function's code carry lambda:SourceFunctionArn, those that Lambda itself uses do not.
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


def tls_only(actions: str, *resources: pulumi.Input[str]) -> Statement:
    """Denies everybody, the account's administrators included, what is not sent over TLS."""
    return {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": actions,
        "Resource": _one_or_many(resources),
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def admit_cdn(bucket_arn: pulumi.Input[str], distribution_arn: pulumi.Input[str], *patterns: str) -> Statement:
    """Lets one CloudFront distribution read the keys that match.

    Not s3:ListBucket: CloudFront would hand a request for `/` on as a listing of the bucket, and so tell every subject
    to the world. A missing key is a 403 from S3 then; the distribution turns it into a 404.
    """
    return {
        "Sid": "Cdn",
        "Effect": "Allow",
        "Principal": {"Service": "cloudfront.amazonaws.com"},
        "Action": "s3:GetObject",
        "Resource": _keys(bucket_arn, patterns),
        "Condition": {"StringEquals": {"aws:SourceArn": distribution_arn}},
    }


def admit_log_delivery(
    bucket_arn: pulumi.Input[str],
    source_arn: pulumi.Input[str],
    account_id: pulumi.Input[str],
) -> Statement:
    """Lets one CloudFront log delivery source write below the path CloudFront's standard logs have.

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


def pass_reads(bucket_arn: pulumi.Input[str], *patterns: str) -> list[Statement]:
    """Lets a VPC endpoint pass on reads of the keys that match, whoever asks; role and bucket policy decide then."""
    return [{**statement, "Principal": "*"} for statement in read_objects(bucket_arn, *patterns)]


def admit_bucket_events(
    queue_arn: pulumi.Input[str],
    bucket_arn: pulumi.Input[str],
    account_id: pulumi.Input[str],
) -> Statement:
    """Lets S3 send one bucket's events to a queue.

    The account as well as the bucket: a bucket of that name, deleted here, may be made anew in another account.
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


def admit_topic(queue_arn: pulumi.Input[str], topic_arn: pulumi.Input[str]) -> Statement:
    """Lets SNS put what a subscriber of one topic did not take into a queue."""
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
    """AWS stores a list of one as the value itself."""
    return values[0] if len(values) == 1 else values
