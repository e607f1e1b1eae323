"""The cost of a million uploads, computed from measurements, prices and the program."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from datetime import date
from math import inf
from pathlib import Path

import pytest

from bench import cost, curve, deployed
from lambda_packages.build import REPOSITORY

# Of warm functions, on 2026-11-28, on the vCPU that is assumed.
CPU_MS = {
    "authorize": 0.2,
    "presign_upload": 0.1,
    "upload_status": 1.7,
    "process_avatar": 48.2,
    "process_avatar, shrunk": 38.4,
    "process_avatar, finished": 3.1,
    "finish_upload": 46.0,
    "finish_upload, shrunk": 37.6,
    "authorize in Node": 0.1,
    "presign_upload in Node": 0.2,
    "process_avatar in Node": cost.SHARP_MS,
}


@pytest.mark.parametrize(
    ("cpu_ms", "waiting_ms", "memory", "billed"),
    [(100, 0, 1769, 100), (100, 0, 3008, 100), (100, 50, 1769 / 2, 250), (0.1, 0, 1769, 1), (0, 30, 128, 30)],
)
def test_only_processor_time_grows_below_one_vcpu(cpu_ms: float, waiting_ms: float, memory: int, billed: int) -> None:
    assert cost.billed_ms(cpu_ms, waiting_ms, memory) == billed


def test_gb_seconds_multiply_memory_duration_and_invocations() -> None:
    work = cost.Work("any", memory=512, per_upload=2, cpu_ms=0, waiting_ms=100)
    assert work.gb_seconds == pytest.approx(2 * 0.5 * 0.1)


def test_bill_uses_deployed_sizes_and_memory() -> None:
    counted = {
        item.name.partition(":")[0] + item.price.unit: item.count / cost.UPLOADS for item in cost.our_bill(CPU_MS)
    }
    prices = cost.load_prices()
    writes = 1 + len(deployed.load_default_sizes()) + 2  # the photo; the variants; the JPEG and the manifest
    assert counted["S3" + prices["s3_put"].unit] == writes
    # Of authorize, presign_upload and process_avatar; of finish_upload; and of upload_status, by those not finished.
    assert counted["Lambda" + prices["lambda_request"].unit] == pytest.approx(3 + 0.95 + 0.05 * 1.25)
    assert counted["CloudFront" + prices["invalidation"].unit] == 0
    memory = {name: its.memory for name, its in deployed.load_functions().items()}
    assert {its.function: its.memory for its in cost.our_work(CPU_MS)} == {
        name: memory[name]
        for name in ("authorize", "presign_upload", "finish_upload", "upload_status", "process_avatar")
    }


def test_million_uploads_cost_30_dollars_at_most_and_shrunk_photos_less() -> None:
    """For these times, so that a benchmark on another machine does not fail it."""
    originals, shrunk = (cost.total_usd(cost.our_bill(CPU_MS, is_shrunk=its)) for its in (False, True))
    assert shrunk < originals <= 30


def test_bill_does_not_depend_on_the_speed_of_the_machine() -> None:
    assert cost.scale({name: 3 * ms for name, ms in CPU_MS.items()}) == pytest.approx(CPU_MS)


def test_each_upload_is_processed_once_and_completed_by_the_queue() -> None:
    work = [its for its in cost.our_work(CPU_MS) if its.function in ("finish_upload", "process_avatar")]
    finish, complete, process = (its.per_upload for its in work)
    assert finish + process == pytest.approx(1)
    assert complete + process == pytest.approx(1)


def test_bills_of_both_designs_have_the_same_items() -> None:
    mine, theirs = cost.our_bill(CPU_MS), cost.original_bill(CPU_MS)
    services = [[item.name.partition(":")[0] for item in bill] for bill in (mine, theirs)]
    assert services[0] == services[1]
    assert cost.total_usd(mine) == pytest.approx(sum(item.usd for item in mine))
    assert cost.total_usd(theirs) > 5000  # an invalidation for each change


def test_prices_have_amount_unit_source_and_date() -> None:
    file = tomllib.loads(cost.PRICES.read_text())
    assert date.fromisoformat(file["date"]) >= date(2026, 11, 20)
    rivals = file.pop("rivals")
    for entry in [*(entry for entry in file.values() if isinstance(entry, dict)), *rivals.values()]:
        assert 0 < entry["usd"] < inf
        assert entry["per"] > 0
        assert entry["unit"]
        assert entry["source"].startswith("https://")
    assert all(isinstance(entry["second_hand"], bool) for entry in rivals.values())


def test_more_memory_costs_more_and_is_not_slower() -> None:
    """Below a millisecond of processor time, what is rounded up makes more difference."""
    for work in (its for its in cost.our_work(CPU_MS) if its.cpu_ms > 1):
        points = curve.compute_points(work)
        assert [point.usd for point in points] == sorted(point.usd for point in points)
        assert [point.billed_ms for point in points] == sorted((point.billed_ms for point in points), reverse=True)


def test_memory_table_has_deployed_size_in_bold() -> None:
    work = dataclasses.replace(cost.our_work(CPU_MS)[0], memory=512)
    marked = [line for line in curve.format_table([work]).splitlines() if "**" in line]
    assert len(marked) == 1
    assert marked[0].startswith("| 512 |")


def test_insert_reports_changes_only_text_between_marks() -> None:
    text = f"before\n{cost.BEGIN}\nold\n{cost.END}\nafter\n"
    assert cost.insert_reports(text) == f"before\n{cost.BEGIN}\n{cost.format_report()}\n{cost.END}\nafter\n"


def test_results_json_has_expected_fields() -> None:
    rows = json.loads(Path(REPOSITORY / "bench" / "results.json").read_text())
    assert rows
    for row in rows:
        assert row.keys() == {"name", "ours", "peer", "peer_name", "unit", "ratio", "date", "processor"}
        assert all(isinstance(row[field], int | float) and row[field] > 0 for field in ("ours", "peer", "ratio"))
        date.fromisoformat(row["date"])
