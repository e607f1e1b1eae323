"""The recorder: recorded resources, and errors that the mocks of the SDK do not report."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from local.recording.graph import Graph, ProgramError, Resource
from local.recording.recorder import Recorder, run_program


def create(resource: Resource) -> tuple[str, Mapping[str, Any]]:
    return f"{resource.name}-id", {"arn": f"arn:{resource.name}", "bucket": resource.name}


def run(program: Callable[[], object], *, preview: bool = False, **config: str) -> Graph:
    def invoke(token: str, _args: Mapping[str, Any]) -> Mapping[str, Any]:
        raise ProgramError(f"no answer for {token}")

    keys = {f"avatars:{key}": value for key, value in config.items()}
    return run_program(program, config=keys, create=create, invoke=invoke, preview=preview, timeout=10)


class Shelf(pulumi.ComponentResource):
    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("avatars:index:Shelf", name, None, opts)
        self.bucket = aws.s3.Bucket(f"{name}-bucket", opts=pulumi.ResourceOptions(parent=self, protect=True))
        self.register_outputs({"arn": self.bucket.arn})


def test_resource_is_recorded_with_urn_parent_and_options() -> None:
    graph = run(lambda: Shelf("shelf"))
    shelf, bucket = graph.one("avatars:index:Shelf"), graph.one("aws:s3/bucket:Bucket")
    assert bucket.urn == "urn:pulumi:test::avatars::avatars:index:Shelf$aws:s3/bucket:Bucket::shelf-bucket"
    assert (bucket.parent, bucket.protect, bucket.id) == (shelf.urn, True, "shelf-bucket-id")
    assert shelf.component_outputs == {"arn": "arn:shelf-bucket"}


def test_dependencies_are_recorded_per_property() -> None:
    def program() -> None:
        bucket = aws.s3.Bucket("b")
        aws.sqs.Queue("q", tags={"of": bucket.arn}, opts=pulumi.ResourceOptions(depends_on=bucket))

    graph = run(program)
    bucket, queue = graph.named("b"), graph.named("q")
    assert queue.dependencies == {bucket.urn}
    assert queue.property_dependencies["tags"] == {bucket.urn}
    assert queue.inputs == {"tags": {"of": "arn:b"}}


def test_inputs_are_recorded_without_secret_wrappers_and_as_ints() -> None:
    graph = run(lambda: aws.sqs.Queue("q", visibility_timeout_seconds=30, tags={"s": pulumi.Output.secret("x")}))
    assert graph.named("q").inputs == {"visibilityTimeoutSeconds": 30, "tags": {"s": "x"}}


def test_registration_has_no_stack_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    traces: list[int] = []
    register = Recorder.RegisterResource

    def record(self: Recorder, request: Any) -> Any:
        traces.append(len(request.stackTrace.frames))
        return register(self, request)

    monkeypatch.setattr(Recorder, "RegisterResource", record)
    run(lambda: aws.s3.Bucket("b"))
    assert traces == [0, 0]  # of the stack and the bucket


def test_stack_outputs_are_recorded() -> None:
    assert run(lambda: pulumi.export("arn", aws.s3.Bucket("b").arn)).exports == {"arn": "arn:b"}


def test_duplicate_urn_raises() -> None:
    def program() -> None:
        aws.s3.Bucket("b")
        aws.s3.Bucket("b")

    with pytest.raises(ProgramError, match=r"duplicate URN .*Bucket::b"):
        run(program)


def test_missing_archive_raises() -> None:
    def program() -> None:
        aws.lambda_.LayerVersion("l", layer_name="l", code=pulumi.FileArchive("./missing.zip"))

    with pytest.raises(ProgramError, match=r"missing\.zip does not exist"):
        run(program)


def test_input_from_output_without_value_raises() -> None:
    def program() -> None:
        aws.sqs.Queue("q", tags={"of": aws.s3.Bucket("b").bucket_regional_domain_name})

    with pytest.raises(ProgramError, match="bucketRegionalDomainName of aws:s3/bucket:Bucket b"):
        run(program)


def test_json_from_output_without_value_raises() -> None:
    def program() -> None:
        policy = pulumi.Output.json_dumps({"Resource": aws.s3.Bucket("b").bucket_regional_domain_name})
        aws.sqs.QueuePolicy("p", queue_url="u", policy=policy)

    with pytest.raises(ProgramError, match="uses an output without a value"):
        run(program)


def test_stack_output_without_value_raises() -> None:
    with pytest.raises(ProgramError, match=r"\['domain'\] have no value"):
        run(lambda: pulumi.export("domain", aws.s3.Bucket("b").bucket_regional_domain_name))


def test_unknown_provider_function_raises() -> None:
    with pytest.raises(ProgramError, match="no answer for aws:index/getRegion:getRegion"):
        run(lambda: pulumi.export("region", aws.get_region_output().region))


def test_preview_creates_nothing_and_leaves_outputs_unknown() -> None:
    seen: list[str] = []

    def program() -> None:
        aws.s3.Bucket("b").arn.apply(seen.append)

    graph = run(program, preview=True)
    assert (graph.named("b").id, seen) == ("", [])


def test_program_exception_is_raised_and_does_not_affect_next_run() -> None:
    def failing() -> None:
        aws.s3.Bucket("b")
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        run(failing)
    assert [resource.name for resource in run(lambda: aws.s3.Bucket("other"))] == ["other"]


def test_tasks_of_a_program_that_fails_are_cancelled() -> None:
    tasks: list[asyncio.Future[None]] = []

    def failing() -> None:
        tasks.append(asyncio.ensure_future(asyncio.sleep(3600)))
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        run(failing)
    assert tasks[0].cancelled()


def test_configuration_is_not_kept_for_the_next_run() -> None:
    seen: list[str | None] = []
    run(lambda: seen.append(pulumi.Config().get("colour")), colour="red")
    run(lambda: seen.append(pulumi.Config().get("colour")))
    assert seen == ["red", None]


def test_program_that_never_finishes_raises_timeout_error() -> None:
    def program() -> None:
        aws.s3.Bucket("b", tags={"of": pulumi.Output.from_input(asyncio.get_event_loop().create_future())})

    with pytest.raises(TimeoutError):
        run_program(program, config={}, create=create, invoke=lambda _token, _args: {}, timeout=0.5)


def test_program_file_runs_in_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("NAME = 'from-beside'")
    (tmp_path / "__main__.py").write_text(
        "import os, pulumi, beside\npulumi.export('here', [beside.NAME, os.path.exists('beside.py')])"
    )
    graph = run_program(tmp_path / "__main__.py", config={}, create=create, invoke=lambda _token, _args: {})
    assert graph.exports == {"here": ["from-beside", True]}
