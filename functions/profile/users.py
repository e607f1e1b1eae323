"""The table of users, in which each row is the profile of a subject, and the handles that users gave up.

A handle that was given up is held for some days, so that nobody takes over the links to it. A handle is in one of the
two tables, or free: in each transaction the unique index of the first table makes those who want a handle wait for its
owner, and the second table is read afterwards, by a statement that sees what the owner has committed.
https://www.postgresql.org/docs/current/transaction-iso.html#XACT-READ-COMMITTED
"""

from contextlib import suppress
from typing import LiteralString, NamedTuple

from psycopg.errors import DeadlockDetected, UniqueViolation

from functions.profile.profile_validation import ProfileUpdate
from functions.shared.db.postgres import Connection, Database

_MAX_RELEASED = 100  # handles that one request removes: the request waits for it


class User(NamedTuple):
    subject: str
    handle: str
    display_name: str
    bio: str


class HandleTakenError(Exception):
    """The handle belongs to another user, or did and is held."""


class Users:
    """All methods are idempotent.

    Raises:
        postgres.UnavailableError: From every method.
    """

    def __init__(self, database: Database, *, hold_days: int) -> None:
        """`hold_days`: how long nobody else can take a handle that its user gave up."""
        self._database = database
        self._hold_days = hold_days

    def find_by_handle(self, handle: str) -> User | None:
        """Return the user with that handle, or the one who has another now, as long as the handle is held."""
        return self._fetch_user(
            "SELECT subject, handle, display_name, bio FROM avatars.users WHERE handle = %s UNION ALL "
            "SELECT subject, users.handle, display_name, bio "
            "FROM avatars.retired_handles AS retired JOIN avatars.users USING (subject) "
            "WHERE retired.handle = %s AND retired_at > now() - make_interval(days => %s)",
            handle,
            handle,
            self._hold_days,
        )

    def find_by_subject(self, subject: str) -> User | None:
        return self._fetch_user(
            "SELECT subject, handle, display_name, bio FROM avatars.users WHERE subject = %s", subject
        )

    def create(self, subject: str, handle: str, display_name: str) -> User | None:
        """Return the new or existing user of the subject, or None if the handle is not free."""

        def insert(connection: Connection) -> User | None:
            row = connection.execute(
                "INSERT INTO avatars.users (subject, handle, display_name) VALUES (%s, %s, %s) "
                "ON CONFLICT DO NOTHING RETURNING subject, handle, display_name, bio",
                (subject, handle, display_name),
            ).fetchone()
            if row is None:
                return None
            self._take(connection, User(*row))
            return User(*row)

        with suppress(HandleTakenError):
            if created := self._database.transact(insert):
                return created
        return self.find_by_subject(subject)

    def update(self, subject: str, update: ProfileUpdate) -> User | None:
        """Update the profile and return it, or None if the subject has none.

        Raises:
            HandleTakenError: The handle is not free. Nothing is changed.
        """

        def change(connection: Connection) -> User | None:
            former = connection.execute(
                "SELECT handle FROM avatars.users WHERE subject = %s FOR UPDATE", (subject,)
            ).fetchone()
            row = connection.execute(
                "UPDATE avatars.users "
                "SET display_name = %s, bio = %s, handle = coalesce(%s, handle), updated_at = now() "
                "WHERE subject = %s RETURNING subject, handle, display_name, bio",
                (update.display_name, update.bio, update.handle, subject),
            ).fetchone()
            if row is None or former is None:
                return None
            user = User(*row)
            if former != (user.handle,):
                self._take(connection, user)
                self._retire(connection, former[0], subject, leads_to=subject)
            return user

        try:
            return self._database.transact(change)
        except (UniqueViolation, DeadlockDetected) as error:
            # A deadlock: each of two or more users wants the handle of the next.
            raise HandleTakenError(update.handle) from error

    def delete(self, subject: str) -> None:
        """Delete the profile. Its handle, and those that its user gave up before, lead nowhere and remain held."""

        def delete(connection: Connection) -> None:
            row = connection.execute(
                "DELETE FROM avatars.users WHERE subject = %s RETURNING handle", (subject,)
            ).fetchone()
            if row is not None:
                self._retire(connection, row[0], subject, leads_to=None)

        self._database.transact(delete)

    def _take(self, connection: Connection, user: User) -> None:
        """Make a handle, which the user has already in the table of users, no longer a retired one.

        Raises:
            HandleTakenError: It is held.
        """
        connection.execute(
            "DELETE FROM avatars.retired_handles WHERE handle = %s "
            "AND (subject = %s OR retired_at <= now() - make_interval(days => %s))",
            (user.handle, user.subject, self._hold_days),
        )
        held = connection.execute("SELECT FROM avatars.retired_handles WHERE handle = %s", (user.handle,)).fetchone()
        if held is not None:
            raise HandleTakenError(user.handle)

    def _retire(self, connection: Connection, handle: str, subject: str, *, leads_to: str | None) -> None:
        """Hold a handle of `subject`, which leads to `leads_to` or nowhere. Removes some that are held no more.

        functions/erase_profile finds the handles of a subject by `former_subject`, also those that lead nowhere.
        """
        connection.execute(
            "INSERT INTO avatars.retired_handles (handle, former_subject, subject) VALUES (%s, %s, %s)",
            (handle, subject, leads_to),
        )
        connection.execute(
            "DELETE FROM avatars.retired_handles WHERE handle IN (SELECT handle FROM avatars.retired_handles "
            "WHERE retired_at <= now() - make_interval(days => %s) LIMIT %s FOR UPDATE SKIP LOCKED)",
            (self._hold_days, _MAX_RELEASED),
        )

    def _fetch_user(self, statement: LiteralString, *parameters: str | int) -> User | None:
        row = self._database.fetch_one(statement, parameters)
        return User(*row) if row else None
