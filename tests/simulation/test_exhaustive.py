"""Exhaustive interleavings of two deliveries."""

import pytest

from simulation.exhaustive import SCENARIOS, describe_counterexample, explore
from simulation.rules import RULES
from simulation.settings import Settings
from tests.simulation.test_simulation import count_without_condition, write_without_condition

ALL_RULES = list(RULES.values())


@pytest.mark.parametrize(
    "name",
    [
        "same_upload_twice",
        "two_uploads",
        "two_posts",
        "last_of_the_quota",
        "late_upload_and_status",
        "upload_and_sweep",
    ],
)
def test_every_interleaving_keeps_every_rule(name: str) -> None:
    exploration = explore(SCENARIOS[name], ALL_RULES, Settings(), kills=0)
    assert exploration.count > 1
    assert [describe_counterexample(each) for each in exploration.counterexamples.values()] == []


def test_missing_condition_is_found_by_an_interleaving(monkeypatch: pytest.MonkeyPatch) -> None:
    write_without_condition(monkeypatch)
    exploration = explore(SCENARIOS["two_uploads"], ALL_RULES, Settings(), kills=0)
    assert "older_never_replaces_newer" in exploration.counterexamples


def test_quota_without_condition_is_found_by_an_interleaving(monkeypatch: pytest.MonkeyPatch) -> None:
    count_without_condition(monkeypatch)
    exploration = explore(SCENARIOS["last_of_the_quota"], ALL_RULES, Settings(), kills=0, max_count=1)
    assert exploration.counterexamples.keys() == {"quota_is_kept"}
