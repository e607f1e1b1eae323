"""Dollars per million uploads and per month: from what was measured, what is deployed, list prices, and assumptions.

`python -m bench.cost` prints the tables and writes them into the documents, between their marks.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import ceil
from pathlib import Path
from typing import Any

from bench import deployed
from lambda_packages.build import REPOSITORY

UPLOADS = 1_000_000
PRICES = Path(__file__).with_name("prices.toml")
MEASURED = Path(__file__).with_name("measured.json")
DOCUMENTS = (REPOSITORY / "README.md", REPOSITORY / "docs" / "cost.md")
BEGIN, END = "<!-- make cost -->", "<!-- /make cost -->"
MONTH_BEGIN, MONTH_END = "<!-- make cost: month -->", "<!-- /make cost: month -->"
ALARMS_BEGIN, ALARMS_END = "<!-- make cost: alarms -->", "<!-- /make cost: alarms -->"
TOTALS_BEGIN, TOTALS_END = "<!-- make cost: totals -->", "<!-- /make cost: totals -->"

# Lambda allocates CPU in proportion to memory; this much memory is one vCPU.
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
ONE_VCPU_MB = 1769

# Assumptions about one upload, as nothing is measured in AWS.
PHOTO_GB = 0.003
# Uploads whose clients have them finished. `<avatar-upload>` and the client always try; the others get no result in
# time, or are of other clients, and poll the status.
FINISHED = 0.95
# Status requests that find the upload pending: the first is sent 1.5 s after the photo, and S3 delivers its events
# within about a second.
EARLY_STATUS_REQUESTS = 0.25
STATUS_REQUESTS = (1 - FINISHED) * (1 + EARLY_STATUS_REQUESTS)
# Processor time in milliseconds of the original design's function for the photo, on the vCPU that is assumed. Measured
# times are scaled to it, so that the tables depend on the code and not on the machine that ran the benchmark.
SHARP_MS = 54.4
WRITE_MS, READ_MS = 30, 20  # latency of a small request to S3, SNS or SQS
COUNT_MS = 10  # latency of an update in DynamoDB
PHOTO_READ_MS = 60  # latency and transfer of 3 MB
SHRUNK_PHOTO_READ_MS = 23  # of a WebP of 768 pixels, 0.18 MB
# Including the 26 bytes that CloudWatch bills for each event. The function's line has the metrics of the avatar.
ACCESS_LOG_LINE_GB, FUNCTION_LOG_LINE_GB = 0.336e-6, 0.645e-6
ORIGINAL_LOG_GB = 0.8e-6  # START, END and REPORT lines of each function

# Assumed, for a month.
USERS = (1_000, 10_000, 100_000)
MONTHLY_VIEWS = 300  # of the 256-pixel variant, for each user, that the CDN serves
VARIANT_GB = 12.5e-6
SUPERSEDED_DAYS = 7.5  # from the replacement of a variant to the first sweep after seven days
STORED_GB = 70e-6 + VARIANT_GB * SUPERSEDED_DAYS / 30  # images of one user
SWEEPS = 30
LIST_MS = 150  # latency of a page of 1,000 keys and the time to parse it
SWEEP_WORKERS = 16
# Metrics of alarms and composite alarms, by configuration, as tests/components/test_alarms.py counts them.
ALARMS = {
    "nobody is notified": (3, 0),
    "`alarmEmail` or `alarmTopicArn`": (16, 1),
    "and a webhook, a domain and a database": (21, 1),
}
METRICS = 7  # time, share in time, rendering; size for two formats; rejections for two reasons
# CloudFront's free tier, which does not expire: https://aws.amazon.com/cloudfront/pricing/
FREE_CDN_REQUESTS, FREE_CDN_GB = 10_000_000, 1_000


@dataclass(frozen=True)
class Price:
    usd: float
    per: float
    unit: str
    source: str

    def of(self, count: float) -> float:
        return count * self.usd / self.per


@dataclass(frozen=True)
class Work:
    """Resources that one function uses. `waiting_ms` is time spent waiting for network responses."""

    function: str
    memory: int  # MB
    per_upload: float
    cpu_ms: float
    waiting_ms: float

    @property
    def billed_ms(self) -> int:
        return billed_ms(self.cpu_ms, self.waiting_ms, self.memory)

    @property
    def gb_seconds(self) -> float:
        """Per upload."""
        return self.per_upload * self.memory / 1024 * self.billed_ms / 1000


def billed_ms(cpu_ms: float, waiting_ms: float, memory: int) -> int:
    """Model the billed duration of one invocation in milliseconds.

    Below one vCPU, processor time grows as memory shrinks. Waiting time does not depend on memory, and one thread does
    not use more than one vCPU.
    """
    return ceil(cpu_ms / min(1, memory / ONE_VCPU_MB) + waiting_ms)


@dataclass(frozen=True)
class Item:
    """One item of a bill. `count` is the number of billed units for a million uploads."""

    name: str
    count: float
    price: Price

    @property
    def usd(self) -> float:
        return self.price.of(self.count)


def load_prices() -> dict[str, Price]:
    read = tomllib.loads(PRICES.read_text())
    return {key: _price(entry) for key, entry in read.items() if isinstance(entry, dict) and "usd" in entry}


def _price(entry: Mapping[str, Any]) -> Price:
    return Price(entry["usd"], entry["per"], entry["unit"], entry["source"])


def load_measurements() -> Mapping[str, Any]:
    """Read what `make bench` wrote: processor time of warm functions in milliseconds, date and processor."""
    return json.loads(MEASURED.read_text())


def load_cpu_ms() -> Mapping[str, float]:
    """The measured processor times, scaled to the vCPU that is assumed."""
    return scale(load_measurements()["cpu_ms"])


def scale(cpu_ms: Mapping[str, float]) -> Mapping[str, float]:
    factor = SHARP_MS / cpu_ms["process_avatar in Node"]
    return {name: factor * ms for name, ms in cpu_ms.items()}


def our_work(cpu_ms: Mapping[str, float], *, is_shrunk: bool = False) -> list[Work]:
    """`cpu_ms` are processor times on the vCPU that is assumed, by function.

    Three more names have what follows: `finish_upload, shrunk` and `process_avatar, shrunk` for a shrunk photo, and
    `process_avatar, finished` for an upload that finish_upload has processed.
    """
    memory = {name: function.memory for name, function in deployed.load_functions().items()}
    kind, photo_read = (", shrunk", SHRUNK_PHOTO_READ_MS) if is_shrunk else ("", PHOTO_READ_MS)
    # Requests in parallel count once. Photo, manifest and block; count; variants; JPEG; manifest.
    finish_waits = photo_read + COUNT_MS + 3 * WRITE_MS
    # Manifest; event and deletion.
    completion_waits = READ_MS + WRITE_MS
    status_waits = _status_reads() / STATUS_REQUESTS * READ_MS
    others = 1 - FINISHED
    return [
        Work("authorize", memory["authorize"], 1, cpu_ms["authorize"], 0),
        Work("presign_upload", memory["presign_upload"], 1, cpu_ms["presign_upload"], 0),
        Work("finish_upload", memory["finish_upload"], FINISHED, cpu_ms["finish_upload" + kind], finish_waits),
        Work(
            "process_avatar", memory["process_avatar"], FINISHED, cpu_ms["process_avatar, finished"], completion_waits
        ),
        Work(
            "process_avatar",
            memory["process_avatar"],
            others,
            cpu_ms["process_avatar" + kind],
            finish_waits + completion_waits,
        ),
        Work("upload_status", memory["upload_status"], STATUS_REQUESTS, cpu_ms["upload_status"], status_waits),
    ]


def _status_reads() -> float:
    """Per upload: the manifest for each status request, and the rejection for an early one."""
    return STATUS_REQUESTS + (1 - FINISHED) * EARLY_STATUS_REQUESTS


def original_work(cpu_ms: Mapping[str, float]) -> list[Work]:
    """The design that this project replaces: Node.js with Lambda's default memory, 128 MB."""
    return [
        Work("authorizer", 128, 1, cpu_ms["authorize in Node"], 0),
        Work("presigned URL", 128, 1, cpu_ms["presign_upload in Node"], 0),
        Work("sharp", 128, 1, cpu_ms["process_avatar in Node"], PHOTO_READ_MS + WRITE_MS),
    ]


