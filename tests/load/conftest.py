"""A load run that all tests here share. It has come to rest, and its stack still runs."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from dataclasses import replace

import pytest

from load.checks import Evidence
from load.run import Result, Settings, create_config, run
from local.recording.graph import Resource
from local.stack import LocalStack

UPLOADS = 20
_TIMEOUT_SECONDS = 4


def shorten_timeouts(resource: Resource) -> Resource:
    """Lets the message of a killed worker return after 4 seconds instead of 84."""
    if resource.type == "aws:sqs/queue:Queue" and "redrivePolicy" in resource.inputs:
        return replace(resource, inputs={**resource.inputs, "visibilityTimeoutSeconds": _TIMEOUT_SECONDS})
    if resource.type == "aws:lambda/function:Function" and "process-avatar" in resource.name:
        return replace(resource, inputs={**resource.inputs, "timeout": _TIMEOUT_SECONDS})
    return resource


@pytest.fixture(scope="package")
def result() -> Generator[Result]:
    with LocalStack(create_config(), mutate_resource=shorten_timeouts) as stack:
        yield run(stack, Settings(users=2, uploads=UPLOADS, kill_seconds=3600, fail_one_in=10), lambda _line: None)


@pytest.fixture
def evidence(result: Result) -> Generator[Evidence]:
    """The evidence of the run. What a test reports through the reader is forgotten afterwards."""
    result.evidence.reader.violations.clear()
    yield replace(result.evidence, webhook_patience=0)
    result.evidence.reader.violations.clear()


@contextlib.contextmanager
def replaced_object(evidence: Evidence, key: str, data: bytes | None) -> Generator[None]:
    """Replaces or, with None, deletes an object of the assets bucket, until the context is left."""
    storage = evidence.storage
    before = storage.read(key)
    if data is None:
        storage.s3.delete_object(Bucket=storage.bucket, Key=key)
    else:
        storage.s3.put_object(Bucket=storage.bucket, Key=key, Body=data)
    yield
    if before is None:
        storage.s3.delete_object(Bucket=storage.bucket, Key=key)
    else:
        storage.s3.put_object(Bucket=storage.bucket, Key=key, Body=before)
