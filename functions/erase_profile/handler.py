"""The erasure of a user's profile and handles, for erase_user. Event: {"subject": "..."}."""

import logging
import time
from typing import TypedDict

from functions.shared.db import login, postgres

log = logging.getLogger()

# An Aurora cluster that was paused for more than 24 hours takes 30 seconds or longer to resume.
# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2-auto-pause.html
RESUME_SECONDS = 60
PAUSE_SECONDS = 1
DATABASE = postgres.Database(login.from_environment(timeout_seconds=10))


class EraseEvent(TypedDict):
    subject: str


class Erased(TypedDict):
    profile: bool
    """Whether there was one."""
    handles: int
    """Former handles, which are free from now on, as that of the profile is."""


def handle(event: EraseEvent, _context: object) -> Erased:
    """Delete the row of a user, and the handles that the user gave up. Idempotent.

    Raises:
        postgres.UnavailableError: The database was unavailable for RESUME_SECONDS.
    """
    deadline = time.monotonic() + RESUME_SECONDS
    while True:
        try:
            erased = DATABASE.transact(lambda connection: _erase(connection, event["subject"]))
        except postgres.UnavailableError as error:
            if time.monotonic() > deadline:
                raise
            log.warning("database unavailable, tried again", extra={"reason": str(error)})
            time.sleep(PAUSE_SECONDS)
        else:
            log.info("profile erased", extra={**event, **erased})
            return erased


def _erase(connection: postgres.Connection, subject: str) -> Erased:
    """The user first: a transaction that gives up a handle has locked the row, or finds it deleted."""
    users = connection.execute("DELETE FROM avatars.users WHERE subject = %s", (subject,))
    handles = connection.execute("DELETE FROM avatars.retired_handles WHERE former_subject = %s", (subject,))
    return {"profile": users.rowcount > 0, "handles": handles.rowcount}
