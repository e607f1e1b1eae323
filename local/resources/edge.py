"""Handlers for API Gateway and CloudFront, which local/emulators emulates from the recorded resources.

And for the certificates and DNS records of a custom domain. Nothing on the machine resolves its names: a test sends
requests for them to the emulators.
"""

from __future__ import annotations

import secrets
import uuid

from local.emulators.moto import ACCOUNT_ID
from local.recording.graph import Resource
from local.resources.handlers import CreatedResource, HandlerContext, ResourceHandler, record_only


def _api(_resource: Resource, context: HandlerContext) -> CreatedResource:
    id_ = secrets.token_hex(5)
    return id_, {
        "apiEndpoint": context.api_url,
        "arn": f"arn:aws:apigateway:{context.aws.region}::/apis/{id_}",
        "executionArn": context.aws.arn("execute-api", id_),
    }


def _stage(resource: Resource, context: HandlerContext) -> CreatedResource:
    name = resource.inputs["name"]
    execution_arn = context.aws.arn("execute-api", f"{resource.inputs['apiId']}/{name}")
    return name, {"invokeUrl": context.api_url, "executionArn": execution_arn}


def _domain_name(resource: Resource, context: HandlerContext) -> CreatedResource:
    name, configuration = resource.inputs["domainName"], resource.inputs["domainNameConfiguration"]
    target = f"d-{secrets.token_hex(5)}.execute-api.{context.aws.region}.amazonaws.com"
    return name, {
        "arn": f"arn:aws:apigateway:{context.aws.region}::/domainnames/{name}",
        "domainNameConfiguration": {**configuration, "targetDomainName": target, "hostedZoneId": "ZLJ7H2QZTX8YV"},
    }


def _certificate(resource: Resource, context: HandlerContext) -> CreatedResource:
    arn = context.aws.arn("acm", f"certificate/{uuid.uuid4()}")
    name = resource.inputs["domainName"]
    option = {
        "domainName": name,
        "resourceRecordName": f"_{secrets.token_hex(16)}.{name}",
        "resourceRecordType": "CNAME",
        "resourceRecordValue": f"_{secrets.token_hex(16)}.acm-validations.aws",
    }
    return arn, {"arn": arn, "domainValidationOptions": [option]}


def _record(resource: Resource, _context: HandlerContext) -> CreatedResource:
    name = resource.inputs["name"]
    return f"{resource.inputs['zoneId']}_{name}_{resource.inputs['type']}", {"fqdn": name}


def _distribution(resource: Resource, context: HandlerContext) -> CreatedResource:
    """Creates a distribution that gets invalidations. The emulator has everything else from the recorded resource."""
    origins = [{"Id": origin["originId"], "DomainName": origin["domainName"]} for origin in resource.inputs["origins"]]
    created = context.aws.client("cloudfront").create_distribution(
        DistributionConfig={
            "CallerReference": secrets.token_hex(8),
            "Comment": resource.inputs["comment"],
            "Enabled": resource.inputs["enabled"],
            "Origins": {"Quantity": len(origins), "Items": origins},
            "DefaultCacheBehavior": {
                "TargetOriginId": resource.inputs["defaultCacheBehavior"]["targetOriginId"],
                "ViewerProtocolPolicy": resource.inputs["defaultCacheBehavior"]["viewerProtocolPolicy"],
            },
        }
    )
    id_ = created["Distribution"]["Id"]
    return id_, {
        "arn": f"arn:aws:cloudfront::{ACCOUNT_ID}:distribution/{id_}",
        # In place of a host under cloudfront.net, so that every URL of the program leads to the emulator.
        "domainName": context.cdn_authority,
        "hostedZoneId": "Z2FDTNDATAQYW2",
    }


HANDLERS: dict[str, ResourceHandler] = {
    "aws:apigatewayv2/api:Api": _api,
    "aws:apigatewayv2/authorizer:Authorizer": record_only,
    "aws:apigatewayv2/integration:Integration": record_only,
    "aws:apigatewayv2/route:Route": record_only,
    "aws:apigatewayv2/stage:Stage": _stage,
    "aws:cloudfront/distribution:Distribution": _distribution,
    "aws:cloudfront/originAccessControl:OriginAccessControl": record_only,
    "aws:cloudfront/cachePolicy:CachePolicy": record_only,
    "aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy": record_only,
    "aws:cloudfront/function:Function": record_only,
    "aws:apigatewayv2/domainName:DomainName": _domain_name,
    "aws:apigatewayv2/apiMapping:ApiMapping": record_only,
    "aws:acm/certificate:Certificate": _certificate,
    "aws:acm/certificateValidation:CertificateValidation": record_only,
    "aws:route53/record:Record": _record,
}
