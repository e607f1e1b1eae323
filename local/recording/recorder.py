"""Runs a Pulumi program with a recording resource monitor in place of the Pulumi engine.

In addition to what the mocks of the SDK record, the `Recorder` keeps parents, resource options, dependencies and
component outputs. It rejects duplicate URNs, assets that do not exist, and the use of outputs that have no value. The
caller provides the ID and the computed outputs of each resource: tests return constants, the local stack creates the
resource first.

`run_in_stack` and `MockMonitor` are private interfaces of the SDK, so requirements.txt pins an exact version of Pulumi.
docs/upgrading-pulumi.md lists all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import importlib
import inspect
import keyword
import os
import runpy
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi
from google.protobuf import empty_pb2
from pulumi.runtime import mocks, rpc, settings, stack
from pulumi.runtime import resource as registration
from pulumi.runtime.config import set_all_config
from pulumi.runtime.proto import resource_pb2, source_pb2

from local.recording.graph import Graph, ProgramError, Resource

PROJECT = "avatars"
STACK_TYPE = "pulumi:pulumi:Stack"
_SECRET_KEY, _SECRET_SIGNATURE = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"
_POLL_SECONDS = 0.05
_MISSING = "<no value for output "


Create = Callable[[Resource], tuple[str, Mapping[str, Any]]]
"""Returns the ID and the computed outputs of a custom resource. Every other output has the value of its input."""

Invoke = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]
"""Returns the result of a provider function, such as `aws:index/getRegion:getRegion`; raises for an unknown one."""


def run_program(
    program: Callable[[], object] | Path,
    *,
    config: Mapping[str, str],
    create: Create,
    invoke: Invoke,
    secret_keys: Iterable[str] = (),
    stack: str = "test",
    preview: bool = False,
    timeout: float = 120.0,
) -> Graph:
    """Runs a program (a callable, or the path of a `__main__.py`) and returns its resource graph.

    `config` has fully qualified keys (`avatars:domain`, `aws:region`). `timeout` is in seconds.

    Raises:
        ProgramError: The program registers a resource or an output that the recorder rejects.
        TimeoutError: The program has not finished after `timeout` seconds.
        Exception: Whatever the program itself raises.
    """
    recorder = Recorder(create, invoke, preview=preview)

    def run_body() -> None:
        if isinstance(program, Path):
            with contextlib.chdir(program.parent), _add_to_path(program.parent):
                runpy.run_path(str(program), run_name="__main__")
        else:
            program()

    def run() -> None:
        # The default is one set per process, in which a failed run would leave its tasks for the next run.
        outputs = set[asyncio.Task[Any]]()
        set_all_config(dict(config), list(secret_keys))
        settings.configure(
            mocks.MockSettings(
                monitor=recorder,
                monitor_features=set(recorder.GetDeploymentInfo(empty_pb2.Empty()).supportedFeatures),
                engine=mocks.MockEngine(None),
                project=PROJECT,
                stack=stack,
                dry_run=preview,
                organization="local",
                callbacks=None,
                outputs=outputs,
            )
        )
        loop = asyncio.new_event_loop()
        # After a failed registration, the futures of dependent resources are never awaited; the cause is raised below.
        loop.set_exception_handler(lambda _loop, _context: None)
        asyncio.set_event_loop(loop)
        try:
            with _leave_out_stack_traces():
                loop.run_until_complete(asyncio.wait_for(_run_in_stack(run_body, outputs, timeout), timeout))
        finally:
            _cancel_tasks(loop)
            settings.reset_options()
            asyncio.set_event_loop(None)
            loop.close()
            recorder.close()

    # The SDK keeps the root resource and the configuration in context variables; the copy isolates each run.
    contextvars.copy_context().run(run)
    return recorder.graph


async def _run_in_stack(body: Callable[[], None], outputs: set[asyncio.Task[Any]], timeout: float) -> None:
    async def run() -> None:
        body()
        # The SDK's own wait adds a callback to every pending output each time one completes, which takes most of the
        # time of a large program; this one waits for one output at a time. The SDK's still has to raise what failed,
        # and to be what the timeout cancels.
        requests = settings._get_rpc_manager()  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
        deadline = time.monotonic() + timeout / 2
        while requests.unhandled_exception is None and time.monotonic() < deadline:
            pending = [output for output in outputs if not output.done()]
            if not pending:
                break
            await asyncio.wait(pending[:1], timeout=_POLL_SECONDS)

    await stack.run_in_stack(run)


def _cancel_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Ends what a program that failed has left: Python warns of coroutines that never ran, in whatever runs then."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))


@contextlib.contextmanager
def _leave_out_stack_traces() -> Generator[None]:
    """Sends no stack trace with a registration: nothing here reads it, and it takes a fifth of a program's time."""
    original = registration._get_stack_trace  # pyright: ignore[reportPrivateUsage]
    registration._get_stack_trace = source_pb2.StackTrace  # pyright: ignore[reportPrivateUsage]
    try:
        yield
    finally:
        registration._get_stack_trace = original  # pyright: ignore[reportPrivateUsage]


