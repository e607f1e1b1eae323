"""The command line of a load run, its table, and its uploads."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import pytest
from PIL import Image

from client.session import ClientError
from load import __main__ as command_line
from load import photos, users
from load.checks import percentile
from load.reader import Violation
from load.run import Result
from load.users import User


def run_main(monkeypatch: pytest.MonkeyPatch, result: Result, violations: list[Violation]) -> int:
    stack = contextlib.nullcontext(result.evidence.stack)
    monkeypatch.setattr(command_line, "LocalStack", lambda _config: stack)
    monkeypatch.setattr(command_line, "run", lambda _stack, _settings: result)
    monkeypatch.setattr(command_line, "check", lambda _evidence: violations)
    return command_line.main(["--users", "2", "--uploads", "20"])


def test_main_without_violation_prints_table_and_returns_zero(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, result: Result
) -> None:
    assert run_main(monkeypatch, result, []) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "uploads           20 by 2 users, 2 of them not photos"
    assert [line[:18].strip() for line in lines[1:-1]] == [
        *("throughput", "wait", "beyond the line", "requests", "retries", "events", "kills", "deliveries"),
        *("dead letters", "reads"),
    ]
    assert "kills             1" in lines
    assert lines[-1] == "0 violations of 0 rules"


def test_main_with_violations_names_them_and_returns_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, result: Result
) -> None:
    violations = [Violation("ready_is_final", "a was ready"), Violation("ready_is_final", "b was ready")]
    assert run_main(monkeypatch, result, violations) == 1
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "ready_is_final: a was ready",
        "ready_is_final: b was ready",
        "2 violations of 1 rules",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--uploads", "0"], "argument --uploads: '0' is not an integer from 1 to 65,536"),
        (["--uploads", "65537"], "argument --uploads: '65537' is not an integer from 1 to 65,536"),
        (["--users", "many"], "argument --users: 'many' is not an integer from 1 to 1,000"),
        (["--kills", "-1"], "argument --kills: '-1' is not an integer from 0 to 3,600"),
        (["--failures", "0.5"], "argument --failures: '0.5' is not an integer from 0 to 1,000,000"),
        (["--users", "3", "--uploads", "2"], "--users 3 is more than --uploads 2: some would not upload"),
    ],
)
def test_main_wrong_argument_is_explained(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as exit_:
        command_line.main(arguments)
    assert exit_.value.code == 2
    assert message in capsys.readouterr().err


def test_main_rejected_upload_is_an_error(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: Any) -> Result:
        raise ClientError("the API is gone")

    monkeypatch.setattr(command_line, "LocalStack", contextlib.nullcontext)
    monkeypatch.setattr(command_line, "run", fail)
    assert command_line.main([]) == 1
    assert capsys.readouterr().err == "error: the API is gone\n"


class FakeSession:
    """Counts posts, and rejects the photo of one number."""

    def __init__(self, rejected: int) -> None:
        self._rejected = photos.draw(rejected)
        self.posts: list[bytes] = []

    def request_form(self, _photo: bytes, _type: str) -> dict[str, str]:
        return {"upload_id": f"{len(self.posts):026}"}

    def post(self, _form: dict[str, str], photo: bytes) -> None:
        if photo == self._rejected:
            raise ClientError("no")
        self.posts.append(photo)

    def finish(self, _upload_id: str) -> None:
        """Nothing: the queue processes the upload."""


def test_rejected_upload_ends_posting() -> None:
    user = User("ada", "", FakeSession(rejected=2))  # pyright: ignore[reportArgumentType]
    with pytest.raises(ClientError, match="no"):
        users.post_uploads([user], 100)
    assert [upload.number for upload in user.uploads] == [0, 1]


def test_uploads_are_shared_by_all_users_in_turn() -> None:
    everyone = [User(name, "", FakeSession(rejected=99)) for name in "abc"]  # pyright: ignore[reportArgumentType]
    users.post_uploads(everyone, 8)
    assert [[upload.number for upload in user.uploads] for user in everyone] == [[0, 3, 6], [1, 4, 7], [2, 5]]


@pytest.mark.parametrize("number", [0, 1, 0b1010_0101_1100_0011, photos.MAX_UPLOADS - 1])
@pytest.mark.parametrize("format_", ["JPEG", "WEBP"])
def test_photo_shows_its_number_after_compression(number: int, format_: str) -> None:
    compressed = io.BytesIO()
    with Image.open(io.BytesIO(photos.draw(number))) as photo:
        photo.resize((48, 48)).save(compressed, format_, quality=50)
    assert photos.read_number(compressed.getvalue()) == number


def test_percentile_is_the_value_that_so_many_do_not_exceed() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert [percentile(values, percent) for percent in (0, 1, 50, 99, 99.5, 100)] == [1, 1, 50, 99, 100, 100]
