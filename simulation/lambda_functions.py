"""The real handlers, loaded once with simulated clients, virtual time and tasks in place of threads.

The modules are the simulator's own copies: whoever else imports them in the same process gets the untouched ones.
"""

from __future__ import annotations

import dataclasses
import importlib
import logging
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple
from unittest import mock

import boto3
from botocore.config import Config

from simulation.clock import REPLACEMENTS, sleep
from simulation.cloudfront import SimulatedCloudFrontClient
from simulation.dynamodb import SimulatedDynamoDbClient
from simulation.moderation import IsModerated, SimulatedLambdaClient
from simulation.s3 import SimulatedS3Client
from simulation.scheduler import current_task
from simulation.settings import Settings
from simulation.sns import SimulatedSnsClient
from simulation.sqs import SimulatedSqsClient
from simulation.thread_pool import SimulatedThreadPool

UPLOADS_BUCKET, ASSETS_BUCKET = "uploads", "assets"
CDN_URL = "https://cdn.example"
SIZES = (64, 32)
MAX_PIXELS = 1_000_000
UPLOADS_PER_HOUR = 3  # as small as it can be without being used up in most runs

_CLIENTS = {
    "s3": SimulatedS3Client,
    "sqs": SimulatedSqsClient,
    "sns": SimulatedSnsClient,
    "dynamodb": SimulatedDynamoDbClient,
    "cloudfront": SimulatedCloudFrontClient,
    "lambda": SimulatedLambdaClient,
}
_HANDLERS = (
    *("presign_upload", "process_avatar", "finish_upload", "upload_status"),
    *("current_avatar", "delete_avatar", "sweep_avatars", "erase_user"),
)
_ENVIRONMENT = {
    "AWS_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "ASIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_SESSION_TOKEN": "token",
    "UPLOADS_BUCKET": UPLOADS_BUCKET,
    "ASSETS_BUCKET": ASSETS_BUCKET,
    "CDN_URL": CDN_URL,
    "DISTRIBUTION_ID": "distribution",
    "MODERATION_FUNCTION_ARN": "arn:aws:lambda:eu-west-1:123456789012:function:moderation",
    "IS_MODERATED": "true",
    "TOPIC_ARN": "arn:aws:sns:eu-west-1:123456789012:events",
    "QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/123456789012/queue",
    "SIZES": ",".join(map(str, SIZES)),
    "LARGEST_SIZE": str(max(SIZES)),
    "MAX_PIXELS": str(MAX_PIXELS),
    "MAX_UPLOAD_BYTES": "10485760",
    "UPLOADS_PER_HOUR": str(UPLOADS_PER_HOUR),
    "LIMITS_TABLE": "limits",
    "METRICS_SERVICE": "avatars",
    "ORIGINALS_DAYS": str(Settings().originals_days),
    "ERASE_PROFILE_ARN": "",
    "PROCESSING_SECONDS": str(Settings().processing_seconds),
    "LOG_RETENTION_DAYS": "30",
}

Handler = Callable[[Any, Any], Any]


class Functions(NamedTuple):
    """The handlers, and the modules they are made of by full name."""

    presign_upload: Handler
    process_avatar: Handler
    finish_upload: Handler
    upload_status: Handler
    current_avatar: Handler
    delete_avatar: Handler
    sweep_avatars: Handler
    erase_user: Handler
    render: Callable[..., Any]
    """The real renderer."""
    modules: dict[str, ModuleType]


@cache
def load() -> Functions:
    """Import the handlers; the same ones at every call."""
    others = {name: module for name, module in sys.modules.items() if _is_function_module(name)}
    for name in others:
        del sys.modules[name]
    try:
        with (
            mock.patch.dict(os.environ, _ENVIRONMENT, clear=True),
            mock.patch.object(boto3, "client", _create_client),
        ):
            handlers = {name: importlib.import_module(f"functions.{name}.handler").handle for name in _HANDLERS}
            render = importlib.import_module("functions.process_avatar.imaging.renderer").render
        modules = {name: module for name, module in sys.modules.items() if _is_function_module(name)}
    finally:
        for name in [name for name in sys.modules if _is_function_module(name)]:
            del sys.modules[name]
        sys.modules.update(others)
    process_avatar, finish_upload = (
        modules[f"functions.{name}.handler"] for name in ("process_avatar", "finish_upload")
    )
    memoized = _MemoizedRender(render)
    uploads: dict[int, Any] = {}
    for handler in (process_avatar, finish_upload):
        handler.RENDER_PROCESS.close()  # files of the simulation need no process of their own
        uploads[id(handler.UPLOADS)] = dataclasses.replace(handler.UPLOADS, render=memoized)
    deletions = process_avatar.DELETIONS
    vars(modules["functions.upload_status.handler"])["IS_MODERATED"] = IsModerated()
    vars(modules["functions.shared.metrics"])["print"] = lambda line, **_: _log("%s", (), line)
    replacements = {
        **REPLACEMENTS,
        id(boto3): SimpleNamespace(client=_create_client),  # for clients that are created later
        id(ThreadPoolExecutor): SimulatedThreadPool,
        **uploads,
        id(deletions): dataclasses.replace(deletions, is_moderated=IsModerated()),
    }
    for module in modules.values():
        for name, value in list(vars(module).items()):
            if isinstance(value, logging.Logger):
                setattr(module, name, _RecordingLogger())
            elif id(value) in replacements:
                setattr(module, name, replacements[id(value)])
    return Functions(**handlers, render=render, modules=modules)


def _is_function_module(name: str) -> bool:
    return name == "functions" or name.startswith("functions.")


def _create_client(service: str, *, config: Config | None = None, **_: object) -> Any:
    """`boto3.client`"""
    return _CLIENTS[service](config)


class _RecordingLogger:
    """Log records become part of the history."""

    def info(self, message: str, *arguments: object, extra: object = None, **_: object) -> None:
        _log(message, arguments, extra)

    debug = warning = error = info

    def exception(self, message: str, *arguments: object, extra: object = None, **_: object) -> None:
        _log(f"{message}: {sys.exc_info()[1]!r:.200}", arguments, extra)


def _log(message: str, arguments: Sequence[object], extra: object) -> None:
    invocation = current_task().invocation
    invocation.simulation.record(invocation.name, "log: %s %s", (message, arguments), extra)


class _MemoizedRender:
    """The real renderer, asked once for each picture; it takes virtual time."""

    def __init__(self, render: Callable[..., Any]) -> None:
        self._render = render
        self._results: dict[object, Any] = {}

    def __call__(self, data: bytes, **options: Any) -> Any:
        self._spend_time()
        key = (data, *options.items())
        if key not in self._results:
            try:
                self._results[key] = self._render(data, **options)
            except Exception as error:
                self._results[key] = error
        result = self._results[key]
        if isinstance(result, Exception):
            raise result.with_traceback(None)
        return result

    def _spend_time(self) -> None:
        task = current_task()
        simulation = task.invocation.simulation
        milliseconds = simulation.render_time(task.invocation)
        if milliseconds is None:
            simulation.scheduler.after(0, lambda: simulation.kill(task.invocation))
            task.suspend()
        else:
            sleep(milliseconds / 1000)
