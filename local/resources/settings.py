"""Systems Manager: parameters that functions read when they start."""

from __future__ import annotations

from local.recording.recorder import Resource
from local.resources.handlers import Cloud, Made, Maker, physical_name


def _parameter(resource: Resource, cloud: Cloud) -> Made:
    name = physical_name(resource, "name")
    cloud.aws.client("ssm").put_parameter(Name=name, Type=resource.inputs["type"], Value=resource.inputs["value"])
    return name, {"name": name, "arn": cloud.aws.arn("ssm", f"parameter/{name.removeprefix('/')}"), "version": 1}


MAKERS: dict[str, Maker] = {"aws:ssm/parameter:Parameter": _parameter}
