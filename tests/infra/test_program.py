"""The whole program, as `pulumi up` would run it."""

from __future__ import annotations

import zipfile
from collections import Counter
from typing import Any

import pytest

from functions import packaging
from local.recorder import Graph, Resource
from tests.infra.conftest import RunStack, run_main, stack_config
from tests.infra.invariants import INVARIANTS, Invariant, component_classes, data_is_protected

DOMAIN = {"domain": "example.com", "hostedZoneId": "Z0123456789"}
GIVEN_POOL = {"userPoolId": "us-east-1_GivenPool", "userPoolClientId": "givenclient"}
EVERYTHING = {
    **DOMAIN,
    "allowedOrigins": ["https://app.example.com", "http://localhost:3000"],
    "webhookUrl": "https://hooks.example.com/avatars",
    "alarmTopicArn": "arn:aws:sns:eu-west-1:123456789012:on-call",
    "webAclArn": "arn:aws:wafv2:us-east-1:123456789012:global/webacl/cdn/1b2c",
    "uploadsBucketName": "our-uploads",
    "assetsBucketName": "our-assets",
}
STACKS: dict[str, dict[str, Any]] = {"nothing": {}, "a domain": DOMAIN, "a pool": GIVEN_POOL, "everything": EVERYTHING}

in_each_stack = pytest.mark.parametrize("settings", STACKS.values(), ids=STACKS.keys())


@in_each_stack
@pytest.mark.parametrize("invariant", INVARIANTS, ids=lambda invariant: invariant.__name__)
def test_every_stack_keeps_the_rule(run_stack: RunStack, settings: dict[str, Any], invariant: Invariant) -> None:
    assert invariant(run_stack(settings)) == []


@in_each_stack
def test_a_preview_shows_exactly_what_an_update_makes(run_stack: RunStack, settings: dict[str, Any]) -> None:
    assert set(run_stack(settings, preview=True).resources) == set(run_stack(settings).resources)


def test_with_a_region_alone_the_stack_is_this(run_stack: RunStack) -> None:
    assert types(run_stack()) == {
        "pulumi:providers:aws": 1,
        "avatars:index:AssetsCdn": 1,
        "avatars:index:AvatarPipeline": 1,
        "avatars:index:Identity": 1,
        "avatars:index:PrivateBucket": 3,
        "avatars:index:PythonFunction": 5,
        "avatars:index:UploadApi": 1,
        "aws:apigatewayv2/api:Api": 1,
        "aws:apigatewayv2/authorizer:Authorizer": 1,
        "aws:apigatewayv2/integration:Integration": 3,
        "aws:apigatewayv2/route:Route": 3,
        "aws:apigatewayv2/stage:Stage": 1,
        "aws:cloudfront/cachePolicy:CachePolicy": 1,
        "aws:cloudfront/distribution:Distribution": 1,
        "aws:cloudfront/originAccessControl:OriginAccessControl": 1,
        "aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy": 1,
        "aws:cloudwatch/logDelivery:LogDelivery": 1,
        "aws:cloudwatch/logDeliveryDestination:LogDeliveryDestination": 1,
        "aws:cloudwatch/logDeliverySource:LogDeliverySource": 1,
        "aws:cloudwatch/logGroup:LogGroup": 6,
        "aws:cloudwatch/metricAlarm:MetricAlarm": 2,
        "aws:cognito/userPool:UserPool": 1,
        "aws:cognito/userPoolClient:UserPoolClient": 1,
        "aws:iam/role:Role": 5,
        "aws:iam/rolePolicy:RolePolicy": 5,
        "aws:lambda/eventSourceMapping:EventSourceMapping": 1,
        "aws:lambda/function:Function": 5,
        "aws:lambda/layerVersion:LayerVersion": 4,
        "aws:lambda/permission:Permission": 4,
        "aws:s3/bucket:Bucket": 3,
        "aws:s3/bucketCorsConfiguration:BucketCorsConfiguration": 1,
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": 3,
        "aws:s3/bucketNotification:BucketNotification": 1,
        "aws:s3/bucketObjectv2:BucketObjectv2": 2,
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls": 3,
        "aws:s3/bucketPolicy:BucketPolicy": 3,
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": 3,
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": 3,
        "aws:s3/bucketVersioning:BucketVersioning": 1,
        "aws:sns/topic:Topic": 1,
        "aws:sns/topicPolicy:TopicPolicy": 1,
        "aws:sqs/queue:Queue": 2,
        "aws:sqs/queuePolicy:QueuePolicy": 2,
        "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy": 1,
    }


