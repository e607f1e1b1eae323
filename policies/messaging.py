"""Amazon SQS and Amazon SNS."""

from policies.documents import get_statements, is_public, list_actions, list_allowed, list_principals, requires_tls
from policies.rule import Props, Rule, is_given, is_true

QUEUE = "aws:sqs/queue:Queue"
QUEUE_POLICY = "aws:sqs/queuePolicy:QueuePolicy"
TOPIC = "aws:sns/topic:Topic"
TOPIC_POLICY = "aws:sns/topicPolicy:TopicPolicy"

_TLS_ONLY = {"Effect": "Deny", "Principal": "*", "Action": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}


def _allow(principal: object, action: str, **condition: object) -> Props:
    return {
        "policy": {"Statement": [_TLS_ONLY, {"Effect": "Allow", "Principal": principal, "Action": action, **condition}]}
    }


_FROM_S3 = _allow({"Service": "s3.amazonaws.com"}, "sqs:SendMessage")
_ACCOUNT = {"AWS": "arn:aws:iam::123456789012:root"}


def _is_private(policy: Props) -> bool:
    return not any(is_public(statement) for statement in get_statements(policy))


def _trusts_no_account(policy: Props) -> bool:
    return not any(
        principal.startswith("arn:aws:iam::") and not statement.get("Condition")
        for statement in list_allowed(policy)
        for principal in list_principals(statement)
    )


def _is_encrypted(queue: Props) -> bool:
    return any(check(queue) for check in (is_true("sqsManagedSseEnabled"), is_given("kmsMasterKeyId")))


RULES = (
    Rule(
        "AwsSolutions-SQS2 CKV_AWS_27",
        "Messages are encrypted at rest.",
        QUEUE,
        _is_encrypted,
        passes={"sqsManagedSseEnabled": True},
        fails={"sqsManagedSseEnabled": False},
    ),
    Rule(
        "CKV2_AWS_73",
        "A KMS key for messages is one's own.",
        QUEUE,
        lambda queue: queue.get("kmsMasterKeyId") != "alias/aws/sqs",
        passes={"sqsManagedSseEnabled": True},
        fails={"kmsMasterKeyId": "alias/aws/sqs"},
    ),
    Rule(
        "AwsSolutions-SQS3",
        "The queue has a dead-letter queue, or is one.",
        QUEUE,
        lambda queue, sources: bool(queue.get("redrivePolicy") or sources),
        beside=((QUEUE, "redrivePolicy"), ("aws:sns/topicSubscription:TopicSubscription", "redrivePolicy")),
        passes={},
        passes_beside=({"redrivePolicy": "{}"},),
        fails={},
    ),
    Rule(
        "AwsSolutions-SQS4",
        "Requests without TLS are denied.",
        QUEUE,
        lambda _, policies: any(requires_tls(policy) for policy in policies),
        beside=((QUEUE_POLICY, "queueUrl"),),
        passes={},
        passes_beside=(_FROM_S3,),
        fails={},
    ),
    Rule(
        "CKV_AWS_72",
        "The policy does not allow every action.",
        QUEUE_POLICY,
        lambda policy: not any({"*", "sqs:*"} & set(list_actions(s)) for s in list_allowed(policy)),
        passes=_FROM_S3,
        fails=_allow({"Service": "s3.amazonaws.com"}, "sqs:*"),
    ),
    Rule(
        "CKV_AWS_168 CKV_AWS_387",
        "The policy allows nothing to everyone.",
        QUEUE_POLICY,
        _is_private,
        passes=_FROM_S3,
        fails=_allow({"AWS": "*"}, "sqs:SendMessage"),
    ),
    Rule(
        "CKV_AWS_26",
        "Messages are encrypted at rest.",
        TOPIC,
        is_given("kmsMasterKeyId"),
        passes={"kmsMasterKeyId": "alias/aws/sns"},
        fails={},
        why_not="The topic of events is. That of alarms is not: CloudWatch may not use the AWS managed key, a key of "
        "one's own costs a dollar a month, and an alarm has no users' data. SNS encrypts its disks in any case.",
    ),
    Rule(
        "AwsSolutions-SNS3",
        "Messages without TLS are denied.",
        TOPIC,
        lambda topic, policies: bool(topic.get("kmsMasterKeyId")) or any(requires_tls(policy) for policy in policies),
        beside=((TOPIC_POLICY, "arn"),),
        passes={},
        passes_beside=(_allow(_ACCOUNT, "sns:Publish"),),
        fails={},
    ),
    Rule(
        "CKV_AWS_169",
        "The policy allows nothing to everyone.",
        TOPIC_POLICY,
        _is_private,
        passes=_allow({"Service": "cloudwatch.amazonaws.com"}, "sns:Publish"),
        fails=_allow("*", "sns:Publish"),
    ),
    Rule(
        "CKV_AWS_385",
        "The policy allows nothing to an account or role without a condition.",
        TOPIC_POLICY,
        _trusts_no_account,
        passes=_allow(_ACCOUNT, "sns:Publish", Condition={"StringEquals": {"aws:SourceAccount": "123456789012"}}),
        fails=_allow(_ACCOUNT, "sns:Publish"),
    ),
)
