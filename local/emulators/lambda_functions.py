"""The program's Lambda functions, run from their packages with exactly their environment and their role's rights."""

from __future__ import annotations

import contextlib
import json
import shutil
import site
import sys
import threading
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lambda_packages.build import Package
from local.aws_checks.principals import Principal
from local.emulators.lambda_sandbox import Answer, Sandbox, Specification
from local.emulators.moto import Aws
from local.recording.recorder import Graph, ProgramError, Resource

# Sandboxes of one function at a time. AWS would start up to a thousand; two processor cores would only thrash.
_MAX_CONCURRENCY = 4
# AWS's runtime client and what it imports: in Lambda they come with the runtime, outside of every package.
_RUNTIME_CLIENT = ("awslambdaric", "runtime_client", "simplejson", "snapshot_restore_py")


class Function:
    """One deployed function. Sandboxes start when they are needed and are used again, as in Lambda."""

    def __init__(self, name: str, role: Principal, specification: Specification) -> None:
        self.name = name
        self.role = role
        self.arn = specification.arn
        self.timeout = specification.timeout
        self.specification = specification
        self._idle: list[Sandbox] = []
        self._busy: set[Sandbox] = set()
        self._lock = threading.Lock()
        self._slots = threading.Semaphore(_MAX_CONCURRENCY)

    def invoke(self, event: Any) -> Answer:
        """Runs the handler. A failure is an Answer with an error, never an exception."""
        with self._slots:
            with self._lock:
                sandbox = self._idle.pop() if self._idle else Sandbox(self.specification)
                self._busy.add(sandbox)
            answer = sandbox.invoke(event)
            with self._lock:
                self._busy.discard(sandbox)
                if not sandbox.is_dead:
                    self._idle.append(sandbox)
            return answer

    def log(self) -> str:
        """What the function has written so far: JSON, one object a line."""
        return self.specification.log.read_text() if self.specification.log.exists() else ""

    def close(self) -> None:
        with self._lock:
            for sandbox in [*self._idle, *self._busy]:
                sandbox.close()
            self._idle.clear()


@dataclass(frozen=True)
class Deployment:
    """Where functions are unpacked and what the platform gives each besides the program's own settings."""

    folder: Path
    packages: Mapping[str, Package]
    """Built for this machine; the record names the archives that are built for Lambda."""
    environment: Mapping[str, str]


class Functions:
    """All functions of the recorded program, found by ARN."""

    def __init__(self, graph: Graph, aws: Aws, deployment: Deployment) -> None:
        """Raises ProgramError for a function that AWS would not take, or that could not log."""
        self._runtime = install_runtime_client(deployment.folder / "runtime")
        self._unpacked: dict[Path, Path] = {}
        self.by_arn = {
            resource.outputs["arn"]: self._deploy(resource, graph, aws, deployment)
            for resource in graph.of_type("aws:lambda/function:Function")
        }

    def named(self, logical_name: str) -> Function:
        """The function whose package is called so, e.g. `process_avatar`."""
        return next(function for function in self.by_arn.values() if function.name == logical_name)

    def called(self, function_name: str) -> Function:
        """The function of a name in AWS, e.g. `avatars-api-authorize-1a2b3c4`."""
        return next(function for arn, function in self.by_arn.items() if arn.endswith(f":function:{function_name}"))

    def close(self) -> None:
        for function in self.by_arn.values():
            function.close()

    def _deploy(self, resource: Resource, graph: Graph, aws: Aws, deployment: Deployment) -> Function:
        inputs = resource.inputs
        package = deployment.packages[_archive_name(resource)]
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
        task_root = self._unpack(package.archive, deployment.folder)
        specification = Specification(
            handler=inputs["handler"],
            path=[
                task_root,
                *(self._unpack(host_layers[_archive_name(layer)], deployment.folder) / "python" for layer in layers),
                self._runtime,
            ],
            environment={
                **_platform_environment(resource, aws, task_root),
                **deployment.environment,
                **principal.environment(),
                **inputs.get("environment", {}).get("variables", {}),
            },
            arn=resource.outputs["arn"],
            timeout=inputs.get("timeout", 3),
            memory=inputs.get("memorySize", 128),
            log=deployment.folder / f"{package.name}.log",
        )
        return Function(package.name, principal, specification)

    def _unpack(self, archive: Path, folder: Path) -> Path:
        if archive not in self._unpacked:
            target = folder / "code" / archive.stem
            with zipfile.ZipFile(archive) as file:
                file.extractall(target)
            self._unpacked[archive] = target
        return self._unpacked[archive]


def _archive_name(resource: Resource) -> str:
    return Path(resource.inputs["code"].path).stem


def _platform_environment(resource: Resource, aws: Aws, task_root: Path) -> dict[str, str]:
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
    """Lambda writes a function's log with its role; without the right, silently, not at all."""
    name = resource.inputs.get("loggingConfig", {}).get("logGroup")
    group = graph.with_output("aws:cloudwatch/logGroup:LogGroup", "name", name)
    stream = f"{group.outputs['arn']}:log-stream:local"
    for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
        if not role.may(action, stream, {}):
            raise ProgramError(f"{resource.name}: its role may not {action} on {stream}, so its log would be lost")


def install_runtime_client(folder: Path) -> Path:
    """A folder with the runtime client alone: site-packages would lend a function modules its package lacks."""
    folder.mkdir(parents=True)
    for installed in (Path(entry) for entry in [*site.getsitepackages(), *sys.path]):
        for module in _RUNTIME_CLIENT:
            for found in [*installed.glob(module), *installed.glob(f"{module}.*")]:
                with contextlib.suppress(FileExistsError):
                    (folder / found.name).symlink_to(found.resolve())
    if not (folder / "awslambdaric").exists():
        shutil.rmtree(folder)
        raise ProgramError("AWS's Lambda runtime client, awslambdaric, is not installed; it is there for Linux only")
    return folder
