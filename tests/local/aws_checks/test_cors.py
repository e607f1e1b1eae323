"""CORS of the API and the uploads bucket: only the configured origins are allowed."""

from __future__ import annotations

import pytest
import requests

from client.session import Session
from local.stack import LocalStack

OTHER_ORIGIN = "https://evil.example"


@pytest.fixture
def origin(config: dict[str, str], stack: LocalStack) -> str:
    """The origin of the profile page, which the CDN serves."""
    return stack.cdn_url


def preflight(url: str, origin: str, method: str, headers: str) -> requests.Response:
    wanted = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}
    return requests.options(url, headers={"Origin": origin, **wanted}, timeout=5)


def test_api_call_from_allowed_origin_succeeds(stack: LocalStack, session: Session, origin: str) -> None:
    url = f"{stack.api_url}/avatars/key_upload"
    response = preflight(url, origin, "POST", "authorization,content-type")
    assert response.status_code == 204
    assert response.headers["Access-Control-Allow-Origin"] == origin
    assert "POST" in response.headers["Access-Control-Allow-Methods"].split(",")
    assert {"authorization", "content-type"} <= set(response.headers["Access-Control-Allow-Headers"].lower().split(","))
    headers = {"Origin": origin, "Authorization": f"Bearer {session.access_token}"}
    response = requests.post(url, json={"content_type": "image/png"}, headers=headers, timeout=10)
    assert (response.status_code, response.headers["Access-Control-Allow-Origin"]) == (200, origin)


def test_api_call_from_other_origin_gets_no_cors_headers(stack: LocalStack, session: Session) -> None:
    url = f"{stack.api_url}/avatars/me"
    assert "Access-Control-Allow-Origin" not in preflight(url, OTHER_ORIGIN, "GET", "authorization").headers
    headers = {"Origin": OTHER_ORIGIN, "Authorization": f"Bearer {session.access_token}"}
    assert "Access-Control-Allow-Origin" not in requests.get(url, headers=headers, timeout=10).headers


def test_api_error_for_allowed_origin_has_cors_headers(stack: LocalStack, origin: str) -> None:
    response = requests.get(f"{stack.api_url}/avatars/me", headers={"Origin": origin}, timeout=5)
    assert (response.status_code, response.headers["Access-Control-Allow-Origin"]) == (401, origin)


def test_uploads_bucket_preflight_allows_only_post_from_allowed_origin(stack: LocalStack, origin: str) -> None:
    url = f"{stack.aws_url}/{stack.exports['uploadsBucket']}"
    allowed = preflight(url, origin, "POST", "")
    assert (allowed.status_code, allowed.headers["Access-Control-Allow-Origin"]) == (200, origin)
    assert preflight(url, origin, "PUT", "").status_code == 403
    assert preflight(url, OTHER_ORIGIN, "POST", "").status_code == 403
