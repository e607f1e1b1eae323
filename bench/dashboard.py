"""Draws the CloudWatch dashboard from figures of a local run, for the documents.

`python -m bench.dashboard` runs the local stack for two minutes, in which requests of the functions fail for a while,
and writes docs/dashboard.svg. The definition of the dashboard is the one that the program registers; a minute of
CloudWatch is two seconds of the run. CloudWatch looks different, and what the local stack does not have, such as the
CDN's metrics, is empty.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from math import ceil
from statistics import mean
from typing import TYPE_CHECKING, Any, TypeAlias
from xml.sax.saxutils import escape

from client.session import ClientError, Session
from lambda_packages.build import REPOSITORY
from load.faults import FailingAws, Failures
from load.run import create_config
from load.users import sign_in
from local.emulators.embedded_metrics import read_metrics
from local.emulators.lambda_functions import LambdaFunction
from local.stack import LocalStack
from tests.fixtures import pictures

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PICTURE = REPOSITORY / "docs" / "dashboard.svg"

_SECONDS = 120
_FAULTS = (50, 80)  # seconds of the run in which one in four requests of the functions fails
_BUCKET_SECONDS = 2  # in place of a widget's period
_USERS, _PAUSE_SECONDS = 6, 1.5
_COLUMN, _ROW, _GAP = 40, 28, 8  # pixels of CloudWatch's grid, and between widgets
_COLORS = ("#4a6fa5", "#b4552d", "#2a7f4f", "#8a5a9e", "#b08a1e", "#3a8f9e", "#a03a5e", "#777777", "#5a7f2a", "#7f5a2a")
_STYLE = """<style>
  svg { font: 11px system-ui, sans-serif; background: #fff; }
  text { fill: #1a1a1a; } .title { font-weight: 600; } .heading { font-size: 17px; font-weight: 600; }
  .number { font-size: 20px; } .box { fill: none; stroke: #ccc; } .line { fill: none; stroke-width: 1.5; }
  .limit { stroke: #b4552d; stroke-dasharray: 4 3; } .pale { fill: #666; }
  @media (prefers-color-scheme: dark) {
    svg { background: #151515; } text { fill: #e6e6e6; } .box { stroke: #444; } .pale { fill: #999; }
  }
</style>"""

Key: TypeAlias = tuple[str, ...]
"""Namespace, name, and names and values of dimensions."""
Line: TypeAlias = dict[int, float]
"""Values by bucket."""


class Figures:
    """The values of metrics, by when they were reported in seconds of the run."""

    def __init__(self) -> None:
        self.started = time.time()
        self.values: defaultdict[Key, list[tuple[float, float]]] = defaultdict(list)

    def add(self, key: Key, value: float, at: float | None = None) -> None:
        self.values[key].append(((at or time.time()) - self.started, value))

    def find(self, key: Key, stat: str, seconds: float = _BUCKET_SECONDS) -> Line:
        buckets: defaultdict[int, list[float]] = defaultdict(list)
        for at, value in self.values[key]:
            buckets[int(at / seconds)].append(value)
        return {bucket: _summarize(values, stat) for bucket, values in buckets.items() if bucket >= 0}


def _summarize(values: list[float], stat: str) -> float:
    if stat.startswith("p"):
        return sorted(values)[ceil(float(stat[1:]) / 100 * len(values)) - 1]
    return {"Sum": sum, "Average": mean, "Maximum": max, "SampleCount": len}[stat](values)


class RecordedAws:
    """A WSGI application that forwards requests to `aws` and reports those to DynamoDB as CloudWatch does."""

    def __init__(self, aws: WSGIApplication, figures: Figures, table: str) -> None:
        self._aws, self._figures, self._table = aws, figures, table

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        started = time.monotonic()
        response = self._aws(environ, start_response)
        service, _, operation = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")
        if service.startswith("DynamoDB"):
            key = ("AWS/DynamoDB", "SuccessfulRequestLatency", "TableName", self._table, "Operation", operation)
            self._figures.add(key, 1000 * (time.monotonic() - started))
        return response


class Sampler:
    """Reports what has to be asked for: the length of queues, the API's log, and the webhook's events."""

    def __init__(self, stack: LocalStack, figures: Figures, api_id: str, topic: str) -> None:
        self._stack, self._figures = stack, figures
        self._api, self._topic = ("ApiId", api_id), ("TopicName", topic)
        self._lines = self._events = 0
        self._sqs = stack.aws.client("sqs")

    def sample(self) -> None:
        for queue in self._stack.graph.of_type("aws:sqs/queue:Queue"):
            names = ["ApproximateNumberOfMessages"]
            attributes = self._sqs.get_queue_attributes(QueueUrl=queue.id, AttributeNames=names)["Attributes"]
            key = ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", queue.outputs["name"])
            self._figures.add(key, float(attributes[names[0]]))
        lines = self._stack.read_access_log().splitlines()
        for line in lines[self._lines :]:
            record = json.loads(line)
            self._report("Count", 1)
            self._report("4xx", record["status"].startswith("4"))
            self._report("5xx", record["status"].startswith("5"))
            for name, field in (("Latency", "responseLatency"), ("IntegrationLatency", "integrationLatency")):
                if record[field].isdigit():
                    self._report(name, float(record[field]))
        events = len(self._stack.receiver.events)
        for name in ("NumberOfMessagesPublished", "NumberOfNotificationsDelivered"):
            self._figures.add(("AWS/SNS", name, *self._topic), events - self._events)
        self._lines, self._events = len(lines), events

    def _report(self, name: str, value: float) -> None:
        self._figures.add(("AWS/ApiGateway", name, *self._api), value)


def record() -> tuple[Mapping[str, Any], Figures]:
    """Runs the local stack. Returns the dashboard's definition, and the figures."""
    with LocalStack(create_config()) as stack:
        figures = Figures()
        graph, validator = stack.graph, stack.aws.request_validator
        failures = Failures(4)
        failures.is_active = False
        keys = frozenset(function.role.access_key_id for function in stack.functions.by_arn.values())
        table = graph.one("aws:dynamodb/table:Table").outputs["name"]
        validator.aws = FailingAws(RecordedAws(validator.aws, figures, table), keys, failures)
        for arn, function in stack.functions.by_arn.items():
            _report_invocations(function, arn.rpartition(":")[2], figures)
        topic = graph.one("aws:sns/topic:Topic").outputs["name"]
        sampler = Sampler(stack, figures, graph.one("aws:apigatewayv2/api:Api").id, topic)
        users = [sign_in(stack, name, stack.create_user(name)) for name in (f"u{n}@example.com" for n in range(_USERS))]
        figures.started = time.time()
        with ThreadPoolExecutor(_USERS) as pool:
            stopped = threading.Event()
            for number, user in enumerate(users):
                pool.submit(_upload, user, number, stopped)
            while (at := time.time() - figures.started) < _SECONDS:
                failures.is_active = _FAULTS[0] < at < _FAULTS[1]
                sampler.sample()
                time.sleep(_BUCKET_SECONDS / 2)
            stopped.set()
        for arn, function in stack.functions.by_arn.items():
            log = function.read_log()
            group = graph.with_output("aws:lambda/function:Function", "arn", arn).inputs["loggingConfig"]["logGroup"]
            size = sum(len(line.encode()) + 26 for line in log.splitlines())  # CloudWatch bills 26 bytes for each event
            figures.add(("AWS/Logs", "IncomingBytes", "LogGroupName", group), size)
            for datum in read_metrics(log):
                names = sorted(datum.dimensions)
                dimensions = [text for name in names for text in (name, datum.dimensions[name])]
                figures.add((datum.namespace, datum.name, *dimensions), datum.value, datum.at_ms / 1000)
        dashboard = graph.one("aws:cloudwatch/dashboard:Dashboard")
        return json.loads(dashboard.inputs["dashboardBody"]), figures


def _report_invocations(function: LambdaFunction, name: str, figures: Figures) -> None:
    invoke = function.invoke

    def measured(event: Any) -> Any:
        started = time.monotonic()
        result = invoke(event)
        dimensions = ("FunctionName", name)
        figures.add(("AWS/Lambda", "Duration", *dimensions), 1000 * (time.monotonic() - started))
        figures.add(("AWS/Lambda", "Invocations", *dimensions), 1)
        figures.add(("AWS/Lambda", "Errors", *dimensions), result.error is not None)
        return result

    vars(function)["invoke"] = measured


def _upload(session: Session, number: int, stopped: threading.Event) -> None:
    """Uploads photos of three formats, and now and then something else."""
    photo = (REPOSITORY / "local" / "photo.jpg").read_bytes()
    others = [pictures.encode(pictures.plain(900, 900, (60, 90, 120)), format_) for format_ in ("PNG", "WEBP")]
    while not stopped.wait(_PAUSE_SECONDS):
        number += 1
        data = b"no photo" if number % 9 == 0 else [photo, photo, *others][number % 4]
        with suppress(ClientError, OSError):
            form = session.request_form(data, "image/jpeg")
            session.post(form, data)
            if number % 5:  # one in five waits for the queue
                session.finish(form["upload_id"])


class Series:
    """The lines of a widget, by label."""

    def __init__(self, properties: Mapping[str, Any], figures: Figures) -> None:
        self._figures = figures
        self._seconds = _BUCKET_SECONDS if properties["view"] == "timeSeries" else _SECONDS * 2
        self._by_id: dict[str, Line] = {}
        self.lines: list[tuple[str, Line, str]] = []
        for *key, shown in properties["metrics"]:
            if not key:
                continue
            line = figures.find(tuple(key), shown["stat"], self._seconds)
            self._by_id[shown.get("id", "")] = line
            if shown.get("visible", True):
                self.lines.append((shown["label"], line, shown.get("yAxis", "left")))
        for *key, shown in properties["metrics"]:
            if not key:
                self.lines += [(label, line, "left") for label, line in self._evaluate(shown)]

    def _evaluate(self, shown: Mapping[str, Any]) -> Iterable[tuple[str, Line]]:
        """Metric math that the dashboard uses is valid Python for the values of one bucket."""
        expression = shown["expression"]
        if expression.startswith("SEARCH"):
            yield from self._search(expression)
            return
        # The argument of SEARCH is text in single quotes with double quotes in it.
        buckets = {bucket for line in [*self._by_id.values(), *self._all_found(expression)] for bucket in line}
        line: Line = {}
        for bucket in sorted(buckets):
            values = {id_: points.get(bucket) for id_, points in self._by_id.items()}
            functions: dict[str, Callable[..., Any]] = {
                "FILL": lambda value, other: other if value is None else value,
                "SUM": sum,
                "METRICS": lambda name, values=values: [v or 0 for id_, v in values.items() if name in id_],
                "SEARCH": lambda text, stat, _period, bucket=bucket: [
                    found.get(bucket, 0) for _, found in self._search(f"SEARCH('{text}', '{stat}', 60)")
                ],
            }
            with suppress(TypeError):  # a metric without a value in this bucket
                line[bucket] = eval(expression, {"__builtins__": {}}, {**values, **functions})  # noqa: S307
        yield shown["label"], line

    def _all_found(self, expression: str) -> list[Line]:
        return [
            line for text in re.findall(r"SEARCH\('.*?', '\w+', 60\)", expression) for _, line in self._search(text)
        ]

    def _search(self, expression: str) -> Iterable[tuple[str, Line]]:
        pattern = r"SEARCH\('\{(\w+),(\w+),service\} MetricName=\"(\w+)\" .*', '(\w+)', 60\)"
        ((namespace, dimension, name, stat),) = re.findall(pattern, expression)
        for key in sorted(self._figures.values):
            if key[:3] == (namespace, name, dimension):
                yield key[3], self._figures.find(key, stat, self._seconds)


def draw(body: Mapping[str, Any], figures: Figures) -> str:
    """Returns the dashboard as SVG."""
    width = 24 * _COLUMN
    height = max(widget["y"] + widget["height"] for widget in body["widgets"]) * _ROW
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width} {height}" width="{width}">',
        "<title>The dashboard, drawn from figures of a local run</title>",
        _STYLE,
    ]
    for widget in body["widgets"]:
        x, y = widget["x"] * _COLUMN, widget["y"] * _ROW
        properties = widget["properties"]
        if widget["type"] == "text":
            parts.append(f'<text class="heading" x="{x + 4}" y="{y + 21}">{escape(properties["markdown"][2:])}</text>')
            continue
        size = widget["width"] * _COLUMN - _GAP, widget["height"] * _ROW - _GAP
        parts.append(f'<g transform="translate({x + _GAP / 2:g} {y + _GAP / 2:g})">')
        parts.append(f'<rect class="box" width="{size[0]}" height="{size[1]}"/>')
        parts.append(f'<text class="title" x="8" y="16">{escape(properties["title"])}</text>')
        series = Series(properties, figures)
        parts += _draw_numbers(series) if properties["view"] == "singleValue" else _draw_lines(series, properties, size)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>"]) + "\n"


def _draw_numbers(series: Series) -> list[str]:
    parts: list[str] = []
    for index, (label, line, _) in enumerate(series.lines):
        x = 12 + index * 155
        usd = sum(line.values())
        parts.append(f'<text class="number" x="{x}" y="46">{f"{usd:.6f}" if usd else "–"}</text>')
        parts.append(f'<text x="{x}" y="64">{escape(label)}</text>')
    return parts


def _draw_lines(series: Series, properties: Mapping[str, Any], size: tuple[int, int]) -> list[str]:
    left, top, right, bottom = 44, 26, size[0] - 8, size[1] - 46
    parts: list[str] = []
    limits = properties.get("annotations", {}).get("horizontal", [])
    filled = [(label, line, axis) for label, line, axis in series.lines if line]
    values = [value for _, line, _ in filled for value in line.values()]
    largest = properties["yAxis"]["left"].get("max") or max([*values, *(each["value"] for each in limits)], default=0)
    if not filled:
        parts.append(f'<text class="pale" x="{left}" y="{(top + bottom) / 2:g}">not in a local run</text>')
    largest = largest or 1

    def place(bucket: float, value: float) -> str:
        x = left + (right - left) * bucket * _BUCKET_SECONDS / _SECONDS
        return f"{min(x, right):.1f},{bottom - (bottom - top) * min(value, largest) / largest:.1f}"

    for value in (0, largest):
        y = place(0, value).partition(",")[2]
        parts.append(f'<text class="pale" x="{left - 4}" y="{float(y) + 4:g}" text-anchor="end">{value:,.0f}</text>')
    for limit in limits:
        y = place(0, limit["value"]).partition(",")[2]
        parts.append(f'<line class="limit" x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>')
    for color, (_, line, _axis) in zip(_COLORS, filled, strict=False):
        points = " ".join(place(bucket, value) for bucket, value in sorted(line.items()))
        parts.append(f'<polyline class="line" stroke="{color}" points="{points}"/>')
    return parts + _draw_legend([label for label, _, _ in filled], bottom + 16, size[0])


def _draw_legend(labels: Sequence[str], y: int, width: int) -> list[str]:
    parts: list[str] = []
    x = 8
    for color, label in zip(_COLORS, labels, strict=False):
        needed = 20 + round(6.2 * len(label))
        if x + needed > width and x > 8:
            x, y = 8, y + 13
        parts.append(f'<rect x="{x}" y="{y - 8}" width="8" height="8" fill="{color}"/>')
        parts.append(f'<text x="{x + 11}" y="{y}">{escape(label)}</text>')
        x += needed
    return parts


def main() -> None:
    body, figures = record()
    PICTURE.write_text(draw(body, figures))
    print(f"{PICTURE}: {sum(map(len, figures.values.values()))} values of {len(figures.values)} metrics")


if __name__ == "__main__":
    main()
