import base64
import json

import pytest

from functions.shared import http_api


def test_response_is_json_without_caching() -> None:
    assert http_api.response(200, {"name": "é"}) == {
        "statusCode": 200,
        "headers": {"content-type": "application/json", "cache-control": "no-store"},
        "body": '{"name": "\\u00e9"}',
    }


def test_no_content_has_no_body_and_is_not_cached() -> None:
    assert http_api.no_content() == {"statusCode": 204, "headers": {"cache-control": "no-store"}}


def test_error_response_has_documented_body() -> None:
    response = http_api.error_response(404, "not_found", "there is no such upload")
    assert response["statusCode"] == 404
    assert json.loads(response["body"]) == {"error": {"code": "not_found", "message": "there is no such upload"}}


def test_error_response_with_fields_and_headers() -> None:
    response = http_api.error_response(
        422, "invalid_profile", "bio: Too long.", {"bio": "Too long."}, headers={"retry-after": "5"}
    )
    error = {"code": "invalid_profile", "message": "bio: Too long.", "fields": {"bio": "Too long."}}
    assert json.loads(response["body"]) == {"error": error}
    assert response["headers"] == {
        "content-type": "application/json",
        "cache-control": "no-store",
        "retry-after": "5",
    }


def test_client_error_has_error_response() -> None:
    error = http_api.ClientError(422, "invalid_profile", "bio: Too long.", {"bio": "Too long."})
    assert error.response == http_api.error_response(422, "invalid_profile", "bio: Too long.", {"bio": "Too long."})
    assert str(error) == "bio: Too long."


@pytest.mark.parametrize("header", ["Bearer eyJ.a.b", "bearer  eyJ.a.b "])
def test_get_access_token_returns_token_of_header(header: str) -> None:
    assert http_api.get_access_token({"headers": {"authorization": header}}) == "eyJ.a.b"


def test_get_subject_returns_subject_of_authorizer() -> None:
    assert http_api.get_subject({"requestContext": {"authorizer": {"lambda": {"sub": "s-1"}}}}) == "s-1"


def test_get_subject_without_authorizer_raises_key_error() -> None:
    with pytest.raises(KeyError):
        http_api.get_subject({"requestContext": {}})


def test_parse_json_object_accepts_text_and_base64() -> None:
    assert http_api.parse_json_object({"body": '{"a": 1}', "isBase64Encoded": False}) == {"a": 1}
    encoded = base64.b64encode('{"a": "é"}'.encode()).decode()
    assert http_api.parse_json_object({"body": encoded, "isBase64Encoded": True}) == {"a": "é"}


@pytest.mark.parametrize(
    "event",
    [
        pytest.param({}, id="no body"),
        pytest.param({"body": None}, id="null body"),
        pytest.param({"body": ""}, id="empty body"),
        pytest.param({"body": "{"}, id="incomplete object"),
        pytest.param({"body": "[]"}, id="array"),
        pytest.param({"body": "null"}, id="null"),
        pytest.param({"body": '"text"'}, id="string"),
        pytest.param({"body": "[" * 100_000}, id="100,000 levels"),
        pytest.param({"body": '{"size": ' + "9" * 5000 + "}"}, id="5,000 digits"),
        pytest.param({"body": "?", "isBase64Encoded": True}, id="not base64"),
        pytest.param({"body": "//79", "isBase64Encoded": True}, id="not UTF-8"),
        pytest.param({"body": '{"a": 1}', "isBase64Encoded": True}, id="JSON declared as base64"),
    ],
)
def test_parse_json_object_other_body_is_rejected(event: dict[str, object]) -> None:
    with pytest.raises(http_api.ClientError) as caught:
        http_api.parse_json_object(event)
    assert caught.value.response["statusCode"] == 400
    assert json.loads(caught.value.response["body"])["error"]["code"] == "invalid_json"
