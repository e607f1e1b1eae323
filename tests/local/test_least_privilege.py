"""Every permission and every environment variable of a function is needed: without it, the stack breaks."""

from __future__ import annotations

import dataclasses
import datetime
import json
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from moto.s3.models import s3_backends

from client.session import ClientError, Session, UploadHeldError
from functions.shared import storage_keys, upload_id
from functions.shared.moderation_decision import Decision
from lambda_packages.build import Platform, build_packages
from local.aws_checks.iam import Statement, evaluate
from local.aws_checks.principals import Principal
from local.emulators.lambda_functions import Deployment, LambdaFunction, LambdaFunctions, SourceFunction
from local.emulators.lambda_sandbox import Sandbox
from local.emulators.moto import ACCOUNT_ID
from local.emulators.sqs_poller import EventSourceMapping
from local.recording.graph import Graph, ProgramError, Resource
from local.stack import LocalStack
from operations.blocking import block
from operations.erasure import erase
from operations.moderation import HeldUpload, decide, list_held
from operations.operated_stack import OperationError
from tests.fixtures import pictures
from tests.local.conftest import (
    build_s3_event,
    hold_events,
    operate,
    send_message,
    shorten_erasure,
    sign_in,
    wait_until,
)

_WARM_SECONDS = 1.5  # ten times the duration of a warm upload
_COLD_SECONDS = 20

Step = Callable[[LocalStack, bytes, float], None]
"""A part of the use of a stack, by a new user. It has the stack, a photo, and the seconds that each wait may take.

Raises if something fails.
"""

Used = Mapping[str, Set[tuple[str, str]]]
"""Actions and resources that were allowed, by the name of the function."""


# Small images are held.
_MODERATION = """
def handle(event, _context):
    return {"decision": "hold" if len(event["image"]) < 2_000 else "approve"}
"""

_SMALL = pictures.encode(pictures.plain(8, 8, pictures.GRAY), "PNG")


