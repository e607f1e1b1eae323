"""Users who upload photos, one after another, without waiting for the results."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

import requests

from client.session import ClientError, Session
from load import photos
from local.stack import LocalStack

# With more at once, requests of the functions to the same process time out (functions/shared/aws/clients.py).
_POSTING_AT_ONCE = 8
_TYPE = "image/jpeg"
NOT_A_PHOTO_EVERY = 10
"""One in so many uploads is not a photo, and has to be rejected."""
FINISHED_EVERY = 3
"""The user of one in so many uploads has it finished, which may fail."""


@dataclass
class Upload:
    """An upload that S3 has accepted. `accepted_at` is a value of `time.monotonic()`."""

    number: int
    id: str
    accepted_at: float

    @property
    def is_photo(self) -> bool:
        return self.number % NOT_A_PHOTO_EVERY != NOT_A_PHOTO_EVERY - 1


@dataclass
class User:
    username: str
    password: str
    session: Session
    uploads: list[Upload] = field(default_factory=list[Upload])
    """In the order in which S3 accepted them, which is the order of their IDs."""
    started: dict[int, str] = field(default_factory=dict[int, str])
    """The IDs of uploads by number, from before their photos are posted."""

    @property
    def subject(self) -> str:
        return self.session.subject

    @property
    def newest_photo(self) -> Upload | None:
        """The accepted upload that has to be the user's avatar in the end."""
        return max((upload for upload in self.uploads if upload.is_photo), key=lambda upload: upload.id, default=None)

    def upload(self, number: int) -> None:
        """Uploads a file, a photo that shows `number` or one that is not a photo.

        Raises:
            ClientError: The API or S3 rejects it.
        """
        upload = Upload(number, "", 0)
        file = photos.draw(number) if upload.is_photo else b"not a photo"
        form = self.session.request_form(file, _TYPE)
        upload.id = self.started[number] = form["upload_id"]
        self.session.post(form, file)
        upload.accepted_at = time.monotonic()
        self.uploads.append(upload)
        if number % FINISHED_EVERY == 0:
            with suppress(ClientError, requests.RequestException):
                self.session.finish(upload.id)


def create_users(stack: LocalStack, count: int) -> list[User]:
    users: list[User] = []
    for index in range(count):
        username = f"load{index}@example.com"
        password = stack.create_user(username)
        users.append(User(username, password, sign_in(stack, username, password)))
    return users


def sign_in(stack: LocalStack, username: str, password: str) -> Session:
    return Session.sign_in({**stack.exports, "cognitoEndpoint": stack.aws_url}, username, password)


def post_uploads(users: Sequence[User], count: int) -> None:
    """Uploads `count` files, by all users in turn.

    Raises:
        ClientError: The API or S3 rejects one.
    """
    failed = threading.Event()

    def post(mine: Sequence[tuple[int, User]]) -> None:
        for round_ in range(0, count, len(users)):
            for index, user in mine:
                if round_ + index < count and not failed.is_set():
                    try:
                        user.upload(round_ + index)
                    except BaseException:
                        failed.set()
                        raise

    threads = min(_POSTING_AT_ONCE, len(users))
    numbered = list(enumerate(users))
    with ThreadPoolExecutor(threads) as pool:
        for posted in [pool.submit(post, numbered[thread::threads]) for thread in range(threads)]:
            posted.result()