@contextlib.contextmanager
def _add_to_path(folder: Path) -> Generator[None]:
    added = str(folder) not in sys.path
    if added:
        sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        if added:
            sys.path.remove(str(folder))


class _UnusedMocks(mocks.Mocks):
    """Required by `MockMonitor`. Never called, because the recorder overrides every request."""

    def call(self, args: mocks.MockCallArgs) -> Any:
        raise ProgramError(f"unexpected call of a mock: {args.token}")

    def new_resource(self, args: mocks.MockResourceArgs) -> Any:
        raise ProgramError(f"unexpected call of a mock: {args.typ}")


class Recorder(mocks.MockMonitor):
    """A resource monitor that records complete registration requests."""

    def __init__(self, create: Create, invoke: Invoke, *, preview: bool) -> None:
        super().__init__(_UnusedMocks())
        self.graph = Graph()
        self._create = create
        self._invoke = invoke
        self._preview = preview
        self._lock = threading.Lock()
        self._loops: set[asyncio.AbstractEventLoop] = set()

    def close(self) -> None:
        """Closes the event loops of the threads that handled requests; an unclosed loop emits a ResourceWarning."""
        for loop in self._loops:
            if not loop.is_running():
                loop.close()

    def GetDeploymentInfo(self, request: Any) -> Any:  # noqa: N802 - gRPC's name
        info = super().GetDeploymentInfo(request)
        # With resource references, passing a Resource as a value makes the SDK call the monitor again and never
        # return. Without the feature the SDK sends the ID of the resource.
        kept = [f for f in info.supportedFeatures if f != resource_pb2.RESOURCE_MONITOR_FEATURE_RESOURCE_REFERENCES]
        return resource_pb2.DeploymentInfo(supportedFeatures=kept)

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        """Builds a URN as the engine does: with the types of all parents except the stack."""
        chain = parent.split("::")[2] if parent else ""
        qualified = type_ if chain in ("", STACK_TYPE) else f"{chain}${type_}"
        return f"urn:pulumi:{settings.get_stack()}::{settings.get_project()}::{qualified}::{name}"

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - gRPC's name
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.type == STACK_TYPE:
            return resource_pb2.RegisterResourceResponse(urn=urn)
        self._ensure_event_loop()
        raw_inputs: dict[str, Any] = rpc.deserialize_properties(request.object, keep_unknowns=self._preview)
        resource = Resource(
            urn=urn,
            type=request.type,
            name=request.name,
            custom=request.custom,
            parent=request.parent if STACK_TYPE not in request.parent else "",
            inputs=_unwrap(raw_inputs),
            protect=request.protect,
            retain_on_delete=request.retainOnDelete,
            provider=request.provider,
            dependencies=frozenset(request.dependencies),
            property_dependencies={
                name: frozenset(property_.urns) for name, property_ in request.propertyDependencies.items()
            },
            aliases=tuple(alias.urn or alias.spec.name for alias in request.aliases),
            ignore_changes=tuple(request.ignoreChanges),
        )
        self._reserve(resource)
        _require_assets(resource)
        if not self._preview:
            _require_values(resource)
        if resource.custom and not self._preview:
            id_, computed = self._create(resource)
        else:
            id_, computed = "", {}
        resource = replace(resource, id=id_, outputs={**resource.inputs, **computed})
        with self._lock:
            self.graph.resources[urn] = resource
        state = {**raw_inputs, **computed}
        if resource.custom and not self._preview:
            state = {**_create_missing_markers(resource, state), **state}
        serialized = mocks._sync_await(rpc.serialize_properties(state, {}))  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
        return resource_pb2.RegisterResourceResponse(urn=urn, id=id_, object=serialized)

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 - gRPC's name
        outputs = _unwrap(rpc.deserialize_properties(request.outputs, keep_unknowns=self._preview))
        if STACK_TYPE in request.urn:
            missing = [name for name, value in outputs.items() if _contains(value, _MISSING)]
            if missing:
                raise ProgramError(f"stack outputs {missing} have no value")
            self.graph.exports = outputs
            return empty_pb2.Empty()
        with self._lock:
            resource = self.graph.resources[request.urn]
            self.graph.resources[request.urn] = replace(resource, component_outputs=outputs)
        return empty_pb2.Empty()

    def Invoke(self, request: Any) -> Any:  # noqa: N802 - gRPC's name
        self._ensure_event_loop()
        outputs = self._invoke(request.tok, _unwrap(rpc.deserialize_properties(request.args)))
        result = mocks._sync_await(rpc.serialize_properties(dict(outputs), {}))  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
        response = resource_pb2.ResourceInvokeResponse()
        getattr(response, "return").CopyFrom(result)  # `return` is a keyword in Python
        return response

    def ReadResource(self, request: Any) -> Any:  # noqa: N802 - gRPC's name
        raise ProgramError(
            f"{request.type}.get() of {request.id!r} needs an AWS account, which a recorded run does not have"
        )

    def _ensure_event_loop(self) -> None:
        """Requests arrive on pool threads, and the SDK runs its coroutines on the event loop of the current thread."""
        mocks._ensure_event_loop()  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
        with self._lock:
            self._loops.add(asyncio.get_event_loop())

    def _reserve(self, resource: Resource) -> None:
        with self._lock:
            if resource.urn in self.graph.resources:
                raise ProgramError(f"duplicate URN {resource.urn}")
            self.graph.resources[resource.urn] = resource


