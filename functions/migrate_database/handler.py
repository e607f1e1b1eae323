"""Migrate the database schema, or only say its revision.

Event: {"target": "head"}, a revision such as "0001", or "-1" for the previous one; without target nothing is changed.
"""

import logging
import os
import time
from typing import NotRequired, TypedDict

from functions.migrate_database import app_user
from functions.migrate_database.schema import Schema
from functions.shared.db import login, postgres

log = logging.getLogger()

# An Aurora cluster that was paused for more than 24 hours takes 30 seconds or longer to resume.
# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2-auto-pause.html
_CONNECT = login.from_environment(timeout_seconds=120)
# `pulumi up` invokes the function seconds after it has created the role's policy.
_POLICY_SECONDS = 60
_PAUSE_SECONDS = 3


def connect() -> postgres.Connection:
    """Open a connection; for up to a minute, wait until the policy of the function's role applies.

    Raises:
        UnavailableError: As login.from_environment.
    """
    deadline = time.monotonic() + _POLICY_SECONDS
    while True:
        try:
            return _CONNECT()
        except login.AccessDeniedError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(_PAUSE_SECONDS)


SCHEMA = Schema(connect)
APP_USER = os.environ.get("APP_USER")  # unset if the stack does not manage the database's users


class MigrateEvent(TypedDict):
    target: NotRequired[str]


def handle(event: MigrateEvent, _context: object) -> dict[str, object]:
    """Return the revisions {"from", "to"}, null for none; or {"revision", "known"}, all of the package, oldest first.

    Raises:
        Exception: What prevented the migration, as Lambda reports it to `pulumi up`.
    """
    if "target" not in event:
        return {"revision": SCHEMA.read_revision(), "known": SCHEMA.list_revisions()}
    result = SCHEMA.migrate(event["target"])
    log.info("migrated", extra={"from": result.before, "to": result.after})
    if APP_USER and not result.is_downgrade:
        with connect() as connection:
            app_user.ensure(connection, APP_USER)
    return {"from": result.before, "to": result.after}
