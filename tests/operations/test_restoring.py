"""`make restore` beside users who upload and delete; tests/local/test_game_day.py has it in a whole stack."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from functions.process_avatar import publishing
from functions.process_avatar.imaging.rendition import Rendition, Source, Variant
from functions.shared import storage_keys, stored_avatar, upload_id
from functions.shared.avatar_deletion import AvatarDeletion
from functions.shared.stored_avatar import Manifest
from operations import restoring
from operations.__main__ import main
from operations.operated_stack import OperatedStack, OperationError
from operations.restoring import Restoration
from tests.fixtures import pictures

SUBJECT = "u1"
JPEG = pictures.encode(pictures.plain(8, 8, pictures.GRAY), "JPEG")


@dataclass
class User:
    """What a user does, as it is in the buckets."""

    stack: OperatedStack

    def publish(self, content: bytes, at_ms: int | None = None, its_id: str | None = None) -> str:
        """Publishes an avatar whose image is `content`. Returns the version."""
        its_id = its_id or upload_id.create(SUBJECT, at_ms or time.time_ns() // 1_000_000)
        variants = tuple(Variant(size, "webp", content + str(size).encode()) for size in (64, 16))
        rendition = Rendition(Source("png", 90, 90, 1234), variants, JPEG)
        avatar = publishing.new_avatar(SUBJECT, f"{its_id}-001-0123abcd", rendition, at="2026-11-28T10:00:00.000Z")
        existing = stored_avatar.read_manifest(self.stack.s3, self.assets, SUBJECT)
        publishing.publish(self.stack.s3, self.assets, avatar, existing, is_announced=True, render_ms=1)
        return avatar.version

    def delete(self) -> None:
        """Deletes the avatar, completely."""
        AvatarDeletion(self.stack.s3, uploads_bucket=self.uploads, assets_bucket=self.assets).delete(SUBJECT)
        for bucket, prefix in (
            (self.uploads, storage_keys.deletions_prefix(SUBJECT)),
            (self.assets, storage_keys.versions_prefix(SUBJECT)),
        ):
            for its in self.stack.s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", []):
                self.stack.s3.delete_object(Bucket=bucket, Key=its["Key"])

    @property
    def uploads(self) -> str:
        return self.stack.get_output("uploadsBucket")

    @property
    def assets(self) -> str:
        return self.stack.get_output("assetsBucket")

    def read_manifest(self) -> Manifest:
        manifest = stored_avatar.read_manifest(self.stack.s3, self.assets, SUBJECT)
        assert manifest
        return manifest.content

    def read_images(self) -> list[bytes]:
        keys = [image["url"].lstrip("/") for image in self.read_manifest()["images"]]
        return [self.stack.s3.get_object(Bucket=self.assets, Key=key)["Body"].read() for key in keys]


@pytest.fixture
def user(operated: OperatedStack) -> User:
    stack = OperatedStack({**operated.outputs, "cdnUrl": "https://cdn.example.com"})
    enabled = {"Status": "Enabled"}
    stack.s3.put_bucket_versioning(Bucket=stack.get_output("assetsBucket"), VersioningConfiguration=enabled)
    return User(stack)


@pytest.fixture
def restore(
    user: User, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Runs the command. Returns its exit code and what it prints."""
    file = tmp_path_factory.mktemp("outputs") / "outputs.json"
    file.write_text(json.dumps(dict(user.stack.outputs)))

    def restore(*arguments: str, subject: str = SUBJECT) -> tuple[int, str]:
        code = main(["--outputs", str(file), "restore", subject, *arguments])
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return restore


Restore = Callable[..., tuple[int, str]]


def test_restored_avatar_is_a_newer_version_with_the_former_content(user: User, restore: Restore) -> None:
    former, replaced = user.publish(b"former"), user.publish(b"newer")
    code, printed = restore("--version", former, "--apply")
    manifest = user.read_manifest()
    assert (code, printed) == (0, f"restored as {manifest['version']}; everybody sees it within a minute\n")
    assert manifest["version"] > replaced
    assert upload_id.is_owned_by(manifest["upload_id"], SUBJECT)
    assert user.read_images() == [b"former64", b"former16"]
    assert manifest["source"] == {"format": "png", "width": 90, "height": 90, "bytes": 1234}
    jpeg = stored_avatar.read_stable_jpeg(user.stack.s3, user.assets, SUBJECT)
    assert jpeg
    assert jpeg.version == manifest["version"]


def test_restored_avatar_can_be_restored(user: User, restore: Restore) -> None:
    former = user.publish(b"former")
    user.publish(b"newer")
    restore("--version", former, "--apply")
    restored = user.read_manifest()["version"]
    user.publish(b"newest")
    assert restore("--version", restored, "--apply")[0] == 0
    assert user.read_images() == [b"former64", b"former16"]