def test_a_domain_adds_hosts_certificates_and_records_and_nothing_else(run_stack: RunStack) -> None:
    assert types(run_stack(DOMAIN)) - types(run_stack()) == {
        "avatars:index:ValidatedCertificate": 2,
        "aws:acm/certificate:Certificate": 2,
        "aws:acm/certificateValidation:CertificateValidation": 2,
        "aws:apigatewayv2/apiMapping:ApiMapping": 1,
        "aws:apigatewayv2/domainName:DomainName": 1,
        "aws:route53/record:Record": 6,
    }


def test_a_given_user_pool_takes_the_place_of_the_stacks_own(run_stack: RunStack) -> None:
    own, given = run_stack(), run_stack(GIVEN_POOL)
    assert types(own) - types(given) == {
        "aws:cognito/userPool:UserPool": 1,
        "aws:cognito/userPoolClient:UserPoolClient": 1,
    }
    assert environment(given, "avatars-api-authorize") == {
        "ISSUER": "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_GivenPool",
        "CLIENT_ID": "givenclient",
    }
    assert given.exports["userPoolId"] == "us-east-1_GivenPool"
    assert given.exports["userPoolClientId"] == "givenclient"


def test_a_webhook_adds_its_subscription_and_a_queue_with_an_alarm_behind_it(run_stack: RunStack) -> None:
    with_webhook = run_stack({"webhookUrl": "https://hooks.example.com/avatars"})
    assert types(with_webhook) - types(run_stack()) == {
        "aws:sns/topicSubscription:TopicSubscription": 1,
        "aws:sqs/queue:Queue": 1,
        "aws:sqs/queuePolicy:QueuePolicy": 1,
        "aws:cloudwatch/metricAlarm:MetricAlarm": 1,
    }


def test_outputs_on_the_hosts_that_aws_gives(run_stack: RunStack) -> None:
    sqs = "https://sqs.eu-west-1.amazonaws.com/123456789012"
    assert run_stack().exports == {
        "apiUrl": "https://a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com",
        "cdnUrl": "https://d111111abcdef8.cloudfront.net",
        "distributionId": "avatars-cdn-distribution-id",
        "avatarUrl": "https://d111111abcdef8.cloudfront.net/avatars/{subject}.jpg",
        "uploadsBucket": "avatars-pipeline-uploads-abc1234",
        "assetsBucket": "avatars-cdn-assets-abc1234",
        "topicArn": "arn:aws:sns:eu-west-1:123456789012:avatars-pipeline-events-abc1234",
        "queueUrl": f"{sqs}/avatars-pipeline-queue-abc1234",
        "deadLetterQueueUrl": f"{sqs}/avatars-pipeline-dead-letters-abc1234",
        "userPoolId": "eu-west-1_AbCdEfGhI",
        "userPoolClientId": "1example23456789",
    }


def test_outputs_on_a_domain_and_with_named_buckets(run_stack: RunStack) -> None:
    exports = run_stack(EVERYTHING).exports
    assert exports["apiUrl"] == "https://api.example.com"
    assert exports["cdnUrl"] == "https://assets.example.com"
    assert exports["avatarUrl"] == "https://assets.example.com/avatars/{subject}.jpg"
    assert exports["uploadsBucket"] == "our-uploads"
    assert exports["assetsBucket"] == "our-assets"


def test_the_hosted_zone_of_a_domain_is_looked_up_when_it_is_not_given(run_stack: RunStack) -> None:
    records = run_stack({"domain": "example.com"}).of_type("aws:route53/record:Record")
    assert {record.inputs["zoneId"] for record in records} == {"ZLOOKEDUP"}


def test_pages_of_the_configured_origins_and_of_the_cdn_itself_may_call_the_api_and_post_uploads(
    run_stack: RunStack,
) -> None:
    graph = run_stack({"allowedOrigins": ["https://app.example.com"]})
    origins = ["https://app.example.com", "https://d111111abcdef8.cloudfront.net"]
    cors = graph.one("aws:s3/bucketCorsConfiguration:BucketCorsConfiguration").inputs["corsRules"]
    assert graph.one("aws:apigatewayv2/api:Api").inputs["corsConfiguration"]["allowOrigins"] == origins
    assert [rule["allowedOrigins"] for rule in cors] == [origins]


