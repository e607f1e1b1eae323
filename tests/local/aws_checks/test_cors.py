"""Pages of the configured origins, and of no other, may call the API, upload, and read."""

from __future__ import annotations

import pytest
import requests

from client.session import Session
from local.stack import LocalStack

FOREIGN = "https://evil.example"


@pytest.fixture
def origin(config: dict[str, str], stack: LocalStack) -> str:
    """The CDN's own origin: the page that the stack itself serves."""
    return stack.cdn_url


def preflight(url: str, origin: str, method: str, headers: str) -> requests.Response:
    wanted = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}
    return requests.options(url, headers={"Origin": origin, **wanted}, timeout=5)


def test_api_call_from_allowed_origin_succeeds(stack: LocalStack, session: Session, origin: str) -> None:
    url = f"{stack.api_url}/avatars/key_upload"
    answer = preflight(url, origin, "POST", "authorization,content-type")
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert "POST" in answer.headers["Access-Control-Allow-Methods"].split(",")
    assert {"authorization", "content-type"} <= set(answer.headers["Access-Control-Allow-Headers"].lower().split(","))
    headers = {"Origin": origin, "Authorization": f"Bearer {session.access_token}"}
    answer = requests.post(url, json={"content_type": "image/png"}, headers=headers, timeout=10)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, origin)


def test_api_call_from_other_origin_gets_no_cors_headers(stack: LocalStack, session: Session) -> None:
    url = f"{stack.api_url}/avatars/me"
    assert "Access-Control-Allow-Origin" not in preflight(url, FOREIGN, "GET", "authorization").headers
    headers = {"Origin": FOREIGN, "Authorization": f"Bearer {session.access_token}"}
    assert "Access-Control-Allow-Origin" not in requests.get(url, headers=headers, timeout=10).headers


def test_api_error_for_allowed_origin_has_cors_headers(stack: LocalStack, origin: str) -> None:
    answer = requests.get(f"{stack.api_url}/avatars/me", headers={"Origin": origin}, timeout=5)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (401, origin)


def test_uploads_bucket_preflight_allows_only_post_from_allowed_origin(
    stack: LocalStack, origin: str
) -> None:
    url = f"{stack.aws_url}/{stack.exports['uploadsBucket']}"
    allowed = preflight(url, origin, "POST", "")
    assert (allowed.status_code, allowed.headers["Access-Control-Allow-Origin"]) == (200, origin)
    assert preflight(url, origin, "PUT", "").status_code == 403
    assert preflight(url, FOREIGN, "POST", "").status_code == 403
