"""Invariants of every program that uses the components: functions from a recorded graph to a list of violations.

Tests check them for the whole program, and check that each reports a program with one resource mutated.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from collections.abc import Callable, Iterator
from typing import Any, get_args

import pulumi

import components
from local.recording.graph import Graph, Resource

Invariant = Callable[[Graph], list[str]]

S3 = "aws:s3/"
BUCKET_PARTS = {
    "public access block": f"{S3}bucketPublicAccessBlock:BucketPublicAccessBlock",
    "ownership controls": f"{S3}bucketOwnershipControls:BucketOwnershipControls",
    "encryption": f"{S3}bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "lifecycle": f"{S3}bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    "policy": f"{S3}bucketPolicy:BucketPolicy",
}
PUBLIC_ACCESS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
POLICY_INPUTS = ("policy", "assumeRolePolicy")
JSON_INPUTS = (*POLICY_INPUTS, "redrivePolicy", "redriveAllowPolicy", "desiredState", "input")
PUBLIC_ROUTES = ("GET /profiles/{handle}",)
"""Without authorizer, because profiles are public."""
CLUSTER = "AWS::RDS::DBCluster"
SECURITY_GROUP_RULES = (
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
)
GATEWAY_TYPES = (
    "internetGateway:InternetGateway",
    "natGateway:NatGateway",
    "route:Route",
    "vpcPeeringConnection:VpcPeeringConnection",
)


def component_classes() -> dict[str, type[pulumi.ComponentResource]]:
    """Every component class under components/, by name."""
    for module in pkgutil.iter_modules(components.__path__, "components."):
        importlib.import_module(module.name)
    classes = pulumi.ComponentResource.__subclasses__()
    return {c.__name__: c for c in classes if c.__module__.startswith("components.")}


def resources_are_children_of_components(graph: Graph) -> list[str]:
    violations: list[str] = []
    for resource in _aws_resources(graph):
        parent = graph.resources.get(resource.parent)
        if parent is None or not parent.type.startswith("avatars:index:"):
            violations.append(f"{resource.name} is not a child of one of our components")
        elif not resource.name.startswith(parent.name):
            violations.append(f"{resource.name} does not begin with the name of its component, {parent.name}")
    return violations


def resources_use_one_tagging_provider(graph: Graph) -> list[str]:
    providers = graph.of_type("pulumi:providers:aws")
    if len(providers) != 1:
        return [f"the program has {len(providers)} AWS providers"]
    tags = json.loads(providers[0].inputs.get("defaultTags", "{}")).get("tags", {})
    violations = [f"the provider does not tag resources with {tag}" for tag in ("Project", "Stack") if tag not in tags]
    violations += [
        f"{resource.name}, a Cloud Control resource, does not have the tags"
        for resource in graph.of_type("aws:cloudcontrol/resource:Resource")
        if {tag["Key"]: tag["Value"] for tag in json.loads(resource.inputs["desiredState"]).get("Tags", [])} != tags
    ]
    return violations + [
        f"{resource.name} does not use the provider"
        for resource in _aws_resources(graph)
        if not resource.provider.startswith(providers[0].urn)
    ]


def inputs_have_no_nulls_or_unresolved_outputs(graph: Graph) -> list[str]:
    """Finds Outputs that were formatted as strings, and nulls in JSON inputs."""
    texts = [
        f"{resource.name}: an Output was formatted as a string"
        for resource in graph
        for text in _strings(resource.inputs)
        if "Calling __str__" in text
    ]
    nulls = [
        f"{resource.name}: {name} contains a null"
        for resource in graph
        for name in JSON_INPUTS
        if _has_null(json.loads(resource.inputs.get(name) or "{}"))
    ]
    return texts + nulls


def buckets_are_private(graph: Graph) -> list[str]:
    return [
        f"{bucket.name} has {violation}"
        for bucket in graph.of_type(f"{S3}bucket:Bucket")
        for violation in _violations_of_bucket(graph, bucket)
    ]


def _violations_of_bucket(graph: Graph, bucket: Resource) -> Iterator[str]:
    parts = {
        name: [r for r in graph.of_type(type_) if r.inputs["bucket"] == bucket.outputs["bucket"]]
        for name, type_ in BUCKET_PARTS.items()
    }
    for name, found in parts.items():
        if len(found) != 1:
            yield f"{len(found)} of: {name}"
    for block in parts["public access block"]:
        if not all(block.inputs.get(setting) is True for setting in PUBLIC_ACCESS):
            yield "an incomplete public access block"
    for ownership in parts["ownership controls"]:
        if ownership.inputs["rule"]["objectOwnership"] != "BucketOwnerEnforced":
            yield "ACLs enabled"
    for encryption in parts["encryption"]:
        if not encryption.inputs["rules"][0].get("applyServerSideEncryptionByDefault", {}).get("sseAlgorithm"):
            yield "no default encryption"
    for lifecycle in parts["lifecycle"]:
        rules = lifecycle.inputs["rules"]
        if not all("filter" in rule for rule in rules):
            yield "a lifecycle rule without a filter"
        if not any("abortIncompleteMultipartUpload" in rule for rule in rules):
            yield "no rule for incomplete multipart uploads"
    for policy in parts["policy"]:
        if not _denies_insecure_transport(policy, "s3:*", [bucket.outputs["arn"], f"{bucket.outputs['arn']}/*"]):
            yield "a policy that allows insecure transport"
        if not {block.urn for block in parts["public access block"]} <= policy.dependencies:
            yield "a policy that does not depend on the public access block"


def queues_and_topics_are_tls_only(graph: Graph) -> list[str]:
    violations: list[str] = []
    for queue in graph.of_type("aws:sqs/queue:Queue"):
        policies = [
            p for p in graph.of_type("aws:sqs/queuePolicy:QueuePolicy") if p.inputs["queueUrl"] == queue.outputs["url"]
        ]
        if not any(_denies_insecure_transport(policy, "sqs:*", [queue.outputs["arn"]]) for policy in policies):
            violations.append(f"{queue.name} allows insecure transport")
    for topic in graph.of_type("aws:sns/topic:Topic"):
        policies = [
            p for p in graph.of_type("aws:sns/topicPolicy:TopicPolicy") if p.inputs["arn"] == topic.outputs["arn"]
        ]
        if not any(_denies_insecure_transport(policy, "sns:Publish", [topic.outputs["arn"]]) for policy in policies):
            violations.append(f"{topic.name} allows insecure transport")
    return violations


# Any stage of one API, then a method and a path that starts with a name, or an authorizer. A `*` in the path is a path
# parameter.
_ONE_ROUTE_OR_AUTHORIZER = re.compile(
    r"arn:aws:execute-api:[a-z0-9-]+:\d{12}:\w+/(\*/(DELETE|GET|POST|PUT)/[\w-]+(/[\w-]+|/\*)*|authorizers/\w+)"
)


def service_principals_are_limited_to_one_source(graph: Graph) -> list[str]:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html"""
    violations: list[str] = []
    for permission in graph.of_type("aws:lambda/permission:Permission"):
        source = permission.inputs.get("sourceArn", "")
        if not _ONE_ROUTE_OR_AUTHORIZER.fullmatch(source):
            violations.append(f"{permission.name} allows any source: {source!r}")
        if permission.inputs["principal"] == "s3.amazonaws.com" and not permission.inputs.get("sourceAccount"):
            violations.append(f"{permission.name} allows a bucket of any account")
    for policy in _resource_policies(graph):
        for statement in _allow_statements(policy):
            service = statement["Principal"].get("Service") if isinstance(statement["Principal"], dict) else None
            conditions = {key for test in statement.get("Condition", {}).values() for key in test}
            if service is None:
                violations.append(f"{policy.name} allows the principal {statement['Principal']}")
            elif "aws:SourceArn" not in conditions:
                violations.append(f"{policy.name} allows {service} for any source")
            elif service == "s3.amazonaws.com" and "aws:SourceAccount" not in conditions:
                violations.append(f"{policy.name} allows {service} for any account")
    return violations


