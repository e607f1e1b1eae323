"""A stack as its operator sees it: outputs and AWS clients."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import boto3
from botocore.client import BaseClient


class OperationError(Exception):
    """The operation is not possible, for the reason in the message."""


@dataclass(frozen=True)
class OperatedStack:
    outputs: Mapping[str, Any]
    """From `pulumi stack output --json`, or of a local run."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads the stack outputs.

        Raises:
            OperationError: The file cannot be read, or is not JSON.
        """
        try:
            return cls(json.loads(path.read_text()))
        except OSError as error:
            raise OperationError(f"cannot read the stack outputs {path}: {error.strerror}") from error
        except json.JSONDecodeError as error:
            raise OperationError(f"{path} is not JSON ({error}); write it with `pulumi stack output --json`") from error

    def get_output(self, name: str) -> str:
        """Raises OperationError if the stack has no such output."""
        value = self.outputs.get(name)
        if not value:
            raise OperationError(f"the outputs have no {name}: they are not those of an avatars stack of this version")
        return value

    @cached_property
    def s3(self) -> BaseClient:
        return self.create_client("s3")

    @cached_property
    def dynamodb(self) -> BaseClient:
        return self.create_client("dynamodb")

    def create_client(self, service: str, **options: Any) -> Any:
        """A boto3 client.

        Its AWS credentials are those in the output `operator`, which only a local run has, or else those of the
        environment.
        """
        return boto3.client(service, **self.outputs.get("operator", {}), **options)  # pyright: ignore[reportCallIssue, reportArgumentType]
