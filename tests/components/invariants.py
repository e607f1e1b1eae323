"""What must hold for every program made of these components: functions from a recorded graph to what is wrong with it.

One rule a function, each with a line for each violation; an empty list means that the graph keeps the rule. Tests run
them over the whole program, and each over a program with one thing made wrong.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from collections.abc import Callable, Iterator
from typing import Any

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
JSON_INPUTS = ("policy", "assumeRolePolicy", "redrivePolicy", "redriveAllowPolicy", "desiredState", "input")
PUBLIC_ROUTES = ("GET /profiles/{handle}",)
"""Open to everybody, because a profile is there to be seen by others, signed in or not."""
CLUSTER = "AWS::RDS::DBCluster"
RULES = (
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
)
WAYS_OUT = (
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


def children_belong_to_components(graph: Graph) -> list[str]:
    wrong: list[str] = []
    for resource in _made_in_aws(graph):
        parent = graph.resources.get(resource.parent)
        if parent is None or not parent.type.startswith("avatars:index:"):
            wrong.append(f"{resource.name} is not a child of one of our components")
        elif not resource.name.startswith(parent.name):
            wrong.append(f"{resource.name} does not begin with the name of its component, {parent.name}")
    return wrong


def one_provider_with_tags(graph: Graph) -> list[str]:
    providers = graph.of_type("pulumi:providers:aws")
    if len(providers) != 1:
        return [f"there are {len(providers)} AWS providers"]
    tags = json.loads(providers[0].inputs.get("defaultTags", "{}")).get("tags", {})
    wrong = [f"the provider does not tag resources with {tag}" for tag in ("Project", "Stack") if tag not in tags]
    wrong += [
        f"{resource.name}, which the provider does not tag, does not have its tags itself"
        for resource in graph.of_type("aws:cloudcontrol/resource:Resource")
        if {tag["Key"]: tag["Value"] for tag in json.loads(resource.inputs["desiredState"]).get("Tags", [])} != tags
    ]
    return wrong + [
        f"{resource.name} is not made by the provider that tags"
        for resource in _made_in_aws(graph)
        if not resource.provider.startswith(providers[0].urn)
    ]


def no_input_is_a_leftover(graph: Graph) -> list[str]:
    """An Output turned into a text by mistake, or a null where a value was meant."""
    texts = [
        f"{resource.name}: an Output was put into a text"
        for resource in graph
        for text in _texts(resource.inputs)
        if "Calling __str__" in text
    ]
    nulls = [
        f"{resource.name}: {name} holds a null"
        for resource in graph
        for name in JSON_INPUTS
        if _has_null(json.loads(resource.inputs.get(name) or "{}"))
    ]
    return texts + nulls


def buckets_are_private(graph: Graph) -> list[str]:
    return [
        f"{bucket.name} has {complaint}"
        for bucket in graph.of_type(f"{S3}bucket:Bucket")
        for complaint in _complaints_about_bucket(graph, bucket)
    ]


def _complaints_about_bucket(graph: Graph, bucket: Resource) -> Iterator[str]:
    parts = {
        name: [r for r in graph.of_type(type_) if r.inputs["bucket"] == bucket.outputs["bucket"]]
        for name, type_ in BUCKET_PARTS.items()
    }
    for name, found in parts.items():
        if len(found) != 1:
            yield f"{len(found)} of: {name}"
    for block in parts["public access block"]:
        if not all(block.inputs.get(setting) is True for setting in PUBLIC_ACCESS):
            yield "a public access block with a hole"
    for ownership in parts["ownership controls"]:
        if ownership.inputs["rule"]["objectOwnership"] != "BucketOwnerEnforced":
            yield "objects that others may own"
    for encryption in parts["encryption"]:
        if not encryption.inputs["rules"][0].get("applyServerSideEncryptionByDefault", {}).get("sseAlgorithm"):
            yield "no encryption by default"
    for lifecycle in parts["lifecycle"]:
        rules = lifecycle.inputs["rules"]
        if not all("filter" in rule for rule in rules):
            yield "a lifecycle rule without a filter"
        if not any("abortIncompleteMultipartUpload" in rule for rule in rules):
            yield "no end to incomplete multipart uploads"
    for policy in parts["policy"]:
        if not _denies_plain_http(policy, "s3:*", [bucket.outputs["arn"], f"{bucket.outputs['arn']}/*"]):
            yield "a policy that lets plain HTTP pass"
        if not {block.urn for block in parts["public access block"]} <= policy.dependencies:
            yield "a policy that may be set before the public access block"


def queues_and_topics_are_tls_only(graph: Graph) -> list[str]:
    wrong: list[str] = []
    for queue in graph.of_type("aws:sqs/queue:Queue"):
        policies = [
            p for p in graph.of_type("aws:sqs/queuePolicy:QueuePolicy") if p.inputs["queueUrl"] == queue.outputs["url"]
        ]
        if not any(_denies_plain_http(policy, "sqs:*", [queue.outputs["arn"]]) for policy in policies):
            wrong.append(f"{queue.name} lets plain HTTP pass")
    for topic in graph.of_type("aws:sns/topic:Topic"):
        policies = [
            p for p in graph.of_type("aws:sns/topicPolicy:TopicPolicy") if p.inputs["arn"] == topic.outputs["arn"]
        ]
        if not any(_denies_plain_http(policy, "sns:Publish", [topic.outputs["arn"]]) for policy in policies):
            wrong.append(f"{topic.name} lets plain HTTP pass")
    return wrong


# Any stage of one API; then a method and a path that begins with a name, or an authorizer. A `*` in the path stands for
# a parameter.
_ONE_ROUTE_OR_AUTHORIZER = re.compile(
    r"arn:aws:execute-api:[a-z0-9-]+:\d{12}:\w+/(\*/(DELETE|GET|POST|PUT)(/[\w-]+)+(/\*)?|authorizers/\w+)"
)


def services_are_let_in_for_one_source(graph: Graph) -> list[str]:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html"""
    wrong: list[str] = []
    for permission in graph.of_type("aws:lambda/permission:Permission"):
        source = permission.inputs.get("sourceArn", "")
        if not _ONE_ROUTE_OR_AUTHORIZER.fullmatch(source):
            wrong.append(f"{permission.name} admits any source: {source!r}")
        if permission.inputs["principal"] == "s3.amazonaws.com" and not permission.inputs.get("sourceAccount"):
            wrong.append(f"{permission.name} admits a bucket of that name in any account")
    for policy in _resource_policies(graph):
        for statement in _allowed(policy):
            service = statement["Principal"].get("Service") if isinstance(statement["Principal"], dict) else None
            conditions = {key for test in statement.get("Condition", {}).values() for key in test}
            if service is None:
                wrong.append(f"{policy.name} lets in {statement['Principal']}")
            elif "aws:SourceArn" not in conditions:
                wrong.append(f"{policy.name} lets in {service} for any source")
            elif service == "s3.amazonaws.com" and "aws:SourceAccount" not in conditions:
                wrong.append(f"{policy.name} lets in {service} for any account")
    return wrong


