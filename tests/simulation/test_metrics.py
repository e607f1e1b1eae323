"""What the functions measure, under faults: events that come twice, killed deliveries, and requests that fail."""

from __future__ import annotations

import json
from collections import Counter

from local.emulators.embedded_metrics import read_metrics
from simulation.campaign import run_choices
from simulation.choices import RandomChoices
from simulation.settings import Settings
from simulation.simulation import Simulation

RUNS = 150


def test_each_posted_file_is_measured_once_at_most() -> None:
    measured, ready = Counter[str](), Counter[str]()
    posts: dict[str, int] = {}
    for seed in range(RUNS):
        outcome = run_choices(RandomChoices(f"56:{seed}"), Settings(), [])
        assert isinstance(outcome, Simulation)
        for event in outcome.history:
            (line,) = [text for text in event.details if isinstance(text, str) and '"avatar.ready"' in text] or [""]
            if line:
                id_ = f"{seed} {json.loads(line)['upload_id']}"
                ready[id_] += 1
                measured[id_] += sum(datum.name == "TimeToAvatar" for datum in read_metrics(line))
        posts |= {f"{seed} {upload.upload_id}": len(upload.posts) for upload in outcome.uploads.values()}
    assert [id_ for id_ in measured if measured[id_] > posts[id_]] == []
    assert sum(ready.values()) > sum(measured.values()) > RUNS / 2, "some are announced twice, and most are measured"
