"""The whole stack on this machine: runs the program, makes what it registers real, starts the fronts."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from lambda_packages import build
from local.emulators.api_gateway import HttpApi
from local.emulators.cloudfront import Cdn
from local.emulators.http_server import Server
from local.emulators.lambda_functions import Deployment, Functions
from local.emulators.moto import ACCOUNT_ID, Aws
from local.emulators.postgres import Postgres
from local.emulators.sns_webhooks import Receiver, Subscription
from local.emulators.sqs_poller import EventSource
from local.recording.recorder import PROJECT, Graph, ProgramError, Resource, run_program
from local.resources import compute, edge, identity, messaging, settings, storage
from local.resources.handlers import Cloud, Maker, make, recorded

ROOT = Path(__file__).parent.parent
REGION = "eu-west-1"

# Settings of a stack that name things in a real account or a real domain: a local run has its own.
_LEFT_OUT = (
    *("domain", "hostedZoneId", "userPoolId", "userPoolClientId", "webAclArn", "alarmTopicArn", "webhookUrl"),
    *("database", "databaseUrl", "databaseSubnetIds", "databaseSecurityGroupIds"),
)

_DATABASE_URL = f"{PROJECT}:databaseUrl"

Tamper = Callable[[Resource], Resource]

MAKERS: dict[str, Maker] = {
    "pulumi:providers:aws": recorded,
    **storage.MAKERS,
    **messaging.MAKERS,
    **identity.MAKERS,
    **compute.MAKERS,
    **settings.MAKERS,
    **edge.MAKERS,
}


@dataclass(frozen=True)
class Ports:
    """Where the stack listens on 127.0.0.1; 0 takes a free port."""

    aws: int = 0
    api: int = 0
    cdn: int = 0
    webhook: int = 0
    database: int = 0

    @classmethod
    def starting_at(cls, first: int) -> Ports:
        """0: five free ports."""
        return cls(*range(first, first + 5)) if first else cls()


def read_config(stack: str) -> tuple[dict[str, str], list[str]]:
    """Configuration of a stack (`Pulumi.yaml` and `Pulumi.<stack>.yaml`), and the keys that a local run leaves out.

    Raises ProgramError for a stack without a file.
    """
    file = ROOT / f"Pulumi.{stack}.yaml"
    if not file.exists():
        known = sorted(path.name.split(".")[1] for path in ROOT.glob("Pulumi.*.yaml"))
        raise ProgramError(f"there is no {file.name}; stacks with a configuration file: {', '.join(known)}")
    schema = yaml.safe_load((ROOT / "Pulumi.yaml").read_text()).get("config", {})
    values: dict[str, Any] = {_full(key): entry["default"] for key, entry in schema.items() if "default" in entry}
    own = {_full(key): value for key, value in (yaml.safe_load(file.read_text()).get("config") or {}).items()}
    left_out = [key for key in _LEFT_OUT if own.pop(_full(key), None)]
    values.update(own)
    values["aws:region"] = own.get("aws:region", REGION)
    return {key: _text(value) for key, value in values.items()}, left_out


def _full(key: str) -> str:
    return key if ":" in key else f"{PROJECT}:{key}"


def _text(value: Any) -> str:
    """As the Pulumi CLI hands configuration to a program: strings as they are, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


