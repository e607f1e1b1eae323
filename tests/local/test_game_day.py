"""Each section of the runbook: something breaks, the operator follows the document, and all is well.

The commands are those of the document: `make` runs its recipes, but what they start runs in this process. The tests
print what an operator sees.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
import requests
from moto.s3.models import s3_backends

from client.session import ClientError, Session
from functions.process_avatar.quota import Quota
from functions.shared import storage_keys
from functions.shared.stored_avatar import read_manifest
from local.aws_checks.iam import Statement
from local.emulators.moto import ACCOUNT_ID
from local.emulators.sns_webhooks import WebhookReceiver
from local.emulators.sqs_poller import EventSourceMapping
from local.recording.graph import Graph, ProgramError
from local.stack import ROOT, LocalStack
from operations.__main__ import main
from tests.fixtures import pictures
from tests.functions.servers import HttpStub
from tests.local.conftest import (
    another_password,
    build_s3_event,
    create_user,
    find_queue_urls,
    hold_events,
    operate,
    send_message,
    sign_in,
    wait_until,
)
from tests.local.test_alarms import break_authorizer, call_api
from tests.local.test_moderation_example import find

RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
NOT_PLAYED = {
    "The dashboard": "a description: tests/components/test_dashboard.py",
    "Alarms": "moto does not evaluate them: tests/local/test_alarms.py does",
    "A certificate is not renewed": "a local run has no domain",
    "The budget is exceeded": "a local run costs nothing",
    "Reading the logs": "moto runs no queries: tests/components/test_saved_queries.py",
    "Tracing": "a local run has no X-Ray",
    "Scaling to 10,000 uploads an hour": "limits of an AWS account",
    "Changing the domain": "a local run has no domain: tests/browser/profile/test_domain.py",
    "Reading a preview": "needs Pulumi's engine: tests/components/test_changes.py",
    "Destroying a stack": "needs Pulumi's engine",
    "Rolling back a deployment": "needs Pulumi's engine; the schema is rolled back in another section",
    "Profiles: the database": "settings and metrics of Aurora",
    "Changing the schema": "for developers: tests/functions/migrate_database/test_migrations.py",
    "Restoring the database": "needs Aurora",
    "Deleting the database": "needs Aurora",
    "Deploying from GitHub": "needs GitHub",
}
"""Sections for which nothing can be broken in the local stack, with the reason."""


def read_sections() -> dict[str, str]:
    """Returns the text of each section, by its name."""
    texts = re.split(r"^## ", RUNBOOK, flags=re.MULTILINE)
    return {text.partition("\n")[0].removeprefix("# "): text for text in texts}


def read_lines(text: str) -> list[str]:
    """Returns the lines of the shell in a document."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines()]


def read_commands() -> dict[str, list[str]]:
    """Returns the command lines with `make` of each section."""
    sections = read_sections()
    return {name: [line for line in read_lines(sections[name]) if line.startswith("make ")] for name in sections}


