"""AWS for the commands of operators: moto, and functions that only have a log."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from local.emulators.http_server import HttpServer
from local.emulators.lambda_api import LambdaApi
from local.emulators.logs_api import LogsApi
from local.emulators.moto import create_dispatcher
from operations.operated_stack import OperatedStack

REGION = "eu-west-1"


@dataclass
class Function:
    """What the emulators of Lambda and CloudWatch Logs need of a function."""

    name: str
    log: str = ""
    deployed_at: datetime = datetime(2026, 11, 28, 6, 30, tzinfo=UTC)

    @property
    def arn(self) -> str:
        return f"arn:aws:lambda:{REGION}:123456789012:function:{self.name}-1a2b3c4"

    @property
    def log_group(self) -> str:
        return f"{self.name}-logs"

    def read_log(self) -> str:
        return self.log

    def hash_code(self) -> str:
        return "dHks8MyoTdP7Y2hlY2tzdW1zaG93bm9ubHlwYXJ0bHk="


@pytest.fixture(scope="package")
def functions() -> Mapping[str, Function]:
    return {name: Function(name) for name in ("process_avatar", "upload_status")}


@pytest.fixture(scope="package")
def operator(functions: Mapping[str, Function]) -> Iterator[dict[str, str]]:
    logs = LogsApi(create_dispatcher())
    lambda_ = LambdaApi(logs, REGION)
    by_arn = {function.arn: function for function in functions.values()}
    lambda_.functions = logs.functions = by_arn  # pyright: ignore[reportAttributeAccessIssue]
    server = HttpServer("AWS")
    server.serve(lambda_)
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    yield {"endpoint_url": server.url, "region_name": REGION, **keys}
    server.close()


@pytest.fixture
def operated(operator: dict[str, str], functions: Mapping[str, Function]) -> OperatedStack:
    """A stack with a webhook, new and empty."""
    creating, its = OperatedStack({"operator": operator}), uuid4()
    buckets = {output: f"{output.lower()}-{its}" for output in ("uploadsBucket", "assetsBucket")}
    for bucket in buckets.values():
        creating.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    queues = {
        output: creating.sqs.create_queue(QueueName=f"{output}-{its}")["QueueUrl"]
        for output in ("queueUrl", "deadLetterQueueUrl", "undeliveredQueueUrl")
    }
    topic = creating.create_client("sns").create_topic(Name=f"topic-{its}")["TopicArn"]
    names = {name: function.arn.rpartition(":")[2] for name, function in functions.items()}
    return OperatedStack({**buckets, **queues, "topicArn": topic, "functions": names, "operator": operator})


@pytest.fixture
def outputs_file(operated: OperatedStack, tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("outputs") / "outputs.json"
    file.write_text(json.dumps(dict(operated.outputs)))
    return str(file)
