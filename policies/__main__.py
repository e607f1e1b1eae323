"""The policy pack: `pulumi preview --policy-pack policies`.

Creating a PolicyPack starts a server and does not return, so that the rules themselves are in other modules.
"""

# pyright: basic, reportMissingImports=false

from __future__ import annotations

import sys
from pathlib import Path

from pulumi_policy import EnforcementLevel, PolicyPack, ResourceValidationPolicy, StackValidationPolicy
from pulumi_policy.proxy import UnknownValueError

sys.path.insert(0, str(Path(__file__).parents[1]))
from policies import RULES
from policies.rule import Rule, create_resource, find_beside


def create_policy(id_: str, rules: list[Rule]) -> ResourceValidationPolicy | StackValidationPolicy:
    """Returns a policy that judges each resource before it is created; the stack for rules about several resources."""
    reason = next((rule.why_not for rule in rules if rule.why_not), "")
    level = EnforcementLevel.ADVISORY if reason else EnforcementLevel.MANDATORY
    settings = {"name": id_.lower(), "display_name": id_, "description": rules[0].requires, "enforcement_level": level}
    if any(rule.beside for rule in rules):
        return StackValidationPolicy(validate=lambda args, report: validate_stack(rules, args, report), **settings)
    return ResourceValidationPolicy(validate=lambda args, report: validate_resource(rules, args, report), **settings)


def validate_resource(rules, args, report) -> None:
    resource = create_resource(args.urn, args.resource_type, args.name, args.props, {})
    for rule in rules:
        if resource.type == rule.type and not rule.holds(resource.props):
            report(rule.requires)


def validate_stack(rules, args, report) -> None:
    resources = []
    for each in args.resources:
        uses = {key: [used.urn for used in used_by] for key, used_by in each.property_dependencies.items()}
        try:
            resources.append(create_resource(each.urn, each.resource_type, each.name, each.props, uses))
        except UnknownValueError:
            continue
    for rule in rules:
        for resource in resources:
            try:
                if resource.type == rule.type and not rule.holds(
                    resource.props, find_beside(rule, resource, resources)
                ):
                    report(rule.requires, resource.urn)
            except UnknownValueError:
                continue


POLICIES = [
    create_policy(id_, [rule for rule in RULES if id_ in rule.ids.split()])
    for id_ in sorted({id_ for rule in RULES for id_ in rule.ids.split()})
]

PolicyPack(name="avatars", policies=POLICIES)
