"""The handler against S3, SNS and DynamoDB of a moto server, and what process_avatar does when the event arrives."""

import dataclasses
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from functions.process_avatar.imaging.formats import ImageRejectedError
from functions.process_avatar.quota import Quota
from functions.shared import storage_keys, stored_avatar, upload_id
from tests.functions.conftest import LoadHandler
from tests.functions.process_avatar.conftest import (
    BLUE,
    CDN_URL,
    RED,
    SETTINGS,
    SUBJECT,
    Stack,
    clients,
    jpeg_of,
    stack,
    warm_render_process,
)
from tests.functions.process_avatar.test_metrics import AVATAR, Log, log
from tests.functions.process_avatar.test_moderation import ARN, answer
from tests.functions.servers import HttpStub

__all__ = ["clients", "log", "stack", "warm_render_process"]

Finish = Callable[..., tuple[int, dict[str, Any]]]
PENDING = (202, "pending")
ENDED = timedelta(seconds=-2)
"""LEASE for a claim that has ended."""


@pytest.fixture
def team() -> Iterator[HttpStub]:
    """Lambda with the moderation function."""
    with HttpStub() as stub:
        yield stub


@pytest.fixture
def moderation_environment(request: pytest.FixtureRequest) -> dict[str, str]:
    if "team" not in request.fixturenames:
        return {}
    return {"MODERATION_FUNCTION_ARN": ARN, "AWS_ENDPOINT_URL_LAMBDA": request.getfixturevalue("team").url}


@pytest.fixture
def handler(
    stack: Stack,
    moderation_environment: dict[str, str],
    limits_table: str,
    load_handler: LoadHandler,
    moto_endpoint: str,
) -> Iterator[ModuleType]:
    services = ("S3", "DYNAMODB", "SNS")
    module = load_handler(
        "finish_upload",
        {
            **{f"AWS_ENDPOINT_URL_{service}": moto_endpoint for service in services},
            **{name: value for name, value in SETTINGS.items() if name not in ("QUEUE_URL", "DISTRIBUTION_ID")},
            "UPLOADS_BUCKET": stack.uploads,
            "ASSETS_BUCKET": stack.assets,
            "TOPIC_ARN": stack.topic_arn,
            "LIMITS_TABLE": limits_table,
            **moderation_environment,
        },
    )
    yield module
    module.RENDER_PROCESS.close()


@pytest.fixture
def finish(handler: ModuleType) -> Finish:
    """Requests the result of an upload. Returns the status code and the body."""

    def request(its_id: str, subject: str = SUBJECT) -> tuple[int, dict[str, Any]]:
        response = handler.handle(
            {
                "requestContext": {"authorizer": {"lambda": {"sub": subject}}},
                "pathParameters": {"upload_id": its_id},
            },
            None,
        )
        return response["statusCode"], json.loads(response["body"])

    return request


def status_of(response: tuple[int, dict[str, Any]]) -> tuple[int, str]:
    return response[0], response[1]["status"]