@dataclass
class GameDay:
    stack: LocalStack
    folder: Path
    advance_queue_clock: Callable[[float], None]

    def follow(self, command: str, **variables: str) -> str:
        """Runs a command line with these variables of the shell. Returns what it prints."""
        environment = {"PATH": f"{self.folder}:/usr/bin:/bin", **variables}
        subprocess.run(["sh", "-c", command], cwd=self.folder, env=environment, check=True, stdin=subprocess.DEVNULL)
        *program, outputs, operation = (self.folder / "arguments").read_text().rstrip("\0").split("\0", 4)
        assert program == ["-m", "operations", "--outputs"]
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            status = main(["--outputs", str(self.folder / outputs), *operation.split("\0")])
        print(f"$ {' '.join(f'{name}={text}' for name, text in variables.items())} {command}\n{printed.getvalue()}")
        assert status == 0, printed.getvalue()
        return printed.getvalue()

    def post(self, session: Session, photo: bytes) -> str:
        """Posts a photo, without a request to finish it. Returns the upload ID."""
        form = session.request_form(photo, "image/jpeg")
        session.post(form, photo)
        return form["upload_id"]

    def wait_for_failure(self, text: str) -> None:
        """Waits until a message has failed whose log has that text, and is in the dead-letter queue."""
        log = self.stack.functions.find_by_package("process_avatar")
        wait_until(lambda: "message is retried" in log.read_log().partition(text)[2], f"{text} has failed")
        queue, dead_letters = find_queue_urls(self.stack)
        before = count_messages(self.stack, dead_letters)
        with self.allow_one_receive(queue):
            self.advance_queue_clock(10)
            wait_until(lambda: count_messages(self.stack, dead_letters) > before, f"{text} is dead-lettered")

    def wait_for(self, session: Session, upload: str, status: str) -> None:
        wait_until(lambda: session.fetch_status(upload)["status"] == status, f"{upload} is {status}")

    def wait_for_completion(self, session: Session) -> None:
        originals = storage_keys.incoming_prefix(session.subject)
        wait_until(lambda: not list_keys(self.stack, "uploadsBucket", originals), "the original is deleted")

    @contextlib.contextmanager
    def allow_one_receive(self, queue: str) -> Generator[None]:
        """Has a message dead-lettered that is received again, which otherwise takes eight failures and minutes."""
        sqs, name = self.stack.aws.client("sqs"), "RedrivePolicy"
        policy = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=[name])["Attributes"][name]
        impatient = json.dumps({**json.loads(policy), "maxReceiveCount": 1})
        sqs.set_queue_attributes(QueueUrl=queue, Attributes={name: impatient})
        try:
            yield
        finally:
            sqs.set_queue_attributes(QueueUrl=queue, Attributes={name: policy})

    @contextlib.contextmanager
    def documented_permissions(self, section: str, *, unused: str | None = None) -> Generator[None]:
        """Lets the operator have the permissions that the section names.

        Fails if one of them is not needed, except for `unused`.
        """
        actions = set(re.findall(r"`([a-z0-9]+:[A-Z]\w+)`", read_sections()[section]))
        policy = {"Statement": {"Effect": "Allow", "Action": sorted(actions), "Resource": "*"}}
        role = self.stack.aws.principals.add_role("restricted-operator", [policy])
        file = self.folder / "outputs.json"
        before = file.read_text()
        outputs: dict[str, Any] = json.loads(before)
        outputs["operator"].update({name.lower(): value for name, value in role.to_environment().items()})
        file.write_text(json.dumps(outputs))
        yield
        file.write_text(before)
        assert role.denied == set()
        assert actions - {unused} <= {action for action, _ in role.used}

    @contextlib.contextmanager
    def without_permission(self, action: str) -> Generator[None]:
        """Takes a permission from the role of process_avatar."""
        role = self.stack.functions.find_by_package("process_avatar").role
        before = role.statements
        assert before
        role.statements = [_without(statement, action) for statement in before]
        try:
            yield
        finally:
            role.statements = before


def _without(statement: Statement, action: str) -> Statement:
    return replace(statement, actions=tuple(its for its in statement.actions if its != action))


def count_messages(stack: LocalStack, url: str) -> int:
    name = "ApproximateNumberOfMessages"
    response = stack.aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=[name])
    return int(response["Attributes"][name])


@pytest.fixture(scope="module")
def commands() -> Mapping[str, list[str]]:
    return read_commands()


@pytest.fixture
def moderated_stack(openid_stack: LocalStack, rekognition: HttpStub) -> Iterator[LocalStack]:
    """The stack with a moderation function, which approves."""
    find(rekognition)
    yield openid_stack
    assert count_messages(openid_stack, find_queue_urls(openid_stack)[1]) == 0


