"""Every permission and every environment variable of a function is needed: without it, the stack breaks."""

from __future__ import annotations

import dataclasses
import datetime
import json
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from moto.s3.models import s3_backends

from client.session import ClientError
from functions.shared import storage_keys, upload_id
from lambda_packages.build import Platform, build_packages
from local.aws_checks.iam import Statement, evaluate
from local.emulators.lambda_functions import Deployment, LambdaFunction, LambdaFunctions
from local.emulators.lambda_sandbox import Sandbox
from local.emulators.moto import ACCOUNT_ID
from local.emulators.sqs_poller import EventSourceMapping
from local.recording.graph import Graph, ProgramError, Resource
from local.stack import LocalStack
from tests.local.conftest import build_s3_event, send_message, sign_in, wait_until

_TIMEOUT_SECONDS = 1.5  # ten times the duration of a warm upload


@pytest.fixture(scope="module")
def healthy(config: dict[str, str], photo: bytes) -> Generator[LocalStack]:
    """A stack for this module only, because its tests leave messages in the queue."""
    with LocalStack(config) as stack:
        use_everything(stack, photo, seconds=20)
        yield stack


def use_everything(stack: LocalStack, photo: bytes, seconds: float = _TIMEOUT_SECONDS) -> None:
    """Uses every route and every path of the pipeline. Raises if one of them fails."""
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
    long_ago = upload_id.create(session.subject, int((time.time() - 3600) * 1000))
    assert requests.get(status + long_ago, headers=headers, timeout=10).status_code == 404
    gone = storage_keys.incoming_key(session.subject, long_ago)
    send_message(stack, build_s3_event(gone))
    wait_until(
        lambda: has_logged(stack, gone, "original is gone"), "the event of a missing original is dropped", seconds
    )
    with pytest.raises(ClientError, match="rejected: not_an_image"):
        session.upload(b"no picture", "image/png", seconds)
    wait_until(lambda: list_rejected_uploads(stack, session.subject), "the webhook reports the rejection", seconds)
    (rejected,) = list_rejected_uploads(stack, session.subject)
    posted_again = storage_keys.incoming_key(session.subject, rejected)
    stack.aws.client("s3").put_object(Bucket=stack.exports["uploadsBucket"], Key=posted_again, Body=b"nor is this")
    wait_until(
        lambda: has_logged(stack, rejected, "rejection is already recorded"),
        "the duplicate of a rejected upload is detected",
        seconds,
    )
    wait_until(lambda: not list_originals(stack, session.subject), "processed originals are deleted", seconds)
    delete_avatar(stack, session.subject, headers, seconds)  # before the first avatar: there are only rejections
    former = session.upload(photo, "image/jpeg", seconds).avatar
    upload = session.upload(photo, "image/jpeg", seconds)
    assert stack.receiver.wait_for(upload.upload_id, seconds)["event"] == "avatar.ready"
    assert requests.get(f"{stack.api_url}/avatars/me", headers=headers, timeout=10).json() == upload.avatar
    public = requests.get(f"{stack.api_url}/profiles/{profile['handle']}", timeout=10).json()
    assert public["avatar"]["url"] == upload.avatar["url"]
    assert stack.functions.find_by_package("migrate_database").invoke({"target": "head"}).error is None
    fail_and_retry(stack, session.subject, photo, seconds)
    sweep_in_a_month(stack, former)
    assert len(list_pictures(stack, upload.avatar)) == 1
    delete_avatar(stack, session.subject, headers, seconds)
    process_unrecorded_deletion(stack, seconds)
    delete_profile(stack, session.subject, headers)
    for mapping in stack.graph.of_type("aws:lambda/eventSourceMapping:EventSourceMapping"):
        EventSourceMapping(mapping, stack.graph, stack.functions, stack.aws)


@contextmanager
def hold_events(stack: LocalStack) -> Generator[None]:
    """Keeps events of S3 back, so that process_avatar does not write the record of a deletion first."""
    s3, bucket = stack.aws.client("s3"), stack.exports["uploadsBucket"]
    configuration = s3.get_bucket_notification_configuration(Bucket=bucket)
    del configuration["ResponseMetadata"]
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    try:
        yield
    finally:
        s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)


def delete_avatar(stack: LocalStack, subject: str, headers: Mapping[str, str], seconds: float) -> None:
    """Deletes the avatar. Raises if something of the subject stays."""
    with hold_events(stack):
        assert requests.delete(f"{stack.api_url}/avatars/me", headers=headers, timeout=10).status_code == 204
    (request,) = (key for key in list_uploads(stack, subject) if key.startswith(storage_keys.DELETIONS))
    send_message(stack, build_s3_event(request))
    wait_until(
        lambda: not list_uploads(stack, subject),
        "originals, rejections and the request are deleted, after the deletion was announced",
        seconds,
    )


def process_unrecorded_deletion(stack: LocalStack, seconds: float) -> None:
    """Processes the request of a deletion whose function ended before it replaced the avatar."""
    subject = str(uuid.uuid4())
    request = storage_keys.deletion_key(subject, upload_id.create(subject, int(time.time() * 1000)))
    stack.aws.client("s3").put_object(Bucket=stack.exports["uploadsBucket"], Key=request)
    wait_until(lambda: not list_uploads(stack, subject), "the request is deleted", seconds)