@pytest.fixture(scope="module")
def healthy(config: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Generator[LocalStack]:
    """A stack for this module only, because its tests leave messages in the queue."""
    folder = tmp_path_factory.mktemp("moderation")
    (folder / "handler.py").write_text(_MODERATION)
    with LocalStack(config, mutate_resource=shorten_functions, moderation=SourceFunction(folder, {})) as stack:
        yield stack


def shorten_functions(resource: Resource) -> Resource:
    """Lets erase_profile not wait for a database that it cannot sign in to."""
    if resource.name != "avatars-profiles-erase-profile":
        return shorten_erasure(resource)
    return dataclasses.replace(resource, inputs={**resource.inputs, "timeout": 10})


@pytest.fixture(scope="module")
def used_in_steps(healthy: LocalStack, photo: bytes) -> Mapping[Step, Used]:
    """What each step uses of the permissions. All steps together use every route and every path of the pipeline."""
    used: dict[Step, dict[str, Set[tuple[str, str]]]] = {step: {} for step in STEPS}
    roles = {function.name: function.role for function in healthy.functions.by_arn.values()}
    for step in STEPS:
        before = {name: role.used for name, role in roles.items()}
        for role in roles.values():
            role.used = set()
        step(healthy, photo, _COLD_SECONDS)
        for name, role in roles.items():
            used[step][name] = role.used
            role.used = role.used | before[name]
    return used


def map_event_sources(stack: LocalStack, _photo: bytes, _seconds: float) -> None:
    for mapping in stack.graph.of_type("aws:lambda/eventSourceMapping:EventSourceMapping"):
        EventSourceMapping(mapping, stack.graph, stack.functions, stack.aws)


def migrate(stack: LocalStack, _photo: bytes, _seconds: float) -> None:
    assert stack.functions.find_by_package("migrate_database").invoke({"target": "head"}).error is None


def ask_before_first_upload(stack: LocalStack, _photo: bytes, _seconds: float) -> None:
    session = sign_in(stack)
    assert call_api(stack, session, "GET", "/avatars/me").status_code == 404
    assert call_api(stack, session, "GET", "/profile").json()["avatar"] is None
    form = call_api(stack, session, "POST", "/avatars/key_upload", {"extension": "gif"}).json()
    assert call_api(stack, session, "GET", f"/avatars/uploads/{form['upload_id']}").json()["status"] == "pending"
    assert call_api(stack, session, "GET", f"/avatars/uploads/{create_old_upload_id(session)}").status_code == 404


def drop_event_of_missing_original(stack: LocalStack, _photo: bytes, seconds: float) -> None:
    session = sign_in(stack)
    gone = storage_keys.incoming_key(session.subject, create_old_upload_id(session))
    send_message(stack, build_s3_event(gone))
    wait_until(
        lambda: has_logged(stack, gone, "original is gone"), "the event of a missing original is dropped", seconds
    )


def reject_picture(stack: LocalStack, _photo: bytes, seconds: float) -> None:
    session = sign_in(stack)
    with pytest.raises(ClientError, match="rejected: not_an_image"):
        session.upload(b"no picture", "image/png", seconds, finish=False)
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
    delete_avatar(stack, session, seconds)  # before the first avatar: there are only rejections


def replace_avatar(stack: LocalStack, photo: bytes, seconds: float) -> None:
    session = sign_in(stack)
    profile = call_api(stack, session, "GET", "/profile").json()
    former = session.upload(photo, "image/jpeg", seconds, finish=False).avatar
    upload = session.upload(photo, "image/jpeg", seconds, finish=False)
    assert stack.receiver.wait_for(upload.upload_id, seconds)["event"] == "avatar.ready"
    assert call_api(stack, session, "GET", "/avatars/me").json() == upload.avatar
    public = requests.get(f"{stack.api_url}/profiles/{profile['handle']}", timeout=10).json()
    assert public["avatar"]["url"] == upload.avatar["url"]
    sweep_in_a_month(stack, former)
    assert len(list_pictures(stack, upload.avatar)) == 1
    delete_avatar(stack, session, seconds)


def fail_and_retry(stack: LocalStack, photo: bytes, seconds: float) -> None:
    """Lets a message fail once, with a crop that no form has: it is retried when the original is gone."""
    subject = str(uuid.uuid4())
    failing = upload_id.create(subject, int(time.time() * 1000))
    original = {"Bucket": stack.exports["uploadsBucket"], "Key": storage_keys.incoming_key(subject, failing)}
    s3 = stack.aws.client("s3")
    s3.put_object(**original, Body=photo, Metadata={"crop": "everything"})
    wait_until(lambda: has_logged(stack, failing, "given back"), "an upload with a malformed crop fails", seconds)
    wait_until(lambda: has_retry(stack, failing), "the failed message is retried within seconds", seconds)
    s3.delete_object(**original)


def finish_uploads(stack: LocalStack, photo: bytes, seconds: float) -> None:
    """Has uploads finished whose events do not arrive, the last one held until an operator's decision does."""
    session = sign_in(stack)
    with hold_events(stack):
        assert [finish(session, photo)["status"] for _ in range(2)] == ["ready", "ready"]
        rejected = finish(session, b"no picture")
        assert rejected["reason"] == "not_an_image"
        assert session.finish(rejected["upload_id"]) == rejected
        assert finish(session, _SMALL)["status"] == "held"
        (held,) = list_held_by(stack, session)
        decide(operate(stack), session.subject, held.name, Decision("reject"))
        assert session.finish(held.name.partition("-")[0])["status"] == "pending"  # left to its event
    send_message(stack, build_s3_event(storage_keys.incoming_key(session.subject, held.name.partition("-")[0])))
    wait_until(lambda: not list_held_by(stack, session), "the rejected upload is not held any more", seconds)


def finish(session: Session, photo: bytes) -> dict[str, Any]:
    form = session.request_form(photo, "image/jpeg")
    session.post(form, photo)
    return session.finish(form["upload_id"])


def process_unrecorded_deletion(stack: LocalStack, _photo: bytes, seconds: float) -> None:
    """Processes the request of a deletion whose function ended before it replaced the avatar."""
    subject = str(uuid.uuid4())
    request = storage_keys.deletion_key(subject, upload_id.create(subject, int(time.time() * 1000)))
    stack.aws.client("s3").put_object(Bucket=stack.exports["uploadsBucket"], Key=request)
    wait_until(lambda: not list_uploads(stack, subject), "the request is deleted", seconds)


def delete_profile(stack: LocalStack, _photo: bytes, _seconds: float) -> None:
    """Deletes the profile of a user whose only upload was rejected."""
    session = sign_in(stack)
    rejected = upload_id.create(session.subject, int(time.time() * 1000))
    key = storage_keys.rejection_key(session.subject, rejected)
    stack.aws.client("s3").put_object(Bucket=stack.exports["uploadsBucket"], Key=key, Body=b"{}")
    with hold_events(stack):
        assert call_api(stack, session, "DELETE", "/profile").status_code == 204


def erase_user(stack: LocalStack, _photo: bytes, _seconds: float) -> None:
    """Erases a user who has a manifest, and what process_avatar does not delete, and is blocked for longer. Raises if
    something stays."""
    subject = sign_in(stack).subject
    block(operate(stack), subject, 30)
    s3, uploads, assets = stack.aws.client("s3"), stack.exports["uploadsBucket"], stack.exports["assetsBucket"]
    manifest = storage_keys.manifest_key(subject)
    item = {"subject": {"S": subject}, "period": {"S": "hour#2026-11-28T01"}}
    stack.aws.client("dynamodb").put_item(TableName=stack.exports["limitsTable"], Item=item)
    try:
        with hold_events(stack), ThreadPoolExecutor(1) as pool:
            for prefix in ("incoming", "rejected", "held"):
                s3.put_object(Bucket=uploads, Key=f"{prefix}/{subject}/z", Body=b"newer than everything")
            former = upload_id.create(subject, int(time.time() * 1000))
            content = {"subject": subject, "upload_id": former, "version": former}
            s3.put_object(Bucket=assets, Key=manifest, Body=json.dumps(content))
            erasing = pool.submit(erase, operate(stack), subject)
            wait_until(lambda: erasing.done() or is_deleted(stack, manifest), "the avatar is deleted", _COLD_SECONDS)
            for key in list_uploads(stack, subject):
                if key.startswith(storage_keys.DELETIONS):
                    send_message(stack, build_s3_event(key))
            report = erasing.result(_COLD_SECONDS)
        assert not [its for its in report["remaining"] if "why" in its]
        assert report["removed"]["limits"] == 1
        assert list_uploads(stack, subject) == []
        assert "Versions" not in s3.list_object_versions(Bucket=assets, Prefix=f"avatars/{subject}")
    finally:  # what an erasure without a permission leaves would be in the way of the other steps
        for key in list_uploads(stack, subject):
            s3.delete_object(Bucket=uploads, Key=key)


def hold_and_reject(stack: LocalStack, _photo: bytes, seconds: float) -> None:
    """Has an upload held, and rejected by an operator."""
    session = sign_in(stack)
    with pytest.raises(UploadHeldError):
        session.upload(_SMALL, "image/png", seconds, finish=False)
    (held,) = list_held_by(stack, session)
    decide(operate(stack), session.subject, held.name, Decision("reject"))
    wait_until(lambda: not list_originals(stack, session.subject), "the rejected original is deleted", seconds)
    assert session.fetch_status(held.name.partition("-")[0])["reason"] == "not_allowed"


def list_held_by(stack: LocalStack, session: Session) -> list[HeldUpload]:
    return [held for held in list_held(operate(stack)) if held.subject == session.subject]


STEPS: tuple[Step, ...] = (
    map_event_sources,
    migrate,
    ask_before_first_upload,
    drop_event_of_missing_original,
    reject_picture,
    replace_avatar,
    fail_and_retry,
    hold_and_reject,
    finish_uploads,
    process_unrecorded_deletion,
    delete_profile,
    erase_user,
)


def call_api(stack: LocalStack, session: Session, method: str, path: str, body: Any = None) -> requests.Response:
    headers = {"Authorization": f"Bearer {session.access_token}"}
    return requests.request(method, stack.api_url + path, json=body, headers=headers, timeout=10)


def create_old_upload_id(session: Session) -> str:
    """Returns the ID of an upload whose form has expired."""
    return upload_id.create(session.subject, int((time.time() - 3600) * 1000))


def delete_avatar(stack: LocalStack, session: Session, seconds: float) -> None:
    """Deletes the avatar. Raises if something of the user stays."""
    with hold_events(stack):
        assert call_api(stack, session, "DELETE", "/avatars/me").status_code == 204
    (request,) = (key for key in list_uploads(stack, session.subject) if key.startswith(storage_keys.DELETIONS))
    send_message(stack, build_s3_event(request))
    wait_until(
        lambda: not list_uploads(stack, session.subject),
        "originals, rejections and the request are deleted, after the deletion was announced",
        seconds,
    )


def is_deleted(stack: LocalStack, manifest: str) -> bool:
    body = stack.aws.client("s3").get_object(Bucket=stack.exports["assetsBucket"], Key=manifest)["Body"]
    return "deleted_at" in json.load(body)


def list_uploads(stack: LocalStack, subject: str) -> list[str]:
    """Returns the keys of everything in the uploads bucket that belongs to a subject."""
    listing = stack.aws.client("s3").list_objects_v2(Bucket=stack.exports["uploadsBucket"])
    return [stored["Key"] for stored in listing.get("Contents", []) if subject in stored["Key"]]


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


def is_used(statement: Statement, action: str, used: Set[tuple[str, str]]) -> bool:
    """Whether one of the used permissions is one that a statement grants with an action."""
    granted = [Statement("Allow", (action,), statement.resources, (), ())]
    return any(evaluate(granted, used_action, resource, {}) for used_action, resource in used)


def breaks(stack: LocalStack, role: Principal, steps: Iterable[Step], photo: bytes, seconds: float) -> bool:
    """Whether a step fails after the role was denied a request: without that, it was the machine that was slow."""
    role.denied.clear()
    for step in steps:
        try:
            step(stack, photo, seconds)
        except (
            *(AssertionError, ClientError, KeyError, OperationError, ProgramError, TimeoutError),
            pytest.fail.Exception,
        ):
            return bool(role.denied)
    return False


def test_every_granted_permission_is_used(healthy: LocalStack, used_in_steps: Mapping[Step, Used]) -> None:
    unused = [
        (function.name, action, resource)
        for function in healthy.functions.by_arn.values()
        for statement, action in list_granted_actions(function)
        for resource in statement.resources
        if not is_used(dataclasses.replace(statement, resources=(resource,)), action, function.role.used)
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


@pytest.mark.parametrize("is_denied", [True, False])
def test_failing_step_breaks_only_if_a_request_was_denied(healthy: LocalStack, photo: bytes, is_denied: bool) -> None:
    role = healthy.functions.find_by_package("authorize").role

    def fail(_stack: LocalStack, _photo: bytes, _seconds: float) -> None:
        if is_denied:
            role.is_allowed("s3:GetObject", "arn:aws:s3:::any-bucket/any-key", {})
        raise AssertionError

    assert breaks(healthy, role, [fail], photo, _WARM_SECONDS) == is_denied


def test_removing_any_action_breaks_the_stack(
    healthy: LocalStack, used_in_steps: Mapping[Step, Used], photo: bytes
) -> None:
    survived: list[tuple[str, str]] = []
    for function in healthy.functions.by_arn.values():
        role, granted = function.role, function.role.statements
        if not granted:  # the moderation function, which uses no service
            continue
        for statement, action in list_granted_actions(function):
            if action.startswith("logs:"):
                continue  # checked at deployment: see the next test
            left = dataclasses.replace(statement, actions=tuple(a for a in statement.actions if a != action))
            role.statements = [left if s is statement else s for s in granted]
            using = [step for step in STEPS if is_used(statement, action, used_in_steps[step][function.name])]
            if not breaks(healthy, role, using, photo, _WARM_SECONDS):
                function.stop_sandboxes()  # a running function would not read its settings again
                if not breaks(healthy, role, STEPS, photo, _COLD_SECONDS):
                    survived.append((function.name, action))
            role.statements = granted
    assert survived == []
    for step in STEPS:  # with every permission they succeed again
        step(healthy, photo, _COLD_SECONDS)


@pytest.mark.parametrize("action", ["logs:CreateLogStream", "logs:PutLogEvents"])
def test_deployment_of_a_role_without_a_logs_action_raises(healthy: LocalStack, tmp_path: Path, action: str) -> None:
    graph = Graph({urn: remove_action(resource, action) for urn, resource in healthy.graph.resources.items()})
    deployment = Deployment(tmp_path, tmp_path, packages=build_packages(Platform.host()), environment={})
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


# Imports a handler again without each variable. A process for each would spend its time on importing boto3.
_IMPORTS = """
import importlib, os, sys

def handle(event, context):
    errors = {}
    for variable in event["variables"]:
        for imported in [name for name in sys.modules if name.split(".")[0] == "functions"]:
            del sys.modules[imported]
        value = os.environ.pop(variable)
        try:
            importlib.import_module(event["handler"].rpartition(".")[0])
        except Exception as error:
            errors[variable] = str(error)
        os.environ[variable] = value
    return errors
"""


def test_function_without_any_one_variable_does_not_start(healthy: LocalStack, tmp_path: Path) -> None:
    (tmp_path / "imports.py").write_text(_IMPORTS)
    for resource in healthy.graph.of_type("aws:lambda/function:Function"):
        config = healthy.functions.by_arn[resource.outputs["arn"]].config
        variables = list(resource.inputs["environment"]["variables"])
        sandbox = Sandbox(
            dataclasses.replace(config, handler="imports.handle", path=[*config.path, tmp_path], timeout=60)
        )
        result = sandbox.invoke({"handler": config.handler, "variables": variables})
        sandbox.close()
        assert result.error is None
        assert [name for name in variables if name not in result.payload.get(name, "")] == [], resource.name
