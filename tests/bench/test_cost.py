"""The bill: what is computed from measurements, prices and the program."""

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

CPU_MS = {
    "authorize": 0.1,
    "presign_upload": 0.04,
    "upload_status": 0.2,
    "process_avatar": 50.0,
    "authorize in Node": 0.05,
    "presign_upload in Node": 0.1,
    "process_avatar in Node": 70.0,
}


@pytest.mark.parametrize(
    ("cpu_ms", "waiting_ms", "memory", "billed"),
    [(100, 0, 1769, 100), (100, 0, 3008, 100), (100, 50, 1769 / 2, 250), (0.1, 0, 1769, 1), (0, 30, 128, 30)],
)
def test_processor_time_stretches_below_one_vcpu_and_waiting_does_not(
    cpu_ms: float, waiting_ms: float, memory: int, billed: int
) -> None:
    assert cost.billed_ms(cpu_ms, waiting_ms, memory) == billed


def test_gb_seconds_are_memory_times_billed_time_of_all_invocations() -> None:
    work = cost.Work("any", memory=512, per_upload=2, cpu_ms=0, waiting_ms=100)
    assert work.gb_seconds == pytest.approx(2 * 0.5 * 0.1)


def test_the_bill_counts_what_the_program_deploys() -> None:
    counted = {item.name.partition(":")[0] + item.price.unit: item.count / cost.UPLOADS for item in cost.ours(CPU_MS)}
    prices = cost.prices()
    writes = 1 + len(deployed.default_sizes()) + 2  # the photo; the variants; the JPEG and the manifest
    assert counted["S3" + prices["s3_put"].unit] == writes
    assert counted["Lambda" + prices["lambda_request"].unit] == 4.25
    assert counted["CloudFront" + prices["invalidation"].unit] == 0
    memory = {name: its.memory for name, its in deployed.functions().items()}
    assert {its.function: its.memory for its in cost.our_work(CPU_MS)} == {
        name: memory[name] for name in ("authorize", "presign_upload", "upload_status", "process_avatar")
    }


def test_the_items_of_both_designs_stand_beside_each_other() -> None:
    mine, theirs = cost.ours(CPU_MS), cost.original(CPU_MS)
    services = [[item.name.partition(":")[0] for item in bill] for bill in (mine, theirs)]
    assert services[0] == services[1]
    assert cost.total(mine) == pytest.approx(sum(item.usd for item in mine))
    assert cost.total(theirs) > 5000  # an invalidation for each change


def test_every_price_has_a_positive_amount_a_unit_and_a_source_and_the_file_a_date() -> None:
    file = tomllib.loads(cost.PRICES.read_text())
    assert date.fromisoformat(file["date"]) >= date(2026, 11, 20)
    rivals = file.pop("rivals")
    for entry in [*(entry for entry in file.values() if isinstance(entry, dict)), *rivals.values()]:
        assert 0 < entry["usd"] < inf
        assert entry["per"] > 0
        assert entry["unit"]
        assert entry["source"].startswith("https://")
    assert all(isinstance(entry["second_hand"], bool) for entry in rivals.values())


def test_smaller_is_cheaper_and_larger_is_not_slower() -> None:
    for work in cost.our_work(CPU_MS):
        points = curve.points(work)
        assert [point.usd for point in points] == sorted(point.usd for point in points)
        assert [point.billed_ms for point in points] == sorted((point.billed_ms for point in points), reverse=True)


def test_what_is_deployed_is_marked_in_the_curve() -> None:
    work = dataclasses.replace(cost.our_work(CPU_MS)[0], memory=512)
    marked = [line for line in curve.table([work]).splitlines() if "**" in line]
    assert len(marked) == 1
    assert marked[0].startswith("| 512 |")


def test_the_readme_is_only_changed_between_the_marks() -> None:
    text = f"before\n{cost.BEGIN}\nold\n{cost.END}\nafter\n"
    assert cost.written_into(text) == f"before\n{cost.BEGIN}\n{cost.report()}\n{cost.END}\nafter\n"


def test_kept_results_have_the_fields_that_are_read_elsewhere() -> None:
    rows = json.loads(Path(REPOSITORY / "bench" / "results.json").read_text())
    assert rows
    for row in rows:
        assert row.keys() == {"name", "ours", "peer", "peer_name", "unit", "ratio", "date", "processor"}
        assert all(isinstance(row[field], int | float) and row[field] > 0 for field in ("ours", "peer", "ratio"))
        date.fromisoformat(row["date"])
