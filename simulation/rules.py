"""What must hold, each rule under a name and with a sentence.

Rules see every write to a bucket, every status that a client is told, and what is there when nothing is left to happen.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from functions.shared.storage_keys import stable_key
from functions.shared.stored_avatar import DELETED_TAG
from simulation.lambda_functions import (
    ASSETS_BUCKET,
    MAX_PIXELS,
    SIZES,
    UPLOADS_BUCKET,
    UPLOADS_PER_HOUR,
    load,
)
from simulation.s3 import StoredObject, Version
from simulation.scheduler import EPOCH_MS
from simulation.simulation import DAY_MS, DELETED, Post, Simulation, Upload

# Deliveries within the 15 seconds of a claim: at once, and after pauses of at least 2, 4 and 8 seconds.
_MAX_WAITS = 4
_PLACES = {UPLOADS_BUCKET: ("incoming", "rejected", "held", "deletions"), ASSETS_BUCKET: ("avatars",)}


class Rule:
    """Holds until it reports something to the simulation."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def check_write(self, bucket: str, key: str, before: StoredObject | None, after: StoredObject | None) -> None:
        """Called after each write and deletion."""

    def check_status(self, upload: Upload, status: str, was_ready: bool) -> None:
        """Called with what a client is told of an upload that S3 accepted, and whether it knew it as ready before."""

    def check_avatar(self, subject: str, upload_id: str, shown_before: str) -> None:
        """Called with the upload whose avatar a client is shown and the newest one shown before; empty for none."""

    def check_erased(self, erasure: str, subject: str, block_end_ms: int) -> None:
        """Called when an erasure has reported that nothing of the user is left but a block, and when that ends."""

    def check_rest(self) -> None:
        """Called when nothing is left to happen."""

    def check_swept(self) -> None:
        """Called after a sweep when everything is old enough to be deleted."""

    def _report(self, details: str) -> None:
        self._simulation.report(type(self).__name__, details)

    def _dead(self) -> set[str]:
        """Ids of uploads and deletions whose message is in the dead-letter queue."""
        return {its_id for message in self._simulation.main_queue.dead_letters for its_id in message.ids}

    def _current(self, subject: str) -> dict[str, Any] | None:
        stored = self._simulation.s3.find(ASSETS_BUCKET, f"avatars/{subject}.json")
        return None if stored is None else parse_manifest(stored.data)

    def _deletions(self, subject: str) -> list[str]:
        return [its.deletion_id for its in self._simulation.deletions.values() if its.subject == subject]

    def _is_deleted(self, upload: Upload) -> bool:
        return self._simulation.newest_deletion(upload.subject) > upload.upload_id

    def _erased_at(self, upload: Upload) -> int | None:
        """When an erasure has deleted something of the upload, or the record of its deletion."""
        for at_ms, version in self._simulation.s3.erased:
            if upload.upload_id in version.key or self._erased_deletion(version, upload.subject) > upload.upload_id:
                return at_ms
        return None

    def _is_erased(self, upload: Upload) -> bool:
        return self._erased_at(upload) is not None

    def _erased_deletion(self, version: Version, subject: str) -> str:
        """The ID of the deletion of which it is the manifest, empty if it is not."""
        if version.key != f"avatars/{subject}.json" or version.stored is None or version.stored.tagging != DELETED_TAG:
            return ""
        return parse_manifest(version.stored.data)["upload_id"]

    def _subjects(self) -> list[str]:
        return list(dict.fromkeys(upload.subject for upload in self._simulation.uploads.values()))

    def _accepted(self, subject: str) -> list[Upload]:
        """A user's uploads that S3 accepted, oldest first."""
        uploads = [each for each in self._simulation.uploads.values() if each.subject == subject and each.posts]
        return sorted(uploads, key=lambda upload: upload.upload_id)

    def _is_rejected(self, upload: Upload, *reasons: str) -> bool:
        """Whether a file of the upload was rejected for one of those reasons."""
        stored = self._simulation.s3.find(UPLOADS_BUCKET, f"rejected/{upload.subject}/{upload.upload_id}.json")
        return stored is not None and json.loads(stored.data)["reason"] in reasons

    def _find_shown(self, jpeg: StoredObject) -> tuple[Upload, Post] | None:
        upload = self._simulation.uploads.get(uploaded_in(jpeg))
        if upload is None:
            return None
        for post in upload.posts:
            if post.is_good and without_comment(jpeg.data) == rendition_of(post.data).stable_jpeg:
                return upload, post
        return None


