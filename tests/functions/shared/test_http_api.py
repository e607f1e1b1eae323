import base64
import json

import pytest

from functions.shared import http_api


def test_a_reply_is_uncached_json() -> None:
    assert http_api.reply(200, {"name": "é"}) == {
        "statusCode": 200,
        "headers": {"content-type": "application/json", "cache-control": "no-store"},
        "body": '{"name": "\\u00e9"}',
    }


def test_a_failure_has_the_documented_body() -> None:
    answer = http_api.failure(404, "not_found", "there is no such upload")
    assert answer["statusCode"] == 404
    assert json.loads(answer["body"]) == {"error": {"code": "not_found", "message": "there is no such upload"}}


def test_a_failure_may_name_fields_and_add_headers() -> None:
    answer = http_api.failure(
        422, "invalid_profile", "bio: Too long.", {"bio": "Too long."}, headers={"retry-after": "5"}
    )
    error = {"code": "invalid_profile", "message": "bio: Too long.", "fields": {"bio": "Too long."}}
    assert json.loads(answer["body"]) == {"error": error}
    assert answer["headers"] == {
        "content-type": "application/json",
        "cache-control": "no-store",
        "retry-after": "5",
    }


def test_a_clients_error_carries_its_reply() -> None:
    error = http_api.ClientError(422, "invalid_profile", "bio: Too long.", {"bio": "Too long."})
    assert error.reply == http_api.failure(422, "invalid_profile", "bio: Too long.", {"bio": "Too long."})
    assert str(error) == "bio: Too long."


@pytest.mark.parametrize("header", ["Bearer eyJ.a.b", "bearer  eyJ.a.b "])
def test_the_access_token_is_the_one_in_the_header(header: str) -> None:
    assert http_api.access_token({"headers": {"authorization": header}}) == "eyJ.a.b"


def test_the_subject_is_the_one_the_authorizer_passed_on() -> None:
    assert http_api.subject({"requestContext": {"authorizer": {"lambda": {"sub": "s-1"}}}}) == "s-1"


def test_an_event_without_an_authorizer_is_an_error_and_never_an_anonymous_subject() -> None:
    with pytest.raises(KeyError):
        http_api.subject({"requestContext": {}})


def test_a_json_body_is_read_plain_or_in_base64() -> None:
    assert http_api.json_object({"body": '{"a": 1}', "isBase64Encoded": False}) == {"a": 1}
    encoded = base64.b64encode('{"a": "é"}'.encode()).decode()
    assert http_api.json_object({"body": encoded, "isBase64Encoded": True}) == {"a": "é"}


@pytest.mark.parametrize(
    "event",
    [
        pytest.param({}, id="no body"),
        pytest.param({"body": None}, id="a null body"),
        pytest.param({"body": ""}, id="an empty body"),
        pytest.param({"body": "{"}, id="half an object"),
        pytest.param({"body": "[]"}, id="an array"),
        pytest.param({"body": "null"}, id="null"),
        pytest.param({"body": '"text"'}, id="a string"),
        pytest.param({"body": "[" * 100_000}, id="endless nesting"),
        pytest.param({"body": '{"size": ' + "9" * 5000 + "}"}, id="an endless number"),
        pytest.param({"body": "?", "isBase64Encoded": True}, id="not base64"),
        pytest.param({"body": "//79", "isBase64Encoded": True}, id="not UTF-8"),
        pytest.param({"body": '{"a": 1}', "isBase64Encoded": True}, id="plain JSON said to be base64"),
    ],
)
def test_any_other_body_is_the_clients_error(event: dict[str, object]) -> None:
    with pytest.raises(http_api.ClientError) as caught:
        http_api.json_object(event)
    assert caught.value.reply["statusCode"] == 400
    assert json.loads(caught.value.reply["body"])["error"]["code"] == "invalid_json"
