"""What an update of a stack of the last release would delete or replace.

`python -m tests.components.changes` prints it, with all resources that would be deleted. When a version is released,
and never to make a test pass, `--release` records the program as the last release, in release.json.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from local.recording.graph import Graph, Resource
from policies.rule import create_resource
from tests.components.conftest import run_main, stack_config, stand_in_packages, use_packages
from tests.components.test_program import EVERYTHING

RELEASE = Path(__file__).parent / "release.json"

# The properties whose change replaces what has users' data or what the world links to: ForceNew in the schemas of
# https://github.com/hashicorp/terraform-provider-aws/tree/main/internal/service (s3/bucket.go, dynamodb/table.go,
# cognitoidp/user_pool.go, cloudfront/distribution.go), createOnlyProperties in that of the cluster,
# https://github.com/aws-cloudformation/aws-cloudformation-resource-providers-rds/blob/master/aws-rds-dbcluster/aws-rds-dbcluster.json
# `region` is one of each.
REPLACING = {
    "aws:s3/bucket:Bucket": ("bucket", "bucketPrefix", "objectLockEnabled"),
    "aws:dynamodb/table:Table": ("name", "hashKey", "rangeKey", "localSecondaryIndexes"),
    "aws:cognito/userPool:UserPool": ("name", "aliasAttributes", "usernameAttributes", "usernameConfiguration"),
    "aws:cloudfront/distribution:Distribution": ("staging",),
    "AWS::RDS::DBCluster": (
        *("AvailabilityZones", "ClusterScalabilityType", "DBClusterIdentifier", "DBSubnetGroupName", "DBSystemId"),
        *("DatabaseName", "Engine", "EngineMode", "GlobalClusterIdentifier", "KmsKeyId", "MasterUsername"),
        *("PubliclyAccessible", "SnapshotIdentifier", "SourceDBClusterIdentifier", "SourceRegion", "StorageEncrypted"),
    ),
}

Recorded = Mapping[str, Mapping[str, Any]]
"""The replacing properties of each resource by URN; none of types that can be replaced."""


def record(graph: Graph) -> dict[str, dict[str, Any]]:
    return {resource.urn: _get_replacing(resource) for resource in graph if resource.custom}


def _get_replacing(resource: Resource) -> dict[str, Any]:
    judged = create_resource(resource.urn, resource.type, resource.name, resource.inputs, {})
    keys = (*REPLACING[judged.type], "region") if judged.type in REPLACING else ()
    return {"type": judged.type, **{key: judged.props[key] for key in keys if key in judged.props}} if keys else {}


def find_changes(before: Recorded, graph: Graph) -> Iterator[tuple[str, str]]:
    """Yields what happens to a resource, and its URN before."""
    now = {urn: _get_replacing(resource) for resource in graph for urn in list_urns(resource, graph)}
    for urn, properties in before.items():
        if urn not in now:
            yield "deleted", urn
        elif changed := {key for key in {*properties, *now[urn]} if properties.get(key) != now[urn].get(key)}:
            yield f"replaced ({', '.join(sorted(changed))})", urn


def list_urns(resource: Resource, graph: Graph) -> list[str]:
    """Returns the resource's URN, and those that it had under its aliases and under the names of its components.

    https://www.pulumi.com/docs/iac/concepts/resources/options/aliases/
    """
    names = [alias for alias in resource.aliases if not alias.startswith("urn:")]
    parent = graph.resources.get(resource.parent)
    while parent is not None:
        if resource.name.startswith(parent.name):
            former = (alias for alias in parent.aliases if not alias.startswith("urn:"))
            names += [alias + resource.name.removeprefix(parent.name) for alias in former]
        parent = graph.resources.get(parent.parent)
    given = [alias for alias in resource.aliases if alias.startswith("urn:")]
    return [resource.urn, *given, *(f"{resource.urn.rpartition('::')[0]}::{name}" for name in names)]


def find_losses(before: Recorded, graph: Graph) -> list[str]:
    """Returns the changes of resources that must not be deleted or replaced."""
    return [f"{change}: {urn}" for change, urn in find_changes(before, graph) if before[urn]]


def run_everything() -> Graph:
    with tempfile.TemporaryDirectory() as folder, use_packages(stand_in_packages(Path(folder))):
        return run_main(stack_config(EVERYTHING))


if __name__ == "__main__":
    everything = run_everything()
    if sys.argv[1:] == ["--release"]:
        RELEASE.write_text(json.dumps(record(everything), indent=1, sort_keys=True) + "\n")
    for what, of in find_changes(json.loads(RELEASE.read_text()), everything):
        print(f"{what}: {of}")
