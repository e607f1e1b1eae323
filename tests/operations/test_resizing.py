"""Avatars that process_avatar has made, brought to other sizes while their users do something else."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError
from PIL import Image

from functions.process_avatar import publishing
from functions.process_avatar.imaging.cropping import resize
from functions.process_avatar.imaging.renderer import encode_webp, render
from functions.process_avatar.moderation import Moderation
from functions.process_avatar.process_upload import UploadProcessor
from functions.process_avatar.quota import Quota
from functions.process_avatar.s3_events import Created
from functions.process_avatar.topic import Topic
from functions.shared import storage_keys, stored_avatar, upload_id
from functions.shared.avatar_deletion import AvatarDeletion
from functions.shared.metrics import Metrics
from functions.sweep_avatars.sweep import Sweep, list_subjects
from local.emulators.http_server import HttpServer
from local.emulators.moto import create_dispatcher
from operations import __main__ as command
from operations import progress as progress_module
from operations.operated_stack import OperatedStack
from operations.progress import Progress, format_duration
from operations.resizing import Pace, Resizing, Survey, price
from tests.fixtures import pictures

SUBJECT = "5f0c2a4e-8a43-4a5e-9a3b-0d6a0c1e7b11"
RED, BLUE = (200, 0, 0), (0, 0, 200)
TEXTURED = pictures.encode(pictures.textured(600, 600), "JPEG", quality=50)
OTHERS = [f"{digit}0000000-0000-4000-8000-000000000000" for digit in "127"]
MANIFEST, JPEG = storage_keys.manifest_key(SUBJECT), storage_keys.stable_key(SUBJECT)


class RecordingTopic(Topic):
    def __init__(self) -> None:
        self.events: list[Mapping[str, Any]] = []

    def publish(self, event: str, message: Mapping[str, Any]) -> None:
        self.events.append({**message, "event": event})


@dataclass(frozen=True)
class Stack:
    """Two buckets, and what process_avatar does with them."""

    s3: Any
    uploads: str
    assets: str
    topic: RecordingTopic
    etags: dict[str, str] = field(default_factory=dict[str, str])

    def upload(self, minute: int, data: bytes, subject: str = SUBJECT) -> str:
        """Stores an original as posted in that minute of 2026; returns its upload ID."""
        new_id = upload_id.create(subject, 1_767_225_600_000 + 60_000 * minute)
        key = storage_keys.incoming_key(subject, new_id)
        self.etags[new_id] = self.s3.put_object(Bucket=self.uploads, Key=key, Body=data)["ETag"]
        return new_id

    def deliver(self, uploaded: str, subject: str = SUBJECT, *, may_be_repeated: bool = False) -> None:
        processor = UploadProcessor(
            s3=self.s3,
            uploads_bucket=self.uploads,
            assets_bucket=self.assets,
            topic=self.topic,
            render=render,
            cdn_url="https://assets.example.com",
            sizes=(64, 16),
            max_pixels=1_000_000,
            max_upload_bytes=1_000_000,
            moderation=Moderation(None, "", self.s3, self.uploads),
            quota=Quota(self.s3, "", 0),  # counts nothing
            read_block_end=lambda _subject: None,
            metrics=Metrics("avatars"),
        )
        created = Created(storage_keys.incoming_key(subject, uploaded), datetime.now(UTC), self.etags[uploaded], "1")
        processor.process(created, may_be_repeated=may_be_repeated)

    def get(self, bucket: str, key: str) -> Any:
        return self.s3.get_object(Bucket=bucket, Key=key)

    def keys(self, bucket: str) -> list[str]:
        return [entry["Key"] for entry in self.s3.list_objects_v2(Bucket=bucket).get("Contents", [])]

    def manifest(self, subject: str = SUBJECT) -> dict[str, Any]:
        return json.load(self.get(self.assets, storage_keys.manifest_key(subject))["Body"])

    def stable_jpeg(self) -> Image.Image:
        return pictures.decode(self.get(self.assets, JPEG)["Body"].read())

    def color(self, key: str) -> tuple[int, ...]:
        pixel = pictures.decode(self.get(self.assets, key)["Body"].read()).getpixel((4, 4))
        assert isinstance(pixel, tuple)
        return tuple(round(value, -1) // 20 * 20 for value in pixel)


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = HttpServer("AWS")
    server.serve(create_dispatcher())
    yield server.url
    server.close()


@pytest.fixture(scope="module")
def operator(moto: str) -> dict[str, str]:
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return {"endpoint_url": moto, "region_name": "eu-west-1", **keys}


@pytest.fixture(scope="module")
def s3(operator: dict[str, str]) -> Any:
    return OperatedStack({"operator": operator}).s3


@pytest.fixture
def stack(s3: Any) -> Stack:
    uploads, assets = f"uploads-{uuid4()}", f"assets-{uuid4()}"
    for bucket in (uploads, assets):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return Stack(s3, uploads, assets, RecordingTopic())


def large(color: tuple[int, int, int]) -> bytes:
    return pictures.encode(pictures.plain(600, 600, color), "JPEG")


def publish(stack: Stack, data: bytes, minute: int = 0, subject: str = SUBJECT) -> str:
    """Returns the version."""
    stack.deliver(stack.upload(minute, data, subject), subject)
    return stack.manifest(subject)["version"]


def resizing(stack: Stack, *sizes: int, client: Any = None) -> Resizing:
    return Resizing(client or stack.s3, stack.assets, sizes)


def delete_avatar(stack: Stack) -> None:
    AvatarDeletion(stack.s3, uploads_bucket=stack.uploads, assets_bucket=stack.assets).delete(SUBJECT)


def image_sizes(stack: Stack, subject: str = SUBJECT) -> list[int]:
    return [image["size"] for image in stack.manifest(subject)["images"]]


def variants(stack: Stack, version: str) -> set[str]:
    prefix = f"avatars/{SUBJECT}/{version}/"
    return {key.removeprefix(prefix) for key in stack.keys(stack.assets) if key.startswith(prefix)}


class Meanwhile:
    """An S3 client. Something else happens before the first request of a kind."""

    def __init__(self, client: Any, method: str, key: str, act: Callable[[], object]) -> None:
        self._client, self._method, self._key, self._acts = client, method, key, [act]

    def __getattr__(self, name: str) -> Any:
        original = getattr(self._client, name)
        if name != self._method:
            return original

        def call(**request: Any) -> Any:
            if self._acts and request["Key"] == self._key:
                self._acts.pop()()
            return original(**request)

        return call


# --- One avatar -------------------------------------------------------------------------------------------------------


def test_missing_size_is_made_from_the_jpeg_as_by_the_engine(stack: Stack) -> None:
    version = publish(stack, TEXTURED)
    before = stack.manifest()
    resizing(stack, 200, 64).change(SUBJECT)
    made = stack.get(stack.assets, f"avatars/{SUBJECT}/{version}/200.webp")
    content = made["Body"].read()
    assert content == encode_webp(resize(stack.stable_jpeg(), 200))
    assert (made["ContentType"], made["CacheControl"]) == ("image/webp", publishing.IMMUTABLE)
    url = f"/avatars/{SUBJECT}/{version}/200.webp"
    images = [{"size": 200, "format": "webp", "url": url, "bytes": len(content)}, before["images"][0]]
    assert stack.manifest() == {**before, "images": images}
    stored = stack.get(stack.assets, MANIFEST)
    assert (stored["ContentType"], stored["CacheControl"]) == ("application/json", publishing.MUTABLE)


def test_smaller_sizes_are_scaled_one_from_the_other(stack: Stack) -> None:
    version = publish(stack, TEXTURED)
    resizing(stack, 100, 300).change(SUBJECT)
    large = resize(stack.stable_jpeg(), 300)
    small = stack.get(stack.assets, f"avatars/{SUBJECT}/{version}/100.webp")["Body"].read()
    assert small == encode_webp(resize(large, 100))
    assert image_sizes(stack) == [300, 100]


def test_images_of_other_sizes_leave_manifest_and_stay_objects(stack: Stack) -> None:
    version = publish(stack, large(RED))
    resizing(stack, 64).change(SUBJECT)
    assert image_sizes(stack) == [64]
    assert variants(stack, version) == {"64.webp", "16.webp"}


def test_size_that_comes_back_has_its_former_content(stack: Stack) -> None:
    version = publish(stack, TEXTURED)
    before, key = stack.manifest(), f"avatars/{SUBJECT}/{version}/64.webp"
    content = stack.get(stack.assets, key)["Body"].read()
    resizing(stack, 16).change(SUBJECT)
    resizing(stack, 64, 16).change(SUBJECT)
    assert stack.get(stack.assets, key)["Body"].read() == content
    assert stack.manifest() == before


def test_size_above_the_jpeg_is_not_made(stack: Stack) -> None:
    version = publish(stack, large(RED))
    resizing(stack, 1024, 32).change(SUBJECT)
    assert image_sizes(stack) == [32]
    assert variants(stack, version) == {"64.webp", "32.webp", "16.webp"}


def test_avatar_keeps_its_images_if_no_size_can_be_made(stack: Stack) -> None:
    publish(stack, large(RED))
    resizing(stack, 1024).change(SUBJECT)
    assert image_sizes(stack) == [64, 16]


def test_small_photo_is_not_enlarged_and_has_every_size(stack: Stack) -> None:
    """As by process_avatar: docs/api.md says that the manifest has an image for each size."""
    version = publish(stack, pictures.encode(pictures.textured(40, 50), "JPEG"))
    resizing(stack, 128, 64, 20).change(SUBJECT)
    assert image_sizes(stack) == [128, 64, 20]
    widths = {
        size: pictures.decode(stack.get(stack.assets, f"avatars/{SUBJECT}/{version}/{size}.webp")["Body"].read()).width
        for size in (128, 64, 20)
    }
    assert widths == {128: 40, 64: 40, 20: 20}


def test_manifest_with_urls_of_another_host_gets_paths(stack: Stack) -> None:
    version = publish(stack, large(RED))
    paths, old_host = stack.manifest(), "https://d111111abcdef8.cloudfront.net"
    old = stored_avatar.with_absolute_urls(paths, old_host)
    stack.s3.put_object(Bucket=stack.assets, Key=MANIFEST, Body=json.dumps(old).encode())
    resizing(stack, 64, 32).change(SUBJECT)
    manifest = stack.manifest()
    assert manifest["url"] == f"/{JPEG}"
    assert [image["url"] for image in manifest["images"]] == [
        f"/avatars/{SUBJECT}/{version}/{size}.webp" for size in (64, 32)
    ]


def test_jpeg_of_an_early_version_needs_no_metadata(stack: Stack) -> None:
    publish(stack, large(RED))
    jpeg = stack.get(stack.assets, JPEG)["Body"].read()
    stack.s3.put_object(Bucket=stack.assets, Key=JPEG, Body=jpeg, ContentType="image/jpeg")
    resizing(stack, 32).change(SUBJECT)
    assert image_sizes(stack) == [32]


# --- Meanwhile --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", [("get_object", JPEG), ("put_object", MANIFEST)], ids=["before jpeg", "before put"])
def test_upload_meanwhile_wins_and_is_changed_itself(stack: Stack, moment: tuple[str, str]) -> None:
    first = publish(stack, large(RED))
    client = Meanwhile(stack.s3, *moment, lambda: publish(stack, large(BLUE), minute=1))
    resizing(stack, 32, client=client).change(SUBJECT)
    manifest = stack.manifest()
    assert manifest["version"] > first
    assert image_sizes(stack) == [32]
    assert stack.color(manifest["images"][0]["url"][1:]) == stack.color(JPEG) == (0, 0, 200)
    assert variants(stack, first) == {"64.webp", "16.webp"}


@pytest.mark.parametrize("moment", [("get_object", JPEG), ("put_object", MANIFEST)], ids=["before jpeg", "before put"])
def test_deletion_meanwhile_wins_and_leaves_no_image(stack: Stack, moment: tuple[str, str]) -> None:
    version = publish(stack, large(RED))
    client = Meanwhile(stack.s3, *moment, lambda: delete_avatar(stack))
    resizing(stack, 32, client=client).change(SUBJECT)
    assert "deleted_at" in stack.manifest()
    assert variants(stack, version) == {"64.webp", "16.webp"}, "those that process_avatar deletes"


def test_avatar_that_vanishes_meanwhile_leaves_no_image(stack: Stack) -> None:
    version = publish(stack, large(RED))
    client = Meanwhile(
        stack.s3, "put_object", MANIFEST, lambda: stack.s3.delete_object(Bucket=stack.assets, Key=MANIFEST)
    )
    resizing(stack, 32, client=client).change(SUBJECT)
    assert MANIFEST not in stack.keys(stack.assets)
    assert "32.webp" not in variants(stack, version)


def test_other_run_meanwhile_leaves_the_images_of_both(stack: Stack) -> None:
    version = publish(stack, large(RED))
    client = Meanwhile(stack.s3, "put_object", MANIFEST, lambda: resizing(stack, 48, 32).change(SUBJECT))
    resizing(stack, 32, client=client).change(SUBJECT)
    assert image_sizes(stack) == [32]
    assert variants(stack, version) == {"64.webp", "48.webp", "32.webp", "16.webp"}


def test_lost_response_to_the_manifest_keeps_the_images(stack: Stack) -> None:
    """boto3 repeats the request, which finds the manifest that it has put itself."""
    version = publish(stack, large(RED))

    def put_and_lose(**request: Any) -> Any:
        stack.s3.put_object(**request)
        return stack.s3.put_object(**request)

    class Lossy:
        def __getattr__(self, name: str) -> Any:
            return put_and_lose if name == "put_object" else getattr(stack.s3, name)

    resizing(stack, 32, client=Lossy()).change(SUBJECT)
    assert image_sizes(stack) == [32]
    assert "32.webp" in variants(stack, version)


def test_avatar_that_changes_at_every_attempt_fails(stack: Stack) -> None:
    publish(stack, large(RED))

    class Busy:
        def __getattr__(self, name: str) -> Any:
            return getattr(stack.s3, name)

        def put_object(self, **request: Any) -> Any:
            if request["Key"] == MANIFEST:
                raise ClientError(
                    {"ResponseMetadata": {"HTTPStatusCode": 412}, "Error": {"Code": "PreconditionFailed"}}, "PutObject"
                )
            return stack.s3.put_object(**request)

    with pytest.raises(stored_avatar.ContentionError):
        resizing(stack, 32, client=Busy()).change(SUBJECT)


@pytest.fixture
def incomplete(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> str:
    """The ID of a second upload, of which there is the JPEG but no manifest, and no original any more."""
    publish(stack, large(RED))
    second = stack.upload(1, large(BLUE))
    with monkeypatch.context() as patched:
        patched.setattr(publishing, "_advance_manifest", lambda *_, **__: (_ for _ in ()).throw(OSError("ends here")))
        with pytest.raises(OSError, match="ends here"):
            stack.deliver(second)
    stack.s3.delete_object(Bucket=stack.uploads, Key=storage_keys.incoming_key(SUBJECT, second))
    return second


def test_upload_without_manifest_fails_until_completed(stack: Stack, incomplete: str) -> None:
    before = stack.manifest()
    with pytest.raises(stored_avatar.ContentionError):
        resizing(stack, 32).change(SUBJECT)
    assert stack.manifest() == before
    stack.deliver(incomplete, may_be_repeated=True)
    assert (stack.manifest()["upload_id"], image_sizes(stack)) == (incomplete, [64, 16])
    resizing(stack, 32).change(SUBJECT)
    assert image_sizes(stack) == [32]
    assert stack.color(stack.manifest()["images"][0]["url"][1:]) == (0, 0, 200)


def test_late_events_do_not_bring_former_facts_back(stack: Stack) -> None:
    """The facts in the JPEG's metadata are as before: no delivery makes a manifest of the same version of them."""
    upload = stack.upload(0, large(RED))
    stack.deliver(upload)
    resizing(stack, 32).change(SUBJECT)
    resized = stack.manifest()
    stack.deliver(upload, may_be_repeated=True)
    assert stack.manifest() == resized
    first, second = stack.topic.events
    assert [image["size"] for image in first["avatar"]["images"]] == [64, 16]
    assert [image["size"] for image in second["avatar"]["images"]] == [32]


