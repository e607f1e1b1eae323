"""The command for an access token of a local run, and the client with such a token."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import requests

from client import __main__ as client
from local.openid import __main__ as openid
from local.openid.provider import sign_in
from local.stack import LocalStack
from tests.functions.servers import HttpStub
from tests.local.conftest import PHOTO, create_user


@pytest.fixture
def outputs(openid_stack: LocalStack, tmp_path: Path) -> Path:
    assert openid_stack.openid
    username, password = create_user(openid_stack)
    users = [{"username": username, "password": password}, {"username": "eve", "password": "wrong"}]
    file = tmp_path / "outputs.json"
    file.write_text(json.dumps({**openid_stack.exports, **openid_stack.openid.outputs, "users": users}))
    return file


def test_client_uploads_with_an_access_token(
    outputs: Path, rekognition: HttpStub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rekognition.body = b'{"ModerationLabels": []}'
    assert openid.main(["--outputs", str(outputs)]) == 0
    monkeypatch.setenv("AVATARS_ACCESS_TOKEN", capsys.readouterr().out.strip())
    assert client.main(["upload", "--outputs", str(outputs), str(PHOTO)]) == 0
    assert "/256.webp  (" in capsys.readouterr().out


def test_invalid_access_token_is_an_error_message(
    outputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AVATARS_ACCESS_TOKEN", "expired")
    assert client.main(["upload", "--outputs", str(outputs), str(PHOTO)]) == 1
    assert capsys.readouterr().err == 'error: POST /avatars/key_upload returned 403: {"message": "Forbidden"}\n'


def test_apps_at_the_allowed_origins_sign_users_in(outputs: Path) -> None:
    document = json.loads(outputs.read_text())
    user = document["users"][0]
    for origin in ("http://localhost:3000", "http://localhost:5173"):
        app = {**document, "clientId": document["appClientId"], "redirectUri": f"{origin}/"}
        token = sign_in(app, user["username"], user["password"])["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        assert requests.get(f"{document['apiUrl']}/avatars/me", headers=headers, timeout=10).status_code == 404


def test_token_of_user_with_wrong_password_is_an_error(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert openid.main(["eve", "--outputs", str(outputs)]) == 1
    assert capsys.readouterr().err == "error: eve cannot sign in: Wrong user name or password.\n"


@pytest.mark.parametrize(
    "content", [None, '{"users": [{"username": "a", "password": "b"}]}'], ids=["stopped", "cognito"]
)
def test_token_without_provider_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    file = tmp_path / "outputs.json"
    if content:
        file.write_text(content)
    assert openid.main(["--outputs", str(file)]) == 1
    assert capsys.readouterr().err == "error: no stack is running with make local ARGS=--openid\n"
