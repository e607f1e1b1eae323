"""CloudWatch metrics in log records: CloudWatch Logs extracts them, and a function makes no request for them.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html

Each combination of a name and dimensions is a metric that is billed, so subjects, keys and addresses are fields of a
record, never dimensions. Without AWS Lambda Powertools: see docs/decisions/0056-metrics-in-log-records.md.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

NAMESPACE = "Avatars"


class Metric(NamedTuple):
    name: str
    unit: Literal["Milliseconds", "Bytes", "Count"]
    value: int
    dimension: str | None = None
    """The field of the record that is a dimension besides `service`."""


@dataclass(frozen=True)
class Metrics:
    service: str
    """The dimension that all metrics of a deployed service have."""

    def embed(self, *metrics: Metric) -> dict[str, Any]:
        """Fields of a log record that has these metrics. A field that is a dimension is to be added."""
        if not metrics:
            return {}
        directives = [
            {
                "Namespace": NAMESPACE,
                "Dimensions": [["service", dimension] if dimension else ["service"]],
                "Metrics": [{"Name": its.name, "Unit": its.unit} for its in metrics if its.dimension == dimension],
            }
            for dimension in dict.fromkeys(its.dimension for its in metrics)
        ]
        now_ms = int(datetime.now(UTC).timestamp() * 1000)
        values = {its.name: its.value for its in metrics}
        return {"_aws": {"Timestamp": now_ms, "CloudWatchMetrics": directives}, "service": self.service, **values}

    def log(self, message: str, *metrics: Metric, **fields: object) -> None:
        """Write a record with these metrics and fields, in as few bytes as possible.

        For what is logged for each upload. The formatter of the runtime would add 210 bytes; JSON that a function
        prints stays as it is:
        https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-logformat.html
        """
        record = {**self.embed(*metrics), "message": message, **fields}
        print(json.dumps(record, separators=(",", ":")), flush=True)
