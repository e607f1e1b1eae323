"""Handlers for Lambda and its schedules. local/emulators runs the functions and polls their event sources."""

from __future__ import annotations

from local.recording.graph import Resource
from local.resources.handlers import (
    CreatedResource,
    HandlerContext,
    ResourceHandler,
    record_only,
    resolve_physical_name,
)


def _function(resource: Resource, context: HandlerContext) -> CreatedResource:
    name = resolve_physical_name(resource, "name")
    arn = context.aws.arn("lambda", f"function:{name}")
    invoke = f"arn:aws:apigateway:{context.aws.region}:lambda:path/2015-03-31/functions/{arn}/invocations"
    return name, {"name": name, "arn": arn, "invokeArn": invoke, "qualifiedArn": f"{arn}:$LATEST", "version": "$LATEST"}


def _layer(resource: Resource, context: HandlerContext) -> CreatedResource:
    layer_arn = context.aws.arn("lambda", f"layer:{resource.inputs['layerName']}")
    return f"{layer_arn}:1", {"arn": f"{layer_arn}:1", "layerArn": layer_arn, "version": "1"}


HANDLERS: dict[str, ResourceHandler] = {
    "aws:lambda/function:Function": _function,
    "aws:lambda/layerVersion:LayerVersion": _layer,
    "aws:lambda/permission:Permission": record_only,
    "aws:lambda/invocation:Invocation": record_only,
    "aws:lambda/eventSourceMapping:EventSourceMapping": record_only,
    # Nothing runs on schedule in a local run, which does not live for a day.
    "aws:scheduler/schedule:Schedule": record_only,
}
