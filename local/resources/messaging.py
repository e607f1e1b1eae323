"""SQS queues, SNS topics, log groups and alarms."""

from __future__ import annotations

from local.recording.recorder import ProgramError, Resource
from local.resources.handlers import Cloud, Made, Maker, physical_name, recorded

_QUEUE_ATTRIBUTES = {
    "visibilityTimeoutSeconds": "VisibilityTimeout",
    "messageRetentionSeconds": "MessageRetentionPeriod",
    "receiveWaitTimeSeconds": "ReceiveMessageWaitTimeSeconds",
    "delaySeconds": "DelaySeconds",
    "maxMessageSize": "MaximumMessageSize",
    "redrivePolicy": "RedrivePolicy",
    "sqsManagedSseEnabled": "SqsManagedSseEnabled",
}


def _queue(resource: Resource, cloud: Cloud) -> Made:
    name = physical_name(resource, "name")
    attributes = {
        attribute: str(resource.inputs[key]).lower()
        if isinstance(resource.inputs[key], bool)
        else str(resource.inputs[key])
        for key, attribute in _QUEUE_ATTRIBUTES.items()
        if resource.inputs.get(key) is not None
    }
    url = cloud.aws.client("sqs").create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return url, {"url": url, "arn": cloud.aws.arn("sqs", name), "name": name}


def _topic(resource: Resource, cloud: Cloud) -> Made:
    name = physical_name(resource, "name")
    arn = cloud.aws.client("sns").create_topic(Name=name)["TopicArn"]
    return arn, {"arn": arn, "name": name}


def _subscription(resource: Resource, _cloud: Cloud) -> Made:
    if resource.inputs["protocol"] != "https":
        raise ProgramError(f"{resource.name}: a local run delivers to https endpoints only")
    arn = f"{resource.inputs['topic']}:{resource.name}"
    return arn, {"arn": arn, "pendingConfirmation": True}


def _log_group(resource: Resource, cloud: Cloud) -> Made:
    name = physical_name(resource, "name")
    return name, {"name": name, "arn": cloud.aws.arn("logs", f"log-group:{name}")}


def _alarm(resource: Resource, cloud: Cloud) -> Made:
    name = physical_name(resource, "name")
    return name, {"name": name, "arn": cloud.aws.arn("cloudwatch", f"alarm:{name}")}


def _log_delivery(resource: Resource, cloud: Cloud) -> Made:
    name = physical_name(resource, "name")
    kind = resource.type.rsplit(":", 1)[-1]
    return name, {"name": name, "arn": cloud.aws.arn("logs", f"{kind}:{name}")}


MAKERS: dict[str, Maker] = {
    "aws:sqs/queue:Queue": _queue,
    "aws:sqs/queuePolicy:QueuePolicy": recorded,
    "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy": recorded,
    "aws:sns/topic:Topic": _topic,
    "aws:sns/topicPolicy:TopicPolicy": recorded,
    "aws:sns/topicSubscription:TopicSubscription": _subscription,
    "aws:cloudwatch/logGroup:LogGroup": _log_group,
    "aws:cloudwatch/metricAlarm:MetricAlarm": _alarm,
    "aws:cloudwatch/logDeliverySource:LogDeliverySource": _log_delivery,
    "aws:cloudwatch/logDeliveryDestination:LogDeliveryDestination": _log_delivery,
    "aws:cloudwatch/logDelivery:LogDelivery": _log_delivery,
}
