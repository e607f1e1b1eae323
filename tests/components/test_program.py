"""The whole program, as `pulumi up` would run it."""

from __future__ import annotations

import html
import json
import re
import zipfile
from collections import Counter
from typing import Any
from urllib.parse import urlencode

import pulumi
import pytest
from google.protobuf.json_format import MessageToDict

from lambda_packages import build
from lambda_packages.build import Package
from local.recording.graph import Graph, Resource
from local.recording.recorder import Recorder
from tests.components.conftest import ROOT, RunStack, get_statements, run_main, stack_config, use_packages
from tests.components.invariants import INVARIANTS, Invariant, component_classes, data_is_protected

DOMAIN = {"domain": "example.com", "hostedZoneId": "Z0123456789"}
EXISTING_POOL = {"userPoolId": "us-east-1_GivenPool", "userPoolClientId": "givenclient"}
DATABASE_URL = "postgresql://app:s3cret@db.example.com/app"
EXTERNAL_DATABASE = {"databaseUrl": DATABASE_URL}
DATABASE_URL_IN_VPC = {
    **EXTERNAL_DATABASE,
    "databaseSubnetIds": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
    "databaseSecurityGroupIds": ["sg-0123456789abcdef0"],
}
AURORA = {"database": "aurora"}
ISSUER = {"issuer": "https://example.eu.auth0.com/", "audience": "https://avatars.example.com"}
ISSUER_WITH_PAGE = {**AURORA, **ISSUER, "issuerClientId": "page"}
EVERYTHING = {
    **DOMAIN,
    **AURORA,
    "allowedOrigins": ["https://app.example.com", "http://localhost:3000"],
    "webhookUrl": "https://hooks.example.com/avatars",
    "alarmTopicArn": "arn:aws:sns:eu-west-1:123456789012:on-call",
    "alarmEmail": "on-call@example.com",
    "monthlyBudget": 50,
    "webAclArn": "arn:aws:wafv2:us-east-1:123456789012:global/webacl/cdn/1b2c",
    "uploadsBucketName": "our-uploads",
    "assetsBucketName": "our-assets",
    "tracing": True,
}
STACKS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "domain": DOMAIN,
    "existing-pool": EXISTING_POOL,
    "database-url": EXTERNAL_DATABASE,
    "database-url-in-vpc": DATABASE_URL_IN_VPC,
    "aurora": AURORA,
    "issuer": ISSUER_WITH_PAGE,
    "everything": EVERYTHING,
}
WEB_FILES = [path for path in (ROOT / "web").rglob("*") if path.suffix in {".css", ".js"}]

for_each_stack = pytest.mark.parametrize("settings", STACKS.values(), ids=STACKS.keys())


@for_each_stack
@pytest.mark.parametrize("invariant", INVARIANTS, ids=lambda invariant: invariant.__name__)
def test_invariant_holds_for_every_stack(run_stack: RunStack, settings: dict[str, Any], invariant: Invariant) -> None:
    assert invariant(run_stack(settings)) == []


def test_domain_without_hosted_zone_is_one_sentence(packages: dict[str, Package]) -> None:
    config = stack_config({"domain": "unknown.example.com"})
    with use_packages(packages), pytest.raises(pulumi.RunError, match=r"unknown\.example\.com: .* hostedZoneId"):
        run_main(config)


@for_each_stack
def test_preview_registers_same_resources_as_update(run_stack: RunStack, settings: dict[str, Any]) -> None:
    assert set(run_stack(settings, preview=True).resources) == set(run_stack(settings).resources)


