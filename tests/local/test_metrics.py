"""What the functions of a running stack write: the metrics of the dashboard, and the fields of the saved queries."""

from __future__ import annotations

import json
import re
from http import HTTPStatus

import pytest

from client.session import ClientError
from local.emulators.embedded_metrics import read_metrics
from local.stack import LocalStack
from tests.local.conftest import another_password, send_message, sign_in, wait_until
from tests.local.test_alarms import call_api

DASHBOARD = "aws:cloudwatch/dashboard:Dashboard"
QUERY = "aws:cloudwatch/queryDefinition:QueryDefinition"
# In tests/functions/finish_upload: nothing is held without moderation, and nothing makes finish_upload fail here.
ELSEWHERE = {"UploadsHeld", "FailedFinishes"}
# Of CloudWatch, of records of Lambda itself, and of uploads that failed.
NOT_LOGGED_HERE = {"@timestamp", "@log", "record.status", "key"}


@pytest.fixture(scope="module")
def logs(stack: LocalStack, photo: bytes) -> str:
    """The logs of an avatar, a rejection, a failed delivery and a failed database: not those of tests before."""
    before = {arn: len(function.read_log()) for arn, function in stack.functions.by_arn.items()}

    def read_new_logs() -> str:
        return "".join(function.read_log()[before[arn] :] for arn, function in stack.functions.by_arn.items())

    session = sign_in(stack)
    session.upload(photo, "image/jpeg")
    with pytest.raises(ClientError, match="not_an_image"):
        session.upload(b"no picture", "image/jpeg")
    send_message(stack, "poison")
    with another_password(stack):
        assert call_api(stack, session, "/profile") == HTTPStatus.SERVICE_UNAVAILABLE
    wanted = {"TimeToAvatar", "UploadsRejected", "FailedAttempts", "DatabaseUnavailable"}
    wait_until(lambda: wanted <= {datum.name for datum in read_metrics(read_new_logs())}, "everything is measured")
    return read_new_logs()


def test_functions_write_the_metrics_of_the_dashboard(stack: LocalStack, logs: str) -> None:
    body = json.loads(stack.graph.one(DASHBOARD).inputs["dashboardBody"])
    named: set[tuple[str, ...]] = set()
    for widget in body["widgets"]:
        for *metric, shown in widget["properties"].get("metrics", []):
            if metric[:1] == ["Avatars"]:
                _, name, dimension, value = metric
                named.add((name, dimension, value))
            for by, name, value in re.findall(
                r"\{Avatars,(\w+),service\} MetricName=\"(\w+)\" service=\"([\w-]+)\"", shown.get("expression", "")
            ):
                named.add((name, by, "service", value))
    written: set[tuple[str, ...]] = set()
    for datum in read_metrics(logs):
        assert datum.namespace == "Avatars"
        *others, service = sorted(datum.dimensions, key=lambda name: name == "service")
        written.add((datum.name, *others, service, datum.dimensions[service]))
    assert {metric for metric in named if metric[0] not in ELSEWHERE} == written


def test_no_dimension_identifies_a_user(logs: str) -> None:
    values = {value for datum in read_metrics(logs) for value in datum.dimensions.values()}
    assert values <= {"avatars-pipeline-local", "avatars-profiles-local", "jpeg", "png", "webp", "not_an_image"}


def test_functions_log_the_fields_of_the_saved_queries(stack: LocalStack, logs: str) -> None:
    records = [json.loads(line) for line in [*logs.splitlines(), *stack.read_access_log().splitlines()]]
    logged = {name for record in records for name in record}
    queries = {query.name: query.inputs["queryString"] for query in stack.graph.of_type(QUERY)}
    assert len(queries) == 5
    for query in queries.values():
        text = re.sub(r'"[^"]*"', "", query)
        words = set(re.findall(r"@?[A-Za-z_][\w.]*", text))
        syntax = {
            *("fields", "filter", "sort", "limit", "stats", "desc", "by", "as", "or", "in", "like", "ispresent"),
            *("count", "count_distinct", "uploads", "users"),
        }
        assert words - syntax - NOT_LOGGED_HERE <= logged