class newest_upload_is_shown(Rule):  # noqa: N801 - rules are named as they are printed
    """The newest accepted upload of a user is what manifest and stable JPEG show, of the same bytes, unless it was
    erased."""

    def check_rest(self) -> None:
        for subject in self._subjects():
            self._check(subject)

    def _check(self, subject: str) -> None:
        dead = self._dead()
        manifest = self._current(subject)
        certain = [
            upload.upload_id
            for upload in self._accepted(subject)
            if all(post.is_good for post in upload.posts)
            and not self._is_rejected(upload, "too_many_uploads", "blocked")
            and upload.verdict == "approve"
            and not self._is_erased(upload)
        ]
        erased = max((self._erased_deletion(its, subject) for _, its in self._simulation.s3.erased), default="")
        deleted = max((its for its in self._deletions(subject) if its not in dead and its > erased), default="")
        expected = max((upload_id for upload_id in certain if upload_id not in dead), default="")
        shown_id = manifest["upload_id"] if manifest else ""
        if shown_id < max(expected, deleted) and (manifest or expected > deleted):
            self._report(f"{subject}: the manifest shows {shown_id or 'nothing'}, not {max(expected, deleted)}")
            return
        stored = self._simulation.s3.find(ASSETS_BUCKET, f"avatars/{subject}.jpg")
        is_record = stored is not None and stored.tagging == DELETED_TAG
        if manifest and "deleted_at" in manifest:
            if stored is None or uploaded_in(stored) == shown_id:
                return
            if erased and is_record and uploaded_in(stored) > shown_id:
                return  # a redriven deletion finds the record of a newer one, which a failed erasure has left
        if manifest is None and erased and is_record:
            return  # an erasure that has failed leaves a part of the record
        shown = None if stored is None else self._find_shown(stored)
        if stored is not None and shown is None:
            self._report(f"{subject}: the stable JPEG is of none of the uploads")
            return
        if stored is not None and uploaded_in(stored) in dead:
            return  # published in part; a redrive completes it
        if manifest is None:
            if stored is not None:
                self._report(f"{subject}: there is a stable JPEG, but no manifest")
        elif shown is None:
            self._report(f"{subject}: there is a manifest, but no stable JPEG")
        elif (post := manifest_post(self._simulation, manifest)) is None or post.data != shown[1].data:
            self._report(
                f"{subject}: the manifest shows {manifest['version']}, the stable JPEG another file of "
                f"{shown[0].upload_id}"
            )


class manifest_is_complete(Rule):  # noqa: N801
    """A manifest is written only when all pictures that it names are there, all of one file of its upload."""

    def check_write(self, bucket: str, key: str, before: StoredObject | None, after: StoredObject | None) -> None:  # noqa: ARG002
        if bucket != ASSETS_BUCKET or not key.endswith(".json") or after is None:
            return
        manifest = parse_manifest(after.data)
        if "deleted_at" in manifest:
            return
        for _, picture in picture_keys(manifest):
            if self._simulation.s3.find(ASSETS_BUCKET, picture) is None:
                self._report(f"manifest {manifest['version']} names {picture}, which is not there")
                return
        if manifest_post(self._simulation, manifest) is None:
            self._report(f"manifest {manifest['version']} names pictures that are not of one file of its upload")


