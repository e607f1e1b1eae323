"""Handlers for SQS, SNS, CloudWatch and Budgets. A local run evaluates no alarms, and sends no email."""

from __future__ import annotations

from local.recording.graph import ProgramError, Resource
from local.resources.handlers import (
    CreatedResource,
    HandlerContext,
    ResourceHandler,
    record_only,
    resolve_physical_name,
)

_QUEUE_ATTRIBUTES = {
    "visibilityTimeoutSeconds": "VisibilityTimeout",
    "messageRetentionSeconds": "MessageRetentionPeriod",
    "receiveWaitTimeSeconds": "ReceiveMessageWaitTimeSeconds",
    "delaySeconds": "DelaySeconds",
    "maxMessageSize": "MaximumMessageSize",
    "redrivePolicy": "RedrivePolicy",
    "sqsManagedSseEnabled": "SqsManagedSseEnabled",
}


def _queue(resource: Resource, context: HandlerContext) -> CreatedResource:
    name = resolve_physical_name(resource, "name")
    attributes = {
        attribute: str(resource.inputs[key]).lower()
        if isinstance(resource.inputs[key], bool)
        else str(resource.inputs[key])
        for key, attribute in _QUEUE_ATTRIBUTES.items()
        if resource.inputs.get(key) is not None
    }
    url = context.aws.client("sqs").create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return url, {"url": url, "arn": context.aws.arn("sqs", name), "name": name}


def _topic(resource: Resource, context: HandlerContext) -> CreatedResource:
    name = resolve_physical_name(resource, "name")
    arn = context.aws.client("sns").create_topic(Name=name)["TopicArn"]
    return arn, {"arn": arn, "name": name}


def _subscription(resource: Resource, _context: HandlerContext) -> CreatedResource:
    if resource.inputs["protocol"] not in ("https", "email"):
        raise ProgramError(f"{resource.name}: a local run supports only https endpoints and email addresses")
    arn = f"{resource.inputs['topic']}:{resource.name}"
    return arn, {"arn": arn, "pendingConfirmation": True}


def _log_group(resource: Resource, context: HandlerContext) -> CreatedResource:
    name = resolve_physical_name(resource, "name")
    return name, {"name": name, "arn": context.aws.arn("logs", f"log-group:{name}")}


def _alarm(resource: Resource, context: HandlerContext) -> CreatedResource:
    name = resolve_physical_name(resource, "name")
    return name, {"name": name, "arn": context.aws.arn("cloudwatch", f"alarm:{name}")}


def _log_delivery(resource: Resource, context: HandlerContext) -> CreatedResource:
    name = resolve_physical_name(resource, "name")
    kind = resource.type.rsplit(":", 1)[-1]
    return name, {"name": name, "arn": context.aws.arn("logs", f"{kind}:{name}")}


HANDLERS: dict[str, ResourceHandler] = {
    "aws:sqs/queue:Queue": _queue,
    "aws:sqs/queuePolicy:QueuePolicy": record_only,
    "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy": record_only,
    "aws:sns/topic:Topic": _topic,
    "aws:sns/topicPolicy:TopicPolicy": record_only,
    "aws:sns/topicSubscription:TopicSubscription": _subscription,
    "aws:cloudwatch/logGroup:LogGroup": _log_group,
    "aws:cloudwatch/metricAlarm:MetricAlarm": _alarm,
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": record_only,
    "aws:budgets/budget:Budget": record_only,
    "aws:cloudwatch/dashboard:Dashboard": record_only,
    "aws:cloudwatch/queryDefinition:QueryDefinition": record_only,
    "aws:xray/resourcePolicy:ResourcePolicy": record_only,
    "aws:cloudwatch/logDeliverySource:LogDeliverySource": _log_delivery,
    "aws:cloudwatch/logDeliveryDestination:LogDeliveryDestination": _log_delivery,
    "aws:cloudwatch/logDelivery:LogDelivery": _log_delivery,
}