def delete_profile(stack: LocalStack, subject: str, headers: Mapping[str, str]) -> None:
    """Deletes the profile of a user whose only upload was rejected."""
    rejected = storage_keys.rejection_key(subject, upload_id.create(subject, int(time.time() * 1000)))
    stack.aws.client("s3").put_object(Bucket=stack.exports["uploadsBucket"], Key=rejected, Body=b"{}")
    with hold_events(stack):
        assert requests.delete(f"{stack.api_url}/profile", headers=headers, timeout=10).status_code == 204


def list_uploads(stack: LocalStack, subject: str) -> list[str]:
    """Returns the keys of everything in the uploads bucket that belongs to a subject."""
    listing = stack.aws.client("s3").list_objects_v2(Bucket=stack.exports["uploadsBucket"])
    return [stored["Key"] for stored in listing.get("Contents", []) if subject in stored["Key"]]


def fail_and_retry(stack: LocalStack, subject: str, photo: bytes, seconds: float) -> None:
    """Lets a message fail once, with a crop that no form has: it is retried when the original is gone."""
    failing = upload_id.create(subject, int(time.time() * 1000))
    original = {"Bucket": stack.exports["uploadsBucket"], "Key": storage_keys.incoming_key(subject, failing)}
    s3 = stack.aws.client("s3")
    s3.put_object(**original, Body=photo, Metadata={"crop": "everything"})
    wait_until(lambda: has_logged(stack, failing, "given back"), "an upload with a malformed crop fails", seconds)
    wait_until(lambda: has_retry(stack, failing), "the failed message is retried within seconds", seconds)
    s3.delete_object(**original)


def has_retry(stack: LocalStack, upload: str) -> bool:
    """Whether the failure of an upload is followed by the record of its retry."""
    lines = stack.functions.find_by_package("process_avatar").read_log().splitlines()
    failed = next(index for index, line in enumerate(lines) if upload in line and "given back" in line)
    return any("message is retried" in line for line in lines[failed:])


def sweep_in_a_month(stack: LocalStack, former: Mapping[str, Any]) -> None:
    """Sweeps when everything is a month old. Raises if the pictures of the former avatar stay."""
    jpeg = f"avatars/{uuid.uuid4()}.jpg"
    bucket = stack.exports["assetsBucket"]
    s3 = stack.aws.client("s3")
    s3.put_object(Bucket=bucket, Key=jpeg, Body=b"left behind")
    a_month_ago = datetime.datetime.now() - datetime.timedelta(days=31)
    for stored in s3_backends[ACCOUNT_ID]["global"].buckets[bucket].keys.values():
        stored.last_modified = a_month_ago
    result = stack.functions.find_by_package("sweep_avatars").invoke({})
    assert result.error is None
    assert list_pictures(stack, former) == []
    assert not s3.list_objects_v2(Bucket=bucket, Prefix=jpeg)["KeyCount"]


def list_rejected_uploads(stack: LocalStack, subject: str) -> list[str]:
    """Returns the uploads of a subject that the webhook reported as rejected."""
    return [e["upload_id"] for e in stack.receiver.events if (e["event"], e["subject"]) == ("avatar.rejected", subject)]


def list_originals(stack: LocalStack, subject: str) -> list[str]:
    listing = stack.aws.client("s3").list_objects_v2(
        Bucket=stack.exports["uploadsBucket"], Prefix=f"{storage_keys.INCOMING}{subject}/"
    )
    return [stored["Key"] for stored in listing.get("Contents", [])]


def list_pictures(stack: LocalStack, manifest: Mapping[str, Any]) -> list[str]:
    """Returns the keys of the pictures of one version."""
    prefix = f"avatars/{manifest['subject']}/{manifest['version']}/"
    listing = stack.aws.client("s3").list_objects_v2(Bucket=stack.exports["assetsBucket"], Prefix=prefix)
    return [stored["Key"] for stored in listing.get("Contents", [])]


def has_logged(stack: LocalStack, upload: str, text: str) -> bool:
    lines = stack.functions.find_by_package("process_avatar").read_log().splitlines()
    return any(upload in line and text in line for line in lines)


def list_granted_actions(function: LambdaFunction) -> Iterator[tuple[Statement, str]]:
    for statement in function.role.statements or []:
        for action in statement.actions:
            yield statement, action


def breaks(run: Callable[[], None]) -> bool:
    try:
        run()
    except (AssertionError, ClientError, KeyError, ProgramError, TimeoutError, pytest.fail.Exception):
        return True
    return False


def test_every_granted_permission_is_used(healthy: LocalStack) -> None:
    unused = [
        (function.name, action, resource)
        for function in healthy.functions.by_arn.values()
        for statement, action in list_granted_actions(function)
        for resource in statement.resources
        if not any(
            evaluate([Statement("Allow", (action,), (resource,), (), ())], used_action, used_resource, {})
            for used_action, used_resource in function.role.used
        )
    ]
    assert unused == []


