import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from functions.shared import stored_avatar
from tests.functions.conftest import LoadHandler

SUBJECT = "0a1b2c3d-0000-4000-8000-00000000a11c"
CDN_URL = "https://cdn.example.com"
SETTINGS = {"ASSETS_BUCKET": "assets", "CDN_URL": CDN_URL}
EVENT = {"requestContext": {"authorizer": {"lambda": {"sub": SUBJECT}}}}


@pytest.mark.parametrize("host", ["", "https://d111111abcdef8.cloudfront.net"])
def test_get_returns_manifest_of_the_caller_with_current_host(
    load_handler: LoadHandler, s3_environment: dict[str, str], s3: Any, new_bucket: Callable[[], str], host: str
) -> None:
    """Manifests have paths; older ones have the host that the CDN had then."""
    assets = new_bucket()
    image = {"size": 256, "format": "webp", "bytes": 12512}
    manifest = {"subject": SUBJECT, "upload_id": "01KJM8QZ5K3V7N2R9T4W6X8Y0Z"}
    stored = {
        **manifest,
        "images": [{**image, "url": f"{host}/avatars/{SUBJECT}/v/256.webp"}],
        "url": f"{host}/avatars/{SUBJECT}.jpg",
    }
    s3.put_object(Bucket=assets, Key=f"avatars/{SUBJECT}.json", Body=json.dumps(stored))
    s3.put_object(Bucket=assets, Key="avatars/another.json", Body="{}")

    response = load_handler("current_avatar", {**s3_environment, **SETTINGS, "ASSETS_BUCKET": assets}).handle(
        EVENT, None
    )

    assert response["statusCode"] == 200
    assert json.loads(response["body"]) == {
        **manifest,
        "images": [{**image, "url": f"{CDN_URL}/avatars/{SUBJECT}/v/256.webp"}],
        "url": f"{CDN_URL}/avatars/{SUBJECT}.jpg",
    }


def test_get_of_deleted_avatar_returns_404(
    load_handler: LoadHandler, s3_environment: dict[str, str], s3: Any, new_bucket: Callable[[], str]
) -> None:
    assets = new_bucket()
    stored_avatar.delete(s3, assets, SUBJECT, "01KJM8QZ5K3V7N2R9T4W6X8Y0Z")

    response = load_handler("current_avatar", {**s3_environment, **SETTINGS, "ASSETS_BUCKET": assets}).handle(
        EVENT, None
    )

    assert response["statusCode"] == 404


def test_get_without_avatar_returns_404(
    load_handler: LoadHandler, s3_environment: dict[str, str], new_bucket: Callable[[], str]
) -> None:
    handler = load_handler("current_avatar", {**s3_environment, **SETTINGS, "ASSETS_BUCKET": new_bucket()})

    response = handler.handle(EVENT, None)

    assert response["statusCode"] == 404
    assert json.loads(response["body"]) == {
        "error": {"code": "not_found", "message": "there is no avatar yet"},
        "subject": SUBJECT,
        "url": f"{CDN_URL}/avatars/{SUBJECT}.jpg",
    }


def test_silent_s3_is_given_up_within_the_timeout_of_the_function(load_handler: LoadHandler) -> None:
    """Of 5 seconds, for three attempts with connect and read timeouts, and the pauses between them."""
    config = load_handler("current_avatar", SETTINGS).S3.meta.config
    assert 3 * (config.connect_timeout + config.read_timeout) + 0.15 < 5


def test_get_with_unreachable_s3_raises_and_is_not_404(
    load_handler: LoadHandler, unused_endpoint: str, no_backoff: list[float]
) -> None:
    environment = {"AWS_ENDPOINT_URL_S3": unused_endpoint, **SETTINGS}
    handler = load_handler("current_avatar", environment)
    with pytest.raises(EndpointConnectionError, match=rf"assets/avatars/{SUBJECT}\.json"):
        handler.handle(EVENT, None)
