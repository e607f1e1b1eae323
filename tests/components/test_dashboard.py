"""The dashboard: its structure as AWS documents it, and that it names metrics that exist."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pytest

from bench import cost
from components import dashboard
from functions.process_avatar import process_upload
from functions.shared import metrics
from local.recording.graph import Graph
from tests.components.conftest import REGION, ROOT, RunStack
from tests.components.test_program import EVERYTHING, STACKS

FUNCTION = "aws:lambda/function:Function"
DASHBOARD = "aws:cloudwatch/dashboard:Dashboard"
OWN = {
    "avatars-pipeline-test": {
        *("TimeToAvatar", "AvatarWithin5Seconds", "RenderTime"),
        *("UploadsHeld", "FailedAttempts", "FailedFinishes"),
    },
    "avatars-profiles-test": {"DatabaseUnavailable"},
}
OWN_BY = {("UploadsRejected", "reason"), ("OriginalSize", "format")}
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
METRIC_PROPERTIES = {
    *("title", "view", "stacked", "region", "period", "stat", "metrics", "annotations", "yAxis", "legend", "liveData"),
    *("start", "end", "setPeriodToTimeRange", "sparkline", "timezone", "accountId", "singleValueFullPrecision"),
}
RENDERING = {"color", "expression", "id", "label", "period", "region", "stat", "visible", "yAxis", "accountId"}
STAT = re.compile(r"SampleCount|Average|Sum|Minimum|Maximum|p\d{1,2}(\.\d+)?")
ID = re.compile(r"[a-z]\w*")


class Documented(NamedTuple):
    """Metrics of a service, with the dimensions in which AWS reports them."""

    names: set[str]
    dimensions: tuple[str, ...]


DOCUMENTED = {
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html
    "AWS/ApiGateway": Documented({"4xx", "5xx", "Count", "Latency", "IntegrationLatency", "DataProcessed"}, ("ApiId",)),
    # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
    "AWS/Lambda": Documented({"Duration", "Errors", "Throttles", "Invocations"}, ("FunctionName",)),
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
    "AWS/SQS": Documented(
        {"ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage", "NumberOfMessagesSent"}, ("QueueName",)
    ),
    # https://docs.aws.amazon.com/sns/latest/dg/sns-monitoring-using-cloudwatch.html
    "AWS/SNS": Documented(
        {"NumberOfMessagesPublished", "NumberOfNotificationsDelivered", "NumberOfNotificationsFailed"}, ("TopicName",)
    ),
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html
    "AWS/DynamoDB": Documented({"SuccessfulRequestLatency"}, ("TableName", "Operation")),
    # https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.AuroraMonitoring.Metrics.html
    "AWS/RDS": Documented({"DatabaseConnections", "ServerlessDatabaseCapacity"}, ("DBClusterIdentifier",)),
    # https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/programming-cloudwatch-metrics.html
    "AWS/CloudFront": Documented({"Requests", "BytesDownloaded"}, ("DistributionId", "Region")),
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CloudWatch-Logs-Monitoring-CloudWatch-Metrics.html
    "AWS/Logs": Documented({"IncomingBytes"}, ("LogGroupName",)),
}


def read_body(graph: Graph) -> dict[str, Any]:
    return json.loads(graph.one(DASHBOARD).inputs["dashboardBody"])


def list_metrics(body: Mapping[str, Any]) -> Iterator[tuple[list[str], dict[str, Any]]]:
    """Yields namespace, name and dimensions of each metric, nothing for an expression, and how it is shown."""
    for widget in body["widgets"]:
        for metric in widget["properties"].get("metrics", []):
            *named, shown = metric
            yield named, shown


def check_structure(body: Mapping[str, Any]) -> None:
    """Fails unless AWS documents every member and every value."""
    assert body.keys() <= {"start", "end", "periodOverride", "widgets"}
    taken: set[tuple[int, int]] = set()
    for widget in body["widgets"]:
        assert widget.keys() == {"type", "x", "y", "width", "height", "properties"}
        x, y, width, height = (widget[key] for key in ("x", "y", "width", "height"))
        assert (0 <= x < x + width <= 24, y >= 0, 1 <= height <= 1000) == (True, True, True)
        cells = {(column, row) for column in range(x, x + width) for row in range(y, y + height)}
        assert not cells & taken, f"{widget} overlaps another one"
        taken |= cells
        properties = widget["properties"]
        if widget["type"] == "text":
            assert {"markdown"} <= properties.keys() <= {"markdown", "background"}
            continue
        assert widget["type"] == "metric"
        assert {"region", "metrics"} <= properties.keys() <= METRIC_PROPERTIES
        assert properties["view"] in {"timeSeries", "singleValue", "bar", "pie", "gauge", "table"}
        assert properties["period"] % 60 == 0
        for annotation in properties.get("annotations", {}).get("horizontal", []):
            assert annotation.keys() <= {"value", "label", "color", "fill", "visible", "yAxis"}
        ids = [shown["id"] for *_, shown in properties["metrics"] if "id" in shown]
        assert len(ids) == len(set(ids))
        for *named, shown in properties["metrics"]:
            assert shown.keys() <= RENDERING
            assert ID.fullmatch(shown.get("id", "a"))
            assert shown.get("yAxis", "left") in {"left", "right"}
            if named:
                assert len(named) in range(4, 2 + 2 * 30 + 1, 2)
                assert STAT.fullmatch(shown["stat"])
            else:
                assert shown["expression"]


@pytest.mark.parametrize("settings", STACKS.values(), ids=STACKS.keys())
def test_dashboard_has_the_structure_that_aws_documents(run_stack: RunStack, settings: dict[str, Any]) -> None:
    body = read_body(run_stack(settings))
    check_structure(body)
    headings = [w["properties"]["markdown"][2:4] for w in body["widgets"] if w["type"] == "text"]
    assert headings == ["1.", "2.", "3.", "4."]


@pytest.mark.parametrize(
    "change",
    [
        lambda widget: widget.update(x=20, width=8),
        lambda widget: widget.update(y=0),
        lambda widget: widget["properties"].update(refresh=1),
        lambda widget: widget["properties"]["metrics"][0].append({"stat": "p999"}),
    ],
)
def test_structure_check_finds_a_mistake(run_stack: RunStack, change: Any) -> None:
    body = read_body(run_stack())
    change(body["widgets"][1])
    with pytest.raises((AssertionError, AttributeError)):
        check_structure(body)


@pytest.mark.parametrize("settings", STACKS.values(), ids=STACKS.keys())
def test_every_metric_of_aws_exists(run_stack: RunStack, settings: dict[str, Any]) -> None:
    """It is documented, and its dimensions are names of resources of the stack."""
    graph = run_stack(settings)
    names = {value for r in graph if r.custom for value in (r.id, *r.outputs.values()) if isinstance(value, str)}
    names |= {arn.rpartition(":")[2] for arn in names} | {"Global", "GetItem", "UpdateItem"}
    seen: set[str] = set()
    for named, shown in list_metrics(read_body(graph)):
        if not named or named[0] == metrics.NAMESPACE:
            continue
        namespace, name, *dimensions = named
        seen.add(namespace)
        documented = DOCUMENTED[namespace]
        assert name in documented.names
        assert tuple(dimensions[::2]) == documented.dimensions
        assert set(dimensions[1::2]) <= names, named
        assert shown.get("region", REGION) == ("us-east-1" if namespace == "AWS/CloudFront" else REGION)
    assert seen == DOCUMENTED.keys() - (set() if settings.get("database") else {"AWS/RDS"})


def test_own_metrics_are_those_that_the_functions_write(run_stack: RunStack) -> None:
    """Tests of the functions have that they write them, for example tests/functions/process_avatar/test_metrics.py."""
    graph = run_stack(EVERYTHING)
    names = ("pipeline-process-avatar", "pipeline-finish-upload", "profiles-profile")
    functions = [graph.one(FUNCTION, f"avatars-{name}") for name in names]
    services = {function.inputs["environment"]["variables"]["METRICS_SERVICE"] for function in functions}
    assert services == OWN.keys()
    found = list(list_metrics(read_body(graph)))
    own = [named for named, _ in found if named and named[0] == metrics.NAMESPACE]
    assert {dimension for _, _, dimension, _ in own} == {"service"}
    assert {(service, name) for _, name, _, service in own} == {(its, name) for its in OWN for name in OWN[its]}
    searches = re.findall(
        r"SEARCH\('\{Avatars,(\w+),service\} MetricName=\"(\w+)\" service=\"avatars-pipeline-test\"', '\w+', 60\)",
        json.dumps([shown.get("expression", "") for _, shown in found]).replace('\\"', '"'),
    )
    assert {(name, dimension) for dimension, name in searches} == OWN_BY


def test_dashboard_without_profiles_has_no_metrics_of_theirs(run_stack: RunStack) -> None:
    services = {named[3] for named, _ in list_metrics(read_body(run_stack())) if named[:1] == [metrics.NAMESPACE]}
    assert services == {"avatars-pipeline-test"}


def test_expressions_use_metrics_of_their_widget(run_stack: RunStack) -> None:
    for widget in read_body(run_stack(EVERYTHING))["widgets"]:
        shown = [metric[-1] for metric in widget["properties"].get("metrics", [])]
        ids = {each["id"] for each in shown if "id" in each}
        expressions = [re.sub(r"SEARCH\(.*?\)|'\w+'", "", each.get("expression", "")) for each in shown]
        used = {id_ for text in expressions for id_ in re.findall(r"\b[a-z]\w*\b", text)}
        assert not re.search(r"\de", "".join(expressions)), "metric math has no exponents"
        assert used <= ids
        groups = {name for each in shown for name in re.findall(r"METRICS\('(\w+)'\)", each.get("expression", ""))}
        assert used | {id_ for id_ in ids for group in groups if group in id_} == ids


def test_costs_are_at_list_prices() -> None:
    prices = cost.load_prices()
    assert {name: prices[name].of(1) for name in dashboard.USD} == pytest.approx(dashboard.USD)
    assert tomllib.loads(cost.PRICES.read_text())["dashboard"]["usd"] == 3


def test_objective_is_that_of_the_functions() -> None:
    assert vars(dashboard)["_OBJECTIVE_MS"] == vars(process_upload)["_OBJECTIVE_MS"]


def test_picture_is_of_this_dashboard(run_stack: RunStack) -> None:
    text = (ROOT / "docs" / "dashboard.svg").read_text()
    titles = re.findall(r'<text class="(?:title|heading)"[^>]*>([^<]*)</text>', text)
    widgets = [widget["properties"] for widget in read_body(run_stack())["widgets"]]
    assert titles == [its.get("title") or its["markdown"][2:] for its in widgets], "run python -m bench.dashboard"


def test_dashboard_is_off_by_configuration(run_stack: RunStack) -> None:
    assert run_stack({"dashboard": False}).of_type(DASHBOARD) == []


def test_dashboard_name_has_component_and_stack(run_stack: RunStack) -> None:
    assert run_stack().one(DASHBOARD).inputs["dashboardName"] == "avatars-dashboard-test"
