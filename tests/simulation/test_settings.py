"""The simulation's settings beside what the pipeline registers."""

import json

from components.avatar_pipeline import AvatarPipeline
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


def test_settings_cache_time_equals_the_cache_control_of_manifests() -> None:
    cache_control: str = load().modules["functions.process_avatar.publishing"].MUTABLE
    assert cache_control == f"public, max-age={Settings().manifest_cache_seconds}"
