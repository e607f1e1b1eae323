"""Runs a Pulumi program without the Pulumi engine and records everything it registers.

The program talks to a monitor, as it does under `pulumi up`; here that monitor is a `Recorder`. It keeps what
the SDK's own mocks drop (parents, protection, dependencies, component outputs) and refuses what they let pass:
two resources with one URN, an asset that is not on disk, an output that was read but that nobody provides. What a
resource's computed outputs are is decided by the caller: tests hand out fixed values, the local stack makes the
resource real first.

`run_in_stack` and the mock monitor are the SDK's internals, hence the exact pin of Pulumi in requirements.txt.
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
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pulumi
from google.protobuf import empty_pb2
from pulumi.runtime import mocks, rpc, settings, stack
from pulumi.runtime.config import set_all_config
from pulumi.runtime.proto import resource_pb2

PROJECT = "avatars"
STACK_TYPE = "pulumi:pulumi:Stack"
_SECRET_KEY, _SECRET_SIGNATURE = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"
_MISSING = "<no value for output "


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One registered resource: what the program asked for (`inputs`) and what it was told back (`outputs`).

    Property names are camelCase, as on Pulumi's wire; secrets are unwrapped; whole numbers are ints.
    """

    urn: str
    type: str
    name: str
    custom: bool
    parent: str
    inputs: dict[str, Any]
    id: str = ""
    outputs: dict[str, Any] = field(default_factory=dict[str, Any])
    component_outputs: dict[str, Any] | None = None
    protect: bool = False
    retain_on_delete: bool = False
    provider: str = ""
    dependencies: frozenset[str] = frozenset()
    property_dependencies: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    aliases: tuple[str, ...] = ()
    ignore_changes: tuple[str, ...] = ()


Create = Callable[[Resource], tuple[str, Mapping[str, Any]]]
"""Gives a custom resource its id and computed outputs; inputs are echoed for outputs it leaves out."""

Invoke = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]
"""Answers a provider function, e.g. `aws:index/getRegion:getRegion`; raises for one it does not know."""


@dataclass
class Graph:
    """All that one run of a program registered."""

    resources: dict[str, Resource] = field(default_factory=dict[str, Resource])
    exports: dict[str, Any] = field(default_factory=dict[str, Any])

    def __iter__(self) -> Iterator[Resource]:
        return iter(self.resources.values())

    def of_type(self, type_: str) -> list[Resource]:
        return [resource for resource in self if resource.type == type_]

    def one(self, type_: str, name: str | None = None) -> Resource:
        """The only resource of a type (and name). Raises LookupError when there is none or more than one."""
        found = [r for r in self.of_type(type_) if name is None or r.name == name]
        if len(found) != 1:
            wanted = type_ if name is None else f"{type_} named {name}"
            raise LookupError(f"expected one {wanted}, found {[r.name for r in found]}")
        return found[0]

    def named(self, name: str) -> Resource:
        """The only resource with a logical name. Raises LookupError when there is none or more than one."""
        found = [resource for resource in self if resource.name == name]
        if len(found) != 1:
            raise LookupError(f"expected one resource named {name}, found {[r.type for r in found]}")
        return found[0]

    def children(self, urn: str) -> list[Resource]:
        return [resource for resource in self if resource.parent == urn]

    def with_output(self, type_: str, output: str, value: object) -> Resource:
        """The only resource of a type with that value in an output (or input), e.g. the bucket of a given name."""
        found = [r for r in self.of_type(type_) if {**r.inputs, **r.outputs}.get(output) == value]
        if len(found) != 1:
            raise LookupError(f"expected one {type_} with {output} = {value!r}, found {[r.name for r in found]}")
        return found[0]


class ProgramError(Exception):
    """The program did something the engine, the provider or AWS would refuse."""


