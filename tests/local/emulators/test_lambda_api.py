"""Functions can be invoked through Lambda's API, with the permissions that Lambda requires."""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.emulators import lambda_functions
from local.emulators.lambda_functions import LambdaFunction, SourceFunction
from local.stack import LocalStack
from tests.local.conftest import operate


@pytest.fixture(scope="module")
def function(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Generator[LambdaFunction]:
    """One that fails, in a stack that it leaves as it was: without an error in a log."""
    folder = tmp_path_factory.mktemp("function")
    (folder / "handler.py").write_text("def handle(event, _context):\n    return event['name']\n")
    arn = stack.aws.arn("lambda", "function:failing-1a2b3c4")
    stack.functions.add(arn, SourceFunction(folder, {}), folder / "log")
    yield stack.functions.by_arn[arn]
    stack.functions.by_arn.pop(arn).close()


def create_role_client(stack: LocalStack, *resources: str) -> Any:
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": resources}],
    }
    return stack.aws.client_as("lambda", stack.aws.principals.add_role("caller", [policy]).to_environment())


def invoke(client: Any, function_name: str, event: object, **options: str) -> tuple[int, str | None, Any]:
    """Returns the status, the function error and the payload."""
    response = client.invoke(FunctionName=function_name, Payload=json.dumps(event), **options)
    return response["StatusCode"], response.get("FunctionError"), json.loads(response["Payload"].read())


def test_invocation_by_operator_returns_the_payload(stack: LocalStack) -> None:
    sweep = stack.functions.find_by_package("sweep_avatars")
    status, error, payload = invoke(operate(stack).create_client("lambda"), sweep.arn, {})
    assert (status, error) == (200, None)
    assert payload == sweep.invoke({}).payload


def test_configuration_has_code_hash_time_and_log_group(stack: LocalStack) -> None:
    name = stack.exports["functions"]["sweep_avatars"]
    configuration = stack.aws.client("lambda").get_function_configuration(FunctionName=name)
    assert re.fullmatch(r"[\w+/]{43}=", configuration["CodeSha256"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000\+0000", configuration["LastModified"])
    assert configuration["LoggingConfig"]["LogGroup"].startswith("avatars-pipeline-sweep-avatars-logs-")
    with pytest.raises(ClientError, match="Function not found: nope"):
        stack.aws.client("lambda").get_function_configuration(FunctionName="nope")


def test_large_log_is_moved_after_an_invocation(
    stack: LocalStack, function: LambdaFunction, monkeypatch: pytest.MonkeyPatch
) -> None:
    function.invoke({})
    before = function.read_log()
    monkeypatch.setattr(lambda_functions, "_MAX_LOG_BYTES", 100)
    function.invoke({})
    former = function.config.log.with_name("log.1").read_text()
    assert former.startswith(before)
    assert len(former) > len(before) > 100
    assert function.read_log() == ""


def test_failed_invocation_returns_the_function_error(stack: LocalStack, function: LambdaFunction) -> None:
    status, error, payload = invoke(stack.aws.client("lambda"), function.arn, {})
    assert (status, error, payload["errorType"]) == (200, "Unhandled", "KeyError")


def test_function_is_found_by_arn_partial_arn_and_name(stack: LocalStack, function: LambdaFunction) -> None:
    name = function.arn.rsplit(":", 1)[1]
    for function_name in (name, f"123456789012:function:{name}", f"{name}:$LATEST", f"{function.arn}:$LATEST"):
        assert invoke(stack.aws.client("lambda"), function_name, {})[1] == "Unhandled"
    assert invoke(stack.aws.client("lambda"), name, {}, Qualifier="$LATEST")[1] == "Unhandled"


@pytest.mark.parametrize("suffix", ["x", ":live"])
def test_unknown_function_or_alias_is_not_found(stack: LocalStack, function: LambdaFunction, suffix: str) -> None:
    client = stack.aws.client("lambda")
    with pytest.raises(client.exceptions.ResourceNotFoundException) as error:
        client.invoke(FunctionName=function.arn + suffix, Payload=b"{}")
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    assert error.value.response["Type"] == "User"
    assert error.value.response["Error"]["Message"] == f"Function not found: {function.arn}{suffix}"


def test_malformed_payload_or_asynchronous_invocation_is_rejected(stack: LocalStack, function: LambdaFunction) -> None:
    client = stack.aws.client("lambda")
    with pytest.raises(client.exceptions.InvalidRequestContentException):
        client.invoke(FunctionName=function.arn, Payload=b"{")
    with pytest.raises(client.exceptions.InvalidParameterValueException, match="only the invocation type"):
        client.invoke(FunctionName=function.arn, InvocationType="Event")


def test_role_invokes_only_what_its_policy_names(stack: LocalStack, function: LambdaFunction) -> None:
    allowed = create_role_client(stack, function.arn)
    assert invoke(allowed, function.arn, {})[0] == 200
    other = stack.functions.find_by_package("sweep_avatars").arn
    for denied in (other, f"{function.arn}:$LATEST"):
        with pytest.raises(ClientError, match=r"lambda:InvokeFunction on resource") as error:
            allowed.invoke(FunctionName=denied)
        assert error.value.response["Error"]["Code"] == "AccessDeniedException"
    qualified = create_role_client(stack, f"{function.arn}:$LATEST")
    assert invoke(qualified, f"{function.arn}:$LATEST", {})[0] == 200
    with pytest.raises(ClientError, match="caller is not authorized"):
        qualified.invoke(FunctionName=function.arn)


def test_other_request_of_a_role_to_lambda_is_denied(stack: LocalStack, function: LambdaFunction) -> None:
    with pytest.raises(ClientError, match=f"lambda: GET /2015-03-31/functions/{function.arn.replace(':', '%3A')}$"):
        create_role_client(stack, "*").get_function(FunctionName=function.arn)
