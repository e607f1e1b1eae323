"""AWS Lambda and Amazon EventBridge Scheduler."""

import re

from policies.rule import Props, Rule, get, is_given, is_one_of

FUNCTION = "aws:lambda/function:Function"
PERMISSION = "aws:lambda/permission:Permission"

# Python's newest: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html
_LATEST = "python3.14"
_DEPRECATED = re.compile(
    r"python(2\.7|3\.[6-9])|nodejs([468]\..*|1[0246]\.x)?|java8|go1\.x|provided|ruby2\.[57]"
    r"|dotnet[5-7](\.0)?|dotnetcore[123]\.[01]"
)
# The secrets that checkov looks for: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
_SECRET = re.compile(r"(?<![A-Z0-9])(AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])|-----BEGIN [A-Z ]*PRIVATE KEY-----")


def _has_secret(function: Props) -> bool:
    variables = get(function, "environment.variables") or {}
    return any(_SECRET.search(value) for value in variables.values() if isinstance(value, str))


RULES = (
    Rule(
        "AwsSolutions-L1",
        "The runtime is the latest of its language.",
        FUNCTION,
        is_one_of("runtime", _LATEST),
        passes={"runtime": "python3.14"},
        fails={"runtime": "python3.13"},
    ),
    Rule(
        "CKV_AWS_363",
        "The runtime is not deprecated.",
        FUNCTION,
        lambda function: not _DEPRECATED.fullmatch(function.get("runtime", "")),
        passes={"runtime": "python3.14"},
        fails={"runtime": "python3.9"},
    ),
    Rule(
        "CKV_AWS_45",
        "Environment variables contain no credentials.",
        FUNCTION,
        lambda function: not _has_secret(function),
        passes={"environment": {"variables": {"BUCKET": "data"}}},
        fails={"environment": {"variables": {"KEY": "AKIAIOSFODNN7EXAMPLE"}}},
    ),
    Rule(
        "CKV_AWS_173",
        "Environment variables are encrypted with a key of one's own.",
        FUNCTION,
        lambda function: not function.get("environment") or bool(function.get("kmsKeyArn")),
        passes={"environment": {"variables": {"A": "b"}}, "kmsKeyArn": "arn:aws:kms:eu-west-1:123456789012:key/a"},
        fails={"environment": {"variables": {"A": "b"}}},
        why_not="They are names of resources and limits, no secrets, and are encrypted with the key of Lambda.",
    ),
    Rule(
        "CKV_AWS_50",
        "X-Ray tracing is on.",
        FUNCTION,
        is_one_of("tracingConfig.mode", "Active", "PassThrough"),
        passes={"tracingConfig": {"mode": "Active"}},
        fails={},
        why_not="Met with `tracing`. Traces are billed, and metrics have the time of each upload.",
    ),
    Rule(
        "CKV_AWS_115",
        "The function has its own limit of concurrency.",
        FUNCTION,
        lambda function: function.get("reservedConcurrentExecutions", -1) >= 0,
        passes={"reservedConcurrentExecutions": 5},
        fails={},
        why_not="Reserved concurrency is taken from all other functions of the account; `reservedConcurrency` sets it. "
        "The API is throttled, and the concurrency of processing is limited by the queue.",
    ),
    Rule(
        "CKV_AWS_116",
        "The function has a dead-letter queue.",
        FUNCTION,
        is_given("deadLetterConfig.targetArn"),
        passes={"deadLetterConfig": {"targetArn": "arn:aws:sqs:eu-west-1:123456789012:dead"}},
        fails={},
        why_not="It would only get asynchronous invocations. The only ones are those of the daily sweep, whose failure "
        "is an alarm and which the next day repeats. The queue of uploads has a dead-letter queue.",
    ),
    Rule(
        "CKV_AWS_117",
        "The function is in a VPC.",
        FUNCTION,
        is_given("vpcConfig"),
        passes={"vpcConfig": {"subnetIds": ["subnet-1"], "securityGroupIds": ["sg-1"]}},
        fails={},
        why_not="Functions that use a database in a VPC are. The others only use APIs of AWS, and the authorizer the "
        "keys of an issuer on the internet, for which they would need a NAT gateway and endpoints.",
    ),
    Rule(
        "CKV_AWS_272",
        "The function only runs signed code.",
        FUNCTION,
        is_given("codeSigningConfigArn"),
        passes={"codeSigningConfigArn": "arn:aws:lambda:eu-west-1:123456789012:code-signing-config:a"},
        fails={},
        why_not="Whoever can deploy could also sign. Packages are built from pinned versions with hashes to the same "
        "bytes.",
    ),
    Rule(
        "CKV_AWS_301",
        "Not everyone may invoke the function.",
        PERMISSION,
        lambda permission: permission["principal"] != "*",
        passes={"principal": "apigateway.amazonaws.com"},
        fails={"principal": "*"},
    ),
    Rule(
        "CKV_AWS_364",
        "A service may only invoke the function for one resource or account.",
        PERMISSION,
        lambda permission: (
            not permission["principal"].endswith(".amazonaws.com")
            or bool(permission.get("sourceArn") or permission.get("sourceAccount"))
        ),
        passes={"principal": "apigateway.amazonaws.com", "sourceArn": "arn:aws:execute-api:eu-west-1:123456789012:a/*"},
        fails={"principal": "apigateway.amazonaws.com"},
    ),
    Rule(
        "CKV2_AWS_75",
        "The function's URL does not allow every origin with every method.",
        FUNCTION,
        lambda _, urls: (
            not any(
                "*" in (get(url, "cors.allowOrigins") or ()) and "*" in (get(url, "cors.allowMethods") or ())
                for url in urls
            )
        ),
        beside=(("aws:lambda/functionUrl:FunctionUrl", "functionName"),),
        passes={},
        passes_beside=({"cors": {"allowOrigins": ["https://app.example.com"], "allowMethods": ["*"]}},),
        fails={},
        fails_beside=({"cors": {"allowOrigins": ["*"], "allowMethods": ["*"]}},),
    ),
    Rule(
        "CKV_AWS_297",
        "The schedule is encrypted with a key of one's own.",
        "aws:scheduler/schedule:Schedule",
        is_given("kmsKeyArn"),
        passes={"kmsKeyArn": "arn:aws:kms:eu-west-1:123456789012:key/a"},
        fails={},
        why_not="It is encrypted with a key that AWS owns. A schedule without input has nothing to protect.",
    ),
)