def buckets_have_one_notification(graph: Graph) -> list[str]:
    violations: list[str] = []
    seen: set[str] = set()
    for notification in graph.of_type(f"{S3}bucketNotification:BucketNotification"):
        bucket = notification.inputs["bucket"]
        if bucket in seen:
            violations.append(f"{notification.name} replaces another notification of {bucket}")
        seen.add(bucket)
        for queue in notification.inputs.get("queues", []):
            if not queue.get("filterPrefix"):
                violations.append(f"{notification.name} has no key prefix")
            if not _policies_of(graph, queue["queueArn"]) & notification.dependencies:
                violations.append(f"{notification.name} does not depend on its queue's policy")
    return violations


def _policies_of(graph: Graph, queue_arn: str) -> set[str]:
    return {
        policy.urn
        for policy in graph.of_type("aws:sqs/queuePolicy:QueuePolicy")
        if any(statement["Resource"] == queue_arn for statement in _statements(policy))
    }


def policies_have_no_wildcards(graph: Graph) -> list[str]:
    """Finds wildcards in actions and resources, and managed policies.

    Network interface actions on "*" are allowed for functions in a VPC, if the function's code is denied them, and
    those of X-Ray, which have no resources, for functions with tracing.
    """
    violations: list[str] = []
    for policy in graph:
        for statement in _allow_statements(policy):
            if (
                statement == JOIN_NETWORK
                and DENY_TO_CODE in _statements(policy)
                and _is_of_function_with(graph, policy, "vpcConfig")
            ):
                continue
            if statement == WRITE_TRACES and _is_of_function_with(graph, policy, "tracingConfig"):
                continue
            violations += [f"{policy.name} allows {a}" for a in _as_list(statement["Action"]) if "*" in a]
            violations += [
                f"{policy.name} allows the resource {r}"
                for r in _as_list(statement.get("Resource", []))
                if _is_wildcard(r)
            ]
        if policy.type == "aws:iam/rolePolicyAttachment:RolePolicyAttachment" or policy.inputs.get("managedPolicyArns"):
            violations.append(f"{policy.name} attaches a managed policy")
    return violations


