"""Who else may send to a queue: AWS services, for the source that the queue's policy names."""

from __future__ import annotations

import json

from local.aws_checks.iam import evaluate, parse_policy
from local.emulators.moto import ACCOUNT_ID
from local.recording.recorder import Graph


def may_send(graph: Graph, service: str, source_arn: str, queue_arn: str) -> bool:
    """Whether a queue's recorded policies admit messages that a service (`s3.amazonaws.com`) sends for a source."""
    queue_name = queue_arn.rsplit(":", 1)[-1]
    statements = [
        statement
        for policy in graph.of_type("aws:sqs/queuePolicy:QueuePolicy")
        if policy.inputs["queueUrl"].rsplit("/", 1)[-1] == queue_name
        for statement in parse_policy(json.loads(policy.inputs["policy"]))
    ]
    context = {"aws:sourcearn": source_arn, "aws:sourceaccount": ACCOUNT_ID, "aws:securetransport": "true"}
    return evaluate(statements, "sqs:SendMessage", queue_arn, context, principal=f"Service:{service}")