def test_program_with_region_only_registers_these_count_types(run_stack: RunStack) -> None:
    assert count_types(run_stack()) == {
        "pulumi:providers:aws": 1,
        "avatars:index:AssetsCdn": 1,
        "avatars:index:AvatarService": 1,
        "avatars:index:AvatarPipeline": 1,
        "avatars:index:Dashboard": 1,
        "avatars:index:SavedQueries": 1,
        "avatars:index:Identity": 1,
        "avatars:index:PrivateBucket": 3,
        "avatars:index:PythonFunction": 9,
        "avatars:index:UploadApi": 1,
        "avatars:index:WebAssets": 1,
        "aws:apigatewayv2/api:Api": 1,
        "aws:apigatewayv2/authorizer:Authorizer": 1,
        "aws:apigatewayv2/integration:Integration": 5,
        "aws:apigatewayv2/route:Route": 5,
        "aws:apigatewayv2/stage:Stage": 1,
        "aws:cloudfront/cachePolicy:CachePolicy": 1,
        "aws:cloudfront/distribution:Distribution": 1,
        "aws:cloudfront/originAccessControl:OriginAccessControl": 1,
        "aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy": 2,
        "aws:cloudwatch/logDelivery:LogDelivery": 1,
        "aws:cloudwatch/logDeliveryDestination:LogDeliveryDestination": 1,
        "aws:cloudwatch/logDeliverySource:LogDeliverySource": 1,
        "aws:cloudwatch/dashboard:Dashboard": 1,
        "aws:cloudwatch/logGroup:LogGroup": 10,
        "aws:cloudwatch/metricAlarm:MetricAlarm": 3,
        "aws:cloudwatch/queryDefinition:QueryDefinition": 5,
        "aws:cognito/userPool:UserPool": 1,
        "aws:cognito/userPoolClient:UserPoolClient": 1,
        "aws:dynamodb/table:Table": 1,
        "aws:iam/role:Role": 10,
        "aws:iam/rolePolicy:RolePolicy": 10,
        "aws:lambda/eventSourceMapping:EventSourceMapping": 1,
        "aws:lambda/function:Function": 9,
        "aws:lambda/layerVersion:LayerVersion": 5,
        "aws:lambda/permission:Permission": 6,
        "aws:s3/bucket:Bucket": 3,
        "aws:s3/bucketCorsConfiguration:BucketCorsConfiguration": 1,
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": 3,
        "aws:s3/bucketNotification:BucketNotification": 1,
        "aws:s3/bucketObjectv2:BucketObjectv2": 2 + len(WEB_FILES) + 1,
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls": 3,
        "aws:s3/bucketPolicy:BucketPolicy": 3,
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": 3,
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": 3,
        "aws:s3/bucketVersioning:BucketVersioning": 1,
        "aws:scheduler/schedule:Schedule": 1,
        "aws:sns/topic:Topic": 1,
        "aws:sns/topicPolicy:TopicPolicy": 1,
        "aws:sqs/queue:Queue": 2,
        "aws:sqs/queuePolicy:QueuePolicy": 2,
        "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy": 1,
    }


def test_domain_adds_certificates_domain_name_and_records(run_stack: RunStack) -> None:
    assert count_types(run_stack(DOMAIN)) - count_types(run_stack()) == {
        "avatars:index:ValidatedCertificate": 2,
        "aws:acm/certificate:Certificate": 2,
        "aws:acm/certificateValidation:CertificateValidation": 2,
        "aws:apigatewayv2/apiMapping:ApiMapping": 1,
        "aws:apigatewayv2/domainName:DomainName": 1,
        "aws:route53/record:Record": 6,
    }


def test_user_pool_id_replaces_pool_of_the_stack(run_stack: RunStack) -> None:
    own, given = run_stack(), run_stack(EXISTING_POOL)
    assert count_types(own) - count_types(given) == {
        "aws:cognito/userPool:UserPool": 1,
        "aws:cognito/userPoolClient:UserPoolClient": 1,
    }
    assert get_environment(given, "avatars-api-authorize") == {
        "ISSUER": "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_GivenPool",
        "AUDIENCE": "givenclient",
        "AUDIENCE_CLAIM": "client_id",
    }
    assert given.exports["userPoolId"] == "us-east-1_GivenPool"
    assert given.exports["userPoolClientId"] == "givenclient"