def policies_have_the_current_version(graph: Graph) -> list[str]:
    """Without a version, IAM evaluates policies by the language of 2008, which has no policy variables.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_version.html
    """
    documents = ((r.name, json.loads(r.inputs.get(name) or "{}")) for r in graph for name in POLICY_INPUTS)
    return [
        f"{name} has a policy of the version {document.get('Version')}"
        for name, document in documents
        if document and document.get("Version") != "2012-10-17"
    ]


_NETWORK_INTERFACES = [
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
]
JOIN_NETWORK = {"Effect": "Allow", "Action": _NETWORK_INTERFACES, "Resource": "*"}
WRITE_TRACES = {"Effect": "Allow", "Action": ["xray:PutTraceSegments", "xray:PutTelemetryRecords"], "Resource": "*"}
DENY_TO_CODE = {
    "Effect": "Deny",
    "Action": _NETWORK_INTERFACES,
    "Resource": "*",
    "Condition": {"ArnLike": {"lambda:SourceFunctionArn": "arn:*:lambda:*:*:function:*"}},
}


def _is_of_function_with(graph: Graph, policy: Resource, key: str) -> bool:
    return any(
        function.inputs["role"].rsplit("/", 1)[-1] == policy.inputs.get("role") and key in function.inputs
        for function in graph.of_type("aws:lambda/function:Function")
    )


def _is_wildcard(resource: str) -> bool:
    """Returns False for the keys under a prefix and the streams of a log group."""
    if resource == "*":
        return True
    service, rest = resource.split(":")[2], resource.split(":", 5)[-1]
    if "*" not in rest:
        return False
    below_a_prefix = service == "s3" and rest.count("/") >= 2 and "*" not in rest.split("/", 2)[0]
    return not (below_a_prefix or (service == "logs" and rest.endswith(":*") and "*" not in rest[:-2]))