@pytest.fixture
def day(
    moderated_stack: LocalStack,
    tmp_path: Path,
    advance_queue_clock: Callable[[float], None],
    request: pytest.FixtureRequest,
) -> GameDay:
    """A folder where `make STACK=prod` operates the local stack: with stand-ins for Pulumi and Python."""
    print(f"\n## {request.node.name.removeprefix('test_').replace('_', ' ')}\n\n{request.node.function.__doc__}\n")
    (tmp_path / "outputs.json").write_text(json.dumps(dict(operate(moderated_stack).outputs)))
    make = shutil.which("make")
    assert make
    scripts = {
        "pulumi": f'test "$*" = "stack output --json --stack prod" && cat {tmp_path}/outputs.json',
        "python": f"printf '%s\\0' \"$@\" > {tmp_path}/arguments",
        "make": f'exec {make} --file={ROOT}/Makefile --old-file=.venv/local VENV={tmp_path} "$@"',
    }
    for name, script in scripts.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "local").touch()
    return GameDay(moderated_stack, tmp_path, advance_queue_clock)


@pytest.fixture
def session(moderated_stack: LocalStack) -> Session:
    return sign_in(moderated_stack)


def test_each_section_is_played_or_has_a_reason_why_not(commands: Mapping[str, list[str]]) -> None:
    played = {name for name in commands if f"test_{re.sub('[^a-z]+', '_', name.lower())}" in globals()}
    assert commands.keys() - played == NOT_PLAYED.keys()


def test_runbook_needs_make_and_pulumi_only() -> None:
    assert {line.split()[0] for line in read_lines(RUNBOOK)} == {"make", "pulumi"}


def test_runbook(day: GameDay, commands: Mapping[str, list[str]], session: Session, photo: bytes) -> None:
    """What stands before the first section."""
    status, logs = commands["Runbook"]
    session.upload(photo, "image/jpeg")
    day.wait_for_completion(session)
    printed = day.follow(status)
    for quiet in ("waiting      nothing", "failed       nothing", "lost         nothing", "undelivered  nothing"):
        assert f"{quiet}\n" in printed
    assert re.search(r"^  process_avatar   [\w+/]{12}  20\d\d-", printed, re.MULTILINE)
    records = day.follow(logs).splitlines()
    assert any("avatar.ready" in record and session.subject in record for record in records)
    assert all(record.startswith("process_avatar ") for record in records)


def test_failed_uploads(day: GameDay, commands: Mapping[str, list[str]], session: Session, photo: bytes) -> None:
    """The role of process_avatar has lost a permission, and somebody has sent a message of their own to the queue."""
    logs, dry_run, redrive, discard = commands["Failed uploads"]
    with day.without_permission("s3:PutObject"):
        upload = day.post(session, photo)
        day.wait_for_failure(upload)
    poison = send_message(day.stack, "poison")
    day.wait_for_failure(poison)

    with day.documented_permissions("Runbook", unused="s3:GetObject"):  # for rejections
        printed = day.follow("make status STACK=prod")
        assert "failed       2, since " in printed
        assert f"  SUBJECT={session.subject} UPLOAD={upload} since " in printed
        assert f"  MESSAGE={poison}: not an S3 event: not JSON: " in printed
        assert "AccessDenied" in day.follow(logs, UPLOAD=upload)

    with day.documented_permissions("Failed uploads"):
        printed = day.follow(dry_run)
        assert "can be moved to the queue: 1; left: 1\nThis was a dry run: nothing has changed." in printed
        assert session.fetch_status(upload)["status"] == "pending"
        printed = day.follow(redrive)
        assert f"message {poison} stays: not an S3 event" in printed
        assert "moved to the queue: 1; left: 1" in printed
        day.wait_for(session, upload, "ready")
        assert f"message {poison} is deleted: poison" in day.follow(discard, MESSAGE=poison)
    assert "failed       nothing" in day.follow("make status STACK=prod")


