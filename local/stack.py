"""Runs the whole stack: records the program, creates its resources and starts the emulators."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from components.assets_cdn import PAGE_KEY
from lambda_packages import build
from local.emulators.api_gateway import HttpApiEmulator
from local.emulators.cloudfront import CloudFrontEmulator
from local.emulators.http_server import HttpServer
from local.emulators.lambda_functions import Deployment, LambdaFunctions, SourceFunction
from local.emulators.moto import ACCOUNT_ID, MotoServer
from local.emulators.postgres import Postgres
from local.emulators.sns_webhooks import HttpsSubscription, WebhookReceiver
from local.emulators.sqs_poller import EventSourceMapping
from local.openid.provider import AUDIENCE, CLIENT_ID, OpenIdProvider
from local.recording.graph import Graph, ProgramError, Resource
from local.recording.recorder import PROJECT, run_program
from local.resources import compute, edge, identity, messaging, parameters, storage
from local.resources.handlers import HandlerContext, ResourceHandler, create_resource, record_only, update_resource

ROOT = Path(__file__).parent.parent
REGION = "eu-west-1"

# Configuration keys that refer to an AWS account or a domain. A local run provides its own values.
_IGNORED_KEYS = (
    *("domain", "hostedZoneId", "webAclArn", "webhookUrl", "moderationFunction"),
    *("alarmTopicArn", "alarmEmail", "monthlyBudget"),
    *("userPoolId", "userPoolClientId", "issuer", "audience", "audienceClaim"),
    *("issuerClientId", "issuerParameters", "issuerOrigins"),
    *("database", "databaseUrl", "databaseSubnetIds", "databaseSecurityGroupIds"),
)

# Those that apply to a user pool only.
_COGNITO_KEYS = ("selfSignUp", "profileNames")

_DATABASE_URL = f"{PROJECT}:databaseUrl"

MutateResource = Callable[[Resource], Resource]

HANDLERS: dict[str, ResourceHandler] = {
    "pulumi:providers:aws": record_only,
    **storage.HANDLERS,
    **messaging.HANDLERS,
    **identity.HANDLERS,
    **compute.HANDLERS,
    **parameters.HANDLERS,
    **edge.HANDLERS,
}


@dataclass(frozen=True)
class Ports:
    """The ports of the stack on 127.0.0.1; 0 means a free port."""

    aws: int = 0
    api: int = 0
    cdn: int = 0
    webhook: int = 0
    database: int = 0
    openid: int = 0

    @classmethod
    def starting_at(cls, first: int) -> Ports:
        """Returns six consecutive ports, or free ports if `first` is 0."""
        return cls(*range(first, first + 6)) if first else cls()


def read_config(stack: str, openid: bool = False) -> tuple[dict[str, str], list[str]]:
    """Returns the configuration in `Pulumi.yaml` and `Pulumi.<stack>.yaml`, and the keys that a local run ignores.

    With `openid`, the stack has no user pool.

    Raises:
        ProgramError: There is no configuration file for the stack.
    """
    file = ROOT / f"Pulumi.{stack}.yaml"
    if not file.exists():
        stacks = sorted(path.name.split(".")[1] for path in ROOT.glob("Pulumi.*.yaml"))
        raise ProgramError(f"there is no {file.name}; stacks with a configuration file: {', '.join(stacks)}")
    schema = yaml.safe_load((ROOT / "Pulumi.yaml").read_text()).get("config", {})
    values: dict[str, Any] = {_qualify(key): entry["default"] for key, entry in schema.items() if "default" in entry}
    values["aws:region"] = REGION
    stack_values = {
        _qualify(key): value for key, value in (yaml.safe_load(file.read_text()).get("config") or {}).items()
    }
    keys = (*_IGNORED_KEYS, *(_COGNITO_KEYS if openid else ()))
    ignored = [key for key in keys if stack_values.pop(_qualify(key), None)]
    values.update(stack_values)
    return {key: _serialize(value) for key, value in values.items()}, ignored


def _qualify(key: str) -> str:
    return key if ":" in key else f"{PROJECT}:{key}"


def _serialize(value: Any) -> str:
    """Serializes a value as the Pulumi CLI does: a string unchanged, any other value as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def _configure_issuer(provider: OpenIdProvider) -> dict[str, str]:
    # The program requires https, as for all URLs, and `_use_http` replaces it.
    settings = {"issuer": f"https://{provider.authority}", "audience": AUDIENCE, "issuerClientId": CLIENT_ID}
    return {f"{PROJECT}:{key}": value for key, value in settings.items()}