def read_keys(processor: Stack, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys that process_avatar reads from now on."""
    keys: list[str] = []

    def record(name: str) -> Callable[..., Any]:
        real = getattr(processor.handler.S3, name)

        def operation(**request: Any) -> Any:
            keys.append(request["Key"])
            return real(**request)

        return operation

    for name in ("get_object", "head_object"):
        monkeypatch.setattr(processor.handler.S3, name, record(name))
    return keys


def test_finish_publishes_and_its_event_announces_and_deletes(
    stack: Stack,
    finish: Finish,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    new = stack.upload(1, jpeg_of(RED))
    code, body = finish(new)
    published = stack.get(stack.assets, storage_keys.manifest_key(SUBJECT))["LastModified"], stack.announced_avatar()
    assert (code, body) == (200, {"upload_id": new, "status": "ready", "avatar": published[1]})
    assert body["avatar"]["images"][0]["url"].startswith(f"{CDN_URL}/avatars/{SUBJECT}/{new}-")
    assert stack.colour(storage_keys.stable_key(SUBJECT)) == RED
    assert (stack.keys(stack.uploads), stack.heard()) == ([storage_keys.incoming_key(SUBJECT, new)], [])
    keys = read_keys(stack, monkeypatch)
    assert stack.deliver(new) == []
    assert keys == [storage_keys.manifest_key(SUBJECT)], "it is cheap"
    (heard,) = stack.heard()
    assert (heard["event"], heard["avatar"]) == ("avatar.ready", published[1])
    assert stack.keys(stack.uploads) == []
    assert finish(new) == (code, body)
    after = stack.get(stack.assets, storage_keys.manifest_key(SUBJECT))["LastModified"], stack.announced_avatar()
    assert after == published


def test_finish_after_event_tells_what_became_of_it(stack: Stack, finish: Finish) -> None:
    older, newer = stack.upload(1, jpeg_of(RED)), stack.upload(2, jpeg_of(BLUE))
    stack.deliver(newer)
    heard = stack.heard_events()
    ready = {"status": "ready", "avatar": stack.announced_avatar()}
    assert finish(newer) == (200, {"upload_id": newer, **ready})
    assert finish(older) == (200, {"upload_id": older, **ready}), "superseded by the newer one"
    assert stack.keys(stack.uploads) == [storage_keys.incoming_key(SUBJECT, older)]
    assert (stack.deliver(older), stack.keys(stack.uploads), stack.heard()) == ([], [], [])
    assert heard == [("avatar.ready", newer)]


def test_finish_of_unknown_upload_returns_404(stack: Stack, finish: Finish) -> None:
    new = stack.upload(1, jpeg_of(RED))
    for response in (finish(upload_id.create(SUBJECT, 1)), finish(new, "somebody-else"), finish("no-id")):
        message = "nothing was posted with the form of this upload"
        assert response == (404, {"error": {"code": "not_found", "message": message}})
    assert stack.keys(stack.assets) == []


def test_finish_rejects_once_and_event_does_nothing(
    stack: Stack,
    finish: Finish,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    new = stack.upload(1, b"no picture")
    rejected = (200, {"upload_id": new, "status": "rejected", "reason": "not_an_image"})
    assert finish(new) == rejected
    assert stack.heard_events() == [("avatar.rejected", new)]
    assert stack.keys(stack.uploads) == [storage_keys.rejection_key(SUBJECT, new)]
    monkeypatch.setattr(stack.handler.RENDER_PROCESS, "_render", None)
    assert (stack.deliver(new), stack.heard()) == ([], [])
    assert finish(new) == rejected


def test_finish_of_deleted_avatar_is_rejected(stack: Stack, finish: Finish) -> None:
    new = stack.upload(1, jpeg_of(RED))
    stored_avatar.delete(stack.s3, stack.assets, SUBJECT, upload_id.create(SUBJECT, 1_767_225_600_000 + 90_000))
    assert finish(new) == (200, {"upload_id": new, "status": "rejected", "reason": "deleted"})


@pytest.mark.parametrize("data", [jpeg_of(RED), b"no picture"])
def test_failed_finish_returns_202_and_event_does_it_all(
    stack: Stack,
    finish: Finish,
    handler: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    data: bytes,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise EndpointConnectionError(endpoint_url="AWS")

    new = stack.upload(1, data)
    is_picture = data == jpeg_of(RED)
    with monkeypatch.context() as patch:
        # Between the stable JPEG and the manifest, or after the record of the rejection.
        patch.setattr("functions.process_avatar.publishing._advance_manifest", fail)
        patch.setattr(handler.UPLOADS.topic, "publish", fail)
        patch.setattr("functions.process_avatar.process_upload.LEASE", ENDED)
        assert status_of(finish(new)) == PENDING
    assert (stack.deliver(new), stack.heard_events()) == (
        [],
        [("avatar.ready" if is_picture else "avatar.rejected", new)],
    )
    assert stack.keys(stack.uploads) == ([] if is_picture else [storage_keys.rejection_key(SUBJECT, new)])


def test_finish_killed_before_manifest_is_completed_without_original(
    stack: Stack, finish: Finish, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event of another file, posted with the same form, has processed and deleted that meanwhile."""

    def fail(*_: object, **__: object) -> None:
        raise EndpointConnectionError(endpoint_url="S3")

    new = stack.upload(1, jpeg_of(RED))
    with monkeypatch.context() as patch:
        patch.setattr("functions.process_avatar.publishing._advance_manifest", fail)
        assert status_of(finish(new)) == PENDING
    stack.s3.delete_object(Bucket=stack.uploads, Key=storage_keys.incoming_key(SUBJECT, new))
    assert (stack.deliver(new), stack.heard_events()) == ([], [("avatar.ready", new)])
    assert stack.manifest()["upload_id"] == new


def test_file_too_large_for_finish_is_left_to_the_event(
    stack: Stack,
    finish: Finish,
    handler: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def reject(*_: object, **__: object) -> None:
        raise ImageRejectedError("too_many_pixels")

    monkeypatch.setattr(handler.RENDER_PROCESS, "render", reject)
    new = stack.upload(1, jpeg_of(RED))
    assert status_of(finish(new)) == PENDING
    assert (stack.deliver(new), stack.heard_events()) == ([], [("avatar.ready", new)])


@pytest.mark.parametrize("is_blocked", [False, True])
def test_event_that_rejects_during_finish_is_delivered_until_that_has_ended(
    stack: Stack, finish: Finish, handler: ModuleType, monkeypatch: pytest.MonkeyPatch, is_blocked: bool
) -> None:
    """The user is blocked in between, or another file is posted with the same form."""
    results: list[object] = []
    new = stack.upload(1, jpeg_of(RED))

    def render(*arguments: Any, **options: Any) -> Any:
        if is_blocked:
            object.__setattr__(
                stack.handler.UPLOADS, "read_block_end", lambda _subject: datetime(9999, 1, 1, tzinfo=UTC)
            )
        else:
            stack.replace(new, b"no picture")
        results.append(stack.deliver(new))
        return handler.RENDER_PROCESS.render(*arguments, **options)

    monkeypatch.setattr(handler, "UPLOADS", dataclasses.replace(handler.UPLOADS, render=render))
    results.append(status_of(finish(new)))
    assert results == [[new], (200, "ready")]
    assert stack.deliver(new, receive_count=2) == []
    assert stack.heard_events() == [("avatar.rejected", new), ("avatar.ready", new)]


def test_event_waits_no_longer_than_the_claim_of_a_failed_finish(
    stack: Stack, finish: Finish, handler: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("killed")

    monkeypatch.setattr(handler.RENDER_PROCESS, "render", fail)
    first, second = stack.upload(1, b"no picture"), stack.upload(2, b"no picture")
    assert status_of(finish(first)) == PENDING
    monkeypatch.setattr("functions.process_avatar.process_upload.LEASE", ENDED)
    assert status_of(finish(second)) == PENDING
    assert [stack.deliver(each) for each in (first, second)] == [[first], []]


@pytest.mark.parametrize("is_event_first", [False, True])
def test_file_that_is_processed_already_is_neither_decoded_nor_counted_again(
    stack: Stack,
    finish: Finish,
    handler: ModuleType,
    dynamodb: Any,
    limits_table: str,
    monkeypatch: pytest.MonkeyPatch,
    log: Log,
    is_event_first: bool,
) -> None:
    quota = Quota(dynamodb, limits_table, 9)
    results: list[object] = []
    new = stack.upload(1, jpeg_of(RED))
    steps = [(stack.handler, lambda: stack.deliver(new)), (handler, lambda: status_of(finish(new)))]
    (first, run_first), (second, run_second) = steps if is_event_first else steps[::-1]

    def render(*arguments: Any, **options: Any) -> Any:
        results.append(run_second())
        return first.RENDER_PROCESS.render(*arguments, **options)

    monkeypatch.setattr(first, "UPLOADS", dataclasses.replace(first.UPLOADS, quota=quota, render=render))
    monkeypatch.setattr(second, "UPLOADS", dataclasses.replace(second.UPLOADS, quota=quota))
    results.append(run_first())
    assert results == ([PENDING, []] if is_event_first else [[], (200, "ready")])
    assert "FailedFinishes" not in log.read_names()
    (item,) = dynamodb.scan(TableName=limits_table)["Items"]
    assert len(item["posts"]["BS"]) == 1
    assert stack.heard_events() == [("avatar.ready", new)]
    assert stack.keys(stack.uploads) == []


def test_held_upload_is_announced_by_its_event_without_asking_again(
    stack: Stack,
    finish: Finish,
    team: HttpStub,
) -> None:
    answer(team, "hold", "suggestive")
    new = stack.upload(1, jpeg_of(RED))
    assert [finish(new) for _ in range(2)] == [(200, {"upload_id": new, "status": "held"})] * 2
    assert stack.heard() == []
    assert stack.deliver(new) == []
    (heard,) = stack.heard()
    assert (heard["event"], heard["moderation_reason"]) == ("avatar.held", "suggestive")
    assert len(team.requests) == 1
    assert storage_keys.incoming_key(SUBJECT, new) in stack.keys(stack.uploads)


def test_finished_avatar_is_measured_by_its_event_to_when_it_was_published(
    stack: Stack, finish: Finish, log: Log
) -> None:
    new = stack.upload(1, jpeg_of(RED))
    finish(new)
    assert log.read_metrics() == []
    key = storage_keys.manifest_key(SUBJECT)
    stored = stack.get(stack.assets, key)
    an_hour_ago = int(stored["Metadata"]["published-ms"]) - 3_600_000
    metadata = {**stored["Metadata"], "published-ms": str(an_hour_ago), "render-ms": "41"}
    stack.s3.put_object(Bucket=stack.assets, Key=key, Body=stored["Body"].read(), Metadata=metadata)
    stack.deliver(new, age=timedelta(minutes=61))
    measured = {datum.name: datum.value for datum in log.read_metrics()}
    assert list(measured) == AVATAR
    assert 50_000 < measured["TimeToAvatar"] <= 60_000
    assert (measured["AvatarWithin5Seconds"], measured["RenderTime"]) == (0, 41)


def test_failed_finish_is_counted(stack: Stack, finish: Finish, log: Log) -> None:
    new = stack.upload(1, jpeg_of(RED), crop="everything")
    assert status_of(finish(new)) == PENDING
    assert [(datum.name, datum.dimensions, datum.unit, datum.value) for datum in log.read_metrics()] == [
        ("FailedFinishes", {"service": "avatars"}, "Count", 1)
    ]


def test_held_upload_is_counted_once(stack: Stack, finish: Finish, team: HttpStub, log: Log) -> None:
    answer(team, "hold", "suggestive")
    new = stack.upload(1, jpeg_of(RED))
    finish(new)
    stack.deliver(new)
    stack.deliver(new, receive_count=2)
    assert [(datum.name, datum.dimensions, datum.unit, datum.value) for datum in log.read_metrics()] == [
        ("UploadsHeld", {"service": "avatars"}, "Count", 1)
    ]
