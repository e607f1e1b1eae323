import json
from collections.abc import Callable
from typing import Any

import pytest

from functions.shared.aws.object_store import S3Error
from tests.functions.conftest import LoadHandler

SUBJECT = "0a1b2c3d-0000-4000-8000-00000000a11c"
EVENT = {"requestContext": {"authorizer": {"lambda": {"sub": SUBJECT}}}}


def test_the_manifest_of_the_caller_is_given_as_it_is(
    load_handler: LoadHandler, s3_environment: dict[str, str], s3: Any, new_bucket: Callable[[], str]
) -> None:
    assets = new_bucket()
    manifest = {"subject": SUBJECT, "upload_id": "01KJM8QZ5K3V7N2R9T4W6X8Y0Z", "images": [{"size": 512}]}
    s3.put_object(Bucket=assets, Key=f"avatars/{SUBJECT}.json", Body=json.dumps(manifest))
    s3.put_object(Bucket=assets, Key="avatars/another.json", Body="{}")

    answer = load_handler("current_avatar", {**s3_environment, "ASSETS_BUCKET": assets}).handle(EVENT, None)

    assert answer["statusCode"] == 200
    assert json.loads(answer["body"]) == manifest


def test_without_an_avatar_the_answer_is_404(
    load_handler: LoadHandler, s3_environment: dict[str, str], new_bucket: Callable[[], str]
) -> None:
    handler = load_handler("current_avatar", {**s3_environment, "ASSETS_BUCKET": new_bucket()})

    answer = handler.handle(EVENT, None)

    assert answer["statusCode"] == 404
    assert json.loads(answer["body"])["error"]["code"] == "not_found"


def test_an_s3_that_does_not_answer_is_an_error_and_not_a_missing_avatar(
    load_handler: LoadHandler, unused_endpoint: str
) -> None:
    environment = {"AWS_ENDPOINT_URL_S3": unused_endpoint, "ASSETS_BUCKET": "assets"}
    handler = load_handler("current_avatar", environment)
    with pytest.raises(S3Error, match=rf"^GET assets/avatars/{SUBJECT}\.json: no answer, ConnectionRefusedError"):
        handler.handle(EVENT, None)
