"""Blocked users: what they upload is rejected before it is counted or decoded."""

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from functions.process_avatar.quota import Quota
from functions.shared import storage_keys, user_block
from tests.functions.process_avatar.conftest import BLUE, RED, SUBJECT, Stack, jpeg_of

NOW = datetime.now(UTC)


def test_upload_of_blocked_user_is_rejected_and_avatar_stays(stack: Stack, dynamodb: Any, limits_table: str) -> None:
    first = stack.upload(1, jpeg_of(RED))
    assert stack.deliver(first) == []
    stack.heard()
    second = stack.upload(2, jpeg_of(BLUE))
    user_block.put(dynamodb, limits_table, SUBJECT, NOW + timedelta(days=1))
    assert stack.deliver(second) == []
    key = storage_keys.rejection_key(SUBJECT, second)
    assert stack.keys(stack.uploads) == [key]
    assert json.load(stack.get(stack.uploads, key)["Body"])["reason"] == "blocked"
    (heard,) = stack.heard()
    assert (heard["event"], heard["upload_id"], heard["reason"]) == ("avatar.rejected", second, "blocked")
    assert stack.manifest()["upload_id"] == first


def test_rejected_upload_of_blocked_user_is_not_counted(
    stack: Stack, dynamodb: Any, limits_table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    quota = Quota(dynamodb, limits_table, 2)
    monkeypatch.setattr(stack.handler, "UPLOADS", dataclasses.replace(stack.handler.UPLOADS, quota=quota))
    user_block.put(dynamodb, limits_table, SUBJECT, NOW + timedelta(days=1))
    assert stack.deliver(stack.upload(1, jpeg_of(RED))) == []
    items = dynamodb.scan(TableName=limits_table)["Items"]
    assert {"S": "block"} in [item["period"] for item in items]
    assert [item for item in items if "posts" in item] == []


def test_upload_after_end_of_block_is_published(stack: Stack, dynamodb: Any, limits_table: str) -> None:
    user_block.put(dynamodb, limits_table, SUBJECT, NOW - timedelta(seconds=1))
    upload = stack.upload(1, jpeg_of(RED))
    assert stack.deliver(upload) == []
    assert stack.manifest()["upload_id"] == upload


def test_block_of_another_user_changes_nothing(stack: Stack, dynamodb: Any, limits_table: str) -> None:
    user_block.put(dynamodb, limits_table, f"{SUBJECT}0", NOW + timedelta(days=1))
    upload = stack.upload(1, jpeg_of(RED))
    assert stack.deliver(upload) == []
    assert stack.manifest()["upload_id"] == upload


def test_unknown_block_returns_message(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise EndpointConnectionError(endpoint_url="dynamodb")

    upload = stack.upload(1, jpeg_of(RED))
    with monkeypatch.context() as patch:
        patch.setattr(stack.handler.UPLOADS.read_block_end.args[0], "get_item", fail)
        assert stack.deliver(upload) == [upload]
    assert stack.keys(stack.assets) == []
    assert stack.deliver(upload, receive_count=2) == []
    assert stack.manifest()["upload_id"] == upload


def test_block_is_replaced_and_deleted(dynamodb: Any, limits_table: str) -> None:
    assert user_block.read_end(dynamodb, limits_table, SUBJECT) is None
    for days in (30, 1):
        end = NOW.replace(microsecond=0) + timedelta(days=days)
        user_block.put(dynamodb, limits_table, SUBJECT, end)
        assert user_block.read_end(dynamodb, limits_table, SUBJECT) == end
    (item,) = dynamodb.scan(TableName=limits_table)["Items"]
    assert item["expires_at"] == item["until"]
    user_block.delete(dynamodb, limits_table, SUBJECT)
    assert user_block.read_end(dynamodb, limits_table, SUBJECT) is None


def test_block_is_read_consistently() -> None:
    """An upload that is posted after the response to a new block must find it, which moto cannot show."""
    requests: list[dict[str, Any]] = []

    class Recorder:
        def get_item(self, **request: Any) -> dict[str, Any]:
            requests.append(request)
            return {}

    assert user_block.read_end(Recorder(), "limits", SUBJECT) is None  # pyright: ignore[reportArgumentType]
    assert [request["ConsistentRead"] for request in requests] == [True]
