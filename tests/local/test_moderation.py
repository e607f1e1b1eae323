"""A stack with a moderation function: from the upload through an operator's decision to the page."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from client.session import ClientError, Session, UploadHeldError
from functions.shared import storage_keys
from functions.shared.moderation_decision import Decision, hash_file
from local.emulators.lambda_functions import SourceFunction
from local.stack import LocalStack
from operations import __main__ as command_line
from operations import moderation
from operations.moderation import HeldUpload, list_held
from operations.operated_stack import OperationError
from tests.local.conftest import find_queue_urls, operate, sign_in, wait_until

_FUNCTION = """
import json
import pathlib

def handle(event, _context):
    answers = json.loads(pathlib.Path({answers!r}).read_text())
    return answers.get(event["subject"], {{"decision": "approve"}})
"""


class Team:
    """The team's moderation function, which answers what a test has said for a subject."""

    def __init__(self, folder: Path) -> None:
        self._answers = folder / "answers.json"
        self._answers.write_text("{}")
        self.function = SourceFunction(folder, {})
        (folder / "handler.py").write_text(_FUNCTION.format(answers=str(self._answers)))

    def say(self, subject: str, answer: object) -> None:
        self._answers.write_text(json.dumps({**json.loads(self._answers.read_text()), subject: answer}))


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Team:
    return Team(tmp_path_factory.mktemp("moderation"))


@pytest.fixture(scope="module")
def moderated(config: dict[str, str], team: Team) -> Generator[LocalStack]:
    with LocalStack(config, moderation=team.function) as stack:
        yield stack


@pytest.fixture
def outputs(moderated: LocalStack, tmp_path: Path) -> str:
    """The path of the file with what the stack's operator needs."""
    file = tmp_path / "outputs.json"
    file.write_text(json.dumps(operate(moderated).outputs))
    return str(file)


@pytest.fixture
def session(moderated: LocalStack) -> Session:
    return sign_in(moderated)


def hold(session: Session, team: Team, photo: bytes, **form_fields: str) -> dict[str, Any]:
    """Uploads a photo that is held. Returns its form."""
    team.say(session.subject, {"decision": "hold", "reason": "Suggestive"})
    form = session.request_form(photo, "image/jpeg")
    session.post({**form, "fields": {**form["fields"], **form_fields}}, photo)
    wait_until(lambda: session.fetch_status(form["upload_id"])["status"] == "held", "the upload is held")
    return form


def name_of(form: Mapping[str, Any], photo: bytes) -> str:
    """As `make held` lists it."""
    return f"{form['upload_id']}-{hash_file(photo)[:32]}"


def find_held(stack: LocalStack, session: Session) -> list[HeldUpload]:
    return [held for held in list_held(operate(stack)) if held.subject == session.subject]


def list_uploads(stack: LocalStack, session: Session) -> list[str]:
    listing = stack.aws.client("s3").list_objects_v2(Bucket=stack.exports["uploadsBucket"])
    return [stored["Key"] for stored in listing.get("Contents", []) if session.subject in stored["Key"]]


def fetch_avatar(stack: LocalStack, session: Session) -> requests.Response:
    headers = {"Authorization": f"Bearer {session.access_token}"}
    return requests.get(f"{stack.api_url}/avatars/me", headers=headers, timeout=5)


def test_approved_photo_is_published(moderated: LocalStack, session: Session, photo: bytes) -> None:
    upload = session.upload(photo, "image/jpeg")
    assert fetch_avatar(moderated, session).json() == upload.avatar
    assert moderated.receiver.wait_for(upload.upload_id, 10)["event"] == "avatar.ready"


def test_rejected_photo_tells_the_reason_to_the_webhook_only(
    moderated: LocalStack, session: Session, team: Team, photo: bytes
) -> None:
    team.say(session.subject, {"decision": "reject", "reason": "Weapons"})
    form = session.request_form(photo, "image/jpeg")
    session.post(form, photo)
    event = moderated.receiver.wait_for(form["upload_id"], 10)
    assert (event["event"], event["reason"], event["moderation_reason"]) == (
        "avatar.rejected",
        "not_allowed",
        "Weapons",
    )
    assert session.fetch_status(form["upload_id"]) == {
        "upload_id": form["upload_id"],
        "status": "rejected",
        "reason": "not_allowed",
    }
    assert fetch_avatar(moderated, session).status_code == 404


