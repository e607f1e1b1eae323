"""A Lambda function with its log group and execution role, and Lambda layers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
from pulumi_aws import cloudwatch, lambda_
from pulumi_aws import iam as aws_iam

from components.blocks import iam, validation
from lambda_packages.build import LAMBDA, Package

RUNTIME = "python{}.{}".format(*LAMBDA.python)
# arm64 costs 20% less per GB-second than x86_64: https://aws.amazon.com/lambda/pricing/
ARCHITECTURE = {"aarch64": "arm64", "x86_64": "x86_64"}[LAMBDA.machine]
_RESERVED_PREFIX = "AWS_"


@dataclass(frozen=True, kw_only=True)
class VpcConfig:
    """The subnets and security groups of a function in a VPC."""

    subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]]
    security_group_ids: pulumi.Input[Sequence[pulumi.Input[str]]]


@dataclass(frozen=True, kw_only=True)
class PythonFunctionArgs:
    package: Package
    """The deployment package and its handler."""
    description: str
    """The function's description."""
    memory: int
    """Megabytes, 128 to 10,240. CPU is proportional to it: 1,769 MB have one vCPU."""
    timeout: int
    """Seconds, 1 to 900."""
    environment: Mapping[str, pulumi.Input[str]]
    """Environment variables."""
    statements: Sequence[iam.Statement]
    """Statements of the execution role's policy, in addition to writing the function's logs."""
    layers: Mapping[str, lambda_.LayerVersion] = field(default_factory=dict[str, lambda_.LayerVersion])
    """Layer versions by name, at least those that `package` needs."""
    vpc_config: VpcConfig | None = None
    """None: the function is not attached to a VPC and can access the internet."""
    depends_on: Sequence[pulumi.Resource] = ()
    """Resources that are created or updated before the function. `depends_on` of the component's resource options
    would not do: it does not order updates of the component's children."""
    reserved_concurrency: int | None = None
    """The maximum number of concurrent invocations, which no other function of the account can use; 0 stops the
    function. None: it shares the unreserved concurrency of the account."""
    log_retention_days: int = 30
    """Days of log retention, one of the values that CloudWatch Logs supports."""
    tracing: bool = False
    """Whether Lambda sends traces to X-Ray."""

    def __post_init__(self) -> None:
        validation.require(
            self,
            memory=validation.integer_range(128, 10_240),
            timeout=validation.integer_range(1, 900),
            reserved_concurrency=validation.optional(validation.RESERVED_CONCURRENCY),
            log_retention_days=validation.LOG_RETENTION_DAYS,
        )
        self._reject_reserved_names()
        # Pulumi takes a path that does not exist for an empty archive until the upload.
        if not self.package.archive.is_file():
            raise ValueError(
                f"function {self.package.name}: {self.package.archive} does not exist; "
                "lambda_packages.build.build_packages() builds it"
            )
        missing = sorted(set(self.package.layers) - set(self.layers))
        if missing:
            raise ValueError(
                f"function {self.package.name} needs the layers {missing}, given are {sorted(self.layers)}"
            )

    def _reject_reserved_names(self) -> None:
        """Variables such as AWS_ENDPOINT_URL would send a deployed function's signed requests to another host."""
        reserved = sorted(name for name in self.environment if name.upper().startswith(_RESERVED_PREFIX))
        if reserved:
            raise ValueError(
                f"function {self.package.name} cannot have the environment variables {reserved}: names that start with "
                f"{_RESERVED_PREFIX} are reserved for Lambda, and for local runs, which set their endpoints with them"
            )


class PythonFunction(pulumi.ComponentResource):
    """`avatars:index:PythonFunction`

    Creates a log group, an execution role with an inline policy, and a Lambda function. The attribute `memory` is in
    megabytes.
    """

    function_name: pulumi.Output[str]
    function_arn: pulumi.Output[str]
    invoke_arn: pulumi.Output[str]
    """The ARN for API Gateway integrations and authorizers."""
    log_group_name: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        args: PythonFunctionArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("avatars:index:PythonFunction", name, None, opts)
        child_options = pulumi.ResourceOptions(parent=self)

        log_group = cloudwatch.LogGroup(f"{name}-logs", retention_in_days=args.log_retention_days, opts=child_options)
        role = aws_iam.Role(
            f"{name}-role",
            description=f"Execution role of the Lambda function {name}",
            assume_role_policy=iam.policy_document(iam.allow_assume_role("lambda.amazonaws.com")),
            opts=child_options,
        )
        role_policy = aws_iam.RolePolicy(
            f"{name}-policy",
            role=role.name,
            policy=iam.policy_document(
                iam.write_logs(log_group.arn),
                *args.statements,
                *([iam.write_traces()] if args.tracing else []),
                *(iam.manage_network_interfaces() if args.vpc_config else ()),
            ),
            opts=child_options,
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
            reserved_concurrent_executions=args.reserved_concurrency,
            environment=lambda_.FunctionEnvironmentArgs(variables=args.environment) if args.environment else None,
            vpc_config=_build_vpc_config(args.vpc_config) if args.vpc_config else None,
            tracing_config=lambda_.FunctionTracingConfigArgs(mode="Active") if args.tracing else None,
            logging_config=lambda_.FunctionLoggingConfigArgs(
                log_format="JSON",
                log_group=log_group.name,
                application_log_level="INFO",
                # Without Lambda's three lines per invocation, which would be most of the log; errors are still logged:
                # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
                system_log_level="WARN",
            ),
            # Without its policy the function's first requests would fail.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[role_policy, *args.depends_on]),
        )

        self.function_name = function.name
        self.function_arn = function.arn
        self.invoke_arn = function.invoke_arn
        self.log_group_name = log_group.name
        self.memory = args.memory
        self.register_outputs(
            {
                "function_name": self.function_name,
                "function_arn": self.function_arn,
                "invoke_arn": self.invoke_arn,
                "log_group_name": self.log_group_name,
            }
        )


def publish_layers(
    name: str, packages: Iterable[Package], opts: pulumi.ResourceOptions
) -> dict[str, lambda_.LayerVersion]:
    """Creates a version of each layer that `packages` need, and returns the layer versions by layer name.

    An update creates a new version and deletes the old one; functions that use the old one keep their copy:
    https://docs.aws.amazon.com/lambda/latest/dg/creating-deleting-layers.html

    Raises:
        ValueError: The archive of a layer does not exist.
    """
    archives = {layer: archive for package in packages for layer, archive in package.layers.items()}
    missing = sorted(f"{layer} ({archive})" for layer, archive in archives.items() if not archive.is_file())
    if missing:
        raise ValueError(
            f"{name}: no archive for the layers {missing}; lambda_packages.build.build_packages() builds them"
        )
    return {
        layer: lambda_.LayerVersion(
            f"{name}-layer-{layer.replace('_', '-')}",
            # Pulumi does not auto-name layers. With the stack's name, each stack of an account has its own layer.
            layer_name=f"{name}-{layer.replace('_', '-')}-{pulumi.get_stack()}",
            description=f"Dependencies of the functions of {name}: {layer}",
            code=pulumi.FileArchive(str(archive)),
            compatible_runtimes=[RUNTIME],
            compatible_architectures=[ARCHITECTURE],
            opts=opts,
        )
        for layer, archive in sorted(archives.items())
    }


def _build_vpc_config(config: VpcConfig) -> lambda_.FunctionVpcConfigArgs:
    return lambda_.FunctionVpcConfigArgs(subnet_ids=config.subnet_ids, security_group_ids=config.security_group_ids)
