import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from tests.functions.conftest import LoadHandler

SUBJECT = "0a1b2c3d-0000-4000-8000-00000000a11c"
EVENT = {"requestContext": {"authorizer": {"lambda": {"sub": SUBJECT}}}}


def test_get_returns_manifest_of_the_caller(
    load_handler: LoadHandler, s3_environment: dict[str, str], s3: Any, new_bucket: Callable[[], str]
) -> None:
    assets = new_bucket()
    manifest = {"subject": SUBJECT, "upload_id": "01KJM8QZ5K3V7N2R9T4W6X8Y0Z", "images": [{"size": 512}]}
    s3.put_object(Bucket=assets, Key=f"avatars/{SUBJECT}.json", Body=json.dumps(manifest))
    s3.put_object(Bucket=assets, Key="avatars/another.json", Body="{}")

    response = load_handler("current_avatar", {**s3_environment, "ASSETS_BUCKET": assets}).handle(EVENT, None)

    assert response["statusCode"] == 200
    assert json.loads(response["body"]) == manifest


def test_get_without_avatar_returns_404(
    load_handler: LoadHandler, s3_environment: dict[str, str], new_bucket: Callable[[], str]
) -> None:
    handler = load_handler("current_avatar", {**s3_environment, "ASSETS_BUCKET": new_bucket()})

    response = handler.handle(EVENT, None)

    assert response["statusCode"] == 404
    assert json.loads(response["body"])["error"] == {"code": "not_found", "message": "there is no avatar yet"}


def test_silent_s3_is_given_up_within_the_timeout_of_the_function(load_handler: LoadHandler) -> None:
    """Of 5 seconds, for three attempts with connect and read timeouts, and the pauses between them."""
    config = load_handler("current_avatar", {"ASSETS_BUCKET": "assets"}).S3.meta.config
    assert 3 * (config.connect_timeout + config.read_timeout) + 0.15 < 5


def test_get_with_unreachable_s3_raises_and_is_not_404(
    load_handler: LoadHandler, unused_endpoint: str, no_backoff: list[float]
) -> None:
    environment = {"AWS_ENDPOINT_URL_S3": unused_endpoint, "ASSETS_BUCKET": "assets"}
    handler = load_handler("current_avatar", environment)
    with pytest.raises(EndpointConnectionError, match=rf"assets/avatars/{SUBJECT}\.json"):
        handler.handle(EVENT, None)
