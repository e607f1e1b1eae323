"""Migrate the database schema. Event: {"target": "head"}, a revision such as "0001", or "-1" for the previous one."""

import logging
import os
from typing import TypedDict

from functions.migrate_database import app_user
from functions.migrate_database.schema import Schema
from functions.shared.db import login

log = logging.getLogger()

# An Aurora cluster that was paused for more than 24 hours takes 30 seconds or longer to resume.
# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2-auto-pause.html
CONNECT = login.from_environment(timeout_seconds=120)
SCHEMA = Schema(CONNECT)
APP_USER = os.environ.get("APP_USER")  # unset if the stack does not manage the database's users


class MigrateEvent(TypedDict):
    target: str


def handle(event: MigrateEvent, _context: object) -> dict[str, str | None]:
    """Return the revisions {"from", "to"}, null for none.

    Raises:
        Exception: What prevented the migration, as Lambda reports it to `pulumi up`.
    """
    result = SCHEMA.migrate(event["target"])
    log.info("migrated", extra={"from": result.before, "to": result.after})
    if APP_USER and not result.is_downgrade:
        with CONNECT() as connection:
            app_user.ensure(connection, APP_USER)
    return {"from": result.before, "to": result.after}
