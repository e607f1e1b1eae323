"""A short campaign, and the detection of crashes, hangs, and errors."""

import textwrap
from collections import Counter
from pathlib import Path

import pytest

from fuzz.campaign import Campaign
from fuzz.inputs import MUTATED, STRUCTURED, generate_structured, mutate


@pytest.mark.timeout(600)
def test_short_campaign_has_no_findings(tmp_path: Path) -> None:
    campaign = Campaign(7, tmp_path)
    outcomes = campaign.run({MUTATED: 200, STRUCTURED: 50})
    assert campaign.findings == []
    assert 240 <= outcomes.total() <= 250
    assert {"rendered", "truncated"} <= {outcome for _, outcome in outcomes}


def test_inputs_same_seed_are_equal() -> None:
    assert mutate(3, 20) == mutate(3, 20) != mutate(3, 21)
    assert list(generate_structured(1, 5)) == list(generate_structured(1, 5))


WORKER = """
import json, os, sys, time
kind, seed, start, stop, current = sys.argv[1:]
for number in range(int(start), int(stop)):
    open(current, "wb").write(b"input %d" % number)
    if number == 2:
        os.abort()
    if number == 4:
        time.sleep(60)
    print(json.dumps([number, "png", "error: KeyError" if number == 5 else "rendered", b"input 5".hex()]), flush=True)
"""


def test_worker_crash_hang_or_error_saves_input_and_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bad_worker.py").write_text(textwrap.dedent(WORKER))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    campaign = Campaign(1, tmp_path / "findings", worker="bad_worker", hang_seconds=2)
    assert campaign.run({MUTATED: 8}) == Counter({("png", "rendered"): 5, ("png", "error"): 1})
    found = [(finding.kind, finding.saved_as.read_bytes()) for finding in campaign.findings]
    assert found == [("crash", b"input 2"), ("hang", b"input 4"), ("error", b"input 5")]
