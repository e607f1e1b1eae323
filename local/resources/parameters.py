"""Handlers for Systems Manager parameters."""

from __future__ import annotations

from local.recording.graph import Resource
from local.resources.handlers import CreatedResource, HandlerContext, ResourceHandler, resolve_physical_name


def _parameter(resource: Resource, context: HandlerContext) -> CreatedResource:
    name = resolve_physical_name(resource, "name")
    context.aws.client("ssm").put_parameter(Name=name, Type=resource.inputs["type"], Value=resource.inputs["value"])
    return name, {"name": name, "arn": context.aws.arn("ssm", f"parameter/{name.removeprefix('/')}"), "version": 1}


HANDLERS: dict[str, ResourceHandler] = {"aws:ssm/parameter:Parameter": _parameter}
