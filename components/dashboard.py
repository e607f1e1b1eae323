"""The CloudWatch dashboard, in the order of the questions of a bad night."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import pulumi
from pulumi_aws import cloudwatch

from components.avatar_pipeline import METRICS_NAMESPACE
from components.blocks.python_function import PythonFunction

_OBJECTIVE_MS = 5000  # _OBJECTIVE_MS of functions/process_avatar/process_upload.py
_OBJECTIVE_PERCENT = 99  # of avatars within that time
_WIDTH, _HEIGHT = 24, 6  # of a row of widgets, on CloudWatch's grid
# CloudFront reports its metrics there:
# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/programming-cloudwatch-metrics.html
_CDN_REGION = "us-east-1"
# US dollars, the list prices of us-east-1 as in bench/prices.toml.
USD = {
    "api_request": 1e-6,
    "lambda_request": 0.2e-6,
    "lambda_arm64": 13.3334e-6,
    "s3_put": 5e-6,
    "sqs_request": 0.4e-6,
    "sns_publish": 0.5e-6,
    "logs": 0.5,
    "cdn_request": 1e-6,
    "cdn_data": 0.085,
}

Widget: TypeAlias = dict[str, Any]
# A namespace, a name, and names and values of dimensions, or nothing for an expression; then how it is shown.
Metric: TypeAlias = list[Any]


@dataclass(frozen=True, kw_only=True)
class DashboardArgs:
    metrics_service: str
    """The dimension `service` of the pipeline's own metrics."""
    functions: Mapping[str, PythonFunction]
    """Those that users wait for, by package."""
    api_id: pulumi.Input[str]
    access_log_group_name: pulumi.Input[str]
    """The log group of the requests to the API."""
    queue_name: pulumi.Input[str]
    """The queue of uploads."""
    dead_letter_queue_names: Sequence[pulumi.Input[str]]
    """Of failed uploads, and with a webhook of undelivered events."""
    topic_arn: pulumi.Output[str]
    limits_table_name: pulumi.Input[str]
    distribution_id: pulumi.Input[str]
    database_metrics_service: str | None
    """The dimension `service` of the profiles' own metrics. None: no database."""
    database_cluster_id: pulumi.Input[str] | None
    """None: no Aurora cluster."""
    image_count: int
    """Images that are stored of each avatar."""


