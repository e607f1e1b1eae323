"""Which objects an SQS message tells of."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from functions.process_avatar import s3_events
from tests.functions.process_avatar import upload_events

_RECORD: dict[str, Any] = {
    "eventName": "ObjectCreated:Post",
    "eventTime": "2026-11-20T09:30:15.412Z",
    "s3": {"object": {"key": "incoming/a/1", "eTag": "d41d", "sequencer": "0A"}},
}


def _without(name: str) -> str:
    stored = {key: value for key, value in _RECORD["s3"]["object"].items() if key != name}
    record = {key: value for key, value in {**_RECORD, "s3": {"object": stored}}.items() if key != name}
    return json.dumps({"Records": [record]})


def created(body: str) -> list[s3_events.Created]:
    return s3_events.created_objects(json.loads(body))


def test_every_record_is_parsed() -> None:
    objects = created(upload_events.s3_event("incoming/a/1", "incoming/b/2"))
    assert [its.key for its in objects] == ["incoming/a/1", "incoming/b/2"]


@pytest.mark.parametrize(("name", "is_copy"), [("ObjectCreated:Post", False), ("ObjectCreated:Copy", True)])
def test_time_etag_sequencer_and_copy_are_parsed(name: str, *, is_copy: bool) -> None:
    (its,) = created(json.dumps({"Records": [{**_RECORD, "eventName": name}]}))
    assert its == ("incoming/a/1", datetime(2026, 11, 20, 9, 30, 15, 412_000, tzinfo=UTC), '"d41d"', "0A", is_copy)


def test_keys_are_decoded_as_s3_encodes_them() -> None:
    key = "incoming/a b/1+1=2 ü"
    body = upload_events.s3_event(key)
    assert "incoming/a+b/1%2B1%3D2+%C3%BC" in body
    assert [its.key for its in created(body)] == [key]


def test_s3_test_event_has_no_objects() -> None:
    assert created(upload_events.s3_test_event()) == []


@pytest.mark.parametrize(
    "body",
    [
        "null",
        "[]",
        "{}",
        '{"Records": null}',
        '{"Records": ["text"]}',
        '{"Records": [{"s3": {}}]}',
        *(_without(name) for name in ("eventName", "eventTime", "s3", "key", "eTag", "sequencer")),
        json.dumps({"Records": [{**_RECORD, "eventTime": "yesterday"}]}),
        '{"Records": [{"eventSource": "aws:sns", "Sns": {"Message": "{}"}}]}',
    ],
)
def test_body_that_is_not_an_s3_event_raises_value_error(body: str) -> None:
    with pytest.raises(ValueError, match=r"not an S3 event|Invalid isoformat"):
        created(body)