def our_bill(cpu_ms: Mapping[str, float], *, is_shrunk: bool = False) -> list[Item]:
    price, work = load_prices(), our_work(cpu_ms, is_shrunk=is_shrunk)
    variants = len(deployed.load_default_sizes())
    requests = 1 + FINISHED + STATUS_REQUESTS
    # Photo and manifest, and the manifest once more by the event after `finish`.
    reads = 2 + FINISHED + _status_reads()
    log = requests * ACCESS_LOG_LINE_GB + FUNCTION_LOG_LINE_GB
    return [
        _item(
            f"API Gateway: the form, {FINISHED} finish and {STATUS_REQUESTS:g} status", requests, price["api_request"]
        ),
        _item("Lambda: requests", sum(its.per_upload for its in work), price["lambda_request"]),
        _item("Lambda: GB-seconds", sum(its.gb_seconds for its in work), price["lambda_arm64"]),
        _item(f"S3: writes: photo, variants ({variants}), JPEG, manifest", 1 + variants + 2, price["s3_put"]),
        _item(f"S3: reads: photo, manifest, {reads - 2:.2f} more of the manifest", reads, price["s3_get"]),
        _item("SQS: send, receive, delete", 3, price["sqs_request"]),
        _item("SNS: publish", 1, price["sns_publish"]),
        # The item of an hour with the default quota has less than 1 KB (docs/decisions/0039).
        _item("DynamoDB: count of the quota", 1, price["dynamodb_write"]),
        # A consistent read of up to 4 KB.
        _item("DynamoDB: read of the block", 1, price["dynamodb_read"]),
        _item(f"CloudWatch: GB of logs, {1e6 * log:.1f} kB per upload", log, price["logs"]),
        _item("S3: GB-months of originals, deleted after processing", 0, price["s3_storage"]),
        _item("CloudFront: invalidations, none", 0, price["invalidation"]),
    ]


