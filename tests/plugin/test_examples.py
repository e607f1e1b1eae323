"""The programs in examples/."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from pulumi.runtime.proto import provider_pb2

from tests.plugin.conftest import ROOT, Provider
from tests.plugin.foreign_program import run_foreign_program

EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="module")
def schema(provider: Provider) -> dict[str, Any]:
    return json.loads(provider.stub.GetSchema(provider_pb2.GetSchemaRequest()).schema)


def test_python_example_registers_components_and_own_api(provider: Provider, schema: dict[str, Any]) -> None:
    graph = run_foreign_program(EXAMPLES / "python" / "__main__.py", provider, schema)
    assert {r.type for r in graph if not r.custom} >= {"avatars:index:AssetsCdn", "avatars:index:AvatarPipeline"}
    functions = {function.name: function for function in graph.of_type("aws:lambda/function:Function")}
    pipeline = {
        f"photos-pipeline-{name}" for name in ("process-avatar", "finish-upload", "sweep-avatars", "erase-user")
    }
    assert functions.keys() == {*pipeline, "photos-api"}
    variables = functions["photos-api"].inputs["environment"]["variables"]
    assert variables == {"UPLOADS_BUCKET": "photos-pipeline-uploads-abc1234"}
    assert graph.exports["avatarUrl"] == "https://d111111abcdef8.cloudfront.net/avatars/{user}.jpg"


def test_yaml_example_constructs_service_and_exports_its_outputs(provider: Provider, schema: dict[str, Any]) -> None:
    program = yaml.safe_load((EXAMPLES / "yaml" / "Pulumi.yaml").read_text())
    resource = program["resources"]["avatars"]
    package, component = resource["type"].split(":")
    assert package in program["packages"]
    graph, _ = provider.construct(component, resource["properties"])
    assert not any(bucket.protect for bucket in graph.of_type("aws:s3/bucket:Bucket"))
    outputs = schema["resources"][f"avatars:index:{component}"]["properties"]
    assert all(value.removeprefix("${avatars.").removesuffix("}") in outputs for value in program["outputs"].values())


@pytest.mark.parametrize("example", ["python", "typescript", "yaml"])
def test_example_takes_the_package_of_this_repository(example: str) -> None:
    folder = EXAMPLES / example
    project = yaml.safe_load((folder / "Pulumi.yaml").read_text())
    assert (folder / project["packages"]["avatars"] / "PulumiPlugin.yaml").is_file()
    assert (folder / "README.md").is_file()