class LocalStack:
    """A running stack. A context manager: leaving it stops every process and removes every file."""

    def __init__(
        self,
        config: Mapping[str, str],
        ports: Ports | None = None,
        program: Path = ROOT / "__main__.py",
        tamper: Tamper | None = None,
    ) -> None:
        """Raises PortTakenError, and ProgramError for a program that AWS would not take.

        `tamper` changes a resource before it is made: how tests show that a missing right or variable breaks the run.
        """
        ports = ports or Ports()
        with contextlib.ExitStack() as cleanup:
            self._folder = Path(tempfile.mkdtemp(prefix="avatars-"))
            cleanup.callback(shutil.rmtree, self._folder, ignore_errors=True)
            servers = {
                name: Server(title, getattr(ports, name))
                for name, title in (("aws", "AWS"), ("api", "the API"), ("cdn", "the CDN"), ("webhook", "the webhook"))
            }
            for server in servers.values():
                cleanup.callback(server.close)
            self.aws_url, self.cdn_url = servers["aws"].url, servers["cdn"].url
            self.api_url, self.webhook_url = servers["api"].url, servers["webhook"].url
            self._authorities = [server.authority for server in servers.values()]
            self.aws = Aws(servers["aws"], config["aws:region"])
            self.database = Postgres(ports.database)
            cleanup.callback(self.database.close)
            own = {
                f"{PROJECT}:webhookUrl": f"https://{servers['webhook'].authority}/",
                _DATABASE_URL: self.database.url,
            }
            self.graph = self._record(program, {**config, **own}, servers, tamper or (lambda resource: resource))
            self.functions = Functions(self.graph, self.aws, self._deployment())
            cleanup.callback(self.functions.close)
            self._invoke_as_deployed()
            servers["api"].serve(HttpApi(self.graph, self.functions, self._folder / "access.log"))
            servers["cdn"].serve(Cdn(self.graph, self.aws))
            self.receiver = Receiver()
            servers["webhook"].serve(self.receiver)
            self.event_sources = [
                EventSource(mapping, self.graph, self.functions, self.aws)
                for mapping in self.graph.of_type("aws:lambda/eventSourceMapping:EventSourceMapping")
            ]
            subscriptions = [
                Subscription(resource, self.graph, self.aws)
                for resource in self.graph.of_type("aws:sns/topicSubscription:TopicSubscription")
            ]
            for worker in [*self.event_sources, *subscriptions]:
                worker.start()
                cleanup.callback(worker.close)
            self._cleanup = cleanup.pop_all()

    @property
    def exports(self) -> dict[str, Any]:
        """The program's stack outputs."""
        return self.graph.exports

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()

    def access_log(self) -> str:
        log = self._folder / "access.log"
        return log.read_text() if log.exists() else ""

    def _record(self, program: Path, config: Mapping[str, str], servers: Mapping[str, Server], tamper: Tamper) -> Graph:
        made = Graph()
        cloud = Cloud(self.aws, servers["api"].url, servers["cdn"].authority, made)

        def create(resource: Resource) -> tuple[str, Mapping[str, Any]]:
            resource = tamper(replace(resource, inputs=self._reachable(resource.inputs)))
            id_, computed = make(MAKERS, resource, cloud)
            made.resources[resource.urn] = replace(resource, id=id_, outputs={**resource.inputs, **computed})
            return id_, computed

        recorded_graph = run_program(
            program,
            config=config,
            secret_keys=[_DATABASE_URL],
            create=create,
            invoke=self._invoke,
            stack="local",
        )
        made.exports = self._reachable(recorded_graph.exports)
        return made

    def _invoke_as_deployed(self) -> None:
        """Runs what `pulumi up` runs as part of a deployment, in the program's order.

        https://www.pulumi.com/registry/packages/aws/api-docs/lambda/invocation/
        """
        for invocation in self.graph.of_type("aws:lambda/invocation:Invocation"):
            function = self.functions.called(invocation.inputs["functionName"])
            answer = function.invoke(json.loads(invocation.inputs["input"]))
            if answer.error is not None:
                raise ProgramError(f"{invocation.name}: {function.name} failed: {answer.error}\n{function.log()}")

    def _reachable(self, value: Any) -> Any:
        """The program writes https:// before every host; the fronts on this machine speak plain HTTP."""
        if isinstance(value, dict):
            return {key: self._reachable(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._reachable(item) for item in value]
        if isinstance(value, str):
            for authority in self._authorities:
                value = value.replace(f"https://{authority}", f"http://{authority}")
        return value

    def _invoke(self, token: str, _args: Mapping[str, Any]) -> Mapping[str, Any]:
        region = self.aws.region
        answers: dict[str, dict[str, Any]] = {
            "aws:index/getCallerIdentity:getCallerIdentity": {
                "accountId": ACCOUNT_ID,
                "arn": f"arn:aws:iam::{ACCOUNT_ID}:user/operator",
                "userId": "operator",
            },
            "aws:index/getRegion:getRegion": {"region": region, "name": region},
            "aws:index/getPartition:getPartition": {"partition": "aws", "dnsSuffix": "amazonaws.com"},
        }
        if token not in answers:
            raise ProgramError(f"a local run cannot answer {token}")
        return answers[token]

    def _deployment(self) -> Deployment:
        return Deployment(
            folder=self._folder,
            packages=build.build_packages(build.Platform.host()),
            environment={
                "AWS_ENDPOINT_URL_S3": self.aws_url,
                "AWS_ENDPOINT_URL_SNS": self.aws_url,
                "AWS_ENDPOINT_URL_SQS": self.aws_url,
                "AWS_ENDPOINT_URL_SSM": self.aws_url,
                "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER": self.aws_url,
            },
        )