def original_bill(cpu_ms: Mapping[str, float]) -> list[Item]:
    price, work = load_prices(), original_work(cpu_ms)
    return [
        _item("API Gateway", 1, price["api_request"]),
        _item("Lambda: requests", sum(its.per_upload for its in work), price["lambda_request"]),
        _item("Lambda: GB-seconds", sum(its.gb_seconds for its in work), price["lambda_x86"]),
        _item("S3: writes: the photo and one JPEG", 2, price["s3_put"]),
        _item("S3: reads", 1, price["s3_get"]),
        _item("SQS: none", 0, price["sqs_request"]),
        _item("SNS: publish", 1, price["sns_publish"]),
        _item("DynamoDB: no writes", 0, price["dynamodb_write"]),
        _item("DynamoDB: no reads", 0, price["dynamodb_read"]),
        _item("CloudWatch: GB of logs", len(work) * ORIGINAL_LOG_GB, price["logs"]),
        # Originals are never deleted: in the first month half of them are stored on average.
        _item("S3: GB-months of originals", PHOTO_GB / 2, price["s3_storage"]),
        _item("CloudFront: invalidations", 1, price["invalidation"]),
    ]


def _item(name: str, per_upload: float, price: Price) -> Item:
    return Item(name, per_upload * UPLOADS, price)


def total_usd(items: Sequence[Item]) -> float:
    return sum(item.usd for item in items)


def list_competitors() -> list[tuple[str, float, str]]:
    """Return name, US dollars for a million uploads, and list price of hosted services."""
    entries: dict[str, dict[str, Any]] = tomllib.loads(PRICES.read_text())["rivals"]
    outputs = len(deployed.load_default_sizes()) + 1
    return [
        (
            f"[{entry['name']}]({entry['source']})",
            _price(entry).of(UPLOADS * (outputs if entry["per_output"] else 1)),
            f"${entry['usd']:g} per {entry['per']:,} {entry['unit']}" + "; from a third party" * entry["second_hand"],
        )
        for entry in entries.values()
    ]


