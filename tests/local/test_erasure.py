"""Operators erase users."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from typing import Any

import psycopg
import pytest
import requests

from client.session import ClientError, Session
from functions.shared import storage_keys
from local.stack import LocalStack
from operations.__main__ import main
from operations.erasure import erase
from operations.operated_stack import OperationError
from tests.local.conftest import build_s3_event, hold_events, operate, send_message, sign_in, wait_until


def put_profile(stack: LocalStack, session: Session, handle: str) -> int:
    headers = {"Authorization": f"Bearer {session.access_token}"}
    body = {"display_name": "A name", "bio": "A bio", "handle": handle}
    return requests.put(f"{stack.api_url}/profile", json=body, headers=headers, timeout=30).status_code


def list_everything(stack: LocalStack, *subjects: str) -> list[tuple[str, ...]]:
    """Returns what the stack has of the subjects: versions of objects, items of the limits table, and rows."""
    s3, found = stack.aws.client("s3"), list[tuple[str, tuple[str, ...]]]()
    for bucket in (stack.exports["uploadsBucket"], stack.exports["assetsBucket"]):
        page = s3.list_object_versions(Bucket=bucket)
        for its in (*page.get("Versions", []), *page.get("DeleteMarkers", [])):
            found.append((re.split(r"[/.]", its["Key"] + "/")[1], (its["Key"], its["VersionId"])))
    for item in stack.aws.client("dynamodb").scan(TableName=stack.exports["limitsTable"])["Items"]:
        found.append((item["subject"]["S"], ("limit", item["period"]["S"])))
    with psycopg.connect(stack.database.url) as connection:
        for subject, handle in connection.execute("SELECT subject, handle FROM avatars.users"):
            found.append((subject, ("profile", handle)))
        for subject, handle in connection.execute("SELECT former_subject, handle FROM avatars.retired_handles"):
            found.append((subject, ("former handle", handle)))
    return sorted(what for subject, what in found if subject in subjects)


def store_as(stack: LocalStack, subject: str) -> None:
    """Stores something of a subject everywhere, without a user."""
    s3, uploads, assets = stack.aws.client("s3"), stack.exports["uploadsBucket"], stack.exports["assetsBucket"]
    for key in (f"held/{subject}/1", f"rejected/{subject}/1.json"):
        s3.put_object(Bucket=uploads, Key=key, Body=b"{}")
    for key in (f"avatars/{subject}.jpg", f"avatars/{subject}.json", f"avatars/{subject}/1/256.webp"):
        s3.put_object(Bucket=assets, Key=key, Body=b"{}")
    item = {"subject": {"S": subject}, "period": {"S": "hour#2026-11-28T01"}}
    stack.aws.client("dynamodb").put_item(TableName=stack.exports["limitsTable"], Item=item)
    handle = f"a{subject[-20:]}".replace("-", "_")
    with psycopg.connect(stack.database.url) as connection:
        connection.execute(
            "INSERT INTO avatars.users (subject, handle, display_name) VALUES (%s, %s, 'A name')", (subject, handle)
        )


def test_erase_leaves_the_block_only_and_everything_of_others(
    stack: LocalStack, photo: bytes, outputs_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ada, bob = sign_in(stack), sign_in(stack)
    others = (bob.subject, f"{ada.subject}2", ada.subject[:-1])
    bob.upload(photo, "image/jpeg")
    assert put_profile(stack, bob, "bob") == 200
    for subject in others[1:]:
        store_as(stack, subject)
    # By the queue alone: two that process an upload at the same time can write a version each.
    first, _ = [ada.upload(photo, "image/jpeg", finish=False) for _ in range(2)]
    with pytest.raises(ClientError, match="rejected: not_an_image"):
        ada.upload(b"no picture", "image/png", finish=False)
    assert [put_profile(stack, ada, handle) for handle in ("ada_l", "countess")] == [200, 200]
    form = ada.request_form(photo, "image/jpeg")
    s3, uploads = stack.aws.client("s3"), stack.exports["uploadsBucket"]
    s3.put_object(Bucket=uploads, Key=f"held/{ada.subject}/1", Body=photo)
    with hold_events(stack):  # an original whose event is lost
        s3.put_object(Bucket=uploads, Key=storage_keys.incoming_key(ada.subject, form["upload_id"]), Body=photo)
    stack.aws.client("cognito-idp").admin_delete_user(UserPoolId=stack.exports["userPoolId"], Username=ada.subject)
    before = list_everything(stack, ada.subject)
    # Two versions of each current object, and one image of each.
    assert [what[0].replace(ada.subject, "ada").split("/")[:2] for what in before if "/" in what[0]] == [
        *([["avatars", "ada.jpg"]] * 2 + [["avatars", "ada.json"]] * 2 + [["avatars", "ada"]] * 2),
        *(["held", "ada"], ["incoming", "ada"], ["rejected", "ada"]),
    ]
    assert [what for what in before if what[0] != "limit" and "/" not in what[0]] == [
        ("former handle", "ada_l"),
        ("profile", "countess"),
    ]
    before_of_others = list_everything(stack, *others)

    assert main(["--outputs", outputs_file, "erase", ada.subject]) == 0

    assert list_everything(stack, ada.subject) == [("limit", "block")]
    assert list_everything(stack, *others) == before_of_others
    # The two images also have a delete marker each, and the two current objects another version: the record.
    assert re.fullmatch(
        rf"""Removed of {ada.subject}:
  11 object versions
  [12] counted hours of uploads
  the profile, 1 former handles