class cached_manifest_stays_complete(Rule):  # noqa: N801
    """A picture neither goes nor changes while a manifest that names it is current, or was in the last seven days,
    unless its user has deleted it."""

    def check_write(self, bucket: str, key: str, before: StoredObject | None, after: StoredObject | None) -> None:
        if bucket != ASSETS_BUCKET or not key.endswith(".webp") or before is None:
            return
        if after is not None and after.data == before.data:
            return
        subject = key.split("/")[1]
        simulation = self._simulation
        now_ms = simulation.scheduler.now_ms
        kept_ms = simulation.settings.superseded_days * DAY_MS
        if key.split("/")[2] < simulation.newest_deletion(subject):
            return
        for data, replaced_at_ms in simulation.manifests.get(subject, ()):
            is_seen = replaced_at_ms is None or now_ms - replaced_at_ms < kept_ms
            if is_seen and any(named == key for _, named in picture_keys(parse_manifest(data))):
                age = "current" if replaced_at_ms is None else f"replaced {now_ms - replaced_at_ms} ms ago"
                self._report(f"{key} is gone, but the manifest that names it is {age}")


class older_never_replaces_newer(Rule):  # noqa: N801
    """Neither manifest nor stable JPEG of a newer upload or deletion is ever replaced by an older one's."""

    def check_write(self, bucket: str, key: str, before: StoredObject | None, after: StoredObject | None) -> None:
        if bucket != ASSETS_BUCKET or before is None or after is None:
            return
        if key.endswith(".json"):
            old, new = parse_manifest(before.data)["upload_id"], parse_manifest(after.data)["upload_id"]
        elif key.endswith(".jpg"):
            old, new = uploaded_in(before), uploaded_in(after)
        else:
            return
        if new < old:
            self._report(f"{key} of {old} is replaced by that of {new}")


class every_upload_is_answered(Rule):  # noqa: N801
    """Every accepted upload ends as ready, as rejected, or in the dead-letter queue; a deleted one is unknown when the
    record of the deletion has been swept, and an erased one unknown, or pending as if it had not been posted."""

    def check_rest(self) -> None:
        dead = self._dead()
        for upload in self._simulation.uploads.values():
            if not upload.posts or upload.upload_id in dead:
                continue
            status = upload.statuses[-1]
            if status == "held" and upload.verdict == "hold" and not self._is_deleted(upload):
                continue
            if status in ("ready", "rejected") or (status == "404" and self._is_deleted(upload)):
                continue
            if status not in ("404", "pending") or not self._is_erased(upload):
                self._report(f"{upload.name} ends as {status}")


class dead_letters_have_a_cause(Rule):  # noqa: N801
    """An upload or deletion is dead-lettered only when something failed in its deliveries, again and again."""

    def check_rest(self) -> None:
        simulation = self._simulation
        if simulation.outage is not None:
            return
        for its_id in self._dead():
            its = simulation.uploads.get(its_id) or simulation.deletions[its_id]
            causes = its.failures + min(self._count_waits(its.name), _MAX_WAITS)
            # One delivery less: a message that SQS delivers twice at once is counted twice.
            if causes < simulation.settings.max_receives - 1:
                self._report(f"{its.name} is dead-lettered after {causes} failures")

    def _count_waits(self, name: str) -> int:
        """Deliveries that were given back because of a claim, which a killed `finish` leaves for 15 seconds."""
        return sum(
            each.actor.startswith(f"process {name}.") and each.details[:1] == (("waits for finish_upload", ()),)
            for each in self._simulation.history
        )