def format_report() -> str:
    """Format the tables in Markdown."""
    figures = load_measurements()
    cpu_ms = load_cpu_ms()
    mine, theirs = our_bill(cpu_ms), original_bill(cpu_ms)
    dated = tomllib.loads(PRICES.read_text())
    shrunk = total_usd(our_bill(cpu_ms, is_shrunk=True))
    slower = total_usd(our_bill({name: 1.5 * ms for name, ms in cpu_ms.items()}))
    opening = (
        f"A million uploads with the default sizes: **${total_usd(mine):,.2f}** for originals of "
        f"{1e3 * PHOTO_GB:g} MB, **${shrunk:,.2f}** for photos that `<avatar-upload>` has shrunk. "
        f"List prices in {dated['region']} on "
        f"{dated['date']}, without free tiers. Processor times of warm functions "
        f"were measured on {figures['date']}, on {figures['processor']}, and scaled to a vCPU on which the original "
        f"design takes {SHARP_MS} ms to process the photo. If everything takes 1.5 times as long, originals are "
        f"${slower:,.2f}."
    )
    return "\n\n".join((opening, _bill(mine, theirs), _functions(our_work(cpu_ms)), _rivals(total_usd(mine))))


def _bill(mine: Sequence[Item], theirs: Sequence[Item]) -> str:
    lines = ["| item | count | price | USD | original design, USD |", "|---|---:|---|---:|---:|"]
    for item, other in zip(mine, theirs, strict=True):
        service, _, rest = item.name.partition(":")
        name = f"[{service}]({item.price.source}):{rest}"
        per = f"${Decimal(str(item.price.usd)):f} per {item.price.per:,}"
        lines.append(f"| {name} | {item.count:,.0f} | {per} | {item.usd:,.2f} | {other.usd:,.2f} |")
    lines.append(f"| **total** | | | **{total_usd(mine):,.2f}** | **{total_usd(theirs):,.2f}** |")
    return "\n".join(lines)


def _functions(work: Sequence[Work]) -> str:
    lines = [
        "| function | memory, MB | invocations per upload | CPU, ms | waiting, assumed, ms | billed, ms |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| `{its.function}` | {its.memory} | {its.per_upload:.4g} | {its.cpu_ms:.1f} | {its.waiting_ms:.0f} "
        f"| {its.billed_ms} |"
        for its in work
    ]
    return "\n".join(lines)


def _rivals(mine: float) -> str:
    lines = ["| hosted service, same outputs | USD | ratio | list price |", "|---|---:|---:|---|"]
    lines += [f"| {name} | {usd:,.0f} | {usd / mine:,.0f} | {how} |" for name, usd, how in list_competitors()]
    return "\n".join(lines)


def list_monthly_items(users: int) -> list[tuple[str, float]]:
    """Dollars for each item of a month in which every user replaces their avatar once."""
    price = load_prices()
    cpu_ms = load_cpu_ms()
    upload, sweep = total_usd(our_bill(cpu_ms)) / UPLOADS, _sweep_usd()
    views = users * MONTHLY_VIEWS
    alarms, _ = ALARMS["nobody is notified"]
    return [
        (f"uploads: 1 × ${upload * 1e6:.2f} per million", users * upload),
        (f"daily sweeps: {SWEEPS} × ${sweep * 1e6 / SWEEPS:.3f} per million", users * sweep),
        (
            f"images in S3: {STORED_GB * 1e6:.0f} kB × ${price['s3_storage'].usd:g} per GB-month",
            price["s3_storage"].of(users * STORED_GB),
        ),
        (
            f"CDN requests: {MONTHLY_VIEWS} × ${price['cdn_request'].usd:.2f} per million, "
            f"above {FREE_CDN_REQUESTS / 1e6:g} million",
            price["cdn_request"].of(max(0, views - FREE_CDN_REQUESTS)),
        ),
        (
            f"CDN data: {MONTHLY_VIEWS} × {VARIANT_GB * 1e6:g} kB × ${price['cdn_data'].usd:g} per GB, "
            f"above {FREE_CDN_GB:,} GB",
            price["cdn_data"].of(max(0, views * VARIANT_GB - FREE_CDN_GB)),
        ),
        (f"alarms: {alarms} × ${price['alarm'].usd:.2f}, independent of users", price["alarm"].of(alarms)),
        (f"metrics: {METRICS} × ${price['metric'].usd:.2f}, independent of users", price["metric"].of(METRICS)),
        (f"dashboard: ${price['dashboard'].usd:.2f}, independent of users", price["dashboard"].of(1)),
    ]


