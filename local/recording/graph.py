"""The resource graph that a run of a program registers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A registered resource.

    Property names are camelCase, as in the resource monitor protocol. Secrets are unwrapped. Whole numbers are ints.
    """

    urn: str
    type: str
    name: str
    custom: bool
    parent: str
    inputs: dict[str, Any]
    id: str = ""
    outputs: dict[str, Any] = field(default_factory=dict[str, Any])
    component_outputs: dict[str, Any] | None = None
    protect: bool = False
    retain_on_delete: bool = False
    provider: str = ""
    dependencies: frozenset[str] = frozenset()
    property_dependencies: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    aliases: tuple[str, ...] = ()
    ignore_changes: tuple[str, ...] = ()


@dataclass
class Graph:
    """The resources and stack outputs of one run, resources by URN."""

    resources: dict[str, Resource] = field(default_factory=dict[str, Resource])
    exports: dict[str, Any] = field(default_factory=dict[str, Any])

    def __iter__(self) -> Iterator[Resource]:
        return iter(list(self.resources.values()))  # a program that runs adds others meanwhile

    def of_type(self, type_: str) -> list[Resource]:
        return [resource for resource in self if resource.type == type_]

    def one(self, type_: str, name: str | None = None) -> Resource:
        """Returns the only resource of a type, or of a type and a logical name.

        Raises:
            LookupError: There is no such resource, or more than one.
        """
        found = [r for r in self.of_type(type_) if name is None or r.name == name]
        if len(found) != 1:
            description = type_ if name is None else f"{type_} named {name}"
            raise LookupError(f"expected one {description}, found {[r.name for r in found]}")
        return found[0]

    def named(self, name: str) -> Resource:
        """Returns the only resource with a logical name.

        Raises:
            LookupError: There is no such resource, or more than one.
        """
        found = [resource for resource in self if resource.name == name]
        if len(found) != 1:
            raise LookupError(f"expected one resource named {name}, found {[r.type for r in found]}")
        return found[0]

    def children(self, urn: str) -> list[Resource]:
        return [resource for resource in self if resource.parent == urn]

    def with_output(self, type_: str, output: str, value: object) -> Resource:
        """Returns the only resource of a type with `value` in an output or input, such as the bucket with a given name.

        Raises:
            LookupError: There is no such resource, or more than one.
        """
        found = [r for r in self.of_type(type_) if {**r.inputs, **r.outputs}.get(output) == value]
        if len(found) != 1:
            raise LookupError(f"expected one {type_} with {output} = {value!r}, found {[r.name for r in found]}")
        return found[0]


class ProgramError(Exception):
    """The program does something that the Pulumi engine, the provider or AWS would reject."""
