"""Operators take avatars down and block users."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import requests

from client.session import ClientError, Session
from functions.shared import user_block
from local.stack import LocalStack
from operations.__main__ import main
from operations.blocking import block, take_down, unblock
from operations.operated_stack import OperationError
from tests.local.conftest import operate, sign_in, wait_until

DAY = timedelta(days=1)


def test_takedown_with_block_removes_avatar_and_rejects_uploads(
    stack: LocalStack, session: Session, photo: bytes
) -> None:
    avatar = session.upload(photo, "image/jpeg").avatar
    form = session.request_form(photo, "image/jpeg")
    end = take_down(operate(stack), session.subject, 30)
    assert end is not None
    assert 30 * DAY - timedelta(minutes=1) < end - datetime.now(UTC) < 30 * DAY
    assert requests.get(avatar["url"], timeout=5).status_code == 404
    session.post(form, photo)
    assert session.fetch_status(form["upload_id"])["reason"] == "deleted"
    with pytest.raises(ClientError, match="the photo was rejected: blocked"):
        session.upload(photo, "image/jpeg")
    wait_until(lambda: requests.get(avatar["images"][0]["url"], timeout=5).status_code == 404, "the images are deleted")
    assert requests.get(avatar["url"], timeout=5).status_code == 404
    assert sign_in(stack).upload(photo, "image/jpeg").avatar

    assert unblock(operate(stack), session.subject) == end
    assert session.upload(photo, "image/jpeg").avatar
    assert unblock(operate(stack), session.subject) is None


def test_takedown_without_block_accepts_next_upload(stack: LocalStack, session: Session, photo: bytes) -> None:
    session.upload(photo, "image/jpeg")
    assert take_down(operate(stack), session.subject, None) is None
    assert session.upload(photo, "image/jpeg").avatar


def test_block_rejects_form_given_before_and_keeps_avatar(stack: LocalStack, session: Session, photo: bytes) -> None:
    avatar = session.upload(photo, "image/jpeg").avatar
    form = session.request_form(photo, "image/jpeg")
    block(operate(stack), session.subject, 1)
    session.post(form, photo)
    wait_until(lambda: session.fetch_status(form["upload_id"])["status"] == "rejected", "the upload is rejected")
    assert session.fetch_status(form["upload_id"])["reason"] == "blocked"
    assert requests.get(avatar["url"], timeout=5).status_code == 200


@pytest.mark.parametrize("days", [0, -1, 3651])
def test_block_of_invalid_length_raises_and_blocks_nobody(stack: LocalStack, days: int) -> None:
    operator = operate(stack)
    with pytest.raises(OperationError, match=f"BLOCK is {days} days; allowed is 1 to 3650"):
        take_down(operator, "somebody", days)
    assert user_block.read_end(operator.dynamodb, operator.get_output("limitsTable"), "somebody") is None


@pytest.mark.parametrize("operation", [["block", "a/b", "1"], ["takedown", "a/b"], ["takedown", "a/b", "--block", "1"]])
def test_invalid_subject_is_an_error_message(
    outputs_file: str, operation: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--outputs", outputs_file, *operation]) == 1
    assert capsys.readouterr().err == "error: 'a/b' cannot be part of a key: 1 to 128 of A-Z a-z 0-9 _ -\n"


def test_commands_say_what_they_did(outputs_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str) -> str:
        assert main(["--outputs", outputs_file, *arguments]) == 0
        return capsys.readouterr().out

    wait_until(lambda: f"{datetime.now(UTC):%H:%M}" != "23:59", "a day of which a minute is left", timeout=61)
    day = f"{datetime.now(UTC) + 2 * DAY:%Y-%m-%d}"
    assert run("held") == "nothing is held\n"
    assert run("unblock", "nobody") == "nobody was not blocked\n"
    assert run("block", "nobody", "2").startswith(f"uploads of nobody are rejected until {day} ")
    assert run("unblock", "nobody").startswith(f"nobody was blocked until {day} ")
    assert run("takedown", "nobody").startswith("nobody has no avatar; ")
    assert f"are rejected until {day} " in run("takedown", "nobody", "--block", "2")