def one_notification_a_bucket(graph: Graph) -> list[str]:
    wrong: list[str] = []
    seen: set[str] = set()
    for notification in graph.of_type(f"{S3}bucketNotification:BucketNotification"):
        bucket = notification.inputs["bucket"]
        if bucket in seen:
            wrong.append(f"{notification.name} replaces another notification of {bucket}")
        seen.add(bucket)
        for queue in notification.inputs.get("queues", []):
            if not queue.get("filterPrefix"):
                wrong.append(f"{notification.name} fires for every key of {bucket}")
            if not _policies_of(graph, queue["queueArn"]) & notification.dependencies:
                wrong.append(f"{notification.name} may be set before its queue lets S3 in")
    return wrong


def _policies_of(graph: Graph, queue_arn: str) -> set[str]:
    return {
        policy.urn
        for policy in graph.of_type("aws:sqs/queuePolicy:QueuePolicy")
        if any(statement["Resource"] == queue_arn for statement in _statements(policy))
    }


def nothing_is_allowed_at_large(graph: Graph) -> list[str]:
    """No action with a wildcard, no resource that is one, no policy of AWS's own.

    But what Lambda itself has to do for a function in a VPC, on interfaces that do not exist yet, if the function's own
    code is denied it.
    """
    wrong: list[str] = []
    for policy in graph:
        for statement in _allowed(policy):
            if (
                statement == JOIN_NETWORK
                and DENY_TO_CODE in _statements(policy)
                and _is_of_function_in_vpc(graph, policy)
            ):
                continue
            wrong += [f"{policy.name} allows {a}" for a in _listed(statement["Action"]) if "*" in a]
            wrong += [f"{policy.name} allows it on {r}" for r in _listed(statement.get("Resource", [])) if _is_wide(r)]
        if policy.type == "aws:iam/rolePolicyAttachment:RolePolicyAttachment" or policy.inputs.get("managedPolicyArns"):
            wrong.append(f"{policy.name} attaches a managed policy")
    return wrong