def certificates_are_validated_in_their_region(graph: Graph) -> list[str]:
    violations: list[str] = []
    validations = {v.urn: v for v in graph.of_type("aws:acm/certificateValidation:CertificateValidation")}
    by_arn = {v.inputs["certificateArn"]: v for v in validations.values()}
    for certificate in graph.of_type("aws:acm/certificate:Certificate"):
        validation = by_arn.get(certificate.outputs["arn"])
        if validation is None:
            violations.append(f"{certificate.name} is never validated")
        elif validation.inputs.get("region") != certificate.inputs.get("region"):
            violations.append(f"{validation.name} is not in the region of {certificate.name}")
    for user, setting, region in (
        *((d, "viewerCertificate", "us-east-1") for d in graph.of_type("aws:cloudfront/distribution:Distribution")),
        *((d, "domainNameConfiguration", None) for d in graph.of_type("aws:apigatewayv2/domainName:DomainName")),
    ):
        if user.inputs[setting].get("cloudfrontDefaultCertificate"):
            continue
        used = validations.keys() & user.property_dependencies.get(setting, frozenset())
        if not used:
            violations.append(f"{user.name} does not depend on the certificate's validation")
        violations += [f"{urn} is not in {region}" for urn in used if validations[urn].inputs.get("region") != region]
    return violations


def data_is_protected(graph: Graph) -> list[str]:
    """Finds unprotected data in a stack with protectData."""
    holding_data = [
        *graph.of_type(f"{S3}bucket:Bucket"),
        *graph.of_type("aws:cognito/userPool:UserPool"),
        *_clusters(graph),
    ]
    return [
        f"{resource.name} can be deleted"
        for resource in holding_data
        if not (resource.protect and resource.retain_on_delete)
        or resource.inputs.get("forceDestroy")
        or resource.inputs.get("deletionProtection") == "INACTIVE"
        or not json.loads(resource.inputs.get("desiredState", '{"DeletionProtection":true}'))["DeletionProtection"]
    ]


def databases_are_private(graph: Graph) -> list[str]:
    """Finds databases with passwords, without encryption, or with public access."""
    violations = [
        f"{c.name} has {violation}" for c in _clusters(graph) for violation in _violations_of_cluster(graph, c)
    ]
    violations += [
        f"{instance.name} is publicly accessible"
        for instance in graph.of_type("aws:rds/clusterInstance:ClusterInstance")
        if instance.inputs.get("publiclyAccessible") is not False
    ]
    return violations


def _violations_of_cluster(graph: Graph, cluster: Resource) -> Iterator[str]:
    state = json.loads(cluster.inputs["desiredState"])
    if state.get("MasterUserAuthenticationType") != "iam-db-auth" or not state.get("EnableIAMDatabaseAuthentication"):
        yield "a master user without IAM authentication"
    if {"MasterUserPassword", "ManageMasterUserPassword"} & state.keys():
        yield "a password"
    if state.get("StorageEncrypted") is not True:
        yield "unencrypted storage"
    group = graph.with_output(
        "aws:rds/clusterParameterGroup:ClusterParameterGroup", "name", state["DBClusterParameterGroupName"]
    )
    if {"name": "rds.force_ssl", "value": "1"} not in group.inputs["parameters"]:
        yield "TLS not required"


def vpcs_are_isolated(graph: Graph) -> list[str]:
    """Finds connections other than between two security groups and through a VPC endpoint with a policy."""
    rules = [rule for type_ in SECURITY_GROUP_RULES for rule in graph.of_type(type_)]
    return [
        *(
            f"{r.name} connects the VPC"
            for r in graph
            if r.type.startswith("aws:ec2/") and r.type.endswith(GATEWAY_TYPES)
        ),
        *(
            f"{vpc.name} has a default security group with rules"
            for vpc in graph.of_type("aws:ec2/vpc:Vpc")
            if not _is_default_group_empty(graph, vpc)
        ),
        *(
            f"{group.name} has inline rules, which conflict with rule resources"
            for group in graph.of_type("aws:ec2/securityGroup:SecurityGroup")
            if {"ingress", "egress"} & group.inputs.keys()
        ),
        *(
            f"{rule.name} allows addresses or all protocols"
            for rule in rules
            if {"cidrIpv4", "cidrIpv6"} & rule.inputs.keys() or rule.inputs["ipProtocol"] == "-1"
        ),
        *(
            f"{endpoint.name} has no policy"
            for endpoint in graph.of_type("aws:ec2/vpcEndpoint:VpcEndpoint")
            if not endpoint.inputs.get("policy")
        ),
    ]


