"""Cognito user pools, and IAM roles (whose policies the guard judges)."""

from __future__ import annotations

from local.emulators.moto import ACCOUNT_ID
from local.recording.recorder import Resource
from local.resources.handlers import Cloud, Made, Maker, physical_name, recorded


def _user_pool(resource: Resource, cloud: Cloud) -> Made:
    """A real one's endpoint has a host of Cognito's; this is where a browser finds it here."""
    inputs = resource.inputs
    pool = cloud.aws.client("cognito-idp").create_user_pool(
        PoolName=physical_name(resource, "name"),
        UsernameAttributes=inputs.get("usernameAttributes", []),
        AutoVerifiedAttributes=inputs.get("autoVerifiedAttributes", []),
        Policies={"PasswordPolicy": _capitalised(inputs.get("passwordPolicy", {}))},
    )["UserPool"]
    return pool["Id"], {"arn": pool["Arn"], "endpoint": f"{cloud.aws.authority}/{pool['Id']}"}


def _capitalised(settings: dict[str, object]) -> dict[str, object]:
    return {f"{name[0].upper()}{name[1:]}": value for name, value in settings.items()}


def _user_pool_client(resource: Resource, cloud: Cloud) -> Made:
    client = cloud.aws.client("cognito-idp").create_user_pool_client(
        UserPoolId=resource.inputs["userPoolId"],
        ClientName=physical_name(resource, "name"),
        GenerateSecret=bool(resource.inputs.get("generateSecret", False)),
        ExplicitAuthFlows=resource.inputs["explicitAuthFlows"],
    )["UserPoolClient"]
    return client["ClientId"], {"clientSecret": client.get("ClientSecret", "")}


def _role(resource: Resource, _cloud: Cloud) -> Made:
    name = physical_name(resource, "name")
    return name, {"name": name, "arn": f"arn:aws:iam::{ACCOUNT_ID}:role/{name}"}


MAKERS: dict[str, Maker] = {
    "aws:cognito/userPool:UserPool": _user_pool,
    "aws:cognito/userPoolClient:UserPoolClient": _user_pool_client,
    "aws:iam/role:Role": _role,
    "aws:iam/rolePolicy:RolePolicy": recorded,
}
