"""Brings the schema to a revision: {"target": "head"}, a revision such as "0001", or "-1" for one back."""

import logging
import os
from typing import TypedDict

from functions.migrate_database import app_user
from functions.migrate_database.schema import Schema
from functions.shared.db import login

log = logging.getLogger()

# An Aurora that has slept for more than a day takes half a minute to resume, or longer.
# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2-auto-pause.html
CONNECT = login.from_environment(patience_seconds=120)
SCHEMA = Schema(CONNECT)
APP_USER = os.environ.get("APP_USER")  # only where the user is ours to make


class Order(TypedDict):
    target: str


def handle(order: Order, _context: object) -> dict[str, str | None]:
    """Gives the revisions {"from", "to"}, null for none. Raises whatever keeps it from the target."""
    move = SCHEMA.move_to(order["target"])
    log.info("migrated", extra={"from": move.before, "to": move.after})
    if APP_USER and not move.is_down:
        with CONNECT() as connection:
            app_user.allow(connection, APP_USER)
    return {"from": move.before, "to": move.after}