def test_held_photo_keeps_the_old_avatar_until_it_is_approved(
    moderated: LocalStack, session: Session, team: Team, photo: bytes
) -> None:
    old = session.upload(photo, "image/jpeg").avatar
    form = hold(session, team, photo)
    with pytest.raises(UploadHeldError):
        session._await_avatar(form["upload_id"], None, 0)  # pyright: ignore[reportPrivateUsage]
    assert fetch_avatar(moderated, session).json() == old
    event = moderated.receiver.wait_for(form["upload_id"], 10)
    assert (event["event"], event["moderation_reason"]) == ("avatar.held", "Suggestive")

    (held,) = find_held(moderated, session)
    assert (held.name, held.reason, held.since, held.is_superseded) == (
        f"{form['upload_id']}-{hash_file(photo)[:32]}",
        "Suggestive",
        event["at"],
        False,
    )
    assert requests.get(held.url, timeout=5).content == photo

    assert moderation.decide(operate(moderated), session.subject, name_of(form, photo), Decision("approve")) is False
    wait_until(lambda: session.fetch_status(form["upload_id"])["status"] == "ready", "the approved photo is published")
    assert fetch_avatar(moderated, session).json()["upload_id"] == form["upload_id"]
    wait_until(lambda: list_uploads(moderated, session) == [], "nothing is left in the uploads bucket")
    assert find_held(moderated, session) == []


def test_held_photo_that_is_rejected_has_the_operators_reason(
    moderated: LocalStack, session: Session, team: Team, photo: bytes
) -> None:
    form = hold(session, team, photo)
    moderation.decide(operate(moderated), session.subject, name_of(form, photo), Decision("reject", "Ärger"))
    wait_until(lambda: session.fetch_status(form["upload_id"])["status"] == "rejected", "the photo is rejected")
    assert session.fetch_status(form["upload_id"])["reason"] == "not_allowed"
    wait_until(
        lambda: (
            [e["event"] for e in moderated.receiver.events if e["upload_id"] == form["upload_id"]]
            == ["avatar.held", "avatar.rejected"]
        ),
        "the rejection is announced",
    )
    (rejected,) = [
        e for e in moderated.receiver.events if (e["event"], e["upload_id"]) == ("avatar.rejected", form["upload_id"])
    ]
    assert (rejected["reason"], rejected["moderation_reason"]) == ("not_allowed", "Ärger")
    assert fetch_avatar(moderated, session).status_code == 404
    with pytest.raises(OperationError, match=f"{form['upload_id']} of {session.subject} is not held"):
        moderation.decide(operate(moderated), session.subject, name_of(form, photo), Decision("approve"))


