import base64
import hashlib
import hmac
import json
import time
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest

from functions.shared import upload_id
from tests.functions.conftest import PLATFORM_ENVIRONMENT, LoadHandler

SUBJECT = "0a1b2c3d-0000-4000-8000-00000000a11c"
ENVIRONMENT = {"UPLOADS_BUCKET": "uploads", "MAX_UPLOAD_BYTES": "5000000", "LARGEST_SIZE": "256"}


@pytest.fixture
def handler(load_handler: LoadHandler) -> ModuleType:
    return load_handler("presign_upload", ENVIRONMENT)


def ask(handler: ModuleType, request: object) -> tuple[int, dict[str, Any]]:
    event = {
        "requestContext": {"authorizer": {"lambda": {"sub": SUBJECT}}},
        "headers": {"content-type": "application/json"},
        "body": json.dumps(request),
        "isBase64Encoded": False,
    }
    answer = handler.handle(event, None)
    return answer["statusCode"], json.loads(answer["body"])


def policy_of(answer: dict[str, Any]) -> dict[str, Any]:
    return json.loads(base64.b64decode(answer["fields"]["policy"]))


def test_policy_allows_one_key_content_type_and_size_range(handler: ModuleType) -> None:
    status, answer = ask(handler, {"content_type": "image/png", "size": 183420})

    fields = answer["fields"]
    date = fields["x-amz-date"]
    assert status == 200
    assert policy_of(answer) == {
        "expiration": answer["expires_at"],
        "conditions": [
            {"bucket": "uploads"},
            ["content-length-range", 1, 5_000_000],
            {"key": f"incoming/{SUBJECT}/{answer['upload_id']}"},
            {"Content-Type": "image/png"},
            {"x-amz-algorithm": "AWS4-HMAC-SHA256"},
            {"x-amz-credential": f"ASIAEXAMPLE/{date[:8]}/eu-west-1/s3/aws4_request"},
            {"x-amz-date": date},
            {"x-amz-security-token": "session-token"},
        ],
    }


def test_policy_matches_every_field_exactly(handler: ModuleType) -> None:
    _, answer = ask(handler, {"content_type": "image/png"})
    exact = [condition for condition in policy_of(answer)["conditions"] if isinstance(condition, dict)]
    granted = {name: value for condition in exact for name, value in condition.items()}
    fields = answer["fields"]
    assert granted == {"bucket": "uploads"} | {
        name: value for name, value in fields.items() if name not in ("policy", "x-amz-signature")
    }


def test_policy_matches_the_crop_exactly(handler: ModuleType) -> None:
    status, answer = ask(handler, {"content_type": "image/png", "crop": {"x": 0.25, "y": 0, "size": 1 / 3}})
    assert status == 200
    assert answer["fields"]["x-amz-meta-crop"] == "0.250000,0.000000,0.333333"
    assert {"x-amz-meta-crop": "0.250000,0.000000,0.333333"} in policy_of(answer)["conditions"]


@pytest.mark.parametrize("request_body", [{"content_type": "image/png"}, {"content_type": "image/png", "crop": None}])
def test_form_without_crop_has_no_metadata_field(handler: ModuleType, request_body: object) -> None:
    status, answer = ask(handler, request_body)
    assert status == 200
    assert not [name for name in answer["fields"] if name.startswith("x-amz-meta-")]


def test_invalid_crop_returns_400_with_message(handler: ModuleType) -> None:
    status, answer = ask(handler, {"content_type": "image/png", "crop": {"x": 0.5, "y": 2, "size": 0.5}})
    assert (status, answer["error"]) == (
        400, {"code": "invalid_crop", "message": "crop.y 2 is not a number from 0 to 1"}
    )  # fmt: skip


def test_form_has_the_signature_that_s3_computes(handler: ModuleType) -> None:
    _, answer = ask(handler, {"content_type": "image/jpeg"})
    fields = answer["fields"]
    key = b"AWS4" + PLATFORM_ENVIRONMENT["AWS_SECRET_ACCESS_KEY"].encode()
    for part in fields["x-amz-credential"].split("/")[1:]:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    assert fields["x-amz-signature"] == hmac.new(key, fields["policy"].encode(), hashlib.sha256).hexdigest()