class Dashboard(pulumi.ComponentResource):
    """`avatars:index:Dashboard`

    Creates a CloudWatch dashboard: are users well, where does it hang, what is refused and why, and what does it cost.
    """

    def __init__(self, name: str, args: DashboardArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("avatars:index:Dashboard", name, None, opts)
        self._args = args
        # arn:partition:sns:region:account:name
        self._region = args.topic_arn.apply(lambda arn: arn.split(":")[3])
        self._topic_name = args.topic_arn.apply(lambda arn: arn.split(":")[5])
        rows = [
            [_text("# 1. Are users well?")],
            [self._share_in_time(), self._time_to_avatar(), self._outcomes()],
            [_text("# 2. Where does it hang?")],
            [self._api_requests(), self._api_latency(), self._queue()],
            [self._durations(), self._errors(), self._throttles()],
            [self._render_time(), self._topic(), self._limits_table()],
            *([[self._database(args.database_cluster_id)]] if args.database_cluster_id is not None else []),
            [_text("# 3. What is refused, and why?")],
            [self._rejections(), self._originals()],
            [_text("# 4. What does it cost? The last 24 hours in US dollars: list prices, without free tiers")],
            [self._cost()],
        ]
        cloudwatch.Dashboard(
            f"{name}-dashboard",
            dashboard_name=f"{name}-{pulumi.get_stack()}",
            dashboard_body=pulumi.Output.json_dumps({"start": "-PT3H", "widgets": _place(rows)}, separators=(",", ":")),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})

    def _share_in_time(self) -> Widget:
        share = self._own("AvatarWithin5Seconds", "Average", id="share", visible=False)
        percent = _expression("100 * share", "within 5 seconds")
        limit = {"horizontal": [{"label": "objective", "value": _OBJECTIVE_PERCENT}]}
        return self._graph("Avatars within 5 seconds, %", share, percent, period=300, max_=100, annotations=limit)

    def _time_to_avatar(self) -> Widget:
        limit = {"horizontal": [{"label": "5 seconds", "value": _OBJECTIVE_MS}]}
        percentiles = [self._own("TimeToAvatar", stat, label=stat) for stat in ("p50", "p95", "p99")]
        return self._graph("Time from upload to avatar, ms", *percentiles, annotations=limit)

    def _outcomes(self) -> Widget:
        rejected = self._search("UploadsRejected", "reason", "Sum")
        return self._graph(
            "Uploads",
            self._own("AvatarWithin5Seconds", "SampleCount", label="avatars"),
            _expression(f"SUM({rejected})", "rejected"),
            self._own("UploadsHeld", "Sum", label="held"),
            self._own("FailedAttempts", "Sum", label="failed attempts"),
        )

    def _api_requests(self) -> Widget:
        return self._graph("API: requests", *(self._api(name, "Sum", label=name) for name in ("Count", "4xx", "5xx")))

    def _api_latency(self) -> Widget:
        return self._graph(
            "API: latency, ms",
            self._api("Latency", "p50", label="p50"),
            self._api("Latency", "p99", label="p99"),
            self._api("IntegrationLatency", "p99", label="p99 of functions"),
        )

    def _queue(self) -> Widget:
        args = self._args
        queues = [
            ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", queue, _show("Maximum", label=label)]
            for queue, label in zip(
                (args.queue_name, *args.dead_letter_queue_names),
                ("waiting", "failed uploads", "undelivered events"),
                strict=False,
            )
        ]
        age = _show("Maximum", label="oldest, seconds", yAxis="right")
        return self._graph(
            "Queue: messages",
            *queues,
            ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", args.queue_name, age],
        )

    def _durations(self) -> Widget:
        return self._graph("Functions: duration, p99, ms", *self._functions("Duration", "p99"))

    def _errors(self) -> Widget:
        database, unavailable = self._args.database_metrics_service, "database does not answer profile"
        return self._graph(
            "Functions: errors",
            *self._functions("Errors", "Sum"),
            self._own("FailedAttempts", "Sum", label="given back to the queue"),
            self._own("FailedFinishes", "Sum", label="left to the queue by finish_upload"),
            *([self._own("DatabaseUnavailable", "Sum", database, label=unavailable)] if database else []),
        )

    def _throttles(self) -> Widget:
        return self._graph("Functions: throttles", *self._functions("Throttles", "Sum"))

    def _render_time(self) -> Widget:
        percentiles = [self._own("RenderTime", stat, label=stat) for stat in ("p50", "p99")]
        return self._graph("Rendering, ms", *percentiles)

    def _topic(self) -> Widget:
        names = ("NumberOfMessagesPublished", "NumberOfNotificationsDelivered", "NumberOfNotificationsFailed")
        return self._graph(
            "Topic of events",
            *(["AWS/SNS", name, "TopicName", self._topic_name, _show("Sum", label=name[8:])] for name in names),
        )

    def _limits_table(self) -> Widget:
        table = self._args.limits_table_name
        return self._graph(
            "Table of limits: latency, ms",
            *(
                [
                    *("AWS/DynamoDB", "SuccessfulRequestLatency", "TableName", table, "Operation", operation),
                    _show("p99", label=f"{operation} p99"),
                ]
                for operation in ("GetItem", "UpdateItem")
            ),
        )

    def _database(self, cluster_id: pulumi.Input[str]) -> Widget:
        return self._graph(
            "Database",
            *(
                ["AWS/RDS", name, "DBClusterIdentifier", cluster_id, _show("Maximum", label=label, yAxis=axis)]
                for name, label, axis in (
                    ("DatabaseConnections", "connections", "left"),
                    ("ServerlessDatabaseCapacity", "capacity, ACU", "right"),
                )
            ),
        )

    def _rejections(self) -> Widget:
        by_reason = _expression(self._search("UploadsRejected", "reason", "Sum"), "${PROP('Dim.reason')}")
        return self._graph("Rejected uploads by reason", by_reason, stacked=True)

    def _originals(self) -> Widget:
        by_format = _expression(self._search("OriginalSize", "format", "Average"), "${PROP('Dim.format')}")
        return self._graph("Size of originals by format, bytes", by_format)

    def _cost(self) -> Widget:
        """Shows the cost of what CloudWatch counts, and of S3's writes, which are most of an upload."""
        args = self._args
        invocations = self._functions("Invocations", "Sum", "invocations")
        durations = self._functions("Duration", "Sum", "duration")
        groups = [*(each.log_group_name for each in args.functions.values()), args.access_log_group_name]
        cdn = [
            [
                *("AWS/CloudFront", name, "DistributionId", args.distribution_id, "Region", "Global"),
                _show("Sum", id=id_, visible=False, region=_CDN_REGION),
            ]
            for name, id_ in (("Requests", "views"), ("BytesDownloaded", "downloaded"))
        ]
        compute = " + ".join(
            f"FILL(duration{index}, 0) * {each.memory / 1024}" for index, each in enumerate(args.functions.values())
        )
        puts = args.image_count + 2  # and the original, and the manifest
        graph = self._graph(
            "US dollars",
            self._api("Count", "Sum", id="requests", visible=False),
            *invocations,
            *durations,
            self._own("AvatarWithin5Seconds", "SampleCount", id="avatars", visible=False),
            [
                *("AWS/SQS", "NumberOfMessagesSent", "QueueName", args.queue_name),
                _show("Sum", id="messages", visible=False),
            ],
            [
                *("AWS/SNS", "NumberOfMessagesPublished", "TopicName", self._topic_name),
                _show("Sum", id="events", visible=False),
            ],
            *(
                ["AWS/Logs", "IncomingBytes", "LogGroupName", group, _show("Sum", id=f"log{index}", visible=False)]
                for index, group in enumerate(groups)
            ),
            *cdn,
            _expression(f"FILL(requests, 0) * {_price('api_request')}", "API"),
            _expression(
                f"SUM(METRICS('invocations')) * {_price('lambda_request')} + "
                f"({compute}) / 1000 * {_price('lambda_arm64')}",
                "Lambda",
            ),
            _expression(f"FILL(avatars, 0) * {puts} * {_price('s3_put')}", "S3, writes of avatars"),
            _expression(
                f"FILL(messages, 0) * 3 * {_price('sqs_request')} + FILL(events, 0) * {_price('sns_publish')}",
                "SQS and SNS",
            ),
            _expression(f"SUM(METRICS('log')) / 1000000000 * {_price('logs')}", "Logs"),
            _expression(
                f"FILL(views, 0) * {_price('cdn_request')} + FILL(downloaded, 0) / 1000000000 * {_price('cdn_data')}",
                "CDN",
            ),
            view="singleValue",
            start="-P1D",
            setPeriodToTimeRange=True,
        )
        return {**graph, "height": _HEIGHT // 2}

    def _own(self, name: str, stat: str, service: str | None = None, **shown: Any) -> Metric:
        """A metric that functions log: those of the pipeline, or of another service."""
        return [METRICS_NAMESPACE, name, "service", service or self._args.metrics_service, _show(stat, **shown)]

    def _search(self, name: str, dimension: str, stat: str) -> str:
        """An expression for the metrics with all values of a dimension.

        https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/search-expression-syntax.html
        """
        schema = (
            f'{{{METRICS_NAMESPACE},{dimension},service}} MetricName="{name}" service="{self._args.metrics_service}"'
        )
        return f"SEARCH('{schema}', '{stat}', 60)"

    def _api(self, name: str, stat: str, **shown: Any) -> Metric:
        return ["AWS/ApiGateway", name, "ApiId", self._args.api_id, _show(stat, **shown)]

    def _functions(self, name: str, stat: str, id_: str | None = None) -> list[Metric]:
        """A metric of each function; hidden with `id_`, to which its number is added."""
        return [
            [
                *("AWS/Lambda", name, "FunctionName", function.function_name),
                _show(stat, label=package) if id_ is None else _show(stat, id=f"{id_}{index}", visible=False),
            ]
            for index, (package, function) in enumerate(self._args.functions.items())
        ]

    def _graph(
        self,
        title: str,
        *metrics: Metric,
        view: str = "timeSeries",
        period: int = 60,
        max_: int | None = None,
        **properties: Any,
    ) -> Widget:
        left = {"min": 0} if max_ is None else {"min": 0, "max": max_}
        return {
            "type": "metric",
            "height": _HEIGHT,
            "properties": {
                "title": title,
                "view": view,
                "region": self._region,
                "period": period,
                "metrics": metrics,
                **({"yAxis": {"left": left, "right": {"min": 0}}} if view == "timeSeries" else {}),
                **properties,
            },
        }


def _show(stat: str, **shown: Any) -> dict[str, Any]:
    return {"stat": stat, **shown}


def _price(name: str) -> str:
    """Without an exponent, which metric math does not document."""
    return f"{USD[name]:.12f}".rstrip("0")


def _expression(expression: str, label: str) -> Metric:
    return [{"expression": expression, "label": label}]


def _text(markdown: str) -> Widget:
    return {"type": "text", "height": 1, "properties": {"markdown": markdown, "background": "transparent"}}


def _place(rows: Sequence[Sequence[Widget]]) -> list[Widget]:
    """Places the widgets of each row beside each other."""
    placed: list[Widget] = []
    y = 0
    for row in rows:
        width = _WIDTH // len(row)
        placed += [{**widget, "x": index * width, "y": y, "width": width} for index, widget in enumerate(row)]
        y += row[0]["height"]
    return placed
