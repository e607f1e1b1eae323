"""An avatar of the running stack in other sizes, as the API and the CDN give it."""

from __future__ import annotations

import requests

from client.session import Session
from functions.shared.storage_keys import manifest_key
from local.stack import LocalStack
from operations.resizing import Resizing
from tests.fixtures import pictures
from tests.local.conftest import operate


def test_resized_avatar_is_the_one_of_api_and_cdn(stack: LocalStack, session: Session, photo: bytes) -> None:
    upload = session.upload(photo, "image/jpeg")
    operated = operate(stack)
    Resizing(operated.s3, operated.get_output("assetsBucket"), (128, 96)).change(session.subject)
    token = {"Authorization": f"Bearer {session.access_token}"}
    avatar = requests.get(f"{stack.api_url}/avatars/me", headers=token, timeout=10).json()
    status = requests.get(f"{stack.api_url}/avatars/uploads/{upload.upload_id}", headers=token, timeout=10).json()
    public = requests.get(f"{stack.cdn_url}/{manifest_key(session.subject)}", timeout=10).json()
    assert status["avatar"] == avatar == {**upload.avatar, "images": avatar["images"]}
    assert [stack.cdn_url + image["url"] for image in public["images"]] == [image["url"] for image in avatar["images"]]
    for image, size in zip(avatar["images"], (128, 96), strict=True):
        response = requests.get(image["url"], timeout=10)
        assert (pictures.decode(response.content).size, len(response.content)) == ((size, size), image["bytes"])
        assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert requests.get(upload.avatar["images"][0]["url"], timeout=10).status_code == 200, "older pages show it"
