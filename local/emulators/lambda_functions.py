"""Runs the Lambda functions of the program from their deployment packages, with their environment and role."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import site
import sys
import tempfile
import threading
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from lambda_packages.build import Package
from local.aws_checks.principals import Principal
from local.emulators.lambda_sandbox import THROTTLED, InvocationResult, Sandbox, SandboxConfig
from local.emulators.moto import MotoServer
from local.recording.graph import Graph, ProgramError, Resource

# Concurrent sandboxes per function. The default quota of Lambda is 1000 for an account.
_MAX_CONCURRENCY = 4
# The runtime client of Lambda and its dependencies, which the managed runtime provides.
_RUNTIME_CLIENT = ("awslambdaric", "runtime_client", "simplejson", "snapshot_restore_py")


class LambdaFunction:
    """A deployed function. As in Lambda, a sandbox is started when none is idle, and is reused."""

    def __init__(
        self, name: str, role: Principal, config: SandboxConfig, reserved_concurrency: int | None = None
    ) -> None:
        self.name = name
        self.role = role
        self.arn = config.arn
        self.timeout = config.timeout
        self.config = config
        self.reserved_concurrency = reserved_concurrency
        self._running = 0
        self._idle: list[Sandbox] = []
        self._busy: set[Sandbox] = set()
        self._lock = threading.Lock()
        self._slots = threading.Semaphore(_MAX_CONCURRENCY)
        self._is_closed = False

    def invoke(self, event: Any) -> InvocationResult:
        """Invokes the function. A failure is a result with an `error`, never an exception."""
        with self._lock:
            if self.reserved_concurrency is not None and self._running >= self.reserved_concurrency:
                return InvocationResult(payload=None, error=THROTTLED, is_cold_start=False)
            self._running += 1
        try:
            return self._invoke(event)
        finally:
            with self._lock:
                self._running -= 1

    def _invoke(self, event: Any) -> InvocationResult:
        with self._slots:
            with self._lock:
                if self._is_closed:
                    error = {"errorType": "Runtime.Closed", "errorMessage": f"{self.name} has been closed"}
                    return InvocationResult(payload=None, error=error, is_cold_start=False)
                sandbox = self._idle.pop() if self._idle else Sandbox(self.config)
                self._busy.add(sandbox)
            result = sandbox.invoke(event)
            with self._lock:
                self._busy.discard(sandbox)
                if not sandbox.is_terminated:
                    self._idle.append(sandbox)
            return result

    def read_log(self) -> str:
        """Returns the log of the function: one JSON object per line."""
        return self.config.log.read_text() if self.config.log.exists() else ""

    def kill_sandbox(self) -> bool:
        """Kills a sandbox during an invocation. Returns whether there was one."""
        with self._lock:
            for sandbox in self._busy:
                sandbox.kill()
                return True
        return False

    def stop_sandboxes(self) -> None:
        """Terminates all sandboxes, so that the next invocation is a cold start."""
        with self._lock:
            for sandbox in [*self._idle, *self._busy]:
                sandbox.close()
            self._idle.clear()

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
        self.stop_sandboxes()


@dataclass(frozen=True)
class Deployment:
    """Settings for all functions: the folder for logs, the packages, and additional environment variables."""

    folder: Path
    packages: Mapping[str, Package]
    """Built for this machine. The recorded resources refer to the archives that are built for Lambda."""
    environment: Mapping[str, str]


@dataclass(frozen=True)
class SourceFunction:
    """A function that is not part of the program: `handle` in the file handler.py of a folder."""

    folder: Path
    environment: Mapping[str, str]


class LambdaFunctions:
    """All functions, by ARN."""

    def __init__(self, graph: Graph, aws: MotoServer, deployment: Deployment) -> None:
        """Deploys the functions.

        Raises:
            ProgramError: The role of a function may not write its log.
        """
        self._principals = aws.principals
        self._runtime = install_runtime_client(deployment.folder / "runtime")
        self.by_arn = {
            resource.outputs["arn"]: self._deploy(resource, graph, aws, deployment)
            for resource in graph.of_type("aws:lambda/function:Function")
        }

    def find_by_package(self, package: str) -> LambdaFunction:
        """Returns the function of a deployment package, such as `process_avatar`."""
        return next(function for function in self.by_arn.values() if function.name == package)

    def find_by_name(self, function_name: str) -> LambdaFunction:
        """Returns the function with a physical name, such as `avatars-api-authorize-1a2b3c4`."""
        return next(function for arn, function in self.by_arn.items() if arn.endswith(f":function:{function_name}"))

    def add(self, arn: str, function: SourceFunction, log: Path) -> None:
        """Adds a function that is not part of the program. It can import boto3, as in Lambda's Python runtimes."""
        region, name = arn.split(":")[3], arn.rsplit(":", 1)[1]
        config = SandboxConfig(
            handler="handler.handle",
            path=[function.folder.resolve(), Path(boto3.__file__).parents[1], self._runtime],
            environment={**function.environment, "AWS_DEFAULT_REGION": region, "AWS_LAMBDA_LOG_FORMAT": "JSON"},
            arn=arn,
            timeout=30,
            memory=512,
            log=log,
        )
        self.by_arn[arn] = LambdaFunction(name, self._principals.add_role(name, []), config)

    def close(self) -> None:
        for function in self.by_arn.values():
            function.close()

    def _deploy(self, resource: Resource, graph: Graph, aws: MotoServer, deployment: Deployment) -> LambdaFunction:
        inputs = resource.inputs
        package = deployment.packages[_find_archive_name(resource)]
        role = graph.with_output("aws:iam/role:Role", "arn", inputs["role"])
        policies = [
            json.loads(policy.inputs["policy"])
            for policy in graph.of_type("aws:iam/rolePolicy:RolePolicy")
            if policy.inputs["role"] == role.id
        ]
        principal = aws.principals.add_role(role.outputs["name"], policies)
        _require_logging(resource, graph, principal)
        layers = [
            graph.with_output("aws:lambda/layerVersion:LayerVersion", "arn", arn) for arn in inputs.get("layers", [])
        ]
        host_layers = {
            name: archive for known in deployment.packages.values() for name, archive in known.layers.items()
        }
        task_root = deployment.folder / "code" / package.name
        with zipfile.ZipFile(package.archive) as archive:
            archive.extractall(task_root)
        config = SandboxConfig(
            handler=inputs["handler"],
            path=[
                task_root,
                *(unpack_layer(host_layers[_find_archive_name(layer)]) / "python" for layer in layers),
                self._runtime,
            ],
            environment={
                **_build_platform_environment(resource, aws, task_root),
                **deployment.environment,
                **principal.to_environment(),
                **inputs.get("environment", {}).get("variables", {}),
            },
            arn=resource.outputs["arn"],
            timeout=inputs.get("timeout", 3),
            memory=inputs.get("memorySize", 128),
            log=deployment.folder / f"{package.name}.log",
        )
        return LambdaFunction(package.name, principal, config, inputs.get("reservedConcurrentExecutions"))