def _sweep_usd() -> float:
    """A month of sweeps, for each user: the listings, and one manifest read for the superseded avatar.

    The objects of a user are variants, JPEG, manifest, and superseded variants until they are deleted (free of charge).
    """
    price = load_prices()
    memory = deployed.load_functions()["sweep_avatars"].memory
    variants = len(deployed.load_default_sizes())
    pages = SWEEPS * (variants * (1 + SUPERSEDED_DAYS / 30) + 2) / 1000
    waiting_ms = pages * LIST_MS + (READ_MS + variants * WRITE_MS) / SWEEP_WORKERS
    return (
        price["s3_put"].of(pages) + price["s3_get"].of(1) + price["lambda_arm64"].of(memory / 1024 * waiting_ms / 1000)
    )


def format_monthly_report() -> str:
    columns = [list_monthly_items(users) for users in USERS]
    lines = [
        "| for each user | " + " | ".join(f"{users:,} users" for users in USERS) + " |",
        "|---|" + "---:|" * len(USERS),
    ]
    lines += [
        f"| {items[0][0]} | " + " | ".join(f"{usd:.2f}" for _, usd in items) + " |"
        for items in zip(*columns, strict=True)
    ]
    lines.append("| **total, USD a month** | " + " | ".join(f"**{_sum(items):.2f}**" for items in columns) + " |")
    return "\n".join(lines)


def format_monthly_totals() -> str:
    heading = "| users | " + " | ".join(f"{users:,}" for users in USERS) + " |"
    totals = "| USD a month | " + " | ".join(f"{_sum(list_monthly_items(users)):.2f}" for users in USERS) + " |"
    return "\n".join([heading, "|---|" + "---:|" * len(USERS), totals])


def format_alarms_report() -> str:
    metric, composite = (load_prices()[key] for key in ("alarm", "composite_alarm"))
    lines = [
        f"| configuration | metrics of alarms × ${metric.usd:.2f} | composite alarms × ${composite.usd:.2f} "
        "| USD a month |",
        "|---|---:|---:|---:|",
    ]
    lines += [
        f"| {configuration} | {metrics} | {composites} | {metric.of(metrics) + composite.of(composites):.2f} |"
        for configuration, (metrics, composites) in ALARMS.items()
    ]
    return "\n".join(lines)


def _sum(items: Sequence[tuple[str, float]]) -> float:
    return sum(usd for _, usd in items)


def insert_reports(document: str) -> str:
    """Replace the tables between the document's marks by current ones."""
    for begin, end, tables in (
        (BEGIN, END, format_report),
        (MONTH_BEGIN, MONTH_END, format_monthly_report),
        (TOTALS_BEGIN, TOTALS_END, format_monthly_totals),
        (ALARMS_BEGIN, ALARMS_END, format_alarms_report),
    ):
        if begin in document:
            replacement = f"{begin}\n{tables()}\n{end}"
            document = re.sub(rf"{begin}\n.*?{end}", lambda _, text=replacement: text, document, flags=re.DOTALL)
    return document


def update_documents() -> None:
    for document in DOCUMENTS:
        document.write_text(insert_reports(document.read_text()))


def main() -> None:
    print(f"{format_monthly_report()}\n\n{format_report()}")
    update_documents()


if __name__ == "__main__":
    main()
