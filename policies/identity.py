"""AWS IAM and Amazon Cognito."""

from collections.abc import Callable

from policies.documents import (
    allows_any,
    list_actions,
    list_allowed,
    list_denied,
    list_of,
    list_principals,
    list_resources,
    list_unrestricted,
)
from policies.rule import Props, Rule, get, is_at_least, is_one_of

ROLE = "aws:iam/role:Role"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
USER_POOL = "aws:cognito/userPool:UserPool"

_ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
_IAM_FULL_ACCESS = "arn:aws:iam::aws:policy/IAMFullAccess"
_GITHUB = "token.actions.githubusercontent.com"
_READS = ("describe", "get", "list", "batchget", "search", "view", "lookup", "query", "scan")

# https://rhinosecuritylabs.com/aws/aws-privilege-escalation-methods-mitigation/ Actions that escalate privileges alone,
# and those that do so with iam:PassRole.
_ESCALATING = (
    *("iam:createaccesskey", "iam:createloginprofile", "iam:updateloginprofile", "iam:addusertogroup"),
    *("iam:createpolicyversion", "iam:setdefaultpolicyversion", "iam:attachuserpolicy", "iam:attachgrouppolicy"),
    *("iam:attachrolepolicy", "iam:putuserpolicy", "iam:putgrouppolicy", "iam:putrolepolicy"),
    *("iam:updateassumerolepolicy", "lambda:updatefunctioncode", "glue:updatedevendpoint"),
)
_ESCALATING_WITH_ROLE = (
    *("ec2:runinstances", "lambda:createfunction", "glue:createdevendpoint"),
    *("cloudformation:createstack", "datapipeline:createpipeline"),
)
# https://gist.github.com/kmcquade/33860a617e651104d243c324ddf7992a, of the services that the program uses
_RETURNING_CREDENTIALS = (
    *("sts:assumerole", "sts:assumerolewithsaml", "sts:assumerolewithwebidentity", "sts:getfederationtoken"),
    *("sts:getsessiontoken", "iam:createaccesskey", "iam:createloginprofile", "iam:updateaccesskey"),
    *("rds-db:connect", "cognito-identity:getcredentialsforidentity", "cognito-identity:getopenidtoken"),
    *("cognito-idp:getsigningcertificate", "ec2:getpassworddata", "ecr:getauthorizationtoken"),
)
_EXFILTRATING = (
    *("s3:getobject", "ssm:getparameter", "ssm:getparameters", "ssm:getparametersbypath"),
    "secretsmanager:getsecretvalue",
)
_MANAGING_PERMISSIONS = (
    *("iam:attach*", "iam:create*", "iam:delete*", "iam:put*", "iam:update*", "iam:passrole"),
    *("s3:putbucketpolicy", "s3:putbucketacl", "s3:putobjectacl", "s3:putbucketpublicaccessblock"),
    *("sqs:addpermission", "sqs:setqueueattributes", "sns:addpermission", "sns:settopicattributes"),
    *("lambda:addpermission", "kms:putkeypolicy", "kms:creategrant", "ec2:createnetworkinterfacepermission"),
)


# https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsx-ray.html
_WITHOUT_RESOURCES = {"xray:puttracesegments", "xray:puttelemetryrecords"}


def _policy(*actions: str, resource: str = "*", effect: str = "Allow") -> Props:
    statement = {"Effect": effect, "Action": list(actions), "Resource": resource}
    return {"policy": {"Version": "2012-10-17", "Statement": [statement]}}


def _trust(principal: object, **condition: object) -> Props:
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **condition}
    return {"assumeRolePolicy": {"Statement": [statement]}}


_ONE_OBJECT = _policy("s3:GetObject", resource="arn:aws:s3:::data/one")


def _allows_none_of(*actions: str) -> Callable[[Props], bool]:
    return lambda policy: not allows_any(policy, *actions)


def _escalates(policy: Props) -> bool:
    return allows_any(policy, *_ESCALATING) or (
        allows_any(policy, "iam:passrole") and allows_any(policy, *_ESCALATING_WITH_ROLE)
    )


def _is_read(action: str) -> bool:
    return action.partition(":")[2].startswith(_READS)


def _trusts_account(principal: str) -> bool:
    return principal.isdecimal() or principal.endswith(":root")


