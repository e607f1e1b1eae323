"""The picture of the dashboard: figures are summarized and computed as CloudWatch does it."""

from typing import Any

import pytest

from bench.dashboard import Figures, Series, draw

TIME = ("Avatars", "TimeToAvatar", "service", "avatars")


@pytest.fixture
def figures() -> Figures:
    figures = Figures()
    figures.started = 1000.0
    for at, value in ((1000.0, 10), (1000.5, 20), (1001.0, 90), (1005.0, 40)):
        figures.add(TIME, value, at)
    for reason, at in (("blocked", 1000.1), ("blocked", 1000.2), ("too_large", 1005.1)):
        figures.add(("Avatars", "UploadsRejected", "reason", reason, "service", "avatars"), 1, at)
    return figures


def series(figures: Figures, *metrics: list[Any], view: str = "timeSeries") -> list[tuple[str, dict[int, float]]]:
    shown = Series({"view": view, "metrics": metrics}, figures)
    return [(label, line) for label, line, _ in shown.lines]


@pytest.mark.parametrize(
    ("stat", "line"),
    [
        ("Sum", {0: 120, 2: 40}),
        ("Average", {0: 40, 2: 40}),
        ("SampleCount", {0: 3, 2: 1}),
        ("Maximum", {0: 90, 2: 40}),
        ("p50", {0: 20, 2: 40}),
        ("p99", {0: 90, 2: 40}),
    ],
)
def test_statistic_of_each_bucket(figures: Figures, stat: str, line: dict[int, float]) -> None:
    assert series(figures, [*TIME, {"stat": stat, "label": "time"}]) == [("time", line)]


def test_metric_math_and_search(figures: Figures) -> None:
    hidden = [*TIME, {"stat": "SampleCount", "id": "avatars", "visible": False}]
    search = "SEARCH('{Avatars,reason,service} MetricName=\"UploadsRejected\" service=\"avatars\"', 'Sum', 60)"
    expressions = ("FILL(avatars, 0) * 5", f"SUM({search})", "SUM(METRICS('avatars')) + FILL(avatars, 0)", search)
    metrics = [[{"expression": text, "label": str(index)}] for index, text in enumerate(expressions)]
    assert series(figures, hidden, *metrics) == [
        ("0", {0: 15, 2: 5}),
        ("1", {0: 2, 2: 1}),
        ("2", {0: 6, 2: 2}),
        ("blocked", {0: 2}),
        ("too_large", {2: 1}),
    ]


def test_picture_has_a_line_for_each_metric_with_values(figures: Figures) -> None:
    properties = {
        "title": "Time <ms>",
        "view": "timeSeries",
        "yAxis": {"left": {"min": 0}},
        "metrics": [[*TIME, {"stat": "p50", "label": "p50"}], ["Avatars", "None", {"stat": "Sum", "label": "none"}]],
    }
    widget = {"type": "metric", "x": 0, "y": 0, "width": 8, "height": 6, "properties": properties}
    picture = draw({"widgets": [widget]}, figures)
    assert picture.count("<polyline") == 1
    assert "Time &lt;ms&gt;" in picture
    assert ">p50<" in picture
    assert ">none<" not in picture
