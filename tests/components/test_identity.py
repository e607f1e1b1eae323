"""Identity, used alone."""

from __future__ import annotations

from typing import Any

import pytest

from components.identity import Identity, IdentityArgs
from local.recording.graph import Graph
from tests.components.conftest import RunAlone

POOL = "aws:cognito/userPool:UserPool"
CLIENT = "aws:cognito/userPoolClient:UserPoolClient"


@pytest.fixture(scope="module")
def own(run_alone: RunAlone) -> Graph:
    return run_alone(lambda: Identity("identity", IdentityArgs()))


def test_created_pool_has_email_sign_in_password_policy_and_totp(
    own: Graph,
) -> None:
    pool = own.one(POOL)
    assert pool.inputs == {
        "usernameAttributes": ["email"],
        "autoVerifiedAttributes": ["email"],
        "adminCreateUserConfig": {"allowAdminCreateUserOnly": True},
        "usernameConfiguration": {"caseSensitive": False},
        "passwordPolicy": {
            "minimumLength": 12,
            "requireLowercase": True,
            "requireUppercase": True,
            "requireNumbers": True,
            "requireSymbols": True,
            "temporaryPasswordValidityDays": 7,
        },
        "mfaConfiguration": "OPTIONAL",
        "softwareTokenMfaConfiguration": {"enabled": True},
        "accountRecoverySetting": {"recoveryMechanisms": [{"name": "verified_email", "priority": 1}]},
        "deletionProtection": "ACTIVE",
    }
    assert (pool.protect, pool.retain_on_delete) == (True, True)


@pytest.mark.parametrize(
    ("identity", "sender"),
    [("example.com", "no-reply@example.com"), ("avatars@example.com", "avatars@example.com")],
)
def test_created_pool_sends_from_given_ses_identity(run_alone: RunAlone, identity: str, sender: str) -> None:
    identity_arn = f"arn:aws:ses:eu-west-1:123456789012:identity/{identity}"
    graph = run_alone(lambda: Identity("identity", IdentityArgs(email_identity_arn=identity_arn)))
    assert graph.one(POOL).inputs["emailConfiguration"] == {
        "emailSendingAccount": "DEVELOPER",
        "sourceArn": identity_arn,
        "fromEmailAddress": sender,
    }


def test_created_client_has_no_secret_and_revocable_tokens(own: Graph) -> None:
    assert own.one(CLIENT).inputs == {
        "userPoolId": "eu-west-1_AbCdEfGhI",
        "generateSecret": False,
        "explicitAuthFlows": [
            "ALLOW_USER_SRP_AUTH",
            "ALLOW_USER_PASSWORD_AUTH",
            "ALLOW_REFRESH_TOKEN_AUTH",
        ],
        "preventUserExistenceErrors": "ENABLED",
        "enableTokenRevocation": True,
        "accessTokenValidity": 1,
        "idTokenValidity": 1,
        "refreshTokenValidity": 30,
        "tokenValidityUnits": {"accessToken": "hours", "idToken": "hours", "refreshToken": "days"},
    }


def test_created_pool_unprotected_is_deletable(run_alone: RunAlone) -> None:
    pool = run_alone(lambda: Identity("identity", IdentityArgs(protect=False))).one(POOL)
    assert pool.inputs["deletionProtection"] == "INACTIVE"
    assert (pool.protect, pool.retain_on_delete) == (False, False)


def test_existing_pool_in_another_region_creates_nothing(run_alone: RunAlone) -> None:
    given = IdentityArgs(user_pool_id="us-east-1_Given", client_id="given")
    graph = run_alone(lambda: Identity("identity", given))
    assert graph.of_type(POOL) == graph.of_type(CLIENT) == []
    assert graph.one("avatars:index:Identity").component_outputs == {
        "user_pool_id": "us-east-1_Given",
        "client_id": "given",
        "issuer": "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Given",
        "sign_in_url": "https://cognito-idp.us-east-1.amazonaws.com",
    }


def test_outputs_of_created_pool(own: Graph) -> None:
    assert own.one("avatars:index:Identity").component_outputs == {
        "user_pool_id": "eu-west-1_AbCdEfGhI",
        "client_id": "1example23456789",
        "issuer": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEfGhI",
        "sign_in_url": "https://cognito-idp.eu-west-1.amazonaws.com",
    }


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        ({"user_pool_id": "us-east-1_Given"}, "both of user_pool_id and client_id, or neither"),
        ({"client_id": "given"}, "both of user_pool_id and client_id, or neither"),
        ({"user_pool_id": "pool", "client_id": "given"}, "user_pool_id is 'pool'; allowed is the ID of a Cognito"),
    ],
)
def test_args_invalid_raises_value_error(args: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        IdentityArgs(**args)
