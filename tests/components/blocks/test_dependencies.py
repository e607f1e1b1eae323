"""after(): a value with a dependency."""

from __future__ import annotations

from pulumi_aws import cloudwatch, s3

from components.blocks.dependencies import after
from tests.components.conftest import RunAlone


def test_after_returns_value_with_dependency(run_alone: RunAlone) -> None:
    def program() -> None:
        groups = [cloudwatch.LogGroup(name) for name in ("first", "second")]
        s3.BucketPolicy("policy", bucket=after("data", *groups), policy="{}")

    graph = run_alone(program)
    policy = graph.named("policy")
    assert policy.inputs["bucket"] == "data"
    assert policy.property_dependencies["bucket"] == {graph.named("first").urn, graph.named("second").urn}
