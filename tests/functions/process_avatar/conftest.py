"""The handler with buckets, a topic and queues of a moto server."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import ConnectionClosedError
from botocore.httpsession import URLLib3Session

from functions.process_avatar.imaging import render_process
from functions.process_avatar.imaging.render_process import RenderProcess
from functions.shared import storage_keys, upload_id
from tests.fixtures import pictures
from tests.functions.conftest import LoadHandler
from tests.functions.process_avatar.upload_events import batch, message, s3_event

SUBJECT = "5f0c2a4e-8a43-4a5e-9a3b-0d6a0c1e7b11"
CDN_URL = "https://assets.example.com"
MAX_UPLOAD_BYTES = 100_000
SETTINGS = {
    "UPLOADS_BUCKET": "uploads",
    "ASSETS_BUCKET": "assets",
    "CDN_URL": CDN_URL,
    "TOPIC_ARN": "arn:aws:sns:eu-west-1:123456789012:avatars",
    "QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/123456789012/uploads",
    "SIZES": "64,16",
    "MAX_PIXELS": "1000000",
    "MAX_UPLOAD_BYTES": str(MAX_UPLOAD_BYTES),
    "UPLOADS_PER_HOUR": "0",
    "LIMITS_TABLE": "limits",
    "DISTRIBUTION_ID": "",
    "MODERATION_FUNCTION_ARN": "",
    "METRICS_SERVICE": "avatars",
}
RED, GREEN, BLUE = (200, 0, 0), (0, 200, 0), (0, 0, 200)


@dataclass(frozen=True)
class Stack:
    handler: ModuleType
    s3: Any
    sqs: Any
    sns: Any
    uploads: str
    assets: str
    topic_arn: str
    inbox: str
    queue: str
    posted: dict[str, str] = field(default_factory=dict[str, str])
    """The ETag of the last file that was posted, by upload ID."""

    def upload(self, minute: int, data: bytes, subject: str = SUBJECT, **metadata: str) -> str:
        """Store an original as posted in that minute of 2026; gives its upload id."""
        new_id = upload_id.create(subject, 1_767_225_600_000 + 60_000 * minute)
        self.replace(new_id, data, subject, **metadata)
        return new_id

    def replace(self, existing_id: str, data: bytes, subject: str = SUBJECT, **metadata: str) -> None:
        key = storage_keys.incoming_key(subject, existing_id)
        stored = self.s3.put_object(Bucket=self.uploads, Key=key, Body=data, Metadata=metadata)
        self.posted[existing_id] = stored["ETag"]

    def lose_first_response(self, ending: str) -> list[str]:
        """Let the first write of an object with this ending have no response. Returns the paths of its attempts."""
        attempts: list[str] = []

        def lose_response(request: AWSPreparedRequest, **_: Any) -> None:
            path = urlsplit(request.url).path
            if not path.endswith(ending):
                return
            attempts.append(path)
            if len(attempts) == 1:
                with closing(URLLib3Session()) as session:
                    assert session.send(request).status_code == 200
                raise ConnectionClosedError(endpoint_url=request.url)

        self.handler.S3.meta.events.register("before-send.s3.PutObject", lose_response)
        return attempts

    def deliver(
        self,
        *upload_ids: str,
        receive_count: int = 1,
        age: timedelta = timedelta(0),
    ) -> list[str]:
        """One message per upload, in one batch, about its last file; gives the uploads whose messages failed."""
        messages = [
            message(
                s3_event(storage_keys.incoming_key(SUBJECT, each), age=age, etag=self.posted.get(each)),
                receive_count=receive_count,
            )
            for each in upload_ids
        ]
        failed = self.failures(*messages)
        return [each for each, its in zip(upload_ids, messages, strict=True) if its["messageId"] in failed]

    def failures(self, *messages: dict[str, Any]) -> list[str]:
        result = self.handler.handle(batch(*messages), None)
        assert result.keys() == {"batchItemFailures"}
        return [failure["itemIdentifier"] for failure in result["batchItemFailures"]]

    def keys(self, bucket: str) -> list[str]:
        return [entry["Key"] for entry in self.s3.list_objects_v2(Bucket=bucket).get("Contents", [])]

    def get(self, bucket: str, key: str) -> Any:
        return self.s3.get_object(Bucket=bucket, Key=key)

    def manifest(self, subject: str = SUBJECT) -> dict[str, Any]:
        return json.load(self.get(self.assets, storage_keys.manifest_key(subject))["Body"])

    def announced_avatar(self) -> dict[str, Any]:
        """The manifest with absolute URLs."""
        manifest = self.manifest()
        images = [{**image, "url": CDN_URL + image["url"]} for image in manifest["images"]]
        return {**manifest, "images": images, "url": CDN_URL + manifest["url"]}

    def stable_jpeg(self) -> Any:
        return self.get(self.assets, storage_keys.stable_key(SUBJECT))

    def colour(self, key: str) -> tuple[int, ...]:
        pixel = pictures.decode(self.get(self.assets, key)["Body"].read()).getpixel((4, 4))
        assert isinstance(pixel, tuple)
        return tuple(round(value, -1) // 20 * 20 for value in pixel)

    def heard(self) -> list[dict[str, Any]]:
        """What subscribers were told since the last call, in order."""
        received: list[dict[str, Any]] = []
        while messages := self.sqs.receive_message(QueueUrl=self.inbox, MaxNumberOfMessages=10).get("Messages"):
            for each in messages:
                envelope = json.loads(each["Body"])
                body = json.loads(envelope["Message"])
                assert envelope["MessageAttributes"] == {"event": {"Type": "String", "Value": body["event"]}}
                received.append(body)
                self.sqs.delete_message(QueueUrl=self.inbox, ReceiptHandle=each["ReceiptHandle"])
        return received

    def heard_events(self) -> list[tuple[str, str]]:
        return [(body["event"], body["upload_id"]) for body in self.heard()]


@pytest.fixture(scope="session")
def clients(moto_endpoint: str) -> dict[str, Any]:
    """boto3 clients of moto, by service."""
    return {
        service: boto3.client(
            service,
            endpoint_url=moto_endpoint,
            region_name="eu-west-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        for service in ("s3", "sqs", "sns")
    }


@pytest.fixture(scope="session")
def warm_render_process() -> Iterator[RenderProcess]:
    """The render process of every handler: it renders one file after the other, and a start takes 0.1 s of CPU time."""
    process = RenderProcess()
    yield process
    process.close()


@pytest.fixture
def moderation_environment() -> dict[str, str]:
    """No moderation; overridden in its tests."""
    return {}


@pytest.fixture
def stack(
    clients: dict[str, Any],
    moto_endpoint: str,
    load_handler: LoadHandler,
    limits_table: str,
    moderation_environment: dict[str, str],
    warm_render_process: RenderProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> Stack:
    name = f"t{uuid4().hex[:12]}"
    for bucket in (f"{name}-uploads", f"{name}-assets"):
        clients["s3"].create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    topic_arn = clients["sns"].create_topic(Name=name)["TopicArn"]
    inbox = clients["sqs"].create_queue(QueueName=name)["QueueUrl"]
    queue = clients["sqs"].create_queue(QueueName=f"{name}-uploads")["QueueUrl"]
    queue_arn = clients["sqs"].get_queue_attributes(QueueUrl=inbox, AttributeNames=["QueueArn"])["Attributes"]
    clients["sns"].subscribe(TopicArn=topic_arn, Protocol="sqs", Endpoint=queue_arn["QueueArn"])
    with monkeypatch.context() as patch:
        patch.setattr(render_process, "RenderProcess", lambda: warm_render_process)
        handler = load_handler(
            "process_avatar",
            {
                "AWS_ENDPOINT_URL_S3": moto_endpoint,
                "AWS_ENDPOINT_URL_DYNAMODB": moto_endpoint,
                "AWS_ENDPOINT_URL_SNS": moto_endpoint,
                "AWS_ENDPOINT_URL_SQS": moto_endpoint,
                **SETTINGS,
                "UPLOADS_BUCKET": f"{name}-uploads",
                "ASSETS_BUCKET": f"{name}-assets",
                "TOPIC_ARN": topic_arn,
                "QUEUE_URL": queue,
                "LIMITS_TABLE": limits_table,
                **moderation_environment,
            },
        )
    return Stack(
        handler=handler,
        uploads=f"{name}-uploads",
        assets=f"{name}-assets",
        topic_arn=topic_arn,
        inbox=inbox,
        queue=queue,
        **clients,
    )


def jpeg_of(colour: tuple[int, int, int]) -> bytes:
    return pictures.encode(pictures.plain(90, 120, colour), "JPEG", exif=pictures.exif())
