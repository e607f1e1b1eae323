"""The programs in examples/."""

from __future__ import annotations

import json
from typing import Any

import pytest
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
    assert functions.keys() == {"photos-pipeline-process-avatar", "photos-api"}
    variables = functions["photos-api"].inputs["environment"]["variables"]
    assert variables == {"UPLOADS_BUCKET": "photos-pipeline-uploads-abc1234"}
    assert graph.exports["avatarUrl"] == "https://d111111abcdef8.cloudfront.net/avatars/{user}.jpg"
