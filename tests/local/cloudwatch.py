"""Evaluates the alarms of the program against what happens in the local stack.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
"""

from __future__ import annotations

import ast
import json
import operator
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from statistics import mean
from typing import Any

import pytest
from moto.sqs.models import sqs_backends

from local.emulators.embedded_metrics import read_metrics
from local.emulators.lambda_functions import LambdaFunction
from local.emulators.lambda_sandbox import THROTTLED, InvocationResult
from local.emulators.moto import ACCOUNT_ID
from local.recording.graph import Graph
from local.stack import LocalStack

METRIC_ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
COMPOSITE_ALARM = "aws:cloudwatch/compositeAlarm:CompositeAlarm"

_STATISTICS: dict[str, Callable[[Sequence[float]], float]] = {
    "Sum": sum,
    "Average": mean,
    "Maximum": max,
    "Minimum": min,
    "SampleCount": len,
}
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
}


class Figures:
    """The values of metrics, at seconds of a clock."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str, str], list[tuple[float, float]]] = defaultdict(list)

    def add(self, namespace: str, name: str, dimensions: Mapping[str, str], value: float, at: float) -> None:
        self._values[namespace, name, _to_key(dimensions)].append((at, value))

    def read(self, namespace: str, name: str, dimensions: Mapping[str, str], start: float, end: float) -> list[float]:
        """Returns the values from `start`, and before `end`."""
        values = self._values.get((namespace, name, _to_key(dimensions)), [])
        return [value for at, value in values if start <= at < end]


def _to_key(dimensions: Mapping[str, str]) -> str:
    """CloudWatch treats each combination of dimensions as a metric of its own."""
    return json.dumps(dimensions, sort_keys=True)


def is_in_alarm(alarm: Mapping[str, Any], figures: Figures, now: float) -> bool:
    """Returns whether a metric alarm with these properties is in ALARM. Missing data has to be OK for it."""
    assert alarm["treatMissingData"] == "notBreaching"
    compare = _COMPARISONS[alarm["comparisonOperator"]]
    period: int = alarm.get("period") or alarm["metricQueries"][0]["metric"]["period"]
    points = [
        _compute_point(alarm, figures, now - (index + 1) * period, now - index * period)
        for index in range(alarm["evaluationPeriods"])
    ]
    breaching = [point for point in points if point is not None and compare(point, alarm["threshold"])]
    return len(breaching) >= alarm.get("datapointsToAlarm", alarm["evaluationPeriods"])


def _compute_point(alarm: Mapping[str, Any], figures: Figures, start: float, end: float) -> float | None:
    def read(metric: Mapping[str, Any], statistic: str) -> float | None:
        values = figures.read(metric["namespace"], metric["metricName"], metric["dimensions"], start, end)
        return _STATISTICS[statistic](values) if values else None

    if "metricName" in alarm:
        return read(alarm, alarm["statistic"])
    queries = {query["id"]: query for query in alarm["metricQueries"]}
    (result,) = [query for query in queries.values() if query.get("returnData")]
    metrics = {id_: query["metric"] for id_, query in queries.items() if "metric" in query}
    return calculate(result["expression"], {id_: read(its, its["stat"]) for id_, its in metrics.items()})


_OPERATORS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.GtE: operator.ge,
}


def calculate(expression: str, values: Mapping[str, float | None]) -> Any:
    """Returns one point of metric math: None without data.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
    """

    def visit(node: ast.expr) -> Any:
        match node:
            case ast.Constant():
                return node.value
            case ast.Name():
                return values[node.id]
            case ast.Call(func=ast.Name(id="FILL"), args=[series, filler]):
                value = visit(series)
                return visit(filler) if value is None else value
            case ast.Call(func=ast.Name(id="IF"), args=[condition, then, otherwise]):
                return visit(then) if visit(condition) else visit(otherwise)
            case ast.BinOp(left=left, op=its, right=right) | ast.Compare(left=left, ops=[its], comparators=[right]):
                sides = visit(left), visit(right)
                return None if None in sides else _OPERATORS[type(its)](*sides)
            case ast.BoolOp():
                return (all if isinstance(node.op, ast.And) else any)(map(visit, node.values))
            case _:
                raise ValueError(f"not supported: {ast.unparse(node)}")

    return visit(ast.parse(expression, mode="eval").body)


def follows_rule(rule: str, states: Mapping[str, bool]) -> bool:
    """Returns whether a composite alarm is in ALARM. `states` are those of alarms, by their names in AWS.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutCompositeAlarm.html
    """
    expression = re.sub(r'ALARM\("([^"]+)"\)', lambda match: str(states[match[1]]), rule)
    return calculate(expression.replace(" AND ", " and ").replace(" OR ", " or "), {})


def find_alarms(graph: Graph, figures: Figures, now: float) -> set[str]:
    """Returns the logical names of the alarms that are in ALARM, composite alarms included."""
    alarms = graph.of_type(METRIC_ALARM)
    states = {alarm.outputs["name"]: is_in_alarm(alarm.inputs, figures, now) for alarm in alarms}
    found = {alarm.name for alarm in alarms if states[alarm.outputs["name"]]}
    composites = graph.of_type(COMPOSITE_ALARM)
    return found | {its.name for its in composites if follows_rule(its.inputs["alarmRule"], states)}


class Recorder:
    """Records what CloudWatch would, of a clock that tests advance.

    The metrics in log records are the program's own. Those of AWS's services count what the emulators see, as the
    services count it:
    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html
    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
    """

    def __init__(self, stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> None:
        self.figures = Figures()
        self._stack = stack
        self._now = 0.0
        self._sent: dict[str, float] = {}
        self._invocations: list[tuple[LambdaFunction, InvocationResult]] = []
        original = LambdaFunction.invoke

        def invoke(function: LambdaFunction, event: Any) -> InvocationResult:
            result = original(function, event)
            self._invocations.append((function, result))
            return result

        monkeypatch.setattr(LambdaFunction, "invoke", invoke)
        self._read = {"api": len(stack.read_access_log()), **{arn: len(log) for arn, log in self._read_logs().items()}}

    def end_minute(self, minutes: int = 1) -> None:
        """Records what has happened since the last minute, and then minutes in which nothing happens."""
        self._record_api()
        self._record_functions()
        self._record_log_records()
        self._record_queues()
        self._now += 60
        for _ in range(minutes - 1):
            self._record_queues()
            self._now += 60

    def find_alarms(self) -> set[str]:
        return find_alarms(self._stack.graph, self.figures, self._now)

    def find_messages(self) -> set[str]:
        """Returns the alarms that have told somebody that they went off."""
        alarms = [its for type_ in (METRIC_ALARM, COMPOSITE_ALARM) for its in self._stack.graph.of_type(type_)]
        return self.find_alarms() & {alarm.name for alarm in alarms if alarm.inputs.get("alarmActions")}

    def _record_api(self) -> None:
        dimensions = {"ApiId": self._stack.graph.one("aws:apigatewayv2/api:Api").id}
        log = self._stack.read_access_log()
        for line in log[self._read["api"] :].splitlines():
            status = int(json.loads(line)["status"])
            self.figures.add("AWS/ApiGateway", "Count", dimensions, 1, self._now)
            self.figures.add("AWS/ApiGateway", "5xx", dimensions, int(status >= 500), self._now)
        self._read["api"] = len(log)

    def _record_functions(self) -> None:
        for function, result in self._invocations:
            dimensions = {"FunctionName": function.arn.rpartition(":")[2]}
            is_throttled = result.error is THROTTLED
            self.figures.add("AWS/Lambda", "Throttles", dimensions, int(is_throttled), self._now)
            if not is_throttled:
                self.figures.add("AWS/Lambda", "Errors", dimensions, int(result.error is not None), self._now)
        self._invocations.clear()

    def _record_log_records(self) -> None:
        for arn, log in self._read_logs().items():
            for datum in read_metrics(log[self._read[arn] :]):
                self.figures.add(datum.namespace, datum.name, datum.dimensions, datum.value, self._now)
            self._read[arn] = len(log)

    def _read_logs(self) -> dict[str, str]:
        return {arn: function.read_log() for arn, function in self._stack.functions.by_arn.items()}

    def _record_queues(self) -> None:
        backend: Any = sqs_backends[ACCOUNT_ID][self._stack.aws.region]
        for queue in self._stack.graph.of_type("aws:sqs/queue:Queue"):
            name = queue.outputs["name"]
            messages = list(backend.queues[name]._messages)
            ages = [self._now - self._sent.setdefault(message.id, self._now) for message in messages]
            for metric, value in (
                ("ApproximateNumberOfMessagesVisible", sum(message.visible for message in messages)),
                ("ApproximateAgeOfOldestMessage", max(ages, default=0)),
            ):
                self.figures.add("AWS/SQS", metric, {"QueueName": name}, value, self._now)
