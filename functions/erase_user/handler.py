"""The erasure of a user, for operators and for a team's own deletion of accounts. Event: {"subject": "<sub>"}."""

import os

from functions.erase_user.erasure import Erasure, Report
from functions.erase_user.limits import Limits
from functions.erase_user.profile_eraser import ProfileEraser
from functions.erase_user.stored_versions import StoredVersions
from functions.shared.avatar_deletion import AvatarDeletion
from functions.shared.aws import clients

_READ_TIMEOUT_SECONDS = 5
# For erase_profile, which waits for the database for up to 90 seconds.
_INVOKE_SECONDS = 95

UPLOADS_BUCKET = os.environ["UPLOADS_BUCKET"]
ASSETS_BUCKET = os.environ["ASSETS_BUCKET"]
ERASE_PROFILE_ARN = os.environ["ERASE_PROFILE_ARN"]  # empty: there are no profiles

S3 = clients.create("s3", read_timeout_seconds=_READ_TIMEOUT_SECONDS)
DYNAMODB = clients.create("dynamodb", read_timeout_seconds=_READ_TIMEOUT_SECONDS)

ERASURE = Erasure(
    versions=StoredVersions(S3, uploads_bucket=UPLOADS_BUCKET, assets_bucket=ASSETS_BUCKET),
    avatars=AvatarDeletion(S3, uploads_bucket=UPLOADS_BUCKET, assets_bucket=ASSETS_BUCKET),
    limits=Limits(DYNAMODB, os.environ["LIMITS_TABLE"]),
    profiles=ProfileEraser(
        clients.create("lambda", read_timeout_seconds=_INVOKE_SECONDS, max_attempts=1), ERASE_PROFILE_ARN
    )
    if ERASE_PROFILE_ARN
    else None,
    processing_seconds=int(os.environ["PROCESSING_SECONDS"]),
    log_retention_days=int(os.environ["LOG_RETENTION_DAYS"]),
)


def handle(event: object, _context: object) -> Report:
    """Erase a user, and return what was removed and what remains.

    Raises:
        ValueError: The event has no subject, or one that cannot be part of a key.
        ClientError: AWS refused a request.
        BotoCoreError: there was no response.
    """
    subject = event.get("subject") if isinstance(event, dict) else None
    if not isinstance(subject, str):
        raise ValueError(f'the event has no subject; expected is {{"subject": "<the user\'s sub>"}}, not {event!r}')
    return ERASURE.erase(subject)
