"""Each invariant reports a mutated program."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi_aws import cloudwatch, lambda_, s3

from local.recording.graph import Graph, ProgramError, Resource
from tests.components import invariants
from tests.components.conftest import RunAlone, RunStack
from tests.components.invariants import Invariant
from tests.components.test_program import EVERYTHING, EXTERNAL_DATABASE

Mutation = Callable[[Resource], Resource]


def change_inputs(change: Callable[[dict[str, Any]], object]) -> Mutation:
    def apply(resource: Resource) -> Resource:
        changed = deepcopy(resource.inputs)
        change(changed)
        return replace(resource, inputs=changed)

    return apply


def remove_input(key: str) -> Mutation:
    return change_inputs(lambda i: i.pop(key))


def set_inputs(**settings: Any) -> Mutation:
    return change_inputs(lambda i: i.update(settings))


def change_statements(change: Callable[[list[dict[str, Any]]], object]) -> Mutation:
    """Mutates the statements of a policy."""

    def apply(i: dict[str, Any]) -> None:
        document = json.loads(i["policy"])
        change(document["Statement"])
        i["policy"] = json.dumps(document)

    return change_inputs(apply)


def set_desired_state(**settings: Any) -> Mutation:
    """Mutates the desired state of a Cloud Control resource."""

    def apply(i: dict[str, Any]) -> None:
        i["desiredState"] = json.dumps({**json.loads(i["desiredState"]), **settings})

    return change_inputs(apply)


def replace_in_policy(text: str, by: str) -> Mutation:
    """Replaces a string that the policy contains."""

    def apply(i: dict[str, Any]) -> None:
        assert text in i["policy"]
        i["policy"] = i["policy"].replace(text, by)

    return change_inputs(apply)


def set_fields(**fields: Any) -> Mutation:
    return lambda resource: replace(resource, **fields)


PROFILE_POLICY = "avatars-profiles-profile-policy"
MUTATIONS: list[tuple[Invariant, str, Mutation, str]] = [
    (invariants.resources_are_children_of_components, "avatars-cdn-cache", set_fields(parent=""), "not a child"),
    (
        invariants.resources_are_children_of_components,
        "avatars-cdn-cache",
        set_fields(name="cache"),
        "does not begin with",
    ),
    (
        invariants.resources_use_one_tagging_provider,
        "avatars-cdn-cache",
        set_fields(provider=""),
        "does not use the provider",
    ),
    (
        invariants.resources_use_one_tagging_provider,
        "aws",
        remove_input("defaultTags"),
        "does not tag resources with Project",
    ),
    (
        invariants.resources_use_one_tagging_provider,
        "avatars-database-cluster",
        set_desired_state(Tags=[]),
        "does not have the tags",
    ),
    (
        invariants.inputs_have_no_nulls_or_unresolved_outputs,
        "avatars-cdn-cache",
        set_inputs(comment="Calling __str__ on"),
        "formatted as a string",
    ),
    (
        invariants.inputs_have_no_nulls_or_unresolved_outputs,
        "avatars-pipeline-queue-policy",
        replace_in_policy('"sqs:*"', "null"),
        "contains a null",
    ),
    (
        invariants.inputs_have_no_nulls_or_unresolved_outputs,
        "avatars-database-cluster",
        set_desired_state(DBSubnetGroupName=None),
        "contains a null",
    ),
    (
        invariants.buckets_are_private,
        "avatars-cdn-logs-public-access",
        set_inputs(blockPublicPolicy=False),
        "an incomplete public access",
    ),
    (invariants.buckets_are_private, "avatars-cdn-logs-public-access", set_inputs(bucket="x"), "0 of: public access"),
    (
        invariants.buckets_are_private,
        "avatars-cdn-logs-ownership",
        set_inputs(rule={"objectOwnership": "ObjectWriter"}),
        "ACLs enabled",
    ),
    (invariants.buckets_are_private, "avatars-cdn-logs-encryption", set_inputs(rules=[{}]), "no default encryption"),
    (
        invariants.buckets_are_private,
        "avatars-cdn-logs-lifecycle",
        change_inputs(lambda i: i["rules"][0].pop("filter")),
        "without a filter",
    ),
    (
        invariants.buckets_are_private,
        "avatars-cdn-logs-lifecycle",
        change_inputs(lambda i: i["rules"].pop(0)),
        "no rule for incomplete",
    ),
    (
        invariants.buckets_are_private,
        "avatars-cdn-logs-policy",
        change_statements(lambda s: s.pop(0)),
        "allows insecure transport",
    ),
    (
        invariants.buckets_are_private,
        "avatars-cdn-logs-policy",
        replace_in_policy("/*", ""),
        "allows insecure transport",
    ),
    (
        invariants.buckets_are_private,
        "avatars-cdn-logs-policy",
        set_fields(dependencies=frozenset[str]()),
        "not depend on the public access block",
    ),
    (
        invariants.queues_and_topics_are_tls_only,
        "avatars-pipeline-dead-letters-policy",
        change_statements(lambda s: s.pop(0)),
        "dead-letters allows insecure transport",
    ),
    (
        invariants.queues_and_topics_are_tls_only,
        "avatars-pipeline-events-policy",
        replace_in_policy('"false"', '"true"'),
        "events allows insecure transport",
    ),
    (
        invariants.service_principals_are_limited_to_one_source,
        "avatars-api-get-avatars-me-permission",
        remove_input("sourceArn"),
        "allows any source",
    ),
    (
        invariants.service_principals_are_limited_to_one_source,
        "avatars-api-get-avatars-me-permission",
        set_inputs(sourceArn="arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/*/*/avatars/me"),
        "allows any source",
    ),
    (
        invariants.service_principals_are_limited_to_one_source,
        "avatars-api-get-avatars-me-permission",
        set_inputs(sourceArn="arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/*/GET/*/me"),
        "allows any source",
    ),
    (
        invariants.service_principals_are_limited_to_one_source,
        "avatars-api-get-avatars-me-permission",
        set_inputs(principal="s3.amazonaws.com"),
        "of any account",
    ),
    (
        invariants.service_principals_are_limited_to_one_source,
        "avatars-cdn-assets-policy",
        change_statements(lambda s: s[1].pop("Condition")),
        "allows cloudfront.amazonaws.com for any source",
    ),
    (
        invariants.service_principals_are_limited_to_one_source,
        "avatars-pipeline-queue-policy",
        change_statements(lambda s: s[1]["Condition"].pop("StringEquals")),
        "allows s3.amazonaws.com for any account",
    ),
    (
        invariants.service_principals_are_limited_to_one_source,
        "avatars-cdn-assets-policy",
        change_statements(lambda s: s[1].update(Principal="*")),
        "allows the principal *",
    ),
    (
        invariants.buckets_have_one_notification,
        "avatars-pipeline-notification",
        change_inputs(lambda i: i["queues"][0].pop("filterPrefix")),
        "has no key prefix",
    ),
    (
        invariants.buckets_have_one_notification,
        "avatars-pipeline-notification",
        set_fields(dependencies=frozenset[str]()),
        "does not depend on its queue's policy",
    ),
    (
        invariants.policies_have_the_current_version,
        "avatars-api-presign-upload-policy",
        replace_in_policy("2012-10-17", "2008-10-17"),
        "avatars-api-presign-upload-policy has a policy of the version 2008-10-17",
    ),
    (
        invariants.policies_have_the_current_version,
        "avatars-api-authorize-role",
        set_inputs(assumeRolePolicy='{"Statement":[]}'),
        "avatars-api-authorize-role has a policy of the version None",
    ),
    (
        invariants.policies_have_no_wildcards,
        "avatars-api-presign-upload-policy",
        replace_in_policy("s3:PutObject", "s3:*"),
        "allows s3:*",
    ),
    (
        invariants.policies_have_no_wildcards,
        "avatars-api-presign-upload-policy",
        change_statements(lambda s: s[1].update(Resource="*")),
        "allows the resource *",
    ),
    (
        invariants.policies_have_no_wildcards,
        "avatars-api-presign-upload-policy",
        replace_in_policy("/incoming/*", "/*"),
        "allows the resource arn:aws:s3:::our-uploads/*",
    ),
    (
        invariants.policies_have_no_wildcards,
        "avatars-api-authorize-role",
        set_inputs(managedPolicyArns=["arn:aws:iam::aws:policy/AmazonS3FullAccess"]),
        "managed policy",
    ),
    (
        invariants.policies_have_no_wildcards,
        PROFILE_POLICY,
        change_statements(lambda s: s.pop(-1)),
        "allows the resource *",
    ),
    (
        invariants.policies_have_no_wildcards,
        PROFILE_POLICY,
        change_statements(lambda s: s[-1]["Action"].remove("ec2:DeleteNetworkInterface")),
        "allows the resource *",
    ),
    (
        invariants.policies_have_no_wildcards,
        PROFILE_POLICY,
        change_statements(
            lambda s: s[-1]["Condition"]["ArnLike"].update({"lambda:SourceFunctionArn": "arn:aws:lambda:::x"})
        ),
        "allows the resource *",
    ),
    (
        invariants.policies_have_no_wildcards,
        PROFILE_POLICY,
        change_statements(lambda s: s[-2]["Action"].append("ec2:RunInstances")),
        "allows the resource *",
    ),
    (
        invariants.policies_have_no_wildcards,
        "avatars-profiles-profile",
        remove_input("vpcConfig"),
        "avatars-profiles-profile-policy allows the resource *",
    ),
    (
        invariants.policies_have_no_wildcards,
        "avatars-profiles-profile",
        remove_input("tracingConfig"),
        "avatars-profiles-profile-policy allows the resource *",
    ),
    (
        invariants.policies_have_no_wildcards,
        "avatars-database-network-s3",
        replace_in_policy("/avatars/*.json", "/*"),
        "allows the resource arn:aws:s3:::our-assets/*",
    ),
    (
        invariants.certificates_are_validated_in_their_region,
        "avatars-cdn-tls",
        remove_input("region"),
        "not in the region of",
    ),
    (
        invariants.certificates_are_validated_in_their_region,
        "avatars-cdn-tls-validation",
        set_inputs(certificateArn="arn:other"),
        "avatars-cdn-tls is never validated",
    ),
    (
        invariants.certificates_are_validated_in_their_region,
        "avatars-cdn-distribution",
        set_fields(property_dependencies=dict[str, frozenset[str]]()),
        "does not depend on the certificate",
    ),
    (
        invariants.certificates_are_validated_in_their_region,
        "avatars-api-tls-validation",
        set_inputs(region="us-east-1"),
        "is not in None",
    ),
    (
        invariants.alarms_notify_topics_of_their_region,
        "avatars-alarms-api-certificate",
        set_inputs(region="us-east-1"),
        "notifies arn:aws:sns:eu-west-1",
    ),
    (invariants.data_is_protected, "avatars-cdn-assets", set_fields(protect=False), "can be deleted"),
    (invariants.data_is_protected, "avatars-identity-users", set_fields(retain_on_delete=False), "can be deleted"),
    (invariants.data_is_protected, "avatars-cdn-assets", set_inputs(forceDestroy=True), "can be deleted"),
    (
        invariants.data_is_protected,
        "avatars-identity-users",
        set_inputs(deletionProtection="INACTIVE"),
        "can be deleted",
    ),
    (invariants.data_is_protected, "avatars-database-cluster", set_fields(protect=False), "can be deleted"),
    (invariants.data_is_protected, "avatars-database-cluster", set_fields(retain_on_delete=False), "can be deleted"),
    (
        invariants.data_is_protected,
        "avatars-database-cluster",
        set_desired_state(DeletionProtection=False),
        "can be deleted",
    ),
    (
        invariants.databases_are_private,
        "avatars-database-cluster",
        set_desired_state(MasterUserAuthenticationType="password"),
        "without IAM authentication",
    ),
    (
        invariants.databases_are_private,
        "avatars-database-cluster",
        set_desired_state(EnableIAMDatabaseAuthentication=False),
        "without IAM authentication",
    ),
    (
        invariants.databases_are_private,
        "avatars-database-cluster",
        set_desired_state(ManageMasterUserPassword=True),
        "has a password",
    ),
    (
        invariants.databases_are_private,
        "avatars-database-cluster",
        set_desired_state(StorageEncrypted=False),
        "unencrypted storage",
    ),
    (invariants.databases_are_private, "avatars-database-parameters", set_inputs(parameters=[]), "TLS not required"),
    (
        invariants.databases_are_private,
        "avatars-database-instance",
        set_inputs(publiclyAccessible=True),
        "is publicly accessible",
    ),
    (
        invariants.vpcs_are_isolated,
        "avatars-database-network-routes",
        set_fields(type="aws:ec2/internetGateway:InternetGateway"),
        "connects the VPC",
    ),
    (
        invariants.vpcs_are_isolated,
        "avatars-database-network-default-group",
        set_inputs(egress=[{"protocol": "-1"}]),
        "a default security group with rules",
    ),
    (
        invariants.vpcs_are_isolated,
        "avatars-database-network-default-group",
        set_inputs(vpcId="another"),
        "a default security group with rules",
    ),
    (
        invariants.vpcs_are_isolated,
        "avatars-database-functions",
        set_inputs(egress=[{"protocol": "-1"}]),
        "inline rules",
    ),
    (
        invariants.vpcs_are_isolated,
        "avatars-database-database-from-functions",
        set_inputs(cidrIpv4="0.0.0.0/0"),
        "allows addresses",
    ),
    (invariants.vpcs_are_isolated, "avatars-database-functions-to-s3", set_inputs(ipProtocol="-1"), "all protocols"),
    (invariants.vpcs_are_isolated, "avatars-database-network-s3", remove_input("policy"), "has no policy"),
    (
        invariants.functions_depend_on_migrations,
        "avatars-profiles-profile",
        set_fields(dependencies=frozenset[str]()),
        "avatars-profiles-profile does not depend on the migrations",
    ),
    (
        invariants.functions_depend_on_migrations,
        "avatars-profiles-migration",
        set_inputs(functionName="another"),
        "avatars-profiles-migrate-database does not depend on",
    ),
    (invariants.passwords_are_not_readable, "avatars-database-url", set_inputs(type="String"), "is not encrypted"),
    (
        invariants.passwords_are_not_readable,
        "avatars-profiles-profile",
        set_inputs(environment={"variables": {"DATABASE_URL": "postgresql://app:s3cret@db.example.com/app"}}),
        "contains a URL with a password",
    ),
    (invariants.functions_are_complete, "avatars-api-authorize", remove_input("timeout"), "no timeout"),
    (invariants.functions_are_complete, "avatars-api-authorize", remove_input("memorySize"), "no memorySize"),
    (
        invariants.functions_are_complete,
        "avatars-api-authorize",
        set_inputs(architectures=["x86_64"]),
        "a platform that differs",
    ),
    (
        invariants.functions_are_complete,
        "avatars-api-authorize-logs",
        remove_input("retentionInDays"),
        "no JSON log group",
    ),
    (
        invariants.functions_are_complete,
        "avatars-api-authorize",
        set_fields(dependencies=frozenset[str]()),
        "no dependency on a role policy",
    ),
    (
        invariants.functions_are_complete,
        "avatars-api-presign-upload",
        set_inputs(role="arn:aws:iam::123456789012:role/avatars-api-authorize-role-abc1234"),
        "a role shared with another function",
    ),
    (
        invariants.functions_are_complete,
        "avatars-api-authorize",
        set_inputs(environment={"variables": {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1"}}),
        "a reserved environment variable",
    ),
    (
        invariants.components_register_declared_outputs,
        "avatars-identity",
        set_fields(component_outputs={"issuer": ""}),
        "declares ['client_id', 'issuer', 'sign_in_url', 'user_pool_id'], registers ['issuer']",
    ),
    (
        invariants.routes_require_the_authorizer,
        "avatars-api-get-avatars-me-route",
        set_inputs(authorizationType="NONE"),
        "has no authorizer",
    ),
    (
        invariants.routes_require_the_authorizer,
        "avatars-api-get-avatars-me-route",
        set_inputs(routeKey="ANY /{proxy+}"),
        "is a catch-all route",
    ),
    (
        invariants.routes_require_the_authorizer,
        "avatars-api-get-profiles-handle-route",
        set_inputs(routeKey="GET /profiles"),
        "GET /profiles has no authorizer",
    ),
    (
        invariants.cors_origins_are_explicit,
        "avatars-pipeline-uploads-cors",
        set_inputs(corsRules=[{"allowedOrigins": ["*"]}]),
        "*",
    ),
    (
        invariants.cors_origins_are_explicit,
        "avatars-api",
        set_inputs(corsConfiguration={"allowOrigins": ["https://*.example.com"]}),
        "https://*.example.com",
    ),
]


@pytest.mark.parametrize(
    ("invariant", "name", "mutate", "violation"),
    MUTATIONS,
    ids=[f"{invariant.__name__}-{name}-{violation}" for invariant, name, _, violation in MUTATIONS],
)
def test_invariant_reports_mutated_resource(
    run_stack: RunStack, invariant: Invariant, name: str, mutate: Mutation, violation: str
) -> None:
    valid = next(graph for graph in map(run_stack, (EVERYTHING, EXTERNAL_DATABASE)) if any(_is(r, name) for r in graph))
    assert invariant(valid) == []
    mutated = Graph({urn: mutate(r) if _is(r, name) else r for urn, r in valid.resources.items()}, valid.exports)
    assert violation in "\n".join(invariant(mutated))


def _is(resource: Resource, name: str) -> bool:
    """Skips the component of a custom resource with the same name; only avatars-identity is mutated itself."""
    return resource.name == name and (resource.custom or name == "avatars-identity")


def test_one_notification_per_bucket_reports_second_one(run_stack: RunStack) -> None:
    valid = run_stack()
    first = valid.named("avatars-pipeline-notification")
    second = replace(first, urn=f"{first.urn}-2", name="avatars-pipeline-notification-2")
    mutated = Graph({**valid.resources, second.urn: second})
    assert invariants.buckets_have_one_notification(mutated) == [
        "avatars-pipeline-notification-2 replaces another notification of avatars-pipeline-uploads-abc1234"
    ]


def test_every_invariant_has_a_mutation() -> None:
    assert {invariant for invariant, *_ in MUTATIONS} == set(invariants.INVARIANTS)


def test_recorder_duplicate_urn_is_an_error(run_alone: RunAlone) -> None:
    def program() -> None:
        cloudwatch.LogGroup("logs")
        cloudwatch.LogGroup("logs")

    with pytest.raises(ProgramError, match="duplicate URN"):
        run_alone(program)


def test_recorder_missing_archive_is_an_error(run_alone: RunAlone) -> None:
    def program() -> None:
        lambda_.LayerVersion("layer", layer_name="layer", code=pulumi.FileArchive("nowhere.zip"))

    with pytest.raises(ProgramError, match=r"nowhere\.zip does not exist"):
        run_alone(program)


def test_recorder_output_without_value_is_an_error(run_alone: RunAlone) -> None:
    def program() -> None:
        bucket = s3.Bucket("bucket")
        s3.BucketPolicy("policy", bucket=bucket.hosted_zone_id, policy="{}")

    with pytest.raises(ProgramError, match="hostedZoneId"):
        run_alone(program)


def test_recorder_output_in_string_is_an_error(run_alone: RunAlone) -> None:
    def program() -> None:
        bucket = s3.Bucket("bucket")
        s3.BucketPolicy("policy", bucket=f"{bucket.bucket}", policy="{}")

    with pytest.raises(Exception, match="__str__"):
        run_alone(program)


def test_recorder_type_without_computed_outputs_is_an_error(run_alone: RunAlone, tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="aws:s3/bucketLogging:BucketLogging"):
        run_alone(lambda: s3.BucketLogging("logging", bucket="a", target_bucket="b", target_prefix="c"))
