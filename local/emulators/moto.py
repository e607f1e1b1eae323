"""The AWS endpoint of a local run: moto and the APIs of functions and their logs behind the request validator, with
boto3 clients for it."""

from __future__ import annotations

import functools
import itertools
import sys
import threading
import time
from types import ModuleType
from typing import Any
from urllib.parse import quote_plus, unquote

import boto3
from botocore.config import Config
from cryptography.hazmat.primitives.asymmetric import rsa
from moto.backends import SERVICE_NAMES, get_backend
from moto.dynamodb.models import DynamoDBBackend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3 import notifications
from moto.s3.exceptions import PreconditionFailed
from moto.s3.responses import S3Response
from moto.sns import models as sns_models
from moto.sqs import models as sqs_models
from moto.sqs.models import Queue

from local.aws_checks.principals import Principals
from local.aws_checks.request_validator import RequestValidator
from local.emulators.http_server import HttpServer
from local.emulators.lambda_api import LambdaApi
from local.emulators.logs_api import LogsApi

ACCOUNT_ID = "123456789012"  # the default account of moto
_SERVICES: tuple[SERVICE_NAMES, ...] = ("s3", "sqs", "sns", "ssm", "cognito-idp", "dynamodb", "cloudfront")
_sequence = itertools.count(1)


class MotoServer:
    """Serves the AWS services of the stack. The state of moto is shared by all servers of a process."""

    def __init__(self, server: HttpServer, region: str) -> None:
        _import_ssm()
        for service in _SERVICES:
            get_backend(service)  # imported here; the first request would wait for it
        _complete_s3_events()
        _check_copy_condition()
        make_changes_atomic()
        # At each request, moto asks for the time several times for each message of the queue: 10 µs each time.
        sqs_models.unix_time_millis = lambda: time.time() * 1000  # pyright: ignore[reportPrivateImportUsage]
        self.url = server.url
        self.authority = server.authority
        self.region = region
        self.principals = Principals()
        self.logs_api = LogsApi(create_dispatcher())
        self.lambda_api = LambdaApi(self.logs_api, region)
        self.request_validator = RequestValidator(self.lambda_api, self.principals)
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()
        server.serve(self.request_validator)

    def client(self, service: str) -> Any:
        """Returns the boto3 client of the operator for a service. Creating a client is not thread-safe, using it is."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self.client_as(service, self.principals.operator.to_environment())
            return self._clients[service]

    def client_as(self, service: str, credentials: dict[str, str]) -> Any:
        """Creates a boto3 client with the credentials of a principal (`Principal.to_environment()`)."""
        return boto3.client(  # pyright: ignore[reportUnknownVariableType, reportCallIssue, reportArgumentType]
            service,  # pyright: ignore[reportArgumentType]
            endpoint_url=self.url,
            region_name=self.region,
            config=Config(
                retries={"max_attempts": 1},
                s3={"addressing_style": "path"},
                # With a custom endpoint, boto3 presigns URLs with Signature Version 2 by default.
                **({"signature_version": "s3v4"} if service == "s3" else {}),
            ),
            **{name.lower(): value for name, value in credentials.items()},
        )

    def arn(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:{self.region}:{ACCOUNT_ID}:{resource}"


def create_dispatcher() -> DomainDispatcherApplication:
    """Creates the WSGI application of moto for all services."""
    _import_ssm()
    # One key for the messages of all SNS subscriptions: to create one takes 0.1 s of CPU time.
    sns_models.Subscription.private_key = lambda _self: _create_signing_key()  # pyright: ignore[reportAttributeAccessIssue]
    dispatcher = DomainDispatcherApplication(create_backend_app)
    # Without a cache, moto lists its own folders and compares the host with all patterns at each request.
    dispatcher.get_backend_for_host = functools.cache(dispatcher.get_backend_for_host)
    return dispatcher


@functools.cache
def _create_signing_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _import_ssm() -> None:
    """Imports SSM without EC2, whose catalog of instance types takes most of a second of CPU time to load.

    SSM uses EC2 only to find the targets of commands.
    """
    if "moto.ssm" in sys.modules or "moto.ec2" in sys.modules:
        return
    ec2: Any = ModuleType("moto.ec2")
    ec2.ec2_backends = {}
    sys.modules["moto.ec2"] = ec2
    try:
        get_backend("ssm")
    finally:
        del sys.modules["moto.ec2"]


def _complete_s3_events() -> None:
    """Adds the sequencer to the S3 events of moto, and does not encode the slashes in keys.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    """
    if getattr(notifications._get_s3_event, "is_complete", False):  # pyright: ignore[reportPrivateUsage]
        return
    original = notifications._get_s3_event  # pyright: ignore[reportPrivateUsage]

    def create_complete_event(
        event_name: str, bucket: Any, key: Any, notification_id: str
    ) -> dict[str, list[dict[str, Any]]]:
        event = original(event_name, bucket, key, notification_id)
        s3_object = event["Records"][0]["s3"]["object"]
        s3_object["key"] = quote_plus(key.name, safe="/")
        s3_object["sequencer"] = f"{next(_sequence):016X}"
        return event

    create_complete_event.is_complete = True  # pyright: ignore[reportFunctionMemberAccess]
    notifications._get_s3_event = create_complete_event  # pyright: ignore[reportPrivateUsage]


def _check_copy_condition() -> None:
    """Lets a copy fail if its source has another ETag than the request says, which moto ignores.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html#API_CopyObject_RequestSyntax
    """
    original = S3Response.copy_object
    if getattr(original, "is_conditional", False):
        return

    def copy_object(self: S3Response) -> Any:
        etag = self.headers.get("x-amz-copy-source-if-match")
        bucket, _, key = unquote(self.headers["x-amz-copy-source"]).lstrip("/").partition("/")
        source = self.backend.get_object(bucket, key)
        if etag and source and source.etag.strip('"') != etag.strip('"'):
            raise PreconditionFailed("x-amz-copy-source-If-Match")
        return original(self)

    copy_object.is_conditional = True  # pyright: ignore[reportFunctionMemberAccess]
    S3Response.copy_object = copy_object


def make_changes_atomic() -> None:
    """Lets moto handle requests at once that belong together only one after the other, as the services do.

    moto evaluates the condition of a write before it writes, publishes an S3 object before its metadata, and replaces
    the list of a queue's messages when it deletes one: messages that are sent meanwhile would be lost.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/WorkingWithItems.html#WorkingWithItems.ConditionalUpdate
    """
    _serialize(DynamoDBBackend, "update_item")
    _serialize(S3Response, "key_response", "bucket_response")
    _serialize(Queue, "add_message", "delete_message")


def _serialize(owner: type, *methods: str) -> None:
    lock = threading.RLock()
    for method in methods:
        original = getattr(owner, method)
        if getattr(original, "is_serialized", False):
            continue

        def call(*arguments: Any, original: Any = original, **options: Any) -> Any:
            with lock:
                return original(*arguments, **options)

        call.is_serialized = True  # pyright: ignore[reportFunctionMemberAccess]
        setattr(owner, method, call)
