"""The quota of uploads against DynamoDB of a moto server: alone, and under the handler."""

import dataclasses
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import EndpointConnectionError

from functions.process_avatar import publishing
from functions.process_avatar.quota import LEASE, NotClaimedError, Quota, QuotaExceededError
from functions.process_avatar.s3_events import Created
from functions.shared import storage_keys
from tests.functions.conftest import LoadHandler
from tests.functions.process_avatar.conftest import BLUE, RED, SETTINGS, SUBJECT, Stack, jpeg_of

AT = datetime(2026, 11, 20, 9, 59, 59, 999_000, tzinfo=UTC)
OTHER = "0c9d1a77-1f0e-4a58-9d8e-5f3f7c1b2a60"


def post(
    number: int, at: datetime = AT, subject: str = SUBJECT, sequencer: str = "0A", etag: str = '"d41d"'
) -> Created:
    return Created(f"incoming/{subject}/{number}", at, etag, sequencer)


def is_counted(quota: Quota, created: Created) -> bool:
    try:
        quota.count(created.key.split("/")[1], created)
    except QuotaExceededError:
        return False
    return True


def is_claimed(quota: Quota, created: Created) -> bool:
    try:
        quota.claim(created.key.split("/")[1], created.key, created.etag, created.at, until=datetime.now(UTC) + LEASE)
    except NotClaimedError:
        return False
    return True


def items(dynamodb: Any, limits_table: str) -> list[dict[str, Any]]:
    return dynamodb.scan(TableName=limits_table, ConsistentRead=True)["Items"]


# --- The count --------------------------------------------------------------------------------------------------------


def test_count_up_to_the_quota_then_raises(dynamodb: Any, limits_table: str) -> None:
    quota = Quota(dynamodb, limits_table, 2)
    assert [is_counted(quota, post(number)) for number in (1, 2, 3, 4)] == [True, True, False, False]


def test_count_same_event_again_counts_once(dynamodb: Any, limits_table: str) -> None:
    quota = Quota(dynamodb, limits_table, 2)
    assert all(is_counted(quota, post(1)) for _ in range(5))
    assert is_counted(quota, post(2))
    assert [is_counted(quota, post(number)) for number in (1, 2, 3)] == [True, True, False]


@pytest.mark.parametrize("etags", [('"1"', '"1"', '"1"'), ('"1"', '"2"', '"3"')])
def test_count_file_posted_again_with_same_form_counts(
    dynamodb: Any, limits_table: str, etags: tuple[str, str, str]
) -> None:
    quota = Quota(dynamodb, limits_table, 2)
    posts = [post(1, sequencer=f"0{number}", etag=etag) for number, etag in enumerate(etags)]
    assert [is_counted(quota, each) for each in posts] == [True, True, False]
    assert [is_counted(quota, each) for each in posts] == [True, True, False], "delivered again"


def test_claim_and_its_event_count_once(dynamodb: Any, limits_table: str) -> None:
    quota = Quota(dynamodb, limits_table, 2)
    assert is_claimed(quota, post(1))
    assert [is_counted(quota, post(1)) for _ in range(2)] == [True, True]
    assert is_counted(quota, post(2))
    (item,) = items(dynamodb, limits_table)
    assert (len(item["posts"]["BS"]), "finished" in item) == (2, False)


def test_claim_of_a_file_counted_before_is_refused(dynamodb: Any, limits_table: str) -> None:
    quota = Quota(dynamodb, limits_table, 9)
    assert is_claimed(quota, post(1))
    assert is_counted(quota, post(2))
    assert [is_claimed(quota, post(number)) for number in (1, 2)] == [False, False]


def test_claim_stands_for_one_event_only(dynamodb: Any, limits_table: str) -> None:
    quota = Quota(dynamodb, limits_table, 2)
    assert is_claimed(quota, post(1))
    assert [is_counted(quota, post(1, sequencer=each)) for each in ("0A", "0B", "0C")] == [True, True, False]


def test_claim_above_the_quota_is_refused(dynamodb: Any, limits_table: str) -> None:
    quota = Quota(dynamodb, limits_table, 1)
    assert [is_claimed(quota, post(number)) for number in (1, 2)] == [True, False]
    assert not is_counted(quota, post(2))


def test_quota_of_0_counts_and_refuses_nothing(dynamodb: Any, limits_table: str) -> None:
    quota = Quota(dynamodb, limits_table, 0)
    assert is_counted(quota, post(1))
    assert items(dynamodb, limits_table) == []
    assert all(is_claimed(quota, post(number)) for number in (1, 1, 2))
    (item,) = items(dynamodb, limits_table)
    assert set(item) == {"subject", "period", "leases", "expires_at"}


