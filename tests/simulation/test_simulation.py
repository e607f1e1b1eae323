"""The pipeline under simulation, and the simulator itself."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import pytest

from functions.shared.moderation_decision import Decision
from simulation.campaign import Failure, describe, run_campaign, run_choices, run_seed, shrink_failure
from simulation.choices import RandomChoices, RecordedChoices, Value
from simulation.dynamodb import SimulatedDynamoDbClient
from simulation.lambda_functions import SIZES, load
from simulation.network import HANG, LATE, PARTLY
from simulation.pictures import picture
from simulation.rules import RULES, rendition_of
from simulation.s3 import SimulatedS3Client
from simulation.settings import Settings
from simulation.simulation import Simulation

SETTINGS = Settings()
COUNT = 1_000
TWO_UPLOADS: dict[str, Value] = {"ada: uploads": 2}


def first_failure(seed: int, count: int, *names: str) -> Failure | None:
    result = run_campaign(seed, count, rules=[RULES[name] for name in names], settings=SETTINGS)
    return result.failures[0] if result.failures else None


def replay(choices: Mapping[str, Value]) -> Simulation:
    """Returns the run of these choices. Fails if a rule is violated."""
    outcome = run_choices(RecordedChoices(choices), SETTINGS, RULES.values())
    assert isinstance(outcome, Simulation), describe(outcome)
    return outcome


def find_violated_rule(choices: Mapping[str, Value]) -> str:
    """Returns the name of the rule that the run of these choices violates. Fails if all hold."""
    outcome = run_choices(RecordedChoices(choices), SETTINGS, RULES.values())
    assert isinstance(outcome, Failure)
    return outcome.rule


@pytest.mark.parametrize("seed", [1, pytest.param(time.time_ns() % 1_000_000, id="fresh")])
def test_pipeline_any_schedule_keeps_every_rule(seed: int) -> None:
    failure = first_failure(seed, COUNT, *RULES)
    assert failure is None, describe(shrink_failure(failure, SETTINGS))


def test_pipeline_undisturbed_run_keeps_every_rule() -> None:
    outcome = replay(TWO_UPLOADS)
    assert [upload.statuses[-1] for upload in outcome.uploads.values()] == ["ready", "ready"]
    assert len(outcome.sns.published) == 2


def module(name: str) -> ModuleType:
    return load().modules[f"functions.{name}"]


def write_without_condition(monkeypatch: pytest.MonkeyPatch) -> None:
    def replace_object(client: Any, _etag: str | None, **request: Any) -> str:
        return client.put_object(**request)["ETag"]

    monkeypatch.setattr(module("shared.aws.s3"), "replace_object", replace_object)


def write_manifest_before_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    publishing = module("process_avatar.publishing")
    real_publish, real_put_variant = publishing.publish, vars(publishing)["_put_variant"]

    def publish(client: Any, bucket: str, avatar: Any, *arguments: Any, **options: Any) -> Any:
        current = real_publish(client, bucket, avatar, *arguments, **options)
        for variant in avatar.rendition.variants:
            real_put_variant(client, bucket, avatar, variant)
        return current

    monkeypatch.setattr(publishing, "publish", publish)
    monkeypatch.setattr(publishing, "_put_variant", lambda *_: None)


def delete_superseded_version_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    publishing, storage_keys = module("process_avatar.publishing"), module("shared.storage_keys")
    real_publish = publishing.publish

    def publish(client: Any, bucket: str, avatar: Any, existing: Any, **options: Any) -> Any:
        current = real_publish(client, bucket, avatar, existing, **options)
        if existing and existing.content["version"] != current.manifest["version"]:
            for size in SIZES:
                key = storage_keys.variant_key(avatar.subject, existing.content["version"], size)
                client.delete_object(Bucket=bucket, Key=key)
        return current

    monkeypatch.setattr(publishing, "publish", publish)


def count_without_condition(monkeypatch: pytest.MonkeyPatch) -> None:
    update_item = SimulatedDynamoDbClient.update_item

    def update(client: SimulatedDynamoDbClient, **request: Any) -> Any:
        del request["ConditionExpression"]
        return update_item(client, **request)

    monkeypatch.setattr(SimulatedDynamoDbClient, "update_item", update)


def delete_original_before_the_manifest(monkeypatch: pytest.MonkeyPatch) -> None:
    """In `finish`, which nothing repeats."""
    processor = module("process_avatar.process_upload").UploadProcessor
    count = vars(processor)["_count"]

    def count_and_delete(self: Any, upload: Any, original: Any) -> None:
        count(self, upload, original)
        if upload.event is None:
            vars(processor)["_delete_original"](self, upload)

    monkeypatch.setattr(processor, "_count", count_and_delete)


def finish_without_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    """The event takes what `finish` has published for the work of another delivery."""
    publishing = module("process_avatar.publishing")
    advance = vars(publishing)["_advance_manifest"]

    def advance_unmarked(*arguments: Any, is_announced: bool) -> Any:
        del is_announced
        return advance(*arguments, is_announced=True)

    monkeypatch.setattr(publishing, "_advance_manifest", advance_unmarked)


def finish_without_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module("process_avatar.quota").Quota, "claim", lambda *_, **__: None)


def claim_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module("process_avatar.quota").Quota, "is_claimed", lambda *_: True)


def count_every_delivery(monkeypatch: pytest.MonkeyPatch) -> None:
    quota, numbers = module("process_avatar.quota").Quota, itertools.count()
    count = quota.count

    def count_anew(self: Any, subject: str, created: Any) -> None:
        count(self, subject, created._replace(sequencer=str(next(numbers))))

    monkeypatch.setattr(quota, "count", count_anew)


def ignore_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = module("process_avatar.handler")
    monkeypatch.setattr(handler, "UPLOADS", dataclasses.replace(handler.UPLOADS, read_block_end=lambda _: None))


def delete_without_record(monkeypatch: pytest.MonkeyPatch) -> None:
    storage_keys = module("shared.storage_keys")

    def delete(client: Any, bucket: str, subject: str, _deletion_id: str) -> None:
        for key in (storage_keys.manifest_key(subject), storage_keys.stable_key(subject)):
            client.delete_object(Bucket=bucket, Key=key)

    monkeypatch.setattr(module("shared.stored_avatar"), "delete", delete)


def announce_without_deleting(monkeypatch: pytest.MonkeyPatch) -> None:
    deletions = module("process_avatar.process_deletion").DeletionProcessor
    monkeypatch.setattr(deletions, "_find_versions", lambda *_: iter(()))
    monkeypatch.setattr(module("sweep_avatars.sweep").Subject, "is_deleted", False)


def erase_without_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what a listing of objects shows."""
    versions = module("erase_user.stored_versions").StoredVersions

    def list_keys(self: Any, bucket: str, prefix: str) -> list[str]:
        return [its.key for its in module("shared.aws.s3").list_objects(vars(self)["_s3"], bucket, prefix)]

    def delete(self: Any, subject: str) -> int:
        found = [
            (bucket, key) for bucket, prefix in get_places(self, subject) for key in list_keys(self, bucket, prefix)
        ]
        for bucket, key in found:
            vars(self)["_s3"].delete_object(Bucket=bucket, Key=key)
        return len(found)

    get_places = vars(versions)["_get_places"]
    monkeypatch.setattr(versions, "_list", lambda self, *place: ([], list_keys(self, *place)))
    monkeypatch.setattr(versions, "delete", delete)


