"""Each rule over the whole program bites: one thing made wrong, and it says so."""

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
from tests.components.test_program import EVERYTHING, GIVEN_DATABASE

Change = Callable[[Resource], Resource]


def inputs(change: Callable[[dict[str, Any]], object]) -> Change:
    def apply(resource: Resource) -> Resource:
        changed = deepcopy(resource.inputs)
        change(changed)
        return replace(resource, inputs=changed)

    return apply


def without(key: str) -> Change:
    return inputs(lambda i: i.pop(key))


def having(**settings: Any) -> Change:
    return inputs(lambda i: i.update(settings))


def policy(change: Callable[[list[dict[str, Any]]], object]) -> Change:
    """Changes the statements of a policy."""

    def apply(i: dict[str, Any]) -> None:
        document = json.loads(i["policy"])
        change(document["Statement"])
        i["policy"] = json.dumps(document)

    return inputs(apply)


def desired(**settings: Any) -> Change:
    """Changes what is asked of Cloud Control."""

    def apply(i: dict[str, Any]) -> None:
        i["desiredState"] = json.dumps({**json.loads(i["desiredState"]), **settings})

    return inputs(apply)


def replaced(text: str, by: str) -> Change:
    """Changes a policy where it says something."""

    def apply(i: dict[str, Any]) -> None:
        assert text in i["policy"]
        i["policy"] = i["policy"].replace(text, by)

    return inputs(apply)


def unsaid(**fields: Any) -> Change:
    return lambda resource: replace(resource, **fields)