def _is_default_group_empty(graph: Graph, vpc: Resource) -> bool:
    groups = graph.of_type("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup")
    return [(g.inputs.get("ingress"), g.inputs.get("egress")) for g in groups if g.inputs["vpcId"] == vpc.id] == [
        ([], [])
    ]


def functions_depend_on_migrations(graph: Graph) -> list[str]:
    """Code that expects a column must not run before the migration that adds it."""
    migrations = graph.of_type("aws:lambda/invocation:Invocation")
    migrating = {migration.inputs["functionName"] for migration in migrations}
    return [
        f"{function.name} does not depend on the migrations"
        for function in graph.of_type("aws:lambda/function:Function")
        if {"PGHOST", "DATABASE_URL_PARAMETER"} & function.inputs.get("environment", {}).get("variables", {}).keys()
        and function.outputs["name"] not in migrating
        and not {migration.urn for migration in migrations} & function.dependencies
    ]


def passwords_are_not_readable(graph: Graph) -> list[str]:
    """Finds URLs with passwords outside of encrypted parameters."""
    violations = [
        f"{parameter.name} is not encrypted"
        for parameter in graph.of_type("aws:ssm/parameter:Parameter")
        if parameter.inputs["type"] != "SecureString"
    ]
    return violations + [
        f"{resource.name} contains a URL with a password"
        for resource in graph
        if resource.type != "aws:ssm/parameter:Parameter"
        for text in _strings(resource.inputs)
        if re.search(r"://[^/\s]*:[^/\s]*@", text)
    ]


def functions_are_complete(graph: Graph) -> list[str]:
    return [
        f"{function.name} has {violation}"
        for function in graph.of_type("aws:lambda/function:Function")
        for violation in _violations_of_function(graph, function)
    ]


def _violations_of_function(graph: Graph, function: Resource) -> Iterator[str]:
    inputs = function.inputs
    for setting in ("memorySize", "timeout", "description", "handler"):
        if not inputs.get(setting):
            yield f"no {setting}"
    if inputs.get("architectures") != ["arm64"] or inputs.get("runtime") != "python3.14":
        yield f"a platform that differs from its package's: {inputs.get('runtime')} on {inputs.get('architectures')}"
    logging = inputs.get("loggingConfig", {})
    groups = [
        g
        for g in graph.of_type("aws:cloudwatch/logGroup:LogGroup")
        if g.outputs["name"] == logging.get("logGroup") and g.inputs.get("retentionInDays")
    ]
    if not groups or logging.get("logFormat") != "JSON":
        yield "no JSON log group with retention"
    policies = [
        p
        for p in graph.of_type("aws:iam/rolePolicy:RolePolicy")
        if p.inputs["role"] == inputs["role"].rsplit("/", 1)[-1]
    ]
    if not policies or not {p.urn for p in policies} <= function.dependencies:
        yield "no dependency on a role policy"
    sharing = [f for f in graph.of_type(function.type) if f.inputs["role"] == inputs["role"]]
    if len(sharing) != 1:
        yield "a role shared with another function"
    if any(name.startswith("AWS_") for name in inputs.get("environment", {}).get("variables", {})):
        yield "a reserved environment variable"


def components_register_declared_outputs(graph: Graph) -> list[str]:
    classes = component_classes()
    violations: list[str] = []
    for resource in graph:
        if resource.custom:
            continue
        annotations = classes[resource.type.rsplit(":", 1)[-1]].__annotations__
        declared, registered = sorted(annotations), sorted(resource.component_outputs or {})
        required = {name for name, hint in annotations.items() if type(None) not in get_args(hint)}
        if not required <= set(registered) <= set(declared):
            violations.append(f"{resource.name} declares {declared}, registers {registered}")
    return violations