def test_buckets_have_no_fixed_names_unless_they_are_given(run_stack: RunStack) -> None:
    assert all("bucket" not in bucket.inputs for bucket in run_stack().of_type("aws:s3/bucket:Bucket"))


def test_without_protection_everything_can_be_deleted(run_stack: RunStack) -> None:
    graph = run_stack({"protectData": False})
    assert not [resource.name for resource in graph if resource.protect or resource.retain_on_delete]
    assert all(bucket.inputs["forceDestroy"] is True for bucket in graph.of_type("aws:s3/bucket:Bucket"))
    assert graph.one("aws:cognito/userPool:UserPool").inputs["deletionProtection"] == "INACTIVE"


def test_with_protection_only_what_holds_data_is_protected(run_stack: RunStack) -> None:
    graph = run_stack()
    assert data_is_protected(graph) == []
    assert sorted(resource.name for resource in graph if resource.protect) == [
        "avatars-cdn-assets",
        "avatars-cdn-logs",
        "avatars-identity-users",
        "avatars-pipeline-uploads",
    ]


def test_the_provider_is_in_the_stacks_region_and_adds_a_companys_tags(run_stack: RunStack) -> None:
    settings = {
        "aws:region": "ap-southeast-2",
        "aws:profile": "team",
        "aws:allowedAccountIds": ["123456789012"],
        "aws:defaultTags": {"tags": {"Team": "profiles"}},
    }
    assert run_stack(settings).one("pulumi:providers:aws").inputs == {
        "region": "ap-southeast-2",
        "profile": "team",
        "allowedAccountIds": '["123456789012"]',
        "defaultTags": '{"tags": {"Project": "avatars", "Stack": "test", "Team": "profiles"}}',
        "skipCredentialsValidation": "false",
        "skipRegionValidation": "true",
    }


def test_type_tokens_stay_what_they_are(run_stack: RunStack) -> None:
    """A changed token makes Pulumi replace every component of that type, with all data in it."""
    tokens = {resource.type for resource in run_stack(EVERYTHING) if not resource.custom}
    assert tokens == {
        "avatars:index:AssetsCdn",
        "avatars:index:AvatarPipeline",
        "avatars:index:Identity",
        "avatars:index:PrivateBucket",
        "avatars:index:PythonFunction",
        "avatars:index:UploadApi",
        "avatars:index:ValidatedCertificate",
    }
    assert tokens == {f"avatars:index:{name}" for name in component_classes()}


def test_a_failed_build_stops_the_program_before_any_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    registered: list[str] = []

    def fail() -> None:
        raise packaging.PackagingError("layer imaging: pip failed")

    def register(resource: Resource) -> tuple[str, dict[str, Any]]:
        registered.append(resource.name)
        return resource.name, {}

    monkeypatch.setattr(packaging, "build", fail)
    with pytest.raises(packaging.PackagingError, match="layer imaging"):
        run_main(stack_config({}), create=register)
    assert registered == []


def test_the_packages_that_are_built_are_for_the_platform_that_is_registered() -> None:
    """With the real packages, which are built on the first run and current on the next."""
    graph = run_main(stack_config({}))
    functions = graph.of_type("aws:lambda/function:Function")
    assert len(functions) == 5
    for function in functions:
        assert function.inputs["runtime"] == "python{}.{}".format(*packaging.LAMBDA.python)
        assert function.inputs["architectures"] == [{"aarch64": "arm64"}[packaging.LAMBDA.machine]]
        module = function.inputs["handler"].rsplit(".", 1)[0].replace(".", "/")
        with zipfile.ZipFile(function.inputs["code"].path) as archive:
            assert f"{module}.py" in archive.namelist()
    layers = graph.of_type("aws:lambda/layerVersion:LayerVersion")
    assert len(layers) == 5
    for layer in layers:
        with zipfile.ZipFile(layer.inputs["code"].path) as archive:
            libraries = [name for name in archive.namelist() if name.endswith(".so")]
            machines = {archive.read(library)[18:20] for library in libraries}
        # e_machine of the ELF header: 183 is AArch64 (https://www.sco.com/developers/gabi/latest/ch4.eheader.html).
        assert machines <= {(183).to_bytes(2, "little")}


def types(graph: Graph) -> Counter[str]:
    return Counter(resource.type for resource in graph)


def environment(graph: Graph, function: str) -> dict[str, str]:
    return graph.one("aws:lambda/function:Function", function).inputs["environment"]["variables"]