_NETWORK_INTERFACES = [
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
]
JOIN_NETWORK = {"Effect": "Allow", "Action": _NETWORK_INTERFACES, "Resource": "*"}
DENY_TO_CODE = {
    "Effect": "Deny",
    "Action": _NETWORK_INTERFACES,
    "Resource": "*",
    "Condition": {"ArnLike": {"lambda:SourceFunctionArn": "arn:*:lambda:*:*:function:*"}},
}


def _is_of_function_in_vpc(graph: Graph, policy: Resource) -> bool:
    return any(
        function.inputs["role"].rsplit("/", 1)[-1] == policy.inputs.get("role") and "vpcConfig" in function.inputs
        for function in graph.of_type("aws:lambda/function:Function")
    )


def _is_wide(resource: str) -> bool:
    """A wildcard may stand for what is in a named thing: keys under a prefix, streams of a log group."""
    if resource == "*":
        return True
    service, rest = resource.split(":")[2], resource.split(":", 5)[-1]
    if "*" not in rest:
        return False
    below_a_prefix = service == "s3" and rest.count("/") >= 2 and "*" not in rest.split("/", 2)[0]
    return not (below_a_prefix or (service == "logs" and rest.endswith(":*") and "*" not in rest[:-2]))


def certificates_are_where_they_are_used(graph: Graph) -> list[str]:
    wrong: list[str] = []
    validations = {v.urn: v for v in graph.of_type("aws:acm/certificateValidation:CertificateValidation")}
    by_arn = {v.inputs["certificateArn"]: v for v in validations.values()}
    for certificate in graph.of_type("aws:acm/certificate:Certificate"):
        validation = by_arn.get(certificate.outputs["arn"])
        if validation is None:
            wrong.append(f"{certificate.name} is never validated")
        elif validation.inputs.get("region") != certificate.inputs.get("region"):
            wrong.append(f"{validation.name} is not in the region of {certificate.name}")
    for user, setting, region in (
        *((d, "viewerCertificate", "us-east-1") for d in graph.of_type("aws:cloudfront/distribution:Distribution")),
        *((d, "domainNameConfiguration", None) for d in graph.of_type("aws:apigatewayv2/domainName:DomainName")),
    ):
        if user.inputs[setting].get("cloudfrontDefaultCertificate"):
            continue
        used = validations.keys() & user.property_dependencies.get(setting, frozenset())
        if not used:
            wrong.append(f"{user.name} does not wait for its certificate to be validated")
        wrong += [f"{urn} is not in {region}" for urn in used if validations[urn].inputs.get("region") != region]
    return wrong


def data_is_protected(graph: Graph) -> list[str]:
    """As a stack with protectData has it."""
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
    """Nobody has a password, what is stored and sent is encrypted, and nobody gets near from outside."""
    wrong = [f"{c.name} has {complaint}" for c in _clusters(graph) for complaint in _complaints_about_cluster(graph, c)]
    wrong += [
        f"{instance.name} may be reached from the internet"
        for instance in graph.of_type("aws:rds/clusterInstance:ClusterInstance")
        if instance.inputs.get("publiclyAccessible") is not False
    ]
    return wrong


