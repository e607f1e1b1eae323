"""The AWS endpoint of a local run: moto behind the guard, and boto3 clients that speak to it as the operator."""

from __future__ import annotations

import itertools
import threading
from typing import Any
from urllib.parse import quote_plus

import boto3
from botocore.config import Config
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3 import notifications

from local.aws_checks.middleware import Guard
from local.aws_checks.principals import Principals
from local.emulators.http_server import Server

ACCOUNT_ID = "123456789012"  # moto's
_sequence = itertools.count(1)


class Aws:
    """S3, SQS, SNS, Systems Manager and Cognito of one run."""

    def __init__(self, server: Server, region: str) -> None:
        _complete_s3_events()
        self.url = server.url
        self.authority = server.authority
        self.region = region
        self.principals = Principals()
        self.guard = Guard(DomainDispatcherApplication(create_backend_app), self.principals)
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()
        server.serve(self.guard)

    def client(self, service: str) -> Any:
        """A boto3 client with the operator's rights. boto3's own session is not thread-safe; clients are."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self.client_as(service, self.principals.operator.environment())
            return self._clients[service]

    def client_as(self, service: str, credentials: dict[str, str]) -> Any:
        """A boto3 client with the credentials of a principal (`Principal.environment()`)."""
        return boto3.client(  # pyright: ignore[reportUnknownVariableType, reportCallIssue, reportArgumentType]
            service,  # pyright: ignore[reportArgumentType]
            endpoint_url=self.url,
            region_name=self.region,
            config=Config(
                retries={"max_attempts": 1},
                s3={"addressing_style": "path"},
                # boto3 still presigns with version 2 when it is given an endpoint
                **({"signature_version": "s3v4"} if service == "s3" else {}),
            ),
            **{name.lower(): value for name, value in credentials.items()},
        )

    def arn(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:{self.region}:{ACCOUNT_ID}:{resource}"


def _complete_s3_events() -> None:
    """Adds what moto's S3 events lack: the sequencer, and slashes left as they are in keys.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    """
    if getattr(notifications._get_s3_event, "is_complete", False):  # pyright: ignore[reportPrivateUsage]
        return
    incomplete = notifications._get_s3_event  # pyright: ignore[reportPrivateUsage]

    def complete(event_name: str, bucket: Any, key: Any, notification_id: str) -> dict[str, list[dict[str, Any]]]:
        event = incomplete(event_name, bucket, key, notification_id)
        described = event["Records"][0]["s3"]["object"]
        described["key"] = quote_plus(key.name, safe="/")
        described["sequencer"] = f"{next(_sequence):016X}"
        return event

    complete.is_complete = True  # pyright: ignore[reportFunctionMemberAccess]
    notifications._get_s3_event = complete  # pyright: ignore[reportPrivateUsage]