def _unwrap(value: Any) -> Any:
    """Unwraps secrets, and converts floats that are whole numbers to ints: the protocol has no integers."""
    if isinstance(value, dict):
        if value.get(_SECRET_KEY) == _SECRET_SIGNATURE:
            return _unwrap(value["value"])
        return {key: _unwrap(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_unwrap(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _walk(value: Any) -> Iterator[Any]:
    yield value
    if isinstance(value, dict):
        for item in value.values():
            yield from _walk(item)
    elif isinstance(value, list):
        for item in value:
            yield from _walk(item)
    elif isinstance(value, pulumi.AssetArchive):
        yield from _walk(dict(value.assets))


def _contains(value: Any, text: str) -> bool:
    return any(isinstance(item, str) and text in item for item in _walk(value))


def _require_assets(resource: Resource) -> None:
    for item in _walk(resource.inputs):
        if isinstance(item, pulumi.FileAsset | pulumi.FileArchive) and not os.path.exists(item.path):  # noqa: PTH110 - relative to the program, as in Pulumi
            raise ProgramError(f"{resource.type} {resource.name}: {item.path} does not exist")


def _require_values(resource: Resource) -> None:
    """Without this check, an output without a value would be None: dropped from maps, and `null` in JSON."""
    for name, value in resource.inputs.items():
        if _contains(value, _MISSING):
            raise ProgramError(f"{resource.type} {resource.name}: {name} uses an output without a value: {value}")
    for name, urns in resource.property_dependencies.items():
        if urns and resource.inputs.get(name) is None:
            raise ProgramError(f"{resource.type} {resource.name}: {name} depends on {sorted(urns)} but has no value")


def _create_missing_markers(resource: Resource, known: Mapping[str, Any]) -> dict[str, str]:
    """Returns a marker for each output without a value, so that its use is detected in a later registration."""
    return {
        name: f"{_MISSING}{name} of {resource.type} {resource.name}>"
        for name in _find_output_names(resource.type)
        if name not in known
    }


def _find_output_names(type_: str) -> set[str]:
    package, module, class_ = type_.split(":")
    if package != "aws" or "/" not in module:
        return set()
    folder = module.split("/")[0]
    sdk = importlib.import_module(f"pulumi_{package}.{folder}{'_' if keyword.iskeyword(folder) else ''}")
    properties = inspect.getmembers(getattr(sdk, class_), lambda member: isinstance(member, property))
    names = (getattr(property_.fget, "_pulumi_name", None) for _, property_ in properties)
    return {name for name in names if name}