class every_answer_is_announced(Rule):  # noqa: N801
    """Every accepted upload is announced at least once with its outcome, unless a newer one took its place, or it was
    erased."""

    def check_rest(self) -> None:
        dead = self._dead()
        announced = {(content["event"], content["upload_id"]) for content in self._messages()}
        for deletion in self._simulation.deletions.values():
            if deletion.deletion_id not in dead and ("avatar.deleted", deletion.deletion_id) not in announced:
                self._report(f"{deletion.name} is never announced")
        for subject in self._subjects():
            manifest = self._current(subject)
            newest = max(manifest["upload_id"] if manifest else "", self._simulation.newest_deletion(subject))
            for upload in self._accepted(subject):
                if upload.upload_id in dead or upload.upload_id < newest:
                    continue
                events = {event for event, upload_id in announced if upload_id == upload.upload_id}
                if upload.upload_id == newest and "avatar.ready" not in events:
                    self._report(f"{upload.name} is ready, and never announced")
                elif not events and not self._is_erased(upload):
                    self._report(f"{upload.name} is never announced")

    def _messages(self) -> Iterator[dict[str, Any]]:
        for message, attributes in self._simulation.sns.published:
            content = json.loads(message)
            if attributes["event"]["StringValue"] != content["event"]:
                self._report(f"the attribute of a message is {attributes}, its event {content['event']}")
            if content["event"] == "avatar.ready" and content["avatar"]["upload_id"] != content["upload_id"]:
                self._report(f"avatar.ready of {content['upload_id']} carries another avatar")
            yield content


class deleted_avatar_leaves_the_caches(Rule):  # noqa: N801
    """Every deletion removes the avatar from the CDN's caches."""

    def check_rest(self) -> None:
        dead = self._dead()
        invalidations = self._simulation.cloudfront.invalidations
        for deletion in self._simulation.deletions.values():
            paths = invalidations.get(deletion.deletion_id)
            if deletion.deletion_id not in dead and paths != [f"/avatars/{deletion.subject}*"]:
                self._report(f"{deletion.name} invalidates {paths}")


class nothing_is_left_behind(Rule):  # noqa: N801
    """No picture stays that no manifest names, nor a stable JPEG without a manifest, nor the record of a deletion, but
    for what a dead letter still needs."""

    def check_swept(self) -> None:
        dead = self._dead()
        named = {key for subject in self._subjects() for _, key in picture_keys(self._current(subject))}
        for key in self._simulation.s3.buckets.get(ASSETS_BUCKET, {}):
            if key.endswith(".webp") and key not in named and not any(its_id in key for its_id in dead):
                self._report(f"{key} stays, and no manifest names it")
        for subject in self._subjects():
            manifest = self._current(subject)
            if manifest and "deleted_at" in manifest:
                self._report(f"the record of the deletion {manifest['upload_id']} stays")
            if manifest is None and self._simulation.s3.find(ASSETS_BUCKET, stable_key(subject)):
                self._report(f"the stable JPEG of {subject} stays, and there is no manifest")


class originals_are_deleted(Rule):  # noqa: N801
    """An original is gone once its upload has been answered, unless that is held, and a request to delete once it has
    been processed, but for what a dead-lettered message still needs."""

    def check_rest(self) -> None:
        dead = self._dead()
        for key, stored in self._simulation.s3.buckets.get(UPLOADS_BUCKET, {}).items():
            if key.startswith(("incoming/", "deletions/")) and key.rpartition("/")[2] not in dead:
                held = self._simulation.s3.find(UPLOADS_BUCKET, f"{key.replace('incoming/', 'held/')}.json")
                if held is None or json.loads(held.data)["etag"] != stored.etag:
                    self._report(f"{key} stays")