@pytest.mark.parametrize("arguments", [(), ("--version", "former")])
def test_command_without_apply_changes_nothing(user: User, restore: Restore, arguments: tuple[str, ...]) -> None:
    former = user.publish(b"former")
    user.publish(b"newer")
    before = user.stack.s3.list_object_versions(Bucket=user.assets)["Versions"]
    assert restore(*(former if each == "former" else each for each in arguments))[0] == 0
    assert user.stack.s3.list_object_versions(Bucket=user.assets)["Versions"] == before


def test_manifests_of_one_version_are_one_avatar_as_it_was_last(user: User, restore: Restore) -> None:
    """Like those that `make resize` writes."""
    former = user.publish(b"former")
    manifest = user.read_manifest()
    smaller = json.dumps({**manifest, "images": manifest["images"][1:]})
    user.stack.s3.put_object(Bucket=user.assets, Key=storage_keys.manifest_key(SUBJECT), Body=smaller)
    newer = user.publish(b"newer")
    assert [avatar.version for avatar in restoring.find_kept(user.stack, SUBJECT)] == [newer, former]
    restore("--version", former, "--apply")
    assert user.read_images() == [b"former16"]


def test_deleted_avatar_needs_deleted(user: User, restore: Restore) -> None:
    before, deleted = user.publish(b"before"), user.publish(b"deleted")
    user.delete()
    at = user.read_manifest()["deleted_at"]
    after = user.publish(b"after")
    for version in (before, deleted):
        expected = (
            f"error: the avatar of u1 was deleted at {at}, by the user or by an operator: "
            f"DELETED=1 restores {version} nevertheless\n"
        )
        assert restore("--version", version, "--apply") == (1, expected)
    assert user.read_manifest()["version"] == after
    assert restore("--version", deleted, "--deleted", "--apply")[0] == 0
    assert user.read_images() == [b"deleted64", b"deleted16"]


def test_avatar_after_a_deletion_does_not_need_deleted(user: User, restore: Restore) -> None:
    user.publish(b"deleted")
    user.delete()
    former = user.publish(b"former")
    user.publish(b"newer")
    assert restore("--version", former, "--apply")[0] == 0


def test_deletion_that_is_not_complete_prevails(user: User, restore: Restore) -> None:
    former = user.publish(b"former")
    AvatarDeletion(user.stack.s3, uploads_bucket=user.uploads, assets_bucket=user.assets).delete(SUBJECT)
    expected = "error: a deletion of the avatar of u1 is not complete: see make status\n"
    assert restore("--version", former, "--deleted", "--apply") == (1, expected)


def test_restored_version_is_newer_than_one_of_a_clock_ahead(user: User, restore: Restore) -> None:
    former = user.publish(b"former")
    ahead = user.publish(b"newer", at_ms=time.time_ns() // 1_000_000 + 60_000)
    assert restore("--version", former, "--apply")[0] == 0
    assert user.read_manifest()["version"] > ahead


@pytest.mark.parametrize("act", ["upload", "delete"])
def test_what_the_user_does_meanwhile_prevails(user: User, act: str) -> None:
    former = user.publish(b"former")
    user.publish(b"newer")
    restoration = Restoration.prepare(user.stack, SUBJECT, former, is_deleted=False)
    later = upload_id.parse_time_ms(restoration.restoration_id) + 1
    if act == "upload":
        user.publish(b"newest", at_ms=later)
    else:
        stored_avatar.delete(user.stack.s3, user.assets, SUBJECT, upload_id.create(SUBJECT, later))
    before = user.read_manifest()
    with pytest.raises(OperationError, match="u1 has uploaded or deleted an avatar meanwhile, and keeps that"):
        restoration.apply()
    assert user.read_manifest() == before


def test_unknown_version_is_an_error_with_those_that_are_kept(user: User, restore: Restore) -> None:
    versions = [user.publish(b"former"), user.publish(b"newer")]
    expected = f"error: VERSION is 01A; kept of u1 are: {versions[1]}, {versions[0]}\n"
    assert restore("--version", "01A", "--apply") == (1, expected)


def test_current_version_is_an_error(user: User, restore: Restore) -> None:
    current = user.publish(b"current")
    assert restore("--version", current, "--apply") == (1, f"error: {current} is the current avatar of u1\n")


def test_version_without_one_of_its_images_is_an_error(user: User, restore: Restore) -> None:
    former = user.publish(b"former")
    user.publish(b"newer")
    key = storage_keys.variant_key(SUBJECT, former, 16)
    for its in user.stack.s3.list_object_versions(Bucket=user.assets, Prefix=key)["Versions"]:
        user.stack.s3.delete_object(Bucket=user.assets, Key=key, VersionId=its["VersionId"])
    expected = f"error: {key} is not kept any more, and {former} is incomplete without it\n"
    assert restore("--version", former) == (1, expected)


def test_apply_without_version_is_an_error(restore: Restore) -> None:
    expected = "error: APPLY=1 needs VERSION: one of those that are listed without both\n"
    assert restore("--apply") == (1, expected)


def test_subject_that_cannot_be_one_is_an_error(restore: Restore) -> None:
    code, printed = restore(subject="a/b")
    assert code == 1
    assert printed.startswith("error: 'a/b' cannot be part of")
