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
from botocore.config import Config

_URL_SECONDS = 600
# URLs with the regional host name are not redirected: functions/presign_upload/upload_form.py.
_PRESIGNING = Config(signature_version="s3v4", s3={"addressing_style": "virtual"})


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

    def get_output(self, name: str) -> Any:
        """Raises OperationError if the stack has no such output."""
        value = self.outputs.get(name)
        if not value:
            raise OperationError(f"the outputs have no {name}: they are not those of an avatars stack of this version")
        return value

    @property
    def functions(self) -> Mapping[str, str]:
        """The names of functions, by the names that commands use, such as process_avatar.

        Raises:
            OperationError: The stack has no such output.
        """
        return dict[str, str](self.get_output("functions"))

    @cached_property
    def s3(self) -> BaseClient:
        return self.create_client("s3")

    @cached_property
    def _presigning_s3(self) -> BaseClient:
        return self.create_client("s3", config=_PRESIGNING)

    def presign(self, **object_: str) -> str:
        """Returns a URL of an object, valid for ten minutes. Takes the parameters of GetObject."""
        return self._presigning_s3.generate_presigned_url("get_object", object_, ExpiresIn=_URL_SECONDS)

    @cached_property
    def dynamodb(self) -> BaseClient:
        return self.create_client("dynamodb")

    @cached_property
    def sqs(self) -> Any:
        return self.create_client("sqs")

    def invoke(self, function: str, event: Mapping[str, Any], seconds: int) -> Any:
        """Invokes a function that has a timeout of `seconds`. Returns its result.

        Raises:
            OperationError: The function failed.
        """
        # One attempt: a repeated request would wait for the same as the first one.
        config = Config(read_timeout=seconds + 10, retries={"total_max_attempts": 1})
        response = self.create_client("lambda", config=config).invoke(FunctionName=function, Payload=json.dumps(event))
        result = json.load(response["Payload"])
        if "FunctionError" in response:
            raise OperationError(f"{function} failed: {result['errorMessage']}")
        return result

    def create_client(self, service: str, **options: Any) -> Any:
        """A boto3 client in the region of the stack.

        Its AWS credentials are those in the output `operator`, which only a local run has, or else those of the
        environment.
        """
        region = self.outputs["topicArn"].split(":")[3] if "topicArn" in self.outputs else None
        settings = {"region_name": region, **self.outputs.get("operator", {}), **options}
        return boto3.client(service, **settings)  # pyright: ignore[reportCallIssue, reportArgumentType]