def _complaints_about_cluster(graph: Graph, cluster: Resource) -> Iterator[str]:
    state = json.loads(cluster.inputs["desiredState"])
    if state.get("MasterUserAuthenticationType") != "iam-db-auth" or not state.get("EnableIAMDatabaseAuthentication"):
        yield "a master user who does not sign in through IAM"
    if {"MasterUserPassword", "ManageMasterUserPassword"} & state.keys():
        yield "a password"
    if state.get("StorageEncrypted") is not True:
        yield "storage that is not encrypted"
    group = graph.with_output(
        "aws:rds/clusterParameterGroup:ClusterParameterGroup", "name", state["DBClusterParameterGroupName"]
    )
    if {"name": "rds.force_ssl", "value": "1"} not in group.inputs["parameters"]:
        yield "connections without TLS"


def networks_lead_nowhere(graph: Graph) -> list[str]:
    """Of the stack's own: from one security group to another, and through an endpoint with a policy to S3."""
    rules = [rule for type_ in RULES for rule in graph.of_type(type_)]
    return [
        *(f"{r.name} leads out" for r in graph if r.type.startswith("aws:ec2/") and r.type.endswith(WAYS_OUT)),
        *(
            f"{vpc.name} has a default security group with rules"
            for vpc in graph.of_type("aws:ec2/vpc:Vpc")
            if not _is_default_group_empty(graph, vpc)
        ),
        *(
            f"{group.name} has rules of its own, which fight with those that are resources"
            for group in graph.of_type("aws:ec2/securityGroup:SecurityGroup")
            if {"ingress", "egress"} & group.inputs.keys()
        ),
        *(
            f"{rule.name} names addresses or every protocol"
            for rule in rules
            if {"cidrIpv4", "cidrIpv6"} & rule.inputs.keys() or rule.inputs["ipProtocol"] == "-1"
        ),
        *(
            f"{endpoint.name} leads to everybody's buckets"
            for endpoint in graph.of_type("aws:ec2/vpcEndpoint:VpcEndpoint")
            if not endpoint.inputs.get("policy")
        ),
    ]


def _is_default_group_empty(graph: Graph, vpc: Resource) -> bool:
    groups = graph.of_type("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup")
    return [(g.inputs.get("ingress"), g.inputs.get("egress")) for g in groups if g.inputs["vpcId"] == vpc.id] == [
        ([], [])
    ]


def migrations_come_first(graph: Graph) -> list[str]:
    """Code that expects a column must not run before it is there."""
    migrations = graph.of_type("aws:lambda/invocation:Invocation")
    migrating = {migration.inputs["functionName"] for migration in migrations}
    return [
        f"{function.name} does not wait for the migrations"
        for function in graph.of_type("aws:lambda/function:Function")
        if {"PGHOST", "DATABASE_URL_PARAMETER"} & function.inputs.get("environment", {}).get("variables", {}).keys()
        and function.outputs["name"] not in migrating
        and not {migration.urn for migration in migrations} & function.dependencies
    ]


def passwords_are_hidden(graph: Graph) -> list[str]:
    """What tells of a password is encrypted where it is kept, and kept nowhere else."""
    wrong = [
        f"{parameter.name} is readable without a key"
        for parameter in graph.of_type("aws:ssm/parameter:Parameter")
        if parameter.inputs["type"] != "SecureString"
    ]
    return wrong + [
        f"{resource.name} holds a URL with a password"
        for resource in graph
        if resource.type != "aws:ssm/parameter:Parameter"
        for text in _texts(resource.inputs)
        if re.search(r"://[^/\s]*:[^/\s]*@", text)
    ]


def functions_are_complete(graph: Graph) -> list[str]:
    return [
        f"{function.name} has {complaint}"
        for function in graph.of_type("aws:lambda/function:Function")
        for complaint in _complaints_about_function(graph, function)
    ]


