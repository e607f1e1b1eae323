"""The simulation's settings beside what the pipeline registers."""

import json
from datetime import timedelta

from components.avatar_pipeline import AvatarPipeline
from functions.process_avatar.quota import LEASE
from local.recording.recorder import Graph
from simulation.lambda_functions import load
from simulation.settings import Settings
from tests.components.conftest import RunAlone, packages, run_alone
from tests.components.test_avatar_pipeline import FUNCTION, QUEUE, args

__all__ = ["packages", "run_alone"]


def test_settings_default_equals_what_the_pipeline_registers(run_alone: RunAlone) -> None:
    graph: Graph = run_alone(lambda: AvatarPipeline("pipeline", args()))
    queue = graph.one(QUEUE, "pipeline-queue").inputs
    source = graph.named("pipeline-event-source").inputs
    function = graph.one(FUNCTION, "pipeline-process-avatar").inputs
    settings = Settings()
    assert queue["visibilityTimeoutSeconds"] == settings.visibility_timeout_seconds
    assert json.loads(queue["redrivePolicy"])["maxReceiveCount"] == settings.max_receives
    assert source["batchSize"] == settings.batch_size
    assert function["timeout"] == settings.function_timeout_seconds
    assert graph.one(FUNCTION, "pipeline-finish-upload").inputs["timeout"] == settings.finish_timeout_seconds
    assert LEASE.total_seconds() >= settings.finish_timeout_seconds + 5
    sweep = graph.one(FUNCTION, "pipeline-sweep-avatars").inputs
    assert sweep["timeout"] == settings.sweep_timeout_seconds
    assert sweep["environment"]["variables"]["ORIGINALS_DAYS"] == str(settings.originals_days)


def test_settings_superseded_days_equal_the_retention_of_the_sweep() -> None:
    retention: timedelta = load().modules["functions.sweep_avatars.sweep"].RETENTION
    assert retention == timedelta(days=Settings().superseded_days)