def run_program(
    program: Callable[[], object] | Path,
    *,
    config: Mapping[str, str],
    create: Create,
    invoke: Invoke,
    secret_keys: Iterable[str] = (),
    stack: str = "test",
    preview: bool = False,
    timeout: float = 60.0,
) -> Graph:
    """Runs a program (a callable, or the path of a `__main__.py`) to its end and returns what it registered.

    `config` has full keys (`avatars:domain`, `aws:region`). Raises what the program raises, `ProgramError` for what
    only a recorder sees, and TimeoutError when the program has not ended after `timeout` seconds.
    """
    recorder = Recorder(create, invoke, preview=preview)

    def body() -> None:
        if isinstance(program, Path):
            with contextlib.chdir(program.parent), _importable_from(program.parent):
                runpy.run_path(str(program), run_name="__main__")
        else:
            program()

    def run() -> None:
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
                # Left out, it is one set for the whole process, and a run that failed leaves its tasks to the next.
                outputs=set[asyncio.Task[Any]](),
            )
        )
        loop = asyncio.new_event_loop()
        # A failed registration leaves one abandoned future per dependent resource; the cause is raised below.
        loop.set_exception_handler(lambda _loop, _context: None)
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(asyncio.wait_for(_in_stack(body), timeout))
        finally:
            settings.reset_options()
            asyncio.set_event_loop(None)
            loop.close()
            recorder.close()

    # Root resource and configuration are context variables: a copy keeps one run from leaking into the next.
    contextvars.copy_context().run(run)
    return recorder.graph


async def _in_stack(body: Callable[[], None]) -> None:
    await stack.run_in_stack(body)


@contextlib.contextmanager
def _importable_from(folder: Path) -> Generator[None]:
    added = str(folder) not in sys.path
    if added:
        sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        if added:
            sys.path.remove(str(folder))


class _NoMocks(mocks.Mocks):
    """The base class wants mocks; the recorder answers every request itself."""

    def call(self, args: mocks.MockCallArgs) -> Any:
        raise ProgramError(f"{args.token} is not answered here")

    def new_resource(self, args: mocks.MockResourceArgs) -> Any:
        raise ProgramError(f"{args.typ} is not answered here")


