"""The schema of the package `avatars`, from which Pulumi generates classes for each language."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pulumi.runtime.proto import provider_pb2

from tests.plugin.conftest import Provider

SNAPSHOT = Path(__file__).with_name("schema.json")


@pytest.fixture(scope="module")
def schema(provider: Provider) -> dict[str, Any]:
    return json.loads(provider.stub.GetSchema(provider_pb2.GetSchemaRequest()).schema)


def properties(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """All properties of components and types, by path."""
    for token, resource in schema["resources"].items():
        for group in ("inputProperties", "properties"):
            for name, property_ in resource[group].items():
                yield f"{token}.{group}.{name}", property_
    for token, type_ in schema["types"].items():
        for name, property_ in type_["properties"].items():
            yield f"{token}.{name}", property_


def test_schema_equals_snapshot(schema: dict[str, Any]) -> None:
    """UPDATE_SCHEMA=1 writes the snapshot. A removed or retyped property breaks programs: see CHANGELOG.md."""
    if os.environ.get("UPDATE_SCHEMA"):
        SNAPSHOT.write_text(json.dumps(schema, indent=2) + "\n")
    assert schema == json.loads(SNAPSHOT.read_text())


def test_schema_has_the_public_components(schema: dict[str, Any]) -> None:
    components = ("AvatarService", "AssetsCdn", "AvatarPipeline", "UploadApi")
    assert schema["resources"].keys() == {f"avatars:index:{component}" for component in components}
    assert schema["types"].keys() == {"avatars:index:CustomDomain", "avatars:index:ExistingBucket"}
    assert all(resource["isComponent"] for resource in schema["resources"].values())


def test_every_property_has_type_and_description(schema: dict[str, Any]) -> None:
    incomplete = [
        path
        for path, property_ in properties(schema)
        if not property_.get("description") or not (property_.get("type") or property_.get("$ref"))
    ]
    assert incomplete == []


def test_argument_with_default_is_optional(schema: dict[str, Any]) -> None:
    pipeline = schema["resources"]["avatars:index:AvatarPipeline"]
    assert pipeline["requiredInputs"] == ["assetsBucketArn", "assetsBucketName", "cdnUrl"]
    assert pipeline["inputProperties"]["maxUploadBytes"]["default"] == 10_485_760
    assert pipeline["inputProperties"]["protect"]["default"] is True
    assert pipeline["inputProperties"]["sizes"]["description"].endswith("Default: [256].")
    assert "default" not in pipeline["inputProperties"]["bucketName"]


def test_path_has_no_default_of_this_machine(schema: dict[str, Any]) -> None:
    avatar = schema["resources"]["avatars:index:AssetsCdn"]["inputProperties"]["defaultAvatar"]
    assert (avatar["type"], avatar["plain"], "default" in avatar) == ("string", True, False)
