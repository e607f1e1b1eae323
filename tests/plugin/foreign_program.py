"""Runs a program that uses the package `avatars`: what it takes from the package is constructed in the provider.

`pulumi package add` generates `pulumi_avatars` from the schema. `create_sdk` makes a module with the same classes.
"""

from __future__ import annotations

import contextlib
import re
import sys
import types
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pulumi
import pytest
from pulumi.provider.experimental.util import camel_case
from pulumi.runtime.proto import provider_pb2, resource_pb2, resource_pb2_grpc

from local.recording import recorder
from local.recording.graph import Graph, Resource
from local.recording.recorder import PROJECT
from tests.components.conftest import create, invoke
from tests.plugin.conftest import STACK, MonitorServicer, NamedRecorder, Provider


def _create(resource: Resource) -> tuple[str, Mapping[str, Any]]:
    if resource.type == "aws:lambda/functionUrl:FunctionUrl":  # only in an example
        return f"{resource.name}-id", {"functionUrl": "https://abc123.lambda-url.eu-west-1.on.aws/"}
    return create(resource)


class RemoteRecorder(NamedRecorder):
    """Has the components of the package constructed by the provider, as the engine does."""

    def __init__(self, provider: Provider, monitor: str, *, preview: bool) -> None:
        super().__init__(_create, invoke, preview=preview)
        self._provider = provider
        self._monitor = monitor

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - gRPC's name
        if not request.remote:
            return super().RegisterResource(request)
        response = self._provider.stub.Construct(
            provider_pb2.ConstructRequest(
                project=PROJECT,
                stack=STACK,
                parallel=16,
                dryRun=self._preview,
                monitorEndpoint=self._monitor,
                type=request.type,
                name=request.name,
                parent=request.parent,
                inputs=request.object,
                accepts_output_values=True,
            ),
            timeout=120,
        )
        return resource_pb2.RegisterResourceResponse(urn=response.urn, object=response.state)


def run_foreign_program(
    program: Path, provider: Provider, schema: Mapping[str, Any], *, preview: bool = False
) -> Graph:
    """Runs the `__main__.py` of a program that imports `pulumi_avatars`."""
    server = grpc.server(ThreadPoolExecutor(max_workers=1))  # as in Provider.construct
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    remote = RemoteRecorder(provider, address, preview=preview)
    resource_pb2_grpc.add_ResourceMonitorServicer_to_server(MonitorServicer(remote), server)
    server.start()
    try:
        # Relative paths of assets are read after the program's last line.
        with contextlib.chdir(program.parent), pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules, "pulumi_avatars", create_sdk(schema))
            patch.setattr(recorder, "Recorder", lambda *_args, **_options: remote)
            return recorder.run_program(program, config={}, create=_create, invoke=invoke, preview=preview)
    finally:
        server.stop(None).wait()


def create_sdk(schema: Mapping[str, Any]) -> types.ModuleType:
    """Returns a module with a class for each component of a schema."""
    module = types.ModuleType("pulumi_avatars")
    for token, resource in schema["resources"].items():
        setattr(module, token.rpartition(":")[2], _create_class(token, resource))
    return module


def _create_class(token: str, resource: Mapping[str, Any]) -> type[pulumi.ComponentResource]:
    def initialize(
        self: pulumi.ComponentResource, name: str, opts: pulumi.ResourceOptions | None = None, **arguments: Any
    ) -> None:
        inputs = {camel_case(argument): value for argument, value in arguments.items()}
        assert inputs.keys() <= resource["inputProperties"].keys(), "an argument that the package does not have"
        assert inputs.keys() >= set(resource["requiredInputs"]), "a required argument is missing"
        outputs = dict.fromkeys(resource["properties"])
        pulumi.ComponentResource.__init__(self, token, name, {**outputs, **inputs}, opts, remote=True)

    def create_getter(name: str) -> Callable[[Any], Any]:
        return lambda self: pulumi.get(self, name)

    getters = {
        _snake_case(name): property(create_getter(name)) for name in resource["properties"] if name != _snake_case(name)
    }
    return type(token.rpartition(":")[2], (pulumi.ComponentResource,), {"__init__": initialize, **getters})


def _snake_case(name: str) -> str:
    return re.sub(r"(?=[A-Z])", "_", name).lower()
