"""The metrics of an upload, as CloudWatch Logs extracts them from what a function logs."""

import json
import logging
from datetime import timedelta
from typing import Any

import pytest
from awslambdaric.lambda_runtime_log_utils import JsonFormatter

from bench import cost
from functions.shared import storage_keys
from functions.shared.metrics import Metric, Metrics
from local.emulators.embedded_metrics import Datum, read_metrics
from tests.fixtures import pictures
from tests.functions.process_avatar.conftest import MAX_UPLOAD_BYTES, RED, SUBJECT, Stack, jpeg_of
from tests.functions.process_avatar.test_process_avatar import once_before_put, refuse
from tests.functions.process_avatar.upload_events import message

AVATAR = ["TimeToAvatar", "AvatarWithin5Seconds", "RenderTime", "OriginalSize"]


class Log:
    """What a function has logged, in the format of Lambda's runtime."""

    def __init__(self, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
        self._caplog, self._capsys = caplog, capsys
        caplog.set_level(logging.INFO)
        caplog.handler.setFormatter(JsonFormatter())

    def read(self) -> str:
        """Returns what was logged since the last call."""
        formatted = "".join(self._caplog.handler.format(record) for record in self._caplog.records)
        self._caplog.clear()
        return self._capsys.readouterr().out + formatted

    def read_metrics(self) -> list[Datum]:
        return list(read_metrics(self.read()))

    def read_names(self) -> list[str]:
        return [datum.name for datum in self.read_metrics()]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> Log:
    return Log(caplog, capsys)


def test_avatar_is_measured_in_one_record(stack: Stack, log: Log) -> None:
    data = jpeg_of(RED)
    new = stack.upload(1, data)
    stack.deliver(new, age=timedelta(seconds=3))
    (line,) = log.read().splitlines()
    record: dict[str, Any] = json.loads(line)
    assert list(record)[-4:] == ["message", "subject", "upload_id", "format"]
    data_by_name = {datum.name: datum for datum in read_metrics(line)}
    assert list(data_by_name) == AVATAR
    assert {datum.namespace for datum in data_by_name.values()} == {"Avatars"}
    time, within, render, size = data_by_name.values()
    assert (time.unit, time.dimensions) == ("Milliseconds", {"service": "avatars"})
    assert 3000 <= time.value < 5000
    assert (within.unit, within.dimensions, within.value) == ("Count", {"service": "avatars"}, 1)
    assert (render.unit, render.dimensions) == ("Milliseconds", {"service": "avatars"})
    assert 0 < render.value < time.value
    assert (size.unit, size.dimensions) == ("Bytes", {"service": "avatars", "format": "jpeg"})
    assert size.value == len(data)
    assert SUBJECT not in str(data_by_name)


@pytest.mark.parametrize(("age", "within"), [(timedelta(seconds=4.5), 1), (timedelta(seconds=5.001), 0)])
def test_avatar_after_five_seconds_is_not_within_them(stack: Stack, log: Log, age: timedelta, within: int) -> None:
    stack.deliver(stack.upload(1, jpeg_of(RED)), age=age)
    assert {datum.name: datum.value for datum in log.read_metrics()}["AvatarWithin5Seconds"] == within


@pytest.mark.parametrize(("data", "names"), [(jpeg_of(RED), AVATAR), (b"no picture", ["UploadsRejected"])])
def test_repeated_delivery_counts_nothing_twice(stack: Stack, log: Log, data: bytes, names: list[str]) -> None:
    new = stack.upload(1, data)
    stack.deliver(new)
    stack.deliver(new, receive_count=2)
    stack.deliver(new, age=timedelta(minutes=10))
    assert log.read_names() == names


def test_avatar_whose_announcement_failed_is_measured_once(
    stack: Stack, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = stack.upload(1, jpeg_of(RED))
    with monkeypatch.context() as patch:
        patch.setattr(stack.handler.UPLOADS.topic, "publish", refuse)
        assert stack.deliver(new) == [new]
    logged = log.read()
    assert [datum.name for datum in read_metrics(logged)] == [*AVATAR, "FailedAttempts"]
    assert "avatar.ready" not in logged
    stack.deliver(new, receive_count=2)
    logged = log.read()
    assert list(read_metrics(logged)) == []
    assert "avatar.ready" in logged


def test_rejection_whose_announcement_failed_is_counted_once(
    stack: Stack, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = stack.upload(1, b"no picture")
    with monkeypatch.context() as patch:
        patch.setattr(stack.handler.UPLOADS.topic, "publish", refuse)
        assert stack.deliver(new) == [new]
    assert log.read_names() == ["FailedAttempts"]
    stack.deliver(new, receive_count=2)
    assert log.read_names() == ["UploadsRejected"]


def test_avatar_that_a_redelivery_completes_has_no_render_time(
    stack: Stack, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first delivery has ended before the manifest, and another file was posted since."""
    new = stack.upload(1, jpeg_of(RED))
    once_before_put(stack, monkeypatch, ".json", refuse)
    assert stack.deliver(new) == [new]
    stack.replace(new, b"no picture")
    assert stack.deliver(new, receive_count=2, age=timedelta(seconds=9)) == []
    names = [name for name in AVATAR if name != "RenderTime"]
    assert log.read_names() == [*names, "FailedAttempts"]


def test_manifest_of_an_earlier_version_is_not_measured(stack: Stack, log: Log) -> None:
    new = stack.upload(1, jpeg_of(RED))
    stack.deliver(new)
    key = storage_keys.manifest_key(SUBJECT)
    body = stack.get(stack.assets, key)["Body"].read()
    stack.s3.put_object(Bucket=stack.assets, Key=key, Body=body, Metadata={"announced": "later"})
    stack.replace(new, jpeg_of(RED))
    log.read()
    stack.deliver(new)
    logged = log.read()
    assert "avatar.ready" in logged
    assert list(read_metrics(logged)) == []


def test_rejection_is_counted_by_reason(stack: Stack, log: Log) -> None:
    stack.deliver(stack.upload(1, b"no picture"), stack.upload(2, b"0" * (MAX_UPLOAD_BYTES + 1)))
    assert [(datum.name, datum.dimensions, datum.unit, datum.value) for datum in log.read_metrics()] == [
        ("UploadsRejected", {"service": "avatars", "reason": reason}, "Count", 1)
        for reason in ("not_an_image", "too_large")
    ]


def test_delivery_that_is_given_back_is_counted(stack: Stack, log: Log) -> None:
    stack.deliver(stack.upload(1, jpeg_of(RED), crop="everything"))
    stack.failures(message("not json"))
    assert [(datum.name, datum.dimensions, datum.unit, datum.value) for datum in log.read_metrics()] == [
        ("FailedAttempts", {"service": "avatars"}, "Count", 1)
    ] * 2


def test_size_is_measured_by_format(stack: Stack, log: Log) -> None:
    stack.deliver(stack.upload(1, pictures.encode(pictures.plain(20, 20, RED), "PNG")))
    assert log.read_metrics()[-1].dimensions == {"service": "avatars", "format": "png"}


def test_record_of_an_avatar_is_as_long_as_the_cost_says(stack: Stack, log: Log) -> None:
    stack.deliver(stack.upload(1, jpeg_of(RED)))
    (line,) = log.read().splitlines()
    billed = len(line.replace('"avatars"', '"avatars-pipeline-prod"')) + 26
    # A photo has some digits more.
    assert pytest.approx(billed + 6, abs=6) == cost.FUNCTION_LOG_LINE_GB * 1e9


def test_dimension_without_field_is_refused() -> None:
    record = Metrics("avatars").embed(Metric("UploadsRejected", "Count", 1, "reason"))
    with pytest.raises(ValueError, match="'reason'"):
        list(read_metrics(json.dumps(record)))
