"""The table of users. One row is one profile, and only its subject's."""

from typing import LiteralString, NamedTuple

from psycopg.errors import UniqueViolation

from functions.profile.profile_validation import Changes
from functions.shared.db.postgres import Database


class User(NamedTuple):
    subject: str
    handle: str
    display_name: str
    bio: str


class HandleTakenError(Exception):
    """Somebody else has the handle."""


class Users:
    """Every statement does the same when it is run twice. postgres.UnavailableError of each."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def with_handle(self, handle: str) -> User | None:
        return self._user("SELECT subject, handle, display_name, bio FROM avatars.users WHERE handle = %s", handle)

    def with_subject(self, subject: str) -> User | None:
        return self._user("SELECT subject, handle, display_name, bio FROM avatars.users WHERE subject = %s", subject)

    def create(self, subject: str, handle: str, display_name: str) -> User | None:
        """The new user, or the one there is already; None if somebody else has the handle."""
        created = self._user(
            "INSERT INTO avatars.users (subject, handle, display_name) VALUES (%s, %s, %s) "
            "ON CONFLICT DO NOTHING RETURNING subject, handle, display_name, bio",
            subject,
            handle,
            display_name,
        )
        return created or self.with_subject(subject)

    def update(self, subject: str, changes: Changes) -> User | None:
        """None without a row of the subject. HandleTakenError, with nothing changed, if the handle is another's."""
        try:
            return self._user(
                "UPDATE avatars.users "
                "SET display_name = %s, bio = %s, handle = coalesce(%s, handle), updated_at = now() "
                "WHERE subject = %s RETURNING subject, handle, display_name, bio",
                changes.display_name,
                changes.bio,
                changes.handle,
                subject,
            )
        except UniqueViolation as error:
            raise HandleTakenError(changes.handle) from error

    def _user(self, statement: LiteralString, *parameters: str | None) -> User | None:
        row = self._database.fetch_one(statement, parameters)
        return User(*row) if row else None
