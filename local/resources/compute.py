"""Lambda functions, layers, permissions and event sources: run by local/emulators/lambda_functions.py."""

from __future__ import annotations

from local.recording.recorder import Resource
from local.resources.handlers import Cloud, Made, Maker, physical_name, recorded


def _function(resource: Resource, cloud: Cloud) -> Made:
    name = physical_name(resource, "name")
    arn = cloud.aws.arn("lambda", f"function:{name}")
    invoke = f"arn:aws:apigateway:{cloud.aws.region}:lambda:path/2015-03-31/functions/{arn}/invocations"
    return name, {"name": name, "arn": arn, "invokeArn": invoke, "qualifiedArn": f"{arn}:$LATEST", "version": "$LATEST"}


def _layer(resource: Resource, cloud: Cloud) -> Made:
    layer_arn = cloud.aws.arn("lambda", f"layer:{resource.inputs['layerName']}")
    return f"{layer_arn}:1", {"arn": f"{layer_arn}:1", "layerArn": layer_arn, "version": "1"}


MAKERS: dict[str, Maker] = {
    "aws:lambda/function:Function": _function,
    "aws:lambda/layerVersion:LayerVersion": _layer,
    "aws:lambda/permission:Permission": recorded,
    "aws:lambda/invocation:Invocation": recorded,
    "aws:lambda/eventSourceMapping:EventSourceMapping": recorded,
}
