"""The interface of resource handlers, and functions that they share."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from local.emulators.moto import MotoServer
from local.recording.graph import Graph, ProgramError, Resource


@dataclass(frozen=True)
class HandlerContext:
    """What a handler can use: the AWS endpoint, the addresses of the emulators, and the resources created so far."""

    aws: MotoServer
    api_url: str
    cdn_authority: str
    graph: Graph


CreatedResource = tuple[str, Mapping[str, Any]]
"""The ID and the computed outputs."""

ResourceHandler = Callable[[Resource, HandlerContext], CreatedResource]


def resolve_physical_name(resource: Resource, name_input: str) -> str:
    """Returns the input `name_input` or, as Pulumi auto-naming does, the logical name with a random suffix."""
    return resource.inputs.get(name_input) or f"{resource.name}-{secrets.token_hex(4)[:7]}"


def record_only(resource: Resource, _context: HandlerContext) -> CreatedResource:
    """Handles a resource that only an emulator reads, or that has no counterpart in a local run."""
    return f"{resource.name}-{secrets.token_hex(4)[:7]}", {}


def create_resource(
    handlers: Mapping[str, ResourceHandler], resource: Resource, context: HandlerContext
) -> CreatedResource:
    """Calls the handler of the resource type.

    Raises:
        ProgramError: There is no handler for the type.
    """
    handler = handlers.get(resource.type)
    if handler is None:
        raise ProgramError(
            f"a local run does not support {resource.type} ({resource.name}): add a handler in local/resources/"
        )
    return handler(resource, context)


# Resources whose handlers set something, and can set it again.
_SETTINGS = {
    "aws:s3/bucketObjectv2:BucketObjectv2",
    "aws:s3/bucketCorsConfiguration:BucketCorsConfiguration",
    "aws:s3/bucketNotification:BucketNotification",
}


def update_resource(
    handlers: Mapping[str, ResourceHandler], resource: Resource, existing: Resource, context: HandlerContext
) -> CreatedResource:
    """Updates a resource in place. Returns its ID and the computed outputs, which do not change.

    Raises:
        ProgramError: The update is not possible.
    """
    if resource.type in _SETTINGS:
        return create_resource(handlers, resource, context)
    unset = object()
    computed = {name: value for name, value in existing.outputs.items() if existing.inputs.get(name, unset) != value}
    return existing.id, computed
