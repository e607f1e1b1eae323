"""Every right and every variable the program gives a function is needed, and a run without it breaks."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

import pytest
import requests

from client.session import ClientError
from functions.process_avatar import cleanup
from functions.shared import storage_keys, upload_id
from local.aws_checks.iam import Statement, evaluate
from local.emulators.lambda_functions import Function
from local.emulators.lambda_sandbox import Sandbox
from local.emulators.sqs_poller import EventSource
from local.recording.recorder import ProgramError, Resource
from local.stack import LocalStack
from tests.local.conftest import event_of, send, sign_in, wait_until

ENOUGH_SECONDS = 1.5  # a warm upload takes a tenth of this


@pytest.fixture(scope="module")
def fragile(config: dict[str, str], photo: bytes) -> Generator[LocalStack]:
    """A stack of this module's own: what is broken here leaves messages behind."""
    with LocalStack(config) as stack:
        use_everything(stack, photo, seconds=20)
        yield stack


def use_everything(stack: LocalStack, photo: bytes, seconds: float = ENOUGH_SECONDS) -> None:
    """Every route and every path of the pipeline. Raises or fails when one of them does not do its work."""
    session = sign_in(stack)
    headers = {"Authorization": f"Bearer {session.access_token}"}
    assert requests.get(f"{stack.api_url}/avatars/me", headers=headers, timeout=10).status_code == 404
    profile = requests.get(f"{stack.api_url}/profile", headers=headers, timeout=10).json()
    assert profile["avatar"] is None
    form = requests.post(
        f"{stack.api_url}/avatars/key_upload", json={"extension": "gif"}, headers=headers, timeout=10
    ).json()
    status = f"{stack.api_url}/avatars/uploads/"
    assert requests.get(status + form["upload_id"], headers=headers, timeout=10).json()["status"] == "pending"
    long_ago = upload_id.new(session.subject, int((time.time() - 3600) * 1000))
    assert requests.get(status + long_ago, headers=headers, timeout=10).status_code == 404
    gone = storage_keys.incoming_key(session.subject, long_ago)
    send(stack, event_of(gone))
    wait_until(lambda: says(stack, gone, "original is gone"), "an original that is gone is dropped", seconds)
    with pytest.raises(ClientError, match="rejected: not_an_image"):
        session.upload(b"no picture", "image/png", seconds)
    wait_until(lambda: rejections(stack, session.subject), "the webhook tells of the rejection", seconds)
    (rejected,) = rejections(stack, session.subject)
    posted_again = storage_keys.incoming_key(session.subject, rejected)
    stack.aws.client("s3").put_object(Bucket=stack.exports["uploadsBucket"], Key=posted_again, Body=b"nor is this")
    wait_until(lambda: says(stack, rejected, "duplicate event of a rejected"), "the rejection is known", seconds)
    wait_until(lambda: not originals(stack, session.subject), "originals that were answered are deleted", seconds)
    former = session.upload(photo, "image/jpeg", seconds).avatar
    upload = session.upload(photo, "image/jpeg", seconds)
    assert stack.receiver.wait_for(upload.upload_id, seconds)["event"] == "avatar.ready"
    assert requests.get(f"{stack.api_url}/avatars/me", headers=headers, timeout=10).json() == upload.avatar
    public = requests.get(f"{stack.api_url}/profiles/{profile['handle']}", timeout=10).json()
    assert public["avatar"]["url"] == upload.avatar["url"]
    assert stack.functions.named("migrate_database").invoke({"target": "head"}).error is None
    send(stack, cleanup.SupersededAvatar.from_manifest(dict(former)).to_message())
    wait_until(lambda: not pictures(stack, former), "the former avatar's pictures are taken away", seconds)
    assert len(pictures(stack, upload.avatar)) == 1
    for mapping in stack.graph.of_type("aws:lambda/eventSourceMapping:EventSourceMapping"):
        EventSource(mapping, stack.graph, stack.functions, stack.aws)


def rejections(stack: LocalStack, subject: str) -> list[str]:
    """The uploads of a subject that the webhook called rejected."""
    return [e["upload_id"] for e in stack.receiver.events if (e["event"], e["subject"]) == ("avatar.rejected", subject)]


def originals(stack: LocalStack, subject: str) -> list[str]:
    listing = stack.aws.client("s3").list_objects_v2(
        Bucket=stack.exports["uploadsBucket"], Prefix=f"{storage_keys.INCOMING}{subject}/"
    )
    return [stored["Key"] for stored in listing.get("Contents", [])]


