"""Components that the engine constructs in the provider for a program in another language."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import grpc
import pulumi
import pytest
from google.protobuf import json_format
from pulumi.runtime.proto import errors_pb2, status_pb2

from components.assets_cdn import AssetsCdn, AssetsCdnArgs
from components.avatar_pipeline import AvatarPipeline, AvatarPipelineArgs
from components.avatar_service import AvatarService, AvatarServiceArgs
from components.upload_api import UploadApi, UploadApiArgs
from local.recording.graph import Graph, Resource
from tests.components.conftest import RunAlone
from tests.components.conftest import packages as packages
from tests.components.conftest import run_alone as run_alone
from tests.plugin.conftest import Provider

# https://pulumi-developer-docs.readthedocs.io/latest/docs/architecture/deployment-execution/property-values.html
SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"

ASSETS = {"assetsBucketName": "assets", "assetsBucketArn": "arn:aws:s3:::assets"}
PIPELINE = {**ASSETS, "cdnUrl": "https://cdn.example.com"}
API = {
    **ASSETS,
    "uploadsBucketName": "uploads",
    "uploadsBucketArn": "arn:aws:s3:::uploads",
    "cdnUrl": "https://cdn.example.com",
    "issuer": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEfGhI",
    "audience": "1example23456789",
    "audienceClaim": "client_id",
}


def is_unknown(value: object) -> bool:
    return value is None or "Unknown" in type(value).__name__


def secret(value: object) -> dict[str, Any]:
    return {SIGNATURE: SECRET, "value": value}


def reject(provider: Provider, component: str, inputs: Mapping[str, Any]) -> dict[str, str]:
    """The reasons for which the provider rejects the inputs, by property."""
    with pytest.raises(grpc.RpcError) as rejection:
        provider.construct(component, inputs)
    call: Any = rejection.value
    assert call.code() == grpc.StatusCode.INVALID_ARGUMENT
    status = status_pb2.Status.FromString(dict(call.trailing_metadata())["grpc-status-details-bin"])
    details = errors_pb2.InputPropertiesError()
    assert status.details[0].Unpack(details)
    return {error.property_path: error.reason for error in details.errors}


def summary(graph: Graph) -> dict[str, tuple[Any, ...]]:
    """What a resource is and where it is; packages are not the placeholders of the run in Python."""

    def inputs(resource: Resource) -> dict[str, Any]:
        return {
            key: value.path if isinstance(value, pulumi.FileAsset) else value
            for key, value in resource.inputs.items()
            if key not in ("code", "sourceCodeHash", "triggers")
        }

    return {r.urn: (r.parent, r.protect, r.retain_on_delete, r.aliases, inputs(r)) for r in graph}


def test_assets_cdn_registers_same_resources_as_in_python(provider: Provider, run_alone: RunAlone) -> None:
    graph, response = provider.construct("AssetsCdn", {"allowedOrigins": ["https://app.example.com"]})
    args = AssetsCdnArgs(allowed_origins=["https://app.example.com"])
    assert summary(graph) == summary(run_alone(lambda: AssetsCdn("it", args)))
    assert response.urn == "urn:pulumi:test::avatars::avatars:index:AssetsCdn::it"
    state = json_format.MessageToDict(response.state)
    assert json.loads(state.pop("bucketPolicy"))["Statement"]
    assert state == {
        "bucketName": "it-assets-abc1234",
        "bucketArn": "arn:aws:s3:::it-assets-abc1234",
        "distributionId": "it-distribution-id",
        "baseUrl": "https://d111111abcdef8.cloudfront.net",
    }


def test_avatar_pipeline_registers_same_resources_as_in_python(provider: Provider, run_alone: RunAlone) -> None:
    graph, response = provider.construct("AvatarPipeline", {**PIPELINE, "sizes": [64, 256], "originalsDays": 3})
    args = AvatarPipelineArgs(
        assets_bucket_name="assets",
        assets_bucket_arn="arn:aws:s3:::assets",
        cdn_url="https://cdn.example.com",
        sizes=[64, 256],
        originals_days=3,
    )
    assert summary(graph) == summary(run_alone(lambda: AvatarPipeline("it", args)))
    assert json_format.MessageToDict(response.state).keys() == {
        "uploadsBucketName",
        "uploadsBucketArn",
        "uploadsUrl",
        "topicArn",
        "queueUrl",
        "deadLetterQueueUrl",
        "limitsTableName",
        "eraseFunctionName",
    }


def test_upload_api_registers_same_resources_as_in_python(provider: Provider, run_alone: RunAlone) -> None:
    graph, response = provider.construct("UploadApi", API)
    args = UploadApiArgs(
        uploads_bucket_name="uploads",
        uploads_bucket_arn="arn:aws:s3:::uploads",
        assets_bucket_name="assets",
        assets_bucket_arn="arn:aws:s3:::assets",
        cdn_url="https://cdn.example.com",
        issuer=API["issuer"],
        audience=API["audience"],
        audience_claim=API["audienceClaim"],
    )
    assert summary(graph) == summary(run_alone(lambda: UploadApi("it", args)))
    assert json_format.MessageToDict(response.state).keys() == {"url"}


def test_nested_argument_is_converted(provider: Provider) -> None:
    graph, _ = provider.construct("UploadApi", {**API, "domain": {"host": "api.example.com", "zoneId": "Z1"}})
    assert graph.one("aws:apigatewayv2/domainName:DomainName").inputs["domainName"] == "api.example.com"
    assert {record.inputs["zoneId"] for record in graph.of_type("aws:route53/record:Record")} == {"Z1"}


def test_whole_number_in_map_argument_is_converted(provider: Provider) -> None:
    graph, _ = provider.construct("UploadApi", {**API, "reservedConcurrency": {"authorize": 30}})
    assert graph.one("aws:lambda/function:Function", "it-authorize").inputs["reservedConcurrentExecutions"] == 30


def test_path_argument_is_read(provider: Provider, tmp_path: Path) -> None:
    picture = tmp_path / "own.jpg"
    picture.write_bytes(b"\xff\xd8\xff")
    graph, _ = provider.construct("AssetsCdn", {"defaultAvatar": str(picture)})
    assert "own.jpg" in repr(graph.named("it-default-avatar").inputs["source"].path)


def contains_plain(properties: object, text: str) -> bool:
    """Whether a text is in properties, outside of secrets."""
    if isinstance(properties, dict):
        items = cast("dict[str, object]", properties)
        return items.get(SIGNATURE) != SECRET and any(contains_plain(value, text) for value in items.values())
    if isinstance(properties, list):
        return any(contains_plain(item, text) for item in cast("list[object]", properties))
    return text in str(properties)


def test_avatar_service_registers_same_resources_as_in_python(provider: Provider, run_alone: RunAlone) -> None:
    graph, response = provider.construct("AvatarService", {"sizes": [64], "database": "aurora", "tags": {"a": "b"}})
    args = AvatarServiceArgs(sizes=[64], database="aurora", tags={"a": "b"})
    assert summary(graph) == summary(run_alone(lambda: AvatarService("it", args)))
    state = json_format.MessageToDict(response.state)
    assert state["avatarUrl"] == "https://d111111abcdef8.cloudfront.net/avatars/{subject}.jpg"
    assert state.keys() >= {"apiUrl", "cdnUrl", "avatarUploadUrl", "profileUrl", "migrateFunction"}


def test_avatar_service_conflict_is_reported_by_property(provider: Provider) -> None:
    url = "postgresql://app:hunter2@db.example.com/app"
    reasons = reject(provider, "AvatarService", {"database": "aurora", "databaseUrl": url})
    assert list(reasons) == ["database"]
    assert reasons["database"].endswith("it cannot be combined with database_url")


@pytest.mark.parametrize(
    ("component", "inputs", "text"),
    [
        ("AvatarService", {"databaseUrl": secret("postgresql://app:hunter2@db.example.com/app")}, "hunter2"),
        ("AvatarPipeline", {**PIPELINE, "webhookUrl": secret("https://hooks.example.com/hunter2")}, "hunter2"),
    ],
    ids=["AvatarService", "AvatarPipeline"],
)
def test_secret_argument_stays_secret(provider: Provider, component: str, inputs: dict[str, Any], text: str) -> None:
    _, response = provider.construct(component, inputs)
    assert any(text in str(properties) for properties in provider.registered)
    assert not any(contains_plain(properties, text) for properties in provider.registered)
    assert text not in str(response)


def test_unknown_argument_in_preview_stays_unknown(provider: Provider) -> None:
    graph, response = provider.construct("AvatarPipeline", {**PIPELINE, "cdnUrl": UNKNOWN}, preview=True)
    environment = graph.one("aws:lambda/function:Function", "it-process-avatar").inputs["environment"]["variables"]
    assert is_unknown(environment["CDN_URL"])
    assert environment["ASSETS_BUCKET"] == "assets"
    assert json_format.MessageToDict(response.state)["queueUrl"] == UNKNOWN


def test_invalid_arguments_are_reported_by_property(provider: Provider) -> None:
    assert reject(provider, "AssetsCdn", {"bucketName": "Not A Bucket", "accessLogDays": 0}) == {
        "bucketName": "AssetsCdnArgs.bucket_name is 'Not A Bucket'; allowed is 3 to 63 of a-z, 0-9 and -, starting and "
        "ending with a letter or digit, or None",
        "accessLogDays": "AssetsCdnArgs.access_log_days is 0; allowed is an integer from 1 to 3,653",
    }


def test_invalid_nested_argument_is_reported_with_path(provider: Provider) -> None:
    reasons = reject(provider, "UploadApi", {**API, "domain": {"host": "API", "zoneId": "Z1"}})
    assert list(reasons) == ["domain.host"]
    assert reasons["domain.host"].startswith("CustomDomain.host is 'API'; allowed is a host name")


def test_fraction_for_integer_is_rejected(provider: Provider) -> None:
    assert reject(provider, "AssetsCdn", {"accessLogDays": 1.5}) == {
        "accessLogDays": "AssetsCdnArgs.access_log_days is 1.5; allowed is an integer from 1 to 3,653"
    }


def test_missing_and_unknown_arguments_are_rejected(provider: Provider) -> None:
    assert reject(provider, "AvatarPipeline", {**ASSETS, "colour": "red"}) == {
        "cdnUrl": "AvatarPipelineArgs.cdn_url is required",
        "colour": "AvatarPipelineArgs has no such property",
    }


@pytest.mark.parametrize("value", [secret(5), UNKNOWN], ids=["secret", "unknown"])
def test_output_for_plain_argument_is_rejected(provider: Provider, value: object) -> None:
    reasons = reject(provider, "AssetsCdn", {"accessLogDays": value})
    assert reasons["accessLogDays"].startswith("AssetsCdnArgs.access_log_days must be a plain value")


def test_unknown_component_is_rejected(provider: Provider) -> None:
    with pytest.raises(grpc.RpcError, match="avatars has no component Nothing"):
        provider.construct("Nothing", {})