def test_file_posted_after_the_held_one_is_not_approved_unseen(
    moderated: LocalStack, session: Session, team: Team, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is posted while the operator decides: after the operator has read the record and the original."""
    form = hold(session, team, photo)
    other = photo + b"\n"
    copy = moderation.copy_onto_itself  # pyright: ignore[reportPrivateUsage]

    def post_and_copy(*arguments: Any) -> None:
        session.post(form, other)
        copy(*arguments)

    monkeypatch.setattr(moderation, "copy_onto_itself", post_and_copy)
    with pytest.raises(OperationError, match="is another file now: it was posted with the same form"):
        moderation.decide(operate(moderated), session.subject, name_of(form, photo), Decision("approve"))
    wait_until(lambda: find_held(moderated, session), "the other file is held")
    assert requests.get(find_held(moderated, session)[0].url, timeout=5).content == other
    assert fetch_avatar(moderated, session).status_code == 404


def test_file_held_after_another_one_was_listed_is_not_approved_unseen(
    moderated: LocalStack, session: Session, team: Team, photo: bytes
) -> None:
    form = hold(session, team, photo)
    session.post(form, photo + b"\n")
    wait_until(
        lambda: [held.name for held in find_held(moderated, session)] == [name_of(form, photo + b"\n")],
        "the other file is held",
    )
    for name in (name_of(form, photo), form["upload_id"], form["upload_id"] + "-"):
        with pytest.raises(OperationError, match=f"{name} is not the file that is held: name it as it is listed"):
            moderation.decide(operate(moderated), session.subject, name, Decision("approve"))


@pytest.mark.parametrize("field", ["x-amz-meta-moderation", "x-amz-meta-moderation-file"])
def test_form_with_a_decision_is_refused_by_s3(
    moderated: LocalStack, session: Session, team: Team, photo: bytes, field: str
) -> None:
    form = session.request_form(photo, "image/jpeg")
    with pytest.raises(ClientError, match="status 403"):
        session.post({**form, "fields": {field: "approved", **form["fields"]}}, photo)
    assert list_uploads(moderated, session) == []


def test_approval_of_a_superseded_photo_has_no_effect(
    moderated: LocalStack,
    session: Session,
    team: Team,
    photo: bytes,
    capsys: pytest.CaptureFixture[str],
    outputs: str,
) -> None:
    form = hold(session, team, photo)
    team.say(session.subject, {"decision": "approve"})
    newer = session.upload(photo, "image/jpeg").avatar
    assert [held.is_superseded for held in find_held(moderated, session)] == [True]
    assert command_line.main(["--outputs", outputs, "approve", session.subject, name_of(form, photo)]) == 0
    assert capsys.readouterr().out == (
        f"no effect: a newer upload of {session.subject} is published; {name_of(form, photo)} is deleted\n"
    )
    wait_until(lambda: list_uploads(moderated, session) == [], "the superseded photo is deleted")
    assert fetch_avatar(moderated, session).json() == newer


def test_command_line_lists_and_decides(
    moderated: LocalStack,
    session: Session,
    team: Team,
    photo: bytes,
    capsys: pytest.CaptureFixture[str],
    outputs: str,
) -> None:
    form = hold(session, team, photo)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = command_line.main(["--outputs", outputs, *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    name = name_of(form, photo)
    code, listed, _ = run("held")
    assert code == 0
    assert f"SUBJECT={session.subject} UPLOAD={name} since " in listed
    assert "  reason: Suggestive\n  http://127.0.0.1:" in listed
    assert run("reject", session.subject, name, "--reason", "x" * 201) == (
        1,
        "",
        "error: a reason has at most 200 characters\n",
    )
    assert run("reject", session.subject, name, "--reason", "no") == (
        0,
        f"{name} is rejected within seconds\n",
        "",
    )
    code, _, error = run("approve", "../x", name)
    assert (code, error.startswith("error: '../x' cannot be part of a key")) == (1, True)


def test_deletion_removes_a_held_photo(moderated: LocalStack, session: Session, team: Team, photo: bytes) -> None:
    form = hold(session, team, photo)
    headers = {"Authorization": f"Bearer {session.access_token}"}
    assert requests.delete(f"{moderated.api_url}/avatars/me", headers=headers, timeout=5).status_code == 204
    wait_until(lambda: list_uploads(moderated, session) == [], "the held photo is deleted")
    assert session.fetch_status(form["upload_id"])["reason"] == "deleted"
    assert find_held(moderated, session) == []


def test_failing_function_publishes_nothing_until_it_works(
    moderated: LocalStack, session: Session, team: Team, photo: bytes
) -> None:
    team.say(session.subject, {"decision": "maybe"})
    form = session.request_form(photo, "image/jpeg")
    session.post(form, photo)
    log = moderated.functions.find_by_package("process_avatar")
    wait_until(lambda: "'maybe' is not one of approve, reject, hold" in log.read_log(), "the answer is refused")
    assert session.fetch_status(form["upload_id"])["status"] == "pending"
    assert fetch_avatar(moderated, session).status_code == 404
    team.say(session.subject, {"decision": "approve"})
    wait_until(lambda: session.fetch_status(form["upload_id"])["status"] == "ready", "the redelivery is approved")


def test_role_may_invoke_the_moderation_function_only(moderated: LocalStack) -> None:
    role = moderated.functions.find_by_package("process_avatar").role
    client = moderated.aws.client_as("lambda", role.to_environment())
    moderation_arn = moderated.aws.arn("lambda", "function:moderation")
    assert client.invoke(FunctionName=moderation_arn, Payload=b'{"subject": "x"}')["StatusCode"] == 200
    for denied in (f"{moderation_arn}:$LATEST", moderated.functions.find_by_package("sweep_avatars").arn):
        with pytest.raises(client.exceptions.ClientError, match="lambda:InvokeFunction on resource"):
            client.invoke(FunctionName=denied)


def test_no_message_has_failed_for_good(moderated: LocalStack) -> None:
    """Last in this module."""
    attributes = moderated.aws.client("sqs").get_queue_attributes(
        QueueUrl=find_queue_urls(moderated)[1], AttributeNames=["ApproximateNumberOfMessages"]
    )
    assert attributes["Attributes"] == {"ApproximateNumberOfMessages": "0"}
    assert storage_keys.HELD == "held/"