def _trusts_one_github_repository(role: Props) -> bool:
    return all(
        any(
            key == f"{_GITHUB}:sub" and not any(value.startswith("*") for value in list_of(values))
            for operator in statement.get("Condition", {}).values()
            for key, values in operator.items()
        )
        for statement in list_allowed(role, "assumeRolePolicy")
        if any(_GITHUB in principal for principal in list_principals(statement))
    )


def _has_policy(arn: str) -> Callable[[Props], bool]:
    return lambda role: arn not in (role.get("managedPolicyArns") or ())


RULES = (
    Rule(
        "AwsSolutions-IAM4",
        "The role has no managed policy of AWS.",
        ROLE,
        lambda role: not any(":aws:policy/" in arn for arn in role.get("managedPolicyArns") or ()),
        passes={"managedPolicyArns": ["arn:aws:iam::123456789012:policy/own"]},
        fails={"managedPolicyArns": ["arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"]},
    ),
    Rule(
        "AwsSolutions-IAM5",
        "Actions and resources are named without wildcards.",
        ROLE_POLICY,
        lambda policy: (
            not any(
                "*" in text
                for statement in list_allowed(policy)
                for text in (*list_actions(statement), *list_resources(statement))
            )
        ),
        passes=_ONE_OBJECT,
        fails=_policy("s3:GetObject", resource="arn:aws:s3:::data/*"),
        why_not="No action has a wildcard. Resources have one for the objects below a prefix, the streams of one log "
        "group, and the network interfaces of functions in a VPC, which do not exist yet.",
    ),
    Rule(
        "CKV_AWS_62",
        "The policy does not allow every action for every resource.",
        ROLE_POLICY,
        lambda policy: "*" not in list_unrestricted(policy),
        passes=_ONE_OBJECT,
        fails=_policy("*"),
    ),
    Rule(
        "CKV_AWS_63",
        "The policy does not allow every action.",
        ROLE_POLICY,
        lambda policy: not any("*" in list_actions(statement) for statement in list_allowed(policy)),
        passes=_ONE_OBJECT,
        fails=_policy("*", resource="arn:aws:s3:::data/*"),
    ),
    Rule(
        "CKV2_AWS_40",
        "The policy does not allow every action of IAM.",
        ROLE_POLICY,
        lambda policy: not any({"*", "iam:*"} & set(list_actions(statement)) for statement in list_allowed(policy)),
        passes=_ONE_OBJECT,
        fails=_policy("iam:*"),
    ),
    Rule(
        "CKV_AWS_286",
        "The policy does not allow to escalate privileges.",
        ROLE_POLICY,
        lambda policy: not _escalates(policy),
        passes=_policy("lambda:CreateFunction"),
        fails=_policy("iam:PassRole", "lambda:CreateFunction"),
    ),
    Rule(
        "CKV_AWS_287",
        "The policy does not allow to get credentials of any resource.",
        ROLE_POLICY,
        _allows_none_of(*_RETURNING_CREDENTIALS),
        passes=_policy("rds-db:connect", resource="arn:aws:rds-db:eu-west-1:123456789012:dbuser:cluster-A/app"),
        fails=_policy("rds-db:connect"),
    ),
    Rule(
        "CKV_AWS_288",
        "The policy does not allow to read data of any resource.",
        ROLE_POLICY,
        _allows_none_of(*_EXFILTRATING),
        passes=_ONE_OBJECT,
        fails=_policy("s3:GetObject"),
    ),
    Rule(
        "CKV_AWS_289",
        "The policy does not allow to manage permissions of any resource.",
        ROLE_POLICY,
        _allows_none_of(*_MANAGING_PERMISSIONS),
        passes=_policy("s3:PutBucketPolicy", resource="arn:aws:s3:::data"),
        fails=_policy("s3:PutBucketPolicy"),
    ),
    Rule(
        "CKV_AWS_290",
        "The policy does not allow to write to any resource.",
        ROLE_POLICY,
        lambda policy: all(_is_read(action) for action in set(list_unrestricted(policy)) - _WITHOUT_RESOURCES),
        passes=_policy("ec2:DescribeSubnets", "xray:PutTraceSegments"),
        fails=_policy("ec2:CreateNetworkInterface"),
        why_not="Lambda creates the network interfaces of functions in a VPC with the function's role. The same policy "
        "denies it to the function's code.",
    ),
    Rule(
        "CKV_AWS_355",
        "Actions that can be restricted to a resource are.",
        ROLE_POLICY,
        lambda policy: all(
            _is_read(action) for action in set(list_unrestricted(policy)) - list_denied(policy) - _WITHOUT_RESOURCES
        ),
        passes={
            "policy": {
                "Statement": [
                    {"Effect": "Allow", "Action": "ec2:CreateNetworkInterface", "Resource": "*"},
                    {
                        "Effect": "Deny",
                        "Action": "ec2:CreateNetworkInterface",
                        "Resource": "*",
                        "Condition": {"Null": {}},
                    },
                ]
            }
        },
        fails=_policy("ec2:CreateNetworkInterface"),
    ),
    Rule(
        "CKV_AWS_60",
        "Not everyone may assume the role.",
        ROLE,
        lambda role: not any("*" in list_principals(s) for s in list_allowed(role, "assumeRolePolicy")),
        passes=_trust({"Service": "lambda.amazonaws.com"}),
        fails=_trust({"AWS": "*"}),
    ),
    Rule(
        "CKV_AWS_61",
        "Not everyone in an account may assume the role.",
        ROLE,
        lambda role: (
            not any(
                _trusts_account(principal)
                for statement in list_allowed(role, "assumeRolePolicy")
                for principal in list_principals(statement)
            )
        ),
        passes=_trust({"AWS": "arn:aws:iam::123456789012:role/one"}),
        fails=_trust({"AWS": "arn:aws:iam::123456789012:root"}),
    ),
    Rule(
        "CKV_AWS_274",
        "The role is not an administrator.",
        ROLE,
        _has_policy(_ADMINISTRATOR),
        passes={},
        fails={"managedPolicyArns": [_ADMINISTRATOR]},
    ),
    Rule(
        "CKV2_AWS_56",
        "The role has not all permissions of IAM.",
        ROLE,
        _has_policy(_IAM_FULL_ACCESS),
        passes={},
        fails={"managedPolicyArns": [_IAM_FULL_ACCESS]},
    ),
    Rule(
        "CKV_AWS_393",
        "A role for GitHub Actions is for one repository or owner.",
        ROLE,
        _trusts_one_github_repository,
        passes=_trust(
            {"Federated": f"arn:aws:iam::123456789012:oidc-provider/{_GITHUB}"},
            Condition={"StringLike": {f"{_GITHUB}:sub": "repo:example/avatars:*"}},
        ),
        fails=_trust({"Federated": f"arn:aws:iam::123456789012:oidc-provider/{_GITHUB}"}),
    ),
    Rule(
        "AwsSolutions-COG1",
        "Passwords have eight characters, with upper case, numbers and symbols.",
        USER_POOL,
        lambda pool: (
            is_at_least("passwordPolicy.minimumLength", 8)(pool)
            and all(get(pool, f"passwordPolicy.require{kind}") for kind in ("Uppercase", "Numbers", "Symbols"))
        ),
        passes={
            "passwordPolicy": {
                "minimumLength": 8,
                "requireUppercase": True,
                "requireNumbers": True,
                "requireSymbols": True,
            }
        },
        fails={"passwordPolicy": {"minimumLength": 8, "requireUppercase": True, "requireNumbers": True}},
    ),
    Rule(
        "AwsSolutions-COG2",
        "Users need a second factor.",
        USER_POOL,
        is_one_of("mfaConfiguration", "ON"),
        passes={"mfaConfiguration": "ON"},
        fails={"mfaConfiguration": "OPTIONAL"},
        why_not="Users can set up an authenticator app. The pool is for those who have no identity provider yet, and "
        "the profile page has no pages to set up a factor. With an existing pool or `issuer`, its rules apply.",
    ),
    Rule(
        "AwsSolutions-COG8",
        "The user pool has the feature plan Plus, with threat protection.",
        USER_POOL,
        is_one_of("userPoolTier", "PLUS"),
        passes={"userPoolTier": "PLUS"},
        fails={"userPoolTier": "ESSENTIALS"},
        why_not="Plus is $0.02 for each monthly active user, from the first one: more than everything else together.",
    ),
)