def routes_require_the_authorizer(graph: Graph) -> list[str]:
    violations: list[str] = []
    for route in graph.of_type("aws:apigatewayv2/route:Route"):
        key = route.inputs["routeKey"]
        closed = route.inputs.get("authorizationType") == "CUSTOM" and route.inputs.get("authorizerId")
        if not closed and key not in PUBLIC_ROUTES:
            violations.append(f"{key} has no authorizer")
        if key.startswith(("ANY ", "$default", "OPTIONS ")) or "+}" in key:
            violations.append(f"{key} is a catch-all route")
    return violations


def cors_origins_are_explicit(graph: Graph) -> list[str]:
    """Finds CORS origins with wildcards, a trailing slash, or no scheme."""
    return [
        f"{resource.name} allows the origin {origin}"
        for resource in graph
        for origin in _allowed_origins(resource.inputs)
        if "*" in origin or origin.endswith("/") or "://" not in origin
    ]


def _allowed_origins(inputs: dict[str, Any]) -> Iterator[str]:
    yield from inputs.get("corsConfiguration", {}).get("allowOrigins", [])
    yield from inputs.get("corsConfig", {}).get("accessControlAllowOrigins", {}).get("items", [])
    for rule in inputs.get("corsRules", []):
        yield from rule["allowedOrigins"]


def alarms_notify_topics_of_their_region(graph: Graph) -> list[str]:
    """CloudWatch rejects others: https://github.com/cds-snc/notification-terraform/pull/128"""
    stack_region = graph.one("pulumi:providers:aws").inputs["region"]
    return [
        f"{alarm.name} notifies {topic}"
        for type_ in ("metricAlarm:MetricAlarm", "compositeAlarm:CompositeAlarm")
        for alarm in graph.of_type(f"aws:cloudwatch/{type_}")
        for topic in alarm.inputs.get("alarmActions", [])
        if topic.split(":")[3] != alarm.inputs.get("region", stack_region)
    ]


INVARIANTS: tuple[Invariant, ...] = (
    resources_are_children_of_components,
    resources_use_one_tagging_provider,
    inputs_have_no_nulls_or_unresolved_outputs,
    buckets_are_private,
    queues_and_topics_are_tls_only,
    service_principals_are_limited_to_one_source,
    buckets_have_one_notification,
    policies_have_no_wildcards,
    policies_have_the_current_version,
    certificates_are_validated_in_their_region,
    data_is_protected,
    databases_are_private,
    vpcs_are_isolated,
    functions_depend_on_migrations,
    passwords_are_not_readable,
    functions_are_complete,
    components_register_declared_outputs,
    routes_require_the_authorizer,
    cors_origins_are_explicit,
    alarms_notify_topics_of_their_region,
)


def _aws_resources(graph: Graph) -> list[Resource]:
    return [r for r in graph if r.custom and not r.type.startswith("pulumi:")]


def _clusters(graph: Graph) -> list[Resource]:
    return [r for r in graph.of_type("aws:cloudcontrol/resource:Resource") if r.inputs["typeName"] == CLUSTER]


def _resource_policies(graph: Graph) -> list[Resource]:
    return [r for r in graph if r.type.endswith(("BucketPolicy", "QueuePolicy", "TopicPolicy"))]


def _statements(policy: Resource) -> list[dict[str, Any]]:
    return json.loads(policy.inputs.get("policy") or '{"Statement":[]}')["Statement"]


def _allow_statements(policy: Resource) -> list[dict[str, Any]]:
    return [s for s in _statements(policy) if s["Effect"] == "Allow"]


def _denies_insecure_transport(policy: Resource, action: str, resources: list[str]) -> bool:
    return any(
        s["Effect"] == "Deny"
        and s["Principal"] == "*"
        and s["Action"] == action
        and _as_list(s["Resource"]) == resources
        and s["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        for s in _statements(policy)
    )


def _as_list(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def _has_null(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_null, value.values()))
    if isinstance(value, list):
        return any(map(_has_null, value))
    return value is None