def test_moderation_function_adds_no_resource(run_stack: RunStack) -> None:
    moderated = run_stack({"moderationFunction": "arn:aws:lambda:eu-west-1:123456789012:function:moderate:live"})
    assert count_types(moderated) == count_types(run_stack())
    status, process = (
        moderated.one("aws:lambda/function:Function", f"avatars-{name}").inputs
        for name in ("api-upload-status", "pipeline-process-avatar")
    )
    assert (status["environment"]["variables"]["IS_MODERATED"], process["timeout"]) == ("true", 25)
    # An erasure waits as long as an upload can be processed, and five seconds for the last request.
    assert get_environment(moderated, "avatars-pipeline-erase-user")["PROCESSING_SECONDS"] == "30"


def test_issuer_replaces_user_pool_and_profile_page(run_stack: RunStack) -> None:
    own, given = run_stack(AURORA), run_stack({**AURORA, **ISSUER})
    assert {type_ for type_ in count_types(own) if not count_types(given)[type_]} == {
        "avatars:index:Identity",
        "avatars:index:ProfilePage",
        "aws:cognito/userPool:UserPool",
        "aws:cognito/userPoolClient:UserPoolClient",
    }
    assert get_environment(given, "avatars-api-authorize") == {
        "ISSUER": "https://example.eu.auth0.com/",
        "AUDIENCE": "https://avatars.example.com",
        "AUDIENCE_CLAIM": "aud",
    }
    assert own.exports.keys() - given.exports.keys() == {"userPoolId", "userPoolClientId", "profileUrl"}


def test_issuer_client_id_adds_profile_page_of_the_issuer(run_stack: RunStack) -> None:
    without, given = run_stack({**AURORA, **ISSUER}), run_stack(ISSUER_WITH_PAGE)
    assert count_types(given) - count_types(without) == {
        "avatars:index:ProfilePage": 1,
        "aws:s3/bucketObjectv2:BucketObjectv2": 1,
    }
    assert given.exports["profileUrl"] == f"{given.exports['cdnUrl']}/profile"


@pytest.mark.parametrize(
    ("settings", "parameters"),
    [
        ({}, {"scope": "openid offline_access", "audience": "https://avatars.example.com"}),
        ({"audienceClaim": "azp"}, {"scope": "openid offline_access"}),
        (
            {"issuerParameters": {"scope": "openid", "audience": "api", "resource": "https://api.example.com"}},
            {"scope": "openid", "audience": "api", "resource": "https://api.example.com"},
        ),
    ],
)
def test_page_has_authorization_parameters_of_the_stack(
    run_stack: RunStack, settings: dict[str, Any], parameters: dict[str, str]
) -> None:
    graph = run_stack({**ISSUER_WITH_PAGE, **settings})
    page = graph.one("aws:s3/bucketObjectv2:BucketObjectv2", "avatars-page").inputs["content"]
    assert f'data-sign-in-parameters="{html.escape(urlencode(parameters))}"' in page


def test_webhook_adds_subscription_dead_letter_queue_and_alarm(run_stack: RunStack) -> None:
    with_webhook = run_stack({"webhookUrl": "https://hooks.example.com/avatars"})
    assert count_types(with_webhook) - count_types(run_stack()) == {
        "aws:sns/topicSubscription:TopicSubscription": 1,
        "aws:sqs/queue:Queue": 1,
        "aws:sqs/queuePolicy:QueuePolicy": 1,
        "aws:cloudwatch/metricAlarm:MetricAlarm": 1,
    }


PROFILES = {
    "avatars:index:ProfileApi": 1,
    "avatars:index:ProfilePage": 1,
    "avatars:index:PythonFunction": 3,
    "aws:apigatewayv2/integration:Integration": 4,
    "aws:apigatewayv2/route:Route": 4,
    "aws:cloudwatch/logGroup:LogGroup": 3,
    "aws:iam/role:Role": 3,
    "aws:iam/rolePolicy:RolePolicy": 3,
    "aws:lambda/function:Function": 3,
    "aws:lambda/invocation:Invocation": 1,
    "aws:lambda/layerVersion:LayerVersion": 3,
    "aws:lambda/permission:Permission": 4,
    "aws:s3/bucketObjectv2:BucketObjectv2": 1,
}