class quota_is_kept(Rule):  # noqa: N801
    """Nobody has more uploads published in an hour than the quota, none counts twice, none is rejected before it,
    unless an erasure has deleted what was counted."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self._published: dict[str, set[str]] = {}

    def check_write(self, bucket: str, key: str, before: StoredObject | None, after: StoredObject | None) -> None:  # noqa: ARG002
        if after is None:
            return
        if bucket == ASSETS_BUCKET and key.endswith(".json"):
            upload = self._simulation.uploads.get(parse_manifest(after.data)["upload_id"])
            if upload is None:
                return  # a deletion
            hours = {_hour(post) for post in upload.posts}
            if any(self._is_uncounted(upload.subject, hour) for hour in hours):
                return
            published = self._published.setdefault(upload.subject, set())
            published.add(upload.upload_id)
            # An upload whose form was posted in two hours was counted in at least one of them.
            in_hours = [u for u in self._accepted(upload.subject) if {_hour(post) for post in u.posts} <= hours]
            count = sum(u.upload_id in published for u in in_hours)
            if count > (counted := sum(self._counted(upload.subject, hour) for hour in hours)):
                self._report(f"{upload.subject} has {count} uploads published, and {counted} counted")
        elif bucket == UPLOADS_BUCKET and key.startswith("rejected/"):
            upload = self._simulation.uploads[key.rpartition("/")[2].removesuffix(".json")]
            if any(self._is_uncounted(upload.subject, _hour(post)) for post in upload.posts):
                return
            counted = max(self._counted(upload.subject, _hour(post)) for post in upload.posts)
            if self._is_rejected(upload, "too_many_uploads") and counted < UPLOADS_PER_HOUR:
                self._report(f"{upload.name} is rejected, and {counted} uploads are counted in its hour")

    def check_rest(self) -> None:
        for subject in self._subjects():
            posts = [_hour(post) for upload in self._accepted(subject) for post in upload.posts]
            for hour in dict.fromkeys(posts):
                counted = self._counted(subject, hour)
                if counted > min(posts.count(hour), UPLOADS_PER_HOUR):
                    self._report(f"{subject} has {counted} of {posts.count(hour)} posts counted in {hour}")

    def _is_uncounted(self, subject: str, hour: str) -> bool:
        return (subject, f"hour#{hour}") in self._simulation.dynamodb.deleted

    def _counted(self, subject: str, hour: str) -> int:
        return len(self._simulation.dynamodb.items.get((subject, f"hour#{hour}"), {}).get("posts", ()))


class block_is_obeyed(Rule):  # noqa: N801
    """Nothing that is posted during a block is published before its end, and only a blocked user's uploads are rejected
    for a block."""

    def check_write(self, bucket: str, key: str, before: StoredObject | None, after: StoredObject | None) -> None:  # noqa: ARG002
        if after is None:
            return
        if bucket == ASSETS_BUCKET and key.endswith(".json"):
            upload = self._simulation.uploads.get(parse_manifest(after.data)["upload_id"])
            block = self._simulation.blocks.get(upload.subject) if upload else None
            if (
                upload
                and block
                and self._simulation.scheduler.now_ms < block.end_ms
                and all(post.at_ms >= block.begin_ms for post in upload.posts)
            ):
                self._report(f"{upload.name} is published during a block")
        elif bucket == UPLOADS_BUCKET and key.startswith("rejected/"):
            upload = self._simulation.uploads[key.rpartition("/")[2].removesuffix(".json")]
            if self._is_rejected(upload, "blocked") and upload.subject not in self._simulation.blocks:
                self._report(f"{upload.name} is rejected for a block that does not exist")


class nothing_is_published_unseen(Rule):  # noqa: N801
    """Every file that is published was approved, by the moderation function or by an operator who has seen it."""

    def check_write(self, bucket: str, key: str, before: StoredObject | None, after: StoredObject | None) -> None:  # noqa: ARG002
        if bucket != ASSETS_BUCKET or not key.endswith(".jpg") or after is None:
            return
        upload = self._simulation.uploads.get(uploaded_in(after))
        if upload is None or upload.verdict == "approve":
            return  # a deletion, or approved
        shown = self._find_shown(after)
        if shown is None or shown[1].data not in upload.approved:
            self._report(f"{upload.name} is published, and nobody has approved the file")


class erased_user_stays_erased(Rule):  # noqa: N801
    """When an erasure reports nothing to repeat, nothing of the user is there but the block, and what was stored after
    the function has looked for it. Until the block ends, nothing is published, and never what was posted before the
    erasure. No erasure brings back what was replaced or deleted."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self._erased: dict[str, tuple[int, int]] = {}
        """By subject: when the erasure began, and how many messages had been announced when it ended."""

    def check_write(self, bucket: str, key: str, before: StoredObject | None, after: StoredObject | None) -> None:  # noqa: ARG002
        if bucket != ASSETS_BUCKET or after is None or after.tagging == DELETED_TAG:
            return
        simulation = self._simulation
        subject = key.split("/")[1].partition(".")[0]
        if after.modified_ms < simulation.scheduler.now_ms:
            self._report(f"an old version of {key} is current again")
        elif subject not in self._erased:
            return
        elif simulation.scheduler.now_ms < simulation.blocks[subject].end_ms:
            self._report(f"{key} is published after {subject} was erased")
        elif key.endswith(".jpg") and self._is_from_before(uploaded_in(after)):
            self._report(f"{key} of {uploaded_in(after)} is published, from before {subject} was erased")

    def check_erased(self, erasure: str, subject: str, block_end_ms: int) -> None:
        simulation = self._simulation
        items = simulation.dynamodb.items
        if periods := [period for its_subject, period in items if its_subject == subject and period != "block"]:
            self._report(f"{subject} was erased, and {periods} are counted")
        requests = [each for each in simulation.history if each.actor == erasure and each.details[0] == "200"]
        done_ms = {tuple(each.what.split(" ")[:2]): EPOCH_MS + each.at_ms for each in requests}
        self._erased[subject] = EPOCH_MS + requests[0].at_ms, len(simulation.sns.published)
        block = simulation.blocks.get(subject)
        if block is None or block.end_ms < block_end_ms:  # later: the operator has blocked the user for longer
            self._report(f"{subject} was erased, and is not blocked until {block_end_ms}")
        for bucket, places in _PLACES.items():
            for prefix in (f"{place}/{subject}{end}" for place in places for end in "/."):
                listing = ("ListObjectsV2" if prefix.startswith("deletions/") else "ListObjectVersions", prefix)
                looked_ms = done_ms.get(listing, simulation.scheduler.now_ms)
                for version in simulation.s3.list_versions(bucket, prefix):
                    if version.modified_ms < looked_ms:
                        self._report(f"{subject} was erased, and {version.version_id} of {version.key} is there")

    def check_rest(self) -> None:
        for subject, (_, announced) in self._erased.items():
            for message, _ in self._simulation.sns.published[announced:]:
                content = json.loads(message)
                is_ready = (content["event"], content["subject"]) == ("avatar.ready", subject)
                if is_ready and self._is_from_before(content["upload_id"]):
                    self._report(f"{content['upload_id']} is announced as ready after {subject} was erased")

    def _is_from_before(self, upload_id: str) -> bool:
        """Whether everything of the upload was posted before the erasure."""
        upload = self._simulation.uploads[upload_id]
        began_ms, _ = self._erased[upload.subject]
        return all(post.at_ms < began_ms for post in upload.posts)