class LocalStack:
    """A running stack, as a context manager. Exiting it stops every process and removes every file."""

    def __init__(
        self,
        config: Mapping[str, str],
        ports: Ports | None = None,
        program: Path = ROOT / "__main__.py",
        mutate_resource: MutateResource | None = None,
        moderation: SourceFunction | None = None,
        openid: bool = False,
    ) -> None:
        """Starts the stack, with a moderation function if one is given.

        The users are those of an OpenID provider if `openid` is true, or else of a Cognito user pool.

        In tests, `mutate_resource` changes a resource before it is created.

        Raises:
            OpenIdProviderError: The OpenID provider does not start.
            PortInUseError: Another process listens on one of the ports.
            PostgresError: The database does not start.
            ProgramError: Pulumi or AWS would reject the program.
        """
        ports = ports or Ports()
        self._program = program
        self._mutate_resource = mutate_resource or (lambda resource: resource)
        self._moderation = moderation
        with contextlib.ExitStack() as cleanup:
            self._folder = Path(tempfile.mkdtemp(prefix="avatars-"))
            self._deployments = 0
            cleanup.callback(shutil.rmtree, self._folder, ignore_errors=True)
            servers = {
                name: HttpServer(title, getattr(ports, name))
                for name, title in (("aws", "AWS"), ("api", "the API"), ("cdn", "the CDN"), ("webhook", "the webhook"))
            }
            for server in servers.values():
                cleanup.callback(server.close)
            self._servers = servers
            self.aws_url, self.cdn_url = servers["aws"].url, servers["cdn"].url
            self.api_url, self.webhook_url = servers["api"].url, servers["webhook"].url
            self._authorities = [server.authority for server in servers.values()]
            self.database = Postgres(ports.database)
            cleanup.callback(self.database.close)
            self.openid = None
            if openid:
                origins = json.loads(config.get(f"{PROJECT}:allowedOrigins", "[]"))
                self.openid = OpenIdProvider(ports.openid, f"{self.cdn_url}/{PAGE_KEY}", origins)
                cleanup.callback(self.openid.close)
                self._authorities.append(self.openid.authority)
            with ThreadPoolExecutor() as executor:
                starting = [executor.submit(self.database.start)]  # the migrations are the first to connect
                if self.openid:
                    starting.append(executor.submit(self.openid.start))
                self.aws = MotoServer(servers["aws"], config["aws:region"])
                self._provided = {
                    f"{PROJECT}:webhookUrl": f"https://{servers['webhook'].authority}/",
                    _DATABASE_URL: self.database.url,
                    **({f"{PROJECT}:moderationFunction": self._moderation_arn} if moderation else {}),
                    **(_configure_issuer(self.openid) if self.openid else {}),
                }
                self.graph = self._deploy(config, Graph())
                for start in starting:
                    start.result()
            self._deployment = cleanup.enter_context(contextlib.ExitStack())
            self._run_deployment(Graph())
            self.receiver = WebhookReceiver()
            servers["webhook"].serve(self.receiver)
            for resource in self.graph.of_type("aws:sns/topicSubscription:TopicSubscription"):
                if resource.inputs["protocol"] != "https":
                    continue
                subscription = HttpsSubscription(resource, self.graph, self.aws)
                subscription.start()
                cleanup.callback(subscription.close)
            self._cleanup = cleanup.pop_all()

    @property
    def _moderation_arn(self) -> str:
        return self.aws.arn("lambda", "function:moderation")

    @property
    def exports(self) -> dict[str, Any]:
        """The stack outputs of the program."""
        return self.graph.exports

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()

    def update(self, config: Mapping[str, str]) -> None:
        """Runs the program again, with another configuration, as `pulumi up` does.

        What exists keeps its ID, its name and its data: a change that replaces a resource is not supported. Resources
        that the program does not register any more are forgotten. The CDN's cache is empty afterwards.

        Raises:
            ProgramError: Pulumi or AWS would reject the program.
        """
        previous, self.graph = self.graph, self._deploy(config, self.graph)
        for mapping in self.event_source_mappings:
            mapping.close()
            mapping.wait()
        self._deployment.close()
        self._run_deployment(previous)

    def create_user(self, username: str, name: str | None = None) -> str:
        """Creates a user, with that name if there is one. Returns the password."""
        if self.openid:
            return self.openid.create_user(username, name)
        password = f"{secrets.token_urlsafe(12)}-aA1"
        cognito = self.aws.client("cognito-idp")
        pool = self.exports["userPoolId"]
        attributes = [{"Name": "name", "Value": name}] if name else []
        cognito.admin_create_user(
            UserPoolId=pool, Username=username, UserAttributes=attributes, MessageAction="SUPPRESS"
        )
        cognito.admin_set_user_password(UserPoolId=pool, Username=username, Password=password, Permanent=True)
        return password

    def read_access_log(self) -> str:
        log = self._folder / "access.log"
        return log.read_text() if log.exists() else ""

    def _deploy(self, config: Mapping[str, str], previous: Graph) -> Graph:
        """Runs the program over the resources of `previous`."""
        graph = Graph()
        context = HandlerContext(self.aws, self._servers["api"].url, self._servers["cdn"].authority, graph)

        def create(resource: Resource) -> tuple[str, Mapping[str, Any]]:
            resource = self._mutate_resource(replace(resource, inputs=self._use_http(resource.inputs)))
            existing = previous.resources.get(resource.urn)
            if existing is None:
                id_, computed = create_resource(HANDLERS, resource, context)
            else:
                id_, computed = update_resource(HANDLERS, resource, existing, context)
            graph.resources[resource.urn] = replace(resource, id=id_, outputs={**resource.inputs, **computed})
            return id_, computed

        recorded = run_program(
            self._program,
            config={**config, **self._provided},
            secret_keys=[_DATABASE_URL],
            create=create,
            invoke=self._call_provider_function,
            stack="local",
        )
        graph.exports = self._use_http(recorded.exports)
        return graph

    def _run_deployment(self, previous: Graph) -> None:
        """Runs the functions, the API and the CDN of the current graph."""
        self._deployments += 1
        folder = self._folder / str(self._deployments)
        folder.mkdir()
        self.functions = LambdaFunctions(self.graph, self.aws, self._build_deployment(folder))
        self._deployment.callback(self.functions.close)
        if self._moderation:
            self.functions.add(self._moderation_arn, self._moderation, folder / "moderation.log")
        self.aws.lambda_api.functions = self.functions.by_arn
        self._run_invocations(previous)
        self._servers["api"].serve(HttpApiEmulator(self.graph, self.functions, self._folder / "access.log"))
        self._servers["cdn"].serve(CloudFrontEmulator(self.graph, self.aws))
        self.event_source_mappings = [
            EventSourceMapping(mapping, self.graph, self.functions, self.aws)
            for mapping in self.graph.of_type("aws:lambda/eventSourceMapping:EventSourceMapping")
        ]
        for mapping in self.event_source_mappings:
            mapping.start()
            self._deployment.callback(mapping.close)

    def _run_invocations(self, previous: Graph) -> None:
        """Invokes the functions that the program invokes during a deployment, if it did not with the same input.

        https://www.pulumi.com/registry/packages/aws/api-docs/lambda/invocation/
        """
        for invocation in self.graph.of_type("aws:lambda/invocation:Invocation"):
            existing = previous.resources.get(invocation.urn)
            if existing and existing.inputs == invocation.inputs:
                continue
            function = self.functions.find_by_name(invocation.inputs["functionName"])
            result = function.invoke(json.loads(invocation.inputs["input"]))
            if result.error is not None:
                raise ProgramError(f"{invocation.name}: {function.name} failed: {result.error}\n{function.read_log()}")

    def _use_http(self, value: Any) -> Any:
        """Replaces https in URLs of the emulators, which serve plain HTTP."""
        if isinstance(value, dict):
            return {key: self._use_http(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._use_http(item) for item in value]
        if isinstance(value, str):
            for authority in self._authorities:
                value = value.replace(f"https://{authority}", f"http://{authority}")
        return value

    def _call_provider_function(self, token: str, _args: Mapping[str, Any]) -> Mapping[str, Any]:
        region = self.aws.region
        results: dict[str, dict[str, Any]] = {
            "aws:index/getCallerIdentity:getCallerIdentity": {
                "accountId": ACCOUNT_ID,
                "arn": f"arn:aws:iam::{ACCOUNT_ID}:user/operator",
                "userId": "operator",
            },
            "aws:index/getRegion:getRegion": {"region": region, "name": region},
            "aws:index/getPartition:getPartition": {"partition": "aws", "dnsSuffix": "amazonaws.com"},
        }
        if token not in results:
            raise ProgramError(f"a local run does not support the provider function {token}")
        return results[token]

    def _build_deployment(self, folder: Path) -> Deployment:
        return Deployment(
            folder=folder,
            packages=build.build_packages(build.Platform.host()),
            environment={
                "AWS_ENDPOINT_URL_S3": self.aws_url,
                "AWS_ENDPOINT_URL_SNS": self.aws_url,
                "AWS_ENDPOINT_URL_SQS": self.aws_url,
                "AWS_ENDPOINT_URL_SSM": self.aws_url,
                "AWS_ENDPOINT_URL_DYNAMODB": self.aws_url,
                "AWS_ENDPOINT_URL_CLOUDFRONT": self.aws_url,
                "AWS_ENDPOINT_URL_LAMBDA": self.aws_url,
                "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER": self.aws_url,
            },
        )