@pytest.mark.parametrize("settings", [EXTERNAL_DATABASE, DATABASE_URL_IN_VPC], ids=["internet", "vpc"])
def test_database_url_adds_profiles_and_parameter(run_stack: RunStack, settings: dict[str, object]) -> None:
    assert count_types(run_stack(settings)) - count_types(run_stack()) == {
        **PROFILES,
        "avatars:index:ExternalDatabase": 1,
        "aws:ssm/parameter:Parameter": 1,
    }


def test_aurora_adds_profiles_and_cluster_in_isolated_vpc(run_stack: RunStack) -> None:
    assert count_types(run_stack(AURORA)) - count_types(run_stack()) == {
        **PROFILES,
        "avatars:index:AuroraDatabase": 1,
        "avatars:index:IsolatedVpc": 1,
        "aws:cloudcontrol/resource:Resource": 1,
        "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": 1,
        "aws:ec2/routeTable:RouteTable": 1,
        "aws:ec2/routeTableAssociation:RouteTableAssociation": 2,
        "aws:ec2/securityGroup:SecurityGroup": 2,
        "aws:ec2/subnet:Subnet": 2,
        "aws:ec2/vpc:Vpc": 1,
        "aws:ec2/vpcEndpoint:VpcEndpoint": 1,
        "aws:rds/clusterInstance:ClusterInstance": 1,
        "aws:rds/clusterParameterGroup:ClusterParameterGroup": 1,
        "aws:rds/subnetGroup:SubnetGroup": 1,
        "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": 2,
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": 1,
    }


def test_database_url_in_vpc_configures_functions_of_profiles(run_stack: RunStack) -> None:
    graph = run_stack(DATABASE_URL_IN_VPC)
    parameter = graph.one("aws:ssm/parameter:Parameter")
    assert parameter.inputs["value"] == DATABASE_URL
    for name in ("profile", "erase-profile", "migrate-database"):
        function = graph.one("aws:lambda/function:Function", f"avatars-profiles-{name}")
        assert function.inputs["environment"]["variables"]["DATABASE_URL_PARAMETER"] == parameter.outputs["name"]
        assert function.inputs["vpcConfig"] == {
            "subnetIds": DATABASE_URL_IN_VPC["databaseSubnetIds"],
            "securityGroupIds": DATABASE_URL_IN_VPC["databaseSecurityGroupIds"],
        }


def test_profile_names_cognito_gives_issuer_to_function(run_stack: RunStack) -> None:
    named = run_stack({**EXTERNAL_DATABASE, "profileNames": "cognito"})
    issuer = get_environment(named, "avatars-api-authorize")["ISSUER"]
    assert get_environment(named, "avatars-profiles-profile")["ISSUER"] == issuer != ""
    assert get_environment(run_stack(EXTERNAL_DATABASE), "avatars-profiles-profile")["ISSUER"] == ""


def test_aurora_only_migrations_connect_as_owner(run_stack: RunStack) -> None:
    graph = run_stack(AURORA)
    migrating, serving = (
        get_environment(graph, f"avatars-profiles-{name}") for name in ("migrate-database", "profile")
    )
    assert (migrating["PGUSER"], migrating["APP_USER"]) == ("avatars_owner", serving["PGUSER"])
    assert "APP_USER" not in serving
    for name, user in (("migrate-database", "avatars_owner"), ("profile", "profiles")):
        statements = get_statements(graph.named(f"avatars-profiles-{name}-policy").inputs["policy"])
        (connect,) = [s for s in statements if s["Action"] == "rds-db:connect"]
        assert connect["Resource"].endswith(f"/{user}")