@pytest.mark.parametrize("uploads_per_hour", [0, 9])
def test_claim_stands_until_its_end_or_release(dynamodb: Any, limits_table: str, uploads_per_hour: int) -> None:
    quota = Quota(dynamodb, limits_table, uploads_per_hour)
    ends, ended = datetime.now(UTC) + timedelta(seconds=60), datetime.now(UTC) - timedelta(seconds=2)
    for number, until in ((1, ends), (2, ended), (3, ends)):
        quota.claim(SUBJECT, post(number).key, '"d41d"', AT, until=until)
    quota.release(SUBJECT, post(3).key, AT, until=ends)
    assert [quota.is_claimed(SUBJECT, post(number)) for number in (1, 2, 3, 4)] == [True, False, False, False]
    # Another file with the same form, posted in the next hour
    assert quota.is_claimed(SUBJECT, post(1, AT + timedelta(minutes=5)))
    assert not quota.is_claimed(SUBJECT, post(1, AT + timedelta(minutes=7)))


@pytest.mark.parametrize("minutes_later", [-1, 0, 1])
@pytest.mark.parametrize("uploads_per_hour", [0, 9])
def test_post_whose_event_has_ended_cannot_be_claimed(
    dynamodb: Any, limits_table: str, uploads_per_hour: int, minutes_later: int
) -> None:
    """`finish_upload` has read the original before, and its clock may be in another hour."""
    quota = Quota(dynamodb, limits_table, uploads_per_hour)
    quota.refuse_claims(SUBJECT, post(1))
    at = AT + timedelta(minutes=minutes_later)
    assert [is_claimed(quota, post(number, at)) for number in (1, 2)] == [False, True]
    assert is_claimed(quota, post(1, at, etag='"another file"'))


def test_ended_events_do_not_let_the_item_grow_without_limit(dynamodb: Any, limits_table: str) -> None:
    quota = Quota(dynamodb, limits_table, 9)
    at = AT.replace(minute=30)
    for number in range(103):
        quota.refuse_claims(SUBJECT, post(number, at))
    (item,) = items(dynamodb, limits_table)
    assert len(item["ended"]["BS"]) == 100


@pytest.mark.parametrize(("minute", "hours"), [(30, 1), (3, 2), (57, 2)])
def test_claim_is_looked_for_in_one_hour_unless_two_can_have_it(
    dynamodb: Any, limits_table: str, monkeypatch: pytest.MonkeyPatch, minute: int, hours: int
) -> None:
    """Each request is billed."""
    requests = {name: Mock(wraps=getattr(dynamodb, name)) for name in ("get_item", "update_item")}
    for name, request in requests.items():
        monkeypatch.setattr(dynamodb, name, request)
    quota, created = Quota(dynamodb, limits_table, 2), post(1, AT.replace(minute=minute))
    quota.refuse_claims(SUBJECT, created)
    assert not quota.is_claimed(SUBJECT, created)
    assert [request.call_count for request in requests.values()] == [hours, hours]


def test_count_users_have_separate_quotas(dynamodb: Any, limits_table: str) -> None:
    quota = Quota(dynamodb, limits_table, 1)
    assert [is_counted(quota, post(number)) for number in (1, 2)] == [True, False]
    assert [is_counted(quota, post(number, subject=OTHER)) for number in (1, 2)] == [True, False]


def test_count_next_clock_hour_begins_anew(dynamodb: Any, limits_table: str) -> None:
    quota = Quota(dynamodb, limits_table, 1)
    following = AT + timedelta(milliseconds=1)
    assert [is_counted(quota, post(number, at=AT)) for number in (1, 2)] == [True, False]
    assert [is_counted(quota, post(number, at=following)) for number in (3, 4)] == [True, False]


def test_count_50_threads_end_with_exactly_the_quota(dynamodb: Any, limits_table: str) -> None:
    quota = Quota(dynamodb, limits_table, 20)
    with ThreadPoolExecutor(50) as pool:
        results = list(pool.map(lambda number: is_counted(quota, post(number)), range(50)))
    assert results.count(True) == 20
    (item,) = items(dynamodb, limits_table)
    assert len(item["posts"]["BS"]) == 20


def test_item_expires_after_longest_retention_of_a_message(dynamodb: Any, limits_table: str) -> None:
    Quota(dynamodb, limits_table, 60).count(SUBJECT, post(1))
    (item,) = items(dynamodb, limits_table)
    assert item == {
        "subject": {"S": SUBJECT},
        "period": {"S": "hour#2026-11-20T09"},
        "posts": {"BS": [hashlib.sha256(f'incoming/{SUBJECT}/1#"d41d"'.encode()).digest()[:6]]},
        "events": {"BS": [hashlib.sha256(f"incoming/{SUBJECT}/1#0A".encode()).digest()[:6]]},
        "expires_at": {"N": str(int(datetime(2026, 12, 4, 10, tzinfo=UTC).timestamp()))},
    }


