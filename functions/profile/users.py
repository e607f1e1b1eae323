"""The table of users. Each row is the profile of a subject."""

from typing import LiteralString, NamedTuple

from psycopg.errors import UniqueViolation

from functions.profile.profile_validation import ProfileUpdate
from functions.shared.db.postgres import Database


class User(NamedTuple):
    subject: str
    handle: str
    display_name: str
    bio: str


class HandleTakenError(Exception):
    """The handle belongs to another user."""


class Users:
    """All statements are idempotent.

    Raises:
        postgres.UnavailableError: From every method.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def find_by_handle(self, handle: str) -> User | None:
        return self._fetch_user(
            "SELECT subject, handle, display_name, bio FROM avatars.users WHERE handle = %s", handle
        )

    def find_by_subject(self, subject: str) -> User | None:
        return self._fetch_user(
            "SELECT subject, handle, display_name, bio FROM avatars.users WHERE subject = %s", subject
        )

    def create(self, subject: str, handle: str, display_name: str) -> User | None:
        """Return the new or existing user of the subject, or None if the handle belongs to another user."""
        created = self._fetch_user(
            "INSERT INTO avatars.users (subject, handle, display_name) VALUES (%s, %s, %s) "
            "ON CONFLICT DO NOTHING RETURNING subject, handle, display_name, bio",
            subject,
            handle,
            display_name,
        )
        return created or self.find_by_subject(subject)

    def update(self, subject: str, update: ProfileUpdate) -> User | None:
        """Update the profile and return it, or None if the subject has none.

        Raises:
            HandleTakenError: The handle belongs to another user. Nothing is changed.
        """
        try:
            return self._fetch_user(
                "UPDATE avatars.users "
                "SET display_name = %s, bio = %s, handle = coalesce(%s, handle), updated_at = now() "
                "WHERE subject = %s RETURNING subject, handle, display_name, bio",
                update.display_name,
                update.bio,
                update.handle,
                subject,
            )
        except UniqueViolation as error:
            raise HandleTakenError(update.handle) from error

    def delete(self, subject: str) -> None:
        self._database.fetch_one("DELETE FROM avatars.users WHERE subject = %s RETURNING subject", (subject,))

    def _fetch_user(self, statement: LiteralString, *parameters: str | None) -> User | None:
        row = self._database.fetch_one(statement, parameters)
        return User(*row) if row else None