def _complaints_about_function(graph: Graph, function: Resource) -> Iterator[str]:
    inputs = function.inputs
    for setting in ("memorySize", "timeout", "description", "handler"):
        if not inputs.get(setting):
            yield f"no {setting}"
    if inputs.get("architectures") != ["arm64"] or inputs.get("runtime") != "python3.14":
        yield f"another platform than its package: {inputs.get('runtime')} on {inputs.get('architectures')}"
    logging = inputs.get("loggingConfig", {})
    groups = [
        g
        for g in graph.of_type("aws:cloudwatch/logGroup:LogGroup")
        if g.outputs["name"] == logging.get("logGroup") and g.inputs.get("retentionInDays")
    ]
    if not groups or logging.get("logFormat") != "JSON":
        yield "no log group of JSON lines with a retention"
    policies = [
        p
        for p in graph.of_type("aws:iam/rolePolicy:RolePolicy")
        if p.inputs["role"] == inputs["role"].rsplit("/", 1)[-1]
    ]
    if not policies or not {p.urn for p in policies} <= function.dependencies:
        yield "no role policy that is there before it"
    sharing = [f for f in graph.of_type(function.type) if f.inputs["role"] == inputs["role"]]
    if len(sharing) != 1:
        yield "a role that is also another's"
    if any(name.startswith("AWS_") for name in inputs.get("environment", {}).get("variables", {})):
        yield "a variable that is reserved for the platform"


def components_register_what_they_promise(graph: Graph) -> list[str]:
    classes = component_classes()
    wrong: list[str] = []
    for resource in graph:
        if resource.custom:
            continue
        promised = sorted(classes[resource.type.rsplit(":", 1)[-1]].__annotations__)
        given = sorted(resource.component_outputs or {})
        if promised != given:
            wrong.append(f"{resource.name} promises {promised}, gives {given}")
    return wrong


def api_is_closed(graph: Graph) -> list[str]:
    wrong: list[str] = []
    for route in graph.of_type("aws:apigatewayv2/route:Route"):
        key = route.inputs["routeKey"]
        closed = route.inputs.get("authorizationType") == "CUSTOM" and route.inputs.get("authorizerId")
        if not closed and key not in PUBLIC_ROUTES:
            wrong.append(f"{key} is open to everybody")
        if key.startswith(("ANY ", "$default", "OPTIONS ")) or "+}" in key:
            wrong.append(f"{key} catches all")
    return wrong


def origins_are_named(graph: Graph) -> list[str]:
    """Whoever is allowed across origins is listed: no *, no pattern, and never with nothing after the scheme."""
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


INVARIANTS: tuple[Invariant, ...] = (
    children_belong_to_components,
    one_provider_with_tags,
    no_input_is_a_leftover,
    buckets_are_private,
    queues_and_topics_are_tls_only,
    services_are_let_in_for_one_source,
    one_notification_a_bucket,
    nothing_is_allowed_at_large,
    certificates_are_where_they_are_used,
    data_is_protected,
    databases_are_private,
    networks_lead_nowhere,
    migrations_come_first,
    passwords_are_hidden,
    functions_are_complete,
    components_register_what_they_promise,
    api_is_closed,
    origins_are_named,
)


def _made_in_aws(graph: Graph) -> list[Resource]:
    return [r for r in graph if r.custom and not r.type.startswith("pulumi:")]


def _clusters(graph: Graph) -> list[Resource]:
    return [r for r in graph.of_type("aws:cloudcontrol/resource:Resource") if r.inputs["typeName"] == CLUSTER]


def _resource_policies(graph: Graph) -> list[Resource]:
    return [r for r in graph if r.type.endswith(("BucketPolicy", "QueuePolicy", "TopicPolicy"))]


def _statements(policy: Resource) -> list[dict[str, Any]]:
    return json.loads(policy.inputs.get("policy") or '{"Statement":[]}')["Statement"]


def _allowed(policy: Resource) -> list[dict[str, Any]]:
    return [s for s in _statements(policy) if s["Effect"] == "Allow"]


def _denies_plain_http(policy: Resource, action: str, resources: list[str]) -> bool:
    return any(
        s["Effect"] == "Deny"
        and s["Principal"] == "*"
        and s["Action"] == action
        and _listed(s["Resource"]) == resources
        and s["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        for s in _statements(policy)
    )


def _listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _has_null(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_null, value.values()))
    if isinstance(value, list):
        return any(map(_has_null, value))
    return value is None
