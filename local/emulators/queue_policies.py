"""Evaluates the resource-based policies of SQS queues."""

from __future__ import annotations

import json

from local.aws_checks.iam import evaluate, parse_policy
from local.emulators.moto import ACCOUNT_ID
from local.recording.graph import Graph


def can_send(graph: Graph, service: str, source_arn: str, queue_arn: str) -> bool:
    """Returns whether the policies of a queue allow a service, such as `s3.amazonaws.com`, to send for a source."""
    queue_name = queue_arn.rsplit(":", 1)[-1]
    statements = [
        statement
        for policy in graph.of_type("aws:sqs/queuePolicy:QueuePolicy")
        if policy.inputs["queueUrl"].rsplit("/", 1)[-1] == queue_name
        for statement in parse_policy(json.loads(policy.inputs["policy"]))
    ]
    context = {"aws:sourcearn": source_arn, "aws:sourceaccount": ACCOUNT_ID, "aws:securetransport": "true"}
    return evaluate(statements, "sqs:SendMessage", queue_arn, context, principal=f"Service:{service}")
