"""API Gateway and CloudFront, which local/emulators serves from the record."""

from __future__ import annotations

import secrets

from local.emulators.moto import ACCOUNT_ID
from local.recording.recorder import Resource
from local.resources.handlers import Cloud, Made, Maker, recorded


def _api(_resource: Resource, cloud: Cloud) -> Made:
    id_ = secrets.token_hex(5)
    return id_, {
        "apiEndpoint": cloud.api_url,
        "arn": f"arn:aws:apigateway:{cloud.aws.region}::/apis/{id_}",
        "executionArn": cloud.aws.arn("execute-api", id_),
    }


def _stage(resource: Resource, cloud: Cloud) -> Made:
    name = resource.inputs["name"]
    execution_arn = cloud.aws.arn("execute-api", f"{resource.inputs['apiId']}/{name}")
    return name, {"invokeUrl": cloud.api_url, "executionArn": execution_arn}


def _distribution(_resource: Resource, cloud: Cloud) -> Made:
    id_ = f"E{secrets.token_hex(6).upper()}"
    return id_, {
        "arn": f"arn:aws:cloudfront::{ACCOUNT_ID}:distribution/{id_}",
        # A real one has a host under cloudfront.net; this address makes every URL the program builds reachable here.
        "domainName": cloud.cdn_authority,
        "hostedZoneId": "Z2FDTNDATAQYW2",
    }


MAKERS: dict[str, Maker] = {
    "aws:apigatewayv2/api:Api": _api,
    "aws:apigatewayv2/authorizer:Authorizer": recorded,
    "aws:apigatewayv2/integration:Integration": recorded,
    "aws:apigatewayv2/route:Route": recorded,
    "aws:apigatewayv2/stage:Stage": _stage,
    "aws:cloudfront/distribution:Distribution": _distribution,
    "aws:cloudfront/originAccessControl:OriginAccessControl": recorded,
    "aws:cloudfront/cachePolicy:CachePolicy": recorded,
    "aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy": recorded,
    "aws:cloudfront/function:Function": recorded,
}