class accepted_upload_is_never_unknown(Rule):  # noqa: N801
    """GET uploads/{id} never says 404 for an accepted upload within its life, unless it was deleted or erased."""

    def check_status(self, upload: Upload, status: str, was_ready: bool) -> None:  # noqa: ARG002
        if status == "404" and not (self._is_deleted(upload) or self._is_erased(upload)):
            self._report(f"{upload.name} was accepted, and its status is 404")


class ready_is_final(Rule):  # noqa: N801
    """GET uploads/{id} never goes back from ready, unless the user deletes the avatar."""

    def check_status(self, upload: Upload, status: str, was_ready: bool) -> None:
        if was_ready and status != "ready" and not self._is_deleted(upload):
            self._report(f"{upload.name} was ready, and is {status}")


class avatar_never_goes_back(Rule):  # noqa: N801
    """GET /avatars/me never shows an older avatar than it has shown before, nor a deleted one, nor none again, unless
    it was erased."""

    def check_avatar(self, subject: str, upload_id: str, shown_before: str) -> None:
        if not upload_id and self._simulation.newest_deletion(subject) + DELETED > shown_before:
            return
        shown = self._simulation.uploads.get(shown_before.removesuffix(DELETED))
        if not upload_id and shown and self._is_erased(shown):
            return
        if upload_id < shown_before:
            self._report(f"{subject} was shown {shown_before}, and then {upload_id or 'nothing'}")