def test_form_without_session_token_has_no_token_field(
    load_handler: LoadHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = load_handler("presign_upload", {**ENVIRONMENT, "AWS_SESSION_TOKEN": ""})
    _, answer = ask(handler, {"content_type": "image/jpeg"})
    assert "x-amz-security-token" not in answer["fields"]
    assert not any("x-amz-security-token" in condition for condition in policy_of(answer)["conditions"])


def test_form_expires_after_five_minutes(handler: ModuleType) -> None:
    before = datetime.now(UTC)
    _, answer = ask(handler, {"content_type": "image/jpeg"})
    after = datetime.now(UTC)
    expires_at = datetime.fromisoformat(answer["expires_at"])
    five_minutes, rounding = timedelta(minutes=5), timedelta(milliseconds=1)
    assert before + five_minutes - rounding <= expires_at <= after + five_minutes
    assert answer["expires_at"].endswith("Z")


def test_upload_id_belongs_to_subject_and_is_unique(handler: ModuleType) -> None:
    ids = [ask(handler, {"content_type": "image/jpeg"})[1]["upload_id"] for _ in range(3)]
    assert len(set(ids)) == 3
    assert all(upload_id.is_owned_by(made, SUBJECT) for made in ids)


def test_upload_id_has_the_time_of_the_request(handler: ModuleType) -> None:
    before = int(time.time() * 1000)
    _, answer = ask(handler, {"content_type": "image/jpeg"})
    assert before <= upload_id.parse_time_ms(answer["upload_id"]) <= time.time() * 1000


def test_response_has_max_bytes(handler: ModuleType) -> None:
    _, answer = ask(handler, {"content_type": "image/jpeg"})
    assert set(answer) == {"upload_id", "url", "fields", "max_bytes", "useful_edge", "expires_at"}
    assert answer["max_bytes"] == 5_000_000


@pytest.mark.parametrize(("largest_size", "edge"), [("64", 768), ("512", 768), ("513", 769), ("1024", 1536)])
def test_useful_edge_is_of_largest_output(load_handler: LoadHandler, largest_size: str, edge: int) -> None:
    handler = load_handler("presign_upload", {**ENVIRONMENT, "LARGEST_SIZE": largest_size})
    assert ask(handler, {"content_type": "image/png"})[1]["useful_edge"] == edge


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        pytest.param({}, "https://uploads.s3.eu-west-1.amazonaws.com/", id="the bucket's regional host"),
        pytest.param(
            {"UPLOADS_BUCKET": "up.example.com"},
            "https://s3.eu-west-1.amazonaws.com/up.example.com",
            id="a bucket with dots, which TLS cannot have in the host",
        ),
        pytest.param(
            {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9000/"},
            "http://127.0.0.1:9000/uploads",
            id="an endpoint of a local run",
        ),
    ],
)
def test_form_url_is_of_bucket_or_endpoint(load_handler: LoadHandler, environment: dict[str, str], url: str) -> None:
    _, answer = ask(load_handler("presign_upload", ENVIRONMENT | environment), {"content_type": "image/jpeg"})
    assert answer["url"] == url


@pytest.mark.parametrize(
    ("request_body", "content_type"),
    [
        ({"content_type": "image/jpeg"}, "image/jpeg"),
        ({"content_type": "image/jpg"}, "image/jpeg"),
        ({"content_type": "IMAGE/PNG"}, "image/png"),
        ({"content_type": "image/webp"}, "image/webp"),
        ({"content_type": "image/gif"}, "image/gif"),
        ({"content_type": "image/avif"}, "image/avif"),
        ({"content_type": "image/heic"}, "image/heic"),
        ({"content_type": "image/heif"}, "image/heif"),
        ({"extension": "avif"}, "image/avif"),
        ({"extension": ".HEIC"}, "image/heic"),
        ({"extension": "heif"}, "image/heif"),
        ({"extension": "jpg"}, "image/jpeg"),
        ({"extension": "jpeg"}, "image/jpeg"),
        ({"extension": ".PNG"}, "image/png"),
        ({"extension": "WebP"}, "image/webp"),
        ({"extension": ".gif"}, "image/gif"),
        ({"content_type": "", "extension": "gif"}, "image/gif"),
        ({"content_type": "image/png", "extension": "gif"}, "image/png"),
    ],
)
def test_accepted_content_type_is_normalized(handler: ModuleType, request_body: object, content_type: str) -> None:
    status, answer = ask(handler, request_body)
    assert (status, answer["fields"]["Content-Type"]) == (200, content_type)


