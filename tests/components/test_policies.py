"""The rules of policies/: each of them, and the program in all its configurations."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Mapping
from enum import Enum
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from local.recording.graph import Graph
from policies import LEFT_OUT, RULES, table
from policies.rule import Resource, Rule, create_resource, find_violations
from tests.components.conftest import ROOT, RunStack
from tests.components.test_program import AURORA, EVERYTHING, STACKS

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    **STACKS,
    "unprotected": {**AURORA, "protectData": False},
    "issuer-and-moderation": {
        **EVERYTHING,
        "issuer": "https://example.eu.auth0.com/",
        "audience": "https://avatars.example.com",
        "moderationFunction": "arn:aws:lambda:eu-west-1:123456789012:function:moderate",
    },
    "email": {"selfSignUp": True, "emailIdentityArn": "arn:aws:ses:eu-west-1:123456789012:identity/example.com"},
}


def list_resources(graph: Graph) -> list[Resource]:
    return [create_resource(r.urn, r.type, r.name, r.inputs, r.property_dependencies) for r in graph if r.custom]


def create_sample(rule: Rule, props: Mapping[str, Any], beside: tuple[Mapping[str, Any], ...]) -> list[Resource]:
    """Returns a stack of a resource and those that use it."""
    sample = Resource(urn="sample", type=rule.type, name="sample", props=props)
    users = [
        Resource(
            urn=f"user-{index}",
            type=rule.beside[0][0],
            name="user",
            props=used_by,
            uses={rule.beside[0][1]: ["sample"]},
        )
        for index, used_by in enumerate(beside)
    ]
    return [sample, *users]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.ids}-{rule.type.rpartition(':')[2]}")
def test_rule_accepts_and_refuses_its_samples(rule: Rule) -> None:
    assert find_violations(rule, create_sample(rule, rule.passes, rule.passes_beside)) == []
    violations = find_violations(rule, create_sample(rule, rule.fails, rule.fails_beside))
    assert [violation.urn for violation in violations][:1] == ["sample"]


def test_program_follows_rules_or_has_a_reason(run_stack: RunStack) -> None:
    stacks = [list_resources(run_stack(settings)) for settings in CONFIGURATIONS.values()]
    found = [(rule, {r.name for stack in stacks for r in find_violations(rule, stack)}) for rule in RULES]
    assert {rule.ids: sorted(names) for rule, names in found if names and not rule.why_not} == {}
    assert [rule.ids for rule, names in found if rule.why_not and not names] == []


def test_every_rule_judges_a_resource_of_the_program(run_stack: RunStack) -> None:
    created = {r.type for settings in CONFIGURATIONS.values() for r in list_resources(run_stack(settings))}
    assert {rule.type for rule in RULES} <= created


def test_rules_left_out_are_no_rules() -> None:
    assert {id_ for rule in RULES for id_ in rule.ids.split()} & set(LEFT_OUT) == set()


def test_table_is_up_to_date() -> None:
    text = table.DOCUMENT.read_text()
    assert table.format_document(text) == text, "run python -m policies.table"
    assert table.format_document(text.replace("| CKV_AWS_53 |", "| CKV_AWS_0 |")) == text


class UnknownValueError(Exception):
    pass


class Unknown(dict[str, Any]):
    """The properties of a resource that does not exist yet."""

    def get(self, *_: object) -> Any:
        raise UnknownValueError

    __getitem__ = get


@pytest.fixture(scope="module")
def pack() -> dict[str, SimpleNamespace]:
    """The policies of the pack by name.

    A stand-in for pulumi-policy, which needs another version of protobuf than the program: its classes keep their
    arguments.
    """
    packs: list[SimpleNamespace] = []
    sdk, proxy = ModuleType("pulumi_policy"), ModuleType("pulumi_policy.proxy")
    sdk.__dict__.update(
        EnforcementLevel=Enum("EnforcementLevel", ["ADVISORY", "MANDATORY"]),
        PolicyPack=lambda **pack: packs.append(SimpleNamespace(**pack)),
        ResourceValidationPolicy=lambda **policy: SimpleNamespace(kind="resource", **policy),
        StackValidationPolicy=lambda **policy: SimpleNamespace(kind="stack", **policy),
    )
    proxy.__dict__["UnknownValueError"] = UnknownValueError
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "pulumi_policy", sdk)
        patch.setitem(sys.modules, "pulumi_policy.proxy", proxy)
        runpy.run_path(str(ROOT / "policies"), run_name="__main__")
    return {policy.display_name: policy for policy in packs[0].policies}


def test_pack_has_one_policy_for_each_id(pack: dict[str, SimpleNamespace]) -> None:
    levels = {id_: "ADVISORY" if rule.why_not else "MANDATORY" for rule in RULES for id_ in rule.ids.split()}
    assert {name: policy.enforcement_level.name for name, policy in pack.items()} == levels


@pytest.mark.parametrize(("block", "reported"), [(True, []), (False, ["New public ACLs are refused."])])
def test_pack_judges_a_resource(pack: dict[str, SimpleNamespace], block: bool, reported: list[str]) -> None:
    type_ = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
    args = SimpleNamespace(urn="urn", resource_type=type_, name="block", props={"blockPublicAcls": block})
    reports: list[str] = []
    pack["CKV_AWS_53"].validate(args, reports.append)
    assert reports == reported


def test_pack_judges_a_stack_without_what_is_unknown_yet(pack: dict[str, SimpleNamespace]) -> None:
    def create(urn: str, type_: str, props: Mapping[str, Any], **uses: Any) -> SimpleNamespace:
        settings = {"resource_type": type_, "name": urn, "props": props, "property_dependencies": uses}
        return SimpleNamespace(urn=urn, **settings)

    pool = "aws:s3/bucket:Bucket"
    guarded, open_, unknown = (create(name, pool, {}) for name in ("guarded", "open", "unknown"))
    block = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
    blocks = [
        create("block", block, {"blockPublicAcls": True, "blockPublicPolicy": True}, bucket=[guarded]),
        create("unknown-block", block, Unknown(), bucket=[unknown]),
        create("cluster", "aws:cloudcontrol/resource:Resource", Unknown()),
    ]
    reports: list[tuple[str, str]] = []
    args = SimpleNamespace(resources=[guarded, open_, unknown, *blocks])
    pack["CKV2_AWS_6"].validate(args, lambda *report: reports.append(report))
    assert reports == [("There is a public access block.", "open")]
