"""Handlers for Cognito user pools and IAM roles. The request validator evaluates the policies of the roles."""

from __future__ import annotations

from local.emulators.moto import ACCOUNT_ID
from local.recording.graph import Resource
from local.resources.handlers import (
    CreatedResource,
    HandlerContext,
    ResourceHandler,
    record_only,
    resolve_physical_name,
)


def _user_pool(resource: Resource, context: HandlerContext) -> CreatedResource:
    inputs = resource.inputs
    pool = context.aws.client("cognito-idp").create_user_pool(
        PoolName=resolve_physical_name(resource, "name"),
        UsernameAttributes=inputs.get("usernameAttributes", []),
        AutoVerifiedAttributes=inputs.get("autoVerifiedAttributes", []),
        Policies={"PasswordPolicy": _capitalised(inputs.get("passwordPolicy", {}))},
    )["UserPool"]
    # In place of a host of Cognito, so that a browser calls the local endpoint.
    return pool["Id"], {"arn": pool["Arn"], "endpoint": f"{context.aws.authority}/{pool['Id']}"}


def _capitalised(settings: dict[str, object]) -> dict[str, object]:
    return {f"{name[0].upper()}{name[1:]}": value for name, value in settings.items()}


def _user_pool_client(resource: Resource, context: HandlerContext) -> CreatedResource:
    client = context.aws.client("cognito-idp").create_user_pool_client(
        UserPoolId=resource.inputs["userPoolId"],
        ClientName=resolve_physical_name(resource, "name"),
        GenerateSecret=bool(resource.inputs.get("generateSecret", False)),
        ExplicitAuthFlows=resource.inputs["explicitAuthFlows"],
    )["UserPoolClient"]
    return client["ClientId"], {"clientSecret": client.get("ClientSecret", "")}


def _role(resource: Resource, _context: HandlerContext) -> CreatedResource:
    name = resolve_physical_name(resource, "name")
    return name, {"name": name, "arn": f"arn:aws:iam::{ACCOUNT_ID}:role/{name}"}


HANDLERS: dict[str, ResourceHandler] = {
    "aws:cognito/userPool:UserPool": _user_pool,
    "aws:cognito/userPoolClient:UserPoolClient": _user_pool_client,
    "aws:iam/role:Role": _role,
    "aws:iam/rolePolicy:RolePolicy": record_only,
}