@pytest.mark.parametrize(
    ("request_body", "named"),
    [
        ({"content_type": "image/svg+xml"}, "content_type 'image/svg+xml'"),
        ({"content_type": "text/html"}, "content_type 'text/html'"),
        ({"content_type": "image/jpeg; charset=x"}, "content_type 'image/jpeg; charset=x'"),
        ({"content_type": ["image/jpeg"]}, "content_type ['image/jpeg']"),
        ({"content_type": 5}, "content_type 5"),
        ({"extension": "svg"}, "extension 'svg'"),
        ({"extension": "..jpg"}, "extension '..jpg'"),
        ({"extension": "x/victim.jpg"}, "extension 'x/victim.jpg'"),
        ({"content_type": "image/svg+xml", "extension": "jpg"}, "content_type 'image/svg+xml'"),
    ],
)
def test_other_content_type_returns_415_with_accepted_types(
    handler: ModuleType, request_body: object, named: str
) -> None:
    status, answer = ask(handler, request_body)
    assert (status, answer["error"]["code"]) == (415, "unsupported_type")
    assert answer["error"]["message"] == (
        f"{named} is not accepted; accepted are "
        "image/jpeg, image/png, image/webp, image/gif, image/avif, image/heic, image/heif"
    )


@pytest.mark.parametrize("request_body", [{}, {"size": 5}, {"content_type": ""}, {"content_type": None}])
def test_request_without_content_type_returns_400(handler: ModuleType, request_body: object) -> None:
    status, answer = ask(handler, request_body)
    assert (status, answer["error"]["code"]) == (400, "missing_content_type")


@pytest.mark.parametrize("size", [0, -1, True, 1.5, 100.0, "100", None, [100]])
def test_size_that_is_not_a_positive_integer_returns_400(handler: ModuleType, size: object) -> None:
    status, answer = ask(handler, {"content_type": "image/png", "size": size})
    assert (status, answer["error"]["code"]) == (400, "invalid_size")
    assert repr(size) in answer["error"]["message"]


def test_size_above_limit_returns_413(handler: ModuleType) -> None:
    assert ask(handler, {"content_type": "image/png", "size": 5_000_000})[0] == 200
    status, answer = ask(handler, {"content_type": "image/png", "size": 5_000_001})
    assert (status, answer["error"]["code"]) == (413, "size_too_large")
    assert "5000001" in answer["error"]["message"]
    assert "5000000 bytes" in answer["error"]["message"]


@pytest.mark.parametrize("size", [{}, {"size": 1}])
def test_request_without_size_or_with_smallest_returns_200(handler: ModuleType, size: dict[str, int]) -> None:
    assert ask(handler, {"content_type": "image/png", **size})[0] == 200


def test_body_that_is_not_a_json_object_returns_400(handler: ModuleType) -> None:
    status, answer = ask(handler, ["image/png"])
    assert (status, answer["error"]["code"]) == (400, "invalid_json")


def test_other_request_fields_do_not_reach_the_form(handler: ModuleType) -> None:
    _, answer = ask(
        handler,
        {
            "content_type": "image/png",
            "extension": "x/marker.jpg",
            "key": "avatars/marker.jpg",
            "filename": "marker",
            "sub": "marker",
            "upload_id": "marker",
        },
    )
    assert "marker" not in json.dumps([answer, policy_of(answer)])


@pytest.mark.parametrize("variable", ["UPLOADS_BUCKET", "MAX_UPLOAD_BYTES", "LARGEST_SIZE"])
def test_import_without_variable_raises_key_error(load_handler: LoadHandler, variable: str) -> None:
    with pytest.raises(KeyError, match=variable):
        load_handler("presign_upload", {k: v for k, v in ENVIRONMENT.items() if k != variable})
