"""The simulation's settings beside what the pipeline registers."""

import json
from datetime import timedelta

from components.assets_cdn import AssetsCdn, AssetsCdnArgs
from components.avatar_pipeline import AvatarPipeline
from functions.process_avatar.quota import LEASE
from local.recording.recorder import Graph
from simulation.choices import RecordedChoices
from simulation.lambda_functions import ASSETS_BUCKET, UPLOADS_BUCKET, load
from simulation.s3 import new_object
from simulation.settings import Settings
from simulation.simulation import Simulation
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
    erase = graph.one(FUNCTION, "pipeline-erase-user").inputs
    assert erase["timeout"] == settings.erase_timeout_seconds
    assert erase["environment"]["variables"]["PROCESSING_SECONDS"] == str(settings.processing_seconds)


def test_versioned_bucket_is_the_one_that_the_components_make_versioned(run_alone: RunAlone) -> None:
    def create() -> None:
        AssetsCdn("cdn", AssetsCdnArgs())
        AvatarPipeline("pipeline", args())

    versioning = run_alone(create).of_type("aws:s3/bucketVersioning:BucketVersioning")
    assert [its.name for its in versioning] == ["cdn-assets-versioning"]
    s3 = Simulation(RecordedChoices({}), Settings(), []).s3
    for bucket in (UPLOADS_BUCKET, ASSETS_BUCKET):
        s3.put(bucket, "key", new_object(b"", 0))
    listed = {bucket: [its.version_id for its in s3.list_versions(bucket, "")] for bucket in s3.buckets}
    assert listed == {UPLOADS_BUCKET: ["null"], ASSETS_BUCKET: ["version-1"]}


def test_settings_superseded_days_equal_the_retention_of_the_sweep() -> None:
    retention: timedelta = load().modules["functions.sweep_avatars.sweep"].RETENTION
    assert retention == timedelta(days=Settings().superseded_days)
