"""CloudWatch alarms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import pulumi
from pulumi_aws import cloudwatch

Actions = Sequence[pulumi.Input[str]]
"""ARNs of SNS topics in the region of the alarm: CloudWatch rejects others."""


@dataclass(frozen=True, kw_only=True)
class AlarmActions:
    """Whom the alarms of a component notify."""

    separate: Actions | None
    """Of alarms that have a cause of their own."""
    joined: Actions | None
    """Of alarms that go off together with others. None if a composite alarm joins them."""


class Metric(NamedTuple):
    namespace: str
    name: str
    dimensions: Mapping[str, pulumi.Input[str]]
    statistic: str = "Sum"


class MetricMath(NamedTuple):
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html"""

    expression: str
    metrics: Mapping[str, Metric]
    """By their ID in the expression, ten at most."""


class Threshold(NamedTuple):
    operator: Literal["GreaterThanThreshold", "GreaterThanOrEqualToThreshold", "LessThanThreshold"]
    value: float


def create_alarm(
    name: str,
    description: str,
    watched: Metric | MetricMath,
    threshold: Threshold,
    actions: pulumi.Input[Actions] | None,
    opts: pulumi.ResourceOptions,
    *,
    period: int = 60,
    datapoints: tuple[int, int] = (1, 1),
    region: str | None = None,
) -> cloudwatch.MetricAlarm:
    """Creates an alarm that notifies when it goes off and when it returns to OK.

    It is OK without data: metrics of events that do not happen have none.

    Args:
        name: Its logical name.
        description: What has happened; it is in the notification.
        watched: What it watches.
        threshold: What a data point is compared with.
        actions: The SNS topics that it notifies.
        opts: Its resource options.
        period: Seconds of a data point.
        datapoints: How many data points must breach the threshold, of how many.
        region: The region of the alarm and its metrics, if it is not the provider's.
    """
    breaching, evaluated = datapoints
    return cloudwatch.MetricAlarm(
        name,
        alarm_description=description,
        **_build_watched(watched, period),
        evaluation_periods=evaluated,
        datapoints_to_alarm=breaching if evaluated > 1 else None,
        comparison_operator=threshold.operator,
        threshold=threshold.value,
        treat_missing_data="notBreaching",
        alarm_actions=actions,
        ok_actions=actions,
        region=region,
        opts=opts,
    )


def _build_watched(watched: Metric | MetricMath, period: int) -> dict[str, Any]:
    if isinstance(watched, Metric):
        return {
            "namespace": watched.namespace,
            "metric_name": watched.name,
            "dimensions": watched.dimensions,
            "statistic": watched.statistic,
            "period": period,
        }
    queries = [
        cloudwatch.MetricAlarmMetricQueryArgs(
            id=id_,
            metric=cloudwatch.MetricAlarmMetricQueryMetricArgs(
                namespace=metric.namespace,
                metric_name=metric.name,
                dimensions=metric.dimensions,
                stat=metric.statistic,
                period=period,
            ),
        )
        for id_, metric in watched.metrics.items()
    ]
    result = cloudwatch.MetricAlarmMetricQueryArgs(id="result", expression=watched.expression, return_data=True)
    return {"metric_queries": [*queries, result]}
