"""Exhaustive interleavings of two deliveries."""

import pytest

from simulation.exhaustive import SCENARIOS, describe_counterexample, explore
from simulation.rules import RULES
from simulation.settings import Settings
from tests.simulation.test_simulation import (
    count_without_condition,
    delete_original_before_the_manifest,
    module,
    write_without_condition,
)

ALL_RULES = list(RULES.values())


@pytest.mark.parametrize(
    "name",
    [
        "same_upload_twice",
        "two_uploads",
        "first_picture_again",
        "delivery_and_finish",
        "finish_and_older_delivery",
        "finish_and_second_post",
        "finish_and_deletion",
        "two_posts",
        "last_of_the_quota",
        "late_upload_and_status",
        "upload_and_sweep",
        "upload_and_deletion",
        "replacing_upload_and_deletion",
        "late_upload_and_processed_deletion",
        "deletion_and_next_upload",
        "upload_and_erasure",
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


def test_original_deleted_before_the_manifest_is_found_by_an_interleaving(monkeypatch: pytest.MonkeyPatch) -> None:
    delete_original_before_the_manifest(monkeypatch)
    exploration = explore(SCENARIOS["finish_and_older_delivery"], ALL_RULES, Settings(), kills=1, max_count=100)
    assert "newest_upload_is_shown" in exploration.counterexamples


def test_quota_without_condition_is_found_by_an_interleaving(monkeypatch: pytest.MonkeyPatch) -> None:
    count_without_condition(monkeypatch)
    exploration = explore(SCENARIOS["last_of_the_quota"], ALL_RULES, Settings(), kills=0, max_count=1)
    assert exploration.counterexamples.keys() == {"quota_is_kept"}


def test_equal_jpegs_of_two_uploads_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the comment in them, they have the same ETag, and an older upload replaces the newer one."""
    monkeypatch.setattr(module("process_avatar.publishing"), "_add_comment", lambda jpeg, _: jpeg)
    exploration = explore(SCENARIOS["first_picture_again"], [RULES["older_never_replaces_newer"]], Settings(), kills=0)
    assert "older_never_replaces_newer" in exploration.counterexamples
