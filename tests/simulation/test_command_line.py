"""The command line of the simulation."""

import re

import pytest

from simulation.__main__ import main
from tests.simulation.test_simulation import delete_superseded_version_at_once


def test_main_rules_hold_returns_zero_and_prints_the_count(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--count", "20", "--seed", "4", "--processes", "1", "--rules", "manifest_is_complete"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("seed 4\n")
    assert "seed 4: 20 schedules in" in printed
    assert "0 rules violated" in printed


def test_main_violated_rule_prints_seed_schedule_and_history(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    delete_superseded_version_at_once(monkeypatch)
    arguments = ["--count", "100", "--seed", "4", "--processes", "1", "--rules", "cached_manifest_stays_complete"]
    assert main(arguments) == 1
    printed = capsys.readouterr().out
    assert "rule cached_manifest_stays_complete\n" in printed
    assert "schedule:\n  ada" in printed
    assert "DeleteObject avatars/ada/ada-1-" in printed


def test_main_exhaustive_prints_every_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--exhaustive", "--scenarios", "late_upload_and_status", "--kills", "0", "--processes", "1"]
    assert main([*arguments, "--rules", "manifest_is_complete"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^late_upload_and_status: \d+ schedules, .* 0 rules violated$", printed, re.MULTILINE)