def unpack_layer(archive: Path) -> Path:
    """Unpacks a layer beside its archive, once for each content, and returns the folder."""
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    target = archive.parent / "unpacked" / f"{archive.stem}-{digest[:16]}"
    if not target.exists():
        target.parent.mkdir(exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=target.parent))
        with zipfile.ZipFile(archive) as file:
            file.extractall(partial)
        try:
            partial.rename(target)
        except OSError:  # another process has unpacked it
            shutil.rmtree(partial)
    return target


def _find_archive_name(resource: Resource) -> str:
    return Path(resource.inputs["code"].path).stem


def _build_platform_environment(resource: Resource, aws: MotoServer, task_root: Path) -> dict[str, str]:
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime"""
    logging = resource.inputs.get("loggingConfig", {})
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "LAMBDA_TASK_ROOT": str(task_root),
        "AWS_REGION": aws.region,
        "AWS_DEFAULT_REGION": aws.region,
        "AWS_LAMBDA_FUNCTION_NAME": resource.outputs["name"],
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(resource.inputs.get("memorySize", 128)),
        "AWS_LAMBDA_LOG_FORMAT": logging.get("logFormat", "Text"),
        "AWS_LAMBDA_LOG_LEVEL": logging.get("applicationLogLevel", "INFO"),
    }


def _require_logging(resource: Resource, graph: Graph, role: Principal) -> None:
    """Rejects a role that may not write the log of its function: Lambda would drop the log without an error."""
    name = resource.inputs.get("loggingConfig", {}).get("logGroup")
    group = graph.with_output("aws:cloudwatch/logGroup:LogGroup", "name", name)
    stream = f"{group.outputs['arn']}:log-stream:local"
    for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
        if not role.is_allowed(action, stream, {}):
            raise ProgramError(
                f"{resource.name}: its role does not allow {action} on {stream}, so its log would be lost"
            )


def install_runtime_client(folder: Path) -> Path:
    """Creates a folder with the runtime client only: with site-packages, a function could import undeclared modules.

    Where awslambdaric is not installed, the runtime client is `local/emulators/runtime_client.py`.
    """
    folder.mkdir(parents=True)
    for installed in (Path(entry) for entry in [*site.getsitepackages(), *sys.path]):
        for module in _RUNTIME_CLIENT:
            for found in [*installed.glob(module), *installed.glob(f"{module}.*")]:
                with contextlib.suppress(FileExistsError):
                    (folder / found.name).symlink_to(found.resolve())
    if not (folder / "awslambdaric").exists():
        (folder / "local_runtime_client.py").symlink_to(Path(__file__).with_name("runtime_client.py"))
    return folder
