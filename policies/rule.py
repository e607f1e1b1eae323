"""What a rule is, and how it is applied to the resources of a stack.

Property names are those of pulumi-aws; a Cloud Control resource has the type and properties of its `desiredState`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, TypeAlias

Props: TypeAlias = Mapping[str, Any]

CLOUD_CONTROL = "aws:cloudcontrol/resource:Resource"


@dataclass(frozen=True)
class Rule:
    """A rule of cdk-nag (AwsSolutions-...) or of checkov (CKV_AWS_..., CKV2_AWS_...)."""

    ids: str
    """The tools' own, separated by spaces if both have the rule."""
    requires: str
    """What holds for a resource that follows the rule, in a sentence."""
    type: str
    """The resource type that it judges."""
    check: Callable[..., bool]
    """Takes the resource's properties; with `beside` also the list of those of the resources beside it."""
    _: KW_ONLY
    passes: Props
    """A sample that follows the rule."""
    fails: Props
    """One that does not."""
    beside: tuple[tuple[str, str], ...] = ()
    """Types and properties: resources of these types that use the judged resource in that property."""
    passes_beside: tuple[Props, ...] = ()
    """The resources beside the sample `passes`."""
    fails_beside: tuple[Props, ...] = ()
    """The resources beside the sample `fails`."""
    why_not: str = ""
    """Why this project does not follow the rule everywhere. Such a rule is advisory, all others are mandatory."""

    def holds(self, props: Props, beside: Sequence[Props] = ()) -> bool:
        return self.check(props, beside) if self.beside else self.check(props)


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A resource of a stack."""

    urn: str
    type: str
    name: str
    props: Props
    uses: Mapping[str, Collection[str]] = field(default_factory=dict[str, Collection[str]])
    """The URNs of the resources from which the value of a property comes, by property."""


def create_resource(urn: str, type_: str, name: str, props: Props, uses: Mapping[str, Collection[str]]) -> Resource:
    if type_ == CLOUD_CONTROL:
        type_, props = props["typeName"], json.loads(props["desiredState"])
    return Resource(urn=urn, type=type_, name=name, props=props, uses=uses)


def find_beside(rule: Rule, resource: Resource, resources: Iterable[Resource]) -> list[Props]:
    return [
        other.props
        for other in resources
        if any(other.type == type_ and resource.urn in other.uses.get(key, ()) for type_, key in rule.beside)
    ]


def find_violations(rule: Rule, resources: Sequence[Resource]) -> list[Resource]:
    """Returns the resources that do not follow the rule."""
    judged = (resource for resource in resources if resource.type == rule.type)
    return [r for r in judged if not rule.holds(r.props, find_beside(rule, r, resources) if rule.beside else ())]


def get(props: Props, path: str) -> Any:
    """Returns the value at a path such as `rule.objectOwnership`, or None."""
    value: Any = props
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def is_true(path: str) -> Callable[[Props], bool]:
    return lambda props: get(props, path) is True


def is_given(path: str) -> Callable[[Props], bool]:
    return lambda props: bool(get(props, path))


def is_one_of(path: str, *values: object) -> Callable[[Props], bool]:
    return lambda props: get(props, path) in values


def is_at_least(path: str, minimum: int) -> Callable[[Props], bool]:
    return lambda props: (get(props, path) or 0) >= minimum


def has_one(_props: Props, beside: Sequence[Props]) -> bool:
    """Whether there is a resource beside this one."""
    return bool(beside)