Remaining:
  a block of uploads, until \d\d\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ
  copies at edge locations of the CDN, until the invalidation is complete
  access logs of the CDN, logs of the API and functions, until \d\d\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ
""",
        capsys.readouterr().out,
    )
    assert requests.get(first.avatar["url"], timeout=5).status_code == 404
    assert requests.get(f"{stack.api_url}/profiles/countess", timeout=5).status_code == 404
    assert put_profile(stack, bob, "countess") == 200  # free at once

    nothing = {"objects": 0, "limits": 0, "profile": False, "handles": 0}
    assert erase(operate(stack), ada.subject)["removed"] == nothing
    check_late_events(stack, ada, first.upload_id)
    check_form_from_before(stack, ada, form, photo)


def check_late_events(stack: LocalStack, session: Session, upload: str) -> None:
    """Delivers the events of the completed deletion and of a deleted upload. Raises if one of them has an effect."""
    (deleted,) = [
        event["upload_id"]
        for event in stack.receiver.events
        if (event["event"], event["subject"]) == ("avatar.deleted", session.subject)
    ]
    for key, message in (
        (storage_keys.deletion_key(session.subject, deleted), "request is gone"),
        (storage_keys.incoming_key(session.subject, upload), "original is gone"),
    ):
        send_message(stack, build_s3_event(key))
        wait_until(lambda key=key, message=message: has_logged(stack, key, message), f"{message}: {key}")
    assert list_everything(stack, session.subject) == [("limit", "block")]


def check_form_from_before(stack: LocalStack, session: Session, form: Mapping[str, Any], photo: bytes) -> None:
    """Posts a form that was given before. Raises unless it is rejected, and the next erasure removes what it leaves."""
    session.post(form, photo)
    wait_until(lambda: session.fetch_status(form["upload_id"])["status"] == "rejected", "the upload is rejected")
    assert session.fetch_status(form["upload_id"])["reason"] == "blocked"
    key = storage_keys.incoming_key(session.subject, form["upload_id"])
    stored = {"Bucket": stack.exports["uploadsBucket"], "Prefix": key}
    wait_until(lambda: not stack.aws.client("s3").list_objects_v2(**stored)["KeyCount"], "the original is deleted")
    erase(operate(stack), session.subject)
    assert list_everything(stack, session.subject) == [("limit", "block")]


def has_logged(stack: LocalStack, key: str, text: str) -> bool:
    lines = stack.functions.find_by_package("process_avatar").read_log().splitlines()
    return any(key in line and text in line for line in lines)


def test_erase_waits_until_the_deletion_is_processed(stack: LocalStack, session: Session, photo: bytes) -> None:
    """The request is not erased with the rest: the CDN's caches would keep the avatar."""
    session.upload(photo, "image/jpeg")
    reports: list[dict[str, Any]] = []
    prefix = {"Bucket": stack.exports["uploadsBucket"], "Prefix": f"deletions/{session.subject}/"}

    def list_requests() -> list[str]:
        return [its["Key"] for its in stack.aws.client("s3").list_objects_v2(**prefix).get("Contents", [])]

    with hold_events(stack):
        thread = threading.Thread(target=lambda: reports.append(erase(operate(stack), session.subject)))
        thread.start()
        wait_until(list_requests, "the deletion is requested")
    (request,) = list_requests()
    assert reports == []
    send_message(stack, build_s3_event(request))
    thread.join(20)
    assert not any("why" in its for its in reports[0]["remaining"])
    assert list_requests() == []


def test_erase_of_invalid_subject_is_an_error_message(
    stack: LocalStack, outputs_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--outputs", outputs_file, "erase", "a/b"]) == 1
    assert capsys.readouterr().err.endswith("failed: 'a/b' cannot be part of a key: 1 to 128 of A-Z a-z 0-9 _ -\n")
    with pytest.raises(OperationError, match="cannot be part of a key"):
        erase(operate(stack), "")


def test_what_should_not_remain_is_printed_and_exits_with_1(
    outputs_file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = {
        "subject": "ada",
        "removed": {"objects": 0, "limits": 0, "profile": False, "handles": 0},
        "remaining": [{"what": "a block", "until": "tomorrow"}, {"what": "a profile", "why": "run it again"}],
    }
    monkeypatch.setattr("operations.__main__.erase", lambda _stack, _subject: report)
    assert main(["--outputs", outputs_file, "erase", "ada"]) == 1
    assert capsys.readouterr().out.endswith("Remaining:\n  a block, until tomorrow\n  a profile: run it again\n")
