"""Reads each function's memory size and environment from a preview of the Pulumi program."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from lambda_packages.build import REPOSITORY
from local.recording.graph import Resource
from local.recording.recorder import run_program

REGION = "us-east-1"  # of the list prices


@dataclass(frozen=True)
class Function:
    name: str
    memory: int  # MB
    environment: Mapping[str, str]  # the variables that a preview knows


@cache
def load_functions() -> Mapping[str, Function]:
    """Return the functions by package name, for the default configuration."""
    config = {f"avatars:{key}": value for key, value in _load_defaults().items()}
    program = REPOSITORY / "__main__.py"
    graph = run_program(
        program, config={**config, "aws:region": REGION}, create=_refuse_create, invoke=_answer_invoke, preview=True
    )
    found = [_to_function(resource) for resource in graph.of_type("aws:lambda/function:Function")]
    return {function.name: function for function in found}


def load_default_sizes() -> list[int]:
    """Return the edge lengths of the variants in pixels."""
    return json.loads(_load_defaults()["sizes"])


def _load_defaults() -> dict[str, str]:
    settings: dict[str, Any] = yaml.safe_load((REPOSITORY / "Pulumi.yaml").read_text())["config"]
    return {
        key: default if isinstance(default := schema["default"], str) else json.dumps(default)
        for key, schema in settings.items()
    }


def _to_function(resource: Resource) -> Function:
    name = Path(resource.inputs["code"].path).stem
    variables: Mapping[str, Any] = resource.inputs.get("environment", {}).get("variables", {})
    known = {key: value for key, value in variables.items() if isinstance(value, str)}
    return Function(name, resource.inputs["memorySize"], known)


def _refuse_create(resource: Resource) -> tuple[str, Mapping[str, Any]]:
    raise AssertionError(f"a preview created {resource.name}")


def _answer_invoke(_token: str, _args: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"accountId": "123456789012", "arn": "", "userId": "", "id": ""}