def test_change_between_jpeg_and_manifest_of_an_upload_is_lost(
    stack: Stack,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The change had read the former JPEG. The upload finds another ETag than it has read, and tries again."""
    publish(stack, large(RED))
    advance = publishing._advance_manifest  # pyright: ignore[reportPrivateUsage]
    former = stack.get(stack.assets, JPEG)

    def advance_late(*arguments: Any, is_announced: bool) -> Any:
        class FormerJpeg:
            def __getattr__(self, name: str) -> Any:
                return getattr(stack.s3, name)

            def get_object(self, **request: Any) -> Any:
                return former if request["Key"] == JPEG else stack.s3.get_object(**request)

        resizing(stack, 32, client=FormerJpeg()).change(SUBJECT)
        assert image_sizes(stack) == [32]
        return advance(*arguments, is_announced=is_announced)

    monkeypatch.setattr(publishing, "_advance_manifest", advance_late)
    second = publish(stack, large(BLUE), minute=1)
    assert (stack.manifest()["version"], image_sizes(stack)) == (second, [64, 16])


# --- What other functions make of it ----------------------------------------------------------------------------------


def test_sweep_keeps_the_whole_current_version(stack: Stack) -> None:
    first = publish(stack, large(RED))
    second = publish(stack, large(BLUE), minute=1)
    resizing(stack, 32).change(SUBJECT)
    for days, swept in ((6, 0), (8, 2)):
        at = datetime.now(UTC) + timedelta(days=days)
        result = Sweep(stack.s3, stack.assets, timedelta(days=14), at).run(
            list_subjects(stack.s3, stack.assets), lambda: True
        )
        assert result.deleted == swept
    assert (variants(stack, first), variants(stack, second)) == (set(), {"64.webp", "32.webp", "16.webp"})


# --- All avatars ------------------------------------------------------------------------------------------------------


@pytest.fixture
def avatars(stack: Stack) -> list[str]:
    """Subjects in order: three, and one whose avatar is deleted."""
    for subject in OTHERS:
        publish(stack, large(RED), subject=subject)
    publish(stack, large(RED))
    delete_avatar(stack)
    return OTHERS


def survey(stack: Stack, *sizes: int) -> Survey:
    return resizing(stack, *sizes).survey(lambda subject, error: pytest.fail(f"{subject}: {error}") if error else None)


def test_survey_counts_what_a_run_would_do(stack: Stack, avatars: list[str]) -> None:
    resizing(stack, 64).change(avatars[0])
    resizing(stack, 64, 32).change(avatars[1])
    found = survey(stack, 64, 1024)
    assert (found.avatars, found.to_change, found.images, found.to_render) == (3, avatars[1:], 0, 0)
    assert found.too_large == 3
    found = survey(stack, 64, 32)
    assert (found.to_change, found.images, found.to_render) == ([avatars[0], avatars[2]], 2, 2)
    assert found.past_requests == {"s3_put": 1, "s3_get": 3}
    assert found.future_requests == {"s3_put": 2 + 2, "s3_get": 2 + 2}
    assert price(found.future_requests) == pytest.approx(4 * 0.005 / 1000 + 4 * 0.0004 / 1000)


def test_survey_after_a_run_finds_nothing_to_do(stack: Stack, avatars: list[str]) -> None:
    assert list(resizing(stack, 32).apply(avatars, Pace(1000))) == [(subject, None) for subject in avatars]
    assert [image_sizes(stack, subject) for subject in avatars] == [[32], [32], [32]]
    assert survey(stack, 32).to_change == []


@pytest.fixture
def operate(stack: Stack, tmp_path: Path, operator: dict[str, str]) -> Callable[..., int]:
    """Runs the command; returns its exit code."""
    outputs = tmp_path / "outputs.json"
    outputs.write_text(json.dumps({"assetsBucket": stack.assets, "sizes": [64, 16], "operator": operator}))
    return lambda *arguments: command.main(["--outputs", str(outputs), "resize", "--rate", "1000", *arguments])


def test_dry_run_is_the_default_and_changes_nothing(
    stack: Stack,
    avatars: list[str],
    operate: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = stack.keys(stack.assets), stack.manifest(avatars[0])
    assert operate("--sizes", "1024,32", "--rate", "0.1") == 0
    assert (stack.keys(stack.assets), stack.manifest(avatars[0])) == before
    assert capsys.readouterr().out == (
        "3 avatars; 3 have other sizes than 1024, 32\n"
        "3 images to make, for 3 of them; the other 0 only lose images\n"
        "3 images are not made: they would be larger than 512 pixels\n"
        "This survey: 3 GET, 1 PUT and LIST requests, $0.0000\n"
        "The changes: 6 GET, 6 PUT and LIST requests, $0.0000\n"
        "List prices in us-east-1: https://aws.amazon.com/s3/pricing/\n"
        "At 0.1 avatars a second, the changes take 30 s\n"
        "This was a dry run: nothing has changed. APPLY=1 changes the avatars.\n"
        "New uploads get the stack's own sizes, 64, 16: set `sizes`, and run `pulumi up`.\n"
    )


def test_sizes_are_those_of_the_stack_without_any(
    stack: Stack,
    avatars: list[str],
    operate: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    resizing(stack, 32).change(avatars[1])
    assert operate("--apply") == 0
    assert [image_sizes(stack, subject) for subject in avatars] == [[64, 16]] * 3
    assert capsys.readouterr().out.endswith("\n1 avatars have the sizes now, 0 failed\n")


def test_failed_avatar_is_reported_and_the_others_change(
    stack: Stack,
    avatars: list[str],
    operate: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    stack.s3.put_object(Bucket=stack.assets, Key=storage_keys.stable_key(avatars[1]), Body=b"no JPEG at all" * 9)
    assert operate("--sizes", "32", "--apply") == 1
    assert [image_sizes(stack, subject) for subject in avatars] == [[32], [64, 16], [32]]
    printed = capsys.readouterr()
    assert re.search(rf"^{avatars[1]}: UnidentifiedImageError: ", printed.err, re.MULTILINE)
    assert "2 avatars have the sizes now, 1 failed; run it again" in printed.out


def test_manifest_that_cannot_be_read_is_reported(
    stack: Stack,
    avatars: list[str],
    operate: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    stack.s3.put_object(Bucket=stack.assets, Key=storage_keys.manifest_key(avatars[1]), Body=b"[]")
    assert operate("--sizes", "32", "--apply") == 1
    assert [image_sizes(stack, avatars[number]) for number in (0, 2)] == [[32], [32]]
    assert capsys.readouterr().err.startswith(f"{avatars[1]}: TypeError: ")


def test_interrupted_run_is_continued_by_the_next(
    stack: Stack,
    avatars: list[str],
    operate: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with monkeypatch.context() as patched:
        is_first_change = iter([False] * len(avatars))  # the survey comes first

        def press_ctrl_c(_progress: Progress) -> None:
            if next(is_first_change, True):
                raise KeyboardInterrupt

        patched.setattr("operations.resize_command.Progress.advance", press_ctrl_c)
        assert operate("--sizes", "32", "--rate", "20", "--apply") == 130
    changed = [subject for subject in avatars if image_sizes(stack, subject) == [32]]
    assert 1 <= len(changed) <= 3
    for subject in changed:
        (image,) = stack.manifest(subject)["images"]
        assert image["url"][1:] in stack.keys(stack.assets)
    capsys.readouterr()
    assert operate("--sizes", "32", "--apply") == 0
    assert [image_sizes(stack, subject) for subject in avatars] == [[32]] * 3
    assert f"3 avatars; {3 - len(changed)} have other sizes" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--sizes", "big"], ["--sizes", "8"], ["--rate", "0"], ["--rate", "inf"]])
def test_wrong_arguments_are_errors(operate: Callable[..., int], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        operate(*arguments)
    assert ended.value.code == 2


def test_outputs_without_sizes_need_some(stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = tmp_path / "outputs.json"
    outputs.write_text(json.dumps({"assetsBucket": stack.assets, "operator": {"region_name": "eu-west-1"}}))
    assert command.main(["--outputs", str(outputs), "resize"]) == 1
    assert capsys.readouterr().err == "error: the outputs have no sizes: deploy this version first, or give SIZES\n"


# --- Pace and progress ------------------------------------------------------------------------------------------------


def test_pace_lets_no_more_pass_than_its_rate() -> None:
    pace, started = Pace(500), time.monotonic()
    for _ in range(11):
        pace.wait()
    assert time.monotonic() - started >= 10 / 500


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now[0])
    return now


def test_progress_on_a_terminal_is_one_line(clock: list[float]) -> None:
    stream = Terminal()
    progress = Progress(4, stream)
    for clock[0] in (0.05, 1, 2):
        progress.advance()
    progress.report("one failed")
    progress.end()
    start = "\r\x1b[K"
    assert stream.getvalue() == (
        f"{start}[###############...............] 2 of 4 avatars, 2.0 a second, 1 s left"
        f"{start}[######################........] 3 of 4 avatars, 1.5 a second, 1 s left"
        f"{start}one failed\n"
        f"{start}[######################........] 3 of 4 avatars, 1.5 a second, 1 s left\n"
    )


def test_progress_without_a_total_has_no_bar(clock: list[float]) -> None:
    stream = Terminal()
    progress = Progress(None, stream)
    clock[0] = 2
    progress.advance()
    progress.end()
    assert stream.getvalue() == "\r\x1b[K1 avatars, 0.5 a second" * 2 + "\n"


def test_progress_elsewhere_is_a_line_now_and_then(clock: list[float]) -> None:
    stream = StringIO()
    progress = Progress(4000, stream)
    for clock[0] in (1, 9.9, 10, 11):
        progress.advance()
    progress.end()
    assert stream.getvalue().splitlines() == [
        "3 of 4,000 avatars, 0.3 a second, 4 h left",
        "4 of 4,000 avatars, 0.4 a second, 3 h left",
    ]


def test_progress_of_nothing_can_end(clock: list[float]) -> None:
    assert clock == [0]
    stream = StringIO()
    Progress(None, stream).end()
    assert stream.getvalue() == "0 avatars, 0.0 a second\n"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7000, "117 min"), (50_000, "14 h")]
)
def test_format_duration_has_one_unit(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