@pytest.mark.parametrize("package", ["delete_avatar", "profile"])
def test_function_of_the_api_writes_no_avatar_that_the_cdn_serves(healthy: LocalStack, package: str) -> None:
    role = healthy.functions.find_by_package(package).role
    s3 = healthy.aws.client_as("s3", role.to_environment())
    record = {"Bucket": healthy.exports["assetsBucket"], "Key": "avatars/nobody.jpg", "Body": b"record"}
    for tags in ({}, {"Tagging": "deleted=false"}):
        with pytest.raises(s3.exceptions.ClientError, match="s3:PutObject on resource"):
            s3.put_object(**record, **tags)
    s3.put_object(**record, Tagging="deleted=true")


@pytest.mark.timeout(240)
def test_removing_any_action_breaks_the_stack(healthy: LocalStack, photo: bytes) -> None:
    survived: list[tuple[str, str]] = []
    for function in healthy.functions.by_arn.values():
        granted = function.role.statements
        assert granted
        for statement, action in list_granted_actions(function):
            if action.startswith("logs:"):
                continue  # checked at deployment: see the next test
            left = dataclasses.replace(statement, actions=tuple(a for a in statement.actions if a != action))
            function.role.statements = [left if s is statement else s for s in granted]
            function.stop_sandboxes()  # a running function would not read its settings again
            if not breaks(lambda: use_everything(healthy, photo)):
                survived.append((function.name, action))
            function.role.statements = granted
    assert survived == []
    use_everything(healthy, photo, seconds=20)  # with every permission it works again


@pytest.mark.parametrize("action", ["logs:CreateLogStream", "logs:PutLogEvents"])
def test_deployment_of_a_role_without_a_logs_action_raises(healthy: LocalStack, tmp_path: Path, action: str) -> None:
    graph = Graph({urn: remove_action(resource, action) for urn, resource in healthy.graph.resources.items()})
    deployment = Deployment(tmp_path, packages=build_packages(Platform.host()), environment={})
    with pytest.raises(ProgramError, match=f"avatars-pipeline-process-avatar: its role does not allow {action}"):
        LambdaFunctions(graph, healthy.aws, deployment)


def remove_action(resource: Resource, action: str) -> Resource:
    if resource.name != "avatars-pipeline-process-avatar-policy":
        return resource
    policy = json.loads(resource.inputs["policy"])
    for statement in policy["Statement"]:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        statement["Action"] = [a for a in actions if a != action]
    return dataclasses.replace(resource, inputs=resource.inputs | {"policy": json.dumps(policy)})


def remove_variable(resource: Resource, name: str) -> Resource:
    if resource.name != "avatars-api-presign-upload":
        return resource
    variables = {key: value for key, value in resource.inputs["environment"]["variables"].items() if key != name}
    return dataclasses.replace(resource, inputs=resource.inputs | {"environment": {"variables": variables}})


@pytest.fixture(scope="module")
def broken(config: dict[str, str]) -> Generator[LocalStack]:
    """A stack of a program that lacks an action of one function and a variable of another."""
    with LocalStack(
        config, mutate_resource=lambda r: remove_variable(remove_action(r, "s3:PutObject"), "UPLOADS_BUCKET")
    ) as stack:
        yield stack


def test_removing_an_action_from_the_program_breaks_its_function(broken: LocalStack, photo: bytes) -> None:
    session = sign_in(broken)
    upload = upload_id.create(session.subject, int(time.time() * 1000))
    key = storage_keys.incoming_key(session.subject, upload)
    broken.aws.client("s3").put_object(Bucket=broken.exports["uploadsBucket"], Key=key, Body=photo)
    wait_until(lambda: has_logged(broken, key, "AccessDenied"), "writing the pictures is denied")
    headers = {"Authorization": f"Bearer {session.access_token}"}
    assert requests.get(f"{broken.api_url}/avatars/me", headers=headers, timeout=10).status_code == 404


def test_removing_a_variable_from_the_program_breaks_its_function(broken: LocalStack) -> None:
    headers = {"Authorization": f"Bearer {sign_in(broken).access_token}"}
    response = requests.post(
        f"{broken.api_url}/avatars/key_upload", json={"extension": "gif"}, headers=headers, timeout=10
    )
    assert response.status_code == 500
    assert "UPLOADS_BUCKET" in broken.functions.find_by_package("presign_upload").read_log()


def test_function_without_any_one_variable_does_not_start(healthy: LocalStack) -> None:
    started: list[tuple[str, str]] = []
    for resource in healthy.graph.of_type("aws:lambda/function:Function"):
        function = healthy.functions.by_arn[resource.outputs["arn"]]
        for variable in resource.inputs["environment"]["variables"]:
            environment = {k: v for k, v in function.config.environment.items() if k != variable}
            sandbox = Sandbox(dataclasses.replace(function.config, environment=environment))
            result = sandbox.invoke({})
            sandbox.close()
            if result.error is None or variable not in result.error["errorMessage"]:
                started.append((function.name, variable))
    assert started == []
