"""What a maker is, and the registry of all of them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from local.emulators.moto import Aws
from local.recording.recorder import Graph, ProgramError, Resource


@dataclass(frozen=True)
class Cloud:
    """What makers work with: the AWS endpoint, the fronts' addresses, and what has been registered so far."""

    aws: Aws
    api_url: str
    cdn_authority: str
    graph: Graph


Made = tuple[str, Mapping[str, Any]]
Maker = Callable[[Resource, Cloud], Made]


def physical_name(resource: Resource, given: str) -> str:
    """The name the program gave in the input `given`, or one with a random suffix, as Pulumi's auto-naming."""
    return resource.inputs.get(given) or f"{resource.name}-{secrets.token_hex(4)[:7]}"


def recorded(resource: Resource, _cloud: Cloud) -> Made:
    """For a resource that only a front reads, or that describes what a local run does not have."""
    return f"{resource.name}-{secrets.token_hex(4)[:7]}", {}


def make(makers: Mapping[str, Maker], resource: Resource, cloud: Cloud) -> Made:
    """Raises ProgramError for a type that no maker knows."""
    maker = makers.get(resource.type)
    if maker is None:
        raise ProgramError(
            f"a local run does not know {resource.type} ({resource.name}): add a maker in local/resources/"
        )
    return maker(resource, cloud)
