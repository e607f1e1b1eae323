"""Reads avatars and statuses during a load run, as pages and waiting clients do."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any, NamedTuple

from PIL import UnidentifiedImageError

from client.session import ClientError
from functions.shared.storage_keys import manifest_key, stable_key
from load import photos
from load.background import Background
from load.users import User, sign_in
from local.stack import LocalStack

MISSING = "missing"
_PAUSE_SECONDS = 0.1  # between two users, so that reading takes a small part of the CPU time


class Violation(NamedTuple):
    rule: str
    details: str


class Storage:
    """The assets bucket, read with the credentials of the operator."""

    def __init__(self, stack: LocalStack) -> None:
        self.s3 = stack.aws.client("s3")
        self.bucket: str = stack.exports["assetsBucket"]

    def read(self, key: str) -> bytes | None:
        try:
            return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        except self.s3.exceptions.NoSuchKey:
            return None

    def read_manifest(self, subject: str) -> dict[str, Any] | None:
        data = self.read(manifest_key(subject))
        return None if data is None else json.loads(data)

    def find_keys(self, manifest: dict[str, Any]) -> list[str]:
        """Returns the keys of the images that a manifest names."""
        return [image["url"].removeprefix("/") for image in manifest["images"]]

    def read_image_number(self, key: str) -> int | str:
        """Returns the number that an image shows, or what is wrong with it."""
        data = self.read(key)
        if data is None:
            return MISSING
        try:
            return photos.read_number(data)
        except UnidentifiedImageError:
            return "not an image"


class Reader(Background):
    """Reads what every user shows, again and again, while it is entered."""

    def __init__(self, stack: LocalStack, users: Sequence[User]) -> None:
        super().__init__()
        self._storage = Storage(stack)
        self._users = users
        self._sessions = {user.subject: sign_in(stack, user.username, user.password) for user in users}
        self._shown: dict[tuple[str, str], str] = {}
        self._ready: set[str] = set()
        self.reads = 0
        self.errors = 0
        """Responses with a 5xx status to requests for a status."""
        self.violations: list[Violation] = []

    def _run(self) -> None:
        while True:
            for user in self._users:
                if self._stopped.wait(_PAUSE_SECONDS):
                    return
                self.read(user)

    def read(self, user: User) -> None:
        """Reads the stable JPEG, the manifest with its images, and the status of one upload."""
        self.reads += 1
        self._read_stable_jpeg(user)
        self._read_manifest(user)
        if user.uploads:
            self._read_status(user, random.choice(user.uploads).id)

    def _read_stable_jpeg(self, user: User) -> None:
        key = stable_key(user.subject)
        number = self._storage.read_image_number(key)
        if number in user.started:
            self._check_order(user.subject, "stable JPEG", user.started[int(number)])
        elif number == MISSING:
            self._check_order(user.subject, "stable JPEG", "")
        else:
            self._report("avatar_is_of_its_user", f"{key} is {number}")

    def _read_manifest(self, user: User) -> None:
        manifest = self._storage.read_manifest(user.subject)
        self._check_order(user.subject, "manifest", manifest["version"] if manifest else "")
        if manifest is None:
            return
        for key in self._storage.find_keys(manifest):
            number = self._storage.read_image_number(key)
            if number not in user.started or user.started[int(number)] != manifest["upload_id"]:
                self._report(
                    "manifest_is_complete", f"the manifest {manifest['version']} names {key}, which is {number}"
                )

    def _check_order(self, subject: str, kind: str, shown: str) -> None:
        before = self._shown.get((subject, kind), "")
        if shown < before:
            self._report(
                "older_never_replaces_newer",
                f"the {kind} of {subject} showed {before}, and then {shown or 'nothing'}",
            )
        self._shown[subject, kind] = max(shown, before)

    def _read_status(self, user: User, upload_id: str) -> None:
        try:
            status = self._sessions[user.subject].fetch_status(upload_id)["status"]
        except ClientError as error:
            if error.status == 404:
                self._report("accepted_upload_is_never_unknown", f"the status of {upload_id} is 404")
            self.errors += error.status != 404
            return
        if status == "ready":
            self._ready.add(upload_id)
        elif upload_id in self._ready:
            self._report("ready_is_final", f"{upload_id} was ready, and is {status}")

    def _report(self, rule: str, details: str) -> None:
        self.violations.append(Violation(rule, details))
