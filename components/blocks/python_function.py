"""A Lambda function with what belongs to it: its log group, its role, the role's policy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
from pulumi_aws import cloudwatch, lambda_
from pulumi_aws import iam as aws_iam

from components.blocks import iam, validation
from lambda_packages.build import LAMBDA, Package

RUNTIME = "python{}.{}".format(*LAMBDA.python)
# A fifth cheaper per GB-second than x86_64: https://aws.amazon.com/lambda/pricing/
ARCHITECTURE = {"aarch64": "arm64", "x86_64": "x86_64"}[LAMBDA.machine]
_RESERVED_PREFIX = "AWS_"


@dataclass(frozen=True, kw_only=True)
class Network:
    """Where in a VPC a function has addresses. What it reaches from there is up to the VPC and its security groups."""

    subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]]
    security_group_ids: pulumi.Input[Sequence[pulumi.Input[str]]]


@dataclass(frozen=True, kw_only=True)
class PythonFunctionArgs:
    package: Package
    description: str
    memory: int
    """Megabytes; the share of CPU follows it, 1,769 MB being one whole vCPU."""
    timeout: int
    """Seconds."""
    environment: Mapping[str, pulumi.Input[str]]
    statements: Sequence[iam.Statement]
    """What the function may do, besides writing its own logs."""
    layers: Mapping[str, lambda_.LayerVersion] = field(default_factory=dict[str, lambda_.LayerVersion])
    """Published layers by name; the function takes those its package names."""
    network: Network | None = None
    """None: the function is in no VPC of the account, and reaches the internet."""
    after: Sequence[pulumi.Resource] = ()
    """What has to be there before the function, or its next version, is. `depends_on` of a component orders nothing
    that is in it but its creation."""
    log_retention_days: int = 30

    def __post_init__(self) -> None:
        validation.require(
            self,
            memory=validation.whole_number(128, 10_240),
            timeout=validation.whole_number(1, 900),
            log_retention_days=validation.LOG_RETENTION_DAYS,
        )
        self._refuse_reserved_names()
        _refuse_missing_archive(f"function {self.package.name}", self.package)
        unpublished = sorted(set(self.package.layers) - set(self.layers))
        if unpublished:
            raise ValueError(
                f"function {self.package.name} needs the layers {unpublished}, given are {sorted(self.layers)}"
            )

    def _refuse_reserved_names(self) -> None:
        """AWS_ENDPOINT_URL and its like would send a deployed function's requests, signed, to another host."""
        reserved = sorted(name for name in self.environment if name.upper().startswith(_RESERVED_PREFIX))
        if reserved:
            raise ValueError(
                f"function {self.package.name} may not be given {reserved}: names beginning with {_RESERVED_PREFIX} "
                "are reserved for the platform, and for a local run that points functions at itself"
            )


class PythonFunction(pulumi.ComponentResource):
    """`avatars:index:PythonFunction`

    Makes: the log group, the role, its policy, the function.
    """

    function_name: pulumi.Output[str]
    function_arn: pulumi.Output[str]
    invoke_arn: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        args: PythonFunctionArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("avatars:index:PythonFunction", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        log_group = cloudwatch.LogGroup(f"{name}-logs", retention_in_days=args.log_retention_days, opts=child)
        role = aws_iam.Role(
            f"{name}-role",
            description=f"What {name} may do",
            assume_role_policy=iam.policy(iam.assumed_by("lambda.amazonaws.com")),
            opts=child,
        )
        role_policy = aws_iam.RolePolicy(
            f"{name}-policy",
            role=role.name,
            policy=iam.policy(
                iam.write_logs(log_group.arn), *args.statements, *(iam.join_network() if args.network else ())
            ),
            opts=child,
        )
        function = lambda_.Function(
            name,
            description=args.description,
            runtime=RUNTIME,
            architectures=[ARCHITECTURE],
            handler=args.package.handler,
            code=pulumi.FileArchive(str(args.package.archive)),
            layers=[args.layers[layer].arn for layer in args.package.layers],
            role=role.arn,
            memory_size=args.memory,
            timeout=args.timeout,
            environment=lambda_.FunctionEnvironmentArgs(variables=args.environment) if args.environment else None,
            vpc_config=_vpc_config(args.network) if args.network else None,
            logging_config=lambda_.FunctionLoggingConfigArgs(
                log_format="JSON",
                log_group=log_group.name,
                application_log_level="INFO",
                # Lambda's own three lines for every invocation were most of the log; of what fails it still writes.
                # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
                system_log_level="WARN",
            ),
            # A function that starts before its policy exists fails on its first requests.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[role_policy, *args.after]),
        )

        self.function_name = function.name
        self.function_arn = function.arn
        self.invoke_arn = function.invoke_arn
        self.register_outputs(
            {
                "function_name": self.function_name,
                "function_arn": self.function_arn,
                "invoke_arn": self.invoke_arn,
            }
        )


def publish_layers(
    name: str, packages: Iterable[Package], opts: pulumi.ResourceOptions
) -> dict[str, lambda_.LayerVersion]:
    """Publishes each layer that any of the packages needs, once. Returns them by layer name.

    A new version replaces the old one, which Pulumi then deletes; a function that still runs on it keeps its copy:
    https://docs.aws.amazon.com/lambda/latest/dg/creating-deleting-layers.html
    """
    archives = {layer: archive for package in packages for layer, archive in package.layers.items()}
    missing = sorted(f"{layer} ({archive})" for layer, archive in archives.items() if not archive.is_file())
    if missing:
        raise ValueError(
            f"{name}: no archive for the layers {missing}; lambda_packages.build.build_packages() makes them"
        )
    return {
        layer: lambda_.LayerVersion(
            f"{name}-layer-{layer.replace('_', '-')}",
            # Not auto-named by Pulumi; with the stack in it, two stacks of an account number their versions apart.
            layer_name=f"{name}-{layer.replace('_', '-')}-{pulumi.get_stack()}",
            description=f"What the functions of {name} import for {layer}",
            code=pulumi.FileArchive(str(archive)),
            compatible_runtimes=[RUNTIME],
            compatible_architectures=[ARCHITECTURE],
            opts=opts,
        )
        for layer, archive in sorted(archives.items())
    }


def _vpc_config(network: Network) -> lambda_.FunctionVpcConfigArgs:
    return lambda_.FunctionVpcConfigArgs(subnet_ids=network.subnet_ids, security_group_ids=network.security_group_ids)


def _refuse_missing_archive(owner: str, package: Package) -> None:
    """Pulumi itself takes a path that does not exist for an empty archive until the upload."""
    if not package.archive.is_file():
        raise ValueError(f"{owner}: {package.archive} does not exist; lambda_packages.build.build_packages() makes it")
