"""The CDN of a running stack: caching, headers, error responses, and access to objects."""

from __future__ import annotations

import requests

from client.session import Session
from local.stack import ROOT, LocalStack


def get(stack: LocalStack, path: str, **headers: str) -> requests.Response:
    return requests.get(f"{stack.cdn_url}{path}", headers=headers, timeout=5)


def test_missing_avatar_returns_default_picture_with_404(stack: LocalStack) -> None:
    response = get(stack, "/avatars/nobody.jpg")
    assert response.status_code == 404
    assert response.headers["Content-Type"] == "image/jpeg"
    assert response.content == (ROOT / "assets" / "defaults" / "avatar.jpg").read_bytes()


def test_default_picture_is_cached_for_at_most_10_seconds(stack: LocalStack) -> None:
    assert get(stack, "/avatars/nobody.jpg").headers["Cache-Control"] in {f"max-age={age}" for age in range(11)}


def test_missing_manifest_returns_404(stack: LocalStack) -> None:
    assert get(stack, "/avatars/nobody.json").status_code == 404


def test_banner_is_served_as_jpeg(stack: LocalStack) -> None:
    response = get(stack, "/banners/banner.jpg")
    assert (response.status_code, response.headers["Content-Type"]) == (200, "image/jpeg")


def test_cache_control_is_a_year_for_versions_and_a_minute_for_stable_urls(
    stack: LocalStack, session: Session, photo: bytes
) -> None:
    manifest = session.upload(photo, "image/jpeg").avatar
    for image in manifest["images"]:
        assert requests.get(image["url"], timeout=5).headers["Cache-Control"] == "public, max-age=31536000, immutable"
    for url in (manifest["url"], f"{stack.cdn_url}/avatars/{session.subject}.json"):
        assert requests.get(url, timeout=5).headers["Cache-Control"] == "public, max-age=60"


def test_second_request_is_a_cache_hit(stack: LocalStack, session: Session, photo: bytes) -> None:
    url = session.upload(photo, "image/jpeg").avatar["url"]
    assert requests.get(url, timeout=5).headers["X-Cache"] == "Miss from cloudfront"
    second = requests.get(url, timeout=5)
    assert second.headers["X-Cache"] == "Hit from cloudfront"
    unchanged = requests.get(url, headers={"If-None-Match": second.headers["ETag"]}, timeout=5)
    assert (unchanged.status_code, unchanged.content) == (304, b"")


def test_second_avatar_has_new_image_urls(session: Session, photo: bytes) -> None:
    first = session.upload(photo, "image/jpeg").avatar
    second = session.upload(photo, "image/jpeg").avatar
    assert {image["url"] for image in first["images"]}.isdisjoint(image["url"] for image in second["images"])
    assert first["url"] == second["url"]


def test_responses_have_security_headers(stack: LocalStack, session: Session, photo: bytes) -> None:
    response = requests.get(session.upload(photo, "image/jpeg").avatar["url"], timeout=5)
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Strict-Transport-Security"].startswith("max-age=")
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert response.headers["X-Frame-Options"] == "DENY"


def test_object_outside_served_prefixes_returns_404(stack: LocalStack) -> None:
    stack.aws.client("s3").put_object(Bucket=stack.exports["assetsBucket"], Key="private/notes.txt", Body=b"secret")
    response = get(stack, "/private/notes.txt")
    assert response.status_code == 404
    assert b"secret" not in response.content


def test_put_through_the_cdn_returns_403(stack: LocalStack) -> None:
    assert requests.put(f"{stack.cdn_url}/avatars/x.jpg", data=b"x", timeout=5).status_code == 403