def test_undelivered_events(
    day: GameDay, commands: Mapping[str, list[str]], session: Session, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The webhook refuses events."""
    dry_run, republish = commands["Undelivered events"]
    queue = day.stack.exports["undeliveredQueueUrl"]
    with monkeypatch.context() as patch:
        patch.setattr(WebhookReceiver, "__call__", _refuse)
        upload = day.post(session, photo)
        wait_until(lambda: count_messages(day.stack, queue) == 1, "the event is undelivered")
    assert "undelivered  1, since " in day.follow("make status STACK=prod")
    with day.documented_permissions("Undelivered events"):
        printed = day.follow(dry_run)
        assert f"avatar.ready SUBJECT={session.subject} UPLOAD={upload} since " in printed
        assert "can be published again: 1; left: 0" in printed
        assert not [event for event in day.stack.receiver.events if event["upload_id"] == upload]
        assert "published again: 1; left: 0" in day.follow(republish)
    event = day.stack.receiver.wait_for(upload, 10)
    assert (event["event"], event["avatar"]) == ("avatar.ready", session.fetch_status(upload)["avatar"])
    assert "undelivered  nothing" in day.follow("make status STACK=prod")


def _refuse(_receiver: WebhookReceiver, _environ: object, start_response: Callable[..., object]) -> list[bytes]:
    start_response("403 Forbidden", [("Content-Length", "0")])
    return []


def test_outages(day: GameDay, session: Session, photo: bytes) -> None:
    """The issuer cannot be reached, and later the database."""
    with break_authorizer(day.stack):
        new = sign_in(day.stack)  # its token is not in the authorizer's cache
        assert call_api(day.stack, new, "/avatars/me") == HTTPStatus.INTERNAL_SERVER_ERROR
    assert "keys cannot be fetched" in day.follow("make logs STACK=prod FUNCTION=authorize")
    assert call_api(day.stack, new, "/avatars/me") == HTTPStatus.NOT_FOUND  # there is no avatar

    with another_password(day.stack):
        assert call_api(day.stack, session, "/profile") == HTTPStatus.SERVICE_UNAVAILABLE
        session.upload(photo, "image/jpeg")
    assert "database unavailable" in day.follow("make logs STACK=prod FUNCTION=profile")
    assert call_api(day.stack, session, "/profile") == HTTPStatus.OK


def test_late_uploads(day: GameDay, commands: Mapping[str, list[str]], session: Session, photo: bytes) -> None:
    """The event source mapping is disabled."""
    (status,) = commands["Late uploads"]
    with stopped_mappings(day.stack):
        upload = day.post(session, photo)
        wait_until(lambda: count_messages(day.stack, find_queue_urls(day.stack)[0]) == 1, "the message is in the queue")
        printed = day.follow(status)
    assert "waiting      1, since " in printed
    assert "  queue: 1 wait, 0 in process or before a retry\n" in printed
    day.wait_for(session, upload, "ready")
    day.wait_for_completion(session)
    assert "waiting      nothing" in day.follow(status)


@contextlib.contextmanager
def stopped_mappings(stack: LocalStack) -> Generator[None]:
    for mapping in stack.event_source_mappings:
        mapping.close()
        mapping.wait()
    try:
        yield
    finally:
        stack.event_source_mappings = [
            EventSourceMapping(mapping, stack.graph, stack.functions, stack.aws)
            for mapping in stack.graph.of_type("aws:lambda/eventSourceMapping:EventSourceMapping")
        ]
        for mapping in stack.event_source_mappings:
            mapping.start()
            stack._deployment.callback(mapping.close)  # pyright: ignore[reportPrivateUsage]


def list_keys(stack: LocalStack, bucket: str, prefix: str) -> list[str]:
    """Returns the keys with that prefix in the bucket of that output."""
    listing = stack.aws.client("s3").list_objects_v2(Bucket=stack.exports[bucket], Prefix=prefix)
    return [stored["Key"] for stored in listing.get("Contents", [])]


def test_uploads_over_the_quota(
    day: GameDay, commands: Mapping[str, list[str]], session: Session, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user has used up the quota, and then DynamoDB fails."""
    count, reset, redrive = commands["Uploads over the quota"]
    wait_until(lambda: datetime.now(UTC).minute < 59, "an hour of which a minute is left", timeout=61)
    table, limit = day.stack.exports["limitsTable"], 60
    quota = Quota(day.stack.aws.client("dynamodb"), table, limit)
    for number in range(limit):
        at = datetime.now().astimezone()
        quota.claim(session.subject, f"key-{number}", '"etag"', at, until=at)
    upload = day.post(session, photo)
    day.wait_for(session, upload, "rejected")
    assert f" too_many_uploads SUBJECT={session.subject} UPLOAD={upload} at " in day.follow("make status STACK=prod")
    user = {"SUBJECT": session.subject}
    with day.documented_permissions("Uploads over the quota"):
        assert f"counted uploads of {session.subject} in this hour (UTC): 60\n" in day.follow(count, **user)
        assert "the hour begins anew" in day.follow(reset, **user)
        day.wait_for(session, day.post(session, photo), "ready")
        assert f"counted uploads of {session.subject} in this hour (UTC): 1\n" in day.follow(count, **user)

    with day.without_permission("dynamodb:UpdateItem"):  # without an answer, it fails in the same way, after retries
        upload = day.post(session, photo)
        day.wait_for_failure(upload)
    assert "moved to the queue: 1; left: 0" in day.follow(redrive)
    day.wait_for(session, upload, "ready")


def test_taking_down_an_avatar(day: GameDay, commands: Mapping[str, list[str]], session: Session, photo: bytes) -> None:
    """Somebody reports a picture."""
    takedown, block, unblock = commands["Taking down an avatar"]
    avatar = session.upload(photo, "image/jpeg").avatar
    with day.documented_permissions("Taking down an avatar"):
        day.follow(takedown, SUBJECT=session.subject)
        assert requests.get(avatar["url"], timeout=5).status_code == HTTPStatus.NOT_FOUND
        upload = day.post(session, photo)
        day.wait_for(session, upload, "rejected")
        assert session.fetch_status(upload)["reason"] == "blocked"
        day.follow(block, SUBJECT=session.subject)
        day.follow(unblock, SUBJECT=session.subject)
    day.wait_for(session, day.post(session, photo), "ready")


def test_held_uploads(
    day: GameDay, commands: Mapping[str, list[str]], session: Session, photo: bytes, rekognition: HttpStub
) -> None:
    """Moderation holds two uploads."""
    held, approve, reject = commands["Held uploads"]
    find(rekognition, ("Violence", "", 90, 1))
    other = sign_in(day.stack)
    uploads = {each.subject: day.post(each, photo) for each in (session, other)}
    for each in (session, other):
        day.wait_for(each, uploads[each.subject], "held")
    find(rekognition)
    assert "held         2, since " in day.follow("make status STACK=prod")
    with day.documented_permissions("Held uploads"):
        names = dict(re.findall(r"SUBJECT=(\S+) UPLOAD=(\S+) since", day.follow(held)))
        day.follow(approve, SUBJECT=session.subject, UPLOAD=names[session.subject])
        day.follow(reject, SUBJECT=other.subject, UPLOAD=names[other.subject])
    day.wait_for(session, uploads[session.subject], "ready")
    day.wait_for(other, uploads[other.subject], "rejected")
    wait_until(lambda: not list_keys(day.stack, "uploadsBucket", storage_keys.HELD), "the records are deleted")
    assert "held         nothing" in day.follow("make status STACK=prod")


def test_failing_moderation(
    day: GameDay, commands: Mapping[str, list[str]], session: Session, photo: bytes, rekognition: HttpStub
) -> None:
    """The moderation function may not use Rekognition any more."""
    logs, redrive = commands["Failing moderation"]
    rekognition.status, rekognition.body = 400, b'{"__type": "AccessDeniedException", "message": "no"}'
    upload = day.post(session, photo)
    day.wait_for_failure(upload)
    assert "ModerationError" in next(line for line in day.follow(logs).splitlines() if upload in line)
    assert session.fetch_status(upload)["status"] == "pending"
    find(rekognition)
    day.follow(redrive)
    day.wait_for(session, upload, "ready")


def test_deleted_avatars(day: GameDay, commands: Mapping[str, list[str]], session: Session, photo: bytes) -> None:
    """CloudFront refuses to remove the images from its caches."""
    logs, redrive = commands["Deleted avatars"]
    image = session.upload(photo, "image/jpeg").avatar["images"][0]["url"]
    day.wait_for_completion(session)
    with day.without_permission("cloudfront:CreateInvalidation"):
        headers = {"Authorization": f"Bearer {session.access_token}"}
        assert requests.delete(f"{day.stack.api_url}/avatars/me", headers=headers, timeout=5).status_code == 204
        day.wait_for_failure(f"deletions/{session.subject}/")
    assert f"  deletion of SUBJECT={session.subject} since " in day.follow("make status STACK=prod")
    assert "cloudfront:CreateInvalidation" in day.follow(logs)
    day.follow(redrive)
    wait_until(lambda: requests.get(image, timeout=5).status_code == HTTPStatus.NOT_FOUND, "the image is deleted")
    requests_to_delete = storage_keys.deletions_prefix(session.subject)
    wait_until(lambda: not list_keys(day.stack, "uploadsBucket", requests_to_delete), "the deletion is complete")


def test_deletion_of_superseded_images(
    day: GameDay, commands: Mapping[str, list[str]], session: Session, photo: bytes
) -> None:
    """No sweep has run for a month."""
    (sweep,) = commands["Deletion of superseded images"]
    old, new = (session.upload(photo, "image/jpeg").avatar for _ in range(2))
    stored = s3_backends[ACCOUNT_ID]["global"].buckets[day.stack.exports["assetsBucket"]].keys
    for key, its in stored.items():
        if session.subject in key:
            its.last_modified = datetime.now() - timedelta(days=31)
    with day.documented_permissions("Deletion of superseded images"):
        printed = day.follow(sweep)
    assert re.fullmatch(r"[1-9]\d* users, [1-9]\d* objects deleted\n", printed)
    listing = list_keys(day.stack, "assetsBucket", storage_keys.versions_prefix(session.subject))
    assert {key.split("/")[2] for key in listing} == {new["version"]} != {old["version"]}


def test_a_single_upload_is_stuck(
    day: GameDay, commands: Mapping[str, list[str]], session: Session, photo: bytes
) -> None:
    """S3 does not send an event; another message has failed."""
    status, reprocess = commands["A single upload is stuck"]
    _, dead_letters = find_queue_urls(day.stack)
    poison = day.stack.aws.client("sqs").send_message(QueueUrl=dead_letters, MessageBody="poison")["MessageId"]
    with hold_events(day.stack):
        upload = day.post(session, photo)
    its = {"SUBJECT": session.subject, "UPLOAD": upload}
    with day.documented_permissions("A single upload is stuck"):
        printed = day.follow(status, **its)
        assert printed.startswith(f"original     {len(photo):,} bytes, image/jpeg, since ")
        assert printed.endswith(
            "message      in the queue, or lost -> if it stays so: make reprocess\navatar       none\n"
        )
        day.follow(reprocess, **its)
    day.wait_for(session, upload, "ready")
    assert "avatar       of this upload, since " in day.follow(status, **its)
    day.follow("make discard STACK=prod MESSAGE=$MESSAGE", MESSAGE=poison)


def test_erasing_a_user(day: GameDay, commands: Mapping[str, list[str]], session: Session, photo: bytes) -> None:
    """A user leaves."""
    erase, block, again = commands["Erasing a user"]
    avatar = session.upload(photo, "image/jpeg").avatar
    with day.documented_permissions("Erasing a user"):
        assert "object versions" in day.follow(erase, SUBJECT=session.subject)
    assert requests.get(avatar["url"], timeout=5).status_code == HTTPStatus.NOT_FOUND
    nothing = f"no avatar of {session.subject} is kept"
    assert day.follow("make restore STACK=prod SUBJECT=$SUBJECT", SUBJECT=session.subject).startswith(nothing)
    day.follow(block, SUBJECT=session.subject)
    assert "  a block of uploads, until " in day.follow(again, SUBJECT=session.subject)


def test_changing_the_sizes_of_images(
    day: GameDay, commands: Mapping[str, list[str]], session: Session, photo: bytes
) -> None:
    """Another page needs smaller images."""
    dry_run, apply = commands["Changing the sizes of images"]
    session.upload(photo, "image/jpeg")
    outputs: dict[str, Any] = json.loads((day.folder / "outputs.json").read_text())
    (day.folder / "outputs.json").write_text(json.dumps({**outputs, "sizes": [256, 128]}))
    assert "have other sizes than 256, 128" in day.follow(dry_run)
    day.follow(apply)
    manifest = read_manifest(day.stack.aws.client("s3"), day.stack.exports["assetsBucket"], session.subject)
    assert manifest
    assert [image["size"] for image in manifest.content["images"]] == [256, 128]


def test_revoking_a_user_s_access(stack: LocalStack) -> None:
    """A user of the user pool has lost a phone."""
    outputs, (username, password) = {**stack.exports, "cognitoEndpoint": stack.aws_url}, create_user(stack)
    session = Session.sign_in(outputs, username, password)
    pool = stack.exports["userPoolId"]
    stack.aws.client("cognito-idp").admin_disable_user(UserPoolId=pool, Username=username)
    with pytest.raises(ClientError, match="disabled"):
        Session.sign_in(outputs, username, password)
    assert call_api(stack, session, "/avatars/me") == HTTPStatus.NOT_FOUND  # the token is valid: there is no avatar


def test_restoring_an_avatar(day: GameDay, commands: Mapping[str, list[str]], session: Session, photo: bytes) -> None:
    """A user wants the previous avatar back; later, it was taken down by mistake."""
    listing, dry_run, restore, restore_deleted = commands["Restoring an avatar"]
    first = session.upload(photo, "image/jpeg").avatar
    second = session.upload(pictures.encode(pictures.plain(90, 90, pictures.GRAY), "PNG"), "image/png")
    day.wait_for_completion(session)
    picture = requests.get(first["images"][0]["url"], timeout=5).content
    user = {"SUBJECT": session.subject}
    its = {**user, "VERSION": first["version"]}
    with day.documented_permissions("Restoring an avatar"):
        listed = re.findall(r"VERSION=(\S+) of \S+, (.+)\n  (http.*)\n", day.follow(listing, **user))
        assert [each[:2] for each in listed] == [(second.avatar["version"], "current"), (first["version"], "former")]
        assert requests.get(listed[1][2], timeout=5).headers["content-type"] == "image/jpeg"
        assert "This was a dry run: nothing has changed." in day.follow(dry_run, **its)
        assert fetch_avatar(day.stack, session) == second.avatar
        day.follow(restore, **its)
    restored = fetch_avatar(day.stack, session)
    assert requests.get(restored["images"][0]["url"], timeout=5).content == picture
    assert [image["size"] for image in restored["images"]] == [image["size"] for image in first["images"]]
    assert day.stack.receiver.wait_for(restored["upload_id"], 10)["avatar"] == restored

    original = storage_keys.incoming_key(session.subject, second.upload_id)  # as if its event had been late
    day.stack.aws.client("s3").put_object(Bucket=day.stack.exports["uploadsBucket"], Key=original, Body=photo)
    day.wait_for_completion(session)
    assert fetch_avatar(day.stack, session) == restored

    with hold_events(day.stack):
        day.follow("make takedown STACK=prod SUBJECT=$SUBJECT", **user)
        with pytest.raises(AssertionError, match=f"a deletion of the avatar of {session.subject} is not complete"):
            day.follow(restore_deleted, **its)
    (request,) = list_keys(day.stack, "uploadsBucket", storage_keys.deletions_prefix(session.subject))
    send_message(day.stack, build_s3_event(request))
    wait_until(lambda: not list_keys(day.stack, "uploadsBucket", request), "the deletion is complete")
    assert f"VERSION={restored['version']} of {restored['updated_at']}, deleted at 20" in day.follow(listing, **user)
    its["VERSION"] = restored["version"]
    with pytest.raises(AssertionError, match=f"DELETED=1 restores {restored['version']} nevertheless"):
        day.follow(restore, **its)
    day.follow(restore_deleted, **its)
    again = fetch_avatar(day.stack, session)
    assert requests.get(again["images"][0]["url"], timeout=5).content == picture
    assert session.upload(photo, "image/jpeg").avatar["version"] > again["version"]


def fetch_avatar(stack: LocalStack, session: Session) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {session.access_token}"}
    return requests.get(f"{stack.api_url}/avatars/me", headers=headers, timeout=5).json()


def test_running_migrations_manually(day: GameDay, commands: Mapping[str, list[str]], session: Session) -> None:
    """A deployment is to be rolled back."""
    revision, dry_run, migrate = commands["Running migrations manually"]
    with day.documented_permissions("Running migrations manually"):
        before = day.follow(revision)
        known = before.rpartition(": ")[2].strip().split(", ")
        assert before.startswith(f"revision {known[-1]}; deployed migrations: 0001, ")
        assert f"would migrate from {known[-1]} to {known[-2]}\nThis was a dry run" in day.follow(dry_run, TARGET="-1")
        assert day.follow(revision) == before
        assert f"migrated from {known[-1]} to {known[-2]}\n" in day.follow(migrate, TARGET="-1")
        assert day.follow(revision).startswith(f"revision {known[-2]}; ")
        day.follow(migrate, TARGET="head")
        assert "nothing to do" in day.follow(migrate, TARGET=known[-1])
    assert call_api(day.stack, session, "/profile") == HTTPStatus.OK


def test_a_migration_failed(day: GameDay, session: Session) -> None:
    """The last migration cannot be applied, as somebody has changed the schema."""
    day.follow("make revision STACK=prod TARGET=-1 APPLY=1")
    before = day.follow("make revision STACK=prod")
    change(day.stack, "ALTER TABLE avatars.retired_handles ADD former_subject text")
    with pytest.raises(ProgramError, match=r"former_subject.* already exists"):
        deploy(day.stack)
    assert "DuplicateColumn" in day.follow("make logs STACK=prod FUNCTION=migrate_database")
    assert day.follow("make revision STACK=prod") == before
    assert call_api(day.stack, session, "/profile") == HTTPStatus.OK
    change(day.stack, "ALTER TABLE avatars.retired_handles DROP former_subject")
    deploy(day.stack)
    assert day.follow("make revision STACK=prod TARGET=head").endswith("nothing to do\n")


def deploy(stack: LocalStack) -> None:
    """Invokes migrate_database as `pulumi up` does."""
    stack._run_invocations(Graph())  # pyright: ignore[reportPrivateUsage]


def change(stack: LocalStack, statement: LiteralString) -> None:
    with psycopg.connect(stack.database.administrator_url, autocommit=True) as connection:
        connection.execute(statement)


def test_rotating_secrets(day: GameDay, session: Session) -> None:
    """The password of the database was changed."""
    assert call_api(day.stack, session, "/profile") == HTTPStatus.OK
    with another_password(day.stack) as url:
        assert call_api(day.stack, session, "/profile") == HTTPStatus.SERVICE_UNAVAILABLE
        assert "password authentication failed" in day.follow("make logs STACK=prod FUNCTION=profile")
        set_database_url(day.stack, url)
        assert call_api(day.stack, session, "/profile") == HTTPStatus.OK
    set_database_url(day.stack, day.stack.database.url)
    # One request fails, and has the parameter read again.
    wait_until(lambda: call_api(day.stack, session, "/profile") == HTTPStatus.OK, "profile has the old password again")


def set_database_url(stack: LocalStack, url: str) -> None:
    """Changes the parameter as `pulumi up` does."""
    name = stack.functions.find_by_package("profile").config.environment["DATABASE_URL_PARAMETER"]
    stack.aws.client("ssm").put_parameter(Name=name, Type="SecureString", Value=url, Overwrite=True)


def test_command_that_the_program_does_not_know_fails(day: GameDay) -> None:
    """The document is wrong."""
    with pytest.raises(subprocess.CalledProcessError):
        day.follow("make restart STACK=prod")
    with pytest.raises(SystemExit):
        day.follow("make logs STACK=prod SINCE=yesterday")
