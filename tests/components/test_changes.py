"""The infrastructure as a change: from the last release to now."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from local.recording.graph import Graph, Resource
from tests.components.changes import RELEASE, REPLACING, find_changes, find_losses, record
from tests.components.conftest import RunStack
from tests.components.test_program import EVERYTHING


@pytest.fixture
def now(run_stack: RunStack) -> Graph:
    return run_stack(EVERYTHING)


def change(graph: Graph, name: str, edit: Callable[[Resource], Resource]) -> Graph:
    edited = [edit(resource) if resource.name == name else resource for resource in graph]
    return Graph({resource.urn: resource for resource in edited})


def rename(resource: Resource, name: str, **options: Any) -> Resource:
    return replace(resource, urn=resource.urn.replace(f"::{resource.name}", f"::{name}"), name=name, **options)


def test_update_from_last_release_keeps_what_has_data(now: Graph) -> None:
    before = json.loads(RELEASE.read_text())
    losses = find_losses(before, now)
    assert losses == [], "\n".join(f"{what}: {urn}" for what, urn in find_changes(before, now))


def test_release_has_every_type_that_must_be_kept() -> None:
    recorded = {properties["type"] for properties in json.loads(RELEASE.read_text()).values() if properties}
    assert recorded == set(REPLACING)


def test_deleted_resource_is_reported_and_is_a_loss_if_it_has_data(now: Graph) -> None:
    table, alarm = now.named("avatars-pipeline-limits"), now.named("avatars-pipeline-late-uploads")
    rest = Graph({urn: resource for urn, resource in now.resources.items() if resource not in (table, alarm)})
    assert set(find_changes(record(now), rest)) == {("deleted", table.urn), ("deleted", alarm.urn)}
    assert find_losses(record(now), rest) == [f"deleted: {table.urn}"]


@pytest.mark.parametrize(
    ("name", "inputs", "changed"),
    [
        ("avatars-cdn-assets", {"bucket": "another"}, "bucket"),
        ("avatars-pipeline-limits", {"hashKey": "user"}, "hashKey"),
        ("avatars-identity-users", {"usernameConfiguration": {"caseSensitive": True}}, "usernameConfiguration"),
        ("avatars-cdn-distribution", {"staging": True}, "staging"),
        (
            "avatars-database-cluster",
            {"typeName": "AWS::RDS::DBCluster", "desiredState": '{"StorageEncrypted":false}'},
            "DBSubnetGroupName, DatabaseName, Engine, MasterUsername, StorageEncrypted",
        ),
    ],
)
def test_changed_property_replaces(now: Graph, name: str, inputs: dict[str, Any], changed: str) -> None:
    edited = change(now, name, lambda r: replace(r, inputs={**r.inputs, **inputs}) if r.custom else r)
    urns = [resource.urn for resource in now if resource.name == name and resource.custom]
    assert find_losses(record(now), edited) == [f"replaced ({changed}): {urn}" for urn in urns]


def test_renamed_resource_is_kept_with_an_alias_only(now: Graph) -> None:
    table = now.named("avatars-pipeline-limits")
    without = change(now, table.name, lambda r: rename(r, "avatars-pipeline-quotas"))
    assert find_losses(record(now), without) == [f"deleted: {table.urn}"]
    for alias in (table.name, table.urn):
        aliased = change(now, table.name, lambda r, alias=alias: rename(r, "avatars-pipeline-quotas", aliases=(alias,)))
        assert list(find_changes(record(now), aliased)) == []


def test_renamed_component_with_an_alias_keeps_its_children(now: Graph) -> None:
    pipeline = now.named("avatars-pipeline")
    renamed = rename(pipeline, "avatars-images", aliases=("avatars-pipeline",))
    table = now.named("avatars-pipeline-limits")
    moved = rename(table, "avatars-images-limits", parent=renamed.urn)
    assert find_losses(record(Graph({table.urn: table})), Graph({r.urn: r for r in (renamed, moved)})) == []
