"""The metrics that CloudWatch Logs extracts from the log of a function: those in embedded metric format.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

_MAX_DIMENSIONS = 30
_MAX_METRICS = 100
_UNITS = {"Milliseconds", "Seconds", "Bytes", "Count", "Percent", "None"}


class Datum(NamedTuple):
    """One value of a metric."""

    namespace: str
    name: str
    dimensions: Mapping[str, str]
    unit: str
    value: float
    at_ms: int
    """Milliseconds since 1970."""


def read_metrics(log: str) -> Iterator[Datum]:
    """Yields the values of the metrics in a log, which has one record per line.

    Raises:
        ValueError: A record with `_aws` breaks a rule of the specification. CloudWatch would ignore it.
    """
    for line in log.splitlines():
        if '"_aws"' in line:
            yield from _read_record(json.loads(line))


def _read_record(record: Mapping[str, Any]) -> Iterator[Datum]:
    try:
        metadata = record["_aws"]
        for directive in metadata["CloudWatchMetrics"]:
            for dimensions in directive["Dimensions"]:
                values = {name: record[name] for name in dimensions}
                if len(dimensions) > _MAX_DIMENSIONS or not all(isinstance(each, str) for each in values.values()):
                    raise ValueError(f"dimensions {values}")
                if len(directive["Metrics"]) > _MAX_METRICS:
                    raise ValueError(f"{len(directive['Metrics'])} metrics")
                for metric in directive["Metrics"]:
                    value, unit = record[metric["Name"]], metric.get("Unit", "None")
                    if isinstance(value, bool) or not isinstance(value, int | float) or unit not in _UNITS:
                        raise ValueError(f"{metric['Name']} is {value!r} {unit}")
                    yield Datum(
                        directive["Namespace"], metric["Name"], values, unit, float(value), metadata["Timestamp"]
                    )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not in embedded metric format, {error!r}: {record}") from error