PROFILE_POLICY = "avatars-profiles-profile-policy"
WRONGS: list[tuple[Invariant, str, Change, str]] = [
    (invariants.children_belong_to_components, "avatars-cdn-cache", unsaid(parent=""), "not a child"),
    (invariants.children_belong_to_components, "avatars-cdn-cache", unsaid(name="cache"), "does not begin with"),
    (invariants.one_provider_with_tags, "avatars-cdn-cache", unsaid(provider=""), "not made by the provider"),
    (invariants.one_provider_with_tags, "aws", without("defaultTags"), "does not tag resources with Project"),
    (invariants.one_provider_with_tags, "avatars-database-cluster", desired(Tags=[]), "does not have its tags itself"),
    (invariants.no_input_is_a_leftover, "avatars-cdn-cache", having(comment="Calling __str__ on"), "put into a text"),
    (invariants.no_input_is_a_leftover, "avatars-pipeline-queue-policy", replaced('"sqs:*"', "null"), "holds a null"),
    (invariants.no_input_is_a_leftover, "avatars-database-cluster", desired(DBSubnetGroupName=None), "holds a null"),
    (invariants.buckets_are_private, "avatars-cdn-logs-public-access", having(blockPublicPolicy=False), "a hole"),
    (invariants.buckets_are_private, "avatars-cdn-logs-public-access", having(bucket="x"), "0 of: public access"),
    (
        invariants.buckets_are_private,
        "avatars-cdn-logs-ownership",
        having(rule={"objectOwnership": "ObjectWriter"}),
        "others may own",
    ),
    (invariants.buckets_are_private, "avatars-cdn-logs-encryption", having(rules=[{}]), "no encryption"),
    (
        invariants.buckets_are_private,
        "avatars-cdn-logs-lifecycle",
        inputs(lambda i: i["rules"][0].pop("filter")),
        "without a filter",
    ),
    (
        invariants.buckets_are_private,
        "avatars-cdn-logs-lifecycle",
        inputs(lambda i: i["rules"].pop(0)),
        "no end to incomplete",
    ),
    (invariants.buckets_are_private, "avatars-cdn-logs-policy", policy(lambda s: s.pop(0)), "plain HTTP"),
    (invariants.buckets_are_private, "avatars-cdn-logs-policy", replaced("/*", ""), "plain HTTP"),
    (
        invariants.buckets_are_private,
        "avatars-cdn-logs-policy",
        unsaid(dependencies=frozenset[str]()),
        "before the public access block",
    ),
    (
        invariants.queues_and_topics_are_tls_only,
        "avatars-pipeline-dead-letters-policy",
        policy(lambda s: s.pop(0)),
        "dead-letters lets plain HTTP pass",
    ),
    (
        invariants.queues_and_topics_are_tls_only,
        "avatars-pipeline-events-policy",
        replaced('"false"', '"true"'),
        "events lets plain HTTP pass",
    ),
    (
        invariants.services_are_let_in_for_one_source,
        "avatars-api-get-avatars-me-permission",
        without("sourceArn"),
        "admits any source",
    ),
    (
        invariants.services_are_let_in_for_one_source,
        "avatars-api-get-avatars-me-permission",
        having(sourceArn="arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/*/*/avatars/me"),
        "admits any source",
    ),
    (
        invariants.services_are_let_in_for_one_source,
        "avatars-api-get-avatars-me-permission",
        having(sourceArn="arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/*/GET/*"),
        "admits any source",
    ),
    (
        invariants.services_are_let_in_for_one_source,
        "avatars-api-get-avatars-me-permission",
        having(principal="s3.amazonaws.com"),
        "in any account",
    ),
    (
        invariants.services_are_let_in_for_one_source,
        "avatars-cdn-assets-policy",
        policy(lambda s: s[1].pop("Condition")),
        "lets in cloudfront.amazonaws.com for any source",
    ),
    (
        invariants.services_are_let_in_for_one_source,
        "avatars-pipeline-queue-policy",
        policy(lambda s: s[1]["Condition"].pop("StringEquals")),
        "lets in s3.amazonaws.com for any account",
    ),
    (
        invariants.services_are_let_in_for_one_source,
        "avatars-cdn-assets-policy",
        policy(lambda s: s[1].update(Principal="*")),
        "lets in *",
    ),
    (
        invariants.one_notification_a_bucket,
        "avatars-pipeline-uploaded",
        inputs(lambda i: i["queues"][0].pop("filterPrefix")),
        "fires for every key",
    ),
    (
        invariants.one_notification_a_bucket,
        "avatars-pipeline-uploaded",
        unsaid(dependencies=frozenset[str]()),
        "before its queue lets S3 in",
    ),
    (
        invariants.nothing_is_allowed_at_large,
        "avatars-api-presign-upload-policy",
        replaced("s3:PutObject", "s3:*"),
        "allows s3:*",
    ),
    (
        invariants.nothing_is_allowed_at_large,
        "avatars-api-presign-upload-policy",
        policy(lambda s: s[1].update(Resource="*")),
        "allows it on *",
    ),
    (
        invariants.nothing_is_allowed_at_large,
        "avatars-api-presign-upload-policy",
        replaced("/incoming/*", "/*"),
        "allows it on arn:aws:s3:::our-uploads/*",
    ),
    (
        invariants.nothing_is_allowed_at_large,
        "avatars-api-authorize-role",
        having(managedPolicyArns=["arn:aws:iam::aws:policy/AmazonS3FullAccess"]),
        "managed policy",
    ),
    (
        invariants.nothing_is_allowed_at_large,
        PROFILE_POLICY,
        policy(lambda s: s.pop(-1)),
        "allows it on *",
    ),
    (
        invariants.nothing_is_allowed_at_large,
        PROFILE_POLICY,
        policy(lambda s: s[-1]["Action"].remove("ec2:DeleteNetworkInterface")),
        "allows it on *",
    ),
    (
        invariants.nothing_is_allowed_at_large,
        PROFILE_POLICY,
        policy(lambda s: s[-1]["Condition"]["ArnLike"].update({"lambda:SourceFunctionArn": "arn:aws:lambda:::x"})),
        "allows it on *",
    ),
    (
        invariants.nothing_is_allowed_at_large,
        PROFILE_POLICY,
        policy(lambda s: s[-2]["Action"].append("ec2:RunInstances")),
        "allows it on *",
    ),
    (
        invariants.nothing_is_allowed_at_large,
        "avatars-profiles-profile",
        without("vpcConfig"),
        "avatars-profiles-profile-policy allows it on *",
    ),
    (
        invariants.nothing_is_allowed_at_large,
        "avatars-database-network-s3",
        replaced("/avatars/*.json", "/*"),
        "allows it on arn:aws:s3:::our-assets/*",
    ),
    (invariants.certificates_are_where_they_are_used, "avatars-cdn-tls", without("region"), "not in the region of"),
    (
        invariants.certificates_are_where_they_are_used,
        "avatars-cdn-tls-validation",
        having(certificateArn="arn:other"),
        "avatars-cdn-tls is never validated",
    ),
    (
        invariants.certificates_are_where_they_are_used,
        "avatars-cdn-distribution",
        unsaid(property_dependencies=dict[str, frozenset[str]]()),
        "does not wait",
    ),
    (
        invariants.certificates_are_where_they_are_used,
        "avatars-api-tls-validation",
        having(region="us-east-1"),
        "is not in None",
    ),
    (invariants.data_is_protected, "avatars-cdn-assets", unsaid(protect=False), "can be deleted"),
    (invariants.data_is_protected, "avatars-identity-users", unsaid(retain_on_delete=False), "can be deleted"),
    (invariants.data_is_protected, "avatars-cdn-assets", having(forceDestroy=True), "can be deleted"),
    (invariants.data_is_protected, "avatars-identity-users", having(deletionProtection="INACTIVE"), "can be deleted"),
    (invariants.data_is_protected, "avatars-database-cluster", unsaid(protect=False), "can be deleted"),
    (invariants.data_is_protected, "avatars-database-cluster", unsaid(retain_on_delete=False), "can be deleted"),
    (invariants.data_is_protected, "avatars-database-cluster", desired(DeletionProtection=False), "can be deleted"),
    (
        invariants.databases_are_private,
        "avatars-database-cluster",
        desired(MasterUserAuthenticationType="password"),
        "does not sign in through IAM",
    ),
    (
        invariants.databases_are_private,
        "avatars-database-cluster",
        desired(EnableIAMDatabaseAuthentication=False),
        "does not sign in through IAM",
    ),
    (
        invariants.databases_are_private,
        "avatars-database-cluster",
        desired(ManageMasterUserPassword=True),
        "has a password",
    ),
    (invariants.databases_are_private, "avatars-database-cluster", desired(StorageEncrypted=False), "not encrypted"),
    (invariants.databases_are_private, "avatars-database-parameters", having(parameters=[]), "without TLS"),
    (
        invariants.databases_are_private,
        "avatars-database-instance",
        having(publiclyAccessible=True),
        "reached from the internet",
    ),
    (
        invariants.networks_lead_nowhere,
        "avatars-database-network-routes",
        unsaid(type="aws:ec2/internetGateway:InternetGateway"),
        "leads out",
    ),
    (
        invariants.networks_lead_nowhere,
        "avatars-database-network-default-group",
        having(egress=[{"protocol": "-1"}]),
        "a default security group with rules",
    ),
    (
        invariants.networks_lead_nowhere,
        "avatars-database-network-default-group",
        having(vpcId="another"),
        "a default security group with rules",
    ),
    (
        invariants.networks_lead_nowhere,
        "avatars-database-functions",
        having(egress=[{"protocol": "-1"}]),
        "rules of its own",
    ),
    (
        invariants.networks_lead_nowhere,
        "avatars-database-from-functions",
        having(cidrIpv4="0.0.0.0/0"),
        "names addresses",
    ),
    (invariants.networks_lead_nowhere, "avatars-database-to-s3", having(ipProtocol="-1"), "every protocol"),
    (invariants.networks_lead_nowhere, "avatars-database-network-s3", without("policy"), "everybody's buckets"),
    (
        invariants.migrations_come_first,
        "avatars-profiles-profile",
        unsaid(dependencies=frozenset[str]()),
        "avatars-profiles-profile does not wait for the migrations",
    ),
    (
        invariants.migrations_come_first,
        "avatars-profiles-migrated",
        having(functionName="another"),
        "avatars-profiles-migrate-database does not wait",
    ),
    (invariants.passwords_are_hidden, "avatars-database-url", having(type="String"), "readable without a key"),
    (
        invariants.passwords_are_hidden,
        "avatars-profiles-profile",
        having(environment={"variables": {"DATABASE_URL": "postgresql://app:s3cret@db.example.com/app"}}),
        "holds a URL with a password",
    ),
    (invariants.functions_are_complete, "avatars-api-authorize", without("timeout"), "no timeout"),
    (invariants.functions_are_complete, "avatars-api-authorize", without("memorySize"), "no memorySize"),
    (invariants.functions_are_complete, "avatars-api-authorize", having(architectures=["x86_64"]), "another platform"),
    (invariants.functions_are_complete, "avatars-api-authorize-logs", without("retentionInDays"), "no log group"),
    (
        invariants.functions_are_complete,
        "avatars-api-authorize",
        unsaid(dependencies=frozenset[str]()),
        "no role policy that is there before it",
    ),
    (
        invariants.functions_are_complete,
        "avatars-api-presign-upload",
        having(role="arn:aws:iam::123456789012:role/avatars-api-authorize-role-abc1234"),
        "a role that is also another's",
    ),
    (
        invariants.functions_are_complete,
        "avatars-api-authorize",
        having(environment={"variables": {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1"}}),
        "reserved for the platform",
    ),
    (
        invariants.components_register_what_they_promise,
        "avatars-identity",
        unsaid(component_outputs={"issuer": ""}),
        "promises ['client_id', 'issuer', 'sign_in_url', 'user_pool_id'], gives ['issuer']",
    ),
    (
        invariants.api_is_closed,
        "avatars-api-get-avatars-me-route",
        having(authorizationType="NONE"),
        "open to everybody",
    ),
    (invariants.api_is_closed, "avatars-api-get-avatars-me-route", having(routeKey="ANY /{proxy+}"), "catches all"),
    (
        invariants.api_is_closed,
        "avatars-api-get-profiles-handle-route",
        having(routeKey="GET /profiles"),
        "GET /profiles is open to everybody",
    ),
    (invariants.origins_are_named, "avatars-pipeline-uploads-cors", having(corsRules=[{"allowedOrigins": ["*"]}]), "*"),
    (
        invariants.origins_are_named,
        "avatars-api",
        having(corsConfiguration={"allowOrigins": ["https://*.example.com"]}),
        "https://*.example.com",
    ),
]


@pytest.mark.parametrize(("invariant", "name", "change", "complaint"), WRONGS)
def test_the_rule_bites(run_stack: RunStack, invariant: Invariant, name: str, change: Change, complaint: str) -> None:
    good = next(graph for graph in map(run_stack, (EVERYTHING, GIVEN_DATABASE)) if any(_is(r, name) for r in graph))
    assert invariant(good) == []
    broken = Graph({urn: change(r) if _is(r, name) else r for urn, r in good.resources.items()}, good.exports)
    assert complaint in "\n".join(invariant(broken))


def _is(resource: Resource, name: str) -> bool:
    """A component and the resource it is about may share a name: the outputs are the component's, the rest is not."""
    return resource.name == name and (resource.custom or name == "avatars-identity")


def test_a_second_notification_of_a_bucket_is_found(run_stack: RunStack) -> None:
    good = run_stack()
    first = good.named("avatars-pipeline-uploaded")
    second = replace(first, urn=f"{first.urn}-2", name="avatars-pipeline-uploaded-2")
    broken = Graph({**good.resources, second.urn: second})
    assert invariants.one_notification_a_bucket(broken) == [
        "avatars-pipeline-uploaded-2 replaces another notification of avatars-pipeline-uploads-abc1234"
    ]


def test_every_rule_has_a_wrong_that_it_finds() -> None:
    assert {invariant for invariant, *_ in WRONGS} == set(invariants.INVARIANTS)


def test_two_resources_of_one_name_are_refused(run_alone: RunAlone) -> None:
    def program() -> None:
        cloudwatch.LogGroup("logs")
        cloudwatch.LogGroup("logs")

    with pytest.raises(ProgramError, match="duplicate URN"):
        run_alone(program)


def test_an_archive_that_is_not_there_is_refused(run_alone: RunAlone) -> None:
    def program() -> None:
        lambda_.LayerVersion("layer", layer_name="layer", code=pulumi.FileArchive("nowhere.zip"))

    with pytest.raises(ProgramError, match=r"nowhere\.zip does not exist"):
        run_alone(program)


def test_reading_an_output_that_nobody_provides_is_refused(run_alone: RunAlone) -> None:
    def program() -> None:
        bucket = s3.Bucket("bucket")
        s3.BucketPolicy("policy", bucket=bucket.hosted_zone_id, policy="{}")

    with pytest.raises(ProgramError, match="hostedZoneId"):
        run_alone(program)


def test_an_output_put_into_a_text_is_refused(run_alone: RunAlone) -> None:
    def program() -> None:
        bucket = s3.Bucket("bucket")
        s3.BucketPolicy("policy", bucket=f"{bucket.bucket}", policy="{}")

    with pytest.raises(Exception, match="__str__"):
        run_alone(program)


def test_a_type_that_the_table_of_computed_outputs_does_not_know_is_refused(
    run_alone: RunAlone, tmp_path: Path
) -> None:
    with pytest.raises(KeyError, match="aws:s3/bucketLogging:BucketLogging"):
        run_alone(lambda: s3.BucketLogging("logging", bucket="a", target_bucket="b", target_prefix="c"))