class wait_is_bounded(Rule):  # noqa: N801
    """A user waits seconds for an answer or an erasure, some more for each failure of a service, 90 s for a killed
    sandbox."""

    def check_rest(self) -> None:
        simulation = self._simulation
        if simulation.outage is not None:
            return
        dead = self._dead()
        for upload in simulation.uploads.values():
            if upload.queued_at_ms is None or upload.upload_id in dead or upload.was_dead:
                continue
            ends_ms = (upload.answered_at_ms, self._erased_at(upload), simulation.scheduler.now_ms)
            until_ms = min(end_ms for end_ms in ends_ms if end_ms is not None)
            waited_ms = until_ms - upload.queued_at_ms
            allowed_ms = simulation.settings.answer_seconds * 1000 + upload.allowance_ms
            if waited_ms > allowed_ms:
                self._report(f"{upload.name} waited {waited_ms / 1000:.1f} s, allowed are {allowed_ms / 1000:.1f} s")


RULES: dict[str, type[Rule]] = {
    rule.__name__: rule
    for rule in (
        newest_upload_is_shown,
        manifest_is_complete,
        cached_manifest_stays_complete,
        older_never_replaces_newer,
        every_upload_is_answered,
        dead_letters_have_a_cause,
        every_answer_is_announced,
        deleted_avatar_leaves_the_caches,
        nothing_is_left_behind,
        originals_are_deleted,
        quota_is_kept,
        block_is_obeyed,
        nothing_is_published_unseen,
        erased_user_stays_erased,
        accepted_upload_is_never_unknown,
        ready_is_final,
        avatar_never_goes_back,
        wait_is_bounded,
    )
}


def _hour(post: Post) -> str:
    """The clock hour in which a file was posted, as the key of its quota has it."""
    return f"{datetime.fromtimestamp(post.at_ms / 1000, UTC):%Y-%m-%dT%H}"


@lru_cache(maxsize=64)
def parse_manifest(data: bytes) -> dict[str, Any]:
    return json.loads(data)


def picture_keys(manifest: dict[str, Any] | None) -> list[tuple[int, str]]:
    """Sizes and keys of the pictures that a manifest names."""
    if manifest is None:
        return []
    return [(image["size"], image["url"].removeprefix("/")) for image in manifest.get("images", ())]


def uploaded_in(stable_jpeg: StoredObject) -> str:
    """The upload or deletion that a stable JPEG is of, as its metadata has it."""
    return stable_jpeg.metadata["version"].partition("-")[0]


def without_comment(stable_jpeg: bytes) -> bytes:
    """As the renderer made it: publishing adds a comment with the version."""
    at = stable_jpeg.index(b"\xff\xfe")
    return stable_jpeg[:at] + stable_jpeg[at + 2 + int.from_bytes(stable_jpeg[at + 2 : at + 4]) :]


def manifest_post(simulation: Simulation, manifest: dict[str, Any]) -> Post | None:
    """The file of the manifest's upload that all the pictures it names were made of."""
    upload = simulation.uploads.get(manifest["upload_id"])
    if upload is None:
        return None
    stored = [simulation.s3.find(ASSETS_BUCKET, key) for _, key in picture_keys(manifest)]
    pictures = tuple(each.data if each else None for each in stored)
    return next((post for post in upload.posts if post.is_good and _variants(post.data) == pictures), None)


@lru_cache(maxsize=64)
def rendition_of(data: bytes) -> Any:
    """The pictures that the real renderer makes of a file."""
    return load().render(data, sizes=SIZES, max_pixels=MAX_PIXELS)


@lru_cache(maxsize=64)
def _variants(data: bytes) -> tuple[bytes, ...]:
    return tuple(variant.data for variant in rendition_of(data).variants)