def pictures(stack: LocalStack, manifest: Mapping[str, Any]) -> list[str]:
    """The keys of the pictures there are of one version."""
    prefix = f"avatars/{manifest['subject']}/{manifest['version']}/"
    listing = stack.aws.client("s3").list_objects_v2(Bucket=stack.exports["assetsBucket"], Prefix=prefix)
    return [stored["Key"] for stored in listing.get("Contents", [])]


def says(stack: LocalStack, upload: str, what: str) -> bool:
    lines = stack.functions.named("process_avatar").log().splitlines()
    return any(upload in line and what in line for line in lines)


def grants(function: Function) -> Iterator[tuple[Statement, str]]:
    for statement in function.role.statements or []:
        for action in statement.actions:
            yield statement, action


def breaks(run: Callable[[], None]) -> bool:
    try:
        run()
    except (AssertionError, ClientError, KeyError, ProgramError, TimeoutError, pytest.fail.Exception):
        return True
    return False


def test_no_right_is_granted_that_is_not_used(fragile: LocalStack) -> None:
    unused = [
        (function.name, action, resource)
        for function in fragile.functions.by_arn.values()
        for statement, action in grants(function)
        for resource in statement.resources
        if not any(
            evaluate([Statement("Allow", (action,), (resource,), (), ())], used_action, used_resource, {})
            for used_action, used_resource in function.role.used
        )
    ]
    assert unused == []


@pytest.mark.timeout(240)
def test_without_any_one_action_the_run_breaks(fragile: LocalStack, photo: bytes) -> None:
    survived: list[tuple[str, str]] = []
    for function in fragile.functions.by_arn.values():
        granted = function.role.statements
        assert granted
        for statement, action in grants(function):
            if action.startswith("logs:"):
                continue  # looked at when the function is deployed: the next test
            left = dataclasses.replace(statement, actions=tuple(a for a in statement.actions if a != action))
            function.role.statements = [left if s is statement else s for s in granted]
            function.close()  # what a running function has read already it would not ask for again
            if not breaks(lambda: use_everything(fragile, photo)):
                survived.append((function.name, action))
            function.role.statements = granted
    assert survived == []
    use_everything(fragile, photo, seconds=20)  # with every right back it works: nothing else was broken


@pytest.mark.parametrize("action", ["logs:CreateLogStream", "logs:PutLogEvents", "s3:PutObject"])
def test_without_an_action_in_the_program_the_local_run_breaks(
    config: dict[str, str], photo: bytes, action: str
) -> None:
    def tamper(resource: Resource) -> Resource:
        if resource.name != "avatars-pipeline-process-avatar-policy":
            return resource
        policy = json.loads(resource.inputs["policy"])
        for statement in policy["Statement"]:
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            statement["Action"] = [a for a in actions if a != action]
        return dataclasses.replace(resource, inputs=resource.inputs | {"policy": json.dumps(policy)})

    def run() -> None:
        with LocalStack(config, tamper=tamper) as stack:
            use_everything(stack, photo)

    assert breaks(run)


def test_without_a_variable_in_the_program_the_local_run_breaks(config: dict[str, str], photo: bytes) -> None:
    def tamper(resource: Resource) -> Resource:
        if resource.name != "avatars-api-presign-upload":
            return resource
        variables = dict(resource.inputs["environment"]["variables"])
        del variables["UPLOADS_BUCKET"]
        return dataclasses.replace(resource, inputs=resource.inputs | {"environment": {"variables": variables}})

    def run() -> None:
        with LocalStack(config, tamper=tamper) as stack:
            use_everything(stack, photo)

    assert breaks(run)


def test_a_function_without_any_one_of_its_variables_does_not_start(fragile: LocalStack) -> None:
    started: list[tuple[str, str]] = []
    for resource in fragile.graph.of_type("aws:lambda/function:Function"):
        function = fragile.functions.by_arn[resource.outputs["arn"]]
        for variable in resource.inputs["environment"]["variables"]:
            environment = {k: v for k, v in function.specification.environment.items() if k != variable}
            sandbox = Sandbox(dataclasses.replace(function.specification, environment=environment))
            answer = sandbox.invoke({})
            sandbox.close()
            if answer.error is None or variable not in answer.error["errorMessage"]:
                started.append((function.name, variable))
    assert started == []
