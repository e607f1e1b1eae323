"""Whose users may upload: a Cognito user pool that is there already, or one made here."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_aws import cognito

from components.blocks import validation


@dataclass(frozen=True, kw_only=True)
class IdentityArgs:
    """With neither id given, a pool and a client are made."""

    user_pool_id: pulumi.Input[str] | None = None
    client_id: pulumi.Input[str] | None = None
    self_sign_up: bool = False
    """Whether everybody may make themselves a user of the pool that is made; else only its administrators can."""
    protect: bool = True
    """Whether Pulumi and Cognito refuse to delete the pool that is made, with all its users."""

    def __post_init__(self) -> None:
        validation.require(
            self,
            user_pool_id=validation.optional(validation.USER_POOL_ID),
            client_id=validation.optional(validation.USER_POOL_CLIENT_ID),
        )
        if (self.user_pool_id is None) != (self.client_id is None):
            raise ValueError("IdentityArgs needs both of user_pool_id and client_id, or neither")


class Identity(pulumi.ComponentResource):
    """`avatars:index:Identity`

    Makes: a user pool and an app client, unless both are given.
    """

    user_pool_id: pulumi.Output[str]
    client_id: pulumi.Output[str]
    issuer: pulumi.Output[str]
    """The `iss` of the pool's tokens."""
    sign_in_url: pulumi.Output[str]
    """Where pages post their users' sign-in, https://<host>, without a slash at the end."""

    def __init__(
        self,
        name: str,
        args: IdentityArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("avatars:index:Identity", name, None, opts)

        if args.user_pool_id is not None and args.client_id is not None:
            self.user_pool_id = pulumi.Output.from_input(args.user_pool_id)
            self.client_id = pulumi.Output.from_input(args.client_id)
            endpoint = self.user_pool_id.apply(_endpoint)
        else:
            pool = self._user_pool(name, args)
            self.user_pool_id = pool.id
            self.client_id = self._client(name, pool).id
            endpoint = pool.endpoint
        self.issuer = self.user_pool_id.apply(lambda id_: f"https://{_endpoint(id_)}")
        self.sign_in_url = endpoint.apply(lambda host_and_pool: f"https://{host_and_pool.split('/')[0]}")
        self.register_outputs(
            {
                "user_pool_id": self.user_pool_id,
                "client_id": self.client_id,
                "issuer": self.issuer,
                "sign_in_url": self.sign_in_url,
            }
        )

    def _user_pool(self, name: str, args: IdentityArgs) -> cognito.UserPool:
        return cognito.UserPool(
            f"{name}-users",
            username_attributes=["email"],
            auto_verified_attributes=["email"],
            admin_create_user_config=cognito.UserPoolAdminCreateUserConfigArgs(
                allow_admin_create_user_only=not args.self_sign_up
            ),
            username_configuration=cognito.UserPoolUsernameConfigurationArgs(case_sensitive=False),
            password_policy=cognito.UserPoolPasswordPolicyArgs(
                minimum_length=12,
                require_lowercase=True,
                require_uppercase=True,
                require_numbers=True,
                require_symbols=True,
                temporary_password_validity_days=7,
            ),
            # Codes of an authenticator app only: text messages cost money and can be redirected.
            mfa_configuration="OPTIONAL",
            software_token_mfa_configuration=cognito.UserPoolSoftwareTokenMfaConfigurationArgs(enabled=True),
            account_recovery_setting=cognito.UserPoolAccountRecoverySettingArgs(
                recovery_mechanisms=[
                    cognito.UserPoolAccountRecoverySettingRecoveryMechanismArgs(name="verified_email", priority=1)
                ]
            ),
            deletion_protection="ACTIVE" if args.protect else "INACTIVE",
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect, retain_on_delete=args.protect),
        )

    def _client(self, name: str, pool: cognito.UserPool) -> cognito.UserPoolClient:
        return cognito.UserPoolClient(
            f"{name}-client",
            user_pool_id=pool.id,
            generate_secret=False,  # pages and command lines cannot keep one
            explicit_auth_flows=[
                "ALLOW_USER_SRP_AUTH",
                # For the command-line client, which has no SRP; the password goes to Cognito over TLS.
                "ALLOW_USER_PASSWORD_AUTH",
                "ALLOW_REFRESH_TOKEN_AUTH",
            ],
            prevent_user_existence_errors="ENABLED",
            enable_token_revocation=True,
            access_token_validity=1,
            id_token_validity=1,
            refresh_token_validity=30,
            token_validity_units=cognito.UserPoolClientTokenValidityUnitsArgs(
                access_token="hours",  # noqa: S106 - a unit of time
                id_token="hours",  # noqa: S106
                refresh_token="days",  # noqa: S106
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )


def _endpoint(user_pool_id: str) -> str:
    """Cognito's host and the pool's id, as the pool itself says it.

    The region is part of a pool's id, so a given pool may be in another region than the stack.

    https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html
    """
    region = user_pool_id.split("_")[0]
    return f"cognito-idp.{region}.amazonaws.com/{user_pool_id}"
