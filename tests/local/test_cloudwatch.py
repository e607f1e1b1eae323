"""The evaluation of alarms, as CloudWatch documents it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.local.cloudwatch import Figures, calculate, follows_rule, is_in_alarm

METRIC = {"namespace": "N", "metricName": "m", "dimensions": {"d": "1"}}


def build_alarm(**settings: Any) -> dict[str, Any]:
    defaults = {
        "statistic": "Sum",
        "period": 60,
        "evaluationPeriods": 1,
        "comparisonOperator": "GreaterThanThreshold",
        "threshold": 1,
        "treatMissingData": "notBreaching",
    }
    return {**METRIC, **defaults, **settings}


def record(*values: tuple[float, float]) -> Figures:
    figures = Figures()
    for at, value in values:
        figures.add("N", "m", {"d": "1"}, value, at)
    return figures


@pytest.mark.parametrize(
    ("settings", "values", "expected"),
    [
        ({}, [(0, 1), (59, 1)], True),
        ({}, [(0, 1), (60, 1)], False),  # the second is of the next period
        ({}, [], False),
        ({"threshold": 2}, [(0, 2)], False),
        ({"threshold": 2, "comparisonOperator": "GreaterThanOrEqualToThreshold"}, [(0, 2)], True),
        ({"statistic": "Average", "comparisonOperator": "LessThanThreshold"}, [(0, 0), (1, 1.5)], True),
        ({"statistic": "Maximum"}, [(0, 1), (1, 1)], False),
        ({"statistic": "SampleCount"}, [(0, 0), (1, 0)], True),
        ({"dimensions": {"d": "1", "e": "2"}}, [(0, 2)], False),
    ],
)
def test_data_point_is_statistic_of_the_period(
    settings: dict[str, Any], values: list[tuple[float, float]], expected: bool
) -> None:
    assert is_in_alarm(build_alarm(**settings), record(*values), 60) is expected


@pytest.mark.parametrize(("now", "expected"), [(180, False), (240, True), (300, True), (360, False)])
def test_three_breaching_points_of_five_are_an_alarm(now: float, expected: bool) -> None:
    figures = record((0, 2), (60, 0), (120, 2), (180, 2))
    assert is_in_alarm(build_alarm(evaluationPeriods=5, datapointsToAlarm=3), figures, now) is expected


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("FILL(a, 0) + FILL(none, 7)", 9),
        ("100 * a / b", 50),
        ("a + none", None),
        ("IF(a >= 2, b, 1)", 4),
        ("IF(a >= 3, b, 1)", 1),
    ],
)
def test_metric_math_is_calculated(expression: str, value: float | None) -> None:
    assert calculate(expression, {"a": 2, "b": 4, "none": None}) == value


def test_metric_math_that_is_not_supported_raises_value_error() -> None:
    with pytest.raises(ValueError, match=r"not supported: SEARCH"):
        calculate("SEARCH('{N}', 'Sum')", {})


@pytest.mark.parametrize(("states", "expected"), [("ab", True), ("a", False), ("c", True), ("", False)])
def test_composite_alarm_follows_its_rule(states: str, expected: bool) -> None:
    rule = '(ALARM("a") AND ALARM("b")) OR ALARM("c")'
    assert follows_rule(rule, {name: name in states for name in "abc"}) is expected
