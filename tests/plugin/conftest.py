"""Fixtures that start the provider as the Pulumi engine does, with a recorder behind it."""

from __future__ import annotations

import contextvars
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime import settings
from pulumi.runtime.proto import engine_pb2_grpc, provider_pb2, provider_pb2_grpc, resource_pb2, resource_pb2_grpc

from local.recording.graph import Graph
from local.recording.recorder import PROJECT, Recorder
from tests.components.conftest import create, invoke

ROOT = Path(__file__).parents[2]
STACK = "test"
STACK_URN = f"urn:pulumi:{STACK}::{PROJECT}::pulumi:pulumi:Stack::{PROJECT}-{STACK}"
_MAX_MESSAGE_BYTES = 400 * 1024 * 1024


class NamedRecorder(Recorder):
    """A recorder outside of a program, where the SDK has no settings of a stack."""

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        def make() -> str:
            settings.configure(settings.Settings(project=PROJECT, stack=STACK))
            return super(NamedRecorder, self).make_urn(parent, type_, name)

        return contextvars.copy_context().run(make)


class MonitorServicer(resource_pb2_grpc.ResourceMonitorServicer):
    """Serves a recorder over gRPC."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.properties: list[dict[str, Any]] = []
        """The properties of all registrations as they arrive, with the wrappers of secrets."""

    def SupportsFeature(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802 - the names of gRPC
        # Used by SDKs before GetDeploymentInfo. The mocks return an object that is not a message.
        answer: Any = self._recorder.SupportsFeature(request)
        return resource_pb2.SupportsFeatureResponse(hasSupport=answer.hasSupport)

    def GetDeploymentInfo(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802 - the names of gRPC
        return self._recorder.GetDeploymentInfo(empty_pb2.Empty())

    def RegisterResource(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802 - the names of gRPC
        self.properties.append(json_format.MessageToDict(request.object))
        return self._recorder.RegisterResource(request)

    def RegisterResourceOutputs(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802 - the names of gRPC
        return self._recorder.RegisterResourceOutputs(request)

    def Invoke(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802 - the names of gRPC
        return self._recorder.Invoke(request)


class EngineServicer(engine_pb2_grpc.EngineServicer):
    """The part of the engine that a provider uses: it takes the SDK's log records."""

    def Log(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802 - the names of gRPC
        return empty_pb2.Empty()


class Provider:
    """A client of a provider process."""

    def __init__(self, port: int) -> None:
        self._channel = grpc.insecure_channel(
            f"127.0.0.1:{port}", options=[("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES)]
        )
        self.registered: list[dict[str, Any]] = []
        """The properties of all registrations of the last construction, with the wrappers of secrets."""
        self.stub: Any = provider_pb2_grpc.ResourceProviderStub(self._channel)

    def close(self) -> None:
        self._channel.close()

    def construct(
        self, component: str, inputs: Mapping[str, Any], *, name: str = "it", preview: bool = False
    ) -> tuple[Graph, Any]:
        """Constructs a component, and returns the resources that it registers and the response.

        Raises:
            grpc.RpcError: The provider rejects the request.
        """
        recorder = NamedRecorder(create, invoke, preview=preview)
        # One worker: the recorder imports modules of pulumi_aws, which are loaded lazily and not by several threads.
        server = grpc.server(ThreadPoolExecutor(max_workers=1))
        monitor = MonitorServicer(recorder)
        self.registered = monitor.properties
        resource_pb2_grpc.add_ResourceMonitorServicer_to_server(monitor, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        properties = struct_pb2.Struct()
        properties.update(inputs)
        try:
            response = self.stub.Construct(
                provider_pb2.ConstructRequest(
                    project=PROJECT,
                    stack=STACK,
                    parallel=16,
                    dryRun=preview,
                    monitorEndpoint=f"127.0.0.1:{port}",
                    type=f"avatars:index:{component}",
                    name=name,
                    parent=STACK_URN,
                    inputs=properties,
                    accepts_output_values=True,
                ),
                timeout=120,
            )
        finally:
            server.stop(None).wait()
            recorder.close()
        return recorder.graph, response


@pytest.fixture(scope="session")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """The provider, started in another folder, as the engine starts it in that of the program.

    PROVIDER_PYTHON is the interpreter of another environment, with other versions of pulumi and pulumi-aws.
    """
    engine = grpc.server(ThreadPoolExecutor(max_workers=4))
    engine_pb2_grpc.add_EngineServicer_to_server(EngineServicer(), engine)
    engine_port = engine.add_insecure_port("127.0.0.1:0")
    engine.start()
    log = (tmp_path_factory.mktemp("provider") / "stderr").open("w+")
    process = subprocess.Popen(
        [os.environ.get("PROVIDER_PYTHON", sys.executable), str(ROOT / "plugin"), f"127.0.0.1:{engine_port}"],
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        cwd=tmp_path_factory.mktemp("program"),
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        process.wait()
        log.seek(0)
        pytest.fail(f"the provider did not start: {log.read()}")
    client = Provider(int(line))
    yield client
    client.close()
    process.terminate()
    process.wait()
    process.stdout.close()
    log.close()
    engine.stop(None).wait()