def test_database_url_is_secret_in_every_registration(run_stack: RunStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the requests to the engine, which encrypts only marked values in the state."""
    sent: list[Any] = []

    class ListeningRecorder(Recorder):
        def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - gRPC's name
            sent.append(MessageToDict(request.object))
            return super().RegisterResource(request)

        def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 - gRPC's name
            sent.append(MessageToDict(request.outputs))
            return super().RegisterResourceOutputs(request)

    monkeypatch.setattr("local.recording.recorder.Recorder", ListeningRecorder)
    url = DATABASE_URL.replace("s3cret", "another-s3cret")
    for preview in (False, True):
        sent.clear()
        run_stack({"databaseUrl": url}, preview=preview)
        assert json.dumps(sent).count(url) == 1
        assert json.dumps(redact_secrets(sent)).count(url) == 0


def redact_secrets(value: Any) -> Any:
    """Replaces secret values: https://www.pulumi.com/docs/iac/concepts/secrets/"""
    if isinstance(value, dict):
        if "1b47061264138c4ac30d75fd1eb44270" in value.values():
            return "[secret]"
        return {name: redact_secrets(item) for name, item in value.items()}
    return [redact_secrets(item) for item in value] if isinstance(value, list) else value


def test_page_contains_urls_of_the_stack(run_stack: RunStack) -> None:
    graph = run_stack({**EXTERNAL_DATABASE, **DOMAIN, "uploadsBucketName": "our-uploads"})
    page = graph.one("aws:s3/bucketObjectv2:BucketObjectv2", "avatars-page").inputs["content"]
    base = (graph.one("avatars:index:WebAssets").component_outputs or {})["base_path"]
    hosts = "https://api.example.com https://our-uploads.s3.eu-west-1.amazonaws.com https://cognito-idp.eu-west-1.ama"
    assert f"connect-src 'self' {hosts}zonaws.com" in page
    served = {r.inputs["key"] for r in graph.of_type("aws:s3/bucketObjectv2:BucketObjectv2")}
    assert re.findall(rf'"{base}([^"]+)"', page)
    assert {f"{base.removeprefix('/')}{place}" for place in re.findall(rf'"{base}([^"]+)"', page)} <= served
    assert "1example23456789" in page


def test_page_depends_on_web_assets(run_stack: RunStack) -> None:
    graph = run_stack(EXTERNAL_DATABASE)
    scripts = {
        r.urn for r in graph.children(graph.one("avatars:index:WebAssets").urn) if r.name != "avatars-web-element"
    }
    page = graph.one("aws:s3/bucketObjectv2:BucketObjectv2", "avatars-page")
    assert len(scripts) == len(WEB_FILES)
    assert scripts <= page.property_dependencies["content"]


def test_exports_with_database_add_two_and_functions(run_stack: RunStack) -> None:
    graph = run_stack(EXTERNAL_DATABASE)
    functions = {function.outputs["name"] for function in graph.of_type("aws:lambda/function:Function")}
    assert set(graph.exports["functions"].values()) == functions
    without, with_database = run_stack().exports, {**graph.exports}
    assert with_database.pop("functions").items() - without["functions"].items() == {
        ("profile", "avatars-profiles-profile-abc1234"),
        ("erase_profile", "avatars-profiles-erase-profile-abc1234"),
        ("migrate_database", "avatars-profiles-migrate-database-abc1234"),
    }
    assert {name: value for name, value in with_database.items() if name not in without} == {
        "profileUrl": "https://d111111abcdef8.cloudfront.net/profile",
        "migrateFunction": "avatars-profiles-migrate-database-abc1234",
    }


def test_exports_without_domain(run_stack: RunStack) -> None:
    sqs = "https://sqs.eu-west-1.amazonaws.com/123456789012"
    assert run_stack().exports == {
        "apiUrl": "https://a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com",
        "cdnUrl": "https://d111111abcdef8.cloudfront.net",
        "distributionId": "avatars-cdn-distribution-id",
        "avatarUrl": "https://d111111abcdef8.cloudfront.net/avatars/{subject}.jpg",
        "avatarUploadUrl": "https://d111111abcdef8.cloudfront.net/web/avatar-upload.js",
        "uploadsBucket": "avatars-pipeline-uploads-abc1234",
        "assetsBucket": "avatars-cdn-assets-abc1234",
        "topicArn": "arn:aws:sns:eu-west-1:123456789012:avatars-pipeline-events-abc1234",
        "queueUrl": f"{sqs}/avatars-pipeline-queue-abc1234",
        "deadLetterQueueUrl": f"{sqs}/avatars-pipeline-dead-letters-abc1234",
        "limitsTable": "avatars-pipeline-limits-abc1234",
        "sizes": [256],
        "eraseFunction": "avatars-pipeline-erase-user-abc1234",
        "functions": {
            "process_avatar": "avatars-pipeline-process-avatar-abc1234",
            "finish_upload": "avatars-pipeline-finish-upload-abc1234",
            "sweep_avatars": "avatars-pipeline-sweep-avatars-abc1234",
            "erase_user": "avatars-pipeline-erase-user-abc1234",
            "authorize": "avatars-api-authorize-abc1234",
            "presign_upload": "avatars-api-presign-upload-abc1234",
            "upload_status": "avatars-api-upload-status-abc1234",
            "current_avatar": "avatars-api-current-avatar-abc1234",
            "delete_avatar": "avatars-api-delete-avatar-abc1234",
        },
        "userPoolId": "eu-west-1_AbCdEfGhI",
        "userPoolClientId": "1example23456789",
    }


def test_exports_with_domain_and_bucket_names(run_stack: RunStack) -> None:
    exports = run_stack(EVERYTHING).exports
    assert exports["apiUrl"] == "https://api.example.com"
    assert exports["cdnUrl"] == "https://assets.example.com"
    assert exports["avatarUrl"] == "https://assets.example.com/avatars/{subject}.jpg"
    assert exports["avatarUploadUrl"] == "https://assets.example.com/web/avatar-upload.js"
    assert exports["profileUrl"] == "https://assets.example.com/profile"
    assert exports["uploadsBucket"] == "our-uploads"
    assert exports["assetsBucket"] == "our-assets"
    assert exports["undeliveredQueueUrl"].endswith("/avatars-pipeline-undelivered-abc1234")


def test_hosted_zone_not_given_is_looked_up(run_stack: RunStack) -> None:
    records = run_stack({"domain": "example.com"}).of_type("aws:route53/record:Record")
    assert {record.inputs["zoneId"] for record in records} == {"ZLOOKEDUP"}


def test_cors_allows_configured_origins_and_the_cdn(
    run_stack: RunStack,
) -> None:
    graph = run_stack({"allowedOrigins": ["https://app.example.com"]})
    origins = ["https://app.example.com", "https://d111111abcdef8.cloudfront.net"]
    cors = graph.one("aws:s3/bucketCorsConfiguration:BucketCorsConfiguration").inputs["corsRules"]
    assert graph.one("aws:apigatewayv2/api:Api").inputs["corsConfiguration"]["allowOrigins"] == origins
    assert [rule["allowedOrigins"] for rule in cors] == [origins]


def test_buckets_are_auto_named_by_default(run_stack: RunStack) -> None:
    assert all("bucket" not in bucket.inputs for bucket in run_stack().of_type("aws:s3/bucket:Bucket"))


def test_protect_data_false_protects_nothing(run_stack: RunStack) -> None:
    graph = run_stack({"protectData": False, **AURORA})
    assert not [resource.name for resource in graph if resource.protect or resource.retain_on_delete]
    assert all(bucket.inputs["forceDestroy"] is True for bucket in graph.of_type("aws:s3/bucket:Bucket"))
    assert graph.one("aws:cognito/userPool:UserPool").inputs["deletionProtection"] == "INACTIVE"
    cluster = json.loads(graph.one("aws:cloudcontrol/resource:Resource").inputs["desiredState"])
    assert cluster["DeletionProtection"] is False


def test_protect_data_true_protects_data_only(run_stack: RunStack) -> None:
    graph = run_stack(AURORA)
    assert data_is_protected(graph) == []
    assert sorted(resource.name for resource in graph if resource.protect) == [
        "avatars-cdn-assets",
        "avatars-cdn-logs",
        "avatars-database-cluster",
        "avatars-identity-users",
        "avatars-pipeline-uploads",
    ]


def test_provider_has_configured_region_account_and_tags(run_stack: RunStack) -> None:
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


def test_type_tokens_are_unchanged(run_stack: RunStack) -> None:
    """A changed token makes Pulumi replace all components of that type and their children."""
    stacks = (run_stack(EVERYTHING), run_stack(EXTERNAL_DATABASE))
    tokens = {resource.type for graph in stacks for resource in graph if not resource.custom}
    assert tokens == {
        "avatars:index:AlarmTopic",
        "avatars:index:Alarms",
        "avatars:index:AssetsCdn",
        "avatars:index:AuroraDatabase",
        "avatars:index:AvatarPipeline",
        "avatars:index:AvatarService",
        "avatars:index:Dashboard",
        "avatars:index:ExternalDatabase",
        "avatars:index:Identity",
        "avatars:index:PrivateBucket",
        "avatars:index:IsolatedVpc",
        "avatars:index:ProfileApi",
        "avatars:index:ProfilePage",
        "avatars:index:PythonFunction",
        "avatars:index:SavedQueries",
        "avatars:index:UploadApi",
        "avatars:index:ValidatedCertificate",
        "avatars:index:WebAssets",
    }
    assert tokens == {f"avatars:index:{name}" for name in component_classes()}


def test_failed_build_registers_no_resources(monkeypatch: pytest.MonkeyPatch) -> None:
    registered: list[str] = []

    def fail(_functions: object) -> None:
        raise build.PackagingError("layer imaging: pip failed")

    def register(resource: Resource) -> tuple[str, dict[str, Any]]:
        registered.append(resource.name)
        return resource.name, {}

    monkeypatch.setattr(build, "build_packages_once", fail)
    with pytest.raises(build.PackagingError, match="layer imaging"):
        run_main(stack_config({}), create=register)
    assert registered == []


def test_built_packages_match_registered_platform() -> None:
    """With the real packages, which are cached between runs."""
    graph = run_main(stack_config(EXTERNAL_DATABASE))
    functions = graph.of_type("aws:lambda/function:Function")
    assert len(functions) == 12
    for function in functions:
        assert function.inputs["runtime"] == "python{}.{}".format(*build.LAMBDA.python)
        assert function.inputs["architectures"] == [{"aarch64": "arm64"}[build.LAMBDA.machine]]
        module = function.inputs["handler"].rsplit(".", 1)[0].replace(".", "/")
        with zipfile.ZipFile(function.inputs["code"].path) as archive:
            assert f"{module}.py" in archive.namelist()
    layers = graph.of_type("aws:lambda/layerVersion:LayerVersion")
    assert len(layers) == 8
    for layer in layers:
        with zipfile.ZipFile(layer.inputs["code"].path) as archive:
            libraries = [name for name in archive.namelist() if name.endswith(".so")]
            machines = {archive.read(library)[18:20] for library in libraries}
        # e_machine of the ELF header: 183 is AArch64 (https://www.sco.com/developers/gabi/latest/ch4.eheader.html).
        assert machines <= {(183).to_bytes(2, "little")}


def count_types(graph: Graph) -> Counter[str]:
    return Counter(resource.type for resource in graph)


def get_environment(graph: Graph, function: str) -> dict[str, str]:
    return graph.one("aws:lambda/function:Function", function).inputs["environment"]["variables"]
