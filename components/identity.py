"""The Cognito user pool and app client whose users can upload: existing ones, or new ones."""

from dataclasses import dataclass

import pulumi
from pulumi_aws import cognito

from components.blocks import validation


@dataclass(frozen=True, kw_only=True)
class IdentityArgs:
    user_pool_id: pulumi.Input[str] | None = None
    """An existing user pool; requires client_id. None: a user pool and an app client are created."""
    client_id: pulumi.Input[str] | None = None
    """An app client of user_pool_id."""
    self_sign_up: bool = False
    """Whether users of the created pool can sign themselves up; if not, only administrators create users."""
    email_identity_arn: pulumi.Input[str] | None = None
    """A verified Amazon SES identity from which the created pool sends messages. None: Cognito's own address, which
    sends at most 50 a day: https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-email.html"""
    protect: bool = True
    """Sets `protect`, `retain_on_delete` and Cognito deletion protection on the created pool."""

    def __post_init__(self) -> None:
        validation.require(
            self,
            user_pool_id=validation.optional(validation.USER_POOL_ID),
            client_id=validation.optional(validation.USER_POOL_CLIENT_ID),
            email_identity_arn=validation.optional(validation.EMAIL_IDENTITY_ARN),
        )
        if (self.user_pool_id is None) != (self.client_id is None):
            raise ValueError("IdentityArgs requires both of user_pool_id and client_id, or neither")


class Identity(pulumi.ComponentResource):
    """`avatars:index:Identity`

    Creates a user pool and an app client, unless existing ones are given.
    """

    user_pool_id: pulumi.Output[str]
    client_id: pulumi.Output[str]
    issuer: pulumi.Output[str]
    """The `iss` claim of the pool's tokens."""
    sign_in_url: pulumi.Output[str]
    """Cognito's API endpoint, https://<host>, without a trailing slash."""

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
            endpoint = self.user_pool_id.apply(_get_endpoint)
        else:
            pool = self._create_user_pool(name, args)
            self.user_pool_id = pool.id
            self.client_id = self._create_client(name, pool).id
            endpoint = pool.endpoint
        self.issuer = self.user_pool_id.apply(lambda id_: f"https://{_get_endpoint(id_)}")
        self.sign_in_url = endpoint.apply(lambda value: f"https://{value.split('/')[0]}")
        self.register_outputs(
            {
                "user_pool_id": self.user_pool_id,
                "client_id": self.client_id,
                "issuer": self.issuer,
                "sign_in_url": self.sign_in_url,
            }
        )

    def _create_user_pool(self, name: str, args: IdentityArgs) -> cognito.UserPool:
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
            # TOTP only: SMS messages cost money and can be intercepted.
            mfa_configuration="OPTIONAL",
            software_token_mfa_configuration=cognito.UserPoolSoftwareTokenMfaConfigurationArgs(enabled=True),
            account_recovery_setting=cognito.UserPoolAccountRecoverySettingArgs(
                recovery_mechanisms=[
                    cognito.UserPoolAccountRecoverySettingRecoveryMechanismArgs(name="verified_email", priority=1)
                ]
            ),
            email_configuration=_build_email_configuration(args.email_identity_arn),
            deletion_protection="ACTIVE" if args.protect else "INACTIVE",
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect, retain_on_delete=args.protect),
        )

    def _create_client(self, name: str, pool: cognito.UserPool) -> cognito.UserPoolClient:
        return cognito.UserPoolClient(
            f"{name}-client",
            user_pool_id=pool.id,
            generate_secret=False,  # pages and command-line tools cannot keep a secret
            explicit_auth_flows=[
                "ALLOW_USER_SRP_AUTH",
                # For the command-line client, which does not implement SRP.
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


def _build_email_configuration(
    identity_arn: pulumi.Input[str] | None,
) -> cognito.UserPoolEmailConfigurationArgs | None:
    if identity_arn is None:
        return None
    return cognito.UserPoolEmailConfigurationArgs(
        email_sending_account="DEVELOPER",
        source_arn=identity_arn,
        from_email_address=pulumi.Output.from_input(identity_arn).apply(_get_sender),
    )


def _get_sender(identity_arn: str) -> str:
    """Returns the address of arn:aws:ses:<region>:<account>:identity/<address or domain>."""
    identity = identity_arn.partition("/")[2]
    return identity if "@" in identity else f"no-reply@{identity}"


def _get_endpoint(user_pool_id: str) -> str:
    """Returns the value of the `endpoint` output of a user pool, which may be in another region than the stack.

    https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html
    """
    region = user_pool_id.split("_")[0]
    return f"cognito-idp.{region}.amazonaws.com/{user_pool_id}"