def erase_latest_versions_first(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = module("erase_user.stored_versions").StoredVersions
    real_list = vars(versions)["_list"]

    def list_all(self: Any, bucket: str, prefix: str) -> tuple[list[Any], list[Any]]:
        old, latest = real_list(self, bucket, prefix)
        return [], [*latest, *old]

    monkeypatch.setattr(versions, "_list", list_all)


def erase_without_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module("erase_user.limits").Limits, "block", lambda _self, _subject, end: end)


def erase_without_counted_items(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = module("erase_user.limits").Limits
    monkeypatch.setattr(limits, "_list", lambda *_: iter(()))


def wait_for_processing(monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    handler = module("erase_user.handler")
    monkeypatch.setattr(handler, "ERASURE", dataclasses.replace(handler.ERASURE, processing_seconds=seconds))


def wait_only_for_originals(monkeypatch: pytest.MonkeyPatch) -> None:
    erasure, s3 = module("erase_user.erasure").Erasure, module("erase_user.handler").S3
    erase = erasure.erase

    def erase_at_once(self: Any, subject: str) -> Any:
        has_originals = s3.list_objects_v2(Bucket="uploads", Prefix=f"incoming/{subject}/")["KeyCount"]
        return erase(self if has_originals else dataclasses.replace(self, processing_seconds=0), subject)

    monkeypatch.setattr(erasure, "erase", erase_at_once)


def approve_whatever_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator's copy has no condition, and process_avatar does not compare the file."""
    copy_object = SimulatedS3Client.copy_object

    def copy(client: SimulatedS3Client, **request: Any) -> Any:
        del request["CopySourceIfMatch"]
        return copy_object(client, **request)

    def read_decision(metadata: Mapping[str, str], _data: bytes) -> Decision | None:
        return Decision("approve") if metadata.get("moderation") == "approved" else None

    monkeypatch.setattr(SimulatedS3Client, "copy_object", copy)
    monkeypatch.setattr(module("process_avatar.process_upload"), "read_decision", read_decision)


@pytest.mark.parametrize(
    ("plant", "rule"),
    [
        (write_without_condition, "older_never_replaces_newer"),
        (write_manifest_before_pictures, "manifest_is_complete"),
        (delete_superseded_version_at_once, "cached_manifest_stays_complete"),
        (count_without_condition, "quota_is_kept"),
        (count_every_delivery, "quota_is_kept"),
        (finish_without_claim, "quota_is_kept"),
        (claim_for_ever, "dead_letters_have_a_cause"),
        (finish_without_mark, "every_answer_is_announced"),
        (delete_original_before_the_manifest, "every_upload_is_answered"),
        (ignore_blocks, "block_is_obeyed"),
        (delete_without_record, "newest_upload_is_shown"),
        (announce_without_deleting, "nothing_is_left_behind"),
        (erase_without_versions, "erased_user_stays_erased"),
        (erase_latest_versions_first, "erased_user_stays_erased"),
        (erase_without_block, "erased_user_stays_erased"),
        (erase_without_counted_items, "erased_user_stays_erased"),
    ],
)
def test_planted_mistake_is_found_and_shrunk(
    plant: Callable[[pytest.MonkeyPatch], None], rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        plant(patch)
        failure = first_failure(3, 1_000, rule)
        assert failure is not None
        shrunk = shrink_failure(failure, SETTINGS)
    assert shrunk.rule == rule
    assert len(shrunk.choices) <= 6
    assert describe(shrunk).startswith(f"seed {failure.seed}\nrule {rule}\n")


def test_deletion_at_once_fails_without_any_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    delete_superseded_version_at_once(monkeypatch)
    outcome = run_choices(RecordedChoices(TWO_UPLOADS), SETTINGS, [RULES["cached_manifest_stays_complete"]])
    assert isinstance(outcome, Failure)


def test_approval_of_whatever_is_there_fails_without_any_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user posts another file while the operator decides about the one that is held."""
    choices: dict[str, Value] = {"moderation": True, "ada-1: verdict": "hold", "ada-1: second post": "other file"}
    approved = replay(choices)
    assert "approves ada-1" in str(approved.history)
    approve_whatever_is_there(monkeypatch)
    assert find_violated_rule(choices) == "nothing_is_published_unseen"


def test_erasure_waits_for_the_last_request_of_a_delivery(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes effect when the function has timed out."""
    choices: dict[str, Value] = {
        "ada: milliseconds to the erasure": 900,
        "process ada-1.1#1: rendering: milliseconds": 12_000,
        "process ada-1.1#1: PutObject avatars/ada/ada-1-000-9bdfd206/64.webp": LATE,
    }
    erased = replay(choices)
    assert "timed out" in str(erased.history)
    wait_for_processing(monkeypatch, SETTINGS.function_timeout_seconds)
    assert find_violated_rule(choices) == "erased_user_stays_erased"


def test_erasure_waits_for_a_delivery_whose_original_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another delivery of the event has deleted it."""
    choices: dict[str, Value] = {
        "ada: milliseconds to the erasure": 1_500,
        "ada-1.1: events": 2,
        "process ada-1.1(2)#1: rendering: milliseconds": 12_000,
    }
    erased = replay(choices)
    assert [upload.statuses[-1] for upload in erased.uploads.values()] == ["pending"]
    wait_only_for_originals(monkeypatch)
    assert find_violated_rule(choices) == "erased_user_stays_erased"


def test_claim_of_a_killed_finish_is_a_cause_of_dead_letters() -> None:
    killed = "sandbox killed before the effect"
    choices: dict[str, Value] = {
        "moderation": True,
        "ada-1: verdict": "reject",
        "ada-1.1: milliseconds to its finish": 50,
        "finish ada-1 of ada-1.1: UpdateItem ada/hour#2026-01-01T00: sandbox": "sandbox killed after the effect",
        **{f"process ada-1.1#{number}: GetItem ada/block: sandbox": killed for number in range(4, 9)},
    }
    outcome = replay(choices)
    assert "process ada-1.1#8" in str(outcome.history)


def test_late_request_of_an_erasure_does_not_shorten_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes effect after that of the next erasure."""
    killed = "sandbox killed before the effect"
    choices: dict[str, Value] = {
        "ada: milliseconds to the erasure": 700,
        "erase ada 1: Query ada: sandbox": killed,
        "erase ada 2: PutItem ada/block": LATE,
        "erase ada 2: PutItem ada/block (2): sandbox": killed,
        "erase ada 2: milliseconds to the next": 1_000,
    }
    erased = replay(choices)
    assert "erase ada 3" in str(erased.history)
    blocks = module("shared.user_block")

    def extend(dynamodb: Any, table: str, subject: str, end: Any) -> Any:
        blocks.put(dynamodb, table, subject, end)
        return end

    monkeypatch.setattr(blocks, "extend", extend)
    assert find_violated_rule(choices) == "erased_user_stays_erased"


def test_erasure_keeps_the_latest_versions_if_an_old_one_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """The old one would be current until the erasure is repeated."""
    choices: dict[str, Value] = {
        "ada: milliseconds to the erasure": 4_000,
        "erase ada 1: DeleteObjects avatars/ada.jpg": PARTLY,
    }
    erased = replay(choices)
    assert "erase ada 2" in str(erased.history)
    versions = module("erase_user.stored_versions").StoredVersions
    delete = vars(versions)["_delete"]

    def delete_whatever_fails(self: Any, bucket: str, objects: list[Any]) -> int:
        delete(self, bucket, objects)
        return len(objects)

    monkeypatch.setattr(versions, "_delete", delete_whatever_fails)
    assert find_violated_rule(choices) == "older_never_replaces_newer"


def test_sweep_that_ends_in_the_record_of_a_deletion_is_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    choices: dict[str, Value] = {
        "ada: deletions": 1,
        "days to a sweep": 22,
        "sweep after 22 days: DeleteObject avatars/ada.jpg: sandbox": "sandbox killed after the effect",
    }
    swept = replay(choices)
    assert "sandbox killed after the effect" in str(swept.history)
    subject = module("sweep_avatars.sweep").Subject
    monkeypatch.setattr(subject, "is_deleted", property(lambda self: self.stable_jpeg and self.stable_jpeg.size == 26))
    assert find_violated_rule(choices) == "nothing_is_left_behind"


def test_jpeg_that_a_dead_letter_leaves_over_a_deletion_is_swept(monkeypatch: pytest.MonkeyPatch) -> None:
    """An avatar is deleted, and no delivery of the next upload comes to its manifest."""
    killed = "sandbox killed before the effect"
    choices: dict[str, Value] = {
        "ada: uploads": 3,
        "ada: deletions": 1,
        **{f"process ada-3.1#{number}: PutObject avatars/ada.json: sandbox": killed for number in range(1, 9)},
    }
    swept = replay(choices)
    assert [upload.statuses[-1] for upload in swept.uploads.values()] == ["rejected", "rejected", "pending"]
    monkeypatch.setattr(module("sweep_avatars.sweep").Subject, "has_newer_jpeg", False)
    assert find_violated_rule(choices) == "nothing_is_left_behind"


def test_event_that_ends_before_finish_leaves_an_avatar_unannounced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The event rejects the upload of a user who was blocked after `finish` has looked, and `finish` publishes it."""
    choices: dict[str, Value] = {
        "ada: uploads": 2,
        "ada-2: milliseconds after the form before": 400,
        "ada: milliseconds to the block": 1000,
        "ada-2.1: milliseconds to its finish": 50,
        "finish ada-2 of ada-2.1: GetObject incoming/ada/ada-2: milliseconds": 350,
        "finish ada-2 of ada-2.1: PutObject avatars/ada/ada-2-000-5e3ae4da/64.webp: milliseconds": 200,
    }
    waiting = replay(choices)
    assert [upload.statuses[-1] for upload in waiting.uploads.values()] == ["ready", "ready"]
    monkeypatch.setattr(module("process_avatar.quota").Quota, "is_claimed", lambda *_: False)
    assert find_violated_rule(choices) == "every_answer_is_announced"


def test_claim_that_is_late_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first attempt to claim a file gets no response. Before the second, the event rejects it, as the user has been
    blocked, and ends."""
    choices: dict[str, Value] = {
        "ada: milliseconds to the block": 1000,
        "ada-1.1: milliseconds to its finish": 50,
        "finish ada-1 of ada-1.1: UpdateItem ada/hour#2026-01-01T00": HANG,
        "process ada-1.1#1: GetItem ada/block: milliseconds": 200,
    }
    refused = replay(choices)
    assert [upload.statuses[-1] for upload in refused.uploads.values()] == ["rejected"]
    quota = module("process_avatar.quota")
    monkeypatch.setattr(quota, "_IS_CLAIMABLE", vars(quota)["_IS_NEW"])
    assert find_violated_rule(choices) == "every_answer_is_announced"


def test_decided_copy_of_another_file_counts_twice_if_taken_for_a_post(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user posts another file before the event of an operator's decision arrives."""
    choices: dict[str, Value] = {
        "moderation": True,
        "ada-1: verdict": "hold",
        "ada-1: second post": "other file",
        "ada-1: milliseconds to the second post": 5000,
        "ada-1: decision": "reject",
        "ada-1: decision at the second post": False,
        "operator rejects ada-1: CopyObject incoming/ada/ada-1: slow milliseconds": 1900,
    }
    decided = replay(choices)
    assert "rejects ada-1" in str(decided.history)
    created = vars(module("process_avatar.s3_events"))["_created"]
    monkeypatch.setattr(
        module("process_avatar.s3_events"), "_created", lambda record: created(record)._replace(is_copy=False)
    )
    assert find_violated_rule(choices) == "quota_is_kept"


def test_manifest_does_not_tell_the_etag_of_a_newer_jpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    """The third upload is killed before its manifest, then the first is published, then the second."""
    killed = "sandbox killed before the effect"
    choices: dict[str, Value] = {
        "ada: uploads": 3,
        "process ada-1.1#1: rendering: milliseconds": 12_000,
        "process ada-2.1#1: GetObject avatars/ada.json: sandbox": killed,
        "process ada-3.1#1: PutObject avatars/ada.json: sandbox": killed,
    }
    published = replay(choices)
    assert [upload.statuses[-1] for upload in published.uploads.values()] == ["ready", "ready", "ready"]
    publishing, stored_avatar = module("process_avatar.publishing"), module("shared.stored_avatar")
    advance = vars(publishing)["_advance_manifest"]

    def advance_with_etag(client: Any, bucket: str, manifest: Any, existing: Any, metadata: Any, **options: Any) -> Any:
        jpeg = stored_avatar.read_stable_jpeg(client, bucket, manifest["subject"])
        metadata = {**metadata, stored_avatar.JPEG_ETAG: jpeg.etag}
        return advance(client, bucket, manifest, existing, metadata, **options)

    monkeypatch.setattr(publishing, "_advance_manifest", advance_with_etag)
    assert find_violated_rule(choices) == "older_never_replaces_newer"


def test_other_file_of_one_form_half_published_is_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two files are posted with one form; finish_upload was killed between stable JPEG and manifest of the first."""
    choices: dict[str, Value] = {
        "ada-1: second post": "other file",
        "ada-1: milliseconds to the second post": 150,
        "ada-1.1: milliseconds to its finish": 50,
        "finish ada-1 of ada-1.1: PutObject avatars/ada.json: sandbox": "sandbox killed before the effect",
    }
    completed = replay(choices)
    assert "sandbox killed" in str(completed.history)
    publishing = module("process_avatar.publishing")
    advance = vars(publishing)["_advance_stable_jpeg"]
    monkeypatch.setattr(publishing, "_advance_stable_jpeg", lambda *its: advance(*its)._replace(version="unknown"))
    assert find_violated_rule(choices) == "newest_upload_is_shown"


def test_held_upload_that_was_half_published_is_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user posts an approved file again after process_avatar was killed between stable JPEG and manifest."""
    choices: dict[str, Value] = {
        **TWO_UPLOADS,
        "moderation": True,
        "ada-2: verdict": "hold",
        "ada-2: second post": "same file",
        "ada-2: milliseconds to the second post": 5000,
        "ada-2: decision at the second post": False,
        "process ada-2 decided#1: PutObject avatars/ada.jpg: sandbox": "sandbox killed after the effect",
    }
    completed = replay(choices)
    assert [upload.statuses[-1] for upload in completed.uploads.values()] == ["ready", "ready"]
    processor = module("process_avatar.process_upload").UploadProcessor
    monkeypatch.setattr(processor, "_end_published", lambda *_: None)
    assert find_violated_rule(choices) == "newest_upload_is_shown"


def test_same_seed_gives_the_same_history() -> None:
    histories = [run_choices(RandomChoices("5:17"), SETTINGS, []).history for _ in range(2)]
    assert histories[0] == histories[1]
    assert histories[0] != run_choices(RandomChoices("5:18"), SETTINGS, []).history


def test_recorded_choices_repeat_a_random_run() -> None:
    random_run = run_choices(RandomChoices("5:17"), SETTINGS, [])
    assert isinstance(random_run, Simulation)
    repeated = run_choices(RecordedChoices(random_run.choices.made), SETTINGS, [])
    assert repeated.history == random_run.history


def test_campaign_result_does_not_depend_on_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    delete_superseded_version_at_once(monkeypatch)
    rules = [RULES["cached_manifest_stays_complete"]]
    results = [
        run_campaign(9, 100, rules=rules, settings=SETTINGS, processes=processes, stop_at_first=False)
        for processes in (1, 2)
    ]
    assert results[0] == results[1]
    assert results[0].count == 100


def test_seed_of_a_failure_repeats_it(monkeypatch: pytest.MonkeyPatch) -> None:
    delete_superseded_version_at_once(monkeypatch)
    failure = first_failure(9, 100, "cached_manifest_stays_complete")
    assert failure is not None
    again = run_seed(failure.seed, SETTINGS, [RULES[failure.rule]])
    assert again == failure


def test_pictures_are_told_apart_by_every_rendition() -> None:
    renditions = [rendition_of(picture(number)) for number in range(4, 14)]
    assert len({rendition.stable_jpeg for rendition in renditions}) == len(renditions)
    assert len({rendition.variants[-1].data for rendition in renditions}) == len(renditions)