def test_item_with_default_quota_is_written_as_one_unit(dynamodb: Any, limits_table: str) -> None:
    """Names, text and bytes are counted, and a number with up to 21 bytes.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    quota = Quota(dynamodb, limits_table, 60)
    for number in range(60):
        quota.count(SUBJECT, post(number))
    (item,) = items(dynamodb, limits_table)
    size = (
        sum(map(len, item))
        + len(item["subject"]["S"])
        + len(item["period"]["S"])
        + sum(map(len, item["posts"]["BS"] + item["events"]["BS"]))
        + 21
    )
    assert 720 < size < 1024


# --- Under the handler ------------------------------------------------------------------------------------------------


@pytest.fixture
def limited(stack: Stack, dynamodb: Any, limits_table: str, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """A stack with a quota of two uploads."""
    quota = Quota(dynamodb, limits_table, 2)
    monkeypatch.setattr(stack.handler, "UPLOADS", dataclasses.replace(stack.handler.UPLOADS, quota=quota))
    return stack


def record_renders(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    rendered: list[bytes] = []
    processor = vars(stack.handler)["UPLOADS"]

    def render(data: bytes, **options: Any) -> Any:
        rendered.append(data)
        return processor.render(data, **options)

    monkeypatch.setattr(stack.handler, "UPLOADS", dataclasses.replace(processor, render=render))
    return rendered


def test_upload_over_quota_is_rejected_undecoded_and_deleted(limited: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered = record_renders(limited, monkeypatch)
    uploads = [limited.upload(minute, jpeg_of(RED)) for minute in (1, 2)]
    assert limited.deliver(*uploads) == []
    limited.heard()
    over = limited.upload(3, jpeg_of(BLUE))
    assert limited.deliver(over) == []
    assert rendered == [jpeg_of(RED)] * 2
    assert limited.keys(limited.uploads) == [storage_keys.rejection_key(SUBJECT, over)]
    record = json.load(limited.get(limited.uploads, storage_keys.rejection_key(SUBJECT, over))["Body"])
    assert (record["status"], record["reason"]) == ("rejected", "too_many_uploads")
    (heard,) = limited.heard()
    assert (heard["event"], heard["upload_id"], heard["reason"]) == ("avatar.rejected", over, "too_many_uploads")
    assert limited.manifest()["upload_id"] == uploads[1]


@pytest.mark.parametrize("step", ["render", "publish"])
def test_delivery_killed_after_its_count_is_not_counted_again(
    limited: Stack, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    class KilledError(BaseException):
        """What no handler catches."""

    def die(*_: object, **__: object) -> None:
        raise KilledError

    first, second = limited.upload(1, jpeg_of(RED)), limited.upload(2, jpeg_of(BLUE))
    for _ in range(3):
        with monkeypatch.context() as patch:
            if step == "render":
                processor = dataclasses.replace(limited.handler.UPLOADS, render=die)
                patch.setattr(limited.handler, "UPLOADS", processor)
            else:
                patch.setattr(publishing, "publish", die)
            with pytest.raises(KilledError):
                limited.deliver(first)
    assert limited.deliver(first, second, receive_count=2) == []
    assert [event for event, _ in limited.heard_events()] == ["avatar.ready"] * 2


def test_dynamodb_failure_returns_message_undecoded(
    limited: Stack, monkeypatch: pytest.MonkeyPatch, dynamodb: Any
) -> None:
    def fail(**_: object) -> None:
        raise EndpointConnectionError(endpoint_url="dynamodb")

    rendered = record_renders(limited, monkeypatch)
    new = limited.upload(1, jpeg_of(RED))
    with monkeypatch.context() as patch:
        patch.setattr(dynamodb, "update_item", fail)
        assert limited.deliver(new) == [new]
    assert (rendered, limited.heard()) == ([], [])
    assert limited.deliver(new, receive_count=2) == []
    assert limited.heard_events() == [("avatar.ready", new)]


def test_quota_is_that_of_the_environment(load_handler: LoadHandler) -> None:
    handler: ModuleType = load_handler("process_avatar", {**SETTINGS, "UPLOADS_PER_HOUR": "60"})
    quota: Quota = handler.UPLOADS.quota
    assert (quota.uploads_per_hour, quota.table) == (60, SETTINGS["LIMITS_TABLE"])
