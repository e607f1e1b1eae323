"""Reads the logs of functions: the records of some time, or of one upload, and new ones as they come."""

from __future__ import annotations

import argparse
import heapq
import re
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import NamedTuple

from functions.shared import upload_id
from operations.operated_stack import OperatedStack, OperationError
from operations.progress import format_time

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_DEFAULT = timedelta(hours=1)
_FOLLOW_SECONDS = 2
# CloudWatch Logs can be late with a record, and clocks differ.
_LATENESS = timedelta(minutes=1)


class Record(NamedTuple):
    at_ms: int
    """Since 1970."""
    id: str
    function: str
    text: str
    """JSON, except for what is written without a logger, such as a traceback."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--function", help="such as process_avatar (default: all)")
    parser.add_argument("--since", type=_parse_since, help="such as 30m, 2h or 7d (default: 1h)")
    parser.add_argument("--upload", help="only records of this upload, by default since it began")
    parser.add_argument("--follow", action="store_true", help="wait for new records until Ctrl-C")


def run(stack: OperatedStack, options: argparse.Namespace) -> int:
    """Prints records, each after the name of its function.

    Raises:
        OperationError: The stack has no such function.
        ValueError: `options.upload` is not an upload ID.
    """
    upload, start = options.upload, datetime.now(UTC) - (options.since or _DEFAULT)
    if upload:
        began = datetime.fromtimestamp(upload_id.parse_time_ms(upload) / 1000, UTC)
        start = start if options.since else began - _LATENESS
    functions: Mapping[str, str] = stack.functions
    if options.function:
        if options.function not in functions:
            raise OperationError(f"FUNCTION is {options.function}; the functions are {', '.join(sorted(functions))}")
        functions = {options.function: functions[options.function]}
    groups = find_log_groups(stack, functions)
    read = 0
    for record in follow(stack, groups, start, upload) if options.follow else read_logs(stack, groups, start, upload):
        print(f"{record.function} {record.text.rstrip()}", flush=options.follow)
        read += 1
    if not read:
        print(f"no records since {format_time(start)} of {', '.join(sorted(functions))}", file=sys.stderr)
    return 0


def find_log_groups(stack: OperatedStack, functions: Mapping[str, str]) -> dict[str, str]:
    """Returns the names of log groups by function, for the names of functions."""
    client = stack.create_client("lambda")
    return {
        function: client.get_function_configuration(FunctionName=name)["LoggingConfig"]["LogGroup"]
        for function, name in functions.items()
    }


def read_logs(
    stack: OperatedStack, groups: Mapping[str, str], start: datetime, upload: str | None = None
) -> Iterator[Record]:
    """Yields the records since then in the order of their times, of an upload if one is given."""
    pages = stack.create_client("logs").get_paginator("filter_log_events")
    # As a regular expression, since a record may have the ID within a key:
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/regex-expressions.html
    pattern = {"filterPattern": f"%{upload}%"} if upload else {}

    def read(function: str, group: str) -> Iterator[Record]:
        for page in pages.paginate(logGroupName=group, startTime=int(start.timestamp() * 1000), **pattern):
            for event in page["events"]:
                yield Record(event["timestamp"], event["eventId"], function, event["message"])

    return heapq.merge(*(read(function, group) for function, group in groups.items()), key=attrgetter("at_ms"))


def follow(
    stack: OperatedStack, groups: Mapping[str, str], start: datetime, upload: str | None = None
) -> Iterator[Record]:
    """Yields records as `read_logs` does, and then new ones. Does not end."""
    seen: set[tuple[str, str]] = set()
    while True:
        now = datetime.now(UTC)
        records = list(read_logs(stack, groups, start, upload))
        yield from (record for record in records if (record.function, record.id) not in seen)
        seen = {(record.function, record.id) for record in records}
        start = max(start, now - _LATENESS)
        time.sleep(_FOLLOW_SECONDS)


def _parse_since(text: str) -> timedelta:
    match = re.fullmatch(r"([1-9][0-9]{0,3})([mhd])", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number with m, h or d, such as 30m, 2h or 7d")
    return int(match[1]) * _UNITS[match[2]]
