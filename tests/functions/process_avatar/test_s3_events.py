"""Which objects an SQS message tells of."""

import json
from datetime import UTC, datetime

import pytest

from functions.process_avatar import s3_events
from tests.functions.process_avatar import upload_events


def created(body: str) -> list[s3_events.Created]:
    return s3_events.created_objects(json.loads(body))


def test_every_record_is_parsed() -> None:
    objects = created(upload_events.s3_event("incoming/a/1", "incoming/b/2"))
    assert [its.key for its in objects] == ["incoming/a/1", "incoming/b/2"]


def test_event_time_etag_and_sequencer_are_parsed() -> None:
    stored = '{"key": "k", "eTag": "d41d", "sequencer": "0A"}'
    (its,) = created(f'{{"Records": [{{"eventTime": "2026-11-20T09:30:15.412Z", "s3": {{"object": {stored}}}}}]}}')
    assert its == ("k", datetime(2026, 11, 20, 9, 30, 15, 412_000, tzinfo=UTC), '"d41d"', "0A")


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
        '{"Records": [{"s3": {"object": {"key": "incoming/a/1", "eTag": "d41d", "sequencer": "0A"}}}]}',
        '{"Records": [{"eventTime": "2026-11-20T09:30:15.412Z", "s3": {"object": {"key": "k", "sequencer": "0A"}}}]}',
        '{"Records": [{"eventTime": "2026-11-20T09:30:15.412Z", "s3": {"object": {"key": "k", "eTag": "d41d"}}}]}',
        '{"Records": [{"eventTime": "yesterday", "s3": {"object": {"key": "incoming/a/1", "sequencer": "0A"}}}]}',
        '{"Records": [{"eventSource": "aws:sns", "Sns": {"Message": "{}"}}]}',
    ],
)
def test_body_that_is_not_an_s3_event_raises_value_error(body: str) -> None:
    with pytest.raises(ValueError, match=r"not an S3 event|Invalid isoformat"):
        created(body)
