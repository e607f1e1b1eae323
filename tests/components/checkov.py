"""`make check-policies`: compares the rules of policies/ with the results of checkov itself.

Recorded resources are converted to a plan of Terraform, from which checkov also sees which resource uses which.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from local.recording.graph import Graph
from policies import LEFT_OUT, RULES
from policies.rule import CLOUD_CONTROL, find_violations
from tests.components.conftest import run_main, stack_config, stand_in_packages, use_packages
from tests.components.test_policies import CONFIGURATIONS, list_resources

DIFFERENCES = {
    "CKV_AWS_86": "does not know standard logging v2",
    "CKV2_AWS_27": "is about the cluster instead of its parameter group",
}
_TYPES = {
    CLOUD_CONTROL: "aws_rds_cluster",
    "aws:ec2/vpcEndpoint:VpcEndpoint": "aws_vpc_endpoint",
    "aws:rds/subnetGroup:SubnetGroup": "aws_db_subnet_group",
    "aws:s3/bucketObjectv2:BucketObjectv2": "aws_s3_object",
}
_PROPERTIES = {
    "EnableIAMDatabaseAuthentication": "iam_database_authentication_enabled",
    "EnableCloudwatchLogsExports": "enabled_cloudwatch_logs_exports",
}
_MAPS = ("dimensions", "tags", "triggers", "variables")


def to_snake_case(text: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text).lower()


def convert_type(type_: str) -> str:
    _, module, name = re.split("[:/]", type_)[:3]
    prefix = {"aws:ec2": "aws", "aws:vpc": "aws_vpc"}.get(f"aws:{module}", f"aws_{module}")
    return _TYPES.get(type_) or f"{prefix}_{to_snake_case(name)}"


def convert(value: Any) -> Any:
    """Returns blocks as Terraform has them: lists, whose names are singular."""
    if isinstance(value, Mapping):
        return dict(pair for key, each in value.items() for pair in _convert_property(key, each))
    if isinstance(value, list):
        return [convert(each) for each in value]
    return value if isinstance(value, str | int | float) else None


def _convert_property(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    name = _PROPERTIES.get(key) or to_snake_case(key)
    converted = value if name in _MAPS else [convert(value)] if isinstance(value, Mapping) else convert(value)
    yield name, converted
    if isinstance(value, list):
        yield re.sub("ies$", "y", name) if name.endswith("ies") else name.removesuffix("s"), converted


def create_plan(graph: Graph) -> dict[str, Any]:
    """https://developer.hashicorp.com/terraform/internals/json-format"""
    resources = [r for r in graph if r.custom and r.type.startswith("aws:")]
    addresses = {r.urn: f"{convert_type(r.type)}.{r.name}" for r in resources}
    planned: list[dict[str, Any]] = []
    configured: list[dict[str, Any]] = []
    for resource in resources:
        inputs = resource.inputs
        if resource.type == CLOUD_CONTROL:
            inputs = json.loads(inputs["desiredState"])
        address = addresses[resource.urn]
        base = {"address": address, "mode": "managed", "type": address.partition(".")[0], "name": resource.name}
        references = {
            to_snake_case(key): {"references": [addresses[urn] for urn in urns if urn in addresses]}
            for key, urns in resource.property_dependencies.items()
        }
        planned.append({**base, "values": convert(inputs)})
        configured.append({**base, "expressions": references})
    changes = [{**each, "change": {"actions": ["create"], "before": None, "after": each["values"]}} for each in planned]
    return {
        "format_version": "1.2",
        "terraform_version": "1.9.0",
        "planned_values": {"root_module": {"resources": planned}},
        "configuration": {"root_module": {"resources": configured}},
        "resource_changes": changes,
    }


def run_checkov(program: str, plan: dict[str, Any]) -> tuple[set[str], set[tuple[str, str]]]:
    """Returns the IDs of the rules that were applied, and the failed checks: ID of the rule, name of the resource."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(plan, file)
        file.flush()
        options = ["--framework", "terraform_plan", "--output", "json", "--skip-download", "--soft-fail", "--file"]
        result = subprocess.run([program, *options, file.name], stdout=subprocess.PIPE, check=True)
    results = json.loads(result.stdout)["results"]
    failed = {(check["check_id"], check["resource"].partition(".")[2]) for check in results["failed_checks"]}
    return {check["check_id"] for checks in results.values() for check in checks if "check_id" in check}, failed


def main(program: str) -> int:
    known = {*LEFT_OUT, *(id_ for rule in RULES for id_ in rule.ids.split())}
    missing: set[str] = set()
    differences: set[tuple[str, str, str]] = set()
    with tempfile.TemporaryDirectory() as folder, use_packages(stand_in_packages(Path(folder))):
        for name, settings in CONFIGURATIONS.items():
            graph = run_main(stack_config(settings))
            violations = ((rule, r.name) for rule in RULES for r in find_violations(rule, list_resources(graph)))
            ours = {(id_, resource) for rule, resource in violations for id_ in rule.ids.split()}
            applied, theirs = run_checkov(program, create_plan(graph))
            missing |= {id_ for id_ in applied - known if "_AWS_" in id_}
            for id_, resource in ours ^ theirs:
                if id_.startswith("CKV") and id_ not in {*LEFT_OUT, *DIFFERENCES}:
                    differences.add((name, id_, resource))
            print(f"{name}: {len(theirs)} failed checks of checkov", flush=True)
    for name, id_, resource in sorted(differences):
        print(f"{name}: {resource}: checkov and policies/ differ about {id_}")
    for id_ in sorted(missing):
        print(f"checkov has the rule {id_}, policies/ has not")
    return 1 if differences or missing else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