class Recorder(mocks.MockMonitor):
    """A resource monitor that records whole registration requests."""

    def __init__(self, create: Create, invoke: Invoke, *, preview: bool) -> None:
        super().__init__(_NoMocks())
        self.graph = Graph()
        self._create = create
        self._invoke = invoke
        self._preview = preview
        self._lock = threading.Lock()
        self._loops: set[asyncio.AbstractEventLoop] = set()

    def close(self) -> None:
        """Closes the event loops of the threads that have served requests: left to the collector, they complain."""
        for loop in self._loops:
            if not loop.is_running():
                loop.close()

    def GetDeploymentInfo(self, request: Any) -> Any:  # noqa: N802 - gRPC's name
        info = super().GetDeploymentInfo(request)
        # With resource references a Resource passed as a value makes the SDK ask the monitor back and wait for
        # ever; without the feature its id arrives, as with a provider that does not know references.
        kept = [f for f in info.supportedFeatures if f != resource_pb2.RESOURCE_MONITOR_FEATURE_RESOURCE_REFERENCES]
        return resource_pb2.DeploymentInfo(supportedFeatures=kept)

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        """As the engine builds it: the whole chain of parent types, without the stack's own."""
        chain = parent.split("::")[2] if parent else ""
        qualified = type_ if chain in ("", STACK_TYPE) else f"{chain}${type_}"
        return f"urn:pulumi:{settings.get_stack()}::{settings.get_project()}::{qualified}::{name}"

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - gRPC's name
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.type == STACK_TYPE:
            return resource_pb2.RegisterResourceResponse(urn=urn)
        self._ensure_event_loop()
        wire_inputs: dict[str, Any] = rpc.deserialize_properties(request.object, keep_unknowns=self._preview)
        resource = Resource(
            urn=urn,
            type=request.type,
            name=request.name,
            custom=request.custom,
            parent=request.parent if STACK_TYPE not in request.parent else "",
            inputs=_plain(wire_inputs),
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
        _refuse_missing_assets(resource)
        if not self._preview:
            _refuse_missing_values(resource)
        if resource.custom and not self._preview:
            id_, computed = self._create(resource)
        else:
            id_, computed = "", {}
        resource = replace(resource, id=id_, outputs={**resource.inputs, **computed})
        with self._lock:
            self.graph.resources[urn] = resource
        answer = {**wire_inputs, **computed}
        if resource.custom and not self._preview:
            answer = {**_missing_markers(resource, answer), **answer}
        state = mocks._sync_await(rpc.serialize_properties(answer, {}))  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
        return resource_pb2.RegisterResourceResponse(urn=urn, id=id_, object=state)

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 - gRPC's name
        outputs = _plain(rpc.deserialize_properties(request.outputs, keep_unknowns=self._preview))
        if STACK_TYPE in request.urn:
            missing = [name for name, value in outputs.items() if _mentions(value, _MISSING)]
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
        result = self._invoke(request.tok, _plain(rpc.deserialize_properties(request.args)))
        answer = mocks._sync_await(rpc.serialize_properties(dict(result), {}))  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
        response = resource_pb2.ResourceInvokeResponse()
        getattr(response, "return").CopyFrom(answer)  # `return` is a keyword here
        return response

    def ReadResource(self, request: Any) -> Any:  # noqa: N802 - gRPC's name
        raise ProgramError(f"{request.type}.get() of {request.id!r} reads a live account, which a recorded run has not")

    def _ensure_event_loop(self) -> None:
        """Requests come on threads of a pool, and the SDK waits for its coroutines on a loop of the thread's own."""
        mocks._ensure_event_loop()  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
        with self._lock:
            self._loops.add(asyncio.get_event_loop())

    def _reserve(self, resource: Resource) -> None:
        """Two resources with one URN: the engine refuses, mocks overwrite."""
        with self._lock:
            if resource.urn in self.graph.resources:
                raise ProgramError(f"duplicate URN {resource.urn}")
            self.graph.resources[resource.urn] = resource


def _plain(value: Any) -> Any:
    """Unwraps secrets and turns the wire's floats back into whole numbers."""
    if isinstance(value, dict):
        if value.get(_SECRET_KEY) == _SECRET_SIGNATURE:
            return _plain(value["value"])
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
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


def _mentions(value: Any, text: str) -> bool:
    return any(isinstance(item, str) and text in item for item in _walk(value))


def _refuse_missing_assets(resource: Resource) -> None:
    for item in _walk(resource.inputs):
        if isinstance(item, pulumi.FileAsset | pulumi.FileArchive) and not os.path.exists(item.path):  # noqa: PTH110 - as Pulumi: relative to the program
            raise ProgramError(f"{resource.type} {resource.name}: {item.path} does not exist")


def _refuse_missing_values(resource: Resource) -> None:
    """An output nobody provides is None to a program: it drops out of maps and is `null` in JSON, silently."""
    for name, value in resource.inputs.items():
        if _mentions(value, _MISSING):
            raise ProgramError(
                f"{resource.type} {resource.name}: {name} was made from an output without a value: {value}"
            )
    for name, urns in resource.property_dependencies.items():
        if urns and resource.inputs.get(name) is None:
            raise ProgramError(f"{resource.type} {resource.name}: {name} depends on {sorted(urns)} but has no value")


def _missing_markers(resource: Resource, known: Mapping[str, Any]) -> dict[str, str]:
    """A marker for each output that has no value, so that using one shows up in the next registration."""
    return {
        name: f"{_MISSING}{name} of {resource.type} {resource.name}>"
        for name in _output_names(resource.type)
        if name not in known
    }


def _output_names(type_: str) -> set[str]:
    package, module, class_ = type_.split(":")
    if package != "aws" or "/" not in module:
        return set()
    folder = module.split("/")[0]
    sdk = importlib.import_module(f"pulumi_{package}.{folder}{'_' if keyword.iskeyword(folder) else ''}")
    properties = inspect.getmembers(getattr(sdk, class_), lambda member: isinstance(member, property))
    names = (getattr(property_.fget, "_pulumi_name", None) for _, property_ in properties)
    return {name for name in names if name}
